//! The plan of an upload: how its body is framed, how long it is decoded, what it must digest to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::aws_chunked::Decoder;
use super::digest::{Digests, Expected};
use super::pipeline::Pipeline;
use super::unverified::Unverified;
use crate::authn::Caller;
use crate::crypto::SHA256_OF_NOTHING;
use crate::fair::Asker;
use crate::s3::operation::BodyKind;
use crate::s3::{
    Call, ChecksumAlgorithm, ChecksumRequest, ChecksumSource, Error, ErrorCode, Head, Payload,
    Request,
};
use crate::sigv4::ChunkSigner;

/// Limits on bodies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest object or part of one upload, in bytes.
    pub upload: u64,
    /// The most bytes, of all uploads together, of signed chunks that are held until they are
    /// verified. What an upload holds of small ones is not counted.
    pub unverified: usize,
    /// The most bytes, of all answers together, of documents that wait to be sent. The last 64 KiB of
    /// each are not counted.
    pub answers: usize,
}

impl Default for Limits {
    /// S3's own: 5 GiB; 256 MiB of chunks, and 64 MiB of answers.
    fn default() -> Self {
        Self {
            upload: 5 * 1024 * 1024 * 1024,
            unverified: 256 * 1024 * 1024,
            answers: 64 * 1024 * 1024,
        }
    }
}

/// A plan: immutable, made before a byte of the body is read.
#[derive(Debug)]
pub struct UploadPlan {
    length: u64,
    framing: Framing,
    expected: Expected,
    unverified: usize,
    asker: Asker,
}

/// How the body travels.
#[derive(Clone, Debug)]
pub(super) enum Framing {
    /// As it is.
    Plain,
    /// In `aws-chunked`; the signer is there when chunks are signed, the trailer's algorithm when a
    /// trailer is announced.
    Chunked {
        signer: Option<Box<ChunkSigner>>,
        trailer: Option<ChecksumAlgorithm>,
    },
}

impl UploadPlan {
    /// Plans the upload that `request` announces. `content_length` is the framed body's length.
    ///
    /// # Errors
    /// `MissingContentLength`, `EntityTooLarge`, `InvalidDigest`, `InvalidRequest` and the like.
    pub fn new(
        request: &Request,
        caller: &Caller,
        content_length: Option<u64>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let asked = match &request.call {
            Call::PutObject(call) => call.checksum.as_ref(),
            Call::UploadPart(call) => call.checksum.as_ref(),
            _ => None,
        };
        let length = match request.payload.is_chunked() {
            true => decoded_length(&request.head)?,
            false => {
                never_framed(&request.head)?;
                content_length.ok_or(ErrorCode::MissingContentLength)?
            }
        };
        if length > limits.upload {
            return Err(Error::new(ErrorCode::EntityTooLarge)
                .detail("ProposedSize", length.to_string())
                .detail("MaxSizeAllowed", limits.upload.to_string()));
        }
        let framing = framing(request.payload, asked, caller)?;
        let expected = expected(&request.head, request.payload, asked)?;
        Ok(Self {
            length,
            framing,
            expected,
            unverified: limits.unverified,
            asker: Asker::of(caller.identity(), request.head.peer.address),
        })
    }

    /// Exactly how many bytes the decoded body has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A fresh pipeline: state belongs to one attempt.
    #[must_use]
    pub fn pipeline(&self) -> Pipeline {
        let decoder = match &self.framing {
            Framing::Plain => None,
            Framing::Chunked { signer, trailer } => {
                let signer = signer.as_deref().cloned();
                let unverified = Unverified::within(self.unverified, self.asker);
                Some(Decoder::new(signer, *trailer, unverified))
            }
        };
        Pipeline::new(decoder, Digests::new(self.expected.clone()), self.length)
    }
}

/// Refuses a body that headers say is framed in chunks and the payload mode says is not: taken at its word
/// the framing would be stored as part of the object, and what was meant cannot be known.
fn never_framed(head: &Head) -> Result<(), Error> {
    if !head.has_header("x-amz-decoded-content-length") {
        return Ok(());
    }
    let coding = head.header("content-encoding")?.unwrap_or_default();
    let mut codings = coding.split(',').map(str::trim);
    if !codings.any(|coding| coding.eq_ignore_ascii_case("aws-chunked")) {
        return Ok(());
    }
    let message = "x-amz-decoded-content-length and Content-Encoding say that the body is framed, and x-amz-content-sha256 that it is not.";
    Err(Error::with_message(ErrorCode::InvalidRequest, message))
}

