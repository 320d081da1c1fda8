//! Who asks: the `Authorization` header and the presigned query.
//!
//! A request as it comes is anybody's: it may pass as anonymous where it offers nothing, and never
//! as root, whose secret no seed is signed with. The same request signed by us must pass, and must
//! not once anything that the signature covers has been altered (T1 to T13).

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use portcullis::authn::{Authenticator, Caller, Error, Identity};
use portcullis::identity::Directory;
use portcullis::s3::{Addressing, Head, Request};
use portcullis::sigv4::OutgoingPayload;
use portcullis_fuzz::{Parts, authenticator, directory, now, peer, presign, sign, with_headers};

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(authenticator);
static DIRECTORY: LazyLock<Directory> = LazyLock::new(directory);

fuzz_target!(|data: &[u8]| {
    let Some(head) = Parts::read(data).and_then(|parts| parts.head()) else {
        return;
    };
    match authenticate(&head) {
        Some(Ok(caller)) => {
            assert!(
                matches!(caller.identity(), Identity::Anonymous) && caller.proof().is_none(),
                "a forged signature: this is a security issue: {head:?}"
            );
            assert!(offers_nothing(&head), "an offer became anonymous: {head:?}");
        }
        // What is shown of a failure is bounded by what came.
        Some(Err(error)) => {
            let shown = portcullis::s3::Error::from(error);
            let all: usize = shown.details().iter().map(|(_, text)| text.len()).sum();
            assert!(all < 16 * 1024 + 8 * data.len(), "{shown:?}");
        }
        // What is unknown in a query may be a header of a presigned one.
        None => {}
    }
    if !offers_nothing(&head) {
        return;
    }
    let choice = data
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    let mut head = head;
    if !head.headers().contains_key(header::HOST) {
        let host = HeaderValue::from_static("127.0.0.1:9000");
        head = with_headers(&head, |headers| drop(headers.insert(header::HOST, host)));
    }
    signed_in_the_header(&head, choice);
    signed_in_the_query(&head, choice);
});

/// `None` where it is no request at all.
fn authenticate(head: &Head) -> Option<Result<Caller, Error>> {
    let request = Request::parse(head.clone(), &Addressing::default()).ok()?;
    Some(AUTHENTICATOR.authenticate(&request, &DIRECTORY, now()))
}

fn offers_nothing(head: &Head) -> bool {
    const OFFERS: [&str; 6] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "AWSAccessKeyId",
        "Signature",
    ];
    let mut keys = head.query.pairs().map(|(key, _)| key);
    !head.headers().contains_key(header::AUTHORIZATION) && !keys.any(|key| OFFERS.contains(&key))
}

fn signed_in_the_header(head: &Head, choice: u8) {
    let payload = head
        .headers()
        .get("x-amz-content-sha256")
        .map(HeaderValue::as_bytes);
    let payload = match payload {
        Some(b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD") => OutgoingPayload::SignedChunks,
        Some(b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") => OutgoingPayload::SignedChunksTrailer,
        Some(b"STREAMING-UNSIGNED-PAYLOAD-TRAILER") => OutgoingPayload::UnsignedTrailer,
        _ => OutgoingPayload::Unsigned,
    };
    let (signed, _) = sign(head, payload, now());
    if passes(&signed) {
        let altered = alter(&signed, choice);
        assert!(
            !passes(&altered),
            "this is a security issue: {signed:?} became {altered:?}"
        );
    }
}

fn signed_in_the_query(head: &Head, choice: u8) {
    // A parameter of the signature that is there already would be there twice.
    if head
        .query
        .pairs()
        .any(|(key, _)| Head::is_signature_parameter(key))
    {
        return;
    }
    let target = presign(head, now());
    let (method, headers) = (head.method.clone(), head.headers().clone());
    let signed = Head::new(method, &target, head.host.clone(), headers, peer());
    let signed = signed.expect("what was encoded can be decoded");
    if passes(&signed) {
        let altered = alter(&signed, choice);
        assert!(
            !passes(&altered),
            "this is a security issue: {signed:?} became {altered:?}"
        );
    }
}

/// Whether a request that we signed is root's. It may be refused for what it asks, never because
/// the verifier reads it otherwise than the signer.
fn passes(head: &Head) -> bool {
    match authenticate(head) {
        None => false,
        Some(Ok(caller)) => {
            assert!(matches!(caller.identity(), Identity::Root));
            true
        }
        Some(Err(error)) => {
            let altered = head.headers().contains_key("x-fuzz-altered");
            let asked = matches!(
                error,
                Error::Payload(_)
                    | Error::Token
                    | Error::HeaderMalformed(_)
                    | Error::QueryMalformed(_)
            );
            assert!(altered || asked, "{error:?}: {head:?}");
            false
        }
    }
}

/// Changes one thing that a signature covers.
fn alter(head: &Head, choice: u8) -> Head {
    let yes = HeaderValue::from_static("yes");
    let mut head = with_headers(head, |headers| {
        headers.insert("x-fuzz-altered", yes.clone());
        match choice % 7 {
            2 => drop(headers.insert("x-amz-meta-added-behind-the-signature", yes)),
            3 => drop(headers.append(header::HOST, yes)),
            4 => drop(headers.insert(header::HOST, HeaderValue::from_static("elsewhere"))),
            6 => spoil(headers),
            _ => {}
        }
    });
    match choice % 7 {
        0 if head.method == Method::GET => head.method = Method::HEAD,
        0 => head.method = Method::GET,
        1 => head.path.push('x'),
        5 => {
            // As the target would have been on the wire.
            let pairs = head.query.pairs().map(|(name, value)| {
                let encode = portcullis::sigv4::encode;
                format!("{}={}", encode(name), encode(value))
            });
            let query: Vec<String> = pairs.chain(["x-id=Added".to_owned()]).collect();
            let target = format!("{}?{}", head.raw_path, query.join("&"));
            let (method, host) = (head.method.clone(), head.host.clone());
            head = Head::new(method, &target, host, head.headers().clone(), peer())
                .expect("an encoded query");
        }
        _ => {}
    }
    head
}

/// A signed value that a proxy on the way would have changed.
fn spoil(headers: &mut HeaderMap) {
    let signed = |name: &&HeaderName| name.as_str().starts_with("x-amz-");
    let name = headers.keys().find(signed).cloned();
    let name = name.unwrap_or(header::HOST);
    let value = headers.get(&name).map_or(&b""[..], HeaderValue::as_bytes);
    let value = HeaderValue::from_bytes(&[value, b"1"].concat()).expect("still a value");
    headers.insert(name, value);
}
