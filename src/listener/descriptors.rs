//! File descriptors: how many there may be, and a few that are kept back.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is taken where the system names no limit: the kernel's own for one process.
const NO_LIMIT: u64 = 1 << 20;

/// How many descriptors are kept back for the admin listener.
const SPARE: usize = 16;

/// How many file descriptors this process may have open at a time.
#[must_use]
pub fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(NO_LIMIT)
}

/// Raises the soft limit of descriptors to the hard one, and answers what it was and what it is.
pub fn raise_descriptors() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    let before = descriptors();
    let most = limit.maximum.unwrap_or(NO_LIMIT);
    if before < most {
        let raised = Rlimit {
            current: Some(most),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of file descriptors cannot be raised");
        }
    }
    (before, descriptors())
}

/// Descriptors that are open for nothing, so that one can be given up when there is none left.
#[derive(Clone, Debug)]
pub struct Reserve(Arc<Mutex<Vec<File>>>);

impl Reserve {
    /// Keeps descriptors back, as many as can be had.
    #[must_use]
    pub fn new() -> Self {
        let reserve = Self(Arc::default());
        reserve.refill();
        reserve
    }

    /// Gives one up; `false` when none was left.
    pub(super) fn give(&self) -> bool {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().is_some()
    }

    /// Takes back what was given up, as far as it can be had: the rest comes with the next connection.
    pub(super) fn refill(&self) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while spare.len() < SPARE {
            match File::open("/dev/null") {
                Ok(file) => spare.push(file),
                Err(_) => return,
            }
        }
    }
}

impl Default for Reserve {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one() {
        let (before, now) = raise_descriptors();
        assert!(before <= now && now == descriptors());
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(hard.unwrap_or(NO_LIMIT), now);
    }

    #[test]
    fn a_reserve_gives_what_it_has_and_takes_it_back() {
        let reserve = Reserve::new();
        let given = (0..SPARE).filter(|_| reserve.give()).count();
        assert!(given == SPARE && !reserve.give());
        reserve.refill();
        assert!(reserve.give());
    }
}
