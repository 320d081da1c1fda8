//! The `aws-chunked` framing: chunks with a size line, signed or not, and a trailer.
//!
//! A signed chunk is released once its signature has been verified, so it is held whole, up to a
//! limit; an unsigned one flows through. Everything that is not exactly as documented is refused.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::pieces::Pieces;
use super::unverified::Unverified;
use crate::s3::{Checksum, ChecksumAlgorithm, Error, ErrorCode};
use crate::sigv4::ChunkSigner;

/// The longest size line: 16 digits, `;chunk-signature=`, 64 digits.
const MAX_SIZE_LINE: usize = 128;

/// The longest trailer, all lines together.
const MAX_TRAILER: usize = 4096;

/// The most lines of a trailer.
const MAX_TRAILER_LINES: usize = 8;

/// The largest signed chunk, which is held in memory until its signature is known.
const MAX_SIGNED_CHUNK: u64 = 16 * 1024 * 1024;

/// The smallest signed chunk that another may follow.
const MIN_SIGNED_CHUNK: u64 = 8192;

/// What is wrong of a line whatever it says.
const BROKEN_LINE: &str = "a line is too long or does not end in CRLF";

const SIGNATURE_EXTENSION: &[u8] = b";chunk-signature=";

/// Decodes one body.
#[derive(Debug)]
pub(super) struct Decoder {
    signer: Option<ChunkSigner>,
    trailer: Option<ChecksumAlgorithm>,
    state: State,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// A signed chunk's pieces, until it is verified.
    held: Pieces,
    unverified: Unverified,
    digest: Sha256,
    /// Whether a chunk smaller than the minimum has passed, which only the last may be.
    small: bool,
    trailing: Trailing,
}

#[derive(Debug)]
enum State {
    /// In a size line.
    Size,
    /// In a chunk's data: bytes left, and the signature that must match.
    Data {
        left: u64,
        signature: Option<[u8; 64]>,
    },
    /// In the line end behind a chunk's data.
    DataEnd,
    /// In the lines behind the last chunk.
    Trailer,
    /// Behind everything.
    End,
}

/// What the trailer said.
#[derive(Debug, Default)]
struct Trailing {
    /// The signed text: `name:value\n` of each line.
    text: Vec<u8>,
    lines: usize,
    checksum: Option<Checksum>,
    signature: Option<Vec<u8>>,
}

impl Decoder {
    /// A decoder: with `signer`, every chunk and the trailer must be signed; `trailer` is the
    /// checksum that was announced for the trailer; `unverified` counts what it holds.
    #[must_use]
    pub(super) fn new(
        signer: Option<ChunkSigner>,
        trailer: Option<ChecksumAlgorithm>,
        unverified: Unverified,
    ) -> Self {
        Self {
            signer,
            trailer,
            state: State::Size,
            line: Vec::new(),
            held: Pieces::default(),
            unverified,
            digest: Sha256::new(),
            small: false,
            trailing: Trailing::default(),
        }
    }

