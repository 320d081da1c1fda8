//! A document that may be long: written in pieces, between which others get their turn, and held in
//! pieces, each of which goes as soon as it is sent.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;

use super::{Answer, Context};
use crate::backend::{Body, Download};
use crate::fair::{Asker, Held, Memory};
use crate::s3::Error;
use crate::s3::xml::Writer;

/// What is written in one go, and sent in one.
const PIECE: usize = 64 * 1024;

/// What all answers that are being sent hold beyond a piece each.
static MEMORY: LazyLock<Arc<Memory>> = LazyLock::new(Memory::new);

/// A document that is being written.
pub(super) struct LongDocument {
    root: &'static str,
    writer: Writer,
    most: usize,
    written: Written,
}

/// What of it is written, and counted.
struct Written {
    pieces: VecDeque<Bytes>,
    length: usize,
    held: Held,
}

impl LongDocument {
    /// One whose root element is `root`, for `asker`.
    pub(super) fn new(context: &Context<'_>, asker: Asker, root: &'static str) -> Self {
        Self {
            root,
            writer: Writer::new(root),
            most: context.limits.answers,
            written: Written {
                pieces: VecDeque::new(),
                length: 0,
                held: MEMORY.held_by(asker),
            },
        }
    }

    /// Between two elements: what is written becomes a piece once it is long enough.
    ///
    /// # Errors
    /// `SlowDown` when answers that nobody reads hold too much.
    pub(super) async fn pause(&mut self) -> Result<(), Error> {
        if self.writer.length() < PIECE {
            return Ok(());
        }
        let piece = self.writer.take();
        if !self.written.held.hold(piece.len(), self.most) {
            return Err(Error::limited("answer_bytes"));
        }
        self.written.push(piece);
        tokio::task::yield_now().await;
        Ok(())
    }

    /// The answer, its root closed.
    pub(super) fn finish(self) -> Answer {
        let Self {
            root,
            writer,
            mut written,
            ..
        } = self;
        let rest = writer.finish(root);
        if written.pieces.is_empty() {
            return Answer::xml(rest);
        }
        written.push(rest);
        let mut answer = Answer::xml(String::new());
        (answer.headers).insert(CONTENT_LENGTH, HeaderValue::from(written.length));
        answer.body = Body::Stream(Box::new(written));
        answer
    }
}

impl std::ops::Deref for LongDocument {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl std::ops::DerefMut for LongDocument {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

impl Written {
    fn push(&mut self, piece: String) {
        self.length = self.length.saturating_add(piece.len());
        self.pieces.push_back(piece.into());
    }
}

#[async_trait]
impl Download for Written {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = self.pieces.pop_front();
        // It is sent before the next one is asked for, so that what is left is what is held.
        let left: usize = self.pieces.iter().map(Bytes::len).sum();
        let sent = self.length.saturating_sub(left);
        self.length = left;
        self.held.give_back(sent);
        Ok(piece)
    }
}
