#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod refusals;

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::test_runner::{RngAlgorithm, TestRng};
use rand::RngExt as _;
use time::OffsetDateTime;

use super::{Authenticator, Error, Identity};
use crate::crypto::Secret;
use crate::identity::{AccessKey, Directory, Owner};
use crate::s3::{Addressing, Head, Peer, Request};
use crate::sigv4::{
    CanonicalRequest, CredentialScope, Credentials, OutgoingPayload, OutgoingRequest, SigningKey,
    StringToSign, sign,
};

const NOW: i64 = 1_795_000_000;
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn directory() -> Directory {
    Directory::new([AccessKey {
        id: ID.into(),
        secret: Secret::new(SECRET.to_owned()),
        owner: Owner::Root,
        enabled: true,
        policy: None,
    }])
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

/// A request in raw parts.
#[derive(Clone, Debug)]
struct Raw {
    method: Method,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
}

fn parse(raw: &Raw) -> Result<Request, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &raw.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|e| e.to_string())?;
        headers.append(
            name,
            HeaderValue::from_bytes(value).map_err(|e| e.to_string())?,
        );
    }
    let host = headers
        .get("host")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
        tls_version: None,
    };
    let head = Head::new(raw.method.clone(), &raw.target, host, headers, peer)
        .map_err(|e| e.to_string())?;
    Request::parse(head, &Addressing::default()).map_err(|e| e.to_string())
}

fn authenticate(
    raw: &Raw,
    authenticator: &Authenticator,
    directory: &Directory,
) -> Result<bool, String> {
    let request = parse(raw)?;
    let caller = authenticator
        .authenticate(&request, directory, now())
        .map_err(|e: Error| e.to_string())?;
    Ok(matches!(caller.identity(), Identity::Root))
}

/// A random text of what keys and values are made of, odd characters often.
fn text(rng: &mut TestRng, most: usize) -> String {
    const ODD: [&str; 20] = [
        "a",
        "B",
        "7",
        "-",
        ".",
        "_",
        "~",
        " ",
        "+",
        "%",
        "&",
        "=",
        "*",
        "'",
        "(",
        "\u{e9}",
        "\u{1f980}",
        ";",
        "@",
        "$",
    ];
    let length = rng.random_range(1..=most);
    (0..length)
        .map(|_| ODD[rng.random_range(0..ODD.len())])
        .collect()
}

fn encode(text: &str) -> String {
    crate::sigv4::encode(text)
}

/// A random GET or PUT, signed by AWS's own signer in header or query.
fn signed_by_aws(rng: &mut TestRng) -> Raw {
    let key: String = (0..rng.random_range(1..4))
        .map(|_| text(rng, 8).replace('%', "x"))
        .collect::<Vec<_>>()
        .join("/");
    let path = format!(
        "/bucket/{}",
        key.split('/').map(encode).collect::<Vec<_>>().join("/")
    );
    let list = rng.random_bool(0.3);
    let (mut target, method) = match (list, rng.random_bool(0.5)) {
        (true, _) => (
            format!(
                "/bucket?list-type=2&prefix={}&delimiter=%2F&start-after={}",
                encode(&text(rng, 10)),
                encode(&text(rng, 5))
            ),
            Method::GET,
        ),
        (false, true) => (path, Method::GET),
        (false, false) => (path, Method::PUT),
    };
    let mut headers: Vec<(String, String)> = vec![(
        "host".to_owned(),
        format!("127.0.0.1:{}", rng.random_range(1..65535)),
    )];
    for n in 0..rng.random_range(0..4) {
        headers.push((
            format!("x-amz-meta-k{n}"),
            text(rng, 12)
                .chars()
                .filter(char::is_ascii)
                .collect::<String>()
                .trim()
                .to_owned(),
        ));
    }
    let presigned = rng.random_bool(0.3);
    if presigned {
        headers.truncate(1);
    }
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    if presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(600));
    } else {
        settings.payload_checksum_kind = aws_sigv4::http_request::PayloadChecksumKind::XAmzSha256;
    }
    let identity = aws_credential_types::Credentials::new(ID, SECRET, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW).unwrap());
    let params = params.time(time).settings(settings).build().unwrap().into();
    let url = format!("https://{}{target}", headers[0].1);
    let body = if presigned {
        SignableBody::UnsignedPayload
    } else {
        SignableBody::Bytes(b"")
    };
    let signable = SignableRequest::new(
        method.as_str(),
        url,
        headers.iter().map(|(n, v)| (n.as_str(), v.as_str())),
        body,
    )
    .unwrap();
    let (instructions, _) = aws_sigv4::http_request::sign(signable, &params)
        .unwrap()
        .into_parts();
    let (added, query) = instructions.into_parts();
    headers.extend(
        added
            .into_iter()
            .map(|h| (h.name().to_owned(), h.value().to_owned())),
    );
    for (name, value) in query {
        let separator = if target.contains('?') { '&' } else { '?' };
        target = format!("{target}{separator}{name}={}", encode(&value));
    }
    Raw {
        method,
        target,
        headers: headers
            .into_iter()
            .map(|(n, v)| (n, v.into_bytes()))
            .collect(),
    }
}

