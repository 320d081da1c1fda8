//! Carries out what was permitted: asks the backend, and says the outcome in S3's words.
//!
//! A handler sees a [`Permit`] and the request's body, never the bare request, and answers a head
//! and a body that may still stream.

mod body;
mod bucket;
mod bucket_policy;
mod configuration;
mod copy;
mod delete;
mod document;
mod facts;
mod headers;
mod keys;
mod listing;
mod multipart;
mod object;
mod public_access;
mod tagging;

pub use body::RequestBody;
pub use facts::learn;
pub use keys::{DecidedKey, DecidedKeys};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use time::OffsetDateTime;

use crate::authz::{Authorizer, GrantedCall, Permit};
use crate::backend::Body;
use crate::backend::router::Backends;
use crate::identity::BucketPolicies;
use crate::s3::operation::BodyKind;
use crate::s3::{Error, ErrorCode, Operation, time as s3_time};
use crate::transform::Limits;

/// What handlers need beside the permit: one state for the whole request.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Where buckets live.
    pub backends: &'a Backends,
    /// Bucket policies.
    pub policies: &'a BucketPolicies,
    /// Decides further resources that a body or a copy names.
    pub authorizer: &'a Authorizer,
    /// The region this gateway says it is.
    pub region: &'a str,
    /// The account that owns every bucket.
    pub account: &'a str,
    /// Limits on bodies.
    pub limits: &'a Limits,
    /// When the request arrived.
    pub now: OffsetDateTime,
    /// What is told of keys that are decided one by one.
    pub keys: &'a DecidedKeys,
}

/// An answer: its body may still stream.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers, `content-length` among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Answer {
    /// A status and nothing else.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        if status != StatusCode::NO_CONTENT {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Self {
            status,
            headers,
            body: Body::Empty,
        }
    }

    /// A document.
    #[must_use]
    pub fn document(content_type: &'static str, document: String) -> Self {
        let mut answer = Self::empty(StatusCode::OK);
        answer.headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static(content_type),
        );
        answer.headers.insert(
            http::header::CONTENT_LENGTH,
            HeaderValue::from(document.len()),
        );
        answer.body = Body::Whole(document.into());
        answer
    }

    /// An XML document.
    #[must_use]
    pub fn xml(document: String) -> Self {
        Self::document("application/xml", document)
    }

    /// Sets a header whose text came from a store or a client. One that cannot stand in a header is
    /// left out: it must not end the header and start another (T59).
    pub fn set(&mut self, name: HeaderName, text: &str) {
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            self.headers.insert(name, value);
        }
    }
}

