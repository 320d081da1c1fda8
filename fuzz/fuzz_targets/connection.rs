//! Bytes on a connection of someone who has no key: the whole gateway, framing first.
//!
//! Bucket policies grant everyone the objects of `public` and writes into `inbox`, and nothing else.
//! Only that reaches the backend, an upload is whole or has failed, answers are well-formed, and
//! what lies inside one request's body is never taken for another request (T47, T48, T59).

#![no_main]

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use portcullis::authz::Granted;
use portcullis::backend::router::Backends;
use portcullis::backend::{
    Backend, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Upload, UploadPage,
    Written,
};
use portcullis::s3::call::{
    CompleteMultipartUpload, CopyObject, CopySource, CreateBucket, CreateMultipartUpload,
    DeleteObject, ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use portcullis::s3::{BucketName, ETag, Error, ErrorCode};
use portcullis_fuzz::{Wire, answers, runtime};

static WIRE: LazyLock<Wire> = LazyLock::new(|| {
    let policy = |bucket: &str, action: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:{action}","Resource":"arn:aws:s3:::{bucket}/*"}}]}}"#
        )
    };
    let backends = Backends::single("spy", Arc::new(Spy));
    let policies = [
        ("public", policy("public", "GetObject")),
        ("inbox", policy("inbox", "PutObject")),
    ];
    let policies = policies
        .each_ref()
        .map(|(bucket, text)| (*bucket, text.as_str()));
    Wire::new(backends, &policies)
});

fuzz_target!(|data: &[u8]| {
    let heard = runtime().block_on(WIRE.say(data));
    let answers = answers(&heard);
    assert!(
        answers.len() <= most_answers(data),
        "a request came out of a body: {}",
        data.escape_ascii()
    );
    for answer in &answers {
        assert_ne!(answer.status, 500, "{answer:?}");
        let document = answer.body.is_empty() || answer.body.starts_with(b"<?xml");
        assert!(document, "{answer:?}");
    }
});

/// How many requests a reader that believes the first `Content-Length` finds at the most. Behind a
/// `Transfer-Encoding` it gives up counting.
fn most_answers(data: &[u8]) -> usize {
    let mut rest = data;
    let mut count = 0;
    while !rest.is_empty() {
        count += 1;
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else { break };
        let (head, behind) = rest.split_at(end);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        if head.contains("transfer-encoding") {
            return usize::MAX;
        }
        let length = head.split_once("\ncontent-length:").map(|(_, rest)| {
            let line = rest.lines().next().unwrap_or_default();
            line.trim().parse::<usize>().unwrap_or(usize::MAX)
        });
        rest = behind[4..].get(length.unwrap_or(0)..).unwrap_or_default();
    }
    count
}

/// Takes what the policies grant, and tells of anything else.
#[derive(Debug)]
struct Spy;

fn only(bucket: &BucketName, granted: &str) {
    assert_eq!(
        bucket.as_str(),
        granted,
        "not granted: this is a security issue"
    );
}

fn never<T>(what: impl std::fmt::Debug) -> T {
    panic!("{what:?} reached the backend: this is a security issue")
}

fn copies(source: &CopySource, to: &BucketName) -> Result<Written, Error> {
    only(&source.bucket, "public");
    only(to, "inbox");
    Err(ErrorCode::NoSuchKey.into())
}

#[async_trait]
#[rustfmt::skip]
impl Backend for Spy {
    async fn get_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        only(&call.bucket, "public");
        Err(ErrorCode::NoSuchKey.into())
    }

    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        only(&call.bucket, "public");
        Err(ErrorCode::NoSuchKey.into())
    }

    async fn put_object(&self, call: Granted<&PutObject>, body: &mut dyn Upload) -> Result<Written, Error> {
        only(&call.bucket, "inbox");
        let mut left = body.length();
        while let Some(bytes) = body.next().await? {
            assert!(!bytes.is_empty());
            left = left.checked_sub(bytes.len() as u64).expect("no more than was promised");
        }
        assert_eq!(left, 0, "an upload ended early and was believed");
        assert!(body.checksum().is_some());
        Ok(Written {
            etag: ETag("e".to_owned()),
            checksum: None,
            last_modified: portcullis_fuzz::now(),
            size: Some(body.length()),
            version_id: None,
        })
    }

    async fn list_buckets(&self, call: Granted<&ListBuckets>) -> Result<Vec<BucketInfo>, Error> { never(call) }
    async fn create_bucket(&self, call: Granted<&CreateBucket>) -> Result<(), Error> { never(call) }
    async fn delete_bucket(&self, call: Granted<&OnBucket>) -> Result<(), Error> { never(call) }
    async fn head_bucket(&self, call: Granted<&OnBucket>) -> Result<BucketInfo, Error> { never(call) }
    async fn list_objects(&self, call: Granted<&ListObjects>) -> Result<ObjectPage, Error> { never(call) }
    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, Error> { never(call) }
    async fn delete_objects(&self, calls: &[Granted<DeleteObject>]) -> Result<Vec<Result<Deleted, Error>>, Error> { never(calls) }
    async fn copy_object(&self, call: Granted<&CopyObject>) -> Result<Written, Error> { copies(&call.source, &call.bucket) }
    async fn create_multipart_upload(&self, call: Granted<&CreateMultipartUpload>) -> Result<String, Error> { only(&call.bucket, "inbox"); Ok("u".to_owned()) }
    async fn upload_part(&self, call: Granted<&UploadPart>, _: &mut dyn Upload) -> Result<Written, Error> { only(&call.upload.bucket, "inbox"); Err(ErrorCode::NoSuchUpload.into()) }
    async fn upload_part_copy(&self, call: Granted<&UploadPartCopy>) -> Result<Written, Error> { copies(&call.source, &call.upload.bucket) }
    async fn complete_multipart_upload(&self, call: Granted<&CompleteMultipartUpload>, _: &[CompletedPart]) -> Result<Written, Error> { only(&call.upload.bucket, "inbox"); Err(ErrorCode::NoSuchUpload.into()) }
    async fn abort_multipart_upload(&self, call: Granted<&OnUpload>) -> Result<(), Error> { never(call) }
    async fn list_parts(&self, call: Granted<&ListParts>) -> Result<PartPage, Error> { never(call) }
    async fn list_multipart_uploads(&self, call: Granted<&ListMultipartUploads>) -> Result<UploadPage, Error> { never(call) }
    async fn health(&self) -> Result<(), Error> { Ok(()) }
}
