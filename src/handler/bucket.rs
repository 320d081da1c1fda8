//! Buckets: list, create, delete, head, location.

use http::header::{HeaderName, LOCATION};
use http::{HeaderValue, StatusCode};

use super::body::{RequestBody, document};
use super::document::LongDocument;
use super::{Answer, Context, canonical_id};
use crate::authz::{Document, Granted, Permit, still_granted};
use crate::s3::call::{CreateBucket, ListBuckets, OnBucket};
use crate::s3::xml::{self, Writer};
use crate::s3::{Error, ErrorCode, is_location, time};

/// The longest document of a bucket's configuration.
pub(super) const MAX_CONFIGURATION: usize = 64 * 1024;

pub(super) async fn list(
    context: &Context<'_>,
    call: Granted<&ListBuckets>,
) -> Result<Answer, Error> {
    let asker = call.asker();
    let mut buckets = context.backends.list_buckets(call).await?;
    let after = call.after.as_deref().unwrap_or_default();
    buckets.retain(|b| b.name.as_str() > after && b.name.as_str().starts_with(&call.prefix));
    let most = call.max_buckets.map_or(usize::MAX, |n| n as usize);
    let next = match buckets.len() > most {
        true => most
            .checked_sub(1)
            .and_then(|last| buckets.get(last))
            .map(|b| b.name.to_string()),
        false => None,
    };
    buckets.truncate(most);

    let mut xml = LongDocument::new(context, asker, "ListAllMyBucketsResult");
    xml.open("Buckets");
    for bucket in &buckets {
        xml.open("Bucket");
        xml.text("Name", bucket.name.as_str());
        let created = bucket.created.unwrap_or(::time::OffsetDateTime::UNIX_EPOCH);
        xml.text("CreationDate", &time::iso8601(created));
        if call.max_buckets.is_some() {
            xml.text("BucketRegion", context.region);
        }
        xml.close("Bucket");
        xml.pause().await?;
    }
    xml.close("Buckets");
    owner(&mut xml, "Owner", context);
    if !call.prefix.is_empty() {
        xml.text("Prefix", &call.prefix);
    }
    if let Some(next) = next {
        xml.text("ContinuationToken", &crate::s3::continuation_token(&next));
    }
    Ok(xml.finish())
}

/// The owner of everything: the one account.
pub(super) fn owner(xml: &mut Writer, element: &str, context: &Context<'_>) {
    xml.open(element);
    xml.text("ID", &canonical_id(context.account));
    xml.text("DisplayName", context.account);
    xml.close(element);
}

pub(super) async fn create(
    context: &Context<'_>,
    permit: &Permit,
    call: Granted<&CreateBucket>,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    let backend = context.backends.of_whole(&call.bucket, "CreateBucket")?;
    let location = match permit.facts().read() {
        Some(Document::Location(location)) => location.clone(),
        _ => {
            let (request, caller) = (permit.request(), permit.caller());
            let document = document(context, request, caller, body, MAX_CONFIGURATION).await?;
            document.read(xml::read_location).await?
        }
    };
    if let Some(constraint) = location.filter(|c| c != context.region) {
        if !is_location(&constraint) {
            return Err(Error::new(ErrorCode::InvalidLocationConstraint)
                .detail("LocationConstraint", constraint));
        }
        let message = format!(
            "The {constraint} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        return Err(Error::with_message(
            ErrorCode::IllegalLocationConstraintException,
            message,
        ));
    }
    let held = context.policies.hold(&call.bucket).await?;
    still_granted()?;
    match backend.head_bucket(call.head().as_ref()).await {
        Ok(_) => return Err(ErrorCode::BucketAlreadyOwnedByYou.into()),
        // What was kept of an earlier one is gone before there is a new one, whatever happens between:
        // a crash, or the removal of the earlier one by somebody else than us.
        Err(error) if error.code() == ErrorCode::NoSuchBucket => held.forget().await?,
        // Another's, or not ours to look at: the answer to the request itself tells, and a bucket of
        // which nothing is kept starts with nothing.
        Err(_) if held.is_unknown() => {}
        Err(error) => return Err(error),
    }
    backend.create_bucket(call).await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set(LOCATION, &format!("/{}", call.bucket));
    Ok(answer)
}

pub(super) async fn delete(
    context: &Context<'_>,
    call: Granted<&OnBucket>,
) -> Result<Answer, Error> {
    let backend = context.backends.of_whole(&call.bucket, "DeleteBucket")?;
    let held = context.policies.hold(&call.bucket).await?;
    still_granted()?;
    let deleted = backend.delete_bucket(call).await;
    // A bucket that is made anew under this name must not inherit who could reach the old one. Where that
    // cannot be forgotten now, this is asked again and comes here with a bucket that is gone; and nobody
    // makes one of this name before it is forgotten.
    let gone = match &deleted {
        Ok(()) => true,
        Err(error) => error.code() == ErrorCode::NoSuchBucket,
    };
    if gone {
        held.forget().await?;
    }
    deleted?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn head(context: &Context<'_>, call: Granted<&OnBucket>) -> Result<Answer, Error> {
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set(
        HeaderName::from_static("x-amz-bucket-region"),
        context.region,
    );
    let name = HeaderName::from_static("x-amz-access-point-alias");
    answer
        .headers
        .insert(name, HeaderValue::from_static("false"));
    Ok(answer)
}

pub(super) async fn location(
    context: &Context<'_>,
    call: Granted<&OnBucket>,
) -> Result<Answer, Error> {
    context.backends.of(&call.bucket)?.head_bucket(call).await?;
    Ok(Answer::xml(xml::location(context.region)))
}
