//! Carries a store of an earlier format over: the objects whose keys are deeper than names are now are
//! moved to where they are looked for.
//!
//! They are moved many at a time, so that a directory is synced once for all that came to it. Each is
//! linked to its new place, the new places are made durable, and only then the old names go: whenever this
//! is stopped, every object has a name, and who goes on finds both or one of them.

use std::collections::BTreeSet;
use std::io::{Error, Result};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::files::{self, Is};
use super::name::{DEPTH, Kind, earlier_decode, earlier_path, path as spelled};
use super::store::Store;
use crate::s3::BucketName;

/// How many objects are moved, or directories left, before they are made durable.
const BATCH: usize = 4096;

/// How often it is told how far this is.
const TOLD: Duration = Duration::from_secs(5);

/// Moves all of them. What was moved stays moved, should this be stopped.
pub(super) fn carry_over(store: &Store) -> Result<()> {
    tracing::warn!("the store is of an earlier format: it is carried over");
    for (bucket, looked) in store.each_bucket().map_err(Error::other)? {
        // Left as it is, its keys would be looked for where they are not.
        let unread = |errno| Error::other(format!("`buckets/{bucket}` cannot be read: {errno}"));
        looked.map_err(unread)?;
        let objects = format!("buckets/{bucket}/objects");
        let mut carry = Carry {
            store,
            bucket: &bucket,
            moves: Vec::new(),
            emptied: Vec::new(),
            moved: 0,
            directories: 0,
            told: Instant::now(),
        };
        carry.directory(&objects, &[], 0)?;
        carry.finish_batch()?;
        let Carry {
            moved, directories, ..
        } = carry;
        tracing::info!(%bucket, moved, directories, "carried over");
    }
    Ok(())
}

/// An object that stands where an earlier version put it.
struct Move {
    from: String,
    old: String,
    to: String,
    new: String,
}

/// A bucket that is carried over.
struct Carry<'c> {
    store: &'c Store,
    bucket: &'c BucketName,
    moves: Vec<Move>,
    /// Directories that no key has any more, those below before those above.
    emptied: Vec<String>,
    moved: u64,
    /// Directories looked at.
    directories: u64,
    told: Instant,
}

