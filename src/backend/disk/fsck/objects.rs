//! Every object of a bucket: its place, its bytes, its parts.

use super::repair::Aside;
use super::{Fsck, Kind};
use crate::backend::disk::opened::{Opened, Trouble};
use crate::backend::disk::record::Manifest;
use crate::backend::disk::store::Place;
use crate::backend::disk::verify::{self, File, Flaw};
use crate::backend::disk::{parts, walk};
use crate::s3::BucketName;

impl Fsck<'_> {
    pub(super) fn objects(&mut self, bucket: &BucketName) {
        let store = self.store.clone();
        walk::objects(&store, bucket, self);
    }

    pub(super) fn one_object(&mut self, place: &Place, key: &str) {
        self.summary.objects = self.summary.objects.saturating_add(1);
        let (store, path) = (self.store.clone(), place.path());
        let opened = match verify::file(&store, &path, &mut |bytes| self.read(bytes)) {
            Ok(File::Sound(opened)) => opened,
            Ok(File::Absent) => {
                return self.tell_unreadable(
                    &path,
                    "open an object",
                    "it was listed, and is not there",
                );
            }
            Ok(File::Stopped) => return,
            Err(flaw) => {
                if let Flaw::Damaged {
                    names: Some(names), ..
                } = &flaw
                {
                    self.spared.insert(names.clone());
                }
                return self.object_is_flawed(place, key, None, flaw);
            }
        };
        let manifest = opened.record.manifest.as_ref();
        if opened.record.key != key {
            return self.misplaced(&path, &opened);
        }
        let Some(manifest) = manifest else { return };
        let count = manifest.parts.len() as u64;
        self.summary.parts = self.summary.parts.saturating_add(count);
        let read = verify::manifest(&store, &place.bucket, key, manifest, &mut |bytes| {
            self.read(bytes)
        });
        if let Err(flaw) = read {
            self.spare(Some(manifest));
            self.object_is_flawed(place, key, Some(manifest), flaw);
        }
    }

    /// A file among the objects whose name is no key's.
    pub(super) fn misspelled(&mut self, path: &str, what: &str) {
        match self.store.open_record(path) {
            Ok(Some(opened)) => self.misplaced(path, &opened),
            Ok(None) | Err(Trouble::Damaged { .. } | Trouble::Foreign { .. }) => {
                self.tell_foreign(path, what);
            }
            Err(Trouble::Io(what, errno)) => self.tell_unreadable(path, what, errno),
        }
    }

    /// An object at another place than its key's: nobody finds it there, and its parts are its own.
    fn misplaced(&mut self, path: &str, opened: &Opened) {
        self.spare(opened.record.manifest.as_ref());
        let what = "its record says that it is another key's object";
        let remedy = "it is left where it is: move it to its key's place, or remove it, by hand";
        let mut problem = self.problem(Kind::Misplaced, path, what, remedy);
        problem.key = Some(opened.record.key.clone());
        self.tell(&problem);
    }

    fn spare(&mut self, manifest: Option<&Manifest>) {
        self.spared
            .extend(manifest.map(|manifest| manifest.directory.clone()));
    }

    fn object_is_flawed(&mut self, place: &Place, key: &str, parts: Option<&Manifest>, flaw: Flaw) {
        let problem = self.flawed(flaw, Some(key));
        if problem.kind == Kind::Unreadable || !self.repair {
            return self.tell(&problem);
        }
        // The parts first: without their object they would be garbage.
        let parts = parts.map(|manifest| parts::path(&place.bucket, &manifest.directory));
        self.aside.push(Aside {
            problem,
            paths: parts.into_iter().chain([place.path()]).collect(),
            object: Some(place.clone()),
        });
    }
}
