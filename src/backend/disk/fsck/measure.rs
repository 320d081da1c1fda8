//! How much there is to read, for who wants to see how far a check is.

use rustix::io::Errno;

use crate::backend::disk::files::{self, Is};
use crate::backend::disk::store::{Place, Store};
use crate::backend::disk::walk::{self, Visit};

/// The bytes of all objects and parts, footers included; `None` where that cannot be told. Why not is
/// what the check is for.
pub(super) fn measure(store: &Store) -> Option<u64> {
    let mut measure = Measure {
        store,
        bytes: 0,
        failed: false,
    };
    let Ok(buckets) = store.buckets() else {
        return None;
    };
    for bucket in buckets {
        walk::objects(store, &bucket, &mut measure);
        for above in ["parts", "uploads"] {
            measure.parts(&format!("buckets/{bucket}/{above}"));
        }
    }
    (!measure.failed).then_some(measure.bytes)
}

struct Measure<'s> {
    store: &'s Store,
    bytes: u64,
    failed: bool,
}

impl Measure<'_> {
    fn add(&mut self, path: &str) {
        match files::stat_entry(self.store.root(), path) {
            Ok(stat) => self.bytes = self.bytes.saturating_add(files::length(&stat)),
            Err(_) => self.failed = true,
        }
    }

    /// The files in the directories of a directory.
    fn parts(&mut self, above: &str) {
        let store = self.store;
        walk::each(store, above, self, |measure, name, is| {
            if is == Is::Directory {
                let path = format!("{above}/{name}");
                walk::each(store, &path, measure, |measure, name, is| {
                    if is == Is::File {
                        measure.add(&format!("{path}/{name}"));
                    }
                });
            }
        });
    }
}

impl Visit for Measure<'_> {
    fn object(&mut self, place: &Place, _key: &str) {
        self.add(&place.path());
    }

    fn foreign(&mut self, _path: &str, _is: Is, _what: &'static str) {}

    fn unreadable(&mut self, _path: &str, _what: &'static str, _errno: Errno) {
        self.failed = true;
    }

    fn empty(&mut self, _above: &str, _name: &str) {}

    fn goes_on(&self) -> bool {
        !self.failed
    }
}
