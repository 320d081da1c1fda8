//! Multipart uploads.

use http::StatusCode;
use http::header::HeaderName;

use super::body::{RequestBody, VerifiedBody, document};
use super::bucket::owner;
use super::document::LongDocument;
use super::listing::{name, told};
use super::{Answer, Context, headers};
use crate::authz::{Granted, Permit};
use crate::backend::CompletedPart;
use crate::s3::call::{
    CompleteMultipartUpload, CreateMultipartUpload, ListParts, OnUpload, UploadPart,
};
use crate::s3::xml::{self, Writer};
use crate::s3::{Error, Head, time};
use crate::sigv4::encode_path;

/// The longest CompleteMultipartUpload: 10,000 parts with their tags and checksums.
const MAX_DOCUMENT: usize = 4 * 1024 * 1024;

pub(super) async fn create(
    context: &Context<'_>,
    call: Granted<&CreateMultipartUpload>,
) -> Result<Answer, Error> {
    // Told in other words it would be another key, and what could not be told is not begun.
    let key = told(&call.key)?;
    let upload_id = context
        .backends
        .of(&call.bucket)?
        .create_multipart_upload(call)
        .await?;
    let mut xml = Writer::new("InitiateMultipartUploadResult");
    xml.text("Bucket", call.bucket.as_str());
    xml.text("Key", key);
    xml.text("UploadId", &upload_id);
    let mut answer = Answer::xml(xml.finish("InitiateMultipartUploadResult"));
    if let Some((algorithm, kind)) = call.checksum {
        answer.set(
            HeaderName::from_static("x-amz-checksum-algorithm"),
            algorithm.name(),
        );
        answer.set(HeaderName::from_static("x-amz-checksum-type"), kind.name());
    }
    Ok(answer)
}

pub(super) async fn part(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&UploadPart>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    let mut body = VerifiedBody::new(permit, body, context.limits)?;
    let backend = context.backends.of(&call.upload.bucket)?;
    let written = backend.upload_part(call, &mut body).await?;
    let mut answer = headers::of_written(&written);
    answer.headers.remove("x-amz-checksum-type");
    Ok(answer)
}

pub(super) async fn complete(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&CompleteMultipartUpload>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    let key = told(&call.upload.key)?;
    let (request, caller) = (permit.request(), permit.caller());
    let document = document(context, request, caller, body, MAX_DOCUMENT).await?;
    let part = |part: xml::CompletePart| CompletedPart {
        part_number: part.part_number,
        etag: part.etag,
        checksum: part.checksum,
    };
    let parts: Vec<_> = document
        .read(xml::read_complete)
        .await?
        .into_iter()
        .map(part)
        .collect();
    let bucket = &call.upload.bucket;
    let written = context
        .backends
        .of(bucket)?
        .complete_multipart_upload(call, &parts)
        .await?;

    let mut xml = Writer::new("CompleteMultipartUploadResult");
    xml.text("Location", &location(&permit.request().head));
    xml.text("Bucket", bucket.as_str());
    xml.text("Key", key);
    xml.text("ETag", &written.etag.quoted());
    if let Some(stored) = &written.checksum {
        xml.text(
            stored.checksum.algorithm.element(),
            &headers::checksum_text(stored),
        );
        xml.text("ChecksumType", stored.kind.name());
    }
    let mut answer = Answer::xml(xml.finish("CompleteMultipartUploadResult"));
    if let Some(version) = &written.version_id {
        answer.set(HeaderName::from_static("x-amz-version-id"), version);
    }
    Ok(answer)
}

/// The object's URL, as the client addressed it.
fn location(head: &Head) -> String {
    let scheme = if head.peer.secure { "https" } else { "http" };
    let mut path = Vec::new();
    encode_path(&head.path, &mut path);
    // What is not ASCII was encoded away.
    let path = String::from_utf8_lossy(&path);
    format!("{scheme}://{}{path}", head.host)
}

pub(super) async fn abort(
    context: &Context<'_>,
    call: Granted<&OnUpload>,
) -> Result<Answer, Error> {
    context
        .backends
        .of(&call.bucket)?
        .abort_multipart_upload(call)
        .await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list_parts(
    context: &Context<'_>,
    call: Granted<&ListParts>,
) -> Result<Answer, Error> {
    let asker = call.asker();
    let key = name(call.upload.key.as_str(), call.url_encoded)?;
    let page = context
        .backends
        .of(&call.upload.bucket)?
        .list_parts(call)
        .await?;
    let mut xml = LongDocument::new(context, asker, "ListPartsResult");
    xml.text("Bucket", call.upload.bucket.as_str());
    xml.text("Key", &key);
    xml.text("UploadId", &call.upload.upload_id);
    owner(&mut xml, "Initiator", context);
    owner(&mut xml, "Owner", context);
    xml.text("StorageClass", "STANDARD");
    xml.number("PartNumberMarker", call.after);
    if let (true, Some(last)) = (page.truncated, page.parts.last()) {
        xml.number("NextPartNumberMarker", last.part_number);
    }
    xml.number("MaxParts", call.max_parts);
    xml.flag("IsTruncated", page.truncated);
    if call.url_encoded {
        xml.text("EncodingType", "url");
    }
    if let Some((algorithm, kind)) = page.checksum {
        xml.text("ChecksumAlgorithm", algorithm.name());
        xml.text("ChecksumType", kind.name());
    }
    for part in &page.parts {
        xml.open("Part");
        xml.number("PartNumber", part.part_number);
        xml.text("LastModified", &time::iso8601(part.last_modified));
        xml.text("ETag", &part.etag.quoted());
        xml.number("Size", part.size);
        if let Some(checksum) = &part.checksum {
            xml.text(checksum.algorithm.element(), &checksum.base64());
        }
        xml.close("Part");
        xml.pause().await?;
    }
    Ok(xml.finish())
}
