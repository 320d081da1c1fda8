//! Against tiny servers that misbehave: what they were sent, and what becomes of what they answer.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

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

/// T58: an upstream that misbehaves is an error, in time, and never a clean short answer.
#[tokio::test]
async fn bad_answers_to_a_get() {
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\n{ABOUT}{rest}\r\n");
    let large = "x".repeat(100_000);
    let storm = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1_000);
    let unavailable = ErrorCode::ServiceUnavailable;
    let internal = ErrorCode::InternalError;
    let cases: [(&str, Vec<Step>, ErrorCode); 26] = [
        ("no answer", vec![Head, Wait(2_000)], unavailable),
        ("closed", vec![Head], unavailable),
        ("reset", vec![Head, Reset], unavailable),
        ("garbage", vec![Head, says("hello\r\n\r\n")], internal),
        (
            "half a head",
            vec![Head, says("HTTP/1.1 200 OK\r\nETag")],
            unavailable,
        ),
        (
            "a dripping head",
            vec![Head, Drip(ok("x").into_bytes(), 50)],
            unavailable,
        ),
        (
            "interim storm",
            vec![Head, says(&(storm + &ok("x")))],
            internal,
        ),
        (
            "switching",
            vec![Head, says("HTTP/1.1 101 Switching Protocols\r\n\r\n")],
            internal,
        ),
        (
            "short, small",
            vec![Head, says(&(head("Content-Length: 10\r\n") + "short"))],
            unavailable,
        ),
        (
            "short, large",
            vec![Head, says(&(head("Content-Length: 200000\r\n") + &large))],
            unavailable,
        ),
        (
            "reset, large",
            vec![
                Head,
                says(&(head("Content-Length: 200000\r\n") + &large)),
                Wait(50),
                Reset,
            ],
            unavailable,
        ),
        (
            "stalled, large",
            vec![
                Head,
                says(&(head("Content-Length: 200000\r\n") + &large)),
                Wait(2_000),
            ],
            unavailable,
        ),
        (
            "no length",
            vec![Head, says(&(head("") + "body"))],
            internal,
        ),
        (
            "chunked",
            vec![
                Head,
                says(&(head("Transfer-Encoding: chunked\r\n") + "4\r\nbody\r\n0\r\n\r\n")),
            ],
            internal,
        ),
        (
            "two lengths",
            vec![
                Head,
                says(&(head("Content-Length: 4\r\nContent-Length: 5\r\n") + "body")),
            ],
            internal,
        ),
        (
            "odd length",
            vec![Head, says(&(head("Content-Length: +4\r\n") + "body"))],
            internal,
        ),
        (
            "no tag",
            vec![Head, says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")],
            internal,
        ),
        (
            "unasked range",
            vec![
                Head,
                says(&format!(
                    "HTTP/1.1 206 Partial\r\n{ABOUT}Content-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\nbody"
                )),
            ],
            internal,
        ),
        (
            "redirect",
            vec![
                Head,
                says(
                    "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/canary\r\nContent-Length: 0\r\n\r\n",
                ),
            ],
            internal,
        ),
        (
            "own credentials",
            vec![Head, says(&error("403 Forbidden", "InvalidAccessKeyId"))],
            internal,
        ),
        (
            "absent",
            vec![Head, says(&error("404 Not Found", "NoSuchKey"))],
            ErrorCode::NoSuchKey,
        ),
        (
            "no bucket",
            vec![Head, says(&error("404 Not Found", "NoSuchBucket"))],
            ErrorCode::NoSuchBucket,
        ),
        (
            "slow down",
            vec![Head, says(&error("503 Slow Down", "SlowDown"))],
            ErrorCode::SlowDown,
        ),
        (
            "huge error",
            vec![
                Head,
                says(&format!(
                    "HTTP/1.1 500 Oops\r\nContent-Length: 1000000000\r\n\r\n{large}{large}"
                )),
            ],
            unavailable,
        ),
        (
            "hostile error",
            vec![
                Head,
                says(
                    "HTTP/1.1 404 No\r\nContent-Length: 52\r\n\r\n<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///x'>]><a>&x;",
                ),
            ],
            ErrorCode::NoSuchKey,
        ),
        (
            "HTML error",
            vec![
                Head,
                says("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\n\r\n<html>canary<"),
            ],
            unavailable,
        ),
    ];
    for (name, script, expected) in cases {
        let server = Server::start(vec![script]).await;
        let upstream = server.upstream();
        let before = std::time::Instant::now();
        let outcome = get(&upstream, &read("key")).await;
        let error = outcome
            .err()
            .unwrap_or_else(|| panic!("{name} was answered"));
        // A body that ends early is an internal error or unavailable, depending on where.
        let code = error.code();
        let cut = name.starts_with("short") && code == internal;
        assert!(code == expected || cut, "{name}: {error}");
        assert!(!error.message().contains("canary"), "{name}");
        assert!(
            !format!("{:?}", error.details()).contains("canary"),
            "{name}"
        );
        assert!(error.reason().is_some(), "{name}");
        assert!(before.elapsed() < Duration::from_millis(1_500), "{name}");
        assert_eq!(
            upstream.counters().in_flight.load(Ordering::Relaxed),
            0,
            "{name}"
        );
        assert!(
            server.heard().len() < 2 || name == "closed",
            "{name} was asked again"
        );
    }
}

