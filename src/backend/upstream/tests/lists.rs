//! A list that cannot be told whole is an error: whoever mirrors it would delete the rest.

use super::*;

/// What every list is asked for by.
enum Kind {
    Objects,
    Parts,
    Uploads,
    Buckets,
}
use Kind::{Buckets, Objects, Parts, Uploads};

fn list_objects() -> ListObjects {
    ListObjects {
        bucket: bucket(),
        prefix: String::new(),
        delimiter: None,
        max_keys: 1000,
        after: None,
        start: None,
        continuation_token: None,
        url_encoded: false,
        fetch_owner: false,
    }
}

/// What the upstream's answer becomes: how many entries, or an error.
async fn asked(kind: &Kind, answer: &str) -> Result<usize, s3::Error> {
    let answer = ok(answer);
    let server = Server::start(vec![vec![Head, says(&answer), Wait(50)]]).await;
    let upstream = server.upstream();
    match kind {
        Objects => {
            let call = list_objects();
            let page = upstream.list_objects(Granted::for_test(&call)).await?;
            Ok(page.objects.len() + page.common_prefixes.len())
        }
        Parts => {
            let call = ListParts {
                upload: OnUpload {
                    bucket: bucket(),
                    key: ObjectKey::parse("key").unwrap(),
                    upload_id: "id".to_owned(),
                },
                max_parts: 1000,
                after: 0,
                url_encoded: false,
            };
            let page = upstream.list_parts(Granted::for_test(&call)).await?;
            Ok(page.parts.len())
        }
        Uploads => {
            let call = ListMultipartUploads {
                bucket: bucket(),
                prefix: String::new(),
                delimiter: None,
                max_uploads: 1000,
                key_marker: None,
                upload_id_marker: None,
                url_encoded: false,
            };
            let call = Granted::for_test(&call);
            let page = upstream.list_multipart_uploads(call).await?;
            Ok(page.uploads.len() + page.common_prefixes.len())
        }
        Buckets => {
            let call = ListBuckets::default();
            let buckets = upstream.list_buckets(Granted::for_test(&call)).await?;
            Ok(buckets.len())
        }
    }
}

const AT: &str = "2026-11-24T10:20:30.000Z";

