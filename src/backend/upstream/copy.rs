//! Copies within one upstream, which moves the bytes itself.

use super::client::{Client, Sending};
use super::error::About;
use super::mapping::Place;
use super::multipart::{copied, on_upload};
use super::request::{Outgoing, copy_source};
use super::response::version_id;
use crate::backend::Written;
use crate::s3;
use crate::s3::call::{CopyObject, CopySource, UploadPartCopy};
use http::Method;
use std::sync::Arc;

/// CopyObject; `source` is where the source's bucket is at this upstream.
pub(super) async fn object(
    client: &Arc<Client>,
    source: Place<'_>,
    place: Place<'_>,
    call: &CopyObject,
) -> Result<Written, s3::Error> {
    let mut request = Outgoing::object(Method::PUT, place, &call.key)?;
    from(&mut request, source, &call.source)?;
    match &call.metadata {
        Some(metadata) => {
            request.header("x-amz-metadata-directive", "REPLACE");
            request.metadata(metadata)?;
        }
        None => request.header("x-amz-metadata-directive", "COPY"),
    }
    request.write_conditions(&call.conditions);
    if let Some(algorithm) = call.checksum.filter(|_| client.checksums) {
        request.header("x-amz-checksum-algorithm", algorithm.name());
    }
    copy(client, request, "CopyObjectResult").await
}

/// UploadPartCopy.
pub(super) async fn part(
    client: &Arc<Client>,
    source: Place<'_>,
    place: Place<'_>,
    call: &UploadPartCopy,
) -> Result<Written, s3::Error> {
    let mut request = on_upload(Method::PUT, place, &call.upload)?
        .query("partNumber", call.part_number.to_string());
    from(&mut request, source, &call.source)?;
    if let Some((first, last)) = call.range {
        request.header("x-amz-copy-source-range", format!("bytes={first}-{last}"));
    }
    copy(client, request, "CopyPartResult").await
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
    client: &Arc<Client>,
    request: Outgoing<'_>,
    root: &'static str,
) -> Result<Written, s3::Error> {
    // A store may move gigabytes before it answers.
    let patience = client.timeouts.total;
    let answer = client
        .send_patiently(&request, Sending::Nothing, patience)
        .await?;
    let answer = answer.expect(About::Object).await?;
    let version = version_id(&answer);
    let document = answer.xml(About::Object).await?.named(root)?;
    Ok(copied(client, &document, version)?)
}
