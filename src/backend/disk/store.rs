//! The store beneath the trait: blocking operations on buckets, objects and their directories.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use rustix::fs::{fdatasync, fsync};
use rustix::io::Errno;
use time::OffsetDateTime;

use super::Durability;
use super::files::{self, error};
use super::name;
use super::record::{Lengths, Record, TRAILER, parse};
use super::sync::Syncs;
use crate::s3::{BucketName, Error, ErrorCode};

/// How many locks keys share.
const STRIPES: usize = 1024;

/// How much of a file's end is read at once to find the footer in.
const TAIL: usize = 16 * 1024;

/// The store.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) root: OwnedFd,
    pub(super) path: PathBuf,
    durability: Durability,
    syncs: Syncs,
    // Writers share it while they move an object into place; DeleteBucket has it alone from its look
    // for objects until the bucket is out of reach.
    placing: RwLock<()>,
    // Held while a key's object is looked at and replaced; on blocking threads only.
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
    /// Part directories being read, and whether they are to go when the last reader does.
    readers: Mutex<HashMap<String, (usize, bool)>>,
    /// Directories, by path and inode, whose own entries are known to be durable.
    durable: moka::sync::Cache<(String, u64), ()>,
}

/// An open object: its bytes and what is known of them.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: OwnedFd,
    pub(super) record: Record,
    pub(super) crcs: Vec<u32>,
    /// The bytes that are in this file; a manifest has none.
    pub(super) data: u64,
    /// The bytes themselves where the first read had them all.
    pub(super) whole: Option<bytes::Bytes>,
}

impl Opened {
    /// Whether both are of one file. While they are open, no other file has its number.
    pub(super) fn is_file_of(&self, other: &Self) -> bool {
        let number = |opened: &Self| {
            let stat = rustix::fs::fstat(&opened.file).ok()?;
            Some((stat.st_dev, stat.st_ino))
        };
        number(self).is_some_and(|ours| number(other) == Some(ours))
    }
}

/// Where an object's file is, below the root.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) bucket: BucketName,
    /// Directories below `objects`.
    pub(super) directories: Vec<String>,
    pub(super) file: String,
}

impl Place {
    pub(super) fn of(bucket: &BucketName, key: &str) -> Self {
        let (directories, file) = name::path(key);
        Self {
            bucket: bucket.clone(),
            directories,
            file,
        }
    }

