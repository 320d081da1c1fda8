//! Proves a claim: the signature is the one that the named key's secret gives.

use std::sync::{Arc, LazyLock};

use super::claim::Claim;
use super::error::Mismatch;
use super::{Authenticator, Caller, Error, Identity, Proof, Version, signed_headers};
use crate::crypto::{Secret, constant_time_eq};
use crate::identity::{Directory, Owner};
use crate::s3::Request;
use crate::sigv4::{CanonicalRequest, ChunkSigner, SigningKey, StringToSign};

/// Whose signing key is remembered for every unknown access key: nobody's id is so short.
pub(super) const NOBODY: &str = "";

/// What stands in for an unknown key's secret. Its signatures are refused like any other.
pub(super) static NOBODYS_SECRET: LazyLock<Secret> =
    LazyLock::new(|| Secret::new("nobody has this secret".to_owned()));

/// Verifies `claim`. An unknown key costs what a known one costs, so that time does not tell which
/// keys exist (T15).
pub(super) fn verify(
    authenticator: &Authenticator,
    request: &Request,
    directory: &Directory,
    claim: &Claim<'_>,
) -> Result<Caller, Error> {
    let head = &request.head;
    let query = head
        .query
        .pairs()
        .filter(|(name, _)| *name != "X-Amz-Signature");
    let canonical = CanonicalRequest::new(
        &head.method,
        &head.path,
        query,
        head.headers(),
        &claim.signed_headers,
        claim.payload,
    );
    let string = StringToSign::new(&claim.date, &claim.scope, &canonical);

    let known = directory
        .access_key(claim.access_key_id)
        .filter(|key| key.enabled);
    let (id, secret) = match known {
        Some(key) => (Arc::clone(&key.id), &key.secret),
        None => (Arc::from(NOBODY), &*NOBODYS_SECRET),
    };
    let signing_key = authenticator
        .keys
        .get_with((id, claim.scope.date.clone()), || {
            SigningKey::derive(secret, &claim.scope)
        });
    let expected = signing_key.sign(&string);
    let arrived = signed_headers::arrived(head, &claim.signed_headers);
    let matches = constant_time_eq(expected.as_bytes(), claim.signature.as_bytes()) && arrived;
    let Some(key) = known else {
        return Err(Error::UnknownAccessKey(shown(claim.access_key_id)));
    };
    if !matches {
        return Err(Error::Mismatch(Box::new(Mismatch {
            access_key_id: shown(claim.access_key_id),
            signature: claim.signature.to_owned(),
            string_to_sign: string.text().to_owned(),
            canonical_request: Some(canonical.text()),
        })));
    }
    // Keys of the configuration are permanent: a token beside one belongs to something else (T13).
    if claim.security_token.is_some() {
        return Err(Error::Token);
    }
    let chunks = ChunkSigner::new(signing_key, &claim.date, &claim.scope, expected);
    let proof = Proof {
        access_key_id: key.id.clone(),
        mechanism: claim.mechanism,
        version: Version::Four,
        signed_at: claim.signed_at,
        chunks: Some(chunks),
    };
    let identity = match &key.owner {
        Owner::Root => Identity::Root,
        Owner::User(user) => Identity::User(Arc::clone(user)),
    };
    Ok(Caller::proved(identity, proof, key.policy.clone()))
}

/// An access key id as it may be shown: bounded.
pub(super) fn shown(id: &str) -> String {
    id.chars().take(128).collect()
}