fn decoded_length(head: &Head) -> Result<u64, Error> {
    let Some(text) = head.header("x-amz-decoded-content-length")? else {
        return Err(ErrorCode::MissingContentLength.into());
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match (digits, text.parse()) {
        (true, Ok(length)) => Ok(length),
        _ => Err(Error::with_message(
            ErrorCode::InvalidArgument,
            "x-amz-decoded-content-length is not a number",
        )),
    }
}

fn framing(
    payload: Payload,
    asked: Option<&ChecksumRequest>,
    caller: &Caller,
) -> Result<Framing, Error> {
    let announced = asked.filter(|asked| asked.source == ChecksumSource::Trailer);
    let trailer = announced.map(|asked| asked.algorithm);
    if trailer.is_some() && !payload.has_trailer() {
        let message = "x-amz-trailer needs a streaming payload that has a trailer";
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    match payload {
        Payload::Absent | Payload::Sha256(_) | Payload::Unsigned => Ok(Framing::Plain),
        Payload::UnsignedTrailer => Ok(Framing::Chunked {
            signer: None,
            trailer,
        }),
        Payload::SignedChunks | Payload::SignedChunksTrailer => match chunks(caller) {
            Some(chunks) => {
                let signer = Some(Box::new(chunks));
                Ok(Framing::Chunked { signer, trailer })
            }
            None => Err(ErrorCode::AccessDenied.into()),
        },
    }
}

fn chunks(caller: &Caller) -> Option<ChunkSigner> {
    caller.proof()?.chunks.clone()
}

fn expected(
    head: &Head,
    payload: Payload,
    asked: Option<&ChecksumRequest>,
) -> Result<Expected, Error> {
    let sha256 = match payload {
        Payload::Sha256(digest) => Some(digest),
        _ => None,
    };
    let given = match asked.map(|asked| &asked.source) {
        Some(ChecksumSource::Header(checksum)) => Some(checksum.clone()),
        Some(ChecksumSource::Trailer | ChecksumSource::Computed) | None => None,
    };
    let algorithm = asked.map_or(ChecksumAlgorithm::Crc64Nvme, |asked| asked.algorithm);
    Ok(Expected {
        sha256,
        md5: content_md5(head)?,
        algorithm,
        checksum: given,
    })
}

/// `Content-MD5`: base64 of 16 bytes.
fn content_md5(head: &Head) -> Result<Option<[u8; 16]>, Error> {
    let Some(text) = head.header("content-md5")? else {
        return Ok(None);
    };
    let digest = STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    digest
        .map(Some)
        .ok_or_else(|| ErrorCode::InvalidDigest.into())
}

/// Checks a small document that was read whole against every digest that came with it.
///
/// # Errors
/// `XAmzContentSHA256Mismatch`, `BadDigest` or `InvalidDigest`; `InvalidRequest` for a streaming
/// payload, which documents don't have.
pub fn verify_document(request: &Request, document: &[u8]) -> Result<(), Error> {
    if request.payload.is_chunked() {
        let message = "a streaming payload goes with PutObject and UploadPart only";
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    let mut given = None;
    // CompleteMultipartUpload's checksum headers are of the object, not of the document; so are those of
    // what has none.
    let is_of_object = matches!(request.call, Call::CompleteMultipartUpload(_))
        || request.call.operation().row().body == BodyKind::None;
    if !is_of_object {
        given = ChecksumRequest::of_document(&request.head)?;
    }
    let sha256 = match request.payload {
        Payload::Sha256(digest) => Some(digest),
        _ => None,
    };
    let algorithm = given
        .as_ref()
        .map_or(ChecksumAlgorithm::Crc64Nvme, |c| c.algorithm);
    let expected = Expected {
        sha256,
        md5: content_md5(&request.head)?,
        algorithm,
        checksum: given,
    };
    // Most requests have no document, and say so.
    let nothing = expected.md5.is_none() && expected.checksum.is_none();
    if nothing && document.is_empty() && matches!(sha256, None | Some(SHA256_OF_NOTHING)) {
        return Ok(());
    }
    let mut digests = Digests::new(expected);
    digests.update(document);
    digests.finish(None).map(|_| ())
}
