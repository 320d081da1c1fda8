//! Learns what a policy asks for before anything is granted: the tags of an object, the document in the
//! body. What cannot be known is refused.

use http::StatusCode;

use super::Context;
use super::body::{RequestBody, document};
use super::bucket::MAX_CONFIGURATION;
use super::tagging::MAX_DOCUMENT;
use crate::authz::{Document, Granted, Undecided, Wanted};
use crate::s3::call::OnObject;
use crate::s3::{Call, Error, ErrorCode, TagSet, xml};

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
            let tags = tags(context, object.as_ref()).await?;
            undecided.facts.tags(object, tags);
        }
        Wanted::Document => {
            let document = read(undecided, body).await?;
            undecided.facts.document(document);
        }
    }
    Ok(())
}

/// An object's tags; none where there is no such object.
async fn tags(context: &Context<'_>, object: Granted<&OnObject>) -> Result<TagSet, Error> {
    let backend = context.backends.of(&object.bucket)?;
    match backend.get_object_tagging(object).await {
        Ok(tagging) => Ok(tagging.tags),
        Err(error) => match error.code() {
            ErrorCode::NoSuchKey | ErrorCode::NoSuchVersion | ErrorCode::NoSuchBucket => {
                Ok(TagSet::default())
            }
            _ if error.code().status() == StatusCode::SERVICE_UNAVAILABLE => Err(error),
            // A store that does not tell tags cannot say whether one denies (T44).
            code => Err(Error::new(ErrorCode::AccessDenied).because(format_args!(
                "a policy asks for the object's tags, and its store does not tell them: {}, {}",
                code.as_str(),
                error.reason().unwrap_or_default()
            ))),
        },
    }
}

async fn read(undecided: &Undecided, body: &mut dyn RequestBody) -> Result<Document, Error> {
    let (request, caller) = (undecided.request(), undecided.caller());
    match &request.call {
        Call::PutObjectTagging(_) => {
            let document = document(request, caller, body, MAX_DOCUMENT).await?;
            Ok(Document::Tags(xml::read_tagging(&document)?))
        }
        Call::CreateBucket(_) => {
            let document = document(request, caller, body, MAX_CONFIGURATION).await?;
            Ok(Document::Location(xml::read_location(&document)?))
        }
        _ => Err(Error::internal("a decision wants a document that is none")),
    }
}
