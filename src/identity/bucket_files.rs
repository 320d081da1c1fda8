//! What is kept of buckets: one file a bucket, compiled when it is written or read, never when a
//! request asks.
//!
//! Other gateways may share the directory: [`BucketFiles::refresh`] picks up their changes. What else
//! is in it is left alone.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustix::fs::OFlags;

use super::turns::Turn;
use crate::files::{self, Stamp};
use crate::s3::{BucketName, Error};

/// The file name's ending.
const ENDING: &str = ".json";

/// The longest file that is read: no policy is as long.
const MAX_LENGTH: u64 = 1024 * 1024;

/// What is there and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not what was written.
    Broken,
    /// The system cannot tell what it is, for the moment.
    Unavailable,
}

/// A bucket's file, as it was when it was last read.
#[derive(Debug)]
struct Kept<T> {
    value: Result<Arc<T>, Unreadable>,
    stamp: Stamp,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            stamp: self.stamp,
        }
    }
}

type Snapshot<T> = HashMap<BucketName, Kept<T>>;

/// Reads a bucket's file, or says why it cannot.
type Read<T> = fn(&BucketName, &str) -> Result<T, String>;

/// What an operator should know of what a file says.
type Advise<T> = fn(&T) -> Vec<String>;

/// Every bucket's file in one directory.
#[derive(Debug)]
pub(super) struct BucketFiles<T> {
    directory: PathBuf,
    read: Read<T>,
    advise: Advise<T>,
    snapshot: ArcSwap<Snapshot<T>>,
    // Held while the directory and the snapshot change together; never across an await.
    writing: Mutex<()>,
}

