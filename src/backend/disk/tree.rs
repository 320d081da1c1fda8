//! Directories remembered: the names in them in the order of keys, what listings tell of each object,
//! and whether a directory's own entry is durable.
//!
//! A directory's node is locked while a name in it is made, moved or removed, and is told in the same
//! breath, so what is remembered is what is there. What is forgotten, because memory is bounded, is read
//! again when it is asked for. Nodes are locked from above downward.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Bound;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;

use super::faults::Faults;
use super::files::{self, Is, Look};
use super::name::{Kind, Level, decode};
use super::record::Listed;
use super::store::lock;

/// How many maps the nodes are spread over.
const SHARDS: usize = 16;

/// What a name takes in memory beside its bytes.
const NAME: usize = 112;

/// What a node takes in memory beside its path and its names.
const NODE: usize = 256;

/// What is remembered of one directory however little memory there is, in bytes: less than a page would be
/// read again and again for each.
const LEAST: usize = 1024 * NAME;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// An object, and what is told of it in listings where that is known.
    Object(Option<Listed>),
    /// A directory, behind whose name a `/` follows, or a piece of a long segment.
    Below(Kind),
}

/// Some of a directory's names: all from `from` to `upto`, both included.
#[derive(Debug, Default)]
struct Known {
    from: Vec<u8>,
    /// `None`: to the end.
    upto: Option<Vec<u8>>,
    entries: BTreeMap<Box<[u8]>, Entry>,
    /// What the names take in memory.
    cost: usize,
}

impl Known {
    /// Says whether the name is new.
    fn insert(&mut self, name: Box<[u8]>, entry: Entry) -> bool {
        let cost = NAME.saturating_add(name.len());
        let is_new = self.entries.insert(name, entry).is_none();
        if is_new {
            self.cost = self.cost.saturating_add(cost);
        }
        is_new
    }

    /// Says whether the name was there.
    fn remove(&mut self, name: &[u8]) -> bool {
        let was_there = self.entries.remove(name).is_some();
        if was_there {
            let cost = NAME.saturating_add(name.len());
            self.cost = self.cost.saturating_sub(cost);
        }
        was_there
    }

    /// Knows no more of the last names, when all of them take more than `share`.
    fn fit(&mut self, share: usize) {
        while self.cost > share
            && self.entries.len() > 1
            && let Some((last, _)) = self.entries.pop_last()
        {
            let cost = NAME.saturating_add(last.len());
            self.cost = self.cost.saturating_sub(cost);
            self.upto = self.entries.last_key_value().map(|(last, _)| last.to_vec());
        }
    }

    fn covers(&self, name: &[u8]) -> bool {
        name >= self.from.as_slice() && self.upto.as_deref().is_none_or(|upto| name <= upto)
    }
}

#[derive(Debug)]
struct State {
    known: Option<Known>,
    /// Another one whenever the directory is made or removed.
    generation: u64,
    /// Whether the entry of this generation, in the directory above, is durable.
    durable: bool,
    /// What this node is counted as in memory.
    cost: usize,
}

/// A directory.
#[derive(Debug)]
pub(super) struct Node {
    path: String,
    level: Level,
    state: Mutex<State>,
    used: AtomicU64,
    shared: Arc<Shared>,
}

/// What the nodes of a tree have in common.
#[derive(Debug)]
struct Shared {
    /// The most bytes that nodes and names may take.
    budget: usize,
    held: AtomicUsize,
    generations: AtomicU64,
    /// How many names pages took.
    #[cfg(test)]
    taken: AtomicUsize,
}

impl Shared {
    fn generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// The most bytes that one directory's names may take: less than what is kept when others are forgotten,
    /// or it would be the next to go.
    fn share(&self) -> usize {
        let most = (self.budget / 4 * 3).saturating_sub(64 * NAME);
        most.max(LEAST)
    }
}

/// Every directory that is remembered or in use, by its path.
#[derive(Debug)]
pub(super) struct Tree {
    shards: Vec<Mutex<HashMap<String, Arc<Node>>>>,
    hasher: RandomState,
    clock: AtomicU64,
    shared: Arc<Shared>,
}

/// Names of a directory in order.
pub(super) struct Page {
    pub(super) entries: Vec<(Box<[u8]>, Entry)>,
    /// Where the next names begin, when there may be more.
    pub(super) next: Option<Vec<u8>>,
}

