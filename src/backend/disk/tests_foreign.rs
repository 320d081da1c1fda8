//! What stands where the store's own would, and is of another kind: never replaced, removed or followed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::fixtures::{
    Given, bucket, complete, completion, delete, directory, fresh, get, listing, object_file, on,
    only_part, open_at, put, upload,
};
use super::fsck::{Kind, check};
use super::*;
use crate::authz::Granted;
use crate::backend::Backend;
use crate::s3::call::{CopyObject, CopySource, CreateBucket, OnBucket, PutObject, UploadPart};
use crate::s3::{ObjectKey, ObjectMetadata, ReadConditions, TagSet, WriteConditions};

/// What is planted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plant {
    Link,
    BrokenLink,
    Directory,
    Pipe,
    Socket,
    File,
}

const NO_FILES: [Plant; 5] = [
    Plant::Link,
    Plant::BrokenLink,
    Plant::Directory,
    Plant::Pipe,
    Plant::Socket,
];

const NO_DIRECTORIES: [Plant; 5] = [
    Plant::Link,
    Plant::BrokenLink,
    Plant::Pipe,
    Plant::Socket,
    Plant::File,
];

impl Plant {
    fn at(self, path: &Path, link_to: &Path) {
        match self {
            Self::Link => symlink(link_to, path).unwrap(),
            Self::BrokenLink => symlink("/nowhere/at/all", path).unwrap(),
            Self::Directory => {
                fs::create_dir(path).unwrap();
                fs::write(path.join("precious"), "p").unwrap();
            }
            Self::Pipe => {
                let (kind, mode) = (
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::from_raw_mode(0o600),
                );
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
            }
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::File => fs::write(path, "precious").unwrap(),
        }
    }

    fn is_at(self, path: &Path) -> bool {
        let Ok(stat) = fs::symlink_metadata(path) else {
            return false;
        };
        let kind = stat.file_type();
        match self {
            Self::Link | Self::BrokenLink => kind.is_symlink(),
            Self::Directory => kind.is_dir() && path.join("precious").exists(),
            Self::Pipe | Self::Socket => !kind.is_dir() && !kind.is_file() && !kind.is_symlink(),
            Self::File => fs::read(path).unwrap() == b"precious",
        }
    }
}

/// Every call that writes or removes a key.
async fn changes(disk: &Disk, key: &str) -> Vec<(&'static str, Result<(), Error>)> {
    let mut all = vec![
        ("put", put(disk, key, b"new").await.map(drop)),
        ("delete", delete(disk, key).await.map(drop)),
    ];
    let call = PutObject {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        metadata: ObjectMetadata::default(),
        tags: TagSet::default(),
        conditions: WriteConditions {
            if_none_match: true,
            ..WriteConditions::default()
        },
        checksum: None,
    };
    let mut body = Given(Some(bytes::Bytes::from_static(b"new")));
    let written = disk.put_object(Granted::for_test(&call), &mut body).await;
    all.push(("put if none match", written.map(drop)));
    let copy = CopyObject {
        bucket: bucket(),
        key: call.key.clone(),
        source: CopySource {
            bucket: bucket(),
            key: ObjectKey::parse("there").unwrap(),
            version_id: None,
            conditions: ReadConditions::default(),
        },
        metadata: None,
        redirect: None,
        tags: None,
        conditions: WriteConditions::default(),
        checksum: None,
    };
    let copied = disk.copy_object(Granted::for_test(&copy)).await;
    all.push(("copy", copied.map(drop)));
    let (id, part) = upload(disk, key, b"of parts").await;
    let call = completion(key, &id);
    let named = only_part(&part);
    let completed = disk.complete_multipart_upload(Granted::for_test(&call), &named);
    all.push(("complete", completed.await.map(drop)));
    let aborted = disk.abort_multipart_upload(Granted::for_test(&call.upload));
    aborted.await.unwrap();
    all
}

