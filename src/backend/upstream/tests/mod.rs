//! Against tiny servers that misbehave: what they were sent, and what becomes of what they answer.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod addresses;
mod connections;
mod documents;
mod lists;
mod reads;
mod tagging;
mod writes;

use super::*;
use crate::backend::{Body, full_object};
use crate::crypto::Secret;
use crate::s3::{
    BucketName, ByteRange, Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumSource, ErrorCode,
    Hasher, ObjectKey, ObjectMetadata, ReadConditions, WriteConditions,
};
use bytes::Bytes;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a server does on one connection, in order.
#[derive(Clone)]
enum Step {
    /// Reads a request's head.
    Head,
    /// Reads a request's head and the body that it announces.
    Request,
    /// Reads so many bytes of body.
    Body(usize),
    /// Reads until the client ends.
    UntilEnd,
    /// Writes.
    Write(Vec<u8>),
    /// Writes byte by byte, so many milliseconds apart.
    Drip(Vec<u8>, u64),
    /// Waits so many milliseconds.
    Wait(u64),
    /// Ends with RST.
    Reset,
}
use Step::{Drip, Head, Request, Reset, UntilEnd, Wait, Write};

fn says(text: &str) -> Step {
    Write(text.as_bytes().to_vec())
}

/// A server of one script per connection; the last one repeats.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            port,
            heard: Arc::clone(&heard),
        };
        tokio::spawn(async move {
            for index in 0.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                heard.lock().unwrap().push(String::new());
                let script = scripts[index.min(scripts.len() - 1)].clone();
                tokio::spawn(play(stream, script, index, Arc::clone(&heard)));
            }
        });
        server
    }

    /// What was read on each connection.
    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn config(&self) -> Config {
        let milliseconds = Duration::from_millis;
        Config {
            name: "test".to_owned(),
            endpoint: format!("http://127.0.0.1:{}", self.port),
            region: "us-east-1".to_owned(),
            ca: None,
            path_style: true,
            payload: Payload::Unsigned,
            keys: Keys::Normalized,
            checksums: false,
            credentials: CredentialsSource::Static {
                access_key_id: "AKIAUPSTREAM".to_owned(),
                secret_access_key: Secret::new("canary-secret".to_owned()),
                session_token: None,
            },
            timeouts: Timeouts {
                connect: milliseconds(500),
                read: milliseconds(400),
                write: milliseconds(400),
                total: milliseconds(800),
                idle: Duration::from_secs(5),
            },
            max_connections: 4,
            max_connections_per_caller: None,
        }
    }

    fn upstream(&self) -> Upstream {
        Upstream::new(self.config(), Mappings::default()).unwrap()
    }
}

async fn play(
    mut stream: TcpStream,
    script: Vec<Step>,
    index: usize,
    heard: Arc<Mutex<Vec<String>>>,
) {
    let note =
        |bytes: &[u8]| heard.lock().unwrap()[index].push_str(&String::from_utf8_lossy(bytes));
    for step in script {
        match step {
            Head | Request => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                note(&head);
                if matches!(step, Request) {
                    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                    let length = head.split_once("\ncontent-length: ").unwrap().1;
                    let length = length.split_once('\r').unwrap().0.parse().unwrap();
                    let mut body = vec![0; length];
                    if stream.read_exact(&mut body).await.is_err() {
                        return;
                    }
                    note(&body);
                }
            }
            Step::Body(length) => {
                let mut body = vec![0; length];
                if stream.read_exact(&mut body).await.is_err() {
                    return;
                }
                note(&body);
            }
            UntilEnd => {
                let mut buffer = vec![0; 65_536];
                while let Ok(read) = stream.read(&mut buffer).await {
                    if read == 0 {
                        break;
                    }
                    note(&buffer[..read]);
                }
                note(b"[end]");
            }
            Write(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Drip(bytes, pause) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
            Wait(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
            Reset => {
                #[expect(deprecated, reason = "the way to make a test server reset")]
                stream.set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
        }
    }
}

/// A body in pieces, which may end in an error.
struct Pieces {
    pieces: std::collections::VecDeque<Result<Bytes, s3::Error>>,
    length: u64,
    pause: u64,
    hasher: Option<Hasher>,
    checksum: Option<Checksum>,
}

impl Pieces {
    fn new(pieces: &[&[u8]]) -> Self {
        let length = pieces.iter().map(|p| p.len() as u64).sum();
        Self {
            pieces: pieces
                .iter()
                .map(|p| Ok(Bytes::copy_from_slice(p)))
                .collect(),
            length,
            pause: 0,
            hasher: Some(Hasher::new(ChecksumAlgorithm::Crc64Nvme)),
            checksum: None,
        }
    }
}

#[async_trait]
impl Upload for Pieces {
    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, s3::Error> {
        tokio::time::sleep(Duration::from_millis(self.pause)).await;
        let Some(piece) = self.pieces.pop_front() else {
            self.checksum = self
                .checksum
                .take()
                .or(self.hasher.take().map(Hasher::finish));
            return Ok(None);
        };
        let piece = piece?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        Ok(Some(piece))
    }

    fn checksum(&self) -> Option<Checksum> {
        self.checksum.clone()
    }
}

fn bucket() -> BucketName {
    BucketName::parse("ours").unwrap()
}

fn read(key: &str) -> ReadObject {
    ReadObject {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        version_id: None,
        range: None,
        part_number: None,
        conditions: ReadConditions::default(),
        checksum_mode: false,
        overrides: Vec::new(),
    }
}

fn put(key: &str) -> PutObject {
    PutObject {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        metadata: ObjectMetadata::default(),
        tags: TagSet::default(),
        conditions: WriteConditions::default(),
        checksum: None,
    }
}

async fn get(upstream: &Upstream, call: &ReadObject) -> Result<Vec<u8>, s3::Error> {
    let object = upstream.get_object(Granted::for_test(call)).await?;
    match object.body {
        Body::Empty => Ok(Vec::new()),
        Body::Whole(bytes) => Ok(bytes.to_vec()),
        Body::Stream(mut stream) => {
            let mut all = Vec::new();
            while let Some(piece) = stream.next().await? {
                assert!(!piece.is_empty());
                all.extend_from_slice(&piece);
            }
            Ok(all)
        }
    }
}

const ABOUT: &str = "ETag: \"e\"\r\nLast-Modified: Tue, 24 Nov 2026 10:20:30 GMT\r\n";

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{ABOUT}Content-Length: {length}\r\n\r\n{body}")
}

fn error(status: &str, code: &str) -> String {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>canary.host says no to \
         AKIAUPSTREAM</Message><BucketName>canary-bucket</BucketName></Error>"
    );
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nServer: canary\r\nContent-Length: {length}\r\n\r\n{body}")
}
