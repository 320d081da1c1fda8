//! What can go wrong between us and an upstream, and what a client is told of it.
//!
//! An upstream's error document is read for its `Code` only: the client gets our code and our
//! message, because the upstream's may name its host, its bucket or our access key. What it said
//! goes into [`s3::Error::reason`], for log and audit.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use crate::s3::{self, ErrorCode};
use http::StatusCode;
use std::borrow::Cow;

/// Why an upstream could not be used, beside what it answered itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The definition of the upstream makes no sense.
    #[error("invalid upstream: {0}")]
    Config(String),
    /// The endpoint's name has no address.
    #[error("cannot resolve the endpoint: {0}")]
    Resolve(String),
    /// No connection, or no TLS session.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Every connection that the definition allows the caller was in use for too long, or too many
    /// wait for one.
    #[error("too busy: {0}")]
    Busy(String),
    /// It took too long.
    #[error("timed out while {0}")]
    Timeout(&'static str),
    /// The connection broke.
    #[error("the connection failed while {doing}: {reason}")]
    Broken {
        /// What was going on.
        doing: &'static str,
        /// What the connection said.
        reason: String,
    },
    /// The answer is not HTTP or not S3.
    #[error("not a valid answer: {0}")]
    Garbage(Cow<'static, str>),
    /// There are no credentials to sign with.
    #[error("no credentials: {0}")]
    Credentials(String),
}

impl Error {
    /// Of a definition that makes no sense, what is wrong with it and nothing before that.
    #[must_use]
    pub fn into_reason(self) -> String {
        match self {
            Self::Config(what) => what,
            other => other.to_string(),
        }
    }

    pub(super) fn garbage(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Garbage(what.into())
    }

    /// What Pingora's error means.
    pub(super) fn broken(doing: &'static str, error: &pingora_error::BError) -> Self {
        use pingora_error::ErrorType as T;
        match error.etype() {
            T::ReadTimedout | T::WriteTimedout | T::ConnectTimedout | T::TLSHandshakeTimedout => {
                Self::Timeout(doing)
            }
            T::InvalidHTTPHeader => Self::garbage("not an HTTP head"),
            _ => Self::Broken {
                doing,
                reason: short(&error.to_string()),
            },
        }
    }
}

impl From<Error> for s3::Error {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Config(_) | Error::Garbage(_) => ErrorCode::InternalError,
            Error::Busy(_) => ErrorCode::SlowDown,
            Error::Resolve(_)
            | Error::Connect(_)
            | Error::Timeout(_)
            | Error::Broken { .. }
            | Error::Credentials(_) => ErrorCode::ServiceUnavailable,
        };
        s3::Error::new(code).because(error)
    }
}

/// What a request was about, which decides what a `404` without a document means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Service,
    Bucket,
    Object,
    Version,
    Part,
    Upload,
}

/// What the client is told when the upstream `name` refused with `status` and, in its document or
/// header, `code` and `message`.
pub(super) fn refusal(
    name: &str,
    about: About,
    status: StatusCode,
    code: Option<&str>,
    message: Option<&str>,
) -> s3::Error {
    let ours = code
        .and_then(|code| by_code(code, about))
        .unwrap_or_else(|| by_status(status, about));
    let said = [code, message].into_iter().flatten().map(short);
    let said: Vec<String> = said.collect();
    ours.because(format_args!(
        "upstream `{name}` answered {} {}",
        status.as_u16(),
        said.join(": ")
    ))
}

/// Whether a refusal says that the credentials themselves are no longer good.
pub(super) fn spoils_credentials(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId")
    )
}