/// Changes one thing that the signature covers.
fn mutate(rng: &mut TestRng, raw: &Raw) -> Raw {
    let mut raw = raw.clone();
    match rng.random_range(0..6) {
        0 => {
            raw.method = if raw.method == Method::GET {
                Method::PUT
            } else {
                Method::GET
            }
        }
        1 => raw.target = raw.target.replacen("/bucket", "/bucker", 1),
        2 if raw.target.contains('?') => raw.target.push_str("&x-id=Other"),
        2 => raw.target.push('x'),
        3 => {
            let at = rng.random_range(0..raw.headers.len());
            raw.headers[at].1.push(b'1');
        }
        4 => {
            let at = rng.random_range(0..raw.headers.len());
            raw.headers.remove(at);
        }
        _ => raw
            .headers
            .push(("x-amz-meta-added".to_owned(), b"1".to_vec())),
    }
    raw
}

/// How many random requests: 100,000 in the test command, more on demand.
fn cases() -> usize {
    std::env::var("PORTCULLIS_SIGV4_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000)
}

#[test]
fn what_aws_signs_is_accepted_and_any_change_is_refused() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (authenticator, directory) = (Authenticator::new("us-east-1".into()), directory());
    for case in 0..cases() {
        let raw = signed_by_aws(&mut rng);
        assert_eq!(
            authenticate(&raw, &authenticator, &directory),
            Ok(true),
            "case {case}: {raw:?}"
        );
        let changed = mutate(&mut rng, &raw);
        if let Ok(true) = authenticate(&changed, &authenticator, &directory) {
            panic!(
                "case {case}: a change was accepted, this is a security issue: {raw:?} became {changed:?}"
            );
        }
    }
}

/// AWS looks for `x-amz-date` first, then for `Date`; the string to sign has the one form of both.
#[test]
fn a_date_header_stands_for_x_amz_date() {
    const DATE: &str = "Wed, 18 Nov 2026 11:06:40 GMT";
    let signed = |date: Option<&str>| {
        let host = ("host".to_owned(), b"h".to_vec());
        let hash = crate::crypto::EMPTY_SHA256.as_bytes().to_vec();
        let mut headers = vec![host, ("x-amz-content-sha256".to_owned(), hash)];
        let all: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value).unwrap();
                (HeaderName::try_from(name.as_str()).unwrap(), value)
            })
            .collect();
        let names = ["host", "x-amz-content-sha256"];
        let query = std::iter::empty();
        let payload = crate::crypto::EMPTY_SHA256;
        let canonical =
            CanonicalRequest::new(&Method::GET, "/bucket/k", query, &all, &names, payload);
        let scope = CredentialScope::at(now(), "us-east-1", "s3");
        let string = StringToSign::new("20261118T110640Z", &scope, &canonical);
        let key = SigningKey::derive(&Secret::new(SECRET.to_owned()), &scope);
        let signature = key.sign(&string);
        let text = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders={}, Signature={signature}",
            names.join(";")
        );
        headers.push(("authorization".to_owned(), text.into_bytes()));
        headers.extend(date.map(|d| ("date".to_owned(), d.as_bytes().to_vec())));
        let raw = Raw {
            method: Method::GET,
            target: "/bucket/k".to_owned(),
            headers,
        };
        authenticate(&raw, &Authenticator::new("us-east-1".into()), &directory())
    };
    assert_eq!(signed(Some(DATE)), Ok(true));
    assert_eq!(signed(Some("20261118T110640Z")), Ok(true));
    let later = signed(Some("Wed, 18 Nov 2026 11:06:41 GMT"));
    assert_eq!(later, Err("the signature does not match".to_owned()));
    for none in [None, Some(""), Some("yesterday")] {
        assert_eq!(signed(none), Err("there is no valid date".to_owned()));
    }
}

#[test]
fn our_signature_is_aws_own() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let credentials = Credentials {
        access_key_id: ID.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
        session_token: None,
    };
    for case in 0..cases() / 10 {
        let raw = signed_by_aws(&mut rng);
        let theirs = raw.headers.iter().find(|(name, _)| name == "authorization");
        let Some((_, theirs)) = theirs else { continue };
        let (path, query) = raw.target.split_once('?').unwrap_or((&raw.target, ""));
        let query: Vec<_> = crate::s3::Query::parse(query)
            .unwrap()
            .pairs()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        let mut headers = HeaderMap::new();
        for (name, value) in raw
            .headers
            .iter()
            .filter(|(n, _)| n == "host" || n.starts_with("x-amz-meta"))
        {
            headers.append(
                HeaderName::try_from(name.as_str()).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        let path = percent_encoding::percent_decode_str(path)
            .decode_utf8()
            .unwrap()
            .into_owned();
        let payload = OutgoingPayload::Sha256(crate::crypto::sha256(b""));
        let request = OutgoingRequest {
            method: &raw.method,
            path: &path,
            query: &query,
            headers: &headers,
            payload,
        };
        let signed = sign(&request, &credentials, "us-east-1", "s3", now());
        let ours = &signed
            .headers
            .iter()
            .find(|(name, _)| name == "authorization")
            .unwrap()
            .1;
        assert_eq!(ours.as_bytes(), &theirs[..], "case {case}: {raw:?}");
    }
}