/// The positive twins: odd but sound answers come through.
#[tokio::test]
async fn good_answers_to_a_get() {
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n";
    let gzip = format!(
        "HTTP/1.1 200 OK\r\n{ABOUT}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody"
    );
    let twice =
        format!("HTTP/1.1 200 OK\r\n{ABOUT}Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody");
    let large = "y".repeat(3_000_000);
    for (name, answer, body) in [
        ("plain", ok("body"), "body"),
        ("empty", ok(""), ""),
        ("interim", format!("{hints}{}", ok("body")), "body"),
        // An encoding is metadata: never decoded.
        ("gzip", gzip, "body"),
        ("agreeing lengths", twice, "body"),
        ("large", ok(&large), large.as_str()),
    ] {
        let server = Server::start(vec![vec![Head, says(&answer), Wait(200)]]).await;
        let bytes = get(&server.upstream(), &read("key")).await.unwrap();
        assert_eq!(bytes, body.as_bytes(), "{name}");
    }
}

#[tokio::test]
async fn what_a_get_sends_and_tells() {
    let answer = format!(
        "HTTP/1.1 206 Partial\r\n{ABOUT}Content-Range: bytes 2-3/10\r\nContent-Length: 2\r\n\
         x-amz-meta-Colour: red\r\nx-amz-meta-portcullis-checksum: CRC32:AAAAAA==\r\n\
         x-amz-version-id: v\r\nSet-Cookie: canary\r\nContent-Type: text/plain\r\n\r\ncd"
    );
    let server = Server::start(vec![vec![Head, says(&answer)]]).await;
    let mut call = read("a b//\u{e9}+");
    call.range = Some(ByteRange::FromTo(2, 3));
    call.version_id = Some("v/1".to_owned());
    call.checksum_mode = true;
    call.conditions.if_match = Some(vec![s3::ETag("e".to_owned()), s3::ETag("f".to_owned())]);
    call.overrides = vec![("content-type", "canary/override".to_owned())];
    let object = server
        .upstream()
        .get_object(Granted::for_test(&call))
        .await
        .unwrap();
    assert_eq!(object.info.size, 10);
    assert_eq!(
        object.range.map(|r| (r.first, r.last, r.size)),
        Some((2, 3, 10))
    );
    assert_eq!(
        object.info.metadata.user,
        [("colour".to_owned(), "red".to_owned())]
    );
    assert_eq!(object.info.version_id.as_deref(), Some("v"));
    let crc = Checksum::parse(ChecksumAlgorithm::Crc32, "AAAAAA==").unwrap();
    assert_eq!(object.info.checksum, Some(full_object(crc)));
    let heard = server.heard().concat().to_ascii_lowercase();
    assert!(
        heard.starts_with("get /ours/a%20b//%c3%a9%2b?versionid=v%2f1 http/1.1\r\n"),
        "{heard}"
    );
    for expected in [
        "range: bytes=2-3\r\n",
        "if-match: \"e\", \"f\"\r\n",
        "host: 127.0.0.1:",
    ] {
        assert!(heard.contains(expected), "{expected} in {heard}");
    }
    for absent in [
        "canary",
        "checksum-mode",
        "content-length",
        "accept-encoding",
        "connection",
    ] {
        assert!(!heard.contains(absent), "{absent} in {heard}");
    }
}

