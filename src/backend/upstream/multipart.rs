//! Multipart uploads.

use super::client::Client;
use super::error::{About, Error};
use super::exchange::Sending;
use super::mapping::Place;
use super::objects::upload;
use super::request::{KEPT_TAGS, Outgoing};
use super::response::{checksum_in, version_id};
use super::{tagging, verified};
use crate::backend::{CompletedPart, Upload, Written};
use crate::s3::call::{
    CompleteMultipartUpload, CreateMultipartUpload, ListParts, OnObject, OnUpload, UploadPart,
};
use crate::s3::xml::Writer;
use crate::s3::{self, ETag, ErrorCode, StoredChecksum, TagSet};
use http::Method;
use time::OffsetDateTime;

/// CreateMultipartUpload.
pub(super) async fn create(
    client: Client<'_>,
    place: Place<'_>,
    call: &CreateMultipartUpload,
) -> Result<String, s3::Error> {
    let mut request = Outgoing::object(Method::POST, place, &call.key)?.query("uploads", "");
    request.metadata(&call.metadata)?;
    request.tags(&call.tags);
    if !client.checksums && !call.tags.is_empty() {
        request.header(KEPT_TAGS, call.tags.to_query());
    }
    if let Some((algorithm, kind)) = call.checksum.filter(|_| client.checksums) {
        request.header("x-amz-checksum-algorithm", algorithm.name());
        request.header("x-amz-checksum-type", kind.name());
    }
    let answer = client.send(&request, Sending::Nothing).await?;
    let root = answer
        .named(About::Bucket, "InitiateMultipartUploadResult")
        .await?;
    Ok(root.filled("UploadId")?.to_owned())
}

/// UploadPart.
pub(super) async fn part(
    client: Client<'_>,
    place: Place<'_>,
    call: &UploadPart,
    body: &mut dyn Upload,
) -> Result<Written, s3::Error> {
    let request = on_upload(Method::PUT, place, &call.upload)?
        .query("partNumber", call.part_number.to_string());
    let asked = call.checksum.as_ref();
    // A part's checksum must be of the kind that its upload was opened with, so nothing is added
    // to one that has none.
    let computed = asked.map(|asked| asked.algorithm);
    let length = body.length();
    let written = upload(client, request, asked, computed, About::Upload, body).await?;
    if let Some(checksum) = body.checksum().filter(|_| !client.checksums) {
        verified::remember(&client.name, call, &written.etag, checksum, length);
    }
    Ok(written)
}

/// A request on an upload, with the part's number still to come.
pub(super) fn on_upload<'a>(
    method: Method,
    place: Place<'a>,
    upload: &'a OnUpload,
) -> Result<Outgoing<'a>, s3::Error> {
    Ok(Outgoing::object(method, place, &upload.key)?.query("uploadId", upload.upload_id.as_str()))
}

/// CompleteMultipartUpload.
pub(super) async fn complete(
    client: Client<'_>,
    place: Place<'_>,
    call: &CompleteMultipartUpload,
    parts: &[CompletedPart],
) -> Result<Written, s3::Error> {
    let mut request = on_upload(Method::POST, place, &call.upload)?;
    if !client.checksums {
        verified::check(&client.name, call, parts)?;
    }
    request.write_conditions(&call.conditions);
    if let Some(size) = call.size {
        request.header("x-amz-mp-object-size", size.to_string());
    }
    if client.checksums {
        if let Some(whole) = &call.checksum {
            request.header(whole.checksum.algorithm.header(), text(whole));
        }
        if let Some(kind) = call.checksum_type {
            request.header("x-amz-checksum-type", kind.name());
        }
    }
    request.header("content-type", "application/xml");
    let mut document = Writer::new("CompleteMultipartUpload");
    for part in parts {
        document.open("Part");
        document.text("PartNumber", &part.part_number.to_string());
        document.text("ETag", &part.etag.quoted());
        if let Some(checksum) = part.checksum.as_ref().filter(|_| client.checksums) {
            document.text(checksum.algorithm.element(), &checksum.base64());
        }
        document.close("Part");
    }
    let sending = Sending::Document(document.finish("CompleteMultipartUpload").into());
    // A store may copy every part before it answers.
    let patience = client.timeouts.total;
    let answer = client.send_patiently(&request, sending, patience).await?;
    let server_error = answer.status().is_server_error();
    let answer = match answer.expect(About::Upload).await {
        Ok(answer) => answer,
        Err(error) if server_error => return Err(still_there(client, place, call, error).await),
        Err(error) => return Err(error),
    };
    let version_id = version_id(&answer)?;
    let root = answer.xml(About::Upload).await?;
    let root = root.named("CompleteMultipartUploadResult")?;
    let etag = match root.get("ETag").map(ETag::parse) {
        Some(etag) if !etag.0.is_empty() => etag,
        _ => look(client, place, &call.upload).await?,
    };
    Ok(Written {
        etag,
        checksum: checksum_in(&root)?.filter(|_| client.checksums),
        last_modified: OffsetDateTime::now_utc(),
        size: call.size,
        version_id,
    })
}

/// Ceph 16 does not tell the entity tag of what it has put together, and has spoilt its tags.
async fn look(client: Client<'_>, place: Place<'_>, upload: &OnUpload) -> Result<ETag, s3::Error> {
    let request = Outgoing::object(Method::HEAD, place, &upload.key)?;
    let answer = client.send(&request, Sending::Nothing).await?;
    let answer = answer.expect(About::Object).await?;
    let etag = ETag::parse(answer.need("etag")?);
    let tags = answer.header(KEPT_TAGS)?.map(TagSet::from_query);
    let tags = tags.transpose();
    let tags = tags.map_err(|error| Error::garbage(format!("the tags that we kept: {error}")))?;
    answer.finish(About::Object).await?;
    if let Some(tags) = tags {
        let whole = OnObject {
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            version_id: None,
        };
        tagging::settle(client, place, &whole, &etag, &tags).await?;
    }
    Ok(etag)
}

/// Ceph 16 fails with 500 when there is no such upload, which clients would try again and again:
/// asks whether there is, and answers `error` if so.
async fn still_there(
    client: Client<'_>,
    place: Place<'_>,
    call: &CompleteMultipartUpload,
    error: s3::Error,
) -> s3::Error {
    let parts = ListParts {
        upload: call.upload.clone(),
        max_parts: 1,
        after: 0,
        url_encoded: false,
    };
    match super::listing::parts(client, place, &parts).await {
        Err(missing) if missing.code() == ErrorCode::NoSuchUpload => missing,
        _ => error,
    }
}

fn text(stored: &StoredChecksum) -> String {
    match stored.parts {
        Some(parts) => format!("{}-{parts}", stored.checksum.base64()),
        None => stored.checksum.base64(),
    }
}

/// AbortMultipartUpload.
pub(super) async fn abort(
    client: Client<'_>,
    place: Place<'_>,
    call: &OnUpload,
) -> Result<(), s3::Error> {
    let request = on_upload(Method::DELETE, place, call)?;
    let answer = client.send(&request, Sending::Nothing).await?;
    answer
        .expect(About::Upload)
        .await?
        .finish(About::Upload)
        .await
}

/// What CopyObject and UploadPartCopy answer.
pub(super) fn copied(
    client: Client<'_>,
    root: &super::xml::Element,
    version_id: Option<String>,
) -> Result<Written, Error> {
    Ok(Written {
        etag: ETag::parse(root.filled("ETag")?),
        checksum: checksum_in(root)?.filter(|_| client.checksums),
        last_modified: root.time("LastModified")?,
        size: None,
        version_id,
    })
}
