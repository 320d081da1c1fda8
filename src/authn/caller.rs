//! Who asks, and how that was proved.

use std::sync::Arc;

/// How a caller was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// A signature in the `Authorization` header.
    Header,
    /// A signature in the query: a presigned URL.
    Presigned,
}

impl Mechanism {
    /// The value of the condition key `s3:authType`.
    #[must_use]
    pub const fn auth_type(self) -> &'static str {
        match self {
            Self::Header => "REST-HEADER",
            Self::Presigned => "REST-QUERY-STRING",
        }
    }
}

/// Which of AWS's signatures it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Signature Version 2.
    Two,
    /// Signature Version 4.
    Four,
}

impl Version {
    /// The value of the condition key `s3:signatureversion`.
    #[must_use]
    pub const fn signature_version(self) -> &'static str {
        match self {
            Self::Two => "AWS",
            Self::Four => "AWS4-HMAC-SHA256",
        }
    }
}

/// Whose access key it is.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Nobody said who they are: only what a bucket policy grants to everyone is theirs.
    Anonymous,
    /// The account's root user.
    Root,
    /// A user of the directory.
    User(Arc<crate::identity::User>),
}

/// How the caller proved it: what a decision and the body's verification need of the signature.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The access key that signed.
    pub access_key_id: Arc<str>,
    /// Where the signature stood.
    pub mechanism: Mechanism,
    /// Which signature it was.
    pub version: Version,
    /// When the request was signed; 1970 for a link that does not say.
    pub signed_at: time::OffsetDateTime,
    /// The key and seed that an `aws-chunked` body's chunk signatures continue from, which Version 2 has
    /// not.
    pub chunks: Option<crate::sigv4::ChunkSigner>,
}

/// Who asks. Made by `authn` only.
#[derive(Clone, Debug)]
pub struct Caller {
    // INVARIANT: private fields, built only by `authn` once the proof has been checked; `proof` is
    // there exactly when the identity is not `Anonymous`.
    identity: Identity,
    proof: Option<Proof>,
    limit: Option<Arc<crate::iam::Policy>>,
}

impl Caller {
    pub(super) fn anonymous() -> Self {
        Self {
            identity: Identity::Anonymous,
            proof: None,
            limit: None,
        }
    }

    pub(super) fn proved(
        identity: Identity,
        proof: Proof,
        limit: Option<Arc<crate::iam::Policy>>,
    ) -> Self {
        Self {
            identity,
            proof: Some(proof),
            limit,
        }
    }

    /// Whose access key it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the access key may at most, where it is a service account's.
    #[must_use]
    pub fn limit(&self) -> Option<&crate::iam::Policy> {
        self.limit.as_deref()
    }

    /// How it was proved; `None` for the anonymous caller.
    #[must_use]
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }
}
