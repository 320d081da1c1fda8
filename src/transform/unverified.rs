//! How much all uploads together hold of what is not known to be right yet: chunks until their signature
//! comes, documents until their end does.

use std::sync::{Arc, LazyLock};

use crate::fair::{Asker, Held, Memory};
use crate::s3::Error;

/// What an upload holds that is not counted: SDKs send chunks of 64 to 128 KiB, and a client that
/// does is never refused for what others hold.
const CHUNK: usize = 128 * 1024;

/// What a document holds that is not counted: most have less.
const DOCUMENT: usize = 16 * 1024;

/// Held beyond that by this process.
static MEMORY: LazyLock<Arc<Memory>> = LazyLock::new(Memory::new);

/// What one upload holds.
#[derive(Debug)]
pub struct Unverified {
    most: usize,
    free: usize,
    bytes: usize,
    counted: usize,
    held: Held,
}

impl Unverified {
    /// Nothing yet of an upload in chunks; of all uploads together at most `most` bytes.
    pub(super) fn within(most: usize, asker: Asker) -> Self {
        Self::beyond(CHUNK, most, asker)
    }

    /// Nothing yet of a document; with all uploads together at most `most` bytes.
    #[must_use]
    pub fn document(most: usize, asker: Asker) -> Self {
        Self::beyond(DOCUMENT, most, asker)
    }

    fn beyond(free: usize, most: usize, asker: Asker) -> Self {
        Self {
            most,
            free,
            bytes: 0,
            counted: 0,
            held: MEMORY.held_by(asker),
        }
    }

    /// `more` bytes are held.
    ///
    /// # Errors
    /// `SlowDown` when that is too much. Waiting could last for ever: those who hold the rest may wait
    /// for clients that send nothing.
    pub fn hold(&mut self, more: usize) -> Result<(), Error> {
        let bytes = self.bytes.saturating_add(more);
        let beyond = bytes.saturating_sub(self.free).saturating_sub(self.counted);
        if beyond > 0 && !self.held.hold(beyond, self.most) {
            return Err(Error::limited("unverified_bytes"));
        }
        self.bytes = bytes;
        self.counted = self.counted.saturating_add(beyond);
        Ok(())
    }

    /// All of it is verified.
    pub(super) fn release(&mut self) {
        self.held.give_back(self.counted);
        (self.bytes, self.counted) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn t93_what_is_held_is_bounded_and_given_back() {
        use crate::s3::ErrorCode;
        // Other tests of this process hold nothing beyond what is free.
        let within = |asker| Unverified::within(1000, Asker::for_test(asker));
        let [mut first, mut second, mut other] = [1, 1, 2].map(within);
        for upload in [&mut first, &mut second, &mut other] {
            assert!(upload.hold(CHUNK).is_ok());
        }
        assert!(first.hold(300).is_ok() && second.hold(200).is_ok());
        let refused = second.hold(1).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::SlowDown);
        assert_eq!(refused.limit(), Some("unverified_bytes"));
        // One who takes all that one may leaves room to another.
        assert!(other.hold(250).is_ok());
        first.release();
        assert!(second.hold(100).is_ok());
        drop((second, other));
        assert!(first.hold(CHUNK + 500).is_ok());
    }
}
