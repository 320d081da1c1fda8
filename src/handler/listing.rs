//! Listings of objects and of multipart uploads.

use std::borrow::Cow;

use super::bucket::owner;
use super::document::LongDocument;
use super::{Answer, Context};
use crate::authz::Granted;
use crate::backend::{ListedObject, ObjectPage, Versioning};
use crate::s3::call::{ListMultipartUploads, ListObjects};
use crate::s3::xml::{Writer, is_character, url_encode};
use crate::s3::{Error, ErrorCode, ObjectKey, continuation_token, time};

/// A name in a listing: as it is, or percent-encoded when the client asked for that.
///
/// # Errors
/// `InvalidRequest` for one that has a character which XML has not: told in other words, it would be
/// another's name, and whoever mirrors what is listed goes by it.
pub(super) fn name(text: &str, url_encoded: bool) -> Result<Cow<'_, str>, Error> {
    if url_encoded {
        return Ok(Cow::Owned(url_encode(text)));
    }
    if text.chars().all(is_character) {
        return Ok(Cow::Borrowed(text));
    }
    let message =
        "A name on this page has a character that XML has not: ask with encoding-type=url.";
    Err(Error::with_message(ErrorCode::InvalidRequest, message))
}

/// A key that an answer tells and that cannot be asked for in another form.
///
/// # Errors
/// As [`name`].
pub(super) fn told(key: &ObjectKey) -> Result<&str, Error> {
    let message = "The key has a character that XML has not, so that the answer could not name it.";
    match key.as_str().chars().all(is_character) {
        true => Ok(key.as_str()),
        false => Err(Error::with_message(ErrorCode::InvalidRequest, message)),
    }
}

/// What a page of objects begins with.
fn begin(
    context: &Context<'_>,
    call: Granted<&ListObjects>,
    root: &'static str,
) -> Result<LongDocument, Error> {
    let mut xml = LongDocument::new(context, call.asker(), root);
    xml.text("Name", call.bucket.as_str());
    xml.text("Prefix", &name(&call.prefix, call.url_encoded)?);
    Ok(xml)
}

pub(super) async fn objects(
    context: &Context<'_>,
    call: Granted<&ListObjects>,
) -> Result<Answer, Error> {
    let page = context
        .backends
        .of(&call.bucket)?
        .list_objects(call)
        .await?;
    let mut xml = begin(context, call, "ListBucketResult")?;
    xml.text(
        "Marker",
        &name(call.start.as_deref().unwrap_or_default(), call.url_encoded)?,
    );
    let next = page.next.as_deref();
    // S3 gives NextMarker only with a delimiter; without one the last key is it.
    if let (Some(next), true) = (next, call.delimiter.is_some()) {
        xml.text("NextMarker", &name(next, call.url_encoded)?);
    }
    common(&mut xml, &call, next.is_some())?;
    entries(&mut xml, context, &call, page).await?;
    Ok(xml.finish())
}

pub(super) async fn objects_v2(
    context: &Context<'_>,
    call: Granted<&ListObjects>,
) -> Result<Answer, Error> {
    let page = context
        .backends
        .of(&call.bucket)?
        .list_objects(call)
        .await?;
    let mut xml = begin(context, call, "ListBucketResult")?;
    xml.maybe("ContinuationToken", call.continuation_token.as_deref());
    if let Some(start) = &call.start {
        xml.text("StartAfter", &name(start, call.url_encoded)?);
    }
    if let Some(next) = &page.next {
        xml.text("NextContinuationToken", &continuation_token(next));
    }
    let count = page
        .objects
        .len()
        .saturating_add(page.common_prefixes.len());
    xml.number("KeyCount", count as u64);
    common(&mut xml, &call, page.next.is_some())?;
    entries(&mut xml, context, &call, page).await?;
    Ok(xml.finish())
}

fn common(xml: &mut Writer, call: &ListObjects, truncated: bool) -> Result<(), Error> {
    xml.number("MaxKeys", call.max_keys);
    if let Some(delimiter) = &call.delimiter {
        xml.text("Delimiter", &name(delimiter, call.url_encoded)?);
    }
    if call.url_encoded {
        xml.text("EncodingType", "url");
    }
    xml.flag("IsTruncated", truncated);
    Ok(())
}

async fn entries(
    xml: &mut LongDocument,
    context: &Context<'_>,
    call: &ListObjects,
    page: ObjectPage,
) -> Result<(), Error> {
    for object in page.objects {
        xml.open("Contents");
        xml.text("Key", &name(&object.key, call.url_encoded)?);
        object_facts(xml, context, call, &object);
        xml.close("Contents");
        xml.pause().await?;
    }
    prefixes(xml, page.common_prefixes, call.url_encoded).await
}

