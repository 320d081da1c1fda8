//! GetObject, HeadObject and PutObject.

use super::body::{RequestBody, VerifiedBody};
use super::facts::is_still;
use super::{Answer, Context, headers};
use crate::authz::{Granted, Permit};
use crate::backend::{Body, Object};
use crate::s3::Error;
use crate::s3::call::{PutObject, ReadObject};

pub(super) async fn get(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&ReadObject>,
) -> Result<Answer, Error> {
    let object = context.backends.of(&call.bucket)?.get_object(call).await?;
    still(permit, &object, &call)?;
    let mut answer = described(context, permit, &object, &call);
    answer.body = object.body;
    Ok(answer)
}

pub(super) async fn head(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&ReadObject>,
) -> Result<Answer, Error> {
    let object = context.backends.of(&call.bucket)?.head_object(call).await?;
    still(permit, &object, &call)?;
    let mut answer = described(context, permit, &object, &call);
    answer.body = Body::Empty;
    Ok(answer)
}

/// Whether it is the object whose tags decided, where tags did.
fn still(permit: &Permit, object: &Object, call: &ReadObject) -> Result<(), Error> {
    let version_id = call.version_id.as_deref();
    let decided = permit
        .facts()
        .decided_for(&call.bucket, &call.key, version_id);
    is_still(decided, &object.info.etag)
}

/// What a read tells, the number of tags among it where the caller may know them.
fn described(context: &Context<'_>, permit: &Permit, object: &Object, call: &ReadObject) -> Answer {
    let mut answer = headers::of_object(object, call);
    let count = object.info.tag_count;
    let (policies, now) = (context.policies, context.now);
    if count > 0 && context.authorizer.may_get_tags(permit, policies, now) {
        headers::tag_count(&mut answer, count);
    }
    answer
}

pub(super) async fn put(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&PutObject>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    let mut body = VerifiedBody::new(permit, body, context.limits)?;
    let written = context
        .backends
        .of(&call.bucket)?
        .put_object(call, &mut body)
        .await?;
    Ok(headers::of_written(&written))
}
