//! Tags: what is asked, what is believed, and what is mended.

use super::*;

fn on(version_id: Option<&str>) -> OnObject {
    OnObject {
        bucket: bucket(),
        key: ObjectKey::parse("key").unwrap(),
        version_id: version_id.map(str::to_owned),
    }
}

fn tags(query: &str) -> TagSet {
    TagSet::from_query(query).unwrap()
}

fn document(query: &str) -> String {
    s3::xml::tagging(&tags(query))
}

const DONE: &str = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn what_tagging_asks() {
    let versioned =
        "HTTP/1.1 200 OK\r\nx-amz-version-id: v\r\nx-amz-id-2: canary\r\nContent-Length: 0\r\n\r\n";
    let gone = "HTTP/1.1 204 No Content\r\n\r\n";
    let script = vec![
        Head,
        says(&ok(&document("a=1&b=%C3%A9"))),
        Request,
        says(versioned),
        Head,
        says(gone),
        Head,
        says(gone),
        Wait(100),
    ];
    let server = Server::start(vec![script]).await;
    let upstream = server.upstream();
    let (plain, version) = (on(None), on(Some("v/1")));
    let found = upstream.get_object_tagging(Granted::for_test(&version));
    assert_eq!(found.await.unwrap().tags, tags("a=1&b=%C3%A9"));
    let call = Granted::for_test(&plain);
    let put = upstream.put_object_tagging(call, &tags("c=3")).await;
    assert_eq!(put.unwrap().as_deref(), Some("v"));
    // No tags at all are said in the way that every store knows.
    let none = upstream.put_object_tagging(call, &TagSet::default()).await;
    assert_eq!(none.unwrap(), None);
    assert_eq!(upstream.delete_object_tagging(call).await.unwrap(), None);
    let heard = server.heard().concat();
    for line in [
        "GET /ours/key?tagging=&versionId=v%2F1 HTTP/1.1\r\n",
        "PUT /ours/key?tagging= HTTP/1.1\r\n",
        "DELETE /ours/key?tagging= HTTP/1.1\r\n",
    ] {
        assert!(heard.contains(line), "{line} in {heard}");
    }
    assert_eq!(heard.matches("DELETE ").count(), 2);
    assert!(heard.to_ascii_lowercase().contains("content-md5: "));
    assert!(heard.contains(&document("c=3")));
}

#[tokio::test]
async fn what_a_store_says_of_tags_is_checked() {
    let eleven: String = (0..11)
        .map(|n| format!("<Tag><Key>{n}</Key><Value/></Tag>"))
        .collect();
    let set = |tags: &str| ok(&format!("<Tagging><TagSet>{tags}</TagSet></Tagging>"));
    for (answer, expected) in [
        (set(&eleven), ErrorCode::InternalError),
        (set("<Tag><Key>k</Key></Tag>"), ErrorCode::InternalError),
        (
            set("<Tag><Key>k\u{1f980}</Key><Value/></Tag>"),
            ErrorCode::InternalError,
        ),
        (ok("<Tagging/>"), ErrorCode::InternalError),
        (ok("<Other><TagSet/></Other>"), ErrorCode::InternalError),
        (ok(""), ErrorCode::InternalError),
        (error("404 Not Found", "NoSuchKey"), ErrorCode::NoSuchKey),
        (
            error("400 Bad Request", "InvalidTag"),
            ErrorCode::InvalidTag,
        ),
        (
            error("501 Not Implemented", "NotImplemented"),
            ErrorCode::NotImplemented,
        ),
        (
            error("403 Forbidden", "AccessDenied"),
            ErrorCode::InternalError,
        ),
    ] {
        let server = Server::start(vec![vec![Head, says(&answer), Wait(100)]]).await;
        let call = on(None);
        let found = server
            .upstream()
            .get_object_tagging(Granted::for_test(&call))
            .await;
        let error = found.unwrap_err();
        assert_eq!(error.code(), expected, "{answer}");
        assert!(!error.message().contains("canary"));
    }
}

#[tokio::test]
async fn uploads_carry_their_tags_and_reads_count_them() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{ABOUT}x-amz-tagging-count: 2\r\nContent-Length: 4\r\n\r\nbody"
    );
    let script = vec![Request, says(DONE), Head, says(&answer), Wait(100)];
    let server = Server::start(vec![script]).await;
    let upstream = server.upstream();
    let mut call = put("key");
    call.tags = tags("a=1&b=x%20%2B");
    let mut body = Pieces::new(&[b"body"]);
    let written = upstream.put_object(Granted::for_test(&call), &mut body);
    written.await.unwrap();
    let call = read("key");
    let found = upstream.get_object(Granted::for_test(&call)).await.unwrap();
    assert_eq!(found.info.tag_count, 2);
    let heard = server.heard().concat().to_ascii_lowercase();
    assert!(
        heard.contains("x-amz-tagging: a=1&b=x%20%2b\r\n"),
        "{heard}"
    );
}

