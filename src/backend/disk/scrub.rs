//! Reads everything again and again beside the requests, at a set rate, so that whoever runs the store
//! knows of damage before a reader does.
//!
//! A file that is open is whole, whatever becomes of its name: it was renamed to it when it was finished,
//! and is never written again. What is found is told only of what is still at its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use time::OffsetDateTime;

use super::bucket::DIRECTORIES;
use super::files::Is;
use super::opened::Trouble;
use super::parts;
use super::record::Manifest;
use super::store::{Place, Store, is_random_name};
use super::upload::{directory, part_number, read_record, record_path};
use super::verify::{self, File, Flaw};
use super::walk::{self, Visit};
use crate::s3::BucketName;

/// What a file costs beside its bytes, in bytes: on a spinning disk the way to it takes as long.
const FILE: u64 = 128 * 1024;

/// From the end of a pass to the next one.
const REST: Duration = Duration::from_secs(3600);

/// How far scrubbing has come since the store was opened.
#[derive(Debug, Default)]
pub struct Scrub {
    bytes: AtomicU64,
    passes: AtomicU64,
    completed: AtomicI64,
}

impl Scrub {
    /// Bytes of objects and parts that were read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often everything was read. A pass in which something could not be read does not count.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }

    /// When the last such pass ended, in seconds since 1970; 0 when none has.
    #[must_use]
    pub fn completed(&self) -> i64 {
        self.completed.load(Ordering::Relaxed)
    }
}

/// Scrubs until the store is closed, at `rate` bytes a second.
pub(super) fn run(store: &Arc<Store>, rate: u64) {
    while !store.is_closing() {
        if pass(store, rate) {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            store.scrub.completed.store(now, Ordering::Relaxed);
            store.scrub.passes.fetch_add(1, Ordering::Relaxed);
        }
        rest(store, Instant::now() + REST);
    }
}

/// Waits, unless the store is closed: then this thread is told.
fn rest(store: &Store, until: Instant) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || store.is_closing() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// Reads everything once; says whether all could be read.
pub(super) fn pass(store: &Arc<Store>, rate: u64) -> bool {
    let mut pass = Pass {
        store,
        rate: rate.max(1),
        due: Instant::now(),
        complete: true,
    };
    pass.strangers(".", "nothing of a store's", of_root);
    pass.strangers("staging", "nothing that was being made", |name, is| {
        is_random_name(name) && is != Is::Other
    });
    match store.each_bucket() {
        Ok(buckets) => {
            for (bucket, looked) in buckets {
                if let Err(errno) = looked {
                    let path = format!("buckets/{bucket}");
                    pass.failed(&path, &format!("look at a bucket: {errno}"));
                    continue;
                }
                let path = format!("buckets/{bucket}");
                pass.strangers(&path, "nothing of a bucket's", of_bucket);
                pass.strangers(&format!("{path}/tmp"), "no temporary file", |name, is| {
                    is_random_name(name) && is == Is::File
                });
                pass.strangers(
                    &format!("{path}/parts"),
                    "no directory of parts",
                    |name, is| is_random_name(name) && is == Is::Directory,
                );
                walk::objects(store, &bucket, &mut pass);
                pass.uploads(&bucket);
            }
        }
        Err(error) => pass.failed("buckets", &error.to_string()),
    }
    pass.complete && !store.is_closing()
}

/// Whether a store has this beside its buckets.
fn of_root(name: &str, is: Is) -> bool {
    match is {
        Is::Directory => ["buckets", "staging", "foreign", "damaged", "lost+found"].contains(&name),
        Is::File => ["format", "format.new", "lock"].contains(&name),
        Is::Other => false,
    }
}

/// Whether a bucket has this beside what it holds.
fn of_bucket(name: &str, is: Is) -> bool {
    match is {
        Is::Directory => DIRECTORIES.contains(&name),
        Is::File => name == "created",
        Is::Other => false,
    }
}

/// When `bytes` more may have been read at `rate` bytes a second, what was read before being due at `due`.
/// What was missed while the disk was slow is not made up for.
pub(super) fn due_after(due: Instant, now: Instant, bytes: u64, rate: u64) -> Instant {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    let takes = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    due.max(now).checked_add(takes).unwrap_or(due)
}

struct Pass<'s> {
    store: &'s Arc<Store>,
    rate: u64,
    /// When what was read so far may have been read.
    due: Instant,
    complete: bool,
}