impl Carry<'_> {
    fn directory(&mut self, path: &str, stem: &[u8], depth: usize) -> Result<()> {
        self.directories = self.directories.saturating_add(1);
        self.tell();
        for (name, is) in files::names(self.store.root(), path)? {
            let Some((kind, bytes)) = earlier_decode(name.as_bytes()) else {
                continue;
            };
            let mut begins = [stem, &bytes].concat();
            match (kind, is) {
                // Shallow keys have one spelling in every version.
                (Kind::Object, Is::File) if depth > DEPTH => self.object(path, name, &begins),
                (Kind::Directory | Kind::Piece, Is::Directory) => {
                    if kind == Kind::Directory {
                        begins.push(b'/');
                    }
                    let (below, deeper) = (format!("{path}/{name}"), depth.saturating_add(1));
                    self.directory(&below, &begins, deeper)?;
                    if deeper > DEPTH {
                        self.emptied.push(below);
                    }
                }
                _ => {}
            }
            if self.moves.len() >= BATCH || self.emptied.len() >= BATCH {
                self.finish_batch()?;
            }
        }
        Ok(())
    }

    fn tell(&mut self) {
        if self.told.elapsed() >= TOLD {
            self.told = Instant::now();
            let (bucket, moved, directories) = (self.bucket, self.moved, self.directories);
            tracing::info!(%bucket, moved, directories, "the store is being carried over");
        }
    }

    fn object(&mut self, path: &str, name: String, key: &[u8]) {
        let Ok(key) = std::str::from_utf8(key) else {
            return;
        };
        let objects = format!("buckets/{}/objects", self.bucket);
        let below = |directories: &[String]| format!("{objects}/{}", directories.join("/"));
        let ((directories, new), (earlier, _)) = (spelled(key), earlier_path(key));
        // Only what stands where an earlier version put this very key.
        if directories != earlier && below(&earlier) == path {
            self.moves.push(Move {
                from: path.to_owned(),
                old: name,
                to: below(&directories),
                new,
            });
        }
    }

    /// New names, made durable; then the old ones go, and the directories that had them.
    fn finish_batch(&mut self) -> Result<()> {
        let (moves, emptied) = (
            std::mem::take(&mut self.moves),
            std::mem::take(&mut self.emptied),
        );
        // Everything whose entries changed. Those below come first: a directory's own entry is durable
        // before the one that it is in.
        let (mut made, mut changed) = (BTreeSet::new(), BTreeSet::new());
        let mut linked = Vec::with_capacity(moves.len());
        for moving in &moves {
            self.make(&moving.to, &mut made, &mut changed)?;
            if self.link(moving)? {
                changed.insert(moving.to.as_str());
                linked.push(moving);
            }
            self.tell();
        }
        self.sync(&changed)?;
        let mut changed = BTreeSet::new();
        for moving in linked {
            let from = files::open_directory(self.store.root(), &moving.from)?;
            files::remove_file(from.as_fd(), &moving.old)?;
            changed.insert(moving.from.as_str());
            self.moved = self.moved.saturating_add(1);
            self.tell();
        }
        // What is removed need not be made durable, but that it is.
        for path in &emptied {
            let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
            let directory = files::open_directory(self.store.root(), above)?;
            match files::remove_directory(directory.as_fd(), name) {
                Ok(()) => {
                    changed.remove(path.as_str());
                    changed.insert(above);
                }
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.sync(&changed)
    }

    /// Makes a directory and those above it, where they are not there. The first ones are on the way to
    /// where the key stands now. Those below may be left of a run that was stopped before they were durable.
    fn make<'p>(
        &self,
        path: &'p str,
        made: &mut BTreeSet<&'p str>,
        changed: &mut BTreeSet<&'p str>,
    ) -> Result<()> {
        let objects = format!("buckets/{}/objects/", self.bucket).len();
        let ends = path.match_indices('/').map(|(at, _)| at);
        let ends = ends.chain([path.len()]).filter(|end| *end > objects);
        for (above, end) in ends.enumerate() {
            let may_be_new = above >= DEPTH;
            let below = path.get(..end).unwrap_or(path);
            if !made.insert(below) {
                continue;
            }
            let (above, name) = below.rsplit_once('/').unwrap_or((".", below));
            let directory = files::open_directory(self.store.root(), above)?;
            if files::make_directory(directory.as_fd(), name)? || may_be_new {
                changed.insert(above);
            }
        }
        Ok(())
    }

    /// Links an object to its new place; says whether its old name is to go.
    fn link(&self, moving: &Move) -> Result<bool> {
        let root = self.store.root();
        let from = files::open_directory(root, &moving.from)?;
        let to = files::open_directory(root, &moving.to)?;
        match files::link(from.as_fd(), &moving.old, to.as_fd(), &moving.new) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        // Linked by a run that was stopped then; or something else is there, and stays, as this does.
        let old = files::stat_entry(from.as_fd(), &moving.old)?;
        let new = files::stat_entry(to.as_fd(), &moving.new)?;
        let same = (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino);
        if !same {
            let path = format!("{}/{}", moving.from, moving.old);
            let what = "something else stands at the place that its key has now";
            self.store.faults.damaged(&path, what);
        }
        Ok(same)
    }

    /// Syncs directories, the longest paths first.
    fn sync(&mut self, changed: &BTreeSet<&str>) -> Result<()> {
        for path in changed.iter().rev() {
            match files::open_directory(self.store.root(), path) {
                Ok(directory) => files::sync(directory.as_fd())?,
                // It was removed as well.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            self.tell();
        }
        Ok(())
    }
}
