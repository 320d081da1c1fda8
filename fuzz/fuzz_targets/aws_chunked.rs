//! Bodies in `aws-chunked`, signed or not, however they arrive.
//!
//! The first byte chooses: signed (1), signed by us rather than as it came (2), a trailer is
//! announced (4). Then the trailer's algorithm, the declared length in two bytes, where to cut, and
//! the body. However it is cut, the outcome is the same; nobody sees a whole body before every check
//! has passed, nor more than was declared; a signature that is not ours never passes (T6 to T8).

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use portcullis::authn::Authenticator;
use portcullis::identity::Directory;
use portcullis::s3::{Addressing, ChecksumAlgorithm, ErrorCode, Head, Request};
use portcullis::sigv4::{ChunkSigner, OutgoingPayload};
use portcullis::transform::{Limits, UploadPlan};
use portcullis_fuzz::{authenticator, directory, now, peer, sign};

const EXTENSION: &[u8] = b";chunk-signature=";
const TRAILER_SIGNATURE: &[u8] = b"x-amz-trailer-signature:";

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(authenticator);
static DIRECTORY: LazyLock<Directory> = LazyLock::new(directory);

fuzz_target!(|data: &[u8]| {
    let [mode, algorithm, low, high, cut, framed @ ..] = data else {
        return;
    };
    let (signed, ours) = (mode & 1 != 0, mode & 2 != 0);
    let algorithm = ChecksumAlgorithm::ALL[usize::from(*algorithm) % ChecksumAlgorithm::ALL.len()];
    let trailer = (mode & 4 != 0).then_some(algorithm);
    let declared = u16::from_le_bytes([*low, *high]);
    let (plan, signer) = plan(signed, trailer, declared);
    let framed = match signer.filter(|_| ours) {
        Some(signer) => sign_chunks(framed, signer),
        None => framed.to_vec(),
    };
    let whole = outcome(&plan, &framed, framed.len().max(1));
    assert_eq!(outcome(&plan, &framed, usize::from(*cut) + 1), whole);
    if framed.len() < 1024 {
        assert_eq!(outcome(&plan, &framed, 1), whole);
    }
    if let Ok(body) = whole {
        assert!(
            !signed || ours,
            "a forged signature: this is a security issue"
        );
        assert_eq!(body, plainly_decoded(&framed));
    }
});

/// The plan of an upload whose head says so, and what its body's chunks are signed with.
fn plan(
    signed: bool,
    trailer: Option<ChecksumAlgorithm>,
    declared: u16,
) -> (UploadPlan, Option<ChunkSigner>) {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    headers.insert("x-amz-decoded-content-length", declared.into());
    if let Some(algorithm) = trailer {
        headers.insert(
            "x-amz-trailer",
            HeaderValue::from_static(algorithm.header()),
        );
    }
    let payload = match (signed, trailer) {
        (false, _) => OutgoingPayload::UnsignedTrailer,
        (true, None) => OutgoingPayload::SignedChunks,
        (true, Some(_)) => OutgoingPayload::SignedChunksTrailer,
    };
    let text = HeaderValue::from_str(&payload.text()).expect("a plain text");
    headers.insert("x-amz-content-sha256", text);
    let head = Head::new(
        Method::PUT,
        "/bucket/key",
        "localhost".to_owned(),
        headers,
        peer(),
    );
    let head = head.expect("a good head");
    let (head, signer) = match signed {
        true => {
            let (head, signer) = sign(&head, payload, now());
            (head, Some(signer))
        }
        false => (head, None),
    };
    let request = Request::parse(head, &Addressing::default()).expect("a good request");
    let caller = AUTHENTICATOR.authenticate(&request, &DIRECTORY, now());
    let caller = caller.expect("a good signature, or none");
    let plan = UploadPlan::new(&request, &caller, None, &Limits::default());
    (plan.expect("a good plan"), signer)
}

/// The body that comes out of `framed`, pushed in pieces of `size`, or how it is refused.
fn outcome(plan: &UploadPlan, framed: &[u8], size: usize) -> Result<Vec<u8>, ErrorCode> {
    let mut pipeline = plan.pipeline();
    let mut body = Vec::new();
    for piece in framed.chunks(size) {
        pipeline
            .push(&Bytes::copy_from_slice(piece))
            .map_err(|error| error.code())?;
        while let Some(bytes) = pipeline.pop() {
            assert!(!bytes.is_empty());
            body.extend_from_slice(&bytes);
        }
        let seen = body.len() as u64;
        assert!(
            seen < plan.length() || seen == 0,
            "a whole body came out unchecked"
        );
    }
    pipeline.finish().map_err(|error| error.code())?;
    while let Some(bytes) = pipeline.pop() {
        body.extend_from_slice(&bytes);
    }
    assert_eq!(body.len() as u64, plan.length());
    assert!(pipeline.checksum().is_some());
    Ok(body)
}

/// The line at the start of `rest` and what follows its CRLF.
fn line(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    Some((&rest[..end], &rest[end + 2..]))
}

/// A size line's size.
fn size(line: &[u8]) -> Option<usize> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

/// What a decoder gives that checks nothing.
fn plainly_decoded(framed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut rest = framed;
    while let Some((head, behind)) = line(rest) {
        let size = size(head).expect("it was accepted");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&behind[..size]);
        rest = &behind[size + 2..];
    }
    body
}

/// Puts right signatures wherever `framed` has a place for one.
fn sign_chunks(framed: &[u8], mut signer: ChunkSigner) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = framed;
    while let Some((head, behind)) = line(rest) {
        let at = head
            .windows(EXTENSION.len())
            .position(|part| part == EXTENSION);
        let (Some(at), Some(size)) = (at, size(head)) else {
            break;
        };
        let (chunk, behind) = behind.split_at(size.min(behind.len()));
        out.extend_from_slice(&head[..at]);
        out.extend_from_slice(EXTENSION);
        out.extend_from_slice(signer.sign_chunk(chunk).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(chunk);
        rest = behind;
        if size == 0 {
            break;
        }
        let end = behind.len().min(2);
        out.extend_from_slice(&behind[..end]);
        rest = &behind[end..];
    }
    let mut text = Vec::new();
    while let Some((head, behind)) = line(rest) {
        if head.starts_with(TRAILER_SIGNATURE) {
            out.extend_from_slice(TRAILER_SIGNATURE);
            out.extend_from_slice(signer.sign_trailer(&text).as_bytes());
        } else {
            out.extend_from_slice(head);
            text.extend_from_slice(&signed_line(head));
        }
        out.extend_from_slice(b"\r\n");
        rest = behind;
    }
    out.extend_from_slice(rest);
    out
}

/// A trailer's line as its signature covers it.
fn signed_line(line: &[u8]) -> Vec<u8> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    [name.to_ascii_lowercase().as_slice(), b":", value, b"\n"].concat()
}
