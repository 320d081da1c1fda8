//! What is asked and understood in XML.

use super::*;

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
            redirect: None,
            tags: None,
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

/// Credentials that may not list buckets still show the ones that routes name.
#[tokio::test]
async fn buckets_are_looked_for_where_they_cannot_be_listed() {
    let denied = error("403 Forbidden", "AccessDenied");
    let there = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let script = vec![Head, says(&denied), Head, says(there), Head, says(missing)];
    let server = Server::start(vec![script.clone()]).await;
    let route = |bucket: &str| (BucketPattern::parse(bucket).unwrap(), Mapping::default());
    let call = ListBuckets::default();
    let mappings = Mappings::new(vec![route("ours"), route("zzz")]).unwrap();
    let upstream = Upstream::new(server.config(), mappings).unwrap();
    let buckets = upstream.list_buckets(Granted::for_test(&call)).await;
    let names: Vec<_> = buckets.unwrap().into_iter().map(|b| b.name).collect();
    assert_eq!(names, [bucket()]);

    // Where others could be there, a list without them would be a lie.
    let server = Server::start(vec![script]).await;
    let mappings = Mappings::new(vec![route("ours"), route("z-*")]).unwrap();
    let upstream = Upstream::new(server.config(), mappings).unwrap();
    let buckets = upstream.list_buckets(Granted::for_test(&call)).await;
    assert_eq!(buckets.unwrap_err().code(), ErrorCode::InternalError);
}
