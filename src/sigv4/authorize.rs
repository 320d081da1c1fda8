//! Signs one of many requests: with a signing key that is already there, over headers that are
//! already complete.

use super::sign::covered;
use super::{
    ALGORITHM, CanonicalRequest, CredentialScope, OutgoingRequest, SigningKey, StringToSign,
};
use http::HeaderName;

/// The `Authorization` of a request whose headers are complete, `x-amz-date` (which is `date`),
/// `x-amz-content-sha256` and `x-amz-security-token` among them; and its signature alone, from
/// which chunks go on. `key` is for `scope`.
#[must_use]
pub fn authorize(
    request: &OutgoingRequest<'_>,
    access_key_id: &str,
    key: &SigningKey,
    scope: &CredentialScope,
    date: &str,
) -> (String, String) {
    let names = request.headers.keys().map(HeaderName::as_str);
    let mut names: Vec<&str> = names.filter(|name| covered(name)).collect();
    names.sort_unstable();
    let query = request.query.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let canonical = CanonicalRequest::new(
        request.method,
        request.path,
        query,
        request.headers,
        &names,
        &request.payload.text(),
    );
    let signature = key.sign(&StringToSign::new(date, scope, &canonical));
    let mut authorization = String::with_capacity(320);
    for part in [ALGORITHM, " Credential=", access_key_id, "/"] {
        authorization.push_str(part);
    }
    scope.write(&mut authorization);
    authorization.push_str(", SignedHeaders=");
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            authorization.push(';');
        }
        authorization.push_str(name);
    }
    authorization.push_str(", Signature=");
    authorization.push_str(&signature);
    (authorization, signature)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::crypto::Secret;
    use crate::sigv4::{Credentials, OutgoingPayload, sign};
    use http::{HeaderMap, HeaderValue, Method};
    use time::macros::datetime;

    /// Signing with a kept key is signing.
    #[test]
    fn both_ways_agree() {
        let credentials = Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: Some(Secret::new("token".to_owned())),
        };
        let now = datetime!(2026-11-24 10:20:30 UTC);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("127.0.0.1:9000"));
        headers.insert("range", HeaderValue::from_static("bytes=0-1"));
        headers.append("x-amz-meta-a", HeaderValue::from_static(" b  c "));
        let query = [("prefix".to_owned(), "a/ +".to_owned())];
        let mut request = OutgoingRequest {
            method: &Method::GET,
            path: "/bucket/a b//c",
            query: &query,
            headers: &headers,
            payload: OutgoingPayload::SignedChunks,
        };
        let mut signed = sign(&request, &credentials, "eu-west-1", "s3", now);
        let mut complete = headers.clone();
        for (name, value) in &signed.headers {
            complete.insert(name, value.clone());
        }
        let expected = complete.remove("authorization").unwrap();
        request.headers = &complete;
        let scope = CredentialScope::at(now, "eu-west-1", "s3");
        let key = SigningKey::derive(&credentials.secret, &scope);
        let date = crate::s3::time::amz_date(now);
        let id = &credentials.access_key_id;
        let (authorization, signature) = authorize(&request, id, &key, &scope, &date);
        assert_eq!(authorization.as_bytes(), expected.as_bytes());
        let mut chunks = crate::sigv4::ChunkSigner::new(key, &date, &scope, signature);
        assert_eq!(chunks.sign_chunk(b"x"), signed.chunks.sign_chunk(b"x"));
    }
}