impl Tree {
    /// Remembers in at most about `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            clock: AtomicU64::new(0),
            shared: Arc::new(Shared {
                budget,
                held: AtomicUsize::new(0),
                generations: AtomicU64::new(0),
                #[cfg(test)]
                taken: AtomicUsize::new(0),
            }),
        }
    }

    /// The node of the directory at `path`, which need not be there.
    pub(super) fn node(&self, path: &str, level: Level) -> Arc<Node> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let (node, is_new) = {
            let mut shard = self.shard(path);
            match shard.get(path) {
                Some(node) => (node.clone(), false),
                None => {
                    let node = Arc::new(Node::new(path, level, self.shared.clone()));
                    shard.insert(path.to_owned(), node.clone());
                    (node, true)
                }
            }
        };
        node.used.store(now, Ordering::Relaxed);
        if is_new {
            self.trim();
        }
        node
    }

    fn shard(&self, path: &str) -> MutexGuard<'_, HashMap<String, Arc<Node>>> {
        let at = usize::try_from(self.hasher.hash_one(path) % SHARDS as u64).unwrap_or(0);
        match self.shards.get(at).or_else(|| self.shards.first()) {
            Some(shard) => lock(shard),
            // There are shards; a tree without would be a mistake of `new`.
            None => lock(Box::leak(Box::default())),
        }
    }

    /// How many names pages took since this was last asked.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.shared.taken.swap(0, Ordering::Relaxed)
    }

    /// How many bytes are counted as remembered.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// Forgets every directory below `path`. Nobody may be changing one of them.
    pub(super) fn forget(&self, path: &str) {
        for shard in &self.shards {
            lock(shard).retain(|known, _| {
                !known
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
        }
    }

    /// Forgets what was not used for the longest time, when too much is remembered. A node that
    /// somebody holds stays: two nodes of one directory would not know of each other's changes.
    pub(super) fn trim(&self) {
        let held = || self.shared.held.load(Ordering::Relaxed);
        if held() <= self.shared.budget {
            return;
        }
        let mut idle: Vec<(u64, String)> = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let unused = shard.values().filter(|node| Arc::strong_count(node) == 1);
            idle.extend(unused.map(|n| (n.used.load(Ordering::Relaxed), n.path.clone())));
        }
        idle.sort_unstable();
        let enough = self.shared.budget / 4 * 3;
        for (_, path) in idle {
            if held() <= enough {
                return;
            }
            let mut shard = self.shard(&path);
            if shard
                .get(&path)
                .is_some_and(|node| Arc::strong_count(node) == 1)
            {
                shard.remove(&path);
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let cost = lock(&self.state).cost;
        self.shared.held.fetch_sub(cost, Ordering::Relaxed);
    }
}

impl Node {
    fn new(path: &str, level: Level, shared: Arc<Shared>) -> Self {
        let cost = NODE.saturating_add(path.len().saturating_mul(2));
        shared.held.fetch_add(cost, Ordering::Relaxed);
        let state = State {
            known: None,
            generation: shared.generation(),
            durable: false,
            cost,
        };
        Self {
            path: path.to_owned(),
            level,
            state: Mutex::new(state),
            used: AtomicU64::new(0),
            shared,
        }
    }

    /// Its path below the store's root.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What names in it may be.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Nobody else changes a name in it while this is held.
    pub(super) fn lock(&self) -> Held<'_> {
        Held {
            node: self,
            state: lock(&self.state),
        }
    }

    /// Which directory stands at this path now, and whether its own entry is durable.
    pub(super) fn generation(&self) -> (u64, bool) {
        let state = lock(&self.state);
        (state.generation, state.durable)
    }

    /// The entry of `generation` is durable, if that directory is still the one that is there.
    pub(super) fn set_durable(&self, generation: u64) {
        let mut state = lock(&self.state);
        if state.generation == generation {
            state.durable = true;
        }
    }

    /// Up to `most` names from `from` on.
    pub(super) fn page(
        &self,
        root: BorrowedFd<'_>,
        faults: &Faults,
        from: &[u8],
        most: usize,
    ) -> Result<Page, Errno> {
        let mut held = self.lock();
        let known = held.state.known.as_ref();
        if !known.is_some_and(|known| known.covers(from)) {
            held.load(root, faults, from)?;
        }
        let mut page = Page {
            entries: Vec::new(),
            next: None,
        };
        let Some(known) = held.state.known.as_ref() else {
            return Ok(page);
        };
        let range = (Bound::Included(from), Bound::Unbounded);
        let mut range = known.entries.range::<[u8], _>(range);
        let taken = range.by_ref().take(most);
        page.entries = taken.map(|(n, e)| (n.clone(), e.clone())).collect();
        #[cfg(test)]
        (self.shared.taken).fetch_add(page.entries.len(), Ordering::Relaxed);
        let behind = |last: &[u8]| [last, &[0]].concat();
        page.next = match (range.next(), &known.upto) {
            (Some((next, _)), _) => Some(next.to_vec()),
            (None, Some(upto)) => Some(behind(upto)),
            (None, None) => None,
        };
        Ok(page)
    }

    /// Keeps what was read of objects that nobody has written since.
    pub(super) fn fill(&self, read: Vec<(Box<[u8]>, Listed)>) {
        let mut state = lock(&self.state);
        let Some(known) = &mut state.known else {
            return;
        };
        for (name, listed) in read {
            // Whoever writes one says what it is: where nothing is known, nothing was written.
            if let Some(entry @ Entry::Object(None)) = known.entries.get_mut(&name) {
                *entry = Entry::Object(Some(listed));
            }
        }
    }
}

/// A directory that nobody else changes.
pub(super) struct Held<'n> {
    node: &'n Node,
    state: MutexGuard<'n, State>,
}

