//! CopyObject and UploadPartCopy: by the store itself where source and destination share one, by
//! streaming the bytes through where they don't.

use async_trait::async_trait;
use bytes::Bytes;

use super::facts::tags;
use super::{Answer, Context, headers};
use crate::authz::{Granted, Permit, Wanted};
use crate::backend::{Body, Download, Object, Upload, Written};
use crate::s3::call::{CopyObject, CopySource, ReadObject, UploadPartCopy};
use crate::s3::xml::Writer;
use crate::s3::{
    Checksum, ChecksumAlgorithm, ContentRange, ETag, Error, ErrorCode, Hasher, ObjectInfo, TagSet,
    time,
};

/// The largest object that one CopyObject copies (AWS's limit): 5 GiB.
const MAX_COPY: u64 = 5 * 1024 * 1024 * 1024;

pub(super) async fn object(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&CopyObject>,
) -> Result<Answer, Error> {
    let backends = context.backends;
    let bound = match decided_for(permit, &call.source) {
        None => None,
        Some(None) => return Err(ErrorCode::NoSuchKey.into()),
        Some(Some(etag)) => Some(Granted::<CopyObject>::only(call, etag)),
    };
    let call = bound.as_ref().map_or(call, Granted::as_ref);
    let untagged = without_tags(context, permit, call).await?;
    let call = untagged.as_ref().map_or(call, Granted::as_ref);
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
        let tags = match &call.tags {
            Some(tags) => tags.clone(),
            None => tags_of(context, &source, &object.info).await?,
        };
        let destination = call.destination(&object.info.metadata, tags, kept);
        let algorithm = call.checksum.or(kept);
        let mut body = Through::new(object, algorithm);
        backends
            .of(&call.bucket)?
            .put_object(destination.as_ref(), &mut body)
            .await?
    };
    Ok(result("CopyObjectResult", &written))
}

/// A copy takes the source's tags along for one who may read and write them. For anyone else it is a
/// copy without, and only of what has none; `None` is the copy that was asked for.
async fn without_tags(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&CopyObject>,
) -> Result<Option<Granted<CopyObject>>, Error> {
    if call.tags.is_some() || may_copy_tags(context, permit).await? {
        return Ok(None);
    }
    let source = call.source();
    let backend = context.backends.of(&call.source.bucket)?;
    let object = backend.head_object(source.as_ref()).await;
    if object.map_err(source_condition)?.info.tag_count > 0 {
        return Err(Error::new(ErrorCode::AccessDenied)
            .because("the source has tags, and nothing allows to copy them"));
    }
    // Said aloud, so that tags which come to the source in between stay there.
    Ok(Some(Granted::without_tags(call)))
}

/// Whether the caller may take the source's tags along. A policy may have tags decide that too.
async fn may_copy_tags(context: &Context<'_>, permit: &Permit) -> Result<bool, Error> {
    let mut facts = permit.facts().clone();
    let (policies, now) = (context.policies, context.now);
    let may = |facts: &_| {
        context
            .authorizer
            .may_copy_tags(permit, facts, policies, now)
    };
    match may(&facts) {
        Ok(may) => Ok(may),
        Err(Wanted::ExistingTags(source)) => {
            let (tags, etag) = tags(context, source.as_ref()).await?;
            facts.tags(&source, tags, etag);
            Ok(may(&facts).unwrap_or(false))
        }
        Err(Wanted::Document) => Ok(false),
    }
}

/// The tags of the object that is being read from another backend.
async fn tags_of(
    context: &Context<'_>,
    source: &Granted<ReadObject>,
    info: &ObjectInfo,
) -> Result<TagSet, Error> {
    if info.tag_count == 0 {
        return Ok(TagSet::default());
    }
    let backend = context.backends.of(&source.bucket)?;
    let call = source.tagging(info.version_id.as_deref());
    let tagging = backend.get_object_tagging(call.as_ref()).await?;
    // They are the tags of the bytes only if the key still holds the same object.
    let still = source.still(&info.etag);
    match backend.head_object(still.as_ref()).await {
        Ok(now) if now.info.last_modified == info.last_modified => Ok(tagging.tags),
        _ => Err(Error::new(ErrorCode::ConditionalRequestConflict)
            .because("the source changed while it was copied")),
    }
}

/// What a copy may read, where tags of its source decided.
fn decided_for<'p>(permit: &'p Permit, source: &CopySource) -> Option<Option<&'p ETag>> {
    let version_id = source.version_id.as_deref();
    permit
        .facts()
        .decided_for(&source.bucket, &source.key, version_id)
}

pub(super) async fn part(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&UploadPartCopy>,
) -> Result<Answer, Error> {
    let bound = match decided_for(permit, &call.source) {
        None => None,
        Some(None) => return Err(ErrorCode::NoSuchKey.into()),
        Some(Some(etag)) => Some(Granted::<UploadPartCopy>::only(call, etag)),
    };
    let call = bound.as_ref().map_or(call, Granted::as_ref);
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
