//! Bytes on a connection of someone who has no key: the whole gateway, framing first.
//!
//! Bucket policies grant everyone the objects of `public` and writes into `inbox`, and nothing else.
//! Only that reaches the backend, an upload is whole or has failed, and answers are well-formed. What
//! two servers could read in two ways is refused, and nothing of a body is taken for a request (T47,
//! T48, T59).

#![no_main]

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use portcullis::authz::{AsDecided, Granted};
use portcullis::backend::router::Backends;
use portcullis::backend::{
    Backend, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Tagging, Upload,
    UploadPage, Versioning, Written,
};
use portcullis::s3::call::{
    CompleteMultipartUpload, CopyObject, CopySource, CreateBucket, CreateMultipartUpload,
    DeleteObject, ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject,
    OnUpload, PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use portcullis::s3::{BucketName, ETag, Error, ErrorCode, TagSet};
use portcullis_fuzz::{Answer, Wire, answers, runtime};

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
    // Every body here is a document of ours.
    let answers = answers(&heard, |behind| behind.starts_with(b"HTTP/1.1 "));
    for answer in &answers {
        assert_ne!(answer.status, 500, "{answer:?}");
        let document = answer.body.is_empty() || answer.body.starts_with(b"<?xml");
        assert!(document, "{answer:?}");
    }
    let mut rest = data;
    for (at, answer) in answers.iter().enumerate() {
        match read(rest) {
            Reading::Request(behind) => rest = behind,
            Reading::Chunked => return,
            Reading::Doubtful => {
                let last = at + 1 == answers.len();
                assert!(!reached(answer), "believed: {}", rest.escape_ascii());
                assert!(last, "went on behind: {}", rest.escape_ascii());
            }
            Reading::Nothing => panic!("an answer to nothing: {}", data.escape_ascii()),
        }
    }
});

/// Whether the request came to the backend.
fn reached(answer: &Answer) -> bool {
    answer.status < 300 || answer.status == REACHED.status().as_u16()
}

/// How a reader of RFC 9112 that guesses at nothing reads the next request.
enum Reading<'a> {
    /// One request, with what follows its body.
    Request(&'a [u8]),
    /// One whose end lies behind chunks, which are not followed here.
    Chunked,
    /// Two readers could differ about it, or it is not whole: it is refused, and the connection ends.
    Doubtful,
    Nothing,
}

fn read(data: &[u8]) -> Reading<'_> {
    if data.is_empty() {
        return Reading::Nothing;
    }
    // Line ends may stand between requests.
    let start = data.iter().position(|byte| !b"\r\n".contains(byte));
    let data = start.map_or(&b""[..], |start| &data[start..]);
    let Some(end) = data.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Reading::Doubtful;
    };
    let (head, body) = (&data[..end], &data[end + 4..]);
    let Ok(head) = std::str::from_utf8(head) else {
        // Bytes beyond ASCII may stand in a value, and nothing else is told from this head.
        return Reading::Chunked;
    };
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or_default();
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            "host" => hosts += 1,
            _ if name.is_empty() || name.contains([' ', '\t']) => return Reading::Doubtful,
            _ => {}
        }
    }
    // Pingora percent-encodes what may not stand in a request target, spaces and control characters
    // among them, before anyone sees it: a target of that kind is not told from an encoded one.
    let fields = head.get(first.len()..).unwrap_or_default();
    let ends = fields.replace("\r\n", "");
    if first.contains('\n') || ends.contains(['\r', '\n', '\0']) || hosts > 1 {
        return Reading::Doubtful;
    }
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Reading::Request(body),
        ([length], []) if !length.starts_with('+') => match length.parse::<usize>() {
            Ok(length) => Reading::Request(body.get(length..).unwrap_or_default()),
            Err(_) => Reading::Doubtful,
        },
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") && first.ends_with("/1.1") => {
            Reading::Chunked
        }
        _ => Reading::Doubtful,
    }
}

/// What the backend answers where it can.
const REACHED: ErrorCode = ErrorCode::SlowDown;

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

fn untagged(tags: &TagSet) {
    assert!(
        tags.is_empty(),
        "tags were not granted: this is a security issue"
    );
}

fn never<T>(what: impl std::fmt::Debug) -> T {
    panic!("{what:?} reached the backend: this is a security issue")
}

fn copies(source: &CopySource, to: &BucketName) -> Result<Written, Error> {
    only(&source.bucket, "public");
    only(to, "inbox");
    Err(REACHED.into())
}

#[async_trait]
#[rustfmt::skip]
impl Backend for Spy {
    async fn get_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        only(&call.bucket, "public");
        Err(REACHED.into())
    }

    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        only(&call.bucket, "public");
        Err(REACHED.into())
    }

    async fn put_object(&self, call: Granted<&PutObject>, body: &mut dyn Upload) -> Result<Written, Error> {
        only(&call.bucket, "inbox");
        untagged(&call.tags);
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
    async fn versioning(&self, call: Granted<&OnBucket>) -> Result<Versioning, Error> { never(call) }
    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, Error> { never(call) }
    async fn delete_objects(&self, calls: &[Granted<DeleteObject>]) -> Result<Vec<Result<Deleted, Error>>, Error> { never(calls) }
    async fn copy_object(&self, call: Granted<&CopyObject>) -> Result<Written, Error> { untagged(call.tags.as_ref().expect("the source's were not granted")); copies(&call.source, &call.bucket) }
    async fn get_object_tagging(&self, call: Granted<&OnObject>) -> Result<Tagging, Error> { never(call) }
    async fn put_object_tagging(&self, call: Granted<&OnObject>, _: &TagSet) -> Result<Option<String>, Error> { never(call) }
    async fn put_object_tagging_of(&self, call: Granted<&OnObject>, _: AsDecided<'_>, _: &TagSet) -> Result<Option<String>, Error> { never(call) }
    async fn delete_object_tagging(&self, call: Granted<&OnObject>) -> Result<Option<String>, Error> { never(call) }
    async fn create_multipart_upload(&self, call: Granted<&CreateMultipartUpload>) -> Result<String, Error> { only(&call.bucket, "inbox"); untagged(&call.tags); Ok("u".to_owned()) }
    async fn upload_part(&self, call: Granted<&UploadPart>, _: &mut dyn Upload) -> Result<Written, Error> { only(&call.upload.bucket, "inbox"); Err(REACHED.into()) }
    async fn upload_part_copy(&self, call: Granted<&UploadPartCopy>) -> Result<Written, Error> { copies(&call.source, &call.upload.bucket) }
    async fn complete_multipart_upload(&self, call: Granted<&CompleteMultipartUpload>, _: &[CompletedPart]) -> Result<Written, Error> { only(&call.upload.bucket, "inbox"); Err(REACHED.into()) }
    async fn abort_multipart_upload(&self, call: Granted<&OnUpload>) -> Result<(), Error> { never(call) }
    async fn list_parts(&self, call: Granted<&ListParts>) -> Result<PartPage, Error> { never(call) }
    async fn list_multipart_uploads(&self, call: Granted<&ListMultipartUploads>) -> Result<UploadPage, Error> { never(call) }
    async fn health(&self) -> Result<(), Error> { Ok(()) }
}
