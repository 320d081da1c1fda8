//! Open uploads remembered: each bucket's in the order of pages, with what a page tells of each, and the
//! records of those that were looked at lately; in bounded memory.
//!
//! Whoever moves an upload to its place or away holds its bucket's index meanwhile and tells it in the same
//! breath, so what is remembered is what is there. What a failed call may have done is not guessed: the
//! index is forgotten, and read again when a page is asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use moka::sync::Cache;
use rustix::io::Errno;

use super::ending;
use super::files::{self, Is, error};
use super::store::{Store, is_random_name, lock};
use super::upload::{self, Found, UploadRecord};
use crate::s3::{BucketName, ChecksumAlgorithm, ChecksumType, Error, ErrorCode};

/// What an upload takes in an index beside its key.
const ENTRY: usize = 144;

/// What is remembered of one bucket however little memory there is: less than a page would be read again
/// and again for each.
const LEAST: usize = 256 * 1024;

/// Where an upload stands among its bucket's: by key, then by time, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) key: Box<[u8]>,
    pub(super) initiated: i128,
    id: u128,
}

impl Position {
    /// The position of the upload `id`; `None` when that is no upload's id.
    pub(super) fn of(id: &str, record: &UploadRecord) -> Option<Self> {
        Self::new(record.key.as_bytes(), record.initiated, id)
    }

    pub(super) fn new(key: &[u8], initiated: i128, id: &str) -> Option<Self> {
        if !is_random_name(id) {
            return None;
        }
        Some(Self {
            key: key.into(),
            initiated,
            id: u128::from_str_radix(id, 16).ok()?,
        })
    }

    /// The first position that an upload of this key, or of a greater one, may have.
    pub(super) fn first(key: &[u8]) -> Self {
        Self {
            key: key.into(),
            initiated: i128::MIN,
            id: 0,
        }
    }

    /// The first position behind every upload of this key.
    pub(super) fn behind_key(key: &[u8]) -> Self {
        Self::first(&[key, &[0]].concat())
    }

    /// The position right behind this one.
    pub(super) fn next(&self) -> Self {
        let mut next = self.clone();
        match self.id.checked_add(1) {
            Some(id) => next.id = id,
            None => (next.initiated, next.id) = (self.initiated.saturating_add(1), 0),
        }
        next
    }

    pub(super) fn id(&self) -> String {
        format!("{:032x}", self.id)
    }

    fn cost(&self) -> usize {
        ENTRY.saturating_add(self.key.len())
    }
}

/// The checksum that an upload asks of its parts: what a page tells beside its position.
pub(super) type Asks = Option<(ChecksumAlgorithm, ChecksumType)>;

/// Uploads of a bucket in order.
pub(super) struct Page {
    pub(super) entries: Vec<(Position, Asks)>,
    /// Where the next ones begin, when there may be more.
    pub(super) next: Option<Position>,
}

/// Some of a bucket's uploads: all from `from` to `upto`, both included.
#[derive(Debug)]
struct Known {
    from: Position,
    /// `None`: to the end.
    upto: Option<Position>,
    entries: BTreeMap<Position, Asks>,
    cost: usize,
    held: Arc<AtomicUsize>,
}

impl Known {
    fn covers(&self, position: &Position) -> bool {
        *position >= self.from && self.upto.as_ref().is_none_or(|upto| position <= upto)
    }

    fn recount(&mut self, cost: usize) {
        self.held.fetch_add(cost, Ordering::Relaxed);
        let before = std::mem::replace(&mut self.cost, cost);
        self.held.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.held.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// A bucket's index.
#[derive(Debug)]
pub(super) struct Index {
    known: Mutex<Option<Known>>,
    /// Held by who reads it from the disk: one at a time is enough.
    reading: Mutex<()>,
    used: AtomicU64,
    /// The most bytes that it may take.
    share: usize,
}

/// An index that nobody else changes or reads, and so no upload of its bucket comes or goes.
pub(super) struct Held<'i> {
    share: usize,
    known: MutexGuard<'i, Option<Known>>,
}

impl Index {
    pub(super) fn lock(&self) -> Held<'_> {
        Held {
            share: self.share,
            known: lock(&self.known),
        }
    }
}

