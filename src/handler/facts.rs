//! Learns what a policy asks for before anything is granted: the tags of an object, the document in the
//! body. What cannot be known is refused.

use http::StatusCode;

use super::Context;
use super::body::{RequestBody, document};
use super::bucket::MAX_CONFIGURATION;
use super::tagging::MAX_DOCUMENT;
use crate::authz::{Document, Granted, Permit, Undecided, Wanted};
use crate::s3::call::OnObject;
use crate::s3::{Call, ETag, Error, ErrorCode, TagSet, xml};

/// Learns what `undecided` wants.
///
/// # Errors
/// When it cannot be known: the store does not say, the document is not one.
pub async fn learn(
    context: &Context<'_>,
    undecided: &mut Undecided,
    body: &mut dyn RequestBody,
) -> Result<(), Error> {
    match &undecided.wanted {
        Wanted::ExistingTags(object) => {
            let (tags, etag) = tags(context, object.as_ref()).await?;
            undecided.facts.tags(object, tags, etag);
        }
        Wanted::Document => {
            let document = read(context, undecided, body).await?;
            undecided.facts.document(document);
        }
    }
    Ok(())
}

/// An object's tags, and which object's they are; none where there is no such object. What is there is
/// looked at first: whoever reads it later reads that, or what came after its tags.
pub(super) async fn tags(
    context: &Context<'_>,
    object: Granted<&OnObject>,
) -> Result<(TagSet, Option<ETag>), Error> {
    let backend = context.backends.of(&object.bucket)?;
    let look = async {
        let head = object.head();
        let found = backend.head_object(head.as_ref()).await?;
        let tagging = backend.get_object_tagging(object).await?;
        Ok::<_, Error>((tagging.tags, Some(found.info.etag)))
    };
    look.await.or_else(|error| match error.code() {
        ErrorCode::NoSuchKey | ErrorCode::NoSuchVersion | ErrorCode::NoSuchBucket => {
            Ok((TagSet::default(), None))
        }
        _ if error.code().status() == StatusCode::SERVICE_UNAVAILABLE => Err(error),
        // A store that does not tell tags cannot say whether one denies (T44).
        code => Err(Error::new(ErrorCode::AccessDenied).because(format_args!(
            "a policy asks for the object's tags, and its store does not tell them: {}, {}",
            code.as_str(),
            error.reason().unwrap_or_default()
        ))),
    })
}

/// What is found must be what was there when its tags decided; where it is not, somebody wrote in
/// between, and the client asks again.
pub(super) fn is_still(decided: Option<Option<&ETag>>, found: &ETag) -> Result<(), Error> {
    match decided {
        None => Ok(()),
        Some(Some(etag)) if etag == found => Ok(()),
        Some(_) => Err(Error::new(ErrorCode::ServiceUnavailable)
            .because("the object was replaced while its tags decided who may read it")),
    }
}

/// Where tags of an object decided that its entity tag may be compared, only that object's is compared:
/// a tag of another does not match it, whatever has come to the key since.
pub(super) fn compares_what_decided(permit: &Permit) -> Result<(), Error> {
    let (bucket, key, version_id, etag) = match &permit.request().call {
        Call::PutObject(c) => (&c.bucket, &c.key, None, &c.conditions.if_match),
        Call::CopyObject(c) => (&c.bucket, &c.key, None, &c.conditions.if_match),
        Call::CompleteMultipartUpload(c) => (
            &c.upload.bucket,
            &c.upload.key,
            None,
            &c.conditions.if_match,
        ),
        Call::DeleteObject(c) => (&c.bucket, &c.key, c.version_id.as_deref(), &c.if_match),
        _ => return Ok(()),
    };
    let Some(etag) = etag else { return Ok(()) };
    match permit.facts().decided_for(bucket, key, version_id) {
        None => Ok(()),
        Some(Some(decided)) if decided == etag || etag.0 == "*" => Ok(()),
        Some(Some(_)) => Err(ErrorCode::PreconditionFailed.into()),
        Some(None) => Err(ErrorCode::NoSuchKey.into()),
    }
}

async fn read(
    context: &Context<'_>,
    undecided: &Undecided,
    body: &mut dyn RequestBody,
) -> Result<Document, Error> {
    let (request, caller) = (undecided.request(), undecided.caller());
    match &request.call {
        Call::PutObjectTagging(_) => {
            let document = document(context, request, caller, body, MAX_DOCUMENT).await?;
            Ok(Document::Tags(document.read(xml::read_tagging).await?))
        }
        Call::CreateBucket(_) => {
            let document = document(context, request, caller, body, MAX_CONFIGURATION).await?;
            let location = document.read(xml::read_location).await?;
            Ok(Document::Location(location))
        }
        _ => Err(Error::internal("a decision wants a document that is none")),
    }
}