/// T57: a connection is used again only when its answer was read to its end and nothing follows.
#[tokio::test]
async fn connections_are_used_again_only_when_clean() {
    let large = ok(&"z".repeat(200_000));
    let first = |answer: &str| vec![Head, says(answer), Head, says(&ok("second")), Wait(300)];
    let second = vec![Head, says(&ok("fresh")), Wait(300)];
    for (name, answer, read_all, reused) in [
        ("clean", ok("first"), true, true),
        ("clean, large", large.clone(), true, true),
        ("dropped early", large, false, false),
        (
            "bytes behind",
            format!("{}HTTP/1.1 200 OK\r\n\r\n", ok("first")),
            true,
            false,
        ),
        (
            "close",
            format!("HTTP/1.1 200 OK\r\n{ABOUT}Connection: close\r\nContent-Length: 1\r\n\r\nx"),
            true,
            false,
        ),
        (
            "an error read whole",
            error("404 Not Found", "NoSuchKey"),
            true,
            true,
        ),
    ] {
        let server = Server::start(vec![first(&answer), second.clone()]).await;
        let upstream = server.upstream();
        if read_all {
            let _ = get(&upstream, &read("one")).await;
        } else {
            let call = read("one");
            let object = upstream.get_object(Granted::for_test(&call)).await.unwrap();
            let Body::Stream(mut stream) = object.body else {
                panic!("not a stream");
            };
            stream.next().await.unwrap();
            drop(stream);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let bytes = get(&upstream, &read("two")).await.unwrap();
        let expected: &[u8] = if reused { b"second" } else { b"fresh" };
        assert_eq!(bytes, expected, "{name}");
        assert_eq!(server.heard().len(), if reused { 1 } else { 2 }, "{name}");
    }
}

#[tokio::test]
async fn a_stale_connection_is_replaced_where_nothing_can_have_happened() {
    // The first connection dies when it is asked a second time.
    let dying = vec![Head, says(&ok("first")), Head, Reset];
    let fresh = vec![Head, says(&ok("fresh")), Wait(300)];
    let server = Server::start(vec![dying.clone(), fresh.clone()]).await;
    let upstream = server.upstream();
    assert_eq!(get(&upstream, &read("one")).await.unwrap(), b"first");
    assert_eq!(get(&upstream, &read("two")).await.unwrap(), b"fresh");
    assert_eq!(upstream.counters().retries.load(Ordering::Relaxed), 1);

    // An upload that may have arrived is not sent again.
    let server = Server::start(vec![dying, fresh]).await;
    let upstream = server.upstream();
    assert_eq!(get(&upstream, &read("one")).await.unwrap(), b"first");
    let call = put("two");
    let mut body = Pieces::new(&[b"body"]);
    let error = upstream
        .put_object(Granted::for_test(&call), &mut body)
        .await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::ServiceUnavailable);
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn uploads_have_exact_lengths_and_nothing_else() {
    let done = "HTTP/1.1 200 OK\r\nETag: \"new\"\r\nContent-Length: 0\r\n\r\n";
    for (payload, checksums, length, must, body) in [
        (
            Payload::Unsigned,
            false,
            8,
            "x-amz-content-sha256: unsigned-payload",
            Some("onetwo!!"),
        ),
        (
            Payload::SignedChunks,
            false,
            180,
            "content-encoding: aws-chunked,gzip",
            None,
        ),
        (
            Payload::ChecksumTrailer,
            true,
            309,
            "x-amz-trailer: x-amz-checksum-crc64nvme",
            None,
        ),
    ] {
        let server = Server::start(vec![vec![Request, says(done)]]).await;
        let mut config = server.config();
        config.payload = payload;
        config.checksums = checksums;
        let upstream = Upstream::new(config, Mappings::default()).unwrap();
        let mut call = put("key");
        call.metadata
            .standard
            .push(("content-encoding", "gzip".to_owned()));
        call.metadata
            .user
            .push(("colour".to_owned(), "caf\u{e9}".to_owned()));
        call.conditions.if_none_match = true;
        let mut upload = Pieces::new(&[b"one", b"two", b"!!"]);
        let written = upstream
            .put_object(Granted::for_test(&call), &mut upload)
            .await
            .unwrap();
        assert_eq!(written.etag.0, "new");
        assert_eq!(written.size, Some(8));
        let heard = server.heard().concat();
        let lower = heard.to_ascii_lowercase();
        assert!(
            lower.contains(&format!("content-length: {length}\r\n")),
            "{heard}"
        );
        assert!(lower.contains(must), "{must} in {heard}");
        assert!(lower.contains("if-none-match: *\r\n"));
        assert!(lower.contains("x-amz-meta-colour: caf\u{e9}\r\n"));
        assert!(!heard.contains("canary"));
        if let Some(body) = body {
            assert!(heard.ends_with(body), "{heard}");
        } else {
            assert!(lower.contains("x-amz-decoded-content-length: 8\r\n"));
        }
    }
}

#[tokio::test]
async fn checksums_in_the_head_are_kept_one_way_or_the_other() {
    let done = "HTTP/1.1 200 OK\r\nETag: \"new\"\r\nContent-Length: 0\r\n\r\n";
    let crc = Checksum::parse(ChecksumAlgorithm::Crc32, "AAAAAA==").unwrap();
    for (checksums, header) in [
        (true, "x-amz-checksum-crc32: aaaaaa==\r\n"),
        (false, "x-amz-meta-portcullis-checksum: crc32:aaaaaa==\r\n"),
    ] {
        let server = Server::start(vec![vec![Request, says(done)]]).await;
        let mut config = server.config();
        config.checksums = checksums;
        let upstream = Upstream::new(config, Mappings::default()).unwrap();
        let mut call = put("key");
        call.checksum = Some(ChecksumRequest {
            algorithm: ChecksumAlgorithm::Crc32,
            source: ChecksumSource::Header(crc.clone()),
        });
        let mut body = Pieces::new(&[b"body"]);
        let written = upstream
            .put_object(Granted::for_test(&call), &mut body)
            .await;
        let kept = written.unwrap().checksum;
        assert_eq!(
            kept.is_some(),
            !checksums,
            "known from the upstream's own answer otherwise"
        );
        let heard = server.heard().concat().to_ascii_lowercase();
        assert!(heard.contains(header), "{heard}");
        assert_eq!(heard.matches("aaaaaa==").count(), 1);
    }
}

/// T6: what an upload's checks refuse never becomes an object: its last byte is not sent.
#[tokio::test]
async fn a_failed_upload_is_never_complete() {
    let server = Server::start(vec![vec![Head, UntilEnd]]).await;
    let upstream = server.upstream();
    let mut body = Pieces::new(&[b"first", b"last"]);
    body.pieces[1] = Err(ErrorCode::BadDigest.into());
    let call = put("key");
    let error = upstream
        .put_object(Granted::for_test(&call), &mut body)
        .await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::BadDigest);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let heard = server.heard().concat();
    assert!(heard.contains("first[end]"), "{heard}");

    // One that gives too few or too many bytes is cut off as well.
    for pieces in [&[&b"sho"[..]][..], &[b"long", b"er"]] {
        let server = Server::start(vec![vec![Head, UntilEnd]]).await;
        let mut body = Pieces::new(pieces);
        body.length = 5;
        let call = put("key");
        let upstream = server.upstream();
        let error = upstream
            .put_object(Granted::for_test(&call), &mut body)
            .await;
        assert_eq!(error.unwrap_err().code(), ErrorCode::InternalError);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let heard = server.heard().concat();
        let (_, sent) = heard.split_once("\r\n\r\n").unwrap();
        assert!(sent.trim_end_matches("[end]").len() < 5, "{heard}");
    }
}