/// Codes that say something of the client's own request, and what they become. Everything that is
/// about our signature, our credentials or our document is not the client's to know.
fn by_code(code: &str, about: About) -> Option<s3::Error> {
    use ErrorCode as E;
    let known = match code {
        "NoSuchBucket" => E::NoSuchBucket,
        // Ceph says so of an upload that is not there.
        "NoSuchKey" if about == About::Upload => E::NoSuchUpload,
        "NoSuchKey" => E::NoSuchKey,
        "NoSuchUpload" => E::NoSuchUpload,
        "NoSuchVersion" => E::NoSuchVersion,
        // Old RGW and others have one word for whatever is not there.
        "NotFound" | "NoSuchEntity" => return Some(by_status(StatusCode::NOT_FOUND, about)),
        "BucketNotEmpty" => E::BucketNotEmpty,
        "BucketAlreadyExists" => E::BucketAlreadyExists,
        "BucketAlreadyOwnedByYou" => E::BucketAlreadyOwnedByYou,
        "PreconditionFailed" => E::PreconditionFailed,
        "NotModified" => E::NotModified,
        "InvalidRange" if about == About::Part => E::InvalidPartNumber,
        "InvalidRange" => E::InvalidRange,
        "InvalidPart" => E::InvalidPart,
        "InvalidPartNumber" => E::InvalidPartNumber,
        "InvalidPartOrder" => E::InvalidPartOrder,
        "EntityTooSmall" => E::EntityTooSmall,
        "EntityTooLarge" => E::EntityTooLarge,
        "ConditionalRequestConflict" | "OperationAborted" => E::ConditionalRequestConflict,
        "MetadataTooLarge" => E::MetadataTooLarge,
        "KeyTooLongError" | "KeyTooLong" => E::KeyTooLong,
        "InvalidArgument" => E::InvalidArgument,
        "InvalidTag" => E::InvalidTag,
        "InvalidRequest" => E::InvalidRequest,
        "InvalidBucketName" => E::InvalidBucketName,
        "BadDigest" | "XAmzContentChecksumMismatch" => E::BadDigest,
        "InvalidDigest" => E::InvalidDigest,
        "InvalidStorageClass" => E::InvalidStorageClass,
        "InvalidLocationConstraint" => E::InvalidLocationConstraint,
        "MethodNotAllowed" => E::MethodNotAllowed,
        "NotImplemented" => E::NotImplemented,
        "SlowDown" | "TooManyRequests" | "SlowDownRead" | "SlowDownWrite" | "Throttling" => {
            E::SlowDown
        }
        "RequestTimeout" | "ServiceUnavailable" | "RequestTimeTooSkewed" | "ExpiredToken" => {
            E::ServiceUnavailable
        }
        "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" => E::InsufficientStorage,
        "InvalidObjectName"
        | "XMinioInvalidObjectName"
        | "XMinioObjectExistsAsDirectory"
        | "XMinioParentIsObject" => {
            return Some(s3::Error::with_message(
                E::InvalidArgument,
                "The store behind this bucket does not take this key.",
            ));
        }
        "TooManyBuckets" => {
            return Some(s3::Error::with_message(
                E::InvalidRequest,
                "The store behind this bucket does not take more buckets.",
            ));
        }
        // Ours to get right, so never the client's fault.
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "SignatureDoesNotMatch"
        | "AuthorizationHeaderMalformed"
        | "XAmzContentSHA256Mismatch"
        | "MissingSecurityHeader"
        | "MalformedXML"
        | "InvalidURI"
        | "PermanentRedirect"
        | "Redirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException"
        | "MissingContentLength"
        | "InvalidChunkSizeError"
        | "IncompleteBody"
        | "MalformedTrailerError" => E::InternalError,
        _ => return None,
    };
    Some(known.into())
}

fn by_status(status: StatusCode, about: About) -> s3::Error {
    use ErrorCode as E;
    let code = match (status.as_u16(), about) {
        (304, _) => E::NotModified,
        (404, About::Object | About::Part) => E::NoSuchKey,
        (404, About::Version) => E::NoSuchVersion,
        (404, About::Upload) => E::NoSuchUpload,
        (404, About::Bucket) => E::NoSuchBucket,
        (405, _) => E::MethodNotAllowed,
        (409, _) => E::ConditionalRequestConflict,
        (412, _) => E::PreconditionFailed,
        (413, _) => E::EntityTooLarge,
        (416, About::Part) => E::InvalidPartNumber,
        (416, _) => E::InvalidRange,
        (429, _) => E::SlowDown,
        (501, _) => E::NotImplemented,
        (507, _) => E::InsufficientStorage,
        (500..=599, _) => E::ServiceUnavailable,
        (400 | 422, _) => E::InvalidRequest,
        // 401 and 403 are about our credentials, 3xx about our configuration.
        _ => E::InternalError,
    };
    code.into()
}