impl Held<'_> {
    /// `name` is there now.
    pub(super) fn insert(&mut self, name: &[u8], entry: Entry) {
        let share = self.node.shared.share();
        let known = self.state.known.as_mut();
        if let Some(known) = known.filter(|known| known.covers(name))
            && known.insert(name.into(), entry)
        {
            known.fit(share);
            self.recount();
        }
    }

    /// `name` is there no more.
    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some(known) = &mut self.state.known
            && known.remove(name)
        {
            self.recount();
        }
    }

    /// The directory was made just now: nothing is in it, and its entry is not durable.
    pub(super) fn is_made(&mut self) {
        self.state.generation = self.node.shared.generation();
        self.state.durable = false;
        self.state.known = Some(Known::default());
        self.recount();
    }

    /// Its entry, or one beside it, may be durable no more, for who asks from now on.
    pub(super) fn is_not_durable(&mut self) {
        self.state.generation = self.node.shared.generation();
        self.state.durable = false;
    }

    /// The directory is gone.
    pub(super) fn is_gone(&mut self) {
        self.state.generation = self.node.shared.generation();
        self.state.durable = false;
        self.state.known = None;
        self.recount();
    }

    /// What was done to a name failed, so that nobody knows whether it is there.
    pub(super) fn unsure(&mut self) {
        self.state.known = None;
        self.recount();
    }

    /// Whether something is known to be in it.
    pub(super) fn is_known_to_be_full(&self) -> bool {
        let known = self.state.known.as_ref();
        known.is_some_and(|known| !known.entries.is_empty())
    }

    /// Counts what is remembered.
    fn recount(&mut self) {
        let names = self.state.known.as_ref().map_or(0, |known| known.cost);
        let base = NODE.saturating_add(self.node.path.len().saturating_mul(2));
        let cost = base.saturating_add(names);
        let held = &self.node.shared.held;
        held.fetch_add(cost, Ordering::Relaxed);
        held.fetch_sub(
            std::mem::replace(&mut self.state.cost, cost),
            Ordering::Relaxed,
        );
    }

    /// Reads the directory. Where it has more names than may be remembered of one, those from `from` on.
    fn load(&mut self, root: BorrowedFd<'_>, faults: &Faults, from: &[u8]) -> Result<(), Errno> {
        let share = self.node.shared.share();
        let most = share / NAME;
        let mut found: Vec<(Box<[u8]>, Entry)> = Vec::new();
        let mut known = Known::default();
        let narrow = |known: &mut Known, found: &mut Vec<(Box<[u8]>, Entry)>| {
            known.from = from.to_vec();
            found.retain(|(name, _)| known.covers(name));
            if found.len() > most {
                let (_, last, _) = found.select_nth_unstable_by(most, |a, b| a.0.cmp(&b.0));
                known.upto = Some(last.0.to_vec());
                found.retain(|(name, _)| known.covers(name));
            }
        };
        let is_ours = read(root, faults, self.node, |name, entry| {
            if known.covers(&name) {
                found.push((name, entry));
            }
            if found.len() >= most.saturating_mul(2) {
                narrow(&mut known, &mut found);
            }
        })?;
        if !is_ours {
            // What stands there may go without the store being told.
            self.unsure();
            return Ok(());
        }
        if found.len() > most {
            narrow(&mut known, &mut found);
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        known.cost = found
            .iter()
            .map(|(name, _)| NAME.saturating_add(name.len()))
            .sum();
        known.entries = found.into_iter().collect();
        if known.cost > share && known.from.as_slice() < from {
            known.from = from.to_vec();
            known.entries = known.entries.split_off(from);
            known.cost = known
                .entries
                .keys()
                .map(|name| NAME.saturating_add(name.len()))
                .sum();
        }
        known.fit(share);
        self.state.known = Some(known);
        self.recount();
        Ok(())
    }
}

/// Tells `each` of every name that is the store's; says whether the directory is the store's.
fn read(
    root: BorrowedFd<'_>,
    faults: &Faults,
    node: &Node,
    mut each: impl FnMut(Box<[u8]>, Entry),
) -> Result<bool, Errno> {
    let directory = match files::look_into(root, &node.path) {
        Ok(Look::Directory(directory)) => directory,
        // Removed since it was seen.
        Ok(Look::Nothing) => return Ok(true),
        Ok(Look::Foreign(path)) => {
            faults.foreign(path, "no directory, in a directory's place");
            return Ok(false);
        }
        Err(errno) => {
            faults.refused(&node.path, errno);
            return Err(errno);
        }
    };
    files::entries(directory.as_fd(), |name, is| {
        match decode(node.level, name) {
            Some((Kind::Object, bytes)) if is == Is::File => {
                each(bytes.into(), Entry::Object(None));
            }
            Some((kind @ (Kind::Directory | Kind::Piece), bytes)) if is == Is::Directory => {
                each(bytes.into(), Entry::Below(kind));
            }
            _ => {
                let path = format!("{}/{}", node.path, String::from_utf8_lossy(name));
                faults.foreign(&path, "no object's name or kind");
            }
        }
        Ok::<_, Errno>(())
    })?;
    Ok(true)
}