#[tokio::test]
async fn early_answers_to_uploads() {
    let refused = error("403 Forbidden", "QuotaExceeded");
    let done = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n";
    let full = ErrorCode::InsufficientStorage;
    for (name, script, expected) in [
        (
            "before the body",
            vec![Head, says(&refused), Wait(3_000)],
            full,
        ),
        ("and closes", vec![Head, says(&refused)], full),
        (
            "and resets",
            vec![Head, says(&refused), Wait(100), Reset],
            full,
        ),
        (
            "half way",
            vec![Head, Step::Body(100_000), says(&refused), UntilEnd],
            full,
        ),
        (
            "interim first",
            vec![
                Head,
                says("HTTP/1.1 100 Continue\r\n\r\n"),
                says(&refused),
                Wait(3_000),
            ],
            full,
        ),
        (
            "success too early",
            vec![Head, says(done), UntilEnd],
            ErrorCode::InternalError,
        ),
        (
            "never reads",
            vec![Head, Wait(3_000)],
            ErrorCode::ServiceUnavailable,
        ),
    ] {
        let server = Server::start(vec![script]).await;
        let upstream = server.upstream();
        let piece = vec![b'x'; 1 << 20];
        let pieces: Vec<&[u8]> = vec![&piece; 32];
        let mut body = Pieces::new(&pieces);
        body.pause = 5;
        let before = std::time::Instant::now();
        let call = put("key");
        let error = upstream
            .put_object(Granted::for_test(&call), &mut body)
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), expected, "{name}: {error}");
        assert!(before.elapsed() < Duration::from_millis(2_500), "{name}");
        assert!(!error.message().contains("canary"));
    }
}

