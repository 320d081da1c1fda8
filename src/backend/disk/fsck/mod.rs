//! Checks a store that nobody serves: every file in it is read, and what is wrong is told. Asked to, it
//! repairs what can be repaired without losing a byte: what is damaged is moved aside, and only what the
//! collector would prove to be garbage is removed.
//!
//! What cannot be read is neither sound nor damaged: it is told as such, and nothing is done on its
//! account.

#[cfg(test)]
mod fixtures;
mod measure;
mod objects;
mod parts;
mod repair;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_damage;
#[cfg(test)]
mod tests_faults;
mod uploads;

#[cfg(test)]
pub(super) use fixtures::{check, furnished};

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::bucket::DIRECTORIES;
use super::files::{self, Is};
use super::open;
use super::store::{Store, is_random_name};
use super::verify::Flaw;
use super::walk::{self, Visit};
use crate::s3::BucketName;
use repair::Aside;

/// What kind of problem one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is not what was written.
    Damaged,
    /// It should be there.
    Missing,
    /// An object whose record says another key than its place.
    Misplaced,
    /// The store did not write it.
    Foreign,
    /// A crash left it, and nobody needs it.
    Leftover,
    /// A system call failed: what is there is not known.
    Unreadable,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "damaged",
            Self::Missing => "missing",
            Self::Misplaced => "misplaced",
            Self::Foreign => "foreign",
            Self::Leftover => "leftover",
            Self::Unreadable => "unreadable",
        })
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: Kind,
    /// The path below the store's root. What is no text in it is replaced.
    pub path: String,
    /// The bucket that it is in.
    pub bucket: Option<String>,
    /// The key of the object that is concerned, where it is known.
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What can be done about it, or was.
    pub remedy: &'static str,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// What a check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Buckets looked at.
    pub buckets: u64,
    /// Objects looked at.
    pub objects: u64,
    /// Parts looked at, of objects and of uploads.
    pub parts: u64,
    /// Open uploads looked at.
    pub uploads: u64,
    /// Bytes of objects and parts that were read.
    pub bytes: u64,
    /// How many problems of each kind were found.
    pub found: BTreeMap<Kind, u64>,
    /// How many were repaired.
    pub repaired: u64,
}

/// How a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it was read, and nothing is wrong, or nothing any more.
    Sound,
    /// Problems are left.
    Problems,
    /// Not all of it could be read.
    Unknown,
}

impl Summary {
    /// How many problems there still are.
    #[must_use]
    pub fn left(&self) -> u64 {
        let found: u64 = self.found.values().sum();
        found.saturating_sub(self.repaired)
    }

    /// How the store is.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.found.get(&Kind::Unreadable), self.left()) {
            (Some(_), _) => Verdict::Unknown,
            (None, 0) => Verdict::Sound,
            (None, _) => Verdict::Problems,
        }
    }
}

/// Who is told how it goes.
pub trait Watch {
    /// Whether it is to be found out first how much there is to read.
    fn wants_size(&self) -> bool {
        false
    }

    /// About so many bytes are to be read.
    fn expects(&mut self, _bytes: u64) {}

    /// So much has been looked at so far; `bucket` is where.
    fn goes_on(&mut self, so_far: &Summary, bucket: &str);

    /// A problem was found, and repaired where that was asked for and can be.
    fn found(&mut self, problem: &Problem);
}

/// Checks the store at `path`. Nothing in it is changed unless `repair` is set.
///
/// # Errors
/// When it cannot be opened: another process serves it, it is no store or one of an earlier format, or,
/// to be repaired, cannot be written.
pub fn fsck(path: &Path, repair: bool, watch: &mut dyn Watch) -> std::io::Result<Summary> {
    let (store, _lock) = open::open_as_it_is(path)?;
    if repair && store.read_only {
        let error = std::io::ErrorKind::ReadOnlyFilesystem;
        return Err(std::io::Error::new(
            error,
            "it cannot be written, and so not repaired",
        ));
    }
    if watch.wants_size()
        && let Some(bytes) = measure::measure(&store)
    {
        watch.expects(bytes);
    }
    let stamp = format_description!("[year][month][day]T[hour][minute][second]Z");
    let stamp = OffsetDateTime::now_utc().format(stamp);
    let mut fsck = Fsck {
        store,
        repair,
        stamp: stamp.map_err(std::io::Error::other)?,
        watch,
        summary: Summary::default(),
        bucket: None,
        knows_objects: true,
        spared: HashSet::new(),
        aside: Vec::new(),
    };
    fsck.root();
    Ok(fsck.summary)
}

