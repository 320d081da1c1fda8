//! How an upload's bytes are framed for an upstream, with exact lengths.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use super::config::Payload;
use super::error::Error;
use crate::s3::{Checksum, ChecksumAlgorithm};
use crate::sigv4::{ChunkSigner, OutgoingPayload};
use bytes::{BufMut as _, Bytes, BytesMut};

/// Bytes of data per signed chunk: each is gathered and hashed before it is sent.
const SIGNED_CHUNK: u64 = 64 << 10;
/// Bytes of data per unsigned chunk: these pass through without being gathered.
const UNSIGNED_CHUNK: u64 = 1 << 20;
/// `;chunk-signature=` and 64 digits.
const CHUNK_SIGNATURE: u64 = 17 + 64;
/// `x-amz-trailer-signature:`, 64 digits and a line end.
const TRAILER_SIGNATURE: u64 = 24 + 64 + 2;

/// How one request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// As it is, `UNSIGNED-PAYLOAD`.
    Plain,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    SignedChunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    SignedTrailer(ChecksumAlgorithm),
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedTrailer(ChecksumAlgorithm),
}

/// A checksum that is known when the bytes have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) algorithm: ChecksumAlgorithm,
    /// Whether the client wants it, rather than us.
    pub(super) asked: bool,
}

impl Framing {
    /// The framing of `payload`, for an endpoint under TLS or not, that keeps checksums or not.
    pub(super) fn choose(
        payload: Payload,
        confidential: bool,
        checksums: bool,
        trailer: Option<Trailer>,
    ) -> Self {
        let Some(Trailer { algorithm, asked }) = trailer else {
            // The checksum is in the head, or there is none to keep.
            return match payload {
                Payload::Unsigned => Self::Plain,
                Payload::SignedChunks => Self::SignedChunks,
                // TLS guards the bytes on their way, and without it their signatures do.
                Payload::Auto | Payload::ChecksumTrailer if confidential => Self::Plain,
                Payload::Auto | Payload::ChecksumTrailer => Self::SignedChunks,
            };
        };
        match payload {
            Payload::ChecksumTrailer if confidential => Self::UnsignedTrailer(algorithm),
            Payload::ChecksumTrailer => Self::SignedTrailer(algorithm),
            Payload::Auto if checksums && confidential => Self::UnsignedTrailer(algorithm),
            Payload::Auto if checksums => Self::SignedTrailer(algorithm),
            // A checksum that the client wants kept, and that comes last, has no other way.
            Payload::Unsigned if checksums && asked => Self::UnsignedTrailer(algorithm),
            Payload::SignedChunks if checksums && asked => Self::SignedTrailer(algorithm),
            _ => Self::choose(payload, confidential, checksums, None),
        }
    }

    fn chunk(self) -> u64 {
        match self {
            Self::SignedChunks | Self::SignedTrailer(_) => SIGNED_CHUNK,
            Self::Plain | Self::UnsignedTrailer(_) => UNSIGNED_CHUNK,
        }
    }

    fn is_signed(self) -> bool {
        matches!(self, Self::SignedChunks | Self::SignedTrailer(_))
    }

    /// The trailer's checksum.
    pub(super) fn trailer(self) -> Option<ChecksumAlgorithm> {
        match self {
            Self::SignedTrailer(algorithm) | Self::UnsignedTrailer(algorithm) => Some(algorithm),
            Self::Plain | Self::SignedChunks => None,
        }
    }

    /// What `x-amz-content-sha256` says of it.
    pub(super) fn payload(self) -> OutgoingPayload {
        match self {
            Self::Plain => OutgoingPayload::Unsigned,
            Self::SignedChunks => OutgoingPayload::SignedChunks,
            Self::SignedTrailer(_) => OutgoingPayload::SignedChunksTrailer,
            Self::UnsignedTrailer(_) => OutgoingPayload::UnsignedTrailer,
        }
    }

    /// `Content-Length` of `length` bytes once framed.
    pub(super) fn encoded_length(self, length: u64) -> u64 {
        if self == Self::Plain {
            return length;
        }
        let signature = if self.is_signed() { CHUNK_SIGNATURE } else { 0 };
        let chunk = |data: u64| hex_length(data) + signature + 2 + data + 2;
        let full = length / self.chunk();
        let rest = length % self.chunk();
        let mut total = full * chunk(self.chunk());
        if rest > 0 {
            total += chunk(rest);
        }
        // The last chunk is empty, and an empty line ends the body.
        total += 1 + signature + 2 + 2;
        if let Some(algorithm) = self.trailer() {
            let digest = algorithm.length().div_ceil(3) * 4;
            total += (algorithm.header().len() + 1 + digest + 2) as u64;
            if self.is_signed() {
                total += TRAILER_SIGNATURE;
            }
        }
        total
    }
}

