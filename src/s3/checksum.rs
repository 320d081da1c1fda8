//! The checksums that S3 verifies, stores and returns.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use std::hash::Hasher as _;

use super::{Error, ErrorCode, Head};

/// A checksum algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO/HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// MD5, as a checksum of its own beside `Content-MD5`.
    Md5,
    /// XXH64.
    XxHash64,
    /// XXH3 of 64 bits.
    XxHash3,
    /// XXH3 of 128 bits.
    XxHash128,
}

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 10] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Md5,
        Self::XxHash64,
        Self::XxHash3,
        Self::XxHash128,
    ];

    /// Its name in `x-amz-checksum-algorithm` and XML.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Md5 => "MD5",
            Self::XxHash64 => "XXHASH64",
            Self::XxHash3 => "XXHASH3",
            Self::XxHash128 => "XXHASH128",
        }
    }

    /// The header or trailer that carries it.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
            Self::Sha512 => "x-amz-checksum-sha512",
            Self::Md5 => "x-amz-checksum-md5",
            Self::XxHash64 => "x-amz-checksum-xxhash64",
            Self::XxHash3 => "x-amz-checksum-xxhash3",
            Self::XxHash128 => "x-amz-checksum-xxhash128",
        }
    }

    /// The XML element that carries it.
    #[must_use]
    pub const fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
            Self::Sha512 => "ChecksumSHA512",
            Self::Md5 => "ChecksumMD5",
            Self::XxHash64 => "ChecksumXXHASH64",
            Self::XxHash3 => "ChecksumXXHASH3",
            Self::XxHash128 => "ChecksumXXHASH128",
        }
    }

    /// The digest's length in bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme | Self::XxHash64 | Self::XxHash3 => 8,
            Self::Md5 | Self::XxHash128 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Whether the checksum of a whole is known from those of its parts: only such a one can be of a
    /// whole object that is uploaded in parts.
    #[must_use]
    pub const fn joins(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }

    /// The algorithm of that name, whatever its case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// The algorithm of that header or trailer, whatever its case.
    #[must_use]
    pub fn from_header(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.header().eq_ignore_ascii_case(name))
    }
}

/// Whether a multipart object's checksum is of its bytes or of its parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumType {
    /// Of the checksums of its parts, followed by `-` and their number.
    Composite,
    /// Of its bytes.
    FullObject,
}

impl ChecksumType {
    /// Its name in `x-amz-checksum-type` and XML.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Composite => "COMPOSITE",
            Self::FullObject => "FULL_OBJECT",
        }
    }
}

/// A digest and its algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// The digest, big-endian, [`ChecksumAlgorithm::length`] bytes.
    // INVARIANT: as long as the algorithm says; `parse` and `Hasher` are the makers.
    digest: Vec<u8>,
}

impl Checksum {
    /// Reads base64 as it stands in a header, trailer or XML.
    #[must_use]
    pub fn parse(algorithm: ChecksumAlgorithm, text: &str) -> Option<Self> {
        let digest = STANDARD.decode(text.trim()).ok()?;
        (digest.len() == algorithm.length()).then_some(Self { algorithm, digest })
    }

    /// The digest's bytes.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// The digest as it stands in a header, trailer or XML.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.digest)
    }
}

/// Where a request says its body's checksum is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChecksumSource {
    /// In the head.
    Header(Checksum),
    /// In the trailer of an `aws-chunked` body.
    Trailer,
    /// Nowhere: the algorithm is named for us to compute and keep.
    Computed,
}

/// The checksum that a request asks to verify, compute and keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumRequest {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Where the expected digest is.
    pub source: ChecksumSource,
}

impl ChecksumRequest {
    /// The checksum that a head gives of a document, which has no trailer.
    ///
    /// # Errors
    /// `InvalidRequest` for one that is none, for several, and for an algorithm's name alone.
    pub fn of_document(head: &Head) -> Result<Option<Checksum>, Error> {
        match super::parse::checksum::of_document(head)? {
            None => Ok(None),
            Some(Self {
                source: ChecksumSource::Header(checksum),
                ..
            }) => Ok(Some(checksum)),
            Some(_) => {
                let message = "x-amz-trailer needs a streaming payload that has a trailer";
                Err(Error::with_message(ErrorCode::InvalidRequest, message))
            }
        }
    }
}

/// A checksum being computed over bytes as they pass.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Crc(ChecksumAlgorithm, crc_fast::Digest),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Md5(md5::Md5),
    XxHash64(twox_hash::XxHash64),
    XxHash3(twox_hash::XxHash3_64),
    XxHash128(twox_hash::XxHash3_128),
}

