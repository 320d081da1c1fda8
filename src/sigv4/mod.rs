//! Signature Version 4 itself, used to verify (`authn`) and to sign (`backend::upstream`).
//!
//! Verifying and signing share one canonicaliser, so that they cannot disagree. Pure: the time is an
//! argument, and a secret is only ever a key of an HMAC.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod authorize;
mod canonical_request;
mod chunk;
mod sign;
mod signing_key;
mod string_to_sign;
pub mod version_two;

pub use authorize::authorize;
pub use canonical_request::{CanonicalRequest, encode, encode_path};
pub use chunk::ChunkSigner;
pub use sign::{Credentials, OutgoingPayload, OutgoingRequest, Signed, sign};
pub use signing_key::SigningKey;
pub use string_to_sign::{CredentialScope, InvalidScope, StringToSign};

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
