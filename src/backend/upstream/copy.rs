//! Copies within one upstream, which moves the bytes itself.

use super::client::Client;
use super::error::About;
use super::exchange::Sending;
use super::mapping::Place;
use super::multipart::{copied, on_upload};
use super::request::{Outgoing, copy_source, mapped_key};
use super::response::version_id;
use super::{multipart, objects, tagging};
use crate::authz::Granted;
use crate::backend::{Body, Upload, Written};
use crate::s3::call::{CopyObject, CopySource, OnObject, ReadObject, UploadPartCopy};
use crate::s3::{self, Checksum, ErrorCode, TagSet, WEBSITE_REDIRECT};
use async_trait::async_trait;
use bytes::Bytes;
use http::Method;

/// CopyObject; `source` is where the source's bucket is at this upstream.
pub(super) async fn object(
    client: Client<'_>,
    source: Place<'_>,
    place: Place<'_>,
    call: Granted<&CopyObject>,
) -> Result<Written, s3::Error> {
    // Nothing is asked about a source whose copy cannot be.
    mapped_key(place, &call.key)?;
    if call.checksum.is_some() && !client.checksums {
        let message = "The header 'x-amz-checksum-algorithm' asks for what the store behind this bucket does not keep.";
        return Err(s3::Error::with_message(ErrorCode::NotImplemented, message));
    }
    check_source(client, source, call.source()).await?;
    let tags = stated_tags(client, source, call).await?;
    let mut request = Outgoing::object(Method::PUT, place, &call.key)?;
    from(&mut request, source, &call.source)?;
    match &call.metadata {
        Some(metadata) => {
            request.header("x-amz-metadata-directive", "REPLACE");
            request.metadata(metadata)?;
        }
        None => {
            request.header("x-amz-metadata-directive", "COPY");
            if let Some(redirect) = &call.redirect {
                request.header(WEBSITE_REDIRECT, redirect);
            }
        }
    }
    if let Some(tags) = &call.tags {
        request.header("x-amz-tagging-directive", "REPLACE");
        request.tags(tags);
    }
    request.write_conditions(&call.conditions);
    if let Some(algorithm) = call.checksum {
        request.header("x-amz-checksum-algorithm", algorithm.name());
    }
    let written = copy(client, request, "CopyObjectResult").await?;
    if let Some(tags) = tags {
        let copied = OnObject {
            bucket: call.bucket.clone(),
            key: call.key.clone(),
            version_id: written.version_id.clone(),
        };
        tagging::settle(client, place, &copied, &written.etag, &tags).await?;
    }
    Ok(written)
}

/// The tags that a copy must turn out to have, where the call says more than to copy everything. Ceph
/// 16 drops the source's with its metadata, and a copy onto itself leaves none to look at afterwards.
async fn stated_tags(
    client: Client<'_>,
    place: Place<'_>,
    call: Granted<&CopyObject>,
) -> Result<Option<TagSet>, s3::Error> {
    if call.tags.is_some() || call.metadata.is_none() {
        return Ok(call.tags.clone());
    }
    let source = call.source();
    let found = objects::head(client, place, &source).await;
    let info = found.map_err(failed_condition)?.info;
    if info.tag_count == 0 {
        return Ok(None);
    }
    let tagging = source.tagging(info.version_id.as_deref());
    let tagging = tagging::get(client, place, &tagging).await?;
    Ok(Some(tagging.tags))
}

/// A copy's conditions have one way to fail.
fn failed_condition(error: s3::Error) -> s3::Error {
    match error.code() {
        ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
        _ => error,
    }
}

/// UploadPartCopy.
pub(super) async fn part(
    client: Client<'_>,
    source: Place<'_>,
    place: Place<'_>,
    call: Granted<&UploadPartCopy>,
) -> Result<Written, s3::Error> {
    mapped_key(place, &call.upload.key)?;
    if looks_encoded(&source.key(call.source.key.as_str())) {
        return through_us(client, source, place, call).await;
    }
    check_source(client, source, call.source()).await?;
    let mut request = on_upload(Method::PUT, place, &call.upload)?
        .query("partNumber", call.part_number.to_string());
    from(&mut request, source, &call.source)?;
    if let Some((first, last)) = call.range {
        request.header("x-amz-copy-source-range", format!("bytes={first}-{last}"));
    }
    copy(client, request, "CopyPartResult").await
}

/// Asks about the source first where its copy is conditional: Ceph 16 and moto take the conditions
/// of a copy and don't look at them, while every store looks at those of a HEAD.
async fn check_source(
    client: Client<'_>,
    place: Place<'_>,
    source: Granted<ReadObject>,
) -> Result<(), s3::Error> {
    if source.conditions.is_empty() {
        return Ok(());
    }
    let whole = source.whole();
    let found = objects::head(client, place, &whole).await;
    found.map(drop).map_err(failed_condition)
}

/// Whether decoding the key once more would make another one of it. Ceph 16 does so to the source
/// of a part: what was authorised would not be what is read.
fn looks_encoded(key: &str) -> bool {
    let escape = |rest: &str| {
        let mut digits = rest.bytes().take(2);
        digits.len() == 2 && digits.all(|b| b.is_ascii_hexdigit())
    };
    key.split('%').skip(1).any(escape)
}

/// Copies a part by reading its source and sending it back.
async fn through_us(
    client: Client<'_>,
    source: Place<'_>,
    place: Place<'_>,
    call: Granted<&UploadPartCopy>,
) -> Result<Written, s3::Error> {
    let read = objects::get(client, source, &call.source()).await;
    let object = read.map_err(failed_condition)?;
    let found = object.range.map(|range| (range.first, range.last));
    if found != call.range {
        return Err(ErrorCode::InvalidRange.into());
    }
    let mut relay = Relay {
        length: object
            .range
            .map_or(object.info.size, |range| range.length()),
        body: object.body,
    };
    multipart::part(client, place, &call.destination(), &mut relay).await
}

/// A download on its way back.
struct Relay {
    body: Body,
    length: u64,
}

#[async_trait]
impl Upload for Relay {
    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, s3::Error> {
        match &mut self.body {
            Body::Empty => Ok(None),
            Body::Stream(stream) => stream.next().await,
            Body::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
            }
        }
    }

    fn checksum(&self) -> Option<Checksum> {
        None
    }
}

fn from(
    request: &mut Outgoing<'_>,
    place: Place<'_>,
    source: &CopySource,
) -> Result<(), s3::Error> {
    request.header("x-amz-copy-source", copy_source(place, source)?);
    request.read_conditions("x-amz-copy-source-", &source.conditions);
    Ok(())
}

async fn copy(
    client: Client<'_>,
    request: Outgoing<'_>,
    root: &'static str,
) -> Result<Written, s3::Error> {
    // A store may move gigabytes before it answers.
    let patience = client.timeouts.total;
    let answer = client
        .send_patiently(&request, Sending::Nothing, patience)
        .await?;
    let answer = answer.expect(About::Object).await?;
    let version = version_id(&answer)?;
    let document = answer.xml(About::Object).await?.named(root)?;
    Ok(copied(client, &document, version)?)
}

#[cfg(test)]
mod tests {
    use super::looks_encoded;

    #[test]
    fn keys_that_another_decoding_would_change() {
        for (key, expected) in [
            ("secre%74/x", true),
            ("a%2Fb", true),
            ("%%41", true),
            ("100%", false),
            ("100%/x", false),
            ("a%4", false),
            ("a%zz", false),
            ("a+b", false),
        ] {
            assert_eq!(looks_encoded(key), expected, "{key}");
        }
    }
}
