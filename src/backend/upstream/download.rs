//! An object's bytes on their way from an upstream: as many as were promised, or an error.

use super::answer::Answer;
use super::error::Error;
use crate::backend::Download;
use crate::s3;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// The slowest that an upstream may be, in bytes a second, on top of its patience: a drip that
/// never quite times out holds a connection, a client and memory for hours (T58).
const SLOWEST: u64 = 4 << 10;

/// The bytes of one answer.
pub(super) struct Stream {
    // Gone once all was read, or after an error: then the connection is closed.
    answer: Option<Answer>,
    left: u64,
    given: u64,
    // Time spent waiting for the upstream, not for the client.
    waited: Duration,
}

impl Stream {
    /// `length` is more than 0.
    pub(super) fn new(answer: Answer, length: u64) -> Self {
        Self {
            answer: Some(answer),
            left: length,
            given: 0,
            waited: Duration::ZERO,
        }
    }

    async fn piece(&mut self, answer: &mut Answer) -> Result<Bytes, Error> {
        let before = Instant::now();
        let piece = answer.read().await?;
        self.waited = self.waited.saturating_add(before.elapsed());
        let Some(piece) = piece else {
            return Err(Error::garbage("the body is too short"));
        };
        let length = piece.len() as u64;
        self.given = self.given.saturating_add(length);
        self.left = self
            .left
            .checked_sub(length)
            .ok_or_else(|| Error::garbage("the body is too long"))?;
        let earned = Duration::from_secs(self.given / SLOWEST);
        let patience = answer.client().timeouts.read.saturating_add(earned);
        if self.waited > patience {
            return Err(Error::Timeout("reading a body that drips"));
        }
        Ok(piece)
    }
}

#[async_trait]
impl Download for Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, s3::Error> {
        // Taken out, so that an error or a cancelled wait closes the connection.
        let Some(mut answer) = self.answer.take() else {
            return if self.left == 0 {
                Ok(None)
            } else {
                Err(Error::garbage("the body was given up").into())
            };
        };
        let piece = self.piece(&mut answer).await?;
        if self.left == 0 {
            answer.give_back().await;
        } else {
            self.answer = Some(answer);
        }
        Ok(Some(piece))
    }
}
