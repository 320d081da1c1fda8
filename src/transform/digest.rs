//! Every digest that a body must have, computed as its bytes pass.

use md5::Digest as _;

use crate::crypto::constant_time_eq;
use crate::s3::{Checksum, ChecksumAlgorithm, Error, ErrorCode, Hasher};

/// What a body must digest to.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Of `x-amz-content-sha256`.
    pub(super) sha256: Option<[u8; 32]>,
    /// Of `Content-MD5`.
    pub(super) md5: Option<[u8; 16]>,
    /// The checksum that is computed in any case.
    pub(super) algorithm: ChecksumAlgorithm,
    /// The checksum that the head gives.
    pub(super) checksum: Option<Checksum>,
}

/// Digests being computed.
#[derive(Debug)]
pub(super) struct Digests {
    expected: Expected,
    sha256: Option<sha2::Sha256>,
    md5: Option<md5::Md5>,
    checksum: Hasher,
}

impl Digests {
    pub(super) fn new(expected: Expected) -> Self {
        Self {
            sha256: expected.sha256.map(|_| sha2::Sha256::default()),
            md5: expected.md5.map(|_| md5::Md5::default()),
            checksum: Hasher::new(expected.algorithm),
            expected,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.checksum.update(bytes);
    }

    /// Compares everything; `trailer` is the checksum that stood behind the body.
    pub(super) fn finish(self, trailer: Option<&Checksum>) -> Result<Checksum, Error> {
        if let (Some(sha256), Some(expected)) = (self.sha256, self.expected.sha256) {
            let computed: [u8; 32] = sha256.finalize().into();
            if !constant_time_eq(&computed, &expected) {
                return Err(Error::new(ErrorCode::XAmzContentSha256Mismatch)
                    .detail("ClientComputedContentSHA256", hex::encode(expected))
                    .detail("S3ComputedContentSHA256", hex::encode(computed)));
            }
        }
        if let (Some(md5), Some(expected)) = (self.md5, self.expected.md5) {
            let computed: [u8; 16] = md5.finalize().into();
            if !constant_time_eq(&computed, &expected) {
                let message = "The Content-MD5 you specified did not match what we received.";
                return Err(Error::with_message(ErrorCode::BadDigest, message)
                    .detail("ExpectedDigest", hex::encode(expected))
                    .detail("CalculatedDigest", hex::encode(computed)));
            }
        }
        let computed = self.checksum.finish();
        match self.expected.checksum.as_ref().or(trailer) {
            Some(expected) if !constant_time_eq(expected.digest(), computed.digest()) => {
                let name = computed.algorithm.name();
                let message =
                    format!("The {name} you specified did not match the calculated checksum.");
                Err(Error::with_message(ErrorCode::BadDigest, message))
            }
            _ => Ok(computed),
        }
    }
}
