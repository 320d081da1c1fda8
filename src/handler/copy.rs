//! CopyObject and UploadPartCopy: by the store itself where source and destination share one, by
//! streaming the bytes through where they don't.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Answer, Context, headers};
use crate::authz::Granted;
use crate::backend::{Body, Download, Object, Upload, Written};
use crate::s3::call::{CopyObject, UploadPartCopy};
use crate::s3::xml::Writer;
use crate::s3::{Checksum, ChecksumAlgorithm, ContentRange, Error, ErrorCode, Hasher, time};

/// The largest object that one CopyObject copies (AWS's limit): 5 GiB.
const MAX_COPY: u64 = 5 * 1024 * 1024 * 1024;

pub(super) async fn object(
    context: &Context<'_>,
    call: Granted<&CopyObject>,
) -> Result<Answer, Error> {
    let backends = context.backends;
    let written = if backends.same_store(&call.source.bucket, &call.bucket) {
        backends.of(&call.bucket)?.copy_object(call).await?
    } else {
        let source = call.source();
        let object = backends
            .of(&call.source.bucket)?
            .get_object(source.as_ref())
            .await;
        let object = object.map_err(source_condition)?;
        if object.info.size > MAX_COPY {
            return Err(too_large());
        }
        let kept = object.info.checksum.as_ref();
        let kept = kept.map(|stored| stored.checksum.algorithm);
        let destination = call.destination(&object.info.metadata, kept);
        let algorithm = call.checksum.or(kept);
        let mut body = Through::new(object, algorithm);
        backends
            .of(&call.bucket)?
            .put_object(destination.as_ref(), &mut body)
            .await?
    };
    Ok(result("CopyObjectResult", &written))
}

pub(super) async fn part(
    context: &Context<'_>,
    call: Granted<&UploadPartCopy>,
) -> Result<Answer, Error> {
    let backends = context.backends;
    let bucket = &call.upload.bucket;
    let written = if backends.same_store(&call.source.bucket, bucket) {
        backends.of(bucket)?.upload_part_copy(call).await?
    } else {
        let source = call.source();
        let object = backends
            .of(&call.source.bucket)?
            .get_object(source.as_ref())
            .await;
        let object = object.map_err(source_condition)?;
        let whole = object
            .range
            .map_or(object.info.size, |range: ContentRange| range.length());
        let asked = call
            .range
            .map_or(whole, |(first, last)| (last - first).saturating_add(1));
        if whole > MAX_COPY {
            return Err(too_large());
        }
        if asked != whole {
            return Err(Error::with_message(
                ErrorCode::InvalidRange,
                "The specified copy range is not valid for the source object",
            ));
        }
        let destination = call.destination();
        let mut body = Through::new(object, None);
        backends
            .of(bucket)?
            .upload_part(destination.as_ref(), &mut body)
            .await?
    };
    Ok(result("CopyPartResult", &written))
}

/// A condition on the source that does not hold is always 412, never 304.
fn source_condition(error: Error) -> Error {
    match error.code() {
        ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
        _ => error,
    }
}

fn too_large() -> Error {
    let message = "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120";
    Error::with_message(ErrorCode::InvalidRequest, message)
}

fn result(root: &str, written: &Written) -> Answer {
    let mut xml = Writer::new(root);
    xml.text("LastModified", &time::iso8601(written.last_modified));
    xml.text("ETag", &written.etag.quoted());
    if let Some(stored) = &written.checksum {
        xml.text(
            stored.checksum.algorithm.element(),
            &headers::checksum_text(stored),
        );
        if root == "CopyObjectResult" {
            xml.text("ChecksumType", stored.kind.name());
        }
    }
    let mut answer = Answer::xml(xml.finish(root));
    if let Some(version) = &written.version_id {
        answer.set(
            http::header::HeaderName::from_static("x-amz-version-id"),
            version,
        );
    }
    answer
}

/// One backend's download as another's upload. The source's length is promised by its head, and a
/// download that ends early is an error, so the last bytes need no other check.
struct Through {
    length: u64,
    body: Body,
    hasher: Option<Hasher>,
    checksum: Option<Checksum>,
    held: Option<Bytes>,
}

impl Through {
    fn new(object: Object, algorithm: Option<ChecksumAlgorithm>) -> Self {
        let length = object
            .range
            .map_or(object.info.size, |range| range.length());
        let hasher = Hasher::new(algorithm.unwrap_or(ChecksumAlgorithm::Crc64Nvme));
        Self {
            length,
            body: object.body,
            hasher: Some(hasher),
            checksum: None,
            held: None,
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.body {
            Body::Empty => Ok(None),
            Body::Whole(bytes) => Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Body::Stream(stream) => Download::next(stream.as_mut()).await,
        }
    }
}

#[async_trait]
impl Upload for Through {
    fn length(&self) -> u64 {
        self.length
    }

    /// Stays one piece behind the source, so that the last piece goes out only once the source has
    /// ended without an error and the checksum is known.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.read().await? {
                Some(bytes) => {
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&bytes);
                    }
                    if let Some(ready) = self.held.replace(bytes) {
                        return Ok(Some(ready));
                    }
                }
                None => {
                    if let Some(hasher) = self.hasher.take() {
                        self.checksum = Some(hasher.finish());
                    }
                    return Ok(self.held.take());
                }
            }
        }
    }

    fn checksum(&self) -> Option<Checksum> {
        self.checksum.clone()
    }
}
