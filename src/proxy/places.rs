//! How many requests are answered at a time: in all, for each caller, so that one who asks for much
//! leaves room for others, and at each backend, so that one that does not answer leaves room as well.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::fair::Asker;

/// Callers are counted in so many maps, so that requests seldom wait for one another.
const SHARDS: usize = 32;

/// Requests under way.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    shards: Vec<Mutex<HashMap<Asker, usize>>>,
    hasher: RandomState,
    // By name, so that a reload forgets nothing; there are as many as have ever been configured.
    backends: RwLock<HashMap<String, Arc<AtomicUsize>>>,
}

/// One request's place, for as long as this lives.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

/// One request's place among its caller's, for as long as this lives.
#[derive(Debug)]
pub(super) struct Share(Arc<Places>, Asker);

/// One request's place among those at a backend, for as long as this lives.
#[derive(Debug)]
pub(super) struct AtBackend(Arc<AtomicUsize>);

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            backends: RwLock::default(),
        })
    }

    /// A place among `most`, if there is one.
    pub(super) fn take(self: &Arc<Self>, most: usize) -> Option<Place> {
        let place = |taken| (taken < most).then_some(taken + 1);
        let taken = (self.taken).fetch_update(Ordering::Relaxed, Ordering::Relaxed, place);
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// A place among the `most` of a caller, if there is one.
    pub(super) fn share(self: &Arc<Self>, asker: Asker, most: usize) -> Option<Share> {
        let taken = self.change(&asker, |count| {
            let free = *count < most;
            *count += usize::from(free);
            free
        });
        taken.then(|| Share(Arc::clone(self), asker))
    }

    /// A place at a backend, for a request that has one of the `most` already: one that holds more than is
    /// left gets no more. So one alone has half, and another always finds room.
    pub(super) fn at(&self, backend: &str, most: usize) -> Option<AtBackend> {
        let held = self.held_at(backend);
        let left = most.saturating_sub(self.taken.load(Ordering::Relaxed));
        let place = |held| (held <= left).then_some(held + 1);
        let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place);
        taken.is_ok().then(|| AtBackend(held))
    }

    fn held_at(&self, backend: &str) -> Arc<AtomicUsize> {
        let known = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = known.get(backend) {
            return Arc::clone(held);
        }
        drop(known);
        let mut known = (self.backends.write()).unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(backend.to_owned()).or_default())
    }

    /// Changes a caller's count; nothing is remembered of callers that have none.
    fn change<T: Default>(&self, asker: &Asker, with: impl FnOnce(&mut usize) -> T) -> T {
        let shard = self.hasher.hash_one(asker) as usize % SHARDS;
        let Some(shard) = self.shards.get(shard) else {
            return T::default();
        };
        let mut counts = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match counts.get_mut(asker) {
            Some(count) => count,
            None => counts.entry(*asker).or_default(),
        };
        let answer = with(count);
        if *count == 0 {
            counts.remove(asker);
        }
        answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for AtBackend {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Self(places, asker) = self;
        places.change(asker, |count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Asker = Asker::for_test(1);
    const B: Asker = Asker::for_test(2);

    #[test]
    fn t87_places_are_taken_and_given_back() {
        let places = Places::new();
        let first = places.take(2);
        let second = places.take(2);
        assert!(first.is_some() && second.is_some() && places.take(2).is_none());
        drop(first);
        assert!(places.take(2).is_some());
        // A reload may allow fewer than are taken.
        assert!(places.take(1).is_none());
        drop(second);
        assert!(places.take(1).is_some());
    }

    /// As many requests at a backend as it gets, each with a place of its own.
    fn fill(places: &Arc<Places>, backend: &str, most: usize) -> Vec<(Place, AtBackend)> {
        let one = || Some((places.take(most)?, places.at(backend, most)?));
        std::iter::from_fn(one).collect()
    }

    #[test]
    fn t87_one_backend_leaves_room_to_others() {
        for most in [1, 2, 3, 8, 1000] {
            let places = Places::new();
            let alone = fill(&places, "one", most);
            assert_eq!(alone.len(), most.div_ceil(2), "{most}");
            let beside = fill(&places, "two", most);
            assert_eq!(beside.is_empty(), most == 1, "{most}");
            assert!(beside.len() <= alone.len().div_ceil(2));
            drop((alone, beside));
            assert_eq!(fill(&places, "two", most).len(), most.div_ceil(2));
        }
    }

    #[test]
    fn t87_one_caller_has_its_share_and_no_other_s() {
        let places = Places::new();
        let mut held: Vec<Option<Share>> = (0..3).map(|_| places.share(A, 3)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.share(A, 3).is_none());
        assert!(places.share(B, 3).is_some());
        held.pop();
        assert!(places.share(A, 3).is_some());
        drop(held);
        let known: usize = (places.shards.iter())
            .map(|shard| shard.lock().map_or(1, |counts| counts.len()))
            .sum();
        assert_eq!(known, 0);
    }
}
