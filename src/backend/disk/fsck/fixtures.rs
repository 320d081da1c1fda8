//! What tests of checks have in common: a store with one of everything, and what a check of it says.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::authz::Granted;
use crate::backend::Backend as _;
use crate::backend::disk::Durability;
use crate::backend::disk::fixtures::{complete, fresh, object, put, upload};
use crate::s3::TagSet;

/// Everything in a directory: files with their bytes, directories and links without.
pub(super) type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub(super) fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let bytes = kind.is_file().then(|| fs::read(entry.path()).unwrap());
            tree.insert(entry.path(), bytes);
            if kind.is_dir() {
                left.push(entry.path());
            }
        }
    }
    tree
}

#[derive(Default)]
pub(super) struct Heard(pub(super) Vec<Problem>, pub(super) Option<u64>);

impl Watch for Heard {
    fn wants_size(&self) -> bool {
        self.1.is_some()
    }
    fn expects(&mut self, bytes: u64) {
        self.1 = Some(bytes);
    }
    fn goes_on(&mut self, _so_far: &Summary, _bucket: &str) {}
    fn found(&mut self, problem: &Problem) {
        self.0.push(problem.clone());
    }
}

pub(in crate::backend::disk) fn check(root: &Path, repair: bool) -> (Summary, Vec<Problem>) {
    let mut heard = Heard::default();
    let summary = fsck(root, repair, &mut heard).unwrap();
    (summary, heard.0)
}

/// A store with one of everything; what its keys hold.
pub(in crate::backend::disk) async fn furnished(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let disk = fresh(root, Durability::Relaxed).await;
    let mut held = BTreeMap::new();
    let large: Vec<u8> = (0..1_200_000_u32).map(|n| n as u8).collect();
    let long = format!("a/{}/z", "x".repeat(200));
    let keys = [
        ("k", b"small".to_vec()),
        ("empty", Vec::new()),
        ("d/e/f", b"deep".to_vec()),
        (&long, b"long".to_vec()),
        ("large", large.clone()),
        ("tagged", large),
    ];
    for (key, body) in keys {
        put(&disk, key, &body).await.unwrap();
        held.insert(key.to_owned(), body);
    }
    let call = object("tagged");
    let tags = TagSet::new([("a".to_owned(), "b".to_owned())]).unwrap();
    let tagged = disk.put_object_tagging(Granted::for_test(&call), &tags);
    tagged.await.unwrap();
    let (id, part) = upload(&disk, "m/o", b"of parts").await;
    complete(&disk, "m/o", &id, part).await;
    held.insert("m/o".to_owned(), b"of parts".to_vec());
    upload(&disk, "u", b"not yet").await;
    held
}

/// The directory below `parts` whose part holds so many bytes at least, or fewer.
pub(super) fn parts_of(root: &Path, large: bool) -> PathBuf {
    let all = fs::read_dir(root.join("buckets/bucket/parts")).unwrap();
    let mut all = all.map(|entry| entry.unwrap().path());
    all.find(|path| (fs::metadata(path.join("1")).unwrap().len() > 100_000) == large)
        .unwrap()
}