impl Hasher {
    /// An empty one.
    #[must_use]
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        use crc_fast::{CrcAlgorithm, Digest};
        Self(match algorithm {
            ChecksumAlgorithm::Crc32 => {
                State::Crc(algorithm, Digest::new(CrcAlgorithm::Crc32IsoHdlc))
            }
            ChecksumAlgorithm::Crc32c => {
                State::Crc(algorithm, Digest::new(CrcAlgorithm::Crc32Iscsi))
            }
            ChecksumAlgorithm::Crc64Nvme => {
                State::Crc(algorithm, Digest::new(CrcAlgorithm::Crc64Nvme))
            }
            ChecksumAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            ChecksumAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            ChecksumAlgorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            ChecksumAlgorithm::Md5 => State::Md5(md5::Md5::new()),
            ChecksumAlgorithm::XxHash64 => State::XxHash64(twox_hash::XxHash64::with_seed(0)),
            ChecksumAlgorithm::XxHash3 => State::XxHash3(twox_hash::XxHash3_64::new()),
            ChecksumAlgorithm::XxHash128 => State::XxHash128(twox_hash::XxHash3_128::new()),
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(_, digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
            State::Sha512(digest) => digest.update(bytes),
            State::Md5(digest) => digest.update(bytes),
            State::XxHash64(digest) => digest.write(bytes),
            State::XxHash3(digest) => digest.write(bytes),
            State::XxHash128(digest) => digest.write(bytes),
        }
    }

    /// The checksum of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Checksum {
        let (algorithm, digest) = match self.0 {
            State::Crc(algorithm, digest) => {
                let value = digest.finalize().to_be_bytes();
                let tail = value.len().saturating_sub(algorithm.length());
                (algorithm, value.iter().skip(tail).copied().collect())
            }
            State::Sha1(digest) => (ChecksumAlgorithm::Sha1, digest.finalize().to_vec()),
            State::Sha256(digest) => (ChecksumAlgorithm::Sha256, digest.finalize().to_vec()),
            State::Sha512(digest) => (ChecksumAlgorithm::Sha512, digest.finalize().to_vec()),
            State::Md5(digest) => (ChecksumAlgorithm::Md5, digest.finalize().to_vec()),
            // Their canonical forms are big-endian.
            State::XxHash64(digest) => {
                let value = digest.finish().to_be_bytes();
                (ChecksumAlgorithm::XxHash64, value.to_vec())
            }
            State::XxHash3(digest) => {
                let value = digest.finish().to_be_bytes();
                (ChecksumAlgorithm::XxHash3, value.to_vec())
            }
            State::XxHash128(digest) => {
                let value = digest.finish_128().to_be_bytes();
                (ChecksumAlgorithm::XxHash128, value.to_vec())
            }
        };
        Checksum { algorithm, digest }
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

/// The CRC of two byte strings joined, from the CRC of each and the second's length: how a
/// multipart object gets its full-object checksum without being read. `None` for other algorithms
/// than a CRC, or where the two differ in algorithm.
#[must_use]
pub fn combine(first: &Checksum, second: &Checksum, second_length: u64) -> Option<Checksum> {
    use crc_fast::CrcAlgorithm;
    let crc = match first.algorithm {
        ChecksumAlgorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        ChecksumAlgorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        ChecksumAlgorithm::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        _ => return None,
    };
    if first.algorithm != second.algorithm {
        return None;
    }
    let number = |c: &Checksum| c.digest.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    let joined = crc_fast::checksum_combine(crc, number(first), number(second), second_length);
    let bytes = joined.to_be_bytes();
    let tail = bytes.len().saturating_sub(first.algorithm.length());
    Some(Checksum {
        algorithm: first.algorithm,
        digest: bytes.iter().skip(tail).copied().collect(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn published_check_values() {
        // The check values of the CRC catalogue, of FIPS 180-4, and of `xxhsum`, for "123456789".
        for (algorithm, hex_digest) in [
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (
                ChecksumAlgorithm::Sha1,
                "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
            ),
            (
                ChecksumAlgorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
            (
                ChecksumAlgorithm::Sha512,
                "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
            ),
            (ChecksumAlgorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (ChecksumAlgorithm::XxHash64, "8cb841db40e6ae83"),
            (ChecksumAlgorithm::XxHash3, "72dcb18b67a17dff"),
            (
                ChecksumAlgorithm::XxHash128,
                "33119477ede5dcd5e9716427681d5860",
            ),
        ] {
            let checksum = of(algorithm, b"123456789");
            assert_eq!(hex::encode(checksum.digest()), hex_digest);
            assert_eq!(
                Checksum::parse(algorithm, &checksum.base64()),
                Some(checksum)
            );
        }
        assert_eq!(Checksum::parse(ChecksumAlgorithm::Crc32, "AAAA"), None);
        assert_eq!(
            Checksum::parse(ChecksumAlgorithm::Crc32, "not base64"),
            None
        );
    }

    #[test]
    fn crcs_combine() {
        for algorithm in [
            ChecksumAlgorithm::Crc32,
            ChecksumAlgorithm::Crc32c,
            ChecksumAlgorithm::Crc64Nvme,
        ] {
            for split in 0..9 {
                let (a, b) = b"123456789".split_at(split);
                let joined = combine(&of(algorithm, a), &of(algorithm, b), b.len() as u64).unwrap();
                assert_eq!(
                    joined,
                    of(algorithm, b"123456789"),
                    "{algorithm:?} at {split}"
                );
            }
        }
        let sha = of(ChecksumAlgorithm::Sha256, b"");
        assert_eq!(combine(&sha, &sha, 0), None);
    }
}
