//! Memory that many hold, of which nobody can take all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Asker;

/// How much is held, in all and by each.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Shares>);

#[derive(Debug, Default)]
struct Shares {
    all: usize,
    // Nothing is remembered of those who hold nothing.
    each: HashMap<Asker, usize>,
}

impl Memory {
    /// Nothing is held.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What `asker` is going to hold: nothing yet.
    #[must_use]
    pub fn held_by(self: &Arc<Self>, asker: Asker) -> Held {
        Held {
            memory: Arc::clone(self),
            asker,
            bytes: 0,
        }
    }

    fn change<T>(&self, with: impl FnOnce(&mut Shares) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one request holds; given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    memory: Arc<Memory>,
    asker: Asker,
    bytes: usize,
}

impl Held {
    /// Holds `more` bytes, if there is room among the `most` of all: one who holds as much as is left
    /// gets no more. So one alone has half, two have a third each, and the next finds room.
    #[must_use]
    pub fn hold(&mut self, more: usize, most: usize) -> bool {
        let asker = self.asker;
        let held = self.memory.change(|shares| {
            let theirs = shares.each.get(&asker).copied().unwrap_or_default();
            let theirs = theirs.saturating_add(more);
            let all = shares.all.saturating_add(more);
            if theirs > most.saturating_sub(all) {
                return false;
            }
            shares.each.insert(asker, theirs);
            shares.all = all;
            true
        });
        if held {
            self.bytes = self.bytes.saturating_add(more);
        }
        held
    }

    /// Gives `bytes` of it back, or all there is.
    pub fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        if bytes == 0 {
            return;
        }
        self.bytes -= bytes;
        let asker = self.asker;
        self.memory.change(|shares| {
            shares.all = shares.all.saturating_sub(bytes);
            if let Some(theirs) = shares.each.get_mut(&asker) {
                *theirs = theirs.saturating_sub(bytes);
                if *theirs == 0 {
                    shares.each.remove(&asker);
                }
            }
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Asker = Asker::for_test(1);
    const B: Asker = Asker::for_test(2);

    #[test]
    fn t93_one_leaves_room_for_the_next() {
        let memory = Memory::new();
        let [mut first, mut same, mut other] = [A, A, B].map(|asker| memory.held_by(asker));
        assert!(first.hold(400, 1000) && same.hold(100, 1000));
        assert!(!first.hold(1, 1000) && !same.hold(1, 1000));
        // As much as is left beside it.
        assert!(other.hold(250, 1000) && !other.hold(1, 1000));
        first.give_back(300);
        assert!(same.hold(150, 1000));
        drop((first, same, other));
        assert!(memory.change(|shares| shares.all == 0 && shares.each.is_empty()));
    }

    #[test]
    fn what_was_not_held_is_not_given_back() {
        let memory = Memory::new();
        let (mut one, mut other) = (memory.held_by(A), memory.held_by(A));
        assert!(one.hold(10, 1000) && !other.hold(1000, 1000));
        other.give_back(10);
        drop(other);
        assert_eq!(memory.change(|shares| shares.all), 10);
        // A reload may allow less than is held.
        assert!(!one.hold(0, 5));
    }
}