impl Held<'_> {
    /// An upload is there now.
    pub(super) fn insert(&mut self, position: Position, asks: Asks) {
        let Some(known) = self.known.as_mut().filter(|k| k.covers(&position)) else {
            return;
        };
        let mut cost = known.cost.saturating_add(position.cost());
        known.entries.insert(position, asks);
        // With more than its share, it knows of those at the end no more.
        while cost > self.share
            && let Some((last, _)) = known.entries.pop_last()
        {
            cost = cost.saturating_sub(last.cost());
            known.upto = known.entries.last_key_value().map(|(last, _)| last.clone());
        }
        known.recount(cost);
        if known.entries.is_empty() {
            self.unsure();
        }
    }

    /// An upload is there no more.
    pub(super) fn remove(&mut self, position: &Position) {
        if let Some(known) = self.known.as_mut()
            && known.entries.remove(position).is_some()
        {
            let cost = known.cost.saturating_sub(position.cost());
            known.recount(cost);
        }
    }

    /// What was done to an upload failed, so that nobody knows whether it is there.
    pub(super) fn unsure(&mut self) {
        *self.known = None;
    }

    fn covers(&self, from: &Position) -> bool {
        self.known.as_ref().is_some_and(|known| known.covers(from))
    }

    fn page(&self, from: &Position, most: usize) -> Page {
        let mut page = Page {
            entries: Vec::new(),
            next: None,
        };
        let Some(known) = self.known.as_ref() else {
            return page;
        };
        let mut range = known.entries.range(from..);
        let taken = range.by_ref().take(most);
        page.entries = taken.map(|(p, asks)| (p.clone(), *asks)).collect();
        page.next = match (range.next(), &known.upto) {
            (Some((next, _)), _) => Some(next.clone()),
            (None, Some(upto)) => Some(upto.next()),
            (None, None) => None,
        };
        page
    }
}

/// What is remembered of all buckets' uploads.
#[derive(Debug)]
pub(super) struct Uploads {
    /// By their paths. A record never changes, and its upload's id is never used again.
    records: Cache<String, Arc<UploadRecord>>,
    /// Where those that ended lately stood: a page may have ended at one.
    ended: Cache<String, Position>,
    indexes: Mutex<HashMap<BucketName, Arc<Index>>>,
    clock: AtomicU64,
    held: Arc<AtomicUsize>,
    /// The most bytes that indexes may take.
    budget: usize,
}

