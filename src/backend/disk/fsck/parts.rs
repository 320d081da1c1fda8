//! Directories of parts: each is named by an object, or is what a crash left.

use super::repair::Aside;
use super::{Fsck, Kind};
use crate::backend::disk::collect;
use crate::backend::disk::files::Is;
use crate::backend::disk::opened::Trouble;
use crate::backend::disk::parts;
use crate::backend::disk::record::Manifest;
use crate::backend::disk::store::{Place, is_random_name};
use crate::s3::BucketName;

impl Fsck<'_> {
    pub(super) fn parts(&mut self, bucket: &BucketName) {
        let above = format!("buckets/{bucket}/parts");
        self.each(&above, |fsck, name, is| {
            match is == Is::Directory && is_random_name(name) {
                // What names it was told of already.
                true if fsck.spared.contains(name) => {}
                true => fsck.directory_of_parts(bucket, name),
                false => fsck.tell_foreign(&format!("{above}/{name}"), "no directory of parts"),
            }
        });
    }

    fn directory_of_parts(&mut self, bucket: &BucketName, directory: &str) {
        let path = parts::path(bucket, directory);
        let owners = match collect::owners(&self.store, bucket, directory, true) {
            Ok(owners) => owners,
            Err(error) => return self.tell_unreadable(&path, "look for its owner", error),
        };
        for key in &owners.keys {
            match self.store.open_object(&Place::of(bucket, key)) {
                Ok(Some(current)) if current.record.names(directory) => {
                    if let Some(manifest) = &current.record.manifest {
                        self.nothing_else(&path, manifest);
                    }
                    return;
                }
                Ok(_) => {}
                Err(Trouble::Damaged { .. }) => {
                    let what = "the object that they are parts of is damaged";
                    return self.parts_are_lost(&path, Some(key), what);
                }
                // Whoever put it there may have the object that names them.
                Err(Trouble::Foreign { path: foreign }) => {
                    let what = format!("`{foreign}` stands for the object that they are parts of");
                    let remedy = "bring the object back, or remove what stands for it: without either they stay";
                    let mut problem = self.problem(Kind::Foreign, &path, what, remedy);
                    problem.key = Some(key.clone());
                    return self.tell(&problem);
                }
                Err(Trouble::Io(what, errno)) => return self.tell_unreadable(&path, what, errno),
            }
        }
        match owners.keys.first() {
            None if !owners.unclear => self.garbage(bucket, directory, None),
            Some(key) if owners.agree_on(key) => self.garbage(bucket, directory, Some(key)),
            first => {
                let what = "its parts are damaged or of several keys, and no object names them";
                self.parts_are_lost(&path, first, what);
            }
        }
    }

    /// Parts that no object will bring back: they are all that is left of it.
    fn parts_are_lost(&mut self, path: &str, key: Option<&String>, what: &str) {
        let remedy = "bring the object back from a copy; --repair moves them aside with it";
        let mut problem = self.problem(Kind::Damaged, path, what, remedy);
        problem.key = key.cloned();
        if !self.repair {
            return self.tell(&problem);
        }
        self.aside.insert(
            0,
            Aside {
                problem,
                paths: vec![path.to_owned()],
                object: None,
            },
        );
    }

    /// What stands among an object's parts and is none of them.
    fn nothing_else(&mut self, path: &str, manifest: &Manifest) {
        self.each(path, |fsck, name, is| {
            if is != Is::File || !manifest.has_part(name) {
                fsck.tell_foreign(&format!("{path}/{name}"), "no part of its object");
            }
        });
    }

    fn garbage(&mut self, bucket: &BucketName, directory: &str, key: Option<&String>) {
        let path = parts::path(bucket, directory);
        let (what, remedy) = match self.knows_objects {
            true => (
                "parts that no object names",
                "the next start removes them, or --repair",
            ),
            false => (
                "parts that no object names, of those that could be read",
                "bring the bucket's objects back first: the next start would remove them",
            ),
        };
        let mut problem = self.problem(Kind::Leftover, &path, what, remedy);
        problem.key = key.cloned();
        let removable = self.knows_objects;
        self.mend(problem, removable, |fsck| {
            collect::collect_directory(&fsck.store, bucket, directory)
                .map_err(|e| e.to_string())?;
            fsck.is_gone(&path)
        });
    }
}
