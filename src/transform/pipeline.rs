//! Bytes in as they arrive, bytes out as they are verified; the last ones only when all is.

use std::collections::VecDeque;

use bytes::Bytes;

use super::aws_chunked::Decoder;
use super::digest::Digests;
use super::pieces::Pieces;
use crate::s3::{Checksum, Error, ErrorCode};

/// One attempt's state.
#[derive(Debug)]
pub struct Pipeline {
    decoder: Option<Decoder>,
    digests: Option<Digests>,
    /// Decoded bytes still to come.
    missing: u64,
    pieces: Pieces,
    ready: VecDeque<Bytes>,
    /// The newest decoded piece: held back until another follows it or every check has passed, so
    /// that whoever takes the pieces has never seen a complete body that failed.
    held: Option<Bytes>,
    checksum: Option<Checksum>,
}

impl Pipeline {
    pub(super) fn new(decoder: Option<Decoder>, digests: Digests, length: u64) -> Self {
        Self {
            decoder,
            digests: Some(digests),
            missing: length,
            pieces: Pieces::default(),
            ready: VecDeque::new(),
            held: None,
            checksum: None,
        }
    }

    /// Takes the next bytes as the client framed them.
    ///
    /// # Errors
    /// The first check that fails; nothing may be popped after an error.
    pub fn push(&mut self, bytes: &Bytes) -> Result<(), Error> {
        let outcome = match &mut self.decoder {
            None => {
                self.pieces.take(bytes, 0, bytes.len());
                Ok(())
            }
            Some(decoder) => decoder.push(bytes, &mut self.pieces),
        };
        self.decoded()?;
        outcome
    }

    /// A verified piece, oldest first.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// The body has ended: checks everything, then lets the last piece go.
    ///
    /// # Errors
    /// `IncompleteBody`, `BadDigest`, `XAmzContentSHA256Mismatch` and the decoder's own.
    pub fn finish(&mut self) -> Result<(), Error> {
        let trailer = match self.decoder.take() {
            Some(decoder) => decoder.finish()?,
            None => None,
        };
        self.pieces.close();
        self.decoded()?;
        if self.missing > 0 {
            return Err(ErrorCode::IncompleteBody.into());
        }
        if let Some(digests) = self.digests.take() {
            self.checksum = Some(digests.finish(trailer.as_ref())?);
        }
        self.ready.extend(self.held.take());
        Ok(())
    }

    /// The checksum, once the body has been verified.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        self.checksum.clone()
    }

    /// Checks the pieces that are whole.
    fn decoded(&mut self) -> Result<(), Error> {
        for bytes in self.pieces.whole() {
            let Some(missing) = self.missing.checked_sub(bytes.len() as u64) else {
                return Err(Error::new(ErrorCode::IncompleteBody)
                    .because("the body is longer than announced"));
            };
            self.missing = missing;
            if let Some(digests) = &mut self.digests {
                digests.update(&bytes);
            }
            self.ready.extend(self.held.replace(bytes));
        }
        Ok(())
    }
}
