//! Bucket policies, which live in the gateway's own state whatever backend holds the bucket.

use std::sync::Arc;

use http::StatusCode;

use super::body::{RequestBody, document};
use super::{Answer, Context};
use crate::authz::{Granted, Permit, still_granted};
use crate::identity::BucketPolicy;
use crate::s3::call::OnBucket;
use crate::s3::{Error, ErrorCode, xml};

/// The longest bucket policy (AWS's quota).
const MAX_POLICY: usize = 20 * 1024;

pub(super) async fn get(context: &Context<'_>, call: Granted<&OnBucket>) -> Result<Answer, Error> {
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    let policy = policy(context, &call)?;
    let document = policy.document().to_owned();
    Ok(Answer::document("application/json", document))
}

/// Whether the policy is public: what it says, whatever of public access is blocked.
pub(super) async fn status(
    context: &Context<'_>,
    call: Granted<&OnBucket>,
) -> Result<Answer, Error> {
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    let public = policy(context, &call)?.is_public();
    Ok(Answer::xml(xml::policy_status(public)))
}

fn policy(context: &Context<'_>, call: &OnBucket) -> Result<Arc<BucketPolicy>, Error> {
    let none =
        || Error::new(ErrorCode::NoSuchBucketPolicy).detail("BucketName", call.bucket.as_str());
    context.policies.policy(&call.bucket)?.ok_or_else(none)
}

pub(super) async fn put(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&OnBucket>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    // A byte more than the quota is read, so that a longer one is refused as a policy.
    let (request, caller) = (permit.request(), permit.caller());
    let document = document(context, request, caller, body, MAX_POLICY)
        .await
        .map_err(|error| match error.code() {
            ErrorCode::MaxMessageLengthExceeded => Error::with_message(
                ErrorCode::MalformedPolicy,
                "Policy exceeds the maximum allowed document size.",
            ),
            _ => error,
        })?;
    let held = context.policies.hold(&call.bucket).await?;
    still_granted()?;
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    let (authorizer, policies) = (context.authorizer, context.policies);
    let block = authorizer.public_access_block(policies, &call.bucket);
    held.put(&document, block).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete(
    context: &Context<'_>,
    call: Granted<&OnBucket>,
) -> Result<Answer, Error> {
    let held = context.policies.hold(&call.bucket).await?;
    still_granted()?;
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    held.delete().await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
