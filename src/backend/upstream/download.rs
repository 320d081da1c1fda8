//! An object's bytes on their way from an upstream: as many as were promised, or an error.

use super::error::Error;
use super::lease::Lease;
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
    lease: Option<Lease>,
    left: u64,
    given: u64,
    // How long the upstream may make us wait, and how long it has, the client's part not counted.
    patience: Duration,
    waited: Duration,
}

impl Stream {
    /// The next `length` bytes of an answer's body, which are all of it.
    pub(super) fn new(lease: Lease, length: u64, patience: Duration) -> Self {
        Self {
            lease: Some(lease),
            left: length,
            given: 0,
            patience,
            waited: Duration::ZERO,
        }
    }

    async fn piece(&mut self, lease: &mut Lease) -> Result<Bytes, Error> {
        let before = Instant::now();
        let piece = lease.read().await?;
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
        if self.waited > self.patience.saturating_add(earned) {
            return Err(Error::Timeout("reading a body that drips"));
        }
        Ok(Bytes::copy_from_slice(piece))
    }
}

#[async_trait]
impl Download for Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, s3::Error> {
        // Taken out, so that an error or a cancelled wait closes the connection.
        let Some(mut lease) = self.lease.take() else {
            return if self.left == 0 {
                Ok(None)
            } else {
                Err(Error::garbage("the body was given up").into())
            };
        };
        let piece = self.piece(&mut lease).await?;
        if self.left == 0 {
            lease.give_back().await;
        } else {
            self.lease = Some(lease);
        }
        Ok(Some(piece))
    }
}