/// A sound document of each kind, of two entries, which one change spoils.
fn sound(kind: &Kind) -> String {
    let both = |entry: &dyn Fn(&str) -> String| entry("1") + &entry("2");
    match kind {
        Objects => {
            let entry = |n: &str| {
                format!(
                    "<Contents><Key>k{n}</Key><LastModified>{AT}</LastModified><ETag>e</ETag>\
                     <Size>3</Size></Contents>"
                )
            };
            format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>",
                both(&entry)
            )
        }
        Parts => {
            let entry = |n: &str| {
                format!(
                    "<Part><PartNumber>{n}</PartNumber><LastModified>{AT}</LastModified>\
                     <ETag>e</ETag><Size>3</Size></Part>"
                )
            };
            format!(
                "<ListPartsResult><IsTruncated>false</IsTruncated>{}</ListPartsResult>",
                both(&entry)
            )
        }
        Uploads => {
            let entry = |n: &str| {
                format!(
                    "<Upload><Key>k{n}</Key><UploadId>u</UploadId><Initiated>{AT}</Initiated>\
                     </Upload>"
                )
            };
            format!(
                "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{}\
                 </ListMultipartUploadsResult>",
                both(&entry)
            )
        }
        Buckets => {
            let entry = |n: &str| {
                format!("<Bucket><Name>bucket{n}</Name><CreationDate>{AT}</CreationDate></Bucket>")
            };
            format!(
                "<ListAllMyBucketsResult><Buckets>{}</Buckets></ListAllMyBucketsResult>",
                both(&entry)
            )
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_left_out() {
    let truncated = ("<IsTruncated>false", "<IsTruncated>");
    let flags = [
        ("<IsTruncated>false</IsTruncated>", ""),
        truncated,
        ("<IsTruncated>false", "<IsTruncated>maybe"),
    ];
    let objects = [
        ("<Key>k2</Key>", ""),
        ("<Key>k2</Key>", "<Key/>"),
        ("<Key>k2</Key>", "<Key>k&nbsp;2</Key>"),
        ("<Size>3</Size>", ""),
        ("<Size>3</Size>", "<Size>three</Size>"),
        ("<Size>3</Size>", "<Size>-3</Size>"),
        ("<ETag>e</ETag>", ""),
        ("<ETag>e</ETag>", "<ETag/>"),
        (AT, ""),
        (AT, "yesterday"),
        ("</ListBucketResult>", ""),
        ("ListBucketResult>", "Other>"),
        ("ListBucketResult>", "Error>"),
        (
            "<IsTruncated>false</IsTruncated>",
            "<IsTruncated>false</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
        ),
        // What is cut off begins behind the last name.
        ("<IsTruncated>false", "<CommonPrefixes/><IsTruncated>false"),
    ];
    let parts = [
        ("<PartNumber>2</PartNumber>", ""),
        ("<PartNumber>2<", "<PartNumber>two<"),
        ("<PartNumber>2<", "<PartNumber>0<"),
        ("<PartNumber>2<", "<PartNumber>10001<"),
        ("<Size>3</Size>", ""),
        ("<Size>3</Size>", "<Size/>"),
        ("<ETag>e</ETag>", ""),
        (AT, "never"),
        ("</ListPartsResult>", ""),
        ("ListPartsResult>", "ListBucketResult>"),
    ];
    let uploads = [
        ("<Key>k2</Key>", ""),
        ("<UploadId>u</UploadId>", ""),
        ("<UploadId>u</UploadId>", "<UploadId/>"),
        (AT, "never"),
        ("</ListMultipartUploadsResult>", ""),
        ("ListMultipartUploadsResult>", "ListPartsResult>"),
    ];
    let buckets = [
        ("<Name>bucket2</Name>", ""),
        ("<Name>bucket2</Name>", "<Name/>"),
        (AT, "never"),
        ("Buckets>", "Other>"),
        ("</ListAllMyBucketsResult>", ""),
        ("ListAllMyBucketsResult>", "ListBucketResult>"),
    ];
    for (kind, changes) in [
        (Objects, [&flags[..], &objects].concat()),
        (Parts, [&flags[..], &parts].concat()),
        (Uploads, [&flags[..], &uploads].concat()),
        (Buckets, buckets.to_vec()),
    ] {
        let sound = sound(&kind);
        assert_eq!(asked(&kind, &sound).await.unwrap(), 2, "{sound}");
        for (from, to) in changes {
            let spoilt = sound.replace(from, to);
            assert_ne!(spoilt, sound, "{from}");
            let Err(error) = asked(&kind, &spoilt).await else {
                panic!("{spoilt}");
            };
            assert!(error.code().status().is_server_error(), "{spoilt}: {error}");
            assert!(error.reason().is_some(), "{spoilt}");
        }
    }
}

/// The next page begins behind the last name, so what is out of order would be lost.
#[tokio::test]
async fn pages_that_go_on_are_in_order() {
    let page = sound(&Objects).replace("false", "true");
    assert_eq!(asked(&Objects, &page).await.unwrap(), 2);
    let page = page.replace("k1", "k3");
    let error = asked(&Objects, &page).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InternalError);
    let page = sound(&Objects).replace("k1", "k3");
    assert_eq!(asked(&Objects, &page).await.unwrap(), 2);
    for kind in [Parts, Uploads] {
        let page = sound(&kind).replace("false", "true");
        assert_eq!(asked(&kind, &page).await.unwrap(), 2);
    }
}

/// A deletion, an upload, an abortion that answers 200 and an error, or what nobody can read.
#[tokio::test]
async fn a_success_that_says_that_it_was_none() {
    let refused = "<Error><Code>SlowDown</Code></Error>";
    let cut = "<Error><Code>SlowDown</Co";
    for (document, expected) in [
        (refused, ErrorCode::SlowDown),
        (cut, ErrorCode::InternalError),
        ("upstream is away", ErrorCode::InternalError),
    ] {
        let script = vec![
            Head,
            says(&ok(document)),
            Head,
            says(&ok(document)),
            Head,
            says(&ok(document)),
        ];
        let server = Server::start(vec![script]).await;
        let upstream = server.upstream();
        let call = DeleteObject {
            bucket: bucket(),
            key: ObjectKey::parse("key").unwrap(),
            version_id: None,
            if_match: None,
        };
        let deleted = upstream.delete_object(Granted::for_test(&call)).await;
        assert_eq!(deleted.unwrap_err().code(), expected, "{document}");
        let call = OnUpload {
            bucket: bucket(),
            key: ObjectKey::parse("key").unwrap(),
            upload_id: "id".to_owned(),
        };
        let aborted = upstream.abort_multipart_upload(Granted::for_test(&call));
        assert_eq!(aborted.await.unwrap_err().code(), expected, "{document}");
        let call = put("key");
        let mut body = Pieces::new(&[]);
        let written = upstream.put_object(Granted::for_test(&call), &mut body);
        assert_eq!(written.await.unwrap_err().code(), expected, "{document}");
    }
}

/// A 404 that is not S3's deletes nothing and says of no object that it is not there.
#[tokio::test]
async fn what_stands_in_front_does_not_speak_for_the_store() {
    let away = "HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n404 page not found";
    let server = Server::start(vec![vec![Head, says(away), Wait(50)]]).await;
    let call = DeleteObject {
        bucket: bucket(),
        key: ObjectKey::parse("key").unwrap(),
        version_id: None,
        if_match: None,
    };
    let upstream = server.upstream();
    let deleted = upstream.delete_object(Granted::for_test(&call)).await;
    assert_eq!(deleted.unwrap_err().code(), ErrorCode::InternalError);
    let call = list_objects();
    let page = upstream.list_objects(Granted::for_test(&call)).await;
    assert_eq!(page.unwrap_err().code(), ErrorCode::InternalError);
}

/// An element of a deletion's answer that names no key could be any of them.
#[tokio::test]
async fn deletions_name_their_keys() {
    for document in [
        "<DeleteResult><Deleted><Key/></Deleted></DeleteResult>",
        "<DeleteResult><Deleted></Deleted></DeleteResult>",
        "<DeleteResult><Error><Code>InternalError</Code></Error></DeleteResult>",
        "<DeleteResult><Deleted><Key>key</Key>",
        "<Error><Code>InternalError</Code></Error>",
        "<Other/>",
    ] {
        let server = Server::start(vec![vec![Request, says(&ok(document)), Wait(50)]]).await;
        let call = Granted::for_test(DeleteObject {
            bucket: bucket(),
            key: ObjectKey::parse("key").unwrap(),
            version_id: None,
            if_match: None,
        });
        let outcome = server.upstream().delete_objects(&[call]).await;
        let Err(error) = outcome else {
            panic!("{document}");
        };
        assert!(error.code().status().is_server_error(), "{document}");
    }
}
