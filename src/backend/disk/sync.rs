//! Durable directory entries, shared: writers that finish together wait for one `fsync` of their
//! directory instead of one each.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::io::Errno;

use super::files;
use super::store::lock;

/// One directory's syncs.
#[derive(Debug, Default)]
struct Group {
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Syncs begun so far.
    begun: u64,
    /// Whether one runs.
    running: bool,
    /// The last one that ended, and how: a sync that fails, fails everyone who waited for it.
    ended: u64,
    failed: HashMap<u64, (Errno, usize)>,
    /// Who waits for which sync.
    waiting: HashMap<u64, usize>,
}

/// The syncs of all directories, each by its device and number: everyone who waits holds it open, so
/// that no other directory can have them meanwhile. Its path could be another's by now.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    groups: Mutex<HashMap<(u64, u64), Arc<Group>>>,
}

impl Syncs {
    /// Makes every entry of `directory` durable that was there before the call. Blocks.
    ///
    /// # Errors
    /// The sync's own; it is never tried again as if nothing had happened.
    pub(super) fn sync(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        let stat = files::stat(directory)?;
        let number = (stat.st_dev, stat.st_ino);
        let group = lock(&self.groups).entry(number).or_default().clone();
        let outcome = group.sync(directory);
        let mut groups = lock(&self.groups);
        // The map and this call are all that hold an idle group.
        if Arc::strong_count(&group) == 2 {
            groups.remove(&number);
        }
        outcome
    }
}

impl Group {
    fn sync(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        // A sync that runs may have begun before our entry was made: the next one is ours.
        let ours = state.begun.saturating_add(1);
        *state.waiting.entry(ours).or_default() += 1;
        while state.running && state.ended < ours && state.begun < ours {
            state = self
                .turn
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.begun < ours {
            state.begun = ours;
            state.running = true;
            drop(state);
            let outcome = files::sync(directory);
            state = lock(&self.state);
            state.running = false;
            state.ended = ours;
            if let Err(errno) = outcome {
                let waiting = state.waiting.get(&ours).copied().unwrap_or(1);
                state.failed.insert(ours, (errno, waiting));
            }
            self.turn.notify_all();
        } else {
            while state.ended < ours {
                state = self
                    .turn
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        state.leave(ours)
    }
}

impl State {
    /// One who waited for sync `ours` goes, with its outcome.
    fn leave(&mut self, ours: u64) -> Result<(), Errno> {
        if let Some(waiting) = self.waiting.get_mut(&ours) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                self.waiting.remove(&ours);
            }
        }
        match self.failed.get_mut(&ours) {
            None => Ok(()),
            Some((errno, left)) => {
                let errno = *errno;
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.failed.remove(&ours);
                }
                Err(errno)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn many_writers_share_syncs() {
        let directory = tempfile::tempdir().unwrap();
        let handle = std::fs::File::open(directory.path()).unwrap();
        let syncs = Syncs::default();
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        syncs.sync(handle.as_fd()).unwrap();
                    }
                });
            }
        });
        assert!(lock(&syncs.groups).is_empty());
    }
}
