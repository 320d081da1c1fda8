//! What becomes of a GET's answer.

use super::*;

/// T58: an upstream that misbehaves is an error, in time, and never a clean short answer.
#[tokio::test]
async fn bad_answers_to_a_get() {
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\n{ABOUT}{rest}\r\n");
    let large = "x".repeat(100_000);
    let storm = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1_000);
    let unavailable = ErrorCode::ServiceUnavailable;
    let internal = ErrorCode::InternalError;
    let cases: [(&str, Vec<Step>, ErrorCode); 34] = [
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
            "a part that is not called one",
            vec![
                Head,
                says(&(head("Content-Range: bytes 0-3/9\r\nContent-Length: 4\r\n") + "body")),
            ],
            internal,
        ),
        (
            "created",
            vec![
                Head,
                says(&format!(
                    "HTTP/1.1 201 Created\r\n{ABOUT}Content-Length: 4\r\n\r\nbody"
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
                    "HTTP/1.1 404 No\r\nContent-Length: 51\r\n\r\n<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///x'>]><a>&x;",
                ),
            ],
            internal,
        ),
        (
            "a 404 of what stands in front",
            vec![
                Head,
                says("HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n404 page not found"),
            ],
            internal,
        ),
        (
            "an empty 404",
            vec![
                Head,
                says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            ],
            internal,
        ),
        (
            "a 404 that is cut off",
            vec![
                Head,
                says("HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\n<Error><Code>NoSuchKey"),
            ],
            unavailable,
        ),
        (
            "tags without a number",
            vec![
                Head,
                says(&(head("x-amz-tagging-count: some\r\nContent-Length: 1\r\n") + "x")),
            ],
            internal,
        ),
        (
            "a checksum that is none",
            vec![
                Head,
                says(
                    &(head("x-amz-meta-portcullis-checksum: CRC32:?\r\nContent-Length: 1\r\n")
                        + "x"),
                ),
            ],
            internal,
        ),
        (
            "an empty tag",
            vec![
                Head,
                says("HTTP/1.1 200 OK\r\nETag:\r\nContent-Length: 1\r\n\r\nx"),
            ],
            internal,
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
    let config = Config {
        keys: Keys::Exact,
        ..server.config()
    };
    let upstream = Upstream::new(config, Mappings::default()).unwrap();
    let object = upstream.get_object(Granted::for_test(&call)).await;
    let object = object.unwrap();
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
