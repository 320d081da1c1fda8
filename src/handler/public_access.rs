//! What of public access a bucket blocks, which lives beside its policy in the gateway's own state.

use http::StatusCode;

use super::body::{RequestBody, document};
use super::bucket::MAX_CONFIGURATION;
use super::{Answer, Context};
use crate::authz::{Granted, Permit, still_granted};
use crate::s3::call::OnBucket;
use crate::s3::{Error, ErrorCode, xml};

/// The bucket's own settings. One that was never configured blocks everything, and says so.
pub(super) async fn get(context: &Context<'_>, call: Granted<&OnBucket>) -> Result<Answer, Error> {
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    match context.policies.public_access_configuration(&call.bucket)? {
        Some(block) => Ok(Answer::xml(xml::public_access_block(block))),
        None => Err(Error::new(ErrorCode::NoSuchPublicAccessBlockConfiguration)
            .detail("BucketName", call.bucket.as_str())),
    }
}

pub(super) async fn put(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&OnBucket>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    let (request, caller) = (permit.request(), permit.caller());
    let document = document(context, request, caller, body, MAX_CONFIGURATION).await?;
    let block = document.read(xml::read_public_access_block).await?;
    configure(context, call, Some(block)).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) async fn delete(
    context: &Context<'_>,
    call: Granted<&OnBucket>,
) -> Result<Answer, Error> {
    configure(context, call, None).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn configure(
    context: &Context<'_>,
    call: Granted<&OnBucket>,
    block: Option<crate::s3::PublicAccessBlock>,
) -> Result<(), Error> {
    let held = context.policies.hold(&call.bucket).await?;
    still_granted()?;
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    held.configure_public_access(block).await
}