/// Carries out what `permit` permits.
///
/// # Errors
/// S3's own errors, as the backend or the body's checks have them.
pub async fn answer(
    context: &Context<'_>,
    permit: &Permit,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    let outcome = match facts::compares_what_decided(permit) {
        Ok(()) => match nothing_unread(context, permit, body).await {
            Ok(()) => dispatch(context, permit, body).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    outcome.map_err(|error| conceal(context, permit, error))
}

/// What comes with an operation that reads no body is read all the same, and must be what its head says:
/// a hash that is not the body's is somebody's who changed the one or the other.
async fn nothing_unread(
    context: &Context<'_>,
    permit: &Permit,
    body: &mut dyn RequestBody,
) -> Result<(), Error> {
    if permit.operation().row().body != BodyKind::None {
        return Ok(());
    }
    let (request, caller) = (permit.request(), permit.caller());
    body::document(context, request, caller, body, bucket::MAX_CONFIGURATION).await?;
    Ok(())
}

async fn dispatch(
    context: &Context<'_>,
    permit: &Permit,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    match permit.call() {
        GrantedCall::ListBuckets(call) => bucket::list(context, call).await,
        GrantedCall::CreateBucket(call) => bucket::create(context, permit, call, body).await,
        GrantedCall::DeleteBucket(call) => bucket::delete(context, call).await,
        GrantedCall::HeadBucket(call) => bucket::head(context, call).await,
        GrantedCall::GetBucketLocation(call) => bucket::location(context, call).await,
        GrantedCall::GetBucketPolicy(call) => bucket_policy::get(context, call).await,
        GrantedCall::PutBucketPolicy(call) => bucket_policy::put(context, permit, call, body).await,
        GrantedCall::DeleteBucketPolicy(call) => bucket_policy::delete(context, call).await,
        GrantedCall::GetBucketPolicyStatus(call) => bucket_policy::status(context, call).await,
        GrantedCall::GetPublicAccessBlock(call) => public_access::get(context, call).await,
        GrantedCall::PutPublicAccessBlock(call) => {
            public_access::put(context, permit, call, body).await
        }
        GrantedCall::DeletePublicAccessBlock(call) => public_access::delete(context, call).await,
        GrantedCall::ListObjects(call) => listing::objects(context, call).await,
        GrantedCall::ListObjectsV2(call) => listing::objects_v2(context, call).await,
        GrantedCall::ListObjectVersions(call) => listing::versions(context, call).await,
        GrantedCall::GetBucketVersioning(call) => configuration::versioning(context, call).await,
        GrantedCall::GetConfiguration(call) => configuration::get(context, call).await,
        GrantedCall::GetObjectAcl(call) => configuration::object_acl(context, call).await,
        GrantedCall::ListMultipartUploads(call) => listing::uploads(context, call).await,
        GrantedCall::DeleteObjects(call) => delete::objects(context, permit, call, body).await,
        GrantedCall::GetObject(call) => object::get(context, permit, call).await,
        GrantedCall::HeadObject(call) => object::head(context, permit, call).await,
        GrantedCall::PutObject(call) => object::put(context, permit, call, body).await,
        GrantedCall::DeleteObject(call) => delete::object(context, call).await,
        GrantedCall::CopyObject(call) => copy::object(context, permit, call).await,
        GrantedCall::CreateMultipartUpload(call) => multipart::create(context, call).await,
        GrantedCall::UploadPart(call) => multipart::part(context, permit, call, body).await,
        GrantedCall::UploadPartCopy(call) => copy::part(context, permit, call).await,
        GrantedCall::CompleteMultipartUpload(call) => {
            multipart::complete(context, permit, call, body).await
        }
        GrantedCall::AbortMultipartUpload(call) => multipart::abort(context, call).await,
        GrantedCall::ListParts(call) => multipart::list_parts(context, call).await,
        GrantedCall::GetObjectTagging(call) => tagging::get(context, permit, call).await,
        GrantedCall::PutObjectTagging(call) => tagging::put(context, permit, call, body).await,
        GrantedCall::DeleteObjectTagging(call) => tagging::delete(context, permit, call).await,
    }
}

/// A missing object is 404 only to one who may list the bucket; to others it is as forbidden as one
/// that is there, so that nobody learns names by trying.
fn conceal(context: &Context<'_>, permit: &Permit, error: Error) -> Error {
    let finds = matches!(
        permit.operation(),
        Operation::GetObject
            | Operation::HeadObject
            | Operation::CopyObject
            | Operation::UploadPartCopy
            | Operation::GetObjectAcl
            | Operation::GetObjectTagging
            | Operation::PutObjectTagging
            | Operation::DeleteObjectTagging
    );
    let missing = matches!(
        error.code(),
        ErrorCode::NoSuchKey | ErrorCode::NoSuchVersion
    );
    if finds
        && missing
        && !context
            .authorizer
            .may_list(permit, context.policies, context.now)
    {
        return Error::new(ErrorCode::AccessDenied)
            .because("the object is missing and the caller may not list the bucket");
    }
    error
}

/// The answer to a refused or failed request: XML as S3 has it, or headers only for a HEAD.
#[must_use]
pub fn refusal(error: &Error, resource: &str, request_id: &str, head_only: bool) -> Answer {
    let status = error.code().status();
    let mut answer = if status == StatusCode::NOT_MODIFIED {
        let mut answer = Answer::empty(status);
        answer.headers.remove(http::header::CONTENT_LENGTH);
        answer
    } else {
        Answer::xml(crate::s3::xml::error(error, resource, request_id))
    };
    for (name, value) in error.details() {
        match *name {
            "ETag" => answer.set(http::header::ETAG, value),
            "LastModified" => answer.set(http::header::LAST_MODIFIED, value),
            "Region" => answer.set(HeaderName::from_static("x-amz-bucket-region"), value),
            _ => {}
        }
    }
    answer.status = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = u16::from(error.patience());
        answer
            .headers
            .insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if head_only {
        answer.body = Body::Empty;
    }
    answer
}

/// The id that S3 shows as an account's canonical user: the SHA-256 of the account id.
#[must_use]
pub(crate) fn canonical_id(account: &str) -> String {
    hex::encode(crate::crypto::sha256(account.as_bytes()))
}

/// A time as headers have it.
fn http_date(at: OffsetDateTime) -> HeaderValue {
    HeaderValue::from_str(&s3_time::http_date(at)).unwrap_or(HeaderValue::from_static(""))
}
