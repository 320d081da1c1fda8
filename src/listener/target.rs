//! HTTP/2's request targets as their bytes pass on their way to Pingora, whose parser takes a fragment off
//! one and says nothing of it: the key would be another than who stands before us reads (T52). A
//! connection on which one comes ends.
//!
//! Of a header block (RFC 7541) only that much is read: which fields are targets, whether they hold `#`, and
//! how long fields are that later blocks may refer to. What makes no sense here makes none to the parser
//! behind, which ends the connection as well.

mod hpack;

use hpack::{Known, Rest};

/// What an HTTP/2 client says first, before frames.
const PREFACE: usize = 24;
/// A frame's head (RFC 9113 section 4.1).
const FRAME: usize = 9;
/// The most fields of a header block, four times as many as a head may have. A byte can stand for a field,
/// and costs whoever reads it as much as a field of hundreds.
const FIELDS: usize = 1024;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A target with a fragment.
    #[error("a request target holds a fragment")]
    Fragment,
    /// Fields that cannot be read.
    #[error("a header block cannot be read")]
    Unreadable,
    /// Fields without end.
    #[error("a header block has more than {FIELDS} fields")]
    TooMany,
}

/// What has passed of a connection.
#[derive(Debug)]
pub(super) struct Targets {
    stage: Stage,
    /// The payload of a frame with a piece of a header block.
    piece: Vec<u8>,
    /// The header block that has begun, so many of whose fields are whole, up to there.
    block: Vec<u8>,
    fields: usize,
    whole: usize,
    /// The longest that one may be.
    most: usize,
    known: Known,
    /// Whether a header block has begun and not ended, and how many have begun.
    is_open: bool,
    begun: u64,
}

#[derive(Debug)]
enum Stage {
    /// So many bytes are of no interest.
    Skip(usize),
    /// So many bytes of a frame's head have come.
    Head([u8; FRAME], usize),
    /// So many bytes of a piece are to come, of a frame of these flags; whether it begins a block.
    Piece(usize, u8, bool),
}

impl Targets {
    /// Of a connection whose heads have at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            stage: Stage::Skip(PREFACE),
            piece: Vec::new(),
            block: Vec::new(),
            fields: 0,
            whole: 0,
            // A byte takes up to 30 bits in HPACK's code.
            most: most.saturating_mul(4).saturating_add(65_536),
            known: Known::new(),
            is_open: false,
            begun: 0,
        }
    }

    /// The header block that has begun and not ended, counted from 1.
    pub(super) fn head(&self) -> Option<u64> {
        self.is_open.then_some(self.begun)
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// [`Refused`] says why nothing more may pass.
    pub(super) fn watch(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        while !bytes.is_empty() {
            let wanted = match &self.stage {
                Stage::Skip(left) | Stage::Piece(left, ..) => *left,
                Stage::Head(_, come) => FRAME.saturating_sub(*come),
            };
            let (now, rest) = bytes.split_at(bytes.len().min(wanted));
            bytes = rest;
            let left = wanted.saturating_sub(now.len());
            self.stage = match std::mem::replace(&mut self.stage, Stage::Skip(0)) {
                Stage::Skip(_) if left == 0 => Stage::Head([0; FRAME], 0),
                Stage::Skip(_) => Stage::Skip(left),
                Stage::Head(mut head, come) => {
                    for (to, from) in head.iter_mut().skip(come).zip(now) {
                        *to = *from;
                    }
                    match left {
                        0 => self.begin(head)?,
                        _ => Stage::Head(head, come.saturating_add(now.len())),
                    }
                }
                Stage::Piece(_, flags, first) => {
                    self.piece.extend_from_slice(now);
                    match left {
                        0 => self.end(flags, first)?,
                        _ => Stage::Piece(left, flags, first),
                    }
                }
            };
        }
        Ok(())
    }

    /// A frame's head is there: what follows it.
    fn begin(&mut self, head: [u8; FRAME]) -> Result<Stage, Refused> {
        const HEADERS: u8 = 1;
        const CONTINUATION: u8 = 9;
        let [a, b, c, kind, flags, ..] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if kind != HEADERS && kind != CONTINUATION {
            return Ok(match length {
                0 => Stage::Head([0; FRAME], 0),
                _ => Stage::Skip(length),
            });
        }
        if !self.is_open {
            self.is_open = true;
            self.begun = self.begun.saturating_add(1);
        }
        match length {
            // Nothing more of it is to come: it ends here.
            0 => self.end(flags, kind == HEADERS),
            _ => Ok(Stage::Piece(length, flags, kind == HEADERS)),
        }
    }

    /// A piece of a header block is there: what follows it.
    fn end(&mut self, flags: u8, first: bool) -> Result<Stage, Refused> {
        const END: u8 = 0x4;
        const PADDED: u8 = 0x8;
        const PRIORITY: u8 = 0x20;
        let mut piece = self.piece.as_slice();
        if first && flags & PADDED != 0 {
            let (padding, rest) = piece.split_first().ok_or(Refused::Unreadable)?;
            let length = rest.len().checked_sub(usize::from(*padding));
            piece = rest
                .get(..length.ok_or(Refused::Unreadable)?)
                .unwrap_or_default();
        }
        if first && flags & PRIORITY != 0 {
            piece = piece.get(5..).ok_or(Refused::Unreadable)?;
        }
        if self.block.len().saturating_add(piece.len()) > self.most {
            return Err(Refused::Unreadable);
        }
        self.block.extend_from_slice(piece);
        self.piece = Vec::new();
        self.count()?;
        if flags & END != 0 {
            let block = std::mem::take(&mut self.block);
            (self.fields, self.whole) = (0, 0);
            self.is_open = false;
            self.known.read(&block)?;
        }
        Ok(Stage::Head([0; FRAME], 0))
    }

    /// Counts the fields that have become whole, before the parser behind is given the frame.
    fn count(&mut self) -> Result<(), Refused> {
        loop {
            let mut rest = Rest(self.block.get(self.whole..).unwrap_or_default());
            if rest.skip().is_err() {
                return Ok(());
            }
            self.whole = self.block.len().saturating_sub(rest.0.len());
            self.fields = self.fields.saturating_add(1);
            if self.fields > FIELDS {
                return Err(Refused::TooMany);
            }
        }
    }
}

#[cfg(test)]
mod tests;
