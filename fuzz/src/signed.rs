//! One access key, and requests that are signed with it: the positive twins of what a target alters.

use std::sync::Arc;

use http::HeaderValue;
use portcullis::authn::Authenticator;
use portcullis::crypto::Secret;
use portcullis::identity::{AccessKey, Directory, Owner};
use portcullis::s3::Head;
use portcullis::s3::time::amz_date;
use portcullis::sigv4::{
    self, CanonicalRequest, ChunkSigner, CredentialScope, Credentials, OutgoingPayload,
    OutgoingRequest, SigningKey, StringToSign,
};
use time::OffsetDateTime;

use crate::with_headers;

/// The access key's id.
pub const ID: &str = "AKIDFUZZ";
/// The region that signatures are for.
pub const REGION: &str = "us-east-1";
// No seed is signed with it, so whatever is accepted as it came was forged.
const SECRET: &str = "a secret that stands in no seed";

/// 2026-11-18: the one time at which the targets without a connection live.
#[must_use]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_795_000_000)
}

/// Who checks.
#[must_use]
pub fn authenticator() -> Authenticator {
    Authenticator::new(REGION.into())
}

/// Who exists: root, with the one key.
#[must_use]
pub fn directory() -> Directory {
    Directory::new([AccessKey {
        id: Arc::from(ID),
        secret: Secret::new(SECRET.to_owned()),
        owner: Owner::Root,
        enabled: true,
        policy: None,
    }])
}

/// `head` signed in its `Authorization` header, and what signs the chunks of its body.
#[must_use]
pub fn sign(head: &Head, payload: OutgoingPayload, at: OffsetDateTime) -> (Head, ChunkSigner) {
    let query: Vec<(String, String)> = head
        .query
        .pairs()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let request = OutgoingRequest {
        method: &head.method,
        path: &head.path,
        query: &query,
        headers: head.headers(),
        payload,
    };
    let credentials = Credentials {
        access_key_id: ID.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
        session_token: None,
    };
    let signed = sigv4::sign(&request, &credentials, REGION, "s3", at);
    let head = with_headers(head, |headers| {
        for (name, value) in signed.headers {
            headers.insert(name, value);
        }
    });
    (head, signed.chunks)
}

/// `head`, which names a host, signed in its query; every `x-amz-*` header that it has is covered.
/// Answers the request target.
#[must_use]
pub fn presign(head: &Head, at: OffsetDateTime) -> String {
    let scope = CredentialScope::at(at, REGION, "s3");
    let date = amz_date(at);
    let mut names: Vec<&str> = head.headers().keys().map(|name| name.as_str()).collect();
    names.retain(|name| *name == "host" || name.starts_with("x-amz-"));
    names.sort_unstable();
    let list = names.join(";");
    let credential = format!("{ID}/{scope}");
    let added = [
        ("X-Amz-Algorithm", sigv4::ALGORITHM),
        ("X-Amz-Credential", &credential),
        ("X-Amz-Date", &date),
        ("X-Amz-Expires", "600"),
        ("X-Amz-SignedHeaders", &list),
    ];
    let payload = head.headers().get("x-amz-content-sha256");
    let payload = payload.map_or(Ok("UNSIGNED-PAYLOAD"), HeaderValue::to_str);
    let canonical = CanonicalRequest::new(
        &head.method,
        &head.path,
        head.query.pairs().chain(added),
        head.headers(),
        &names,
        payload.unwrap_or_default(),
    );
    let key = SigningKey::derive(&Secret::new(SECRET.to_owned()), &scope);
    let signature = key.sign(&StringToSign::new(&date, &scope, &canonical));
    let pairs = head.query.pairs().chain(added);
    let pairs = pairs.chain([("X-Amz-Signature", signature.as_str())]);
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", sigv4::encode(name), sigv4::encode(value)))
        .collect();
    format!("{}?{}", head.raw_path, pairs.join("&"))
}
