#![expect(clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use proptest::prelude::*;

use super::aws_chunked::Decoder;
use super::digest::{Digests, Expected};
use super::pipeline::Pipeline;
use super::unverified::Unverified;
use crate::crypto::Secret;
use crate::fair::Asker;
use crate::s3::{ChecksumAlgorithm, Error, ErrorCode, Hasher};
use crate::sigv4::{ChunkSigner, CredentialScope, SigningKey};

fn signer() -> ChunkSigner {
    let scope = CredentialScope {
        date: "20261124".to_owned(),
        region: "us-east-1".to_owned(),
        service: "s3".to_owned(),
    };
    let key = SigningKey::derive(&Secret::new("secret".to_owned()), &scope);
    ChunkSigner::new(key, "20261124T000000Z", &scope, "0".repeat(64))
}

/// A framed body: chunks of `size`, signed or not, and a CRC-32 trailer.
fn framed(body: &[u8], size: usize, signed: bool) -> Vec<u8> {
    let mut signer = signer();
    let mut out = Vec::new();
    for chunk in body.chunks(size).chain([&[][..]]) {
        out.extend_from_slice(format!("{:x}", chunk.len()).as_bytes());
        if signed {
            out.extend_from_slice(
                format!(";chunk-signature={}", signer.sign_chunk(chunk)).as_bytes(),
            );
        }
        out.extend_from_slice(b"\r\n");
        if !chunk.is_empty() {
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
    }
    let mut hasher = Hasher::new(ChecksumAlgorithm::Crc32);
    hasher.update(body);
    let line = format!("x-amz-checksum-crc32:{}", hasher.finish().base64());
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
    if signed {
        let signature = signer.sign_trailer(format!("{line}\n").as_bytes());
        out.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn pipeline(length: usize, signed: bool) -> Pipeline {
    let decoder = Decoder::new(
        signed.then(signer),
        Some(ChecksumAlgorithm::Crc32),
        Unverified::within(0, Asker::for_test(9)),
    );
    let expected = Expected {
        sha256: None,
        md5: None,
        algorithm: ChecksumAlgorithm::Crc32,
        checksum: None,
    };
    Pipeline::new(Some(decoder), Digests::new(expected), length as u64)
}

/// What comes out before the end is reached, and how it ends.
fn run(
    input: &[u8],
    splits: &[usize],
    length: usize,
    signed: bool,
) -> (Vec<u8>, Result<(), Error>) {
    let mut pipeline = pipeline(length, signed);
    let mut out = Vec::new();
    let mut rest = input;
    let mut splits = splits.iter().copied().cycle();
    while !rest.is_empty() {
        let take = splits.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (now, later) = rest.split_at(take);
        if let Err(error) = pipeline.push(&Bytes::copy_from_slice(now)) {
            return (out, Err(error));
        }
        while let Some(bytes) = pipeline.pop() {
            out.extend_from_slice(&bytes);
        }
        rest = later;
    }
    assert!(
        out.len() < length || length == 0,
        "the last bytes must be held back until the end"
    );
    let ended = pipeline.finish();
    while let Some(bytes) = pipeline.pop() {
        out.extend_from_slice(&bytes);
    }
    (out, ended)
}

#[test]
fn t08_every_truncation_is_refused() {
    let body: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
    for signed in [true, false] {
        let input = framed(&body, 9000, signed);
        for end in (0..input.len() - 2)
            .step_by(37)
            .chain(input.len() - 200..input.len() - 2)
        {
            let (out, ended) = run(&input[..end], &[4096], body.len(), signed);
            assert!(
                ended.is_err(),
                "a body cut at {end} of {} passed: this is a security issue",
                input.len()
            );
            assert!(out.len() < body.len(), "a refused body came out whole");
        }
        assert!(run(&input, &[4096], body.len(), signed).1.is_ok());
    }
}

#[test]
fn t93_tiny_chunks_come_out_as_few_pieces() {
    let body: Vec<u8> = (0..50_000_u32).map(|n| (n % 251) as u8).collect();
    let input = framed(&body, 1, false);
    for size in [1, 7, 4096, 65_536] {
        let mut pipeline = pipeline(body.len(), false);
        let mut pieces = Vec::new();
        for piece in input.chunks(size) {
            assert!(pipeline.push(&Bytes::copy_from_slice(piece)).is_ok());
            pieces.extend(std::iter::from_fn(|| pipeline.pop()));
        }
        assert!(pieces.concat().len() < body.len(), "the last are held back");
        assert!(pipeline.finish().is_ok());
        pieces.extend(std::iter::from_fn(|| pipeline.pop()));
        assert_eq!(pieces.concat(), body);
        assert!(pieces.len() < 8, "{} pieces", pieces.len());
    }
}

#[test]
fn t91_bombs_are_refused() {
    for (input, code) in [
        (&b"ffffffffffffffff\r\n"[..], ErrorCode::IncompleteBody),
        (b"10000000000000000\r\n", ErrorCode::InvalidRequest),
        (b"-1\r\n", ErrorCode::InvalidRequest),
        (b"\r\n", ErrorCode::InvalidRequest),
        (b"5\nhello", ErrorCode::InvalidRequest),
        (b"5;evil=\"\n\"\r\nhello\r\n", ErrorCode::InvalidRequest),
        (b"5\r\nhelloX\r\n", ErrorCode::InvalidRequest),
        (b"0\r\n\r\nmore", ErrorCode::InvalidRequest),
    ] {
        let (_, ended) = run(input, &[3], 5, false);
        assert_eq!(
            ended.map_err(|e| e.code()),
            Err(code),
            "{}",
            input.escape_ascii()
        );
    }
    assert_eq!(
        run(&[b'1'; 4096], &[4096], 5, false)
            .1
            .map_err(|e| e.code()),
        Err(ErrorCode::InvalidRequest)
    );
    let huge = format!(
        "{:x};chunk-signature={}\r\n",
        17 * 1024 * 1024,
        "0".repeat(64)
    );
    assert_eq!(
        run(huge.as_bytes(), &[4096], 5, true)
            .1
            .map_err(|e| e.code()),
        Err(ErrorCode::EntityTooLarge)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_bytes(body in prop::collection::vec(any::<u8>(), 0..30_000), size in 8192_usize..12_000, splits in prop::collection::vec(1_usize..5000, 1..20), signed: bool) {
        let input = framed(&body, size, signed);
        let (out, ended) = run(&input, &splits, body.len(), signed);
        prop_assert!(ended.is_ok());
        prop_assert_eq!(out, body);
    }

    #[test]
    fn t06_a_changed_byte_never_gives_another_whole_body(body in prop::collection::vec(any::<u8>(), 1..20_000), at: prop::sample::Index, bit in 0_u8..8, signed: bool) {
        let mut input = framed(&body, 8192, signed);
        let at = at.index(input.len());
        input[at] ^= 1 << bit;
        let (out, ended) = run(&input, &[1000], body.len(), signed);
        // What a change leaves as it was (the case of a hexadecimal digit) may pass; other bytes may not.
        prop_assert!(ended.is_err() || out == body);
        prop_assert!(out.len() < body.len() || out == body);
    }

    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..2000), signed: bool, length in 0_usize..3000) {
        let _ = run(&input, &[7, 100], length, signed);
    }
}