fn object_facts(
    xml: &mut Writer,
    context: &Context<'_>,
    call: &ListObjects,
    object: &ListedObject,
) {
    xml.text("LastModified", &time::iso8601(object.last_modified));
    xml.text("ETag", &object.etag.quoted());
    if let Some((algorithm, kind)) = object.checksum {
        xml.text("ChecksumAlgorithm", algorithm.name());
        xml.text("ChecksumType", kind.name());
    }
    xml.number("Size", object.size);
    xml.text("StorageClass", "STANDARD");
    if call.fetch_owner {
        owner(xml, "Owner", context);
    }
}

async fn prefixes(
    xml: &mut LongDocument,
    prefixes: Vec<String>,
    url_encoded: bool,
) -> Result<(), Error> {
    for prefix in prefixes {
        xml.open("CommonPrefixes");
        xml.text("Prefix", &name(&prefix, url_encoded)?);
        xml.close("CommonPrefixes");
        xml.pause().await?;
    }
    Ok(())
}

/// The versions of a bucket that has one of each key, called `null`. A store that keeps more is not
/// asked: what it has besides would be missing.
pub(super) async fn versions(
    context: &Context<'_>,
    call: Granted<&ListObjects>,
) -> Result<Answer, Error> {
    let backend = context.backends.of(&call.bucket)?;
    if backend.versioning(call.versioning().as_ref()).await? != Versioning::Never {
        let message =
            "ListObjectVersions is not implemented for a bucket whose store keeps versions.";
        return Err(Error::with_message(ErrorCode::NotImplemented, message));
    }
    let page = backend.list_objects(call).await?;
    let mut xml = begin(context, call, "ListVersionsResult")?;
    xml.text(
        "KeyMarker",
        &name(call.start.as_deref().unwrap_or_default(), call.url_encoded)?,
    );
    xml.text("VersionIdMarker", "");
    if let Some(next) = &page.next {
        xml.text("NextKeyMarker", &name(next, call.url_encoded)?);
        // Behind a common prefix there is no version.
        let is_key = page.objects.last().is_some_and(|last| last.key == *next);
        if is_key {
            xml.text("NextVersionIdMarker", "null");
        }
    }
    common(&mut xml, &call, page.next.is_some())?;
    for object in page.objects {
        xml.open("Version");
        xml.text("Key", &name(&object.key, call.url_encoded)?);
        xml.text("VersionId", "null");
        xml.flag("IsLatest", true);
        object_facts(&mut xml, context, &call, &object);
        xml.close("Version");
        xml.pause().await?;
    }
    prefixes(&mut xml, page.common_prefixes, call.url_encoded).await?;
    Ok(xml.finish())
}

pub(super) async fn uploads(
    context: &Context<'_>,
    call: Granted<&ListMultipartUploads>,
) -> Result<Answer, Error> {
    let asker = call.asker();
    let page = context
        .backends
        .of(&call.bucket)?
        .list_multipart_uploads(call)
        .await?;
    let mut xml = LongDocument::new(context, asker, "ListMultipartUploadsResult");
    xml.text("Bucket", call.bucket.as_str());
    xml.text(
        "KeyMarker",
        &name(
            call.key_marker.as_deref().unwrap_or_default(),
            call.url_encoded,
        )?,
    );
    xml.text(
        "UploadIdMarker",
        call.upload_id_marker.as_deref().unwrap_or_default(),
    );
    if let Some((key, upload_id)) = &page.next {
        xml.text("NextKeyMarker", &name(key, call.url_encoded)?);
        xml.text("NextUploadIdMarker", upload_id);
    }
    xml.text("Prefix", &name(&call.prefix, call.url_encoded)?);
    if let Some(delimiter) = &call.delimiter {
        xml.text("Delimiter", &name(delimiter, call.url_encoded)?);
    }
    if call.url_encoded {
        xml.text("EncodingType", "url");
    }
    xml.number("MaxUploads", call.max_uploads);
    xml.flag("IsTruncated", page.next.is_some());
    for upload in page.uploads {
        xml.open("Upload");
        xml.text("Key", &name(&upload.key, call.url_encoded)?);
        xml.text("UploadId", &upload.upload_id);
        owner(&mut xml, "Initiator", context);
        owner(&mut xml, "Owner", context);
        xml.text("StorageClass", "STANDARD");
        xml.text("Initiated", &time::iso8601(upload.initiated));
        if let Some((algorithm, kind)) = upload.checksum {
            xml.text("ChecksumAlgorithm", algorithm.name());
            xml.text("ChecksumType", kind.name());
        }
        xml.close("Upload");
        xml.pause().await?;
    }
    prefixes(&mut xml, page.common_prefixes, call.url_encoded).await?;
    Ok(xml.finish())
}
