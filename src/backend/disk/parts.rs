//! Directories of parts: who reads them, and when they go.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::sync::Mutex;

use rustix::io::Errno;

use super::files;
use super::opened::{Opened, Trouble};
use super::store::{Place, Store, lock, random_name};
use crate::s3::{BucketName, Error};

/// Directories of parts in use, by their paths.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<HashMap<String, Uses>>);

/// Who uses a directory of parts.
#[derive(Debug, Default)]
struct Uses {
    count: usize,
    /// Whether it is to go when the last one has gone.
    doomed: bool,
    /// Whether it is going: whoever comes now is too late.
    going: bool,
}

/// A directory of parts that somebody uses: it stays until the last one has gone.
#[derive(Debug)]
pub(super) struct Using {
    store: std::sync::Arc<Store>,
    path: String,
}

impl Using {
    /// Its path below the store's root.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        if self.store.leave(&self.path) {
            let (store, path) = (self.store.clone(), std::mem::take(&mut self.path));
            super::threads::aside(move || store.discard(&path));
        }
    }
}

/// Where the parts of a manifest are.
pub(super) fn path(bucket: &BucketName, directory: &str) -> String {
    format!("buckets/{bucket}/parts/{directory}")
}

impl Store {
    /// Counts a user of a directory of parts.
    pub(super) fn use_parts(
        self: &std::sync::Arc<Self>,
        bucket: &BucketName,
        directory: &str,
    ) -> Using {
        let path = path(bucket, directory);
        lock(&self.readers.0).entry(path.clone()).or_default().count += 1;
        Using {
            store: self.clone(),
            path,
        }
    }

    /// One user has gone; says whether the directory is to go now.
    fn leave(&self, path: &str) -> bool {
        let mut readers = lock(&self.readers.0);
        let Some(uses) = readers.get_mut(path) else {
            return false;
        };
        uses.count = uses.count.saturating_sub(1);
        if uses.count > 0 {
            return false;
        }
        if !uses.doomed {
            readers.remove(path);
            return false;
        }
        true
    }

    /// A directory of parts that no object names any more goes, now or with its last user. What cannot
    /// be removed is the collector's.
    pub(super) fn discard_parts(&self, bucket: &BucketName, directory: &str) {
        self.discard(&path(bucket, directory));
    }

    /// Out of reach first, whole: nobody finds a directory with some of its parts.
    fn discard(&self, path: &str) {
        {
            let mut readers = lock(&self.readers.0);
            let uses = readers.entry(path.to_owned()).or_default();
            uses.doomed = true;
            if uses.count > 0 || uses.going {
                return;
            }
            uses.going = true;
        }
        let moved = random_name().and_then(|name| {
            let named = path.rsplit_once('/');
            let (above, directory) = named.ok_or_else(|| Error::internal("no path"))?;
            let away = format!("staging/{name}");
            let moved = files::open_directory(self.root(), above).and_then(|above| {
                if !files::is_directory(&files::stat_entry(above.as_fd(), directory)?) {
                    self.faults.foreign(path, "no directory of parts");
                    return Ok(false);
                }
                files::rename(above.as_fd(), directory, self.root(), &away).map(|()| true)
            });
            match moved {
                Ok(true) => Ok(Some(away)),
                Ok(false) => Ok(None),
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(files::error("remove parts", errno)),
            }
        });
        lock(&self.readers.0).remove(path);
        match moved {
            Ok(Some(away)) => self.clear_away(&away),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, path, "parts that are not needed cannot be removed");
            }
        }
    }

    /// Whether a directory of parts is on its way out, although it can still be opened.
    pub(super) fn parts_are_going(&self, path: &str) -> bool {
        lock(&self.readers.0)
            .get(path)
            .is_some_and(|uses| uses.going)
    }

    /// The same for one that its maker failed to bring to its key, unless the key names it all the same:
    /// a failed call may have been carried out. What cannot be told stays, for the collector.
    pub(super) fn discard_if_unnamed(&self, place: &Place, directory: &str) {
        let current = self.open_object(place);
        let named = |opened: &Opened| opened.record.names(directory);
        match current {
            Ok(current) if !current.as_ref().is_some_and(named) => {
                self.discard_parts(&place.bucket, directory);
            }
            // Its maker's file did not come to the key, and no other can name it.
            Err(Trouble::Foreign { .. }) => self.discard_parts(&place.bucket, directory),
            Ok(_) | Err(_) => {}
        }
    }

    /// Whether anybody uses it.
    pub(super) fn parts_are_used(&self, bucket: &BucketName, directory: &str) -> bool {
        lock(&self.readers.0).contains_key(&path(bucket, directory))
    }
}