/// How many hexadecimal digits `n > 0` has.
fn hex_length(n: u64) -> u64 {
    u64::from(64_u32.saturating_sub(n.leading_zeros()).div_ceil(4))
}

/// Frames one body.
pub(super) struct Framer {
    framing: Framing,
    signer: Option<ChunkSigner>,
    // Bytes of the whole body that have not come yet.
    left: u64,
    // Signed: the chunk being gathered. Unsigned: empty.
    gathered: BytesMut,
    // Unsigned: bytes of the open chunk that have not come yet.
    open: u64,
}

impl Framer {
    /// `signer` is there when the framing signs chunks.
    pub(super) fn new(framing: Framing, length: u64, signer: Option<ChunkSigner>) -> Self {
        Self {
            framing,
            signer,
            left: length,
            gathered: BytesMut::new(),
            open: 0,
        }
    }

    /// Frames the next bytes; `send` gets what goes onto the wire.
    pub(super) fn push(&mut self, mut data: Bytes, out: &mut Vec<Bytes>) -> Result<(), Error> {
        let length = data.len() as u64;
        let Some(left) = self.left.checked_sub(length) else {
            return Err(Error::garbage("an upload gave more bytes than it promised"));
        };
        match self.framing {
            Framing::Plain => out.push(data),
            Framing::UnsignedTrailer(_) => {
                while !data.is_empty() {
                    if self.open == 0 {
                        self.open = self.left.min(UNSIGNED_CHUNK);
                        out.push(Bytes::from(format!("{:x}\r\n", self.open)));
                    }
                    let take = self.open.min(data.len() as u64);
                    out.push(data.split_to(usize::try_from(take).unwrap_or(data.len())));
                    self.open -= take;
                    self.left -= take;
                    if self.open == 0 {
                        out.push(Bytes::from_static(b"\r\n"));
                    }
                }
            }
            Framing::SignedChunks | Framing::SignedTrailer(_) => {
                while !data.is_empty() {
                    let room = SIGNED_CHUNK.saturating_sub(self.gathered.len() as u64);
                    let take = usize::try_from(room).unwrap_or(0).min(data.len());
                    self.gathered.extend_from_slice(&data.split_to(take));
                    self.left -= take as u64;
                    if self.gathered.len() as u64 == SIGNED_CHUNK || self.left == 0 {
                        let chunk = self.gathered.split().freeze();
                        out.push(self.signed_chunk(&chunk)?);
                    }
                }
            }
        }
        self.left = left;
        Ok(())
    }

    /// Whether all data came.
    pub(super) fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// Ends the body; `checksum` is the upload's.
    pub(super) fn finish(&mut self, checksum: Option<&Checksum>) -> Result<Option<Bytes>, Error> {
        if self.left != 0 {
            return Err(Error::garbage(
                "an upload gave fewer bytes than it promised",
            ));
        }
        if self.framing == Framing::Plain {
            return Ok(None);
        }
        let mut out = BytesMut::new();
        if self.framing.is_signed() {
            let signature = self.signer()?.sign_chunk(b"");
            out.put_slice(format!("0;chunk-signature={signature}\r\n").as_bytes());
        } else {
            out.put_slice(b"0\r\n");
        }
        if let Some(algorithm) = self.framing.trailer() {
            let checksum = checksum
                .filter(|c| c.algorithm == algorithm)
                .ok_or_else(|| Error::garbage("an upload has no checksum to send"))?;
            let (name, value) = (algorithm.header(), checksum.base64());
            out.put_slice(format!("{name}:{value}\r\n").as_bytes());
            if self.framing.is_signed() {
                // A signature's line ends in a line feed alone.
                let line = format!("{name}:{value}\n");
                let signature = self.signer()?.sign_trailer(line.as_bytes());
                out.put_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
            }
        }
        out.put_slice(b"\r\n");
        Ok(Some(out.freeze()))
    }

    fn signer(&mut self) -> Result<&mut ChunkSigner, Error> {
        self.signer
            .as_mut()
            .ok_or_else(|| Error::garbage("a chunk has no key to be signed with"))
    }