impl<T: Send + Sync + 'static> BucketFiles<T> {
    /// Opens `directory`, creating it, and reads what it holds.
    ///
    /// # Errors
    /// When the directory cannot be created or read; the error names it.
    pub(super) fn open(directory: PathBuf, read: Read<T>, advise: Advise<T>) -> io::Result<Self> {
        files::make_directory(&directory, 0o700)?;
        files::sweep(&directory);
        Self::existing(directory, read, advise)
    }

    /// The same without a change: what is not there holds nothing.
    ///
    /// # Errors
    /// When the directory cannot be read; the error names it.
    pub(super) fn existing(
        directory: PathBuf,
        read: Read<T>,
        advise: Advise<T>,
    ) -> io::Result<Self> {
        let files = Self {
            directory,
            read,
            advise,
            snapshot: ArcSwap::from_pointee(Snapshot::new()),
            writing: Mutex::new(()),
        };
        // Only the directory's own absence is said so: a file that goes meanwhile is looked at again, and is no error.
        match files.refresh() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(files::named(&files.directory, &error))
            }
            _ => Ok(files),
        }
    }

    /// What `bucket`'s file says, when there is one.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn get(&self, bucket: &BucketName) -> Result<Option<Arc<T>>, Unreadable> {
        let snapshot = self.snapshot.load();
        let kept = snapshot.get(bucket);
        kept.map(|kept| kept.value.clone()).transpose()
    }

    /// Keeps `text`, which says `value`; durable when it returns. The turn is over when the file is
    /// written, also where nobody waits for that any more.
    ///
    /// # Errors
    /// `InsufficientStorage`, `ServiceUnavailable` or `InternalError` when it cannot be kept.
    pub(super) async fn put(
        self: &Arc<Self>,
        bucket: &BucketName,
        text: String,
        value: T,
        turn: Arc<Turn>,
    ) -> Result<(), Error> {
        let (this, bucket) = (self.clone(), bucket.clone());
        blocking("what is kept of a bucket is not written", move || {
            let _turn = turn;
            this.change(&bucket, |path| {
                let stamp = files::write(path, text.as_bytes(), 0o600)?;
                let value = Ok(Arc::new(value));
                Ok(Some(Kept { value, stamp }))
            })
        })
        .await
    }

    /// Forgets a file; durable when it returns. A missing one is no error.
    ///
    /// # Errors
    /// `ServiceUnavailable` or `InternalError` when it cannot be removed.
    pub(super) async fn delete(
        self: &Arc<Self>,
        bucket: &BucketName,
        turn: Arc<Turn>,
    ) -> Result<(), Error> {
        let (this, bucket) = (self.clone(), bucket.clone());
        blocking("what is kept of a bucket is not removed", move || {
            let _turn = turn;
            this.change(&bucket, |path| {
                // Asked of the disk: another gateway may have written it since it was last looked at.
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    // A missing one may have been removed by an attempt that was not made durable.
                    _ => files::sync_directory(&this.directory)?,
                }
                Ok(None)
            })
        })
        .await
    }

    /// Changes a file and what is known of it together. After a failure what is known is what is there.
    fn change(
        &self,
        bucket: &BucketName,
        change: impl FnOnce(&Path) -> io::Result<Option<Kept<T>>>,
    ) -> io::Result<()> {
        let _held = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(bucket);
        let (kept, outcome) = match change(&path) {
            Ok(kept) => (kept, Ok(())),
            Err(error) => (self.look(bucket, &path, None), Err(error)),
        };
        let mut files = Snapshot::clone(&self.snapshot.load());
        match kept {
            Some(kept) => files.insert(bucket.clone(), kept),
            None => files.remove(bucket),
        };
        self.snapshot.store(Arc::new(files));
        outcome
    }

    /// Reads again what has changed on disk since it was last read.
    ///
    /// # Errors
    /// When the directory cannot be read; what is known so far stays.
    pub(super) fn refresh(&self) -> io::Result<()> {
        let _held = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.snapshot.load_full();
        let mut found = Snapshot::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .and_then(|n| n.strip_suffix(ENDING));
            let Some(Ok(bucket)) = name.map(BucketName::parse) else {
                continue;
            };
            if let Some(kept) = self.look(&bucket, &path, known.get(&bucket)) {
                found.insert(bucket, kept);
            }
        }
        self.snapshot.store(Arc::new(found));
        Ok(())
    }

    /// How a bucket's file is now: as it was `known`, where it surely has not changed. `None` is only
    /// what surely is not there.
    fn look(&self, bucket: &BucketName, path: &Path, known: Option<&Kept<T>>) -> Option<Kept<T>> {
        if let Some(known) = known.filter(|known| known.stamp.is_still(Stamp::of(path))) {
            return Some(known.clone());
        }
        let (stamp, read) = match contents(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match std::fs::symlink_metadata(path) {
                    Err(gone) if gone.kind() == io::ErrorKind::NotFound => return None,
                    _ => (
                        Stamp::Unknown,
                        Err((Unreadable::Unavailable, error.to_string())),
                    ),
                }
            }
            // What it says is not known, for as long as the system cannot tell.
            Err(error) => (
                Stamp::Unknown,
                Err((Unreadable::Unavailable, error.to_string())),
            ),
            Ok((stamp, text)) => {
                let value = text.and_then(|text| (self.read)(bucket, &text));
                (stamp, value.map_err(|why| (Unreadable::Broken, why)))
            }
        };
        let is_new = !known.is_some_and(|known| known.stamp == stamp);
        if let (true, Ok(value)) = (is_new, &read) {
            for why in (self.advise)(value) {
                let path = path.display();
                tracing::warn!(%bucket, %path, %why, "what is kept of a bucket says something in vain");
            }
        }
        let value = read.map(Arc::new).map_err(|(unreadable, why)| {
            // What cannot be looked at is tried again and again, and said once.
            let same = |known: &Kept<T>| {
                known.stamp == stamp && known.value.as_ref().err() == Some(&unreadable)
            };
            if !known.is_some_and(same) {
                let path = path.display();
                tracing::error!(%bucket, %path, %why, "what is kept of a bucket cannot be read: the bucket is closed");
            }
            unreadable
        });
        Some(Kept { value, stamp })
    }

    fn path(&self, bucket: &BucketName) -> PathBuf {
        self.directory.join(format!("{bucket}{ENDING}"))
    }
}

/// A file's text as it was at `Stamp`, or why it is none.
fn contents(path: &Path) -> io::Result<(Stamp, Result<String, String>)> {
    // A FIFO would block an ordinary open.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    let stamp = Stamp::from(&metadata);
    if !metadata.is_file() || metadata.len() > MAX_LENGTH {
        return Ok((stamp, Err("it is no file, or too long".to_owned())));
    }
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| error.to_string());
    Ok((stamp, text))
}

async fn blocking(
    what: &'static str,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| Error::from_io(what, &error)),
        Err(error) => Err(Error::internal(error)),
    }
}