    /// Takes framed bytes and gives decoded ones.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, `InvalidChunkSizeError`, `MalformedTrailerError`, `InvalidRequest`,
    /// `EntityTooLarge`, or `SlowDown` where too much is held already.
    pub(super) fn push(&mut self, bytes: &Bytes, decoded: &mut Pieces) -> Result<(), Error> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at = at.saturating_add(match &mut self.state {
                State::Size => self.in_line(rest, MAX_SIZE_LINE, Self::size_line)?,
                State::Data { left, .. } => {
                    let take =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left = left.saturating_sub(take as u64);
                    let whole = *left == 0;
                    self.data(bytes, at, take, decoded)?;
                    if whole {
                        self.chunk_end(decoded)?;
                    }
                    take
                }
                State::DataEnd => self.in_line(rest, 2, Self::data_end)?,
                State::Trailer => {
                    let taken = self.in_line(rest, MAX_TRAILER, Self::trailer_line);
                    taken.map_err(|error| match error.code() {
                        // Of the line itself.
                        ErrorCode::InvalidRequest if error.reason() == Some(BROKEN_LINE) => {
                            ErrorCode::MalformedTrailer.into()
                        }
                        _ => error,
                    })?
                }
                State::End => return Err(malformed("bytes follow the end of the body")),
            });
        }
        Ok(())
    }

    /// Takes bytes of `rest` up to the next line's end, and hands the line on once it is whole; says
    /// how many. A line feed alone ends no line. Lines are looked at where they stand, since there may
    /// be one for each byte of an object.
    fn in_line(
        &mut self,
        rest: &[u8],
        most: usize,
        whole: fn(&mut Self, &[u8]) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let end = memchr::memchr(b'\n', rest);
        let take = end.map_or(rest.len(), |at| at.saturating_add(1));
        if self.line.len().saturating_add(take) > most.saturating_add(2) {
            return Err(malformed(BROKEN_LINE));
        }
        let taken = rest.get(..take).unwrap_or_default();
        if end.is_some() && self.line.is_empty() {
            whole(self, text(taken)?)?;
            return Ok(take);
        }
        self.line.extend_from_slice(taken);
        if end.is_some() {
            let mut line = std::mem::take(&mut self.line);
            whole(self, text(&line)?)?;
            line.clear();
            self.line = line;
        }
        Ok(take)
    }

    fn data_end(&mut self, line: &[u8]) -> Result<(), Error> {
        if !line.is_empty() {
            return Err(malformed("a chunk's data is not followed by CRLF"));
        }
        self.state = State::Size;
        Ok(())
    }

    /// The body has ended: it must have ended where its framing says. Answers the trailer's checksum.
    ///
    /// # Errors
    /// `IncompleteBody`, or `MalformedTrailerError` where the announced trailer did not come.
    pub(super) fn finish(mut self) -> Result<Option<Checksum>, Error> {
        // Some clients leave the last empty line out: the zero chunk, and the trailer's signature
        // where there must be one, say as well that everything has come.
        let ended = match self.state {
            State::End => true,
            State::Trailer => self.line.is_empty() && self.trailing_is_whole(),
            State::Size | State::Data { .. } | State::DataEnd => false,
        };
        if !ended {
            return Err(ErrorCode::IncompleteBody.into());
        }
        self.check_trailer()?;
        Ok(self.trailing.checksum)
    }

    fn trailing_is_whole(&self) -> bool {
        match (self.trailer, &self.signer) {
            (None, _) => true,
            (Some(_), None) => self.trailing.checksum.is_some(),
            (Some(_), Some(_)) => self.trailing.signature.is_some(),
        }
    }

    fn size_line(&mut self, line: &[u8]) -> Result<(), Error> {
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at_checked(digits).unwrap_or_default();
        let size = std::str::from_utf8(size)
            .ok()
            .filter(|s| (1..=16).contains(&s.len()));
        let size = size.and_then(|s| u64::from_str_radix(s, 16).ok());
        let size = size.ok_or_else(|| malformed("a chunk's size is not a number"))?;
        let signature = self.signature(extension)?;
        if signature.is_some() && size > MAX_SIGNED_CHUNK {
            let message = "A signed chunk has at most 16 MiB.";
            return Err(Error::with_message(ErrorCode::EntityTooLarge, message));
        }
        if signature.is_some() && size > 0 {
            if self.small {
                return Err(ErrorCode::InvalidChunkSizeError.into());
            }
            self.small = size < MIN_SIGNED_CHUNK;
        }
        if size == 0 {
            if let Some(signature) = signature {
                self.verify(&signature)?;
            }
            self.state = State::Trailer;
        } else {
            self.state = State::Data {
                left: size,
                signature,
            };
        }
        Ok(())
    }

    /// The signature extension: there exactly when chunks are signed.
    fn signature(&self, extension: &[u8]) -> Result<Option<[u8; 64]>, Error> {
        match (&self.signer, extension.strip_prefix(SIGNATURE_EXTENSION)) {
            (None, None) if extension.is_empty() => Ok(None),
            (Some(_), Some(signature)) => match signature.try_into() {
                Ok(signature) => Ok(Some(signature)),
                Err(_) => Err(ErrorCode::SignatureDoesNotMatch.into()),
            },
            (Some(_), None) if extension.is_empty() => Err(ErrorCode::SignatureDoesNotMatch.into()),
            _ => Err(malformed("a chunk has an extension that is not known")),
        }
    }

    /// `length` bytes of a chunk's data, from `start` on.
    fn data(
        &mut self,
        bytes: &Bytes,
        start: usize,
        length: usize,
        decoded: &mut Pieces,
    ) -> Result<(), Error> {
        if self.signer.is_none() {
            decoded.take(bytes, start, length);
            return Ok(());
        }
        self.unverified.hold(length)?;
        let end = start.saturating_add(length);
        self.digest
            .update(bytes.get(start..end).unwrap_or_default());
        self.held.take(bytes, start, length);
        Ok(())
    }

    fn chunk_end(&mut self, decoded: &mut Pieces) -> Result<(), Error> {
        let state = std::mem::replace(&mut self.state, State::DataEnd);
        if let State::Data {
            signature: Some(signature),
            ..
        } = state
        {
            self.verify(&signature)?;
            self.held.close();
            for piece in self.held.whole() {
                decoded.take(&piece, 0, piece.len());
            }
            self.unverified.release();
        }
        Ok(())
    }

    fn verify(&mut self, signature: &[u8; 64]) -> Result<(), Error> {
        let digest: [u8; 32] = std::mem::take(&mut self.digest).finalize().into();
        match &mut self.signer {
            Some(signer) => match signer.verify_digest(digest, signature) {
                true => Ok(()),
                false => Err(ErrorCode::SignatureDoesNotMatch.into()),
            },
            None => Ok(()),
        }
    }

    /// `name:value`; the empty line ends the body.
    fn trailer_line(&mut self, line: &[u8]) -> Result<(), Error> {
        let wrong = || Error::new(ErrorCode::MalformedTrailer);
        if line.is_empty() {
            self.state = State::End;
            return Ok(());
        }
        self.trailing.lines = self.trailing.lines.saturating_add(1);
        let line = std::str::from_utf8(line).map_err(|_| wrong())?;
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let value = value.trim();
        if self.trailing.lines > MAX_TRAILER_LINES || self.trailing.signature.is_some() {
            return Err(wrong());
        }
        if name.eq_ignore_ascii_case("x-amz-trailer-signature") && self.signer.is_some() {
            self.trailing.signature = Some(value.as_bytes().to_vec());
            return Ok(());
        }
        let algorithm =
            ChecksumAlgorithm::from_header(name).filter(|found| Some(*found) == self.trailer);
        let algorithm = algorithm.ok_or_else(wrong)?;
        let checksum = Checksum::parse(algorithm, value).ok_or_else(|| {
            Error::with_message(
                ErrorCode::InvalidRequest,
                format!(
                    "Value for {} trailing header is invalid.",
                    algorithm.header()
                ),
            )
        })?;
        if self.trailing.checksum.replace(checksum).is_some() {
            return Err(wrong());
        }
        self.trailing
            .text
            .extend_from_slice(name.to_ascii_lowercase().as_bytes());
        self.trailing.text.push(b':');
        self.trailing.text.extend_from_slice(value.as_bytes());
        self.trailing.text.push(b'\n');
        Ok(())
    }

    fn check_trailer(&mut self) -> Result<(), Error> {
        let trailing = &self.trailing;
        if self.trailer.is_some() && trailing.checksum.is_none() {
            return Err(ErrorCode::MalformedTrailer.into());
        }
        match (&mut self.signer, self.trailer, &trailing.signature) {
            (Some(signer), Some(_), Some(signature)) => {
                match signer.verify_trailer(&trailing.text, signature) {
                    true => Ok(()),
                    false => Err(ErrorCode::SignatureDoesNotMatch.into()),
                }
            }
            (Some(_), Some(_), None) => Err(ErrorCode::SignatureDoesNotMatch.into()),
            (_, _, Some(_)) => Err(ErrorCode::MalformedTrailer.into()),
            (_, _, None) => Ok(()),
        }
    }
}

fn malformed(reason: &'static str) -> Error {
    Error::new(ErrorCode::InvalidRequest).because(reason)
}

/// A line without its end.
fn text(line: &[u8]) -> Result<&[u8], Error> {
    match line.strip_suffix(b"\r\n") {
        Some(text) if !text.contains(&b'\r') => Ok(text),
        _ => Err(malformed(BROKEN_LINE)),
    }
}