    /// The path of its first `depth` directories.
    fn directory(&self, depth: usize) -> String {
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

    fn path(&self) -> String {
        format!("{}/{}", self.parent(), self.file)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that nobody guesses, for temporary files and uploads.
pub(super) fn random_name() -> Result<String, Error> {
    crate::crypto::random::<16>()
        .map(hex::encode)
        .map_err(Error::internal)
}

impl Store {
    pub(super) fn new(root: OwnedFd, path: PathBuf, durability: Durability) -> Self {
        Self {
            root,
            path,
            durability,
            syncs: Syncs::default(),
            placing: RwLock::new(()),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
            readers: Mutex::default(),
            durable: moka::sync::Cache::new(100_000),
        }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The lock of a key. Keys share locks; nothing that holds one takes another.
    pub(super) fn stripe(&self, bucket: &BucketName, key: &str) -> MutexGuard<'_, ()> {
        let at = usize::try_from(self.hasher.hash_one((bucket.as_str(), key)) % STRIPES as u64)
            .unwrap_or(0);
        match self.stripes.get(at).or_else(|| self.stripes.first()) {
            Some(stripe) => lock(stripe),
            // There are stripes; a store without would be a mistake of `new`.
            None => lock(Box::leak(Box::default())),
        }
    }

    /// Makes a file's bytes durable, unless that is not wanted.
    pub(super) fn sync_file(&self, file: BorrowedFd<'_>) -> Result<(), Error> {
        match self.durability {
            Durability::Strict => fdatasync(file).map_err(|e| error("fdatasync", e)),
            Durability::Relaxed => Ok(()),
        }
    }

    /// Makes a directory's entries durable, unless that is not wanted.
    pub(super) fn sync_directory(
        &self,
        path: &str,
        directory: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        match self.durability {
            Durability::Strict => self
                .syncs
                .sync(path, directory)
                .map_err(|e| error("fsync", e)),
            Durability::Relaxed => Ok(()),
        }
    }

    /// `NoSuchBucket` unless the bucket is there.
    pub(super) fn bucket(&self, bucket: &BucketName) -> Result<OwnedFd, Error> {
        files::open_directory(self.root(), &format!("buckets/{bucket}/objects")).map_err(|errno| {
            match errno {
                Errno::NOENT | Errno::NOTDIR | Errno::LOOP => no_bucket(bucket),
                errno => error("open a bucket", errno),
            }
        })
    }

    /// Opens a file of the object form.
    pub(super) fn open_record(&self, path: &str) -> Result<Option<Opened>, Error> {
        let (file, length) = match files::open_file(self.root(), path) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => {
                return Ok(None);
            }
            Err(errno) => return Err(error("open an object", errno)),
        };
        let corrupt = || {
            Error::internal(format_args!(
                "`{path}` is damaged: its footer cannot be read"
            ))
        };
        let tail = usize::try_from(length).unwrap_or(usize::MAX).min(TAIL);
        let start = length.saturating_sub(tail as u64);
        let bytes =
            files::read_at(file.as_fd(), start, tail).map_err(|e| error("read an object", e))?;
        let bytes = bytes::Bytes::from(bytes);
        let trailer = tail
            .checked_sub(TRAILER)
            .and_then(|at| bytes.get(at..))
            .ok_or_else(corrupt)?;
        let lengths = Lengths::read(trailer, length).ok_or_else(corrupt)?;
        let footer = match tail.checked_sub(lengths.footer()) {
            Some(at) => bytes.slice(at..),
            None => files::read_at(file.as_fd(), lengths.data, lengths.footer())
                .map_err(|e| error("read an object", e))?
                .into(),
        };
        let (record, crcs) = parse(&footer, lengths).ok_or_else(corrupt)?;
        let data = usize::try_from(lengths.data).ok().filter(|_| start == 0);
        let whole = data.map(|length| bytes.slice(..length));
        Ok(Some(Opened {
            file,
            record,
            crcs,
            data: lengths.data,
            whole,
        }))
    }

    /// Opens the object of a key, when there is one.
    pub(super) fn open_object(&self, place: &Place) -> Result<Option<Opened>, Error> {
        self.open_record(&place.path())
    }

    /// What a write or delete finds at its key. A damaged object can be replaced and removed, but not
    /// be compared with.
    fn replaceable(&self, place: &Place, conditional: bool) -> Result<Option<Opened>, Error> {
        match self.open_object(place) {
            Err(error) if !conditional => {
                tracing::error!(%error, "a damaged object is replaced or removed");
                Ok(None)
            }
            other => other,
        }
    }

    /// Moves a finished temporary file to its key, durably, when `check` agrees with what is there.
    pub(super) fn commit(
        &self,
        place: &Place,
        key: &str,
        temporary: &str,
        conditional: bool,
        check: impl FnOnce(Option<&Opened>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let old = self.swap(place, key, temporary, conditional, check)?;
        self.settle(place, old)
    }

    /// Makes a swap durable, and only then lets go of the parts of what it replaced.
    pub(super) fn settle(&self, place: &Place, old: Option<Opened>) -> Result<(), Error> {
        self.make_durable(place)?;
        if let Some(manifest) = old.and_then(|old| old.record.manifest) {
            self.discard_parts(&place.bucket, &manifest.directory);
        }
        Ok(())
    }

    /// Moves a finished temporary file to its key when `check` agrees with what is there, and answers
    /// what that was. The new entry is not durable yet.
    pub(super) fn swap(
        &self,
        place: &Place,
        key: &str,
        temporary: &str,
        conditional: bool,
        check: impl FnOnce(Option<&Opened>) -> Result<(), Error>,
    ) -> Result<Option<Opened>, Error> {
        let staging = files::open_directory(self.root(), &format!("buckets/{}/tmp", place.bucket))
            .map_err(|_| no_bucket(&place.bucket))?;
        let _placing = self.placing.read().unwrap_or_else(PoisonError::into_inner);
        let _held = self.stripe(&place.bucket, key);
        let old = self.replaceable(place, conditional)?;
        check(old.as_ref())?;
        self.rename_into(place, &staging, temporary)?;
        Ok(old)
    }

    /// Renames into the key's directory, making directories that are missing. Another request may
    /// remove one again while it is empty: then it is made again.
    fn rename_into(&self, place: &Place, staging: &OwnedFd, temporary: &str) -> Result<(), Error> {
        for _ in 0..64 {
            let parent = match files::open_directory(self.root(), &place.parent()) {
                Ok(parent) => parent,
                Err(Errno::NOENT) => {
                    self.make_directories(place)?;
                    continue;
                }
                Err(errno) => return Err(error("open a directory", errno)),
            };
            match files::rename(staging.as_fd(), temporary, parent.as_fd(), &place.file) {
                Ok(()) => return Ok(()),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(error("rename", errno)),
            }
        }
        Err(no_bucket(&place.bucket))
    }

    fn make_directories(&self, place: &Place) -> Result<(), Error> {
        let mut at = self.bucket(&place.bucket)?;
        for (depth, directory) in place.directories.iter().enumerate() {
            match files::make_directory(at.as_fd(), directory) {
                // The directory above has just been removed as empty: the caller starts again.
                Err(Errno::NOENT) => return Ok(()),
                other => drop(other.map_err(|e| error("make a directory", e))?),
            }
            match files::open_directory(self.root(), &place.directory(depth.saturating_add(1))) {
                Ok(next) => at = next,
                Err(Errno::NOENT) => return Ok(()),
                Err(errno) => return Err(error("open a directory", errno)),
            }
        }
        Ok(())
    }

    /// The new entry, and those of directories that were made on the way, before anyone is told.
    pub(super) fn make_durable(&self, place: &Place) -> Result<(), Error> {
        if self.durability == Durability::Relaxed {
            return Ok(());
        }
        // A directory counts as durable only once the one above it, which has its entry, is synced.
        let mut below: Option<(String, u64)> = None;
        for depth in (0..=place.directories.len()).rev() {
            let path = place.directory(depth);
            let directory = match files::open_directory(self.root(), &path) {
                Ok(directory) => directory,
                // Deleted since, and pruned: what we wrote has been overtaken.
                Err(Errno::NOENT) => return Ok(()),
                Err(errno) => return Err(error("open a directory", errno)),
            };
            self.sync_directory(&path, directory.as_fd())?;
            if let Some(below) = below.take() {
                self.durable.insert(below, ());
            }
            let stat = rustix::fs::fstat(&directory).map_err(|e| error("stat", e))?;
            let this = (path, stat.st_ino);
            if self.durable.contains_key(&this) {
                return Ok(());
            }
            below = Some(this);
        }
        Ok(())
    }

    /// Removes a key's object, durably, when `check` agrees with what is there. A missing one is no
    /// error.
    pub(super) fn delete(
        &self,
        bucket: &BucketName,
        key: &str,
        conditional: bool,
        check: impl FnOnce(Option<&Opened>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let place = Place::of(bucket, key);
        let old = {
            let _held = self.stripe(bucket, key);
            let old = self.replaceable(&place, conditional)?;
            check(old.as_ref())?;
            let parent = match files::open_directory(self.root(), &place.parent()) {
                Ok(parent) => parent,
                Err(Errno::NOENT) => return self.bucket(bucket).map(drop),
                Err(errno) => return Err(error("open a directory", errno)),
            };
            match files::remove_file(parent.as_fd(), &place.file) {
                // One who deletes again may do so because the first time could not be made durable.
                Ok(()) | Err(Errno::NOENT) => (old, parent),
                Err(errno) => return Err(error("remove an object", errno)),
            }
        };
        self.sync_directory(&place.parent(), old.1.as_fd())?;
        self.prune(&place);
        if let Some(manifest) = old.0.and_then(|old| old.record.manifest) {
            self.discard_parts(bucket, &manifest.directory);
        }
        Ok(())
    }

    /// Removes directories that are empty now. What fails is not empty, or gone.
    fn prune(&self, place: &Place) {
        for depth in (1..=place.directories.len()).rev() {
            let above =
                files::open_directory(self.root(), &place.directory(depth.saturating_sub(1)));
            let (Ok(above), Some(name)) = (above, place.directories.get(depth.saturating_sub(1)))
            else {
                return;
            };
            if files::remove_directory(above.as_fd(), name).is_err() {
                return;
            }
        }
    }

    /// Counts a reader of a parts directory, which stays until the last one has gone.
    pub(super) fn enter_parts(&self, bucket: &BucketName, directory: &str) {
        lock(&self.readers)
            .entry(parts_path(bucket, directory))
            .or_default()
            .0 += 1;
    }

    /// The reader has gone.
    pub(super) fn leave_parts(&self, bucket: &BucketName, directory: &str) {
        let path = parts_path(bucket, directory);
        let mut readers = lock(&self.readers);
        let Some(entry) = readers.get_mut(&path) else {
            return;
        };
        entry.0 = entry.0.saturating_sub(1);
        let (0, doomed) = *entry else { return };
        readers.remove(&path);
        drop(readers);
        if doomed {
            self.remove_parts(&path);
        }
    }

    /// A parts directory that no object names any more goes, now or with its last reader. After a
    /// crash in between the collector finds it.
    pub(super) fn discard_parts(&self, bucket: &BucketName, directory: &str) {
        let path = parts_path(bucket, directory);
        if let Some(entry) = lock(&self.readers).get_mut(&path) {
            entry.1 = true;
            return;
        }
        self.remove_parts(&path);
    }

    fn remove_parts(&self, path: &str) {
        if let Err(error) = files::remove_all(self.root(), path) {
            tracing::warn!(%error, path, "parts that are not needed cannot be removed");
        }
    }

    /// Makes a bucket, whole or not at all.
    pub(super) fn create_bucket(
        &self,
        bucket: &BucketName,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let staged = format!("staging/{}", random_name()?);
        let make = |path: &str| match path.rsplit_once('/') {
            Some((parent, name)) => {
                let parent = files::open_directory(self.root(), parent)?;
                files::make_directory(parent.as_fd(), name)?;
                fsync(&parent)
            }
            None => Err(Errno::INVAL),
        };
        let created = now.unix_timestamp_nanos().to_string();
        let build = || -> Result<(), Errno> {
            make(&staged)?;
            for name in ["objects", "uploads", "parts", "tmp"] {
                make(&format!("{staged}/{name}"))?;
            }
            let file = files::create_file(self.root(), &format!("{staged}/created"))?;
            files::write_all(file.as_fd(), created.as_bytes())?;
            fsync(&file)?;
            let staging = files::open_directory(self.root(), &staged)?;
            fsync(&staging)?;
            let buckets = files::open_directory(self.root(), "buckets")?;
            // A bucket that is there is not empty, so it is never replaced.
            files::rename(self.root(), &staged, buckets.as_fd(), bucket.as_str())?;
            fsync(&buckets)
        };
        match build() {
            Ok(()) => Ok(()),
            Err(errno) => {
                let _ = files::remove_all(self.root(), &staged);
                Err(match errno {
                    Errno::NOTEMPTY | Errno::EXIST => ErrorCode::BucketAlreadyOwnedByYou.into(),
                    errno => error("make a bucket", errno),
                })
            }
        }
    }

    /// Removes a bucket that has no object.
    pub(super) fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        drop(self.bucket(bucket)?);
        let away = format!("staging/{}", random_name()?);
        let buckets =
            files::open_directory(self.root(), "buckets").map_err(|e| error("open", e))?;
        {
            // Nobody moves an object in between the look and the bucket's going.
            let _alone = self.placing.write().unwrap_or_else(PoisonError::into_inner);
            if self.has_objects(&format!("buckets/{bucket}/objects"))? {
                return Err(ErrorCode::BucketNotEmpty.into());
            }
            files::rename(buckets.as_fd(), bucket.as_str(), self.root(), &away)
                .map_err(|_| no_bucket(bucket))?;
        }
        fsync(&buckets).map_err(|e| error("fsync", e))?;
        files::remove_all(self.root(), &away).map_err(|e| error("remove a bucket", e))
    }

    /// Whether any object is below `path`.
    fn has_objects(&self, path: &str) -> Result<bool, Error> {
        let mut stack = vec![path.to_owned()];
        while let Some(path) = stack.pop() {
            let directory =
                files::open_directory(self.root(), &path).map_err(|e| error("open", e))?;
            let entries = rustix::fs::Dir::read_from(&directory).map_err(|e| error("list", e))?;
            for entry in entries.flatten() {
                let Ok(text) = entry.file_name().to_str() else {
                    continue;
                };
                match name::decode(text.as_bytes()) {
                    _ if matches!(text, "." | "..") => {}
                    Some((name::Kind::Object, _)) => return Ok(true),
                    Some(_) => stack.push(format!("{path}/{text}")),
                    None => {}
                }
            }
        }
        Ok(false)
    }

    /// When a bucket was created.
    pub(super) fn created(&self, bucket: &BucketName) -> Option<OffsetDateTime> {
        let (file, length) =
            files::open_file(self.root(), &format!("buckets/{bucket}/created")).ok()?;
        let bytes = files::read_at(file.as_fd(), 0, usize::try_from(length).ok()?.min(64)).ok()?;
        let nanos = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
    }

    /// Every bucket's name.
    pub(super) fn buckets(&self) -> Result<Vec<BucketName>, Error> {
        let directory =
            files::open_directory(self.root(), "buckets").map_err(|e| error("open", e))?;
        let entries = rustix::fs::Dir::read_from(&directory).map_err(|e| error("list", e))?;
        let names = entries.flatten().filter_map(|entry| {
            let name = BucketName::parse(entry.file_name().to_str().ok()?).ok()?;
            self.bucket(&name).is_ok().then_some(name)
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }
}

fn parts_path(bucket: &BucketName, directory: &str) -> String {
    format!("buckets/{bucket}/parts/{directory}")
}

/// `NoSuchBucket`.
pub(super) fn no_bucket(bucket: &BucketName) -> Error {
    Error::new(ErrorCode::NoSuchBucket).detail("BucketName", bucket.as_str())
}
