//! What is done about problems: directories are made, garbage is removed, what is damaged is moved to
//! `damaged/<bucket>/<when>`. No file with anybody's bytes in it is ever removed.

use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::{Fsck, Kind, Problem};
use crate::backend::disk::files;
use crate::backend::disk::store::Place;

/// Where what is damaged is moved.
const DAMAGED: &str = "damaged";

/// Something damaged that is to be moved aside.
pub(super) struct Aside {
    pub(super) problem: Problem,
    /// What is moved, in this order.
    pub(super) paths: Vec<String>,
    /// The object that leaves its key.
    pub(super) object: Option<Place>,
}

/// Why something could not be done.
type Why = String;

impl Fsck<'_> {
    /// Tells a problem, and repairs it where that is asked for and `possible`. A repair that fails is told
    /// as well.
    pub(super) fn mend(
        &mut self,
        mut problem: Problem,
        possible: bool,
        repair: impl FnOnce(&mut Self) -> Result<(), Why>,
    ) {
        if !self.repair || !possible {
            return self.tell(&problem);
        }
        match repair(self) {
            Ok(()) => {
                problem.repaired = true;
                self.tell(&problem);
            }
            Err(why) => {
                self.tell(&problem);
                self.tell_unreadable(&problem.path, "it could not be repaired", why);
            }
        }
    }

    pub(super) fn missing_directory(&mut self, above: &str, name: &'static str) {
        let path = below(above, name);
        let has_parts = match name {
            "objects" => self.has_parts(above),
            _ => Ok(false),
        };
        let (what, remedy) = match (name, &has_parts) {
            ("objects", Ok(false)) => (
                "the bucket's objects are missing, if it had any",
                "bring them back from a copy; --repair, or the next start, makes an empty directory",
            ),
            // An empty one would make garbage of what is left of them.
            ("objects", _) => (
                "the bucket's objects are missing, and its `parts` is not empty",
                "bring them back from a copy, or remove `parts`: the bucket is not served until then",
            ),
            _ => (
                "a directory is missing",
                "the next start makes it, or --repair",
            ),
        };
        let problem = self.problem(Kind::Missing, &path, what, remedy);
        let possible = matches!(has_parts, Ok(false));
        self.mend(problem, possible, |fsck| {
            fsck.make(above, name).map_err(told)?;
            let made = files::open_directory(fsck.store.root(), &path);
            made.map(drop).map_err(told)
        });
        if let Err(errno) = has_parts {
            self.tell_unreadable(&below(above, "parts"), "list a directory", errno);
        }
    }

    fn has_parts(&self, bucket: &str) -> Result<bool, Errno> {
        match files::names(self.store.root(), &below(bucket, "parts")) {
            Err(Errno::NOENT) => Ok(false),
            names => Ok(!names?.is_empty()),
        }
    }

    pub(super) fn leftover_file(&mut self, above: &str, name: &str, what: &str) {
        let remedy = "the next start removes it, or --repair";
        let problem = self.problem(Kind::Leftover, &below(above, name), what, remedy);
        self.mend(problem, true, |fsck| {
            let directory = files::open_directory(fsck.store.root(), above).map_err(told)?;
            files::remove_file(directory.as_fd(), name).map_err(told)
        });
    }

    pub(super) fn leftover_directory(&mut self, above: &str, name: &str) {
        let what = "a directory of objects that has none";
        let remedy = "it does no harm; --repair removes it";
        let problem = self.problem(Kind::Leftover, &below(above, name), what, remedy);
        self.mend(problem, true, |fsck| {
            let directory = files::open_directory(fsck.store.root(), above).map_err(told)?;
            files::remove_directory(directory.as_fd(), name).map_err(told)
        });
    }

    pub(super) fn leftover_staged(&mut self, name: &str) {
        let path = below("staging", name);
        let what = "what was being made or removed";
        let remedy = "the next start removes it, or --repair";
        let problem = self.problem(Kind::Leftover, &path, what, remedy);
        self.mend(problem, true, |fsck| {
            fsck.store.clear_away(&path);
            fsck.is_gone(&path)
        });
    }

    /// Nothing is at `path` any more; else why not.
    pub(super) fn is_gone(&self, path: &str) -> Result<(), Why> {
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        let directory = files::open_directory(self.store.root(), above).map_err(told)?;
        match files::stat_entry(directory.as_fd(), name) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(told(errno)),
            Ok(_) => Err("it is still there".to_owned()),
        }
    }

    /// Moves what is damaged out of the bucket, now that all of it was looked at.
    pub(super) fn move_aside(&mut self) {
        for aside in std::mem::take(&mut self.aside) {
            let Aside {
                problem,
                paths,
                object,
            } = aside;
            self.mend(problem, true, |fsck| {
                for path in &paths {
                    fsck.move_one(path)
                        .map_err(|errno| format!("move `{path}` aside: {errno}"))?;
                }
                let emptied = object.as_ref().map(|place| fsck.prune(place));
                emptied.unwrap_or(Ok(())).map_err(told)
            });
        }
    }

    /// Removes the directories that an object was the last one in.
    fn prune(&self, place: &Place) -> Result<(), Errno> {
        let mut above = place.parent();
        for _ in &place.directories {
            let Some((over, name)) = above.rsplit_once('/') else {
                break;
            };
            let directory = files::open_directory(self.store.root(), over)?;
            match files::remove_directory(directory.as_fd(), name) {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => break,
                Err(errno) => return Err(errno),
            }
            above = over.to_owned();
        }
        Ok(())
    }

    /// Moves a file or directory to the same place below `damaged/<bucket>/<when>`.
    fn move_one(&self, path: &str) -> Result<(), Errno> {
        let root = self.store.root();
        let rest = path.strip_prefix("buckets/").ok_or(Errno::INVAL)?;
        let (bucket, rest) = rest.split_once('/').ok_or(Errno::INVAL)?;
        let target = format!("{DAMAGED}/{bucket}/{}/{rest}", self.stamp);
        let (from, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
        let (to, _) = target.rsplit_once('/').ok_or(Errno::INVAL)?;
        // Parts that are missing, directory and all, need not be moved.
        let from = match files::open_directory(root, from) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        match files::stat_entry(from.as_fd(), name) {
            Err(Errno::NOENT) => return Ok(()),
            other => drop(other?),
        }
        let mut above = ".".to_owned();
        for directory in to.split('/') {
            self.make(&above, directory)?;
            above = below(&above, directory);
        }
        let to = files::open_directory(root, to)?;
        match files::stat_entry(to.as_fd(), name) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Err(Errno::EXIST),
        }
        files::rename(from.as_fd(), name, to.as_fd(), name)?;
        // There before it is gone here, whatever happens in between.
        files::sync(to.as_fd())?;
        files::sync(from.as_fd())
    }

    /// Makes a directory, durably.
    fn make(&self, above: &str, name: &str) -> Result<(), Errno> {
        let above = files::open_directory(self.store.root(), above)?;
        files::make_directory(above.as_fd(), name)?;
        files::sync(above.as_fd())
    }
}

/// A path below the root, of which `.` is no part.
fn below(above: &str, name: &str) -> String {
    match above {
        "." => name.to_owned(),
        above => format!("{above}/{name}"),
    }
}

fn told(errno: Errno) -> Why {
    errno.to_string()
}
