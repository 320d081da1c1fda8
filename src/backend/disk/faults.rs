//! What is wrong with a store and no request's fault: counted, named in the log once, told to the
//! operator. In tests, also system calls that fail when they are told to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::store::lock;

/// How many paths of each kind are remembered as named in the log. When there are more, the oldest is
/// forgotten, and named again when it is found again: what is new is never kept back.
const NAMED: usize = 4096;

/// How many findings wait to be told.
const WAITING: usize = 1024;

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `damaged`, `unreadable` or `foreign`.
    pub kind: &'static str,
    /// The path below the store's root.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

/// Everything that was found since the store was opened.
#[derive(Debug, Default)]
pub struct Faults {
    damaged: AtomicU64,
    foreign: AtomicU64,
    failed: AtomicU64,
    named: Mutex<HashMap<&'static str, Named>>,
    waiting: Mutex<VecDeque<Finding>>,
}

impl Faults {
    /// Files found damaged, each time that one was found.
    #[must_use]
    pub fn damaged_count(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Entries that nobody here wrote, each counted once; again only when more than 4,096 others were
    /// found since.
    #[must_use]
    pub fn foreign_count(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    /// Requests, and reads of a scrub, that failed because the disk did.
    #[must_use]
    pub fn failed_count(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// What was found since this was last asked, at most 1,024 findings; what there is no room for is told
    /// when it is found again.
    #[must_use]
    pub fn take(&self) -> Vec<Finding> {
        lock(&self.waiting).drain(..).collect()
    }

    pub(super) fn damaged(&self, path: &str, what: &str) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        if self.is_new("damaged", path, what) {
            tracing::error!(path, what, "damaged");
        }
    }

    /// What a scrub could not read: whether it is sound is not known.
    pub(super) fn unreadable(&self, path: &str, what: &str) {
        self.failed();
        if self.is_new("unreadable", path, what) {
            tracing::error!(path, what, "unreadable");
        }
    }

    /// A directory that may not be read, whoever owns it. Whoever asked is told, and counted.
    pub(super) fn refused(&self, path: &str, errno: rustix::io::Errno) {
        use rustix::io::Errno;
        let what = "it cannot be read: look at its owner and its mode";
        if matches!(errno, Errno::ACCESS | Errno::PERM) && self.is_new("unreadable", path, what) {
            tracing::error!(path, what, "unreadable");
        }
    }

    pub(super) fn foreign(&self, path: &str, what: &str) {
        if self.is_new("foreign", path, what) {
            self.foreign.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(path, what, "not the store's: left alone");
        }
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers a finding and has it told, unless it is known.
    fn is_new(&self, kind: &'static str, path: &str, what: &str) -> bool {
        let mut named = lock(&self.named);
        let named = named.entry(kind).or_default();
        if named.known.contains(path) {
            return false;
        }
        let mut waiting = lock(&self.waiting);
        if waiting.len() < WAITING {
            waiting.push_back(Finding {
                kind,
                path: path.to_owned(),
                what: what.to_owned(),
            });
            named.insert(path);
        }
        true
    }
}

/// The paths of a kind that were named last.
#[derive(Debug, Default)]
struct Named {
    known: HashSet<Arc<str>>,
    /// In the order in which they were found.
    order: VecDeque<Arc<str>>,
}

impl Named {
    fn insert(&mut self, path: &str) {
        let path: Arc<str> = path.into();
        self.known.insert(path.clone());
        self.order.push_back(path);
        if self.order.len() > NAMED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(not(test))]
#[inline]
pub(super) fn failing(_call: &'static str) -> Result<(), rustix::io::Errno> {
    Ok(())
}

#[cfg(test)]
pub(super) use injected::failing;

/// System calls that fail on purpose, in the threads that are told to.
#[cfg(test)]
pub(super) mod injected {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use rustix::io::Errno;

    use crate::backend::disk::store::lock;

    /// Which calls fail, and what was called.
    #[derive(Debug, Default)]
    pub(in crate::backend::disk) struct Plan {
        inner: Mutex<Inner>,
    }

    #[derive(Debug, Default)]
    struct Inner {
        made: BTreeMap<&'static str, usize>,
        rule: Option<Rule>,
    }

    /// The calls of one kind that fail.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::backend::disk) struct Rule {
        pub(in crate::backend::disk) call: &'static str,
        /// Counted from 0.
        pub(in crate::backend::disk) nth: usize,
        /// And all that follow.
        pub(in crate::backend::disk) lasting: bool,
        pub(in crate::backend::disk) errno: Errno,
    }

    impl Plan {
        /// From now on `rule` holds, and calls are counted anew.
        pub(in crate::backend::disk) fn set(&self, rule: Option<Rule>) {
            *lock(&self.inner) = Inner {
                made: BTreeMap::new(),
                rule,
            };
        }

        /// How often each call was made.
        pub(in crate::backend::disk) fn made(&self) -> BTreeMap<&'static str, usize> {
            lock(&self.inner).made.clone()
        }
    }

    thread_local! {
        static PLAN: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) };
    }

    /// This thread's calls follow `plan`.
    pub(in crate::backend::disk) fn follow(plan: Option<Arc<Plan>>) {
        PLAN.with(|current| *current.borrow_mut() = plan);
    }

    pub(in crate::backend::disk) fn failing(call: &'static str) -> Result<(), Errno> {
        PLAN.with(|current| {
            let current = current.borrow();
            let Some(plan) = current.as_ref() else {
                return Ok(());
            };
            let mut inner = lock(&plan.inner);
            let made = inner.made.entry(call).or_default();
            let this = *made;
            *made += 1;
            match inner.rule {
                Some(rule) if rule.call == call => {
                    let hit = this == rule.nth || (rule.lasting && this > rule.nth);
                    if hit { Err(rule.errno) } else { Ok(()) }
                }
                _ => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Faults, NAMED, WAITING};

    /// Whatever else was found, damage is told, and every kind is counted.
    #[test]
    fn no_kind_leaves_another_untold() {
        let faults = Faults::default();
        for n in 0..3 * NAMED {
            faults.foreign(&format!("foreign/{n}"), "no name of the store's");
            drop(faults.take());
        }
        assert_eq!(faults.foreign_count(), 3 * NAMED as u64);
        for n in 0..3 * NAMED {
            faults.damaged(&format!("damaged/{n}"), "its CRC is another");
            assert_eq!(faults.take().len(), 1, "{n}");
        }
        // Found again, it is counted and not told again.
        faults.damaged(&format!("damaged/{}", 3 * NAMED - 1), "its CRC is another");
        assert_eq!(faults.damaged_count(), 3 * NAMED as u64 + 1);
        assert!(faults.take().is_empty());
        let named = faults.named.lock().map(|named| {
            let sizes = named.values().map(|n| (n.known.len(), n.order.len()));
            sizes.collect::<Vec<_>>()
        });
        assert_eq!(named.ok(), Some(vec![(NAMED, NAMED); 2]));
    }

    /// What there was no room for is told when it is found again.
    #[test]
    fn what_waits_for_no_one_is_bounded_and_told_later() {
        let faults = Faults::default();
        let find = || {
            for n in 0..WAITING + 7 {
                faults.damaged(&format!("damaged/{n}"), "its CRC is another");
            }
        };
        find();
        assert_eq!(faults.take().len(), WAITING);
        find();
        assert_eq!(faults.take().len(), 7);
    }
}