/// A check that is under way.
struct Fsck<'w> {
    store: Arc<Store>,
    repair: bool,
    /// When it began: the directory's name that what is damaged is moved to.
    stamp: String,
    watch: &'w mut dyn Watch,
    summary: Summary,
    /// The bucket that is looked at.
    bucket: Option<BucketName>,
    /// Whether all of its objects were read: without, nothing proves that parts are nobody's.
    knows_objects: bool,
    /// Directories of its parts that are named by what is damaged or misplaced: neither garbage nor
    /// nobody's. These and `aside` are as large as what is wrong with a bucket.
    spared: HashSet<String>,
    /// What is to be moved aside once all of a bucket has been looked at.
    aside: Vec<Aside>,
}

impl Fsck<'_> {
    /// So many more bytes were read.
    fn read(&mut self, bytes: u64) -> bool {
        self.summary.bytes = self.summary.bytes.saturating_add(bytes);
        let bucket = self.bucket.as_ref().map_or("", BucketName::as_str);
        self.watch.goes_on(&self.summary, bucket);
        true
    }

    /// A problem at `path`, which nothing is done about yet.
    fn problem(
        &self,
        kind: Kind,
        path: &str,
        what: impl Into<String>,
        remedy: &'static str,
    ) -> Problem {
        Problem {
            kind,
            path: path.to_owned(),
            bucket: self.bucket.as_ref().map(ToString::to_string),
            key: None,
            what: what.into(),
            remedy,
            repaired: false,
        }
    }

    /// Counts a problem and tells it.
    fn tell(&mut self, problem: &Problem) {
        *self.summary.found.entry(problem.kind).or_default() += 1;
        if problem.repaired {
            self.summary.repaired = self.summary.repaired.saturating_add(1);
        }
        self.watch.found(problem);
    }

    fn tell_foreign(&mut self, path: &str, what: &str) {
        let remedy = "it is left alone: remove it by hand, if nobody needs it";
        let problem = self.problem(Kind::Foreign, path, what, remedy);
        self.tell(&problem);
    }

    fn tell_unreadable(&mut self, path: &str, what: &str, why: impl fmt::Display) {
        let remedy = "look at the disk and at the rights of the file, and check again";
        let what = format!("{what}: {why}");
        let problem = self.problem(Kind::Unreadable, path, what, remedy);
        self.tell(&problem);
    }

    fn unknown(&self) -> u64 {
        self.summary
            .found
            .get(&Kind::Unreadable)
            .copied()
            .unwrap_or(0)
    }

    /// A flaw as a problem of the object of `key`.
    fn flawed(&self, flaw: Flaw, key: Option<&str>) -> Problem {
        let mut problem = match flaw {
            Flaw::Damaged { path, what, .. } => {
                let remedy = "bring it back from a copy; --repair moves it aside";
                self.problem(Kind::Damaged, &path, what, remedy)
            }
            Flaw::Unreadable { path, what, errno } => {
                let remedy = "look at the disk and at the rights of the file, and check again";
                self.problem(Kind::Unreadable, &path, format!("{what}: {errno}"), remedy)
            }
        };
        problem.key = key.map(str::to_owned);
        problem
    }

    /// The entries of a directory, until there are none or one cannot be read.
    fn each(&mut self, path: &str, look: impl FnMut(&mut Self, &str, Is)) {
        let store = self.store.clone();
        walk::each(&store, path, self, look);
    }

    fn root(&mut self) {
        let mut missing = vec!["buckets", "staging"];
        self.each(".", |fsck, name, is| match (name, is) {
            ("buckets" | "staging", Is::Directory) => missing.retain(|known| *known != name),
            // What was moved here is looked at by whoever runs the store.
            ("foreign" | "damaged" | "lost+found", Is::Directory) => {}
            ("format" | "lock", Is::File) => {}
            ("format.new", Is::File) => {
                fsck.leftover_file(".", name, "a format that was not finished")
            }
            _ => fsck.tell_foreign(name, "nothing of a store's"),
        });
        if self.unknown() > 0 {
            return;
        }
        for name in &missing {
            self.missing_directory(".", name);
        }
        if !missing.contains(&"buckets") {
            self.each("buckets", |fsck, name, is| {
                match (BucketName::parse(name), is) {
                    (Ok(bucket), Is::Directory) => fsck.bucket(&bucket),
                    _ => fsck.tell_foreign(&format!("buckets/{name}"), "no bucket's name or kind"),
                }
            });
        }
        // Last: what is repaired goes through it.
        if !missing.contains(&"staging") {
            self.each("staging", |fsck, name, is| {
                match is_random_name(name) && is != Is::Other {
                    true => fsck.leftover_staged(name),
                    false => {
                        fsck.tell_foreign(&format!("staging/{name}"), "nothing that was being made")
                    }
                }
            });
        }
    }

    fn bucket(&mut self, bucket: &BucketName) {
        let path = format!("buckets/{bucket}");
        self.bucket = Some(bucket.clone());
        self.look_into(bucket, &path);
        self.spared.clear();
        self.bucket = None;
    }

    fn look_into(&mut self, bucket: &BucketName, path: &str) {
        let before = self.unknown();
        let (mut missing, mut there, mut others) = (DIRECTORIES.to_vec(), Vec::new(), Vec::new());
        let mut created = false;
        self.each(path, |_, name, is| {
            match DIRECTORIES.into_iter().find(|known| *known == name) {
                Some(known) => {
                    missing.retain(|name| *name != known);
                    match is {
                        Is::Directory => there.push(known),
                        Is::File | Is::Other => others.push(name.to_owned()),
                    }
                }
                None if name == "created" && is == Is::File => created = true,
                None => others.push(name.to_owned()),
            }
        });
        if self.unknown() != before {
            return;
        }
        if !created && missing.contains(&"objects") {
            self.tell_foreign(path, "no bucket: it has neither `objects` nor `created`");
            return;
        }
        self.summary.buckets = self.summary.buckets.saturating_add(1);
        for name in others {
            self.tell_foreign(&format!("{path}/{name}"), "nothing of a bucket's");
        }
        self.created(path, created);
        for name in missing {
            self.missing_directory(path, name);
        }
        // In this order: what objects name decides about parts, and both are read before either is moved.
        let before = self.unknown();
        if there.contains(&"objects") {
            self.objects(bucket);
        }
        self.knows_objects = there.contains(&"objects") && self.unknown() == before;
        if there.contains(&"parts") {
            self.parts(bucket);
        }
        if there.contains(&"uploads") {
            self.uploads(bucket);
        }
        if there.contains(&"tmp") {
            let path = format!("{path}/tmp");
            self.each(&path, |fsck, name, is| {
                match is_random_name(name) && is == Is::File {
                    true => fsck.leftover_file(&path, name, "a file that was being written"),
                    false => fsck.tell_foreign(&format!("{path}/{name}"), "no temporary file"),
                }
            });
        }
        self.move_aside();
    }

    /// When the bucket was made.
    fn created(&mut self, bucket: &str, is_there: bool) {
        let path = format!("{bucket}/created");
        let remedy = "the bucket works, and tells no date: write nanoseconds since 1970 into it";
        if !is_there {
            let problem =
                self.problem(Kind::Missing, &path, "the bucket's date is missing", remedy);
            return self.tell(&problem);
        }
        let read = || -> Result<Vec<u8>, Errno> {
            let (file, stat) = files::open_file(self.store.root(), &path)?;
            let length = usize::try_from(files::length(&stat).min(64)).unwrap_or(0);
            files::read_at(file.as_fd(), 0, length)
        };
        let is_a_time = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok();
            let nanoseconds = text.and_then(|text| text.trim().parse::<i128>().ok());
            nanoseconds.is_some_and(|n| OffsetDateTime::from_unix_timestamp_nanos(n).is_ok())
        };
        match read() {
            Ok(bytes) if is_a_time(&bytes) => {}
            Ok(_) => {
                let problem = self.problem(Kind::Damaged, &path, "it is no time", remedy);
                self.tell(&problem);
            }
            Err(errno) => self.tell_unreadable(&path, "read when a bucket was created", errno),
        }
    }
}

impl Visit for Fsck<'_> {
    fn object(&mut self, place: &super::store::Place, key: &str) {
        self.one_object(place, key);
    }

    fn foreign(&mut self, path: &str, is: Is, what: &'static str) {
        match is {
            // An object that somebody renamed is one all the same.
            Is::File => self.misspelled(path, what),
            Is::Directory | Is::Other => self.tell_foreign(path, what),
        }
    }

    fn unreadable(&mut self, path: &str, what: &'static str, errno: Errno) {
        self.tell_unreadable(path, what, errno);
    }

    fn empty(&mut self, above: &str, name: &str) {
        self.leftover_directory(above, name);
    }

    fn goes_on(&self) -> bool {
        true
    }
}
