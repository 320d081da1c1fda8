//! DeleteObject and DeleteObjects. Every key of a DeleteObjects is decided on its own.

use http::StatusCode;
use http::header::HeaderName;

use super::body::{RequestBody, document};
use super::document::LongDocument;
use super::{Answer, Context};
use crate::authz::{Granted, Permit};
use crate::backend::Deleted;
use crate::s3::call::{DeleteObject, DeleteObjects};
use crate::s3::xml::{self, DeleteKey, Writer};
use crate::s3::{ChecksumAlgorithm, Error, ErrorCode};

/// The longest DeleteObjects: 1,000 keys of 1,024 bytes, escaped.
const MAX_DOCUMENT: usize = 2 * 1024 * 1024;

pub(super) async fn object(
    context: &Context<'_>,
    call: Granted<&DeleteObject>,
) -> Result<Answer, Error> {
    let deleted = context
        .backends
        .of(&call.bucket)?
        .delete_object(call)
        .await?;
    let mut answer = Answer::empty(StatusCode::NO_CONTENT);
    if let Some(version) = &deleted.version_id {
        answer.set(HeaderName::from_static("x-amz-version-id"), version);
    }
    if deleted.delete_marker {
        answer.set(HeaderName::from_static("x-amz-delete-marker"), "true");
    }
    Ok(answer)
}

pub(super) async fn objects(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&DeleteObjects>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    requires_digest(permit)?;
    let (request, caller) = (permit.request(), permit.caller());
    let document = document(context, request, caller, body, MAX_DOCUMENT).await?;
    let delete = document.read(xml::read_delete).await?;

    let decide = |key: &DeleteKey| {
        context
            .authorizer
            .decide_delete(permit, key, context.policies, context.now)
    };
    let decisions: Vec<_> = delete.keys.iter().map(decide).collect();
    for (key, decision) in delete.keys.iter().zip(&decisions) {
        let decision = decision.as_ref().map(|(_, by)| by.as_ref());
        context.keys.decided(key, decision);
    }
    let granted: Vec<_> = decisions
        .iter()
        .filter_map(|d| d.as_ref().ok().map(|(granted, _)| granted.clone()))
        .collect();
    let outcomes = match granted.is_empty() {
        true => Vec::new(),
        false => {
            context
                .backends
                .of(&call.bucket)?
                .delete_objects(&granted)
                .await?
        }
    };
    let told = outcomes.iter().map(|outcome| outcome.as_ref().map(drop));
    context.keys.outcomes(told);
    let mut outcomes = outcomes.into_iter();

    let mut xml = LongDocument::new(context, call.asker(), "DeleteResult");
    for (key, decision) in delete.keys.iter().zip(&decisions) {
        let outcome = match decision {
            Ok(_) => outcomes
                .next()
                .unwrap_or_else(|| Err(Error::internal("a deletion has no outcome"))),
            Err(denied) => Err(denied.error.clone()),
        };
        entry(&mut xml, key, outcome, delete.quiet);
        xml.pause().await?;
    }
    Ok(xml.finish())
}

fn entry(xml: &mut Writer, key: &DeleteKey, outcome: Result<Deleted, Error>, quiet: bool) {
    match outcome {
        Ok(_) if quiet => {}
        Ok(deleted) => {
            xml.open("Deleted");
            xml.text("Key", key.key.as_str());
            xml.maybe("VersionId", key.version_id.as_deref());
            if deleted.delete_marker {
                xml.flag("DeleteMarker", true);
                xml.maybe("DeleteMarkerVersionId", deleted.version_id.as_deref());
            }
            xml.close("Deleted");
        }
        Err(error) => {
            xml.open("Error");
            xml.text("Key", key.key.as_str());
            xml.maybe("VersionId", key.version_id.as_deref());
            xml.text("Code", error.code().as_str());
            xml.text("Message", error.message());
            xml.close("Error");
        }
    }
}

/// S3 asks for a digest of this document that is not the signature's, and not an algorithm's name.
fn requires_digest(permit: &Permit) -> Result<(), Error> {
    let head = &permit.request().head;
    let mut checksums = ChecksumAlgorithm::ALL.iter();
    if head.has_header("content-md5") || checksums.any(|a| head.has_header(a.header())) {
        return Ok(());
    }
    let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
    Err(Error::with_message(ErrorCode::InvalidRequest, message))
}
