//! What is kept of buckets: one file a bucket, compiled when it is written or read, never when a
//! request asks.
//!
//! Other gateways may share the directory: [`BucketFiles::refresh`] picks up their changes.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::s3::{BucketName, Error};

/// The file name's ending.
const ENDING: &str = ".json";

/// What is there and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// A bucket's file, as it was when it was last read.
#[derive(Debug)]
struct Kept<T> {
    value: Result<Arc<T>, Unreadable>,
    changed: Option<SystemTime>,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            changed: self.changed,
        }
    }
}

type Snapshot<T> = HashMap<BucketName, Kept<T>>;

/// Reads a bucket's file, or says why it cannot.
type Read<T> = fn(&BucketName, &str) -> Result<T, String>;

/// Every bucket's file in one directory.
#[derive(Debug)]
pub(super) struct BucketFiles<T> {
    directory: PathBuf,
    read: Read<T>,
    snapshot: ArcSwap<Snapshot<T>>,
    // Held while the directory and the snapshot change together; never across an await.
    writing: Mutex<()>,
}

impl<T: Send + Sync + 'static> BucketFiles<T> {
    /// Opens `directory`, creating it, and reads what it holds.
    ///
    /// # Errors
    /// When the directory cannot be created or read.
    pub(super) fn open(directory: PathBuf, read: Read<T>) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let files = Self {
            directory,
            read,
            snapshot: ArcSwap::from_pointee(Snapshot::new()),
            writing: Mutex::new(()),
        };
        files.refresh()?;
        Ok(files)
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

    /// Keeps `text`, which says `value`; durable when it returns.
    ///
    /// # Errors
    /// `InternalError` when it cannot be kept.
    pub(super) async fn put(
        self: &Arc<Self>,
        bucket: &BucketName,
        text: String,
        value: T,
    ) -> Result<(), Error> {
        let (this, bucket) = (self.clone(), bucket.clone());
        blocking(move || {
            let _held = this.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let path = this.path(&bucket);
            this.write(&path, text.as_bytes())?;
            let kept = Kept {
                value: Ok(Arc::new(value)),
                changed: changed(&path),
            };
            this.swap(|files| {
                files.insert(bucket, kept);
            });
            Ok(())
        })
        .await
    }

    /// Forgets a file; durable when it returns. A missing one is no error.
    ///
    /// # Errors
    /// `InternalError` when it cannot be removed.
    pub(super) async fn delete(self: &Arc<Self>, bucket: &BucketName) -> Result<(), Error> {
        let (this, bucket) = (self.clone(), bucket.clone());
        blocking(move || {
            let _held = this.writing.lock().unwrap_or_else(PoisonError::into_inner);
            // Asked of the disk: another gateway may have written it since it was last looked at.
            match std::fs::remove_file(this.path(&bucket)) {
                Ok(()) => sync_directory(&this.directory)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            this.swap(|files| {
                files.remove(&bucket);
            });
            Ok(())
        })
        .await
    }

    /// Reads again what has changed on disk since it was last read.
    ///
    /// # Errors
    /// When the directory cannot be read; what is known so far stays.
    pub(super) fn refresh(&self) -> std::io::Result<()> {
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
            let kept = match known.get(&bucket) {
                Some(kept) if kept.changed == changed(&path) => kept.clone(),
                _ => self.read(&bucket, &path),
            };
            found.insert(bucket, kept);
        }
        self.snapshot.store(Arc::new(found));
        Ok(())
    }

    fn read(&self, bucket: &BucketName, path: &Path) -> Kept<T> {
        let changed = changed(path);
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let value = text.and_then(|text| (self.read)(bucket, &text));
        let value = value.map(Arc::new).map_err(|why| {
            let path = path.display();
            tracing::error!(%bucket, %path, %why, "what is kept of a bucket cannot be read: the bucket is closed");
            Unreadable
        });
        Kept { value, changed }
    }

    fn path(&self, bucket: &BucketName) -> PathBuf {
        self.directory.join(format!("{bucket}{ENDING}"))
    }

    /// Whole or not at all: a temporary file, synced, renamed, and its directory synced.
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let temporary = path.with_extension("tmp");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_directory(&self.directory)
    }

    fn swap(&self, change: impl FnOnce(&mut Snapshot<T>)) {
        let mut files = Snapshot::clone(&self.snapshot.load());
        change(&mut files);
        self.snapshot.store(Arc::new(files));
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn sync_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

async fn blocking(
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::internal(error)),
        Err(error) => Err(Error::internal(error)),
    }
}
