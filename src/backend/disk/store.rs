//! The store beneath the trait: its root, its locks, the files of the object form, and what is
//! remembered of them.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::io::Errno;

use super::Durability;
use super::faults::Faults;
use super::files::{self, Look, error};
use super::index::Uploads;
use super::memory::Objects;
use super::name::{self, Level};
use super::opened::Opened;
use super::parts::Readers;
use super::read::Blocks;
use super::scrub::Scrub;
use super::sync::Syncs;
use super::threads::Threads;
use super::tree::{Node, Tree};
use super::write::Gathering;
use crate::s3::{BucketName, Error, ErrorCode};

/// How many locks keys share.
const STRIPES: usize = 1024;

/// How many locks buckets share.
const BUCKETS: usize = 64;

/// The store.
#[derive(Debug)]
pub(super) struct Store {
    root: OwnedFd,
    durability: Durability,
    /// Whether nothing can be written: it is opened for reading then.
    pub(super) read_only: bool,
    syncs: Syncs,
    // Whoever changes names in a bucket shares its lock; DeleteBucket has it alone from its look for
    // objects until the bucket is out of reach.
    placing: Vec<RwLock<()>>,
    // Held while a key's object is looked at and replaced; on blocking threads only.
    stripes: Vec<Stripe>,
    hasher: RandomState,
    buckets_seen: RwLock<HashSet<BucketName>>,
    pub(super) readers: Readers,
    pub(super) tree: Tree,
    pub(super) objects: Objects,
    pub(super) uploads: Uploads,
    pub(super) blocks: Blocks,
    pub(super) gathering: Gathering,
    pub(super) threads: Threads,
    pub(super) faults: Arc<Faults>,
    pub(super) scrub: Arc<Scrub>,
    /// Background work ends when this is set.
    pub(super) closing: AtomicBool,
}

/// A lock that keys share, and how often one of them was changed.
#[derive(Debug, Default)]
struct Stripe {
    lock: Mutex<()>,
    changes: AtomicU64,
}

/// A key whose object is being looked at and changed, by nobody else. Nothing of it is remembered, and
/// what was read of it before, or is being read, will not be.
pub(super) struct Changing<'s> {
    changes: &'s AtomicU64,
    _held: MutexGuard<'s, ()>,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

/// How far the changes of a key had come before it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(u64);

/// Where an object's file is, below the root.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) bucket: BucketName,
    /// Directories below `objects`.
    pub(super) directories: Vec<String>,
    pub(super) file: String,
    /// What its key ends in, which is what its file's name says.
    pub(super) ending: Vec<u8>,
}

impl Place {
    pub(super) fn of(bucket: &BucketName, key: &str) -> Self {
        let (directories, file) = name::path(key);
        let level = Level::of(&directories);
        let ending = name::decode(level, file.as_bytes()).map(|(_, bytes)| bytes);
        Self {
            bucket: bucket.clone(),
            directories,
            file,
            ending: ending.unwrap_or_default(),
        }
    }

    /// The path of its first `depth` directories.
    pub(super) fn directory(&self, depth: usize) -> String {
        let mut path = format!("buckets/{}/objects", self.bucket);
        for directory in self.directories.iter().take(depth) {
            path.push('/');
            path.push_str(directory);
        }
        path
    }

    /// The path of the directory that its file is in.
    pub(super) fn parent(&self) -> String {
        self.directory(self.directories.len())
    }

    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.parent(), self.file)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// A name that nobody guesses, for temporary files and uploads.
pub(super) fn random_name() -> Result<String, Error> {
    crate::crypto::random::<16>()
        .map(hex::encode)
        .map_err(Error::internal)
}

