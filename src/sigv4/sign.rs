//! Signs a request that goes out.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use time::OffsetDateTime;

use super::{ChunkSigner, CredentialScope, SigningKey, authorize};
use crate::crypto::{EMPTY_SHA256, Secret};
use crate::s3::time::amz_date;

/// What signs.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret: Secret,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// What `x-amz-content-sha256` says of an outgoing body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingPayload {
    /// No body: the SHA-256 of nothing.
    Empty,
    /// The body's SHA-256.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    SignedChunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    SignedChunksTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedTrailer,
}

impl OutgoingPayload {
    /// The header's value.
    #[must_use]
    pub fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Sha256(digest) => return Cow::Owned(hex::encode(digest)),
            Self::Empty => EMPTY_SHA256,
            Self::Unsigned => "UNSIGNED-PAYLOAD",
            Self::SignedChunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedChunksTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        })
    }
}

/// A request to sign, in decoded parts.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The decoded path.
    pub path: &'a str,
    /// The decoded query.
    pub query: &'a [(String, String)],
    /// Every header that is sent, `host` included; `host`, `content-type`, `content-md5` and
    /// `x-amz-*` are signed.
    pub headers: &'a HeaderMap,
    /// The body.
    pub payload: OutgoingPayload,
}

/// A signed request.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Headers to add: `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token`,
    /// `authorization`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Signs the body's chunks.
    pub chunks: ChunkSigner,
}

/// Signs `request` for `region` and `service` at `now`.
#[must_use]
pub fn sign(
    request: &OutgoingRequest<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: OffsetDateTime,
) -> Signed {
    let scope = CredentialScope::at(now, region, service);
    let key = SigningKey::derive(&credentials.secret, &scope);
    let date = amz_date(now);
    let payload = request.payload.text();
    let mut added = vec![
        ("x-amz-date", date.as_str()),
        ("x-amz-content-sha256", &payload),
    ];
    if let Some(token) = &credentials.session_token {
        added.push(("x-amz-security-token", token.expose()));
    }
    let mut all = request.headers.clone();
    let mut headers = Vec::with_capacity(4);
    for (name, text) in added {
        if let Ok(mut value) = HeaderValue::from_str(text) {
            value.set_sensitive(name == "x-amz-security-token");
            all.insert(name, value.clone());
            headers.push((HeaderName::from_static(name), value));
        }
    }
    let complete = OutgoingRequest {
        headers: &all,
        ..*request
    };
    let id = &credentials.access_key_id;
    let (authorization, signature) = authorize(&complete, id, &key, &scope, &date);
    if let Ok(mut value) = HeaderValue::from_str(&authorization) {
        value.set_sensitive(true);
        headers.push((AUTHORIZATION, value));
    }
    Signed {
        headers,
        chunks: ChunkSigner::new(key, &date, &scope, signature),
    }
}

pub(super) fn covered(name: &str) -> bool {
    matches!(name, "host" | "content-type" | "content-md5") || name.starts_with("x-amz-")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sigv4::{CanonicalRequest, StringToSign};
    use time::macros::datetime;

    fn credentials() -> Credentials {
        Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: None,
        }
    }

    /// The list example of AWS's documentation of header-based signing.
    #[test]
    fn documented_list() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "host",
            HeaderValue::from_static("examplebucket.s3.amazonaws.com"),
        );
        let query = [
            ("max-keys".to_owned(), "2".to_owned()),
            ("prefix".to_owned(), "J".to_owned()),
        ];
        let request = OutgoingRequest {
            method: &Method::GET,
            path: "/",
            query: &query,
            headers: &headers,
            payload: OutgoingPayload::Empty,
        };
        let signed = sign(
            &request,
            &credentials(),
            "us-east-1",
            "s3",
            datetime!(2013-05-24 00:00 UTC),
        );
        let authorization = signed
            .headers
            .iter()
            .find(|(name, _)| name == AUTHORIZATION)
            .unwrap();
        assert_eq!(
            authorization.1.to_str().unwrap(),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    /// The chunked upload example of AWS's documentation: seed and chunk signatures.
    #[test]
    fn documented_chunks() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "s3.amazonaws.com"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-decoded-content-length", "66560"),
            ("content-encoding", "aws-chunked"),
            ("content-length", "66824"),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let scope = CredentialScope::at(datetime!(2013-05-24 00:00 UTC), "us-east-1", "s3");
        headers.insert("x-amz-date", HeaderValue::from_static("20130524T000000Z"));
        headers.insert(
            "x-amz-content-sha256",
            HeaderValue::from_static("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        );
        let names = [
            "content-encoding",
            "content-length",
            "host",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-decoded-content-length",
            "x-amz-storage-class",
        ];
        let canonical = CanonicalRequest::new(
            &Method::PUT,
            "/examplebucket/chunkObject.txt",
            std::iter::empty(),
            &headers,
            &names,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        );
        let key = SigningKey::derive(&credentials().secret, &scope);
        let seed = key.sign(&StringToSign::new("20130524T000000Z", &scope, &canonical));
        assert_eq!(
            seed,
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
        );
        let mut chunks = ChunkSigner::new(key, "20130524T000000Z", &scope, seed);
        let signatures =
            [vec![b'a'; 65536], vec![b'a'; 1024], Vec::new()].map(|c| chunks.sign_chunk(&c));
        assert_eq!(
            signatures,
            [
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            ]
        );
    }
}