/// An upstream's text for the log: one line, bounded.
pub(super) fn short(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_ours() {
        use About::{Bucket, Object, Part, Service, Upload, Version};
        let cases: [(About, u16, Option<&str>, ErrorCode); 35] = [
            (Object, 404, Some("NoSuchKey"), ErrorCode::NoSuchKey),
            (Object, 404, Some("NoSuchBucket"), ErrorCode::NoSuchBucket),
            (Object, 404, None, ErrorCode::NoSuchKey),
            (Object, 404, Some("Nonsense"), ErrorCode::NoSuchKey),
            (Object, 404, Some("NotFound"), ErrorCode::NoSuchKey),
            (Bucket, 404, None, ErrorCode::NoSuchBucket),
            (Upload, 404, None, ErrorCode::NoSuchUpload),
            (Upload, 404, Some("NoSuchKey"), ErrorCode::NoSuchUpload),
            (Version, 404, None, ErrorCode::NoSuchVersion),
            (Service, 404, None, ErrorCode::InternalError),
            (Object, 304, None, ErrorCode::NotModified),
            (Object, 412, None, ErrorCode::PreconditionFailed),
            (Object, 416, None, ErrorCode::InvalidRange),
            (
                Part,
                416,
                Some("InvalidRange"),
                ErrorCode::InvalidPartNumber,
            ),
            (Part, 416, None, ErrorCode::InvalidPartNumber),
            (Object, 409, None, ErrorCode::ConditionalRequestConflict),
            (
                Bucket,
                409,
                Some("BucketNotEmpty"),
                ErrorCode::BucketNotEmpty,
            ),
            (Object, 429, None, ErrorCode::SlowDown),
            (Object, 503, Some("SlowDown"), ErrorCode::SlowDown),
            (
                Object,
                503,
                Some("InternalError"),
                ErrorCode::ServiceUnavailable,
            ),
            (
                Object,
                500,
                Some("InternalError"),
                ErrorCode::ServiceUnavailable,
            ),
            (Object, 502, None, ErrorCode::ServiceUnavailable),
            (Object, 599, None, ErrorCode::ServiceUnavailable),
            (Object, 507, None, ErrorCode::InsufficientStorage),
            (
                Object,
                403,
                Some("QuotaExceeded"),
                ErrorCode::InsufficientStorage,
            ),
            (Object, 400, Some("Whatever"), ErrorCode::InvalidRequest),
            (Object, 400, None, ErrorCode::InvalidRequest),
            (
                Object,
                400,
                Some("EntityTooSmall"),
                ErrorCode::EntityTooSmall,
            ),
            // What concerns our credentials is our trouble, never the client's refusal.
            (Object, 403, Some("AccessDenied"), ErrorCode::InternalError),
            (
                Object,
                403,
                Some("SignatureDoesNotMatch"),
                ErrorCode::InternalError,
            ),
            (Object, 403, None, ErrorCode::InternalError),
            (Object, 401, None, ErrorCode::InternalError),
            (
                Object,
                400,
                Some("ExpiredToken"),
                ErrorCode::ServiceUnavailable,
            ),
            (
                Object,
                301,
                Some("PermanentRedirect"),
                ErrorCode::InternalError,
            ),
            (Object, 307, None, ErrorCode::InternalError),
        ];
        for (about, status, code, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            let error = refusal(
                "up",
                about,
                status,
                code,
                Some("in bucket canary at canary.host"),
            );
            assert_eq!(error.code(), expected, "{about:?} {status} {code:?}");
            let shown = format!("{} {:?}", error.message(), error.details());
            assert!(!shown.contains("canary"), "{shown}");
            assert!(error.reason().is_some_and(|r| r.contains("canary")));
        }
    }

    #[test]
    fn reasons_are_one_bounded_line() {
        let long = format!("a\r\nb\0{}", "x".repeat(10_000));
        assert_eq!(short(&long).chars().count(), 200);
        assert!(!short(&long).contains(char::is_control));
    }
}
