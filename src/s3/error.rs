//! S3's errors: one table from code to status and message, and the error a client is answered with.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
//!
//! Each room has its own error and says here, by `From`, what a client may know of it. The
//! operator's side of the story ([`Error::reason`]) goes to log and audit and never to the client.

use http::StatusCode;
use std::borrow::Cow;

macro_rules! error_codes {
    ($($name:ident $code:literal $status:ident $message:literal;)*) => {
        /// An S3 error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $message] $name,)* }

        impl ErrorCode {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text of the `Code` element.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// AWS's message for it.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

error_codes! {
    AccessDenied "AccessDenied" FORBIDDEN "Access Denied";
    AccessForbidden "AccessForbidden" FORBIDDEN "Access forbidden";
    AuthorizationHeaderMalformed "AuthorizationHeaderMalformed" BAD_REQUEST "The authorization header you provided is invalid.";
    AuthorizationQueryParametersError "AuthorizationQueryParametersError" BAD_REQUEST "Error parsing the X-Amz-Credential parameter.";
    BadDigest "BadDigest" BAD_REQUEST "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BadRequest "BadRequest" BAD_REQUEST "An error occurred when parsing the HTTP request.";
    BucketAlreadyExists "BucketAlreadyExists" CONFLICT "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.";
    BucketAlreadyOwnedByYou "BucketAlreadyOwnedByYou" CONFLICT "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty "BucketNotEmpty" CONFLICT "The bucket you tried to delete is not empty";
    ConditionalRequestConflict "ConditionalRequestConflict" CONFLICT "The conditional request cannot succeed due to a conflicting operation against this resource.";
    EntityTooLarge "EntityTooLarge" BAD_REQUEST "Your proposed upload exceeds the maximum allowed size";
    EntityTooSmall "EntityTooSmall" BAD_REQUEST "Your proposed upload is smaller than the minimum allowed size";
    ExpectationFailed "ExpectationFailed" EXPECTATION_FAILED "The expectation in the Expect header cannot be met.";
    ExpiredToken "ExpiredToken" BAD_REQUEST "The provided token has expired.";
    IllegalLocationConstraintException "IllegalLocationConstraintException" BAD_REQUEST "The location constraint is incompatible for the region specific endpoint this request was sent to.";
    IncompleteBody "IncompleteBody" BAD_REQUEST "You did not provide the number of bytes specified by the Content-Length HTTP header";
    InsufficientStorage "InsufficientStorage" INSUFFICIENT_STORAGE "The storage behind this bucket has no room left.";
    InternalError "InternalError" INTERNAL_SERVER_ERROR "We encountered an internal error. Please try again.";
    InvalidAccessKeyId "InvalidAccessKeyId" FORBIDDEN "The AWS Access Key Id you provided does not exist in our records.";
    InvalidArgument "InvalidArgument" BAD_REQUEST "Invalid Argument";
    InvalidBucketName "InvalidBucketName" BAD_REQUEST "The specified bucket is not valid.";
    InvalidChunkSizeError "InvalidChunkSizeError" FORBIDDEN "Only the last chunk is allowed to have a size less than 8192 bytes";
    InvalidDigest "InvalidDigest" BAD_REQUEST "The Content-MD5 you specified was invalid.";
    InvalidLocationConstraint "InvalidLocationConstraint" BAD_REQUEST "The specified location-constraint is not valid";
    InvalidPart "InvalidPart" BAD_REQUEST "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartNumber "InvalidPartNumber" RANGE_NOT_SATISFIABLE "The requested partnumber is not satisfiable";
    InvalidPartOrder "InvalidPartOrder" BAD_REQUEST "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidPolicyDocument "InvalidPolicyDocument" BAD_REQUEST "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange "InvalidRange" RANGE_NOT_SATISFIABLE "The requested range is not satisfiable";
    InvalidRedirectLocation "InvalidRedirectLocation" BAD_REQUEST "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.";
    InvalidRequest "InvalidRequest" BAD_REQUEST "Invalid Request";
    InvalidStorageClass "InvalidStorageClass" BAD_REQUEST "The storage class you specified is not valid";
    InvalidTag "InvalidTag" BAD_REQUEST "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation.";
    InvalidToken "InvalidToken" BAD_REQUEST "The provided token is malformed or otherwise invalid.";
    InvalidUri "InvalidURI" BAD_REQUEST "Couldn't parse the specified URI.";
    KeyTooLong "KeyTooLongError" BAD_REQUEST "Your key is too long";
    MalformedPolicy "MalformedPolicy" BAD_REQUEST "Policies must be valid JSON and the first byte must be '{'";
    MalformedTrailer "MalformedTrailerError" BAD_REQUEST "The request contained trailing data that was not well-formed or did not conform to our published schema.";
    MalformedXml "MalformedXML" BAD_REQUEST "The XML you provided was not well-formed or did not validate against our published schema";
    MaxMessageLengthExceeded "MaxMessageLengthExceeded" BAD_REQUEST "Your request was too big.";
    MetadataTooLarge "MetadataTooLarge" BAD_REQUEST "Your metadata headers exceed the maximum allowed metadata size";
    MethodNotAllowed "MethodNotAllowed" METHOD_NOT_ALLOWED "The specified method is not allowed against this resource.";
    MissingContentLength "MissingContentLength" LENGTH_REQUIRED "You must provide the Content-Length HTTP header.";
    MissingSecurityHeader "MissingSecurityHeader" BAD_REQUEST "Your request was missing a required header";
    NoSuchBucket "NoSuchBucket" NOT_FOUND "The specified bucket does not exist";
    NoSuchBucketPolicy "NoSuchBucketPolicy" NOT_FOUND "The bucket policy does not exist";
    NoSuchConfiguration "NoSuchConfiguration" NOT_FOUND "The specified configuration does not exist.";
    NoSuchCorsConfiguration "NoSuchCORSConfiguration" NOT_FOUND "The CORS configuration does not exist";
    NoSuchKey "NoSuchKey" NOT_FOUND "The specified key does not exist.";
    NoSuchLifecycleConfiguration "NoSuchLifecycleConfiguration" NOT_FOUND "The lifecycle configuration does not exist";
    NoSuchPublicAccessBlockConfiguration "NoSuchPublicAccessBlockConfiguration" NOT_FOUND "The public access block configuration was not found";
    NoSuchTagSet "NoSuchTagSet" NOT_FOUND "The TagSet does not exist";
    NoSuchUpload "NoSuchUpload" NOT_FOUND "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion "NoSuchVersion" NOT_FOUND "The specified version does not exist.";
    NoSuchWebsiteConfiguration "NoSuchWebsiteConfiguration" NOT_FOUND "The specified bucket does not have a website configuration";
    NotImplemented "NotImplemented" NOT_IMPLEMENTED "A header you provided implies functionality that is not implemented";
    NotModified "NotModified" NOT_MODIFIED "Not Modified";
    ObjectLockConfigurationNotFound "ObjectLockConfigurationNotFoundError" NOT_FOUND "Object Lock configuration does not exist for this bucket";
    PreconditionFailed "PreconditionFailed" PRECONDITION_FAILED "At least one of the pre-conditions you specified did not hold";
    ReplicationConfigurationNotFound "ReplicationConfigurationNotFoundError" NOT_FOUND "The replication configuration was not found";
    RequestHeaderSectionTooLarge "RequestHeaderSectionTooLarge" BAD_REQUEST "Your request header section exceeds the maximum allowed request header section size";
    RequestTimeTooSkewed "RequestTimeTooSkewed" FORBIDDEN "The difference between the request time and the current time is too large.";
    RequestTimeout "RequestTimeout" BAD_REQUEST "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.";
    ServerSideEncryptionConfigurationNotFound "ServerSideEncryptionConfigurationNotFoundError" NOT_FOUND "The server side encryption configuration was not found";
    ServiceUnavailable "ServiceUnavailable" SERVICE_UNAVAILABLE "Service is unable to handle request.";
    SignatureDoesNotMatch "SignatureDoesNotMatch" FORBIDDEN "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    SlowDown "SlowDown" SERVICE_UNAVAILABLE "Please reduce your request rate.";
    XAmzContentSha256Mismatch "XAmzContentSHA256Mismatch" BAD_REQUEST "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

/// What a client is answered when a request fails, and what the operator is told of it.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: ErrorCode,
    message: Cow<'static, str>,
    details: Vec<(&'static str, String)>,
    reason: Option<String>,
    limit: Option<&'static str>,
    retry_after: u8,
}

impl Error {
    /// `code` with AWS's message for it.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self::with_message(code, code.message())
    }

    /// `code` with a message that says more than the code's own.
    #[must_use]
    pub fn with_message(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            details: Vec::new(),
            reason: None,
            limit: None,
            retry_after: 1,
        }))
    }

    /// `InternalError`, with what happened for the log only.
    #[must_use]
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::InternalError).because(reason)
    }

    /// `SlowDown`, since `limit` of the configuration is reached.
    #[must_use]
    pub fn limited(limit: &'static str) -> Self {
        let mut error = Self::new(ErrorCode::SlowDown);
        error.0.reason = Some(format!("the limit `{limit}` is reached"));
        error.0.limit = Some(limit);
        error
    }

    /// Adds an element that S3 documents for this code, such as `ArgumentName`.
    #[must_use]
    pub fn detail(mut self, element: &'static str, text: impl Into<String>) -> Self {
        self.0.details.push((element, text.into()));
        self
    }

    /// Adds what the operator should know and the client must not: never a secret.
    #[must_use]
    pub fn because(mut self, reason: impl std::fmt::Display) -> Self {
        self.0.reason = Some(reason.to_string());
        self
    }

    /// Says how many seconds a client should wait before it asks again, a minute at most.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = u8::try_from(seconds.clamp(1, 60)).unwrap_or(60);
        self
    }

    /// How many seconds a client should wait before it asks again, where that may help.
    #[must_use]
    pub fn patience(&self) -> u8 {
        self.0.retry_after
    }

    /// The S3 code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The message for the client.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Elements beside `Code` and `Message`.
    #[must_use]
    pub fn details(&self) -> &[(&'static str, String)] {
        &self.0.details
    }

    /// The limit that is reached.
    #[must_use]
    pub fn limit(&self) -> Option<&'static str> {
        self.0.limit
    }

    /// The operator's side of the story.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code().as_str(), self.message())?;
        match self.reason() {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_and_named_once() {
        let mut seen = std::collections::HashSet::new();
        for code in ErrorCode::ALL {
            assert!(
                code.status().is_client_error()
                    || code.status().is_server_error()
                    || *code == ErrorCode::NotModified
            );
            assert!(seen.insert(code.as_str()), "{code:?}");
        }
    }
}