impl Pass<'_> {
    /// Waits as long as reading so many bytes takes; says whether to go on.
    fn spend(&mut self, bytes: u64) -> bool {
        self.due = due_after(self.due, Instant::now(), bytes, self.rate);
        rest(self.store, self.due);
        !self.store.is_closing()
    }

    fn read(&mut self, path: &str) -> Result<File, Flaw> {
        let store = self.store;
        verify::file(store, path, &mut |bytes| self.count(bytes))
    }

    fn count(&mut self, bytes: u64) -> bool {
        self.store.scrub.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.spend(if bytes == 0 { FILE } else { bytes })
    }

    /// What is there is not known, and so this pass is none.
    fn failed(&mut self, path: &str, why: &str) {
        self.complete = false;
        self.store.faults.unreadable(path, why);
    }

    /// Names what nobody here wrote where neither a request nor the collector comes across it.
    fn strangers(&mut self, path: &str, what: &'static str, ours: impl Fn(&str, Is) -> bool) {
        walk::each(self.store, path, self, |pass, name, is| {
            if !ours(name, is) {
                let path = format!("{path}/{name}");
                pass.foreign(path.trim_start_matches("./"), is, what);
            }
        });
    }

    fn parts(&mut self, place: &Place, key: &str, manifest: &Manifest) {
        let store = self.store;
        let read = verify::manifest(store, &place.bucket, key, manifest, &mut |bytes| {
            self.count(bytes)
        });
        match read {
            Ok(_) => {
                let path = parts::path(&place.bucket, &manifest.directory);
                self.strangers(&path, "no part of its object", |name, is| {
                    is == Is::File && manifest.has_part(name)
                });
            }
            Err(Flaw::Unreadable { path, what, errno }) => {
                self.failed(&path, &format!("{what}: {errno}"));
            }
            Err(Flaw::Damaged { path, what, .. }) => {
                let _changing = store.changing(&place.bucket, key);
                match store.open_object(place) {
                    // Parts of an object that was replaced or removed may be gone. These are
                    // named while nobody can change that.
                    Ok(Some(current)) if current.record.names(&manifest.directory) => {
                        store.faults.damaged(&path, &what);
                    }
                    Ok(_) | Err(Trouble::Damaged { .. } | Trouble::Foreign { .. }) => {}
                    Err(Trouble::Io(what, errno)) => {
                        self.failed(&place.path(), &format!("{what}: {errno}"));
                    }
                }
            }
        }
    }

    /// An object's own file is damaged. What is remembered of it is forgotten, so that readers see what
    /// is there.
    fn damaged(&mut self, place: &Place, key: &str, what: &str, number: Option<(u64, u64)>) {
        let store = self.store;
        let path = place.path();
        let _changing = store.changing(&place.bucket, key);
        match (store.open_object(place), number) {
            (Ok(Some(current)), Some(number)) if current.number == number => {
                store.faults.damaged(&path, what);
            }
            // Replaced or removed meanwhile.
            (Ok(_) | Err(Trouble::Foreign { .. }), _) => {}
            // Told when it was opened.
            (Err(Trouble::Damaged { .. }), _) => {
                let node = store.node(place, place.directories.len());
                node.lock().unsure();
            }
            (Err(Trouble::Io(what, errno)), _) => self.failed(&path, &format!("{what}: {errno}")),
        }
    }

    fn uploads(&mut self, bucket: &BucketName) {
        let above = format!("buckets/{bucket}/uploads");
        walk::each(self.store, &above, self, |pass, name, is| {
            match is == Is::Directory && is_random_name(name) {
                true => pass.upload(bucket, name),
                false => pass.foreign(&format!("{above}/{name}"), is, "no upload's name or kind"),
            }
        });
    }

    fn upload(&mut self, bucket: &BucketName, id: &str) {
        let (path, record) = (directory(bucket, id), record_path(bucket, id));
        // One that is damaged is told where it is read.
        if let Err(errno) = read_record(self.store, &record) {
            self.failed(&record, &format!("read an upload: {errno}"));
        }
        walk::each(self.store, &path, self, |pass, name, is| {
            match is == Is::File && part_number(name).is_some() {
                true => pass.part(&format!("{path}/{name}")),
                false if name == "upload" => {}
                false => pass.foreign(&format!("{path}/{name}"), is, "no part's name or kind"),
            }
        });
    }

    /// A part of an open upload.
    fn part(&mut self, path: &str) {
        match self.read(path) {
            Ok(_) => {}
            Err(Flaw::Unreadable { what, errno, .. }) => {
                self.failed(path, &format!("{what}: {errno}"))
            }
            Err(Flaw::Damaged { what, number, .. }) => match (self.store.open_record(path), number)
            {
                (Ok(Some(current)), Some(number)) if current.number == number => {
                    self.store.faults.damaged(path, &what);
                }
                // Replaced or removed meanwhile, or told when it was opened.
                (Ok(_) | Err(Trouble::Damaged { .. } | Trouble::Foreign { .. }), _) => {}
                (Err(Trouble::Io(what, errno)), _) => {
                    self.failed(path, &format!("{what}: {errno}"))
                }
            },
        }
    }
}

impl Visit for Pass<'_> {
    fn object(&mut self, place: &Place, key: &str) {
        let path = place.path();
        match self.read(&path) {
            Ok(File::Sound(opened)) if opened.record.key != key => {
                self.damaged(
                    place,
                    key,
                    "it holds another key's object",
                    Some(opened.number),
                );
            }
            Ok(File::Sound(opened)) => {
                let record = opened.record.clone();
                drop(opened);
                if let Some(manifest) = &record.manifest {
                    self.parts(place, key, manifest);
                }
            }
            Ok(File::Absent | File::Stopped) => {}
            Err(Flaw::Damaged { what, number, .. }) => self.damaged(place, key, &what, number),
            Err(Flaw::Unreadable { what, errno, .. }) => {
                self.failed(&path, &format!("{what}: {errno}"))
            }
        }
    }

    fn foreign(&mut self, path: &str, _is: Is, what: &'static str) {
        self.store.faults.foreign(path, what);
    }

    fn unreadable(&mut self, path: &str, what: &'static str, errno: Errno) {
        // A directory that was removed since it was seen is none.
        if errno != Errno::NOENT {
            self.failed(path, &format!("{what}: {errno}"));
        }
    }

    fn empty(&mut self, _above: &str, _name: &str) {}

    fn goes_on(&self) -> bool {
        !self.store.is_closing()
    }
}