async fn listed(disk: &Disk) -> Vec<String> {
    let call = listing("", None, 1000);
    let page = disk.list_objects(Granted::for_test(&call)).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

/// Reads and pages have no object there; whoever would replace or remove what is there is refused.
#[tokio::test]
async fn t70_what_stands_in_an_objects_place_is_never_replaced_or_removed() {
    let places = NO_FILES.iter().map(|plant| ("k@", "k", *plant));
    let above = NO_DIRECTORIES.iter().map(|plant| ("d", "d/e/k", *plant));
    for (name, key, plant) in places.chain(above) {
        let (root, outside) = (directory(), directory());
        let disk = fresh(root.path(), Durability::Relaxed).await;
        put(&disk, "there", b"there").await.unwrap();
        fs::write(outside.path().join("e"), "outside").unwrap();
        let at = object_file(root.path(), name);
        plant.at(&at, outside.path());
        for (call, outcome) in changes(&disk, key).await {
            let code = outcome.map_err(|error| error.code());
            assert_eq!(code, Err(ErrorCode::InternalError), "{call}: {plant:?}");
            assert!(plant.is_at(&at), "{call}: {plant:?} at {name}");
        }
        let code = get(&disk, key).await.unwrap_err().code();
        assert_eq!(code, ErrorCode::NoSuchKey, "{plant:?}");
        assert_eq!(listed(&disk).await, ["there"], "{plant:?}");
        let path = format!("buckets/bucket/objects/{name}");
        let found = disk.faults().take();
        let told: Vec<_> = found.iter().map(|f| (f.kind, f.path.as_str())).collect();
        assert_eq!(told, [("foreign", path.as_str())], "{plant:?}");
        assert_eq!(disk.faults().foreign_count(), 1, "{plant:?}");
        drop(disk);
        // Parts that were not completed may be on their way out still.
        let (_, found) = check(root.path(), false);
        let told = found.iter().filter(|p| p.kind != Kind::Leftover);
        let told: Vec<_> = told.map(|p| (p.kind, p.path.as_str())).collect();
        assert_eq!(told, [(Kind::Foreign, path.as_str())], "{plant:?}");
        assert!(plant.is_at(&at) && outside.path().join("e").exists());
    }
}

/// The same in an upload: a part never takes the place of what is none.
#[tokio::test]
async fn t70_what_stands_in_a_parts_place_is_never_replaced() {
    for plant in NO_FILES {
        let (root, outside) = (directory(), directory());
        let disk = fresh(root.path(), Durability::Relaxed).await;
        let (id, _) = upload(&disk, "k", b"part").await;
        let at = root
            .path()
            .join("buckets/bucket/uploads")
            .join(&id)
            .join("2");
        plant.at(&at, outside.path());
        let call = UploadPart {
            upload: on("k", &id),
            part_number: 2,
            checksum: None,
        };
        let mut body = Given(Some(bytes::Bytes::from_static(b"new")));
        let sent = disk.upload_part(Granted::for_test(&call), &mut body).await;
        assert_eq!(sent.unwrap_err().code(), ErrorCode::InternalError);
        assert!(plant.is_at(&at), "{plant:?}");
        assert_eq!(disk.faults().foreign_count(), 1);
        // What ends with the upload is what is the upload's.
        let aborted = disk.abort_multipart_upload(Granted::for_test(&call.upload));
        aborted.await.unwrap();
        let kept = fs::read_dir(root.path().join("foreign")).unwrap().next();
        assert!(
            plant.is_at(&kept.unwrap().unwrap().path().join("2")),
            "{plant:?}"
        );
    }
}

/// A name of the store's own spelling makes nothing the store's.
#[tokio::test]
async fn t70_a_name_like_the_stores_own_is_not_enough() {
    for plant in NO_FILES.into_iter().chain([Plant::File]) {
        let (root, outside) = (directory(), directory());
        fs::write(outside.path().join("upload"), "outside").unwrap();
        fs::write(outside.path().join("1"), "outside").unwrap();
        drop(fresh(root.path(), Durability::Relaxed).await);
        let name = "a".repeat(32);
        let mut places = Vec::new();
        for above in ["parts", "uploads", "tmp"] {
            if (plant == Plant::File) != (above == "tmp")
                && (plant != Plant::Directory || above == "tmp")
            {
                places.push(format!("buckets/bucket/{above}/{name}"));
            }
        }
        if !matches!(plant, Plant::File | Plant::Directory) {
            places.push(format!("staging/{name}"));
        }
        for place in &places {
            plant.at(&root.path().join(place), outside.path());
        }
        let told = || {
            let (_, found) = check(root.path(), true);
            let told = found.into_iter().filter(|p| p.kind == Kind::Foreign);
            let mut told: Vec<_> = told.map(|p| p.path).collect();
            told.sort();
            told
        };
        let mut sorted = places.clone();
        sorted.sort();
        assert_eq!(told(), sorted, "{plant:?}");
        let disk = open_at(root.path(), Durability::Relaxed);
        disk.wait_for_collector();
        assert_eq!(
            disk.faults().foreign_count(),
            places.len() as u64,
            "{plant:?}"
        );
        for place in &places {
            assert!(
                plant.is_at(&root.path().join(place)),
                "{plant:?} at {place}"
            );
        }
        let call = OnBucket { bucket: bucket() };
        disk.delete_bucket(Granted::for_test(&call)).await.unwrap();
        let kept = fs::read_dir(root.path().join("foreign")).unwrap().next();
        let kept = kept.unwrap().unwrap().path();
        for place in &places {
            let at = match place.strip_prefix("buckets/bucket/") {
                Some(inside) => kept.join(inside),
                None => root.path().join(place),
            };
            assert!(plant.is_at(&at), "{plant:?} at {place}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2);
    }
}

/// What stands for an object proves nothing of its parts.
#[tokio::test]
async fn t72_parts_stay_while_something_foreign_stands_for_their_object() {
    let (root, outside) = (directory(), directory());
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, part) = upload(&disk, "k", b"of parts").await;
    complete(&disk, "k", &id, part).await;
    drop(disk);
    let (at, elsewhere) = (object_file(root.path(), "k@"), outside.path().join("k"));
    fs::copy(&at, &elsewhere).unwrap();
    fs::remove_file(&at).unwrap();
    symlink(&elsewhere, &at).unwrap();
    open_at(root.path(), Durability::Relaxed).wait_for_collector();
    check(root.path(), true);
    fs::remove_file(&at).unwrap();
    fs::copy(&elsewhere, &at).unwrap();
    let disk = open_at(root.path(), Durability::Relaxed);
    assert_eq!(get(&disk, "k").await.unwrap().1, b"of parts");
}

/// A bucket's name that something else has is refused, and stays.
#[tokio::test]
async fn t70_what_stands_in_a_buckets_place_is_never_replaced() {
    for plant in NO_DIRECTORIES {
        let (root, outside) = (directory(), directory());
        let disk = fresh(root.path(), Durability::Relaxed).await;
        let at = root.path().join("buckets/other");
        plant.at(&at, outside.path());
        let call = CreateBucket {
            bucket: crate::s3::BucketName::parse("other").unwrap(),
        };
        let made = disk.create_bucket(Granted::for_test(&call)).await;
        assert_eq!(made.unwrap_err().code(), ErrorCode::InternalError);
        assert!(plant.is_at(&at), "{plant:?}");
        assert_eq!(disk.faults().foreign_count(), 1);
    }
}

/// What is damaged does not vanish with its bucket; what is sound, and nobody's without it, does.
#[tokio::test]
async fn t75_a_damaged_upload_does_not_vanish_with_its_bucket() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (torn, _) = upload(&disk, "torn", b"bytes of the torn").await;
    let (lost, _) = upload(&disk, "lost", b"bytes of the lost").await;
    upload(&disk, "sound", b"bytes of the sound").await;
    let uploads = root.path().join("buckets/bucket/uploads");
    fs::write(uploads.join(&torn).join("upload"), "{").unwrap();
    fs::remove_file(uploads.join(&lost).join("upload")).unwrap();
    let parts = root.path().join("buckets/bucket/parts");
    let (damaged, mixed) = (parts.join("a".repeat(32)), parts.join("b".repeat(32)));
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("1"), "damaged").unwrap();
    fs::create_dir(&mixed).unwrap();
    for (number, id) in [("1", &torn), ("2", &lost)] {
        fs::copy(uploads.join(id).join("1"), mixed.join(number)).unwrap();
    }
    let disk = {
        drop(disk);
        open_at(root.path(), Durability::Relaxed)
    };
    disk.wait_for_collector();
    let (_, found) = {
        drop(disk);
        check(root.path(), false)
    };
    assert_eq!(found.iter().filter(|p| p.kind == Kind::Damaged).count(), 4);
    let disk = open_at(root.path(), Durability::Relaxed);
    disk.wait_for_collector();
    let call = OnBucket { bucket: bucket() };
    disk.delete_bucket(Granted::for_test(&call)).await.unwrap();
    let mut kept = fs::read_dir(root.path().join("foreign")).unwrap();
    let kept = kept.next().unwrap().unwrap().path();
    let has = |name: &str| fs::read(kept.join(name)).is_ok();
    assert!(has(&format!("uploads/{torn}/upload")) && has(&format!("uploads/{torn}/1")));
    assert!(has(&format!("uploads/{lost}/1")));
    assert_eq!(fs::read_dir(kept.join("uploads")).unwrap().count(), 2);
    for (name, count) in [("a", 1), ("b", 2)] {
        let directory = kept.join("parts").join(name.repeat(32));
        assert_eq!(fs::read_dir(directory).unwrap().count(), count);
    }
    assert!(disk.faults().damaged_count() >= 3);
    let told = disk.faults().take();
    assert!(
        told.iter()
            .any(|f| f.kind == "foreign" && f.path.starts_with("foreign/"))
    );
}
