//! What a hostile upstream answers, on its way to a client through the whole gateway.
//!
//! The first byte is a letter: the client's request, and in lower case an answer whose head is as it
//! should be and whose body is the rest, in upper case an answer that is the rest. The client gets
//! one well-formed answer, or a cut one; no refusal tells of the upstream's names; a listing is in
//! order and holds what was asked for (T54, T56 to T58).

#![no_main]

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use portcullis::backend::router::{Backends, Route, Store};
use portcullis::backend::upstream::{
    BucketPattern, Config, CredentialsSource, Mapping, Payload, Timeouts,
};
use portcullis::crypto::Secret;
use portcullis::s3::Head;
use portcullis::sigv4::OutgoingPayload;
use portcullis_fuzz::{Answer, Wire, answers, peer, runtime, sign};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// What the upstream's names begin with, and what the seeds' error documents tell.
const HIDDEN: [&str; 2] = ["hidden-", "canary"];

/// What a client asks: method, target, a header, a body.
type Ask = (
    &'static str,
    &'static str,
    (&'static str, &'static str),
    &'static str,
);

const NO_HEADER: (&str, &str) = ("x-amz-meta-a", "b");
const LISTING: usize = 0;
const ASKED: [Ask; 18] = [
    (
        "GET",
        "/bucket?list-type=2&encoding-type=url&prefix=a&start-after=a%2Fb&delimiter=%2F",
        NO_HEADER,
        "",
    ),
    ("GET", "/bucket?list-type=2", NO_HEADER, ""),
    ("GET", "/bucket?uploads&delimiter=%2F", NO_HEADER, ""),
    ("GET", "/bucket/key?uploadId=u", NO_HEADER, ""),
    ("GET", "/bucket/key", NO_HEADER, ""),
    ("GET", "/bucket/key", ("range", "bytes=2-5"), ""),
    (
        "HEAD",
        "/bucket/key",
        ("x-amz-checksum-mode", "ENABLED"),
        "",
    ),
    ("GET", "/", NO_HEADER, ""),
    ("POST", "/bucket/key?uploads", ("content-length", "0"), ""),
    (
        "POST",
        "/bucket/key?uploadId=u",
        NO_HEADER,
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
    ),
    (
        "PUT",
        "/bucket/key",
        ("x-amz-copy-source", "/bucket/from"),
        "",
    ),
    (
        "POST",
        "/bucket?delete",
        NO_HEADER,
        "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>",
    ),
    ("PUT", "/bucket/key", NO_HEADER, "a body"),
    ("DELETE", "/bucket/key", NO_HEADER, ""),
    (
        "PUT",
        "/bucket/key?uploadId=u&partNumber=1",
        ("x-amz-copy-source", "/bucket/from"),
        "",
    ),
    ("HEAD", "/bucket", NO_HEADER, ""),
    ("GET", "/bucket/key?tagging", NO_HEADER, ""),
    (
        "PUT",
        "/bucket/key?tagging",
        NO_HEADER,
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    ),
];

static REPLY: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static WIRE: LazyLock<Wire> = LazyLock::new(|| {
    let socket = std::env::temp_dir().join(format!("portcullis-fuzz-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&socket);
    let _inside = runtime().enter();
    let listener = UnixListener::bind(&socket).expect("a socket");
    runtime().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(reply(stream));
        }
    });
    let second = Duration::from_secs(1);
    let config = Config {
        name: "hidden-name".to_owned(),
        endpoint: format!("unix:{}", socket.display()),
        region: "us-east-1".to_owned(),
        ca: None,
        path_style: true,
        keys: portcullis::backend::upstream::Keys::Normalized,
        payload: Payload::Auto,
        checksums: true,
        credentials: CredentialsSource::Static {
            access_key_id: "hidden-key".to_owned(),
            secret_access_key: Secret::new("hidden-secret".to_owned()),
            session_token: None,
        },
        timeouts: Timeouts {
            connect: second,
            read: second,
            write: second,
            total: second,
            idle: second,
        },
        max_connections: 4,
        max_connections_per_caller: None,
    };
    let route = Route {
        pattern: BucketPattern::parse("bucket").expect("a pattern"),
        store: "hidden-name".to_owned(),
        mapping: Mapping {
            rename: Some("hidden-bucket".to_owned()),
            key_prefix: "hidden-prefix/".to_owned(),
        },
        shared: false,
    };
    let stores = vec![("hidden-name".to_owned(), Store::Upstream(Box::new(config)))];
    Wire::new(
        Backends::new(stores, vec![route], None).expect("a backend"),
        &[],
    )
});