    fn signed_chunk(&mut self, data: &[u8]) -> Result<Bytes, Error> {
        let signature = self.signer()?.sign_chunk(data);
        let mut chunk = BytesMut::with_capacity(data.len().saturating_add(96));
        chunk.put_slice(format!("{:x};chunk-signature={signature}\r\n", data.len()).as_bytes());
        chunk.put_slice(data);
        chunk.put_slice(b"\r\n");
        Ok(chunk.freeze())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::s3::Hasher;

    fn signer() -> ChunkSigner {
        let at = time::OffsetDateTime::UNIX_EPOCH;
        let scope = crate::sigv4::CredentialScope::at(at, "us-east-1", "s3");
        let secret = crate::crypto::Secret::new("secret".to_owned());
        let key = crate::sigv4::SigningKey::derive(&secret, &scope);
        ChunkSigner::new(key, "19700101T000000Z", &scope, "0".repeat(64))
    }

    fn framed(framing: Framing, length: u64, pieces: usize) -> Vec<u8> {
        let signer = framing.is_signed().then(signer);
        let mut framer = Framer::new(framing, length, signer);
        let body = vec![b'x'; usize::try_from(length).unwrap()];
        let mut out = Vec::new();
        for piece in body.chunks(pieces) {
            framer
                .push(Bytes::copy_from_slice(piece), &mut out)
                .unwrap();
        }
        let checksum = framing.trailer().map(|algorithm| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&body);
            hasher.finish()
        });
        out.extend(framer.finish(checksum.as_ref()).unwrap());
        out.concat()
    }

    #[test]
    fn lengths_are_exact() {
        let mut framings = vec![Framing::Plain, Framing::SignedChunks];
        framings.extend(ChecksumAlgorithm::ALL.map(Framing::SignedTrailer));
        framings.extend(ChecksumAlgorithm::ALL.map(Framing::UnsignedTrailer));
        for framing in framings {
            for length in [
                0, 1, 9, 10, 15, 16, 17, 255, 256, 4096, 65_535, 65_536, 65_537, 131_072,
                1_048_575, 1_048_576, 1_048_577, 2_500_000,
            ] {
                for pieces in [1000, 65_536, 3_000_000] {
                    let wire = framed(framing, length, pieces);
                    assert_eq!(
                        wire.len() as u64,
                        framing.encoded_length(length),
                        "{framing:?} {length} in pieces of {pieces}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_wire_form() {
        let wire = framed(Framing::UnsignedTrailer(ChecksumAlgorithm::Crc32), 5, 2);
        assert_eq!(
            String::from_utf8(wire).unwrap(),
            "5\r\nxxxxx\r\n0\r\nx-amz-checksum-crc32:QtHneA==\r\n\r\n"
        );
        assert_eq!(framed(Framing::Plain, 5, 2), b"xxxxx");
    }

    #[test]
    fn wrong_lengths_are_errors() {
        for framing in [
            Framing::Plain,
            Framing::UnsignedTrailer(ChecksumAlgorithm::Crc32),
        ] {
            let mut out = Vec::new();
            let mut framer = Framer::new(framing, 3, None);
            assert!(framer.push(Bytes::from_static(b"four"), &mut out).is_err());
            assert!(out.is_empty());
            let mut framer = Framer::new(framing, 3, None);
            framer.push(Bytes::from_static(b"tw"), &mut out).unwrap();
            assert!(framer.finish(None).is_err());
        }
        // No checksum, no trailer: the body must not end.
        let mut framer = Framer::new(Framing::UnsignedTrailer(ChecksumAlgorithm::Crc32), 0, None);
        assert!(framer.finish(None).is_err());
    }

    #[test]
    fn choices() {
        use Framing as F;
        let crc = ChecksumAlgorithm::Crc64Nvme;
        let ours = Some(Trailer {
            algorithm: crc,
            asked: false,
        });
        let asked = Some(Trailer {
            algorithm: crc,
            asked: true,
        });
        for (payload, tls, checksums, trailer, expected) in [
            // The default works everywhere.
            (Payload::Auto, true, false, asked, F::Plain),
            (Payload::Auto, false, false, asked, F::SignedChunks),
            (Payload::Auto, true, true, ours, F::UnsignedTrailer(crc)),
            (Payload::Auto, false, true, ours, F::SignedTrailer(crc)),
            // The checksum is in the head already.
            (Payload::Auto, true, true, None, F::Plain),
            (Payload::Auto, false, true, None, F::SignedChunks),
            (Payload::Unsigned, false, true, ours, F::Plain),
            (
                Payload::Unsigned,
                false,
                true,
                asked,
                F::UnsignedTrailer(crc),
            ),
            (Payload::Unsigned, false, false, asked, F::Plain),
            (Payload::SignedChunks, true, true, ours, F::SignedChunks),
            (
                Payload::SignedChunks,
                true,
                true,
                asked,
                F::SignedTrailer(crc),
            ),
            (Payload::SignedChunks, true, false, asked, F::SignedChunks),
            (
                Payload::ChecksumTrailer,
                true,
                false,
                ours,
                F::UnsignedTrailer(crc),
            ),
            (
                Payload::ChecksumTrailer,
                false,
                false,
                ours,
                F::SignedTrailer(crc),
            ),
            (Payload::ChecksumTrailer, true, true, None, F::Plain),
        ] {
            let chosen = Framing::choose(payload, tls, checksums, trailer);
            assert_eq!(
                chosen, expected,
                "{payload:?} {tls} {checksums} {trailer:?}"
            );
        }
    }
}
