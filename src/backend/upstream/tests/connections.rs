//! Which connections are made, kept, limited and trusted.

use super::*;
use crate::fair::Asker;

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
async fn a_chunked_document_leaves_its_connection_clean() {
    let list = "<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>";
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{list}\r\n", list.len());
    for pause in [0, 20] {
        let chunked = [
            Head,
            says(head),
            Wait(pause),
            says(&chunk),
            Wait(pause),
            says("0\r\n\r\n"),
        ];
        let script = [chunked.to_vec(), vec![Head, says(&ok("second")), Wait(200)]].concat();
        let server = Server::start(vec![script, vec![Head, says(&ok("fresh"))]]).await;
        let upstream = server.upstream();
        let call = ListBuckets::default();
        let buckets = upstream.list_buckets(Granted::for_test(&call)).await;
        assert!(buckets.unwrap().is_empty());
        assert_eq!(
            get(&upstream, &read("key")).await.unwrap(),
            b"second",
            "{pause}"
        );
    }
}

/// Ceph 16 sends the end of a chunked body in answer to a HEAD.
#[tokio::test]
async fn a_head_that_has_a_body_spoils_its_connection() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{ABOUT}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
    );
    let ceph = vec![Head, says(&answer), Wait(20), says("0\r\n\r\n"), Wait(200)];
    let fresh = vec![Head, says(&ok("fresh")), Wait(300)];
    let server = Server::start(vec![ceph, fresh]).await;
    let upstream = server.upstream();
    assert!(upstream.health().await.is_ok());
    assert_eq!(get(&upstream, &read("key")).await.unwrap(), b"fresh");
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

/// One caller's streams, stalled or slow, leave connections to others; and whoever waits for one is
/// told in time that there is none.
#[tokio::test]
async fn one_caller_cannot_take_all_connections() {
    let answer = ok(&"z".repeat(1_000_000));
    let server = Server::start(vec![vec![Head, says(&answer), Head, says(&ok("small"))]]).await;
    let mut config = server.config();
    config.max_connections = 8;
    config.timeouts.connect = Duration::from_millis(100);
    let upstream = Upstream::new(config, Mappings::default()).unwrap();
    let call = read("key");
    let by = |number| Granted::for_test(&call).to(Asker::for_test(number));
    // Nobody takes a byte of these.
    let mut stalled = Vec::new();
    for _ in 0..6 {
        stalled.push(upstream.get_object(by(1)).await.unwrap());
    }
    let error = upstream.get_object(by(1)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SlowDown);
    let reason = error.reason().unwrap();
    assert!(reason.contains("6 for each caller"), "{reason}");
    // Others have theirs.
    stalled.push(upstream.get_object(by(2)).await.unwrap());
    stalled.push(upstream.get_object(by(3)).await.unwrap());
    let error = upstream.get_object(by(4)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SlowDown);
    assert_eq!(upstream.counters().in_flight.load(Ordering::Relaxed), 8);
    // One that is busy is there all the same.
    assert!(upstream.health().await.is_ok());
    // A stream that is given up makes room.
    drop(stalled.pop());
    assert!(upstream.get_object(by(4)).await.is_ok());
    drop(stalled);
    assert_eq!(upstream.counters().in_flight.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_callers_share_is_configured() {
    let mut config = Server::start(vec![vec![]]).await.config();
    for (each, sound) in [(0, false), (1, true), (4, true), (5, false)] {
        config.max_connections_per_caller = Some(each);
        let upstream = Upstream::new(config.clone(), Mappings::default());
        assert_eq!(upstream.is_ok(), sound, "{each}");
    }
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

/// What a server of one certificate answers to whoever trusts it.
fn tls_server(names: &[&str]) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = rcgen::CertificateParams::new(names).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let pem = certificate.pem();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut head = [0; 4096];
            // A client that does not trust the certificate ends here.
            if stream.read(&mut head).is_ok() {
                let _ = stream.write_all(ok("body").as_bytes());
                let _ = stream.flush();
            }
        }
    });
    (port, pem)
}

