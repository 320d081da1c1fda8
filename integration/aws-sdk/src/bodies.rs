//! Bytes to send, what their checksum is, and what came back.

use std::io::Write;

use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::NamedTempFile;

use crate::check::{During, Failure};

/// `length` bytes that differ from those of any other `seed`, and do not repeat.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length).collect()
}

/// The same in a file, from which the SDK streams.
pub(crate) fn file(bytes: &[u8]) -> Result<NamedTempFile, Failure> {
    let mut file = NamedTempFile::new().during("make a file")?;
    file.write_all(bytes).during("write a file")?;
    Ok(file)
}

/// CRC-32 as `x-amz-checksum-crc32` has it.
pub(crate) fn crc32(bytes: &[u8]) -> String {
    STANDARD.encode(crc32fast::hash(bytes).to_be_bytes())
}

/// A whole answer's body. The SDK has compared its checksum by then.
pub(crate) async fn read(body: ByteStream, what: &str) -> Result<Vec<u8>, Failure> {
    Ok(body.collect().await.during(what)?.to_vec())
}