impl Uploads {
    /// Remembers in at most about `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        let half = budget / 2;
        let eighth = budget / 8;
        let records = Cache::builder()
            .max_capacity(half.saturating_sub(eighth) as u64)
            .weigher(|path: &String, record: &Arc<UploadRecord>| {
                u32::try_from(path.len().saturating_add(record.weight())).unwrap_or(u32::MAX)
            });
        let ended = Cache::builder().max_capacity(eighth as u64).weigher(
            |path: &String, ended: &Position| {
                let length = path.len().saturating_add(ended.cost());
                u32::try_from(length.saturating_add(128)).unwrap_or(u32::MAX)
            },
        );
        Self {
            records: records.build(),
            ended: ended.build(),
            indexes: Mutex::default(),
            clock: AtomicU64::new(0),
            held: Arc::default(),
            budget: half,
        }
    }

    /// A bucket's index.
    pub(super) fn index(&self, bucket: &BucketName) -> Arc<Index> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut indexes = lock(&self.indexes);
        let index = indexes.entry(bucket.clone()).or_insert_with(|| {
            Arc::new(Index {
                known: Mutex::default(),
                reading: Mutex::default(),
                used: AtomicU64::new(0),
                share: (self.budget / 2).max(LEAST),
            })
        });
        index.used.store(now, Ordering::Relaxed);
        index.clone()
    }

    /// The bucket is gone. Nobody may be changing one of its uploads.
    pub(super) fn forget(&self, bucket: &BucketName) {
        lock(&self.indexes).remove(bucket);
    }

    /// Forgets what was not used for the longest time, when too much is remembered. An index that somebody
    /// holds stays: two of one bucket would not know of each other's changes.
    pub(super) fn trim(&self) {
        let held = || self.held.load(Ordering::Relaxed);
        if held() <= self.budget {
            return;
        }
        let mut indexes = lock(&self.indexes);
        let idle = indexes.iter().filter(|(_, i)| Arc::strong_count(i) == 1);
        let mut idle: Vec<(u64, BucketName)> = idle
            .map(|(bucket, i)| (i.used.load(Ordering::Relaxed), bucket.clone()))
            .collect();
        idle.sort_unstable();
        let enough = self.budget / 4 * 3;
        for (_, bucket) in idle {
            if held() <= enough {
                return;
            }
            indexes.remove(&bucket);
        }
    }

    /// How many bytes indexes take.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The record at `path`, when it was read lately.
    pub(super) fn record(&self, path: &str) -> Option<Arc<UploadRecord>> {
        self.records.get(path)
    }

    /// Remembers the record that was read at `path`, unless its upload has ended meanwhile.
    pub(super) fn remember(&self, path: &str, record: Arc<UploadRecord>) {
        self.records.insert(path.to_owned(), record);
        if self.ended.contains_key(path) {
            self.records.invalidate(path);
        }
    }

    /// The upload whose record was at `path` is gone.
    pub(super) fn end(&self, path: &str, position: Position) {
        self.ended.insert(path.to_owned(), position);
        self.records.invalidate(path);
    }

    /// Where an upload stood whose record was at `path`, when that is still known.
    pub(super) fn ended(&self, path: &str) -> Option<Position> {
        self.ended.get(path)
    }

    /// Up to `most` uploads from `from` on.
    pub(super) fn page(
        &self,
        store: &Store,
        bucket: &BucketName,
        from: &Position,
        most: usize,
    ) -> Result<Page, Error> {
        let index = self.index(bucket);
        let mut held = index.lock();
        if !held.covers(from) {
            drop(held);
            let _reading = lock(&index.reading);
            if !index.lock().covers(from) {
                // Records are read before the index is held, so that nobody waits for that.
                each(store, bucket, false, &mut |_, _| ())?;
            }
            held = index.lock();
            if !held.covers(from) {
                *held.known = Some(self.read(store, bucket, from, index.share)?);
            }
        }
        let page = held.page(from, most);
        drop(held);
        drop(index);
        self.trim();
        Ok(page)
    }

    /// Reads a bucket's uploads; where they take more than their share, those from `from` on.
    fn read(
        &self,
        store: &Store,
        bucket: &BucketName,
        from: &Position,
        share: usize,
    ) -> Result<Known, Error> {
        let mut known = Known {
            from: Position::first(&[]),
            upto: None,
            entries: BTreeMap::new(),
            cost: 0,
            held: self.held.clone(),
        };
        let mut cost = 0_usize;
        each(store, bucket, true, &mut |id, record| {
            let position = Position::of(id, record).filter(|position| known.covers(position));
            let Some(position) = position else { return };
            cost = cost.saturating_add(position.cost());
            known.entries.insert(position, record.checksum());
            if cost > share && known.from < *from {
                known.from = from.clone();
                known.entries = known.entries.split_off(from);
                cost = known.entries.keys().map(Position::cost).sum();
            }
            while cost > share
                && known.entries.len() > 1
                && let Some((last, _)) = known.entries.pop_last()
            {
                cost = cost.saturating_sub(last.cost());
                known.upto = known.entries.last_key_value().map(|(last, _)| last.clone());
            }
        })?;
        known.recount(cost);
        Ok(known)
    }
}

fn lost(bucket: &BucketName, id: &str) -> Error {
    // Told to the client, who may list uploads: he can end it, once he knows which it is.
    let message = format!(
        "The upload {id} is damaged, so that uploads cannot be listed until it is aborted, with any key."
    );
    let because = format_args!("upload `{id}` of bucket `{bucket}` has lost its record");
    Error::with_message(ErrorCode::InternalError, message).because(because)
}

/// Tells `told` of every upload of a bucket. None comes or goes while its index is `held`: then one whose
/// record is damaged or missing is an error.
fn each(
    store: &Store,
    bucket: &BucketName,
    held: bool,
    told: &mut dyn FnMut(&str, &UploadRecord),
) -> Result<(), Error> {
    let path = format!("buckets/{bucket}/uploads");
    let names = match files::names(store.root(), &path) {
        // The bucket is gone, or has lost an empty directory.
        Err(Errno::NOENT) => return store.bucket(bucket).map(drop),
        other => other.map_err(|errno| error("list uploads", errno))?,
    };
    for (id, is) in names {
        if is != Is::Directory || !is_random_name(&id) {
            let what = "no upload's name or kind";
            store.faults.foreign(&format!("{path}/{id}"), what);
            continue;
        }
        match upload::read(store, bucket, &id)? {
            Found::Sound(record) => told(&id, &record),
            // It has lost its key, so that no page can tell of it, and none is whole without it.
            Found::Damaged if held => return Err(lost(bucket, &id)),
            Found::Nothing if held && !ending::is_there(store, bucket, &id)? => {
                // Gone with its bucket.
                drop(store.bucket(bucket)?);
            }
            Found::Nothing if held => {
                let path = upload::record_path(bucket, &id);
                store.faults.damaged(&path, "an upload's record is missing");
                return Err(lost(bucket, &id));
            }
            // Removed meanwhile, or seen again when nobody may remove it.
            Found::Damaged | Found::Nothing => {}
        }
    }
    Ok(())
}
