//! Why nobody was authenticated, and what a client is told of it.

use crate::s3::{self, ErrorCode};

/// Which check failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than one mechanism is offered.
    #[error("more than one authentication mechanism is offered")]
    TwoMechanisms,
    /// Signature Version 2, where it is not taken.
    #[error("Signature Version 2 is not taken here")]
    VersionTwo,
    /// The header of a Version 2 is not well-formed.
    #[error("the header of Signature Version 2 is malformed")]
    VersionTwoMalformed,
    /// The query of a Version 2 is not well-formed.
    #[error("the query of Signature Version 2 is malformed")]
    VersionTwoParameters,
    /// Version 2 does not cover a word of the query that chooses the operation.
    #[error("Signature Version 2 does not sign `{0}`")]
    VersionTwoOpen(&'static str),
    /// SigV4A, or another scheme of AWS's that is not supported.
    #[error("the authentication mechanism is not supported")]
    Unsupported,
    /// The `Authorization` header names no scheme of AWS's.
    #[error("the authorization header is of another scheme")]
    NoScheme,
    /// The `Authorization` header is not well-formed.
    #[error("the authorization header is malformed: {0}")]
    HeaderMalformed(String),
    /// The query of a presigned URL is not well-formed.
    #[error("the presigned query is malformed: {0}")]
    QueryMalformed(String),
    /// The scope names another region.
    #[error("the scope's region is `{sent}`, ours is `{ours}`")]
    WrongRegion {
        /// The region that was signed for.
        sent: String,
        /// This gateway's.
        ours: String,
    },
    /// A header that the request needs is missing.
    #[error("header `{0}` is missing")]
    MissingHeader(&'static str),
    /// There is no usable date.
    #[error("there is no valid date")]
    NoDate,
    /// The request's time is too far from ours.
    #[error("the request's time differs too much from ours")]
    Skewed,
    /// The presigned URL's time is over.
    #[error("the presigned URL has expired")]
    Expired,
    /// The presigned URL's time has not come.
    #[error("the presigned URL is not valid yet")]
    NotYet,
    /// Headers arrived that the signature does not cover.
    #[error("headers are not signed: {0}")]
    Unsigned(String),
    /// The payload mode does not go with the mechanism or the operation.
    #[error("the payload mode does not go with this request: {0}")]
    Payload(&'static str),
    /// There is no such access key, or it is disabled.
    #[error("the access key is not known")]
    UnknownAccessKey(String),
    /// The signature is not the one we calculate.
    #[error("the signature does not match")]
    Mismatch(Box<Mismatch>),
    /// A security token stands beside a key that has none.
    #[error("the security token is not valid for this key")]
    Token,
    /// An anonymous request asks for what only a signed one may.
    #[error("an anonymous request may not do this: {0}")]
    Anonymous(&'static str),
}

/// What S3 tells a client whose signature does not match, to find the difference by.
#[derive(Debug)]
pub struct Mismatch {
    /// The key that signed.
    pub access_key_id: String,
    /// The signature that came.
    pub signature: String,
    /// What we would have signed.
    pub string_to_sign: String,
    /// What that was calculated from: nothing but what the client sent.
    pub canonical_request: Option<String>,
}

impl Error {
    /// A short, bounded name of the reason, for metrics and audit.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TwoMechanisms => "two_mechanisms",
            Self::Unsupported | Self::NoScheme | Self::VersionTwo | Self::VersionTwoOpen(_) => {
                "unsupported_mechanism"
            }
            Self::VersionTwoMalformed | Self::VersionTwoParameters => "malformed",
            Self::HeaderMalformed(_) | Self::QueryMalformed(_) | Self::MissingHeader(_) => {
                "malformed"
            }
            Self::WrongRegion { .. } => "wrong_scope",
            Self::NoDate => "no_date",
            Self::Skewed | Self::NotYet => "skewed",
            Self::Expired => "expired",
            Self::Unsigned(_) => "unsigned_headers",
            Self::Payload(_) => "payload_mode",
            Self::UnknownAccessKey(_) => "unknown_access_key",
            Self::Mismatch(_) => "signature_mismatch",
            Self::Token => "invalid_token",
            Self::Anonymous(_) => "anonymous",
        }
    }
}

impl From<Error> for s3::Error {
    fn from(error: Error) -> Self {
        let reason = error.reason();
        let with = |code, message: &str| Self::with_message(code, message.to_owned());
        let answer = match error {
            Error::TwoMechanisms => with(
                ErrorCode::InvalidArgument,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
            ),
            Error::Unsupported => with(
                ErrorCode::InvalidRequest,
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256. \
                 Older clients sign so when told to, by `aws configure set default.s3.signature_version s3v4` \
                 or boto3's Config(signature_version='s3v4').",
            ),
            Error::VersionTwo => with(
                ErrorCode::InvalidRequest,
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256. This one is Signature Version 2, which old clients and old defaults make: set signature_version = s3v4 for boto3 and awscli (s3.signature_version in its configuration), or ask for listener.signature_v2 where a client knows no other.",
            ),
            Error::VersionTwoMalformed => with(
                ErrorCode::InvalidArgument,
                "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            )
            .detail("ArgumentName", "Authorization"),
            Error::VersionTwoParameters => with(
                ErrorCode::AccessDenied,
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
            ),
            Error::VersionTwoOpen(word) => with(
                ErrorCode::InvalidRequest,
                &format!("Signature Version 2 does not sign the query parameter '{word}'. Please use AWS4-HMAC-SHA256."),
            ),
            // Not what it holds, which may be a password.
            Error::NoScheme => with(ErrorCode::InvalidArgument, "Unsupported Authorization Type")
                .detail("ArgumentName", "Authorization"),
            Error::HeaderMalformed(what) => with(
                ErrorCode::AuthorizationHeaderMalformed,
                &format!("The authorization header is malformed; {what}"),
            ),
            Error::QueryMalformed(what) => with(ErrorCode::AuthorizationQueryParametersError, &what),
            Error::WrongRegion { sent, ours } => with(
                ErrorCode::AuthorizationHeaderMalformed,
                &format!("The authorization header is malformed; the region '{}' is wrong; expecting '{ours}'", sent.escape_debug()),
            )
            .detail("Region", ours),
            Error::MissingHeader(name) => with(
                ErrorCode::InvalidRequest,
                &format!("Missing required header for this request: {name}"),
            ),
            Error::NoDate => with(
                ErrorCode::AccessDenied,
                "AWS authentication requires a valid Date or x-amz-date header",
            ),
            Error::Skewed => ErrorCode::RequestTimeTooSkewed.into(),
            Error::Expired => with(ErrorCode::AccessDenied, "Request has expired"),
            Error::NotYet => with(ErrorCode::AccessDenied, "Request is not valid yet"),
            Error::Unsigned(names) => with(
                ErrorCode::AccessDenied,
                "There were headers present in the request which were not signed",
            )
            .detail("HeadersNotSigned", names),
            Error::Payload(what) => with(ErrorCode::InvalidRequest, what),
            Error::UnknownAccessKey(id) => {
                Self::new(ErrorCode::InvalidAccessKeyId).detail("AWSAccessKeyId", id)
            }
            Error::Mismatch(what) => {
                let error = Self::new(ErrorCode::SignatureDoesNotMatch)
                    .detail("AWSAccessKeyId", what.access_key_id)
                    .detail("StringToSign", what.string_to_sign)
                    .detail("SignatureProvided", what.signature);
                match what.canonical_request {
                    Some(text) => error.detail("CanonicalRequest", text),
                    None => error,
                }
            }
            Error::Token => ErrorCode::InvalidToken.into(),
            Error::Anonymous(what) => with(ErrorCode::InvalidRequest, what),
        };
        answer.because(reason)
    }
}
