//! How an object's file comes to its key, and goes: names in directories, made durable before anyone
//! is told.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::files::{self, Look, error};
use super::name::{Kind, Level, decode};
use super::opened::{Opened, Trouble};
use super::record::{Listed, Record};
use super::store::{Place, Store, no_bucket};
use super::tree::{Entry, Node};
use crate::s3::{BucketName, Error};

/// How often directories that others remove are made again.
const ATTEMPTS: usize = 64;

/// What a key holds.
enum Found {
    Nothing,
    /// What can be replaced and removed, and not be compared with.
    Damaged,
    Object(Opened),
}

impl Found {
    fn opened(&self) -> Option<&Opened> {
        match self {
            Self::Object(opened) => Some(opened),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

impl Store {
    /// What a write or delete finds at its key. A damaged object can be replaced and removed, but not
    /// be compared with; one that cannot be read just now can neither.
    fn replaceable(&self, place: &Place, conditional: bool) -> Result<Found, Error> {
        match self.open_object(place) {
            Ok(Some(opened)) => Ok(Found::Object(opened)),
            Ok(None) => Ok(Found::Nothing),
            Err(Trouble::Damaged { path, .. }) if !conditional => {
                tracing::error!(path, "a damaged object is replaced or removed");
                Ok(Found::Damaged)
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Moves a finished temporary file to its key, durably, when `check` agrees with what is there.
    pub(super) fn commit(
        &self,
        place: &Place,
        record: &Record,
        temporary: &str,
        conditional: bool,
        check: impl FnOnce(Option<&Opened>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let old = self.swap(place, record, temporary, conditional, check)?;
        self.settle(place, old.as_ref())
    }

    /// Makes a swap durable, and only then lets go of the parts of what it replaced.
    pub(super) fn settle(&self, place: &Place, old: Option<&Opened>) -> Result<(), Error> {
        self.make_durable(place)?;
        if let Some(manifest) = old.and_then(|old| old.record.manifest.as_ref()) {
            self.discard_parts(&place.bucket, &manifest.directory);
        }
        Ok(())
    }

    /// Moves a finished temporary file, which says `record`, to its key when `check` agrees with what
    /// is there, and answers what that was. The new entry is not durable yet.
    pub(super) fn swap(
        &self,
        place: &Place,
        record: &Record,
        temporary: &str,
        conditional: bool,
        check: impl FnOnce(Option<&Opened>) -> Result<(), Error>,
    ) -> Result<Option<Opened>, Error> {
        let _placing = self.placing(&place.bucket);
        let staging = self.inside(&place.bucket, "tmp")?;
        let _changing = self.changing(&place.bucket, &record.key);
        let old = self.replaceable(place, conditional)?;
        check(old.opened())?;
        self.rename_into(place, record, &staging, temporary)?;
        match old {
            Found::Object(opened) => Ok(Some(opened)),
            Found::Nothing | Found::Damaged => Ok(None),
        }
    }

    /// Renames into the key's directory, making directories that are missing. Another request may
    /// remove one again while it is empty: then it is made again.
    fn rename_into(
        &self,
        place: &Place,
        record: &Record,
        staging: &OwnedFd,
        temporary: &str,
    ) -> Result<(), Error> {
        let node = self.node(place, place.directories.len());
        for _ in 0..ATTEMPTS {
            {
                let mut held = node.lock();
                let renamed = files::open_directory(self.root(), node.path()).and_then(|parent| {
                    files::rename(staging.as_fd(), temporary, parent.as_fd(), &place.file)
                });
                match renamed {
                    Ok(()) => {
                        held.insert(&place.ending, Entry::Object(Listed::of(record)));
                        drop(held);
                        drop(node);
                        self.tree.trim();
                        return Ok(());
                    }
                    Err(Errno::NOENT) => {}
                    Err(errno) => {
                        held.unsure();
                        return Err(error("rename", errno));
                    }
                }
            }
            self.make_directories(place)?;
        }
        Err(no_bucket(&place.bucket))
    }

    fn make_directories(&self, place: &Place) -> Result<(), Error> {
        drop(self.bucket(&place.bucket)?);
        let failed = |errno| error("make a directory", errno);
        for (depth, directory) in place.directories.iter().enumerate() {
            let (above, below) = (
                self.node(place, depth),
                self.node(place, depth.saturating_add(1)),
            );
            let mut held = above.lock();
            let parent = match files::open_directory(self.root(), above.path()) {
                Ok(parent) => parent,
                // Removed as empty just now: the caller starts again.
                Err(Errno::NOENT) => return Ok(()),
                Err(errno) => return Err(failed(errno)),
            };
            match files::make_directory(parent.as_fd(), directory) {
                Ok(false) => {}
                Ok(true) => {
                    below.lock().is_made();
                    if let Some((kind, bytes)) = decode(above.level(), directory.as_bytes()) {
                        held.insert(&bytes, Entry::Below(kind));
                    }
                }
                Err(errno) => {
                    held.unsure();
                    below.lock().is_gone();
                    return Err(failed(errno));
                }
            }
        }
        Ok(())
    }

    /// The new entry, and those of directories that were made on the way, before anyone is told.
    pub(super) fn make_durable(&self, place: &Place) -> Result<(), Error> {
        if !self.is_strict() {
            return Ok(());
        }
        // A directory counts as durable only once all above it are: who comes after a failure begins anew.
        let mut new: Vec<(Arc<Node>, u64)> = Vec::new();
        for depth in (0..=place.directories.len()).rev() {
            let node = self.node(place, depth);
            // Asked before the directory is opened: what stands there later has another generation.
            let (generation, durable) = node.generation();
            let directory = match files::open_directory(self.root(), node.path()) {
                Ok(directory) => directory,
                // Deleted since, and pruned: what we wrote has been overtaken. That it is gone is told by
                // the directory above.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(error("open a directory", errno)),
            };
            self.sync_directory(directory.as_fd())?;
            if durable {
                break;
            }
            new.push((node, generation));
        }
        self.make_above_durable(&place.bucket, &self.node(place, 0))?;
        for (node, generation) in new {
            node.set_durable(generation);
        }
        Ok(())
    }

    /// That a bucket is there, and the directories in it: before anyone is told of what is in them. It may
    /// have been made by who failed, or was killed, before that was durable.
    pub(super) fn make_bucket_durable(&self, bucket: &BucketName) -> Result<(), Error> {
        if !self.is_strict() {
            return Ok(());
        }
        let objects = format!("buckets/{bucket}/objects");
        self.make_above_durable(bucket, &self.tree.node(&objects, Level::default()))
    }

    /// The same for who has the node of the bucket's `objects` at hand.
    fn make_above_durable(&self, bucket: &BucketName, objects: &Node) -> Result<(), Error> {
        let (generation, durable) = objects.generation();
        if durable {
            return Ok(());
        }
        let path = format!("buckets/{bucket}");
        let sync = |path: &str| match files::open_directory(self.root(), path) {
            Ok(directory) => self.sync_directory(directory.as_fd()).map(|()| true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(error("open a directory", errno)),
        };
        // Open uploads have no other who makes them durable when they are found after a start. Their
        // directory may be missing; whoever makes it again makes that durable.
        sync(&format!("{path}/uploads"))?;
        // Where the bucket was removed meanwhile, nothing is durable: the next of its name begins anew.
        if sync(&path)? && sync("buckets")? {
            objects.set_durable(generation);
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
        let _placing = self.placing(bucket);
        let (old, parent) = {
            let _changing = self.changing(bucket, key);
            let old = self.replaceable(&place, conditional)?;
            check(old.opened())?;
            let node = self.node(&place, place.directories.len());
            let mut held = node.lock();
            let parent = match files::look_into(self.root(), node.path()) {
                Ok(Look::Directory(parent)) => parent,
                Ok(Look::Nothing) => return self.bucket(bucket).map(drop),
                Ok(Look::Foreign(path)) => {
                    let path = path.to_owned();
                    return Err(Trouble::Foreign { path }.into());
                }
                Err(errno) => return Err(error("open a directory", errno)),
            };
            // Who deletes again what is gone may do so because the first time could not be made durable.
            // What stands there and is no object is not the store's to remove.
            let removed = match old {
                Found::Nothing => Ok(()),
                Found::Damaged | Found::Object(_) => {
                    files::remove_file(parent.as_fd(), &place.file)
                }
            };
            match removed {
                Ok(()) | Err(Errno::NOENT) => held.remove(&place.ending),
                Err(errno) => {
                    held.unsure();
                    return Err(error("remove an object", errno));
                }
            }
            drop(held);
            (old, parent)
        };
        self.sync_directory(parent.as_fd())?;
        self.prune(&place);
        if let Some(manifest) = old.opened().and_then(|old| old.record.manifest.as_ref()) {
            self.discard_parts(bucket, &manifest.directory);
        }
        Ok(())
    }

    /// Removes directories that are empty now. What fails is not empty, or gone, or stays for the next
    /// one to find it empty.
    fn prune(&self, place: &Place) {
        for depth in (1..=place.directories.len()).rev() {
            let over = depth.saturating_sub(1);
            let Some(name) = place.directories.get(over) else {
                return;
            };
            let (above, below) = (self.node(place, over), self.node(place, depth));
            let mut held = above.lock();
            let mut emptied = below.lock();
            if emptied.is_known_to_be_full() {
                return;
            }
            let removed = files::open_directory(self.root(), above.path())
                .and_then(|parent| files::remove_directory(parent.as_fd(), name));
            match removed {
                Ok(()) => {
                    emptied.is_gone();
                    if let Some((_, bytes)) = decode(above.level(), name.as_bytes()) {
                        held.remove(&bytes);
                    }
                }
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => return,
                Err(_) => {
                    emptied.is_gone();
                    held.unsure();
                    return;
                }
            }
        }
    }

    /// Whether a directory of objects holds any: looked up on disk, whatever is remembered. What cannot
    /// be read may hold one.
    pub(super) fn holds_object(&self, path: &str) -> Result<bool, Error> {
        let mut stack = vec![(path.to_owned(), Level::default())];
        while let Some((path, level)) = stack.pop() {
            let directory = match files::look_into(self.root(), &path) {
                Ok(Look::Directory(directory)) => directory,
                Ok(Look::Nothing) => continue,
                Ok(Look::Foreign(at)) => {
                    self.faults
                        .foreign(at, "no directory, in a directory's place");
                    continue;
                }
                Err(errno) => {
                    self.faults.refused(&path, errno);
                    return Err(error("open a directory", errno));
                }
            };
            let mut found = false;
            files::entries(directory.as_fd(), |name, is| {
                match decode(level, name) {
                    Some((Kind::Object, _)) if is == files::Is::File => found = true,
                    Some((kind, _)) if is == files::Is::Directory && kind != Kind::Object => {
                        let name = String::from_utf8_lossy(name);
                        stack.push((format!("{path}/{name}"), level.below(kind)));
                    }
                    _ => {}
                }
                Ok::<_, Errno>(())
            })
            .map_err(|errno| error("list a directory", errno))?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