/// T58: a 200 whose document is an error is one.
#[tokio::test]
async fn errors_behind_a_success() {
    let late = error("200 OK", "InternalError");
    let spaced = {
        let body = "  \n  <Error><Code>PreconditionFailed</Code></Error>";
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let other = ok("<html/>");
    let upload = OnUpload {
        bucket: bucket(),
        key: ObjectKey::parse("key").unwrap(),
        upload_id: "id".to_owned(),
    };
    for (answer, expected) in [
        (late, ErrorCode::ServiceUnavailable),
        (spaced, ErrorCode::PreconditionFailed),
        (other, ErrorCode::InternalError),
    ] {
        let server = Server::start(vec![vec![
            Request,
            says(&answer),
            Request,
            says(&answer),
            Wait(100),
        ]])
        .await;
        let upstream = server.upstream();
        let complete = CompleteMultipartUpload {
            upload: upload.clone(),
            conditions: WriteConditions::default(),
            checksum: None,
            checksum_type: None,
            size: None,
        };
        let call = Granted::for_test(&complete);
        let error = upstream
            .complete_multipart_upload(call, &[])
            .await
            .unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
        let copy = CopyObject {
            source: s3::call::CopySource {
                bucket: bucket(),
                key: ObjectKey::parse("source").unwrap(),
                version_id: None,
                conditions: ReadConditions::default(),
            },
            bucket: bucket(),
            key: ObjectKey::parse("key").unwrap(),
            metadata: None,
            conditions: WriteConditions::default(),
            checksum: None,
        };
        let error = upstream
            .copy_object(Granted::for_test(&copy))
            .await
            .unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
    }
}

#[tokio::test]
async fn connections_are_limited_and_refusals_are_errors() {
    let server = Server::start(vec![vec![Head, Wait(3_000)]]).await;
    let mut config = server.config();
    config.max_connections = 1;
    config.timeouts.connect = Duration::from_millis(100);
    let upstream = Upstream::new(config.clone(), Mappings::default()).unwrap();
    let call = read("key");
    let (one, two) = tokio::join!(get(&upstream, &call), get(&upstream, &call));
    let mut codes = [one.unwrap_err().code(), two.unwrap_err().code()];
    codes.sort_by_key(|code| code.as_str());
    assert_eq!(codes, [ErrorCode::ServiceUnavailable, ErrorCode::SlowDown]);

    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    config.endpoint = format!("http://127.0.0.1:{port}");
    let upstream = Upstream::new(config, Mappings::default()).unwrap();
    let error = get(&upstream, &call).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ServiceUnavailable);
    assert!(upstream.health().await.is_err());
    assert!(!error.message().contains("127.0.0.1"));
}