#[tokio::test]
async fn only_the_named_authority_and_name_are_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Server::start(vec![vec![]]).await;
    let (port, pem) = tls_server(&["localhost", "127.0.0.1"]);
    let (other_port, other_pem) = tls_server(&["other.example"]);
    for (name, host, port, pem, trusted) in [
        ("name", "localhost", port, &pem, true),
        ("address", "127.0.0.1", port, &pem, true),
        ("another authority", "localhost", port, &other_pem, false),
        ("another name", "localhost", other_port, &other_pem, false),
        (
            "another address",
            "127.0.0.1",
            other_port,
            &other_pem,
            false,
        ),
    ] {
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, pem).unwrap();
        let mut config = plain.config();
        config.endpoint = format!("https://{host}:{port}");
        config.ca = Some(ca);
        let upstream = Upstream::new(config, Mappings::default()).unwrap();
        let outcome = get(&upstream, &read("key")).await;
        match outcome {
            Ok(body) => assert!(trusted && body == b"body", "{name}"),
            Err(error) => {
                assert!(!trusted, "{name}: {error}");
                assert_eq!(error.code(), ErrorCode::ServiceUnavailable, "{name}");
            }
        }
    }
}

/// Answers every request with its own target, often enough to fill what the length says.
async fn echo(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut buffer = Vec::new();
            loop {
                let head = loop {
                    if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                        break buffer.drain(..end + 4).collect::<Vec<u8>>();
                    }
                    match stream.read_buf(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {}
                    }
                };
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned() + "\n";
                let number: usize = target.trim().rsplit('/').next().unwrap().parse().unwrap();
                // Small and large bodies, some slow ones, some that end too early.
                let body = target.repeat(if number.is_multiple_of(3) { 20_000 } else { 3 });
                let mut answer = ok(&body).into_bytes();
                if number.is_multiple_of(7) {
                    answer.truncate(answer.len() - 5);
                }
                let (first, rest) = answer.split_at(answer.len() / 2);
                let _ = stream.write_all(first).await;
                if number.is_multiple_of(5) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                if stream.write_all(rest).await.is_err() || number.is_multiple_of(7) {
                    return;
                }
            }
        });
    }
}

/// T57: over one pool, with readers that give up at any moment and answers that break off, every
/// body is its own request's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_ever_anothers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(echo(listener));
    let mut config = Server::start(vec![vec![]]).await.config();
    config.endpoint = format!("http://127.0.0.1:{port}");
    config.timeouts = Timeouts::default();
    config.max_connections = 8;
    let upstream = Upstream::new(config, Mappings::default()).unwrap();
    let whole = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let readers = (0..16_u64).map(|reader| {
        let (upstream, whole) = (upstream.clone(), Arc::clone(&whole));
        tokio::spawn(async move {
            for round in 0..100_u64 {
                let number = reader * 1_000 + round;
                let call = read(&number.to_string());
                let reading = get(&upstream, &call);
                let patience = match number % 4 {
                    0 => Duration::from_micros(number % 1_500),
                    _ => Duration::from_secs(20),
                };
                match tokio::time::timeout(patience, reading).await {
                    Ok(Ok(body)) => {
                        let line = format!("/ours/{number}\n");
                        let body = String::from_utf8(body).unwrap();
                        assert_eq!(body.replace(&line, ""), "", "in the answer to {number}");
                        assert!(!number.is_multiple_of(7), "{number} was cut off");
                        whole.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(Err(error)) => assert!(number.is_multiple_of(7), "{number}: {error}"),
                    Err(_) => {}
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    assert!(whole.load(Ordering::Relaxed) > 700);
    assert!(upstream.counters().reuses.load(Ordering::Relaxed) > 200);
    assert_eq!(upstream.counters().in_flight.load(Ordering::Relaxed), 0);
}
