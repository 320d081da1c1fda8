//! How much all uploads together hold of chunks whose signature is not known yet.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::s3::{Error, ErrorCode};

/// What an upload holds that is not counted: SDKs send chunks of 64 to 128 KiB, and a client that
/// does is never refused for what others hold.
const FREE: usize = 128 * 1024;

/// Held beyond that by this process.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// What one upload holds.
#[derive(Debug)]
pub(super) struct Unverified {
    most: usize,
    held: usize,
    counted: usize,
}

impl Unverified {
    /// Nothing yet; of all uploads together at most `most` bytes.
    pub(super) fn within(most: usize) -> Self {
        Self {
            most,
            held: 0,
            counted: 0,
        }
    }

    /// `more` bytes are held.
    ///
    /// # Errors
    /// `SlowDown` when that is too much. Waiting could last for ever: those who hold the rest may wait
    /// for clients that send nothing.
    pub(super) fn hold(&mut self, more: usize) -> Result<(), Error> {
        let held = self.held.saturating_add(more);
        let beyond = held.saturating_sub(FREE).saturating_sub(self.counted);
        let room = |held: usize| held.checked_add(beyond).filter(|held| *held <= self.most);
        if beyond > 0 && (HELD.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)).is_err() {
            return Err(
                Error::new(ErrorCode::SlowDown).because("the limit `unverified_bytes` is reached")
            );
        }
        self.held = held;
        self.counted = self.counted.saturating_add(beyond);
        Ok(())
    }

    /// All of it is verified.
    pub(super) fn release(&mut self) {
        HELD.fetch_sub(self.counted, Ordering::Relaxed);
        (self.held, self.counted) = (0, 0);
    }
}

impl Drop for Unverified {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t93_what_is_held_is_bounded_and_given_back() {
        // Other tests of this process hold nothing beyond what is free.
        let mut first = Unverified::within(1000);
        let mut second = Unverified::within(1000);
        assert!(first.hold(FREE).is_ok() && second.hold(FREE).is_ok());
        assert!(first.hold(600).is_ok() && second.hold(400).is_ok());
        let refused = second.hold(1).map_err(|error| error.code());
        assert_eq!(refused, Err(ErrorCode::SlowDown));
        first.release();
        assert!(second.hold(600).is_ok());
        drop(second);
        assert!(first.hold(FREE + 1000).is_ok());
    }
}