#[tokio::test]
async fn listings_come_back_under_our_names() {
    let document = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
        <Contents><Key>p%2Fa%2Bb+c</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>\
        <LastModified>2026-11-24T10:20:30.000Z</LastModified></Contents>\
        <Contents><Key>q%2Foutside</Key><Size>3</Size><ETag>e</ETag>\
        <LastModified>2026-11-24T10:20:30.000Z</LastModified></Contents>\
        <CommonPrefixes><Prefix>p%2Fd%2F</Prefix></CommonPrefixes></ListBucketResult>";
    let server = Server::start(vec![vec![Head, says(&ok(document)), Wait(100)]]).await;
    let mapping = Mapping {
        rename: Some("theirs".to_owned()),
        key_prefix: "p/".to_owned(),
    };
    let pattern = BucketPattern::parse("ours").unwrap();
    let mappings = Mappings::new(vec![(pattern, mapping)]).unwrap();
    let upstream = Upstream::new(server.config(), mappings).unwrap();
    let call = ListObjects {
        bucket: bucket(),
        prefix: String::new(),
        delimiter: Some("/".to_owned()),
        max_keys: 2,
        after: Some("a".to_owned()),
        start: None,
        continuation_token: None,
        url_encoded: false,
        fetch_owner: false,
    };
    let page = upstream
        .list_objects(Granted::for_test(&call))
        .await
        .unwrap();
    assert_eq!(page.objects.len(), 1);
    assert_eq!(page.objects[0].key, "a+b c");
    assert_eq!(page.common_prefixes, ["d/"]);
    assert_eq!(page.next.as_deref(), Some("d/"));
    let heard = server.heard().concat();
    let target = "GET /theirs?list-type=2&encoding-type=url&max-keys=2&delimiter=%2F&prefix=p%2F&start-after=p%2Fa HTTP";
    assert!(heard.starts_with(target), "{heard}");
}

#[tokio::test]
async fn deletions_are_answered_one_by_one() {
    let document = "<DeleteResult><Deleted><Key>b</Key></Deleted>\
        <Error><Key>a</Key><Code>AccessDenied</Code><Message>canary</Message></Error></DeleteResult>";
    let script = vec![Request, says(&ok(document)), Wait(100)];
    let server = Server::start(vec![script]).await;
    let upstream = server.upstream();
    let delete = |key: &str| {
        Granted::for_test(DeleteObject {
            bucket: bucket(),
            key: ObjectKey::parse(key).unwrap(),
            version_id: None,
            if_match: None,
        })
    };
    let calls = [
        delete("a"),
        delete("../x"),
        delete("b"),
        delete("c"),
        delete("b"),
    ];
    let results = upstream.delete_objects(&calls).await.unwrap();
    let codes: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().err().map(s3::Error::code))
        .collect();
    let internal = Some(ErrorCode::InternalError);
    assert_eq!(
        codes,
        [
            internal,
            Some(ErrorCode::InvalidArgument),
            None,
            internal,
            None
        ]
    );
    let heard = server.heard().concat().to_ascii_lowercase();
    assert!(heard.starts_with("post /ours?delete= http/1.1"), "{heard}");
    assert!(heard.contains("content-md5: "));
    assert!(!heard.contains("../x"));
}

#[tokio::test]
async fn unix_sockets_are_endpoints() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s3.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let _ = stream.read(&mut head).await;
        stream.write_all(ok("body").as_bytes()).await.unwrap();
    });
    let server = Server::start(vec![vec![]]).await;
    let mut config = server.config();
    config.endpoint = format!("unix:{}", path.display());
    let upstream = Upstream::new(config, Mappings::default()).unwrap();
    assert_eq!(get(&upstream, &read("key")).await.unwrap(), b"body");
}