/// Whether a name is one of [`random_name`]'s: never a path (T69).
pub(super) fn is_random_name(name: &str) -> bool {
    name.len() == 32
        && name
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

/// `NoSuchBucket`.
pub(super) fn no_bucket(bucket: &BucketName) -> Error {
    Error::new(ErrorCode::NoSuchBucket).detail("BucketName", bucket.as_str())
}

impl Store {
    /// A store below `root` that remembers in at most about `memory` bytes.
    pub(super) fn new(
        root: OwnedFd,
        durability: Durability,
        memory: usize,
        read_only: bool,
    ) -> Self {
        let (quarter, eighth) = (memory / 4, memory / 8);
        Self {
            root,
            durability,
            read_only,
            syncs: Syncs::default(),
            placing: (0..BUCKETS).map(|_| RwLock::new(())).collect(),
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
            hasher: RandomState::new(),
            buckets_seen: RwLock::default(),
            readers: Readers::default(),
            tree: Tree::new(memory.saturating_sub(quarter).saturating_sub(eighth)),
            objects: Objects::new(quarter),
            uploads: Uploads::new(eighth),
            blocks: Blocks::default(),
            gathering: Gathering::default(),
            threads: Threads::default(),
            faults: Arc::default(),
            scrub: Arc::default(),
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Whether background work is to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn stripe(&self, bucket: &BucketName, key: &str) -> &Stripe {
        let at = usize::try_from(self.hasher.hash_one((bucket.as_str(), key)) % STRIPES as u64)
            .unwrap_or(0);
        match self.stripes.get(at).or_else(|| self.stripes.first()) {
            Some(stripe) => stripe,
            // There are stripes; a store without would be a mistake of `new`.
            None => Box::leak(Box::default()),
        }
    }

    /// The lock of a key, to change its object. Keys share locks; nothing that holds one takes another.
    pub(super) fn changing(&self, bucket: &BucketName, key: &str) -> Changing<'_> {
        let stripe = self.stripe(bucket, key);
        let held = lock(&stripe.lock);
        stripe.changes.fetch_add(1, Ordering::Release);
        self.objects.forget(bucket, key);
        Changing {
            changes: &stripe.changes,
            _held: held,
        }
    }

    /// To be asked before a key's object is opened, and given back when it is to be remembered.
    pub(super) fn seen(&self, bucket: &BucketName, key: &str) -> Seen {
        Seen(self.stripe(bucket, key).changes.load(Ordering::Acquire))
    }

    /// Remembers an object, unless one that shares its lock was changed since `seen`.
    pub(super) fn remember(&self, bucket: &BucketName, key: &str, seen: Seen, opened: &Opened) {
        let stripe = self.stripe(bucket, key);
        if let Ok(_held) = stripe.lock.try_lock()
            && stripe.changes.load(Ordering::Acquire) == seen.0
        {
            self.objects.remember(bucket, key, opened);
        }
    }

    fn bucket_lock(&self, bucket: &BucketName) -> &RwLock<()> {
        let at = self.hasher.hash_one(bucket.as_str()) % BUCKETS as u64;
        let at = usize::try_from(at).unwrap_or(0);
        match self.placing.get(at).or_else(|| self.placing.first()) {
            Some(lock) => lock,
            None => Box::leak(Box::default()),
        }
    }

    /// Held while names in a bucket are changed: it is not removed meanwhile.
    pub(super) fn placing(&self, bucket: &BucketName) -> RwLockReadGuard<'_, ()> {
        let lock = self.bucket_lock(bucket);
        lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while a bucket is removed: nobody changes a name in it.
    pub(super) fn removing(&self, bucket: &BucketName) -> RwLockWriteGuard<'_, ()> {
        write(self.bucket_lock(bucket))
    }

    /// Whether writes are durable before they are acknowledged.
    pub(super) fn is_strict(&self) -> bool {
        self.durability == Durability::Strict
    }

    /// Makes a file's bytes durable, unless that is not wanted.
    pub(super) fn sync_file(&self, file: BorrowedFd<'_>) -> Result<(), Error> {
        match self.is_strict() {
            true => files::sync_data(file).map_err(|e| error("fdatasync", e)),
            false => Ok(()),
        }
    }

    /// Makes a directory's entries durable, unless that is not wanted.
    pub(super) fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<(), Error> {
        match self.is_strict() {
            true => self.syncs.sync(directory).map_err(|e| error("fsync", e)),
            false => Ok(()),
        }
    }

    /// `NoSuchBucket` unless the bucket is there.
    pub(super) fn bucket(&self, bucket: &BucketName) -> Result<OwnedFd, Error> {
        match files::look_into(self.root(), &format!("buckets/{bucket}/objects")) {
            Ok(Look::Directory(opened)) => {
                if !self.was_seen(bucket) {
                    write(&self.buckets_seen).insert(bucket.clone());
                }
                Ok(opened)
            }
            Ok(Look::Nothing | Look::Foreign(_)) => Err(self.why_no_bucket(bucket)),
            Err(errno) => Err(error("open a bucket", errno)),
        }
    }

    /// A bucket that has lost its objects is none that anybody may make, or forget the policies of.
    fn why_no_bucket(&self, bucket: &BucketName) -> Error {
        match files::stat_entry(self.root(), &format!("buckets/{bucket}")) {
            Ok(stat) if files::is_directory(&stat) => Error::internal(format_args!(
                "the `objects` of bucket `{bucket}` is missing"
            )),
            Ok(_) => no_bucket(bucket),
            Err(Errno::NOENT) => no_bucket(bucket),
            Err(errno) => error("look for a bucket", errno),
        }
    }

    /// Whether the bucket was there not long ago: then it need not be looked for before a body is asked
    /// for. Whoever writes into it will see.
    pub(super) fn was_seen(&self, bucket: &BucketName) -> bool {
        let seen = self.buckets_seen.read();
        seen.unwrap_or_else(PoisonError::into_inner)
            .contains(bucket)
    }

    /// The bucket is gone.
    pub(super) fn unsee(&self, bucket: &BucketName) {
        write(&self.buckets_seen).remove(bucket);
    }

    /// One of a bucket's directories beside its objects. Tools that copy a store may leave empty ones
    /// out: it is made again.
    pub(super) fn inside(&self, bucket: &BucketName, name: &str) -> Result<OwnedFd, Error> {
        let path = format!("buckets/{bucket}/{name}");
        let failed = |errno| error("open a bucket's directory", errno);
        match files::open_directory(self.root(), &path) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(failed),
        }
        drop(self.bucket(bucket)?);
        let above = files::open_directory(self.root(), &format!("buckets/{bucket}"));
        let above = above.map_err(failed)?;
        {
            // Whoever finds it before it is durable makes it so, or fails.
            let objects = format!("buckets/{bucket}/objects");
            let node = self.tree.node(&objects, Level::default());
            let mut held = node.lock();
            held.is_not_durable();
            files::make_directory(above.as_fd(), name).map_err(failed)?;
        }
        self.make_bucket_durable(bucket)?;
        files::open_directory(self.root(), &path).map_err(failed)
    }

    /// What is in a bucket's directories may not be durable, though it was.
    pub(super) fn is_not_durable(&self, bucket: &BucketName) {
        let objects = format!("buckets/{bucket}/objects");
        let node = self.tree.node(&objects, Level::default());
        node.lock().is_not_durable();
    }

    /// The node of a place's directory at `depth`.
    pub(super) fn node(&self, place: &Place, depth: usize) -> Arc<Node> {
        let above = place.directories.get(..depth).unwrap_or(&place.directories);
        self.tree.node(&place.directory(depth), Level::of(above))
    }
}
