//! What an upload sends, and when it is cut off.

use super::*;

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