/// Reads a request whole, answers whatever is to be answered, and hangs up.
async fn reply(mut stream: UnixStream) {
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let length = head.split_once("\ncontent-length: ").and_then(|(_, rest)| {
            rest.lines()
                .next()
                .unwrap_or_default()
                .parse::<usize>()
                .ok()
        });
        (request.len() >= end + 4 + length.unwrap_or(0)).then_some(())
    };
    while whole(&request).is_none() {
        match stream.read_buf(&mut request).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
    let reply = REPLY.lock().expect("no panic goes on").clone();
    let _ = stream.write_all(&reply).await;
}

fuzz_target!(|data: &[u8]| {
    let Some((letter, rest)) = data.split_first() else {
        return;
    };
    let chosen = usize::from(letter.to_ascii_lowercase().wrapping_sub(b'a')) % ASKED.len();
    let raw = letter.is_ascii_uppercase();
    *REPLY.lock().expect("no panic goes on") = match raw {
        true => rest.to_vec(),
        false => [good_head(rest.len()).as_bytes(), rest].concat(),
    };
    let heard = runtime().block_on(WIRE.say(&asked(&ASKED[chosen])));
    let answers = answers(&heard, |_| ASKED[chosen].0 == "HEAD");
    assert!(answers.len() <= 1, "one request, {} answers", answers.len());
    let Some(answer) = answers.first() else {
        return;
    };
    if answer.status >= 300 {
        let shown = String::from_utf8_lossy(&heard);
        assert!(!HIDDEN.iter().any(|name| shown.contains(name)), "{shown}");
    }
    if chosen == LISTING && answer.status == 200 {
        is_what_was_asked_for(answer);
    }
});

fn good_head(length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nLast-Modified: Tue, 24 Nov 2026 10:20:30 GMT\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A client's signed request, as bytes.
fn asked((method, target, (name, value), body): &Ask) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let head = Head::new(method, target, "localhost".to_owned(), headers, peer());
    let head = head.expect("a good head");
    let (head, _) = sign(&head, OutgoingPayload::Unsigned, OffsetDateTime::now_utc());
    let mut bytes = format!("{} {target} HTTP/1.1\r\n", head.method).into_bytes();
    for (name, value) in head.headers() {
        bytes.extend_from_slice(
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat(),
        );
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// Keys and prefixes behind `a/b` that start with `a`, each in order.
fn is_what_was_asked_for(answer: &Answer) {
    let document = String::from_utf8_lossy(&answer.body);
    assert!(answer.whole, "{document}");
    let texts = |from: &str, to: &str| -> Vec<String> {
        let parts = document.split(from).skip(1);
        let encoded = parts.filter_map(|part| part.split_once(to).map(|(text, _)| text));
        encoded
            .map(|text| {
                let text = text.replace('+', " ");
                percent_decode_str(&text)
                    .decode_utf8()
                    .expect("as it was encoded")
                    .into_owned()
            })
            .collect()
    };
    for names in [
        texts("<Key>", "</Key>"),
        texts("<CommonPrefixes><Prefix>", "</Prefix>"),
    ] {
        assert!(names.is_sorted(), "{names:?}");
        let asked = |name: &String| name.starts_with('a') && name.as_str() > "a/b";
        assert!(names.iter().all(asked), "{names:?}");
    }
}
