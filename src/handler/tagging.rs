//! The tags of an object.

use http::StatusCode;
use http::header::HeaderName;

use super::body::{RequestBody, document};
use super::facts::is_still;
use super::{Answer, Context};
use crate::authz::{AsDecided, Document, Granted, Permit};
use crate::s3::call::OnObject;
use crate::s3::{Error, ErrorCode, TagSet, xml};

/// The longest PutObjectTagging: ten tags, every character of them a reference, with room for spaces.
pub(super) const MAX_DOCUMENT: usize = 64 * 1024;

pub(super) async fn get(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&OnObject>,
) -> Result<Answer, Error> {
    let backend = context.backends.of(&call.bucket)?;
    let decided = decided_for(permit, &call)?;
    let tagging = backend.get_object_tagging(call).await?;
    if let Some(decided) = decided {
        // Behind the tags: what is there now was there then.
        let found = backend.head_object(call.head().as_ref()).await?;
        is_still(Some(Some(decided.etag)), &found.info.etag)?;
        if tagging.tags != *decided.tags {
            return Err(Error::new(ErrorCode::ServiceUnavailable)
                .because("the tags were changed while they decided who may read them"));
        }
    }
    let answer = Answer::xml(xml::tagging(&tagging.tags));
    Ok(of_version(answer, tagging.version_id.as_deref()))
}

pub(super) async fn put(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&OnObject>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    let tags = match permit.facts().read() {
        Some(Document::Tags(tags)) => tags.clone(),
        _ => {
            let (request, caller) = (permit.request(), permit.caller());
            let document = document(context, request, caller, body, MAX_DOCUMENT).await?;
            document.read(xml::read_tagging).await?
        }
    };
    let backend = context.backends.of(&call.bucket)?;
    let version_id = match decided_for(permit, &call)? {
        None => backend.put_object_tagging(call, &tags).await?,
        Some(decided) => backend.put_object_tagging_of(call, decided, &tags).await?,
    };
    let answer = Answer::empty(StatusCode::OK);
    Ok(of_version(answer, version_id.as_deref()))
}

/// What the tags were that decided, and of what: only that may be changed.
fn decided_for<'p>(permit: &'p Permit, call: &OnObject) -> Result<Option<AsDecided<'p>>, Error> {
    match permit.facts().as_decided(call) {
        None => Ok(None),
        Some(Some(decided)) => Ok(Some(decided)),
        Some(None) => Err(ErrorCode::NoSuchKey.into()),
    }
}

pub(super) async fn delete(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&OnObject>,
) -> Result<Answer, Error> {
    let backend = context.backends.of(&call.bucket)?;
    let version_id = match decided_for(permit, &call)? {
        None => backend.delete_object_tagging(call).await?,
        Some(decided) => {
            let none = TagSet::default();
            backend.put_object_tagging_of(call, decided, &none).await?
        }
    };
    let answer = Answer::empty(StatusCode::NO_CONTENT);
    Ok(of_version(answer, version_id.as_deref()))
}

fn of_version(mut answer: Answer, version_id: Option<&str>) -> Answer {
    if let Some(version_id) = version_id {
        answer.set(HeaderName::from_static("x-amz-version-id"), version_id);
    }
    answer
}