fn copy(tags: Option<TagSet>) -> CopyObject {
    CopyObject {
        source: s3::call::CopySource {
            bucket: bucket(),
            key: ObjectKey::parse("from").unwrap(),
            version_id: None,
            conditions: ReadConditions::default(),
        },
        bucket: bucket(),
        key: ObjectKey::parse("key").unwrap(),
        metadata: None,
        redirect: None,
        tags,
        conditions: WriteConditions::default(),
        checksum: None,
    }
}

/// A copy's tags are looked at where more was asked for than to copy everything, and set where the
/// store has not listened; unless another has written in between.
#[tokio::test]
async fn a_directive_that_is_overlooked_is_made_up_for() {
    let copied = ok(
        "<CopyObjectResult><ETag>e</ETag><LastModified>2026-11-24T10:20:30Z</LastModified></CopyObjectResult>",
    );
    let (right, wrong) = (ok(&document("a=1")), ok(&document("old=1")));
    let there = format!("HTTP/1.1 200 OK\r\n{ABOUT}Content-Length: 4\r\n\r\n");
    let other = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n";
    for (answers, puts) in [
        (vec![copied.as_str(), &right], 0),
        (vec![&copied, &wrong, &there, DONE], 1),
        (vec![&copied, &ok(""), &there, DONE], 1),
        (vec![&copied, &wrong, other], 0),
    ] {
        let asked = |answer: &str| match answer {
            DONE => [Request, says(answer)],
            _ => [Head, says(answer)],
        };
        let mut script: Vec<Step> = answers.iter().flat_map(|a| asked(a)).collect();
        script.push(Wait(100));
        let server = Server::start(vec![script]).await;
        let call = copy(Some(tags("a=1")));
        let upstream = server.upstream();
        upstream
            .copy_object(Granted::for_test(&call))
            .await
            .unwrap();
        let heard = server.heard().concat();
        assert_eq!(heard.matches("PUT /ours/key?tagging=").count(), puts);
        assert!(
            heard.contains("replace") || heard.contains("REPLACE"),
            "{heard}"
        );
    }
    let server = Server::start(vec![vec![Head, says(&copied), Wait(100)]]).await;
    let call = copy(None);
    let upstream = server.upstream();
    upstream
        .copy_object(Granted::for_test(&call))
        .await
        .unwrap();
    let heard = server.heard().concat();
    assert_eq!(heard.matches(" HTTP/1.1\r\n").count(), 1, "{heard}");
    assert!(!heard.contains("tagging"));
}

/// S3 has no conditional tagging: what is decided by an object's tags names its version, or is refused.
#[tokio::test]
async fn t40_tags_of_another_object_stay() {
    let head = |etag: &str, version: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\n{version}Last-Modified: Tue, 24 Nov 2026 10:20:30 GMT\r\nContent-Length: 3\r\n\r\n"
        )
    };
    let versioned = "x-amz-version-id: v1\r\n";
    for (etag, version, query, expected) in [
        (
            "e",
            versioned,
            "a=1",
            Ok("PUT /ours/key?tagging=&versionId=v1 "),
        ),
        (
            "e",
            versioned,
            "",
            Ok("DELETE /ours/key?tagging=&versionId=v1 "),
        ),
        ("f", versioned, "a=1", Err(ErrorCode::ServiceUnavailable)),
        ("e", "", "a=1", Err(ErrorCode::NotImplemented)),
        (
            "e",
            "x-amz-version-id: null\r\n",
            "",
            Err(ErrorCode::NotImplemented),
        ),
    ] {
        let script = vec![
            Head,
            says(&head(etag, version)),
            Head,
            says(&ok(&document("was=1"))),
            Head,
            says(DONE),
            UntilEnd,
        ];
        let server = Server::start(vec![script]).await;
        let call = on(None);
        let etag = s3::ETag("e".to_owned());
        let (upstream, tags) = (server.upstream(), tags(query));
        let were = self::tags("was=1");
        let decided = AsDecided {
            etag: &etag,
            tags: &were,
        };
        let changed = upstream.put_object_tagging_of(Granted::for_test(&call), decided, &tags);
        let changed = changed.await.map(drop).map_err(|error| error.code());
        let heard = server.heard().concat();
        match expected {
            Ok(line) => assert!(changed.is_ok() && heard.contains(line), "{heard}"),
            Err(code) => {
                assert_eq!(changed, Err(code));
                assert!(!heard.contains("tagging"), "{heard}");
            }
        }
    }
}
