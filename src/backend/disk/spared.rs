//! Parts whose object strayed: its file stands at another key's place, or has a name that no key has.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::files::{self, Is};
use super::opened::{Opened, Trouble};
use super::store::{Place, Store};
use super::walk::{self, Visit};
use crate::s3::{BucketName, Error};

/// Those of some directories of parts that any object's file names, wherever it stands among a bucket's
/// objects: somebody may have renamed it, and bring it back.
pub(super) fn spared(
    store: &Store,
    bucket: &BucketName,
    unnamed: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    let mut naming = Naming {
        store,
        unnamed,
        spared: BTreeSet::new(),
        unknown: None,
    };
    walk::objects(store, bucket, &mut naming);
    if store.closing.load(Ordering::Relaxed) {
        return Err(Error::internal("the store is closed"));
    }
    match naming.unknown {
        None => Ok(naming.spared),
        // What cannot be read may name any of them.
        Some(error) => Err(error),
    }
}

/// Looks for files that name directories of parts.
struct Naming<'n> {
    store: &'n Store,
    unnamed: &'n BTreeSet<String>,
    spared: BTreeSet<String>,
    /// Why it is not known what all of them name.
    unknown: Option<Error>,
}

impl Naming<'_> {
    fn spare(&mut self, opened: Option<Opened>) {
        let manifest = opened.and_then(|opened| opened.record.manifest.clone());
        if let Some(manifest) = manifest.filter(|m| self.unnamed.contains(&m.directory)) {
            self.spared.insert(manifest.directory);
        }
    }
}

impl Visit for Naming<'_> {
    fn object(&mut self, place: &Place, _key: &str) {
        match self.store.look_at_record(&place.path()) {
            Ok(opened) => self.spare(opened),
            Err(Trouble::Foreign { .. }) => {}
            Err(trouble) => self.unknown = Some(trouble.into()),
        }
    }

    fn foreign(&mut self, path: &str, is: Is, what: &'static str) {
        self.store.faults.foreign(path, what);
        if is != Is::File {
            return;
        }
        match self.store.look_at_stranger(path) {
            Ok(opened) => self.spare(opened),
            Err(Trouble::Damaged { .. } | Trouble::Foreign { .. }) => {}
            Err(Trouble::Io(what, errno)) => self.unknown = Some(files::error(what, errno)),
        }
    }

    fn unreadable(&mut self, path: &str, what: &'static str, errno: Errno) {
        // A directory that was removed since it was seen is none.
        if errno != Errno::NOENT {
            self.store.faults.refused(path, errno);
            self.unknown = Some(files::error(what, errno));
        }
    }

    fn empty(&mut self, _above: &str, _name: &str) {}

    fn goes_on(&self) -> bool {
        self.unknown.is_none() && !self.store.closing.load(Ordering::Relaxed)
    }
}
