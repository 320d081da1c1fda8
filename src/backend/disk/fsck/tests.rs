//! Each kind of damage is found and nothing is changed; repaired, the store is sound and serves.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;
use crate::authz::Granted;
use crate::backend::disk::tests::{Given, bucket, fresh, get, object_file, open_at, put};
use crate::backend::disk::{Disk, Durability};
use crate::backend::{Backend as _, CompletedPart, Written};
use crate::s3::call::{
    CompleteMultipartUpload, CreateMultipartUpload, OnObject, OnUpload, UploadPart,
};
use crate::s3::{ObjectKey, ObjectMetadata, TagSet, WriteConditions};

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
pub(super) struct Heard(pub(super) Vec<Problem>, Option<u64>);

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

pub(super) fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn on(key: &str, id: &str) -> OnUpload {
    OnUpload {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        upload_id: id.to_owned(),
    }
}

/// Opens an upload with one part in it.
pub(in crate::backend::disk) async fn upload(
    disk: &Disk,
    key: &str,
    body: &[u8],
) -> (String, Written) {
    let call = CreateMultipartUpload {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        metadata: ObjectMetadata::default(),
        tags: TagSet::default(),
        checksum: None,
    };
    let id = disk.create_multipart_upload(Granted::for_test(&call));
    let id = id.await.unwrap();
    let call = UploadPart {
        upload: on(key, &id),
        part_number: 1,
        checksum: None,
    };
    let mut given = Given(Some(Bytes::copy_from_slice(body)));
    let part = disk.upload_part(Granted::for_test(&call), &mut given);
    (id, part.await.unwrap())
}

pub(in crate::backend::disk) async fn complete(disk: &Disk, key: &str, id: &str, part: Written) {
    let call = CompleteMultipartUpload {
        upload: on(key, id),
        conditions: WriteConditions::default(),
        checksum: None,
        checksum_type: None,
        size: None,
    };
    let named = [CompletedPart {
        part_number: 1,
        etag: part.etag,
        checksum: None,
    }];
    let completed = disk.complete_multipart_upload(Granted::for_test(&call), &named);
    completed.await.unwrap();
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
    let call = OnObject {
        bucket: bucket(),
        key: ObjectKey::parse("tagged").unwrap(),
        version_id: None,
    };
    let tags = TagSet::new([("a".to_owned(), "b".to_owned())]).unwrap();
    let tagged = disk.put_object_tagging(Granted::for_test(&call), &tags);
    tagged.await.unwrap();
    let (id, part) = upload(&disk, "m/o", b"of parts").await;
    complete(&disk, "m/o", &id, part).await;
    held.insert("m/o".to_owned(), b"of parts".to_vec());
    upload(&disk, "u", b"not yet").await;
    held
}

fn only(directory: &Path) -> PathBuf {
    let mut all: Vec<_> = fs::read_dir(directory).unwrap().collect();
    assert_eq!(all.len(), 1);
    all.pop().unwrap().unwrap().path()
}

/// The directory below `parts` whose part holds so many bytes at least, or fewer.
fn parts_of(root: &Path, large: bool) -> PathBuf {
    let all = fs::read_dir(root.join("buckets/bucket/parts")).unwrap();
    let mut all = all.map(|entry| entry.unwrap().path());
    all.find(|path| (fs::metadata(path.join("1")).unwrap().len() > 100_000) == large)
        .unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    // As a new file, as a disk has it: links to the old one stay as they are.
    fs::write(path, bytes).unwrap();
}

/// A kind of damage.
struct Case {
    name: &'static str,
    damage: fn(&Path),
    kind: Kind,
    /// What the problem's path contains.
    path: &'static str,
    /// The keys that are lost with it.
    lost: &'static [&'static str],
    /// Whether a repair leaves nothing to do.
    mended: bool,
}

const fn case(name: &'static str, kind: Kind, path: &'static str, damage: fn(&Path)) -> Case {
    Case {
        name,
        damage,
        kind,
        path,
        lost: &[],
        mended: true,
    }
}

impl Case {
    const fn losing(mut self, lost: &'static [&'static str]) -> Self {
        self.lost = lost;
        self
    }

    const fn left(mut self) -> Self {
        self.mended = false;
        self
    }
}

const CASES: &[Case] = &[
    case("first byte", Kind::Damaged, "objects/k@", |root| {
        flip(&object_file(root, "k@"), 0);
    })
    .losing(&["k"]),
    case("second block", Kind::Damaged, "objects/large@", |root| {
        flip(&object_file(root, "large@"), 1_150_000);
    })
    .losing(&["large"]),
    case("cut off", Kind::Damaged, "d/e/f@", |root| {
        let file = object_file(root, "d/e/f@");
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    })
    .losing(&["d/e/f"]),
    case("no bytes", Kind::Damaged, "objects/empty@", |root| {
        fs::write(object_file(root, "empty@"), "").unwrap();
    })
    .losing(&["empty"]),
    case("manifest", Kind::Damaged, "m/o@", |root| {
        flip(&object_file(root, "m/o@"), 20);
    })
    .losing(&["m/o"]),
    case("part's byte", Kind::Damaged, "/1", |root| {
        flip(&parts_of(root, false).join("1"), 0);
    })
    .losing(&["m/o"]),
    case("part's footer", Kind::Damaged, "/1", |root| {
        flip(&parts_of(root, false).join("1"), 20);
    })
    .losing(&["m/o"]),
    case("linked bytes", Kind::Damaged, "/1", |root| {
        flip(&parts_of(root, true).join("1"), 1_100_000);
    })
    .losing(&["tagged"]),
    case("part missing", Kind::Damaged, "/1", |root| {
        fs::remove_file(parts_of(root, false).join("1")).unwrap();
    })
    .losing(&["m/o"]),
    case("parts missing", Kind::Damaged, "/1", |root| {
        fs::remove_dir_all(parts_of(root, false)).unwrap();
    })
    .losing(&["m/o"]),
    case("another part", Kind::Damaged, "/1", |root| {
        let other = object_file(root, "k@");
        fs::copy(other, parts_of(root, false).join("1")).unwrap();
    })
    .losing(&["m/o"]),
    case("all parts and manifest", Kind::Damaged, "parts", |root| {
        flip(&parts_of(root, false).join("1"), 20);
        flip(&object_file(root, "m/o@"), 20);
    })
    .losing(&["m/o"]),
    case("wrong name", Kind::Misplaced, "objects/j@", |root| {
        fs::rename(object_file(root, "k@"), object_file(root, "j@")).unwrap();
    })
    .losing(&["k"])
    .left(),
    case("wrong spelling", Kind::Misplaced, "objects/%6D", |root| {
        fs::create_dir(object_file(root, "%6d")).unwrap();
        fs::rename(object_file(root, "m/o@"), object_file(root, "%6D@")).unwrap();
        fs::remove_dir(object_file(root, "m")).unwrap();
        fs::remove_dir(object_file(root, "%6d")).unwrap();
    })
    .losing(&["m/o"])
    .left(),
    case("foreign file", Kind::Foreign, ".DS_Store", |root| {
        fs::write(object_file(root, "d/.DS_Store"), "x").unwrap();
    })
    .left(),
    case("foreign link", Kind::Foreign, "objects/l@", |root| {
        symlink("k@", object_file(root, "l@")).unwrap();
    })
    .left(),
    case("foreign in the root", Kind::Foreign, "README", |root| {
        fs::write(root.join("README"), "x").unwrap();
    })
    .left(),
    case("foreign bucket", Kind::Foreign, "buckets/No", |root| {
        fs::create_dir(root.join("buckets/No")).unwrap();
    })
    .left(),
    case("no bucket", Kind::Foreign, "buckets/other", |root| {
        fs::create_dir(root.join("buckets/other")).unwrap();
    })
    .left(),
    case("foreign in a bucket", Kind::Foreign, "bucket/x", |root| {
        fs::write(root.join("buckets/bucket/x"), "").unwrap();
    })
    .left(),
    case("foreign among parts", Kind::Foreign, "parts/x", |root| {
        fs::write(root.join("buckets/bucket/parts/x"), "").unwrap();
    })
    .left(),
    case("a part too many", Kind::Foreign, "/7", |root| {
        fs::copy(object_file(root, "k@"), parts_of(root, false).join("7")).unwrap();
    })
    .left(),
    case("foreign upload", Kind::Foreign, "uploads/x", |root| {
        fs::write(root.join("buckets/bucket/uploads/x"), "").unwrap();
    })
    .left(),
    case("foreign in tmp", Kind::Foreign, "tmp/x", |root| {
        fs::write(root.join("buckets/bucket/tmp/x"), "").unwrap();
    })
    .left(),
    case("temporary file", Kind::Leftover, "tmp/00", |root| {
        fs::write(root.join("buckets/bucket/tmp").join("0".repeat(32)), "x").unwrap();
    }),
    case("staged", Kind::Leftover, "staging/00", |root| {
        let staged = root.join("staging").join("0".repeat(32));
        fs::create_dir(&staged).unwrap();
        fs::write(staged.join("upload"), "{}").unwrap();
    }),
    case("unfinished format", Kind::Leftover, "format.new", |root| {
        fs::write(root.join("format.new"), "port").unwrap();
    }),
    case("empty directories", Kind::Leftover, "objects/y", |root| {
        fs::create_dir_all(object_file(root, "y/z")).unwrap();
    }),
    case("parts of nobody", Kind::Leftover, "parts/00", |root| {
        let part = parts_of(root, false).join("1");
        let parts = root.join("buckets/bucket/parts").join("0".repeat(32));
        fs::create_dir(&parts).unwrap();
        fs::copy(part, parts.join("1")).unwrap();
    }),
    case("empty parts", Kind::Leftover, "parts/00", |root| {
        fs::create_dir(root.join("buckets/bucket/parts").join("0".repeat(32))).unwrap();
    }),
    case("upload's record", Kind::Damaged, "uploads/", |root| {
        let upload = only(&root.join("buckets/bucket/uploads"));
        fs::write(upload.join("upload"), "{").unwrap();
    }),
    case("upload without", Kind::Damaged, "uploads/", |root| {
        let upload = only(&root.join("buckets/bucket/uploads"));
        fs::remove_file(upload.join("upload")).unwrap();
    }),
    case("upload's part", Kind::Damaged, "/1", |root| {
        flip(&only(&root.join("buckets/bucket/uploads")).join("1"), 0);
    }),
    case("missing tmp", Kind::Missing, "bucket/tmp", |root| {
        fs::remove_dir(root.join("buckets/bucket/tmp")).unwrap();
    }),
    case("missing staging", Kind::Missing, "staging", |root| {
        fs::remove_dir(root.join("staging")).unwrap();
    }),
    case("missing date", Kind::Missing, "bucket/created", |root| {
        fs::remove_file(root.join("buckets/bucket/created")).unwrap();
    })
    .left(),
    case("no date", Kind::Damaged, "bucket/created", |root| {
        fs::write(root.join("buckets/bucket/created"), "yesterday").unwrap();
    })
    .left(),
];

fn inside(tree: &Tree, from: &Path, without: &Path) -> Vec<Vec<u8>> {
    let files = tree
        .iter()
        .filter(|(path, _)| path.starts_with(from) && !path.starts_with(without));
    files.filter_map(|(_, bytes)| bytes.clone()).collect()
}

async fn run(case: &Case) {
    let directory = in_memory();
    let (root, name) = (directory.path(), case.name);
    let held = furnished(root).await;
    (case.damage)(root);
    let before = tree(root);

    let (summary, found) = check(root, false);
    assert_eq!(tree(root), before, "{name}: changed");
    assert_eq!(summary.verdict(), Verdict::Problems, "{name}: {found:?}");
    let fits = |p: &Problem| p.kind == case.kind && p.path.contains(case.path) && !p.repaired;
    assert!(found.iter().any(fits), "{name}: {found:?}");
    // What is damaged of one multipart object is told of its file, its parts, or both.
    let of_one = |p: &Problem| p.path.contains("parts/") || p.path.contains("m/o@");
    let expected = |p: &Problem| fits(p) || case.lost == ["m/o"] && of_one(p);
    let nested = |p: &Problem| p.kind == Kind::Leftover && p.path.contains("objects/y");
    let all = found.iter().all(|p| expected(p) || nested(p));
    assert!(all, "{name}: {found:?}");

    let (summary, found) = check(root, true);
    let wanted = match case.mended {
        true => Verdict::Sound,
        false => Verdict::Problems,
    };
    assert_eq!(summary.verdict(), wanted, "{name}: {found:?}");
    let (summary, found) = check(root, false);
    assert_eq!(summary.verdict(), wanted, "{name}: again: {found:?}");

    // Nothing but leftovers is gone: every file's bytes are where they were, or aside.
    let after = tree(root);
    let mut there = inside(&after, root, Path::new("/nowhere"));
    let mut gone = Vec::new();
    for bytes in inside(&before, root, Path::new("/nowhere")) {
        match there.iter().position(|other| *other == bytes) {
            Some(at) => drop(there.swap_remove(at)),
            None => gone.push(bytes),
        }
    }
    assert!(
        gone.is_empty() || case.kind == Kind::Leftover,
        "{name}: {}",
        gone.len()
    );

    let disk = open_at(root, Durability::Relaxed);
    for (key, body) in &held {
        match get(&disk, key).await {
            Ok((_, bytes)) => assert_eq!(&bytes, body, "{name}: {key}"),
            Err(_) => assert!(case.lost.contains(&key.as_str()), "{name}: {key} is lost"),
        }
    }
}

#[tokio::test]
async fn t75_every_damage_is_found_and_repaired_without_losing_a_byte() {
    for case in CASES {
        run(case).await;
    }
}

#[tokio::test]
async fn a_sound_store_is_sound_and_stays_as_it_is() {
    let directory = in_memory();
    let held = furnished(directory.path()).await;
    let before = tree(directory.path());
    for repair in [false, true] {
        let mut heard = Heard(Vec::new(), Some(0));
        let summary = fsck(directory.path(), repair, &mut heard).unwrap();
        assert_eq!(heard.0, []);
        let files = before.iter().filter(|(path, _)| {
            let path = path.to_string_lossy();
            ["/objects/", "/parts/", "/uploads/"]
                .iter()
                .any(|name| path.contains(name))
        });
        let sizes = files.filter_map(|(_, bytes)| Some(bytes.as_ref()?.len() as u64));
        assert_eq!(heard.1, Some(sizes.sum()));
        assert_eq!(summary.verdict(), Verdict::Sound);
        assert_eq!(summary.objects, held.len() as u64);
        assert_eq!((summary.buckets, summary.uploads, summary.parts), (1, 1, 3));
        let bytes: usize = held.values().map(Vec::len).sum();
        assert_eq!(summary.bytes, (bytes + b"not yet".len()) as u64);
        assert_eq!(tree(directory.path()), before);
    }
}

/// Every byte of an object's file and of a part's.
#[tokio::test]
async fn t75_no_flipped_or_missing_byte_passes() {
    let directory = in_memory();
    let disk = fresh(directory.path(), Durability::Relaxed).await;
    put(&disk, "k", &[7; 300]).await.unwrap();
    let (id, part) = upload(&disk, "m", &[8; 50]).await;
    complete(&disk, "m", &id, part).await;
    drop(disk);
    let files = [
        object_file(directory.path(), "k@"),
        object_file(directory.path(), "m@"),
        parts_of(directory.path(), false).join("1"),
    ];
    for file in files {
        let sound = fs::read(&file).unwrap();
        for at in 0..sound.len() {
            let mut flipped = sound.clone();
            flipped[at] ^= 1;
            for damaged in [&flipped, &sound[..at]] {
                fs::write(&file, damaged).unwrap();
                let (summary, found) = check(directory.path(), false);
                assert_eq!(
                    summary.verdict(),
                    Verdict::Problems,
                    "{} {at}",
                    file.display()
                );
                assert!(found.iter().all(|p| p.kind == Kind::Damaged), "{found:?}");
            }
        }
        fs::write(&file, &sound).unwrap();
        assert_eq!(check(directory.path(), false).0.verdict(), Verdict::Sound);
    }
}

#[tokio::test]
async fn a_completed_upload_is_ended() {
    let directory = in_memory();
    let root = directory.path();
    let disk = fresh(root, Durability::Relaxed).await;
    let (id, part) = upload(&disk, "m", b"body").await;
    let (kept, there) = (
        root.join("kept"),
        root.join("buckets/bucket/uploads").join(&id),
    );
    fs::create_dir(&kept).unwrap();
    for name in ["upload", "1"] {
        fs::hard_link(there.join(name), kept.join(name)).unwrap();
    }
    complete(&disk, "m", &id, part).await;
    drop(disk);
    // The crash came before the upload was removed.
    fs::rename(&kept, &there).unwrap();
    let (_, found) = check(root, false);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].kind, found[0].key.as_deref()),
        (Kind::Leftover, Some("m"))
    );
    assert!(there.exists());
    assert_eq!(check(root, true).0.verdict(), Verdict::Sound);
    assert!(!there.exists());
    let disk = open_at(root, Durability::Relaxed);
    assert_eq!(get(&disk, "m").await.unwrap().1, b"body");
}

/// Where objects are missing, nothing proves that their parts are garbage: neither now nor at the next
/// start.
#[tokio::test]
async fn parts_stay_when_their_objects_are_not_known() {
    let directory = in_memory();
    let root = directory.path();
    let held = furnished(root).await;
    let (objects, parts) = (
        root.join("buckets/bucket/objects"),
        root.join("buckets/bucket/parts"),
    );
    let aside = root.join("damaged");
    fs::rename(&objects, &aside).unwrap();
    let count = || fs::read_dir(&parts).unwrap().count();
    assert_eq!(count(), 2);
    let (summary, found) = check(root, true);
    assert_eq!(summary.verdict(), Verdict::Problems);
    assert!(
        found.iter().any(|p| p.kind == Kind::Missing && !p.repaired),
        "{found:?}"
    );
    open_at(root, Durability::Relaxed).wait_for_collector();
    assert_eq!(count(), 2);
    fs::rename(&aside, &objects).unwrap();
    let disk = open_at(root, Durability::Relaxed);
    for (key, body) in &held {
        assert_eq!(&get(&disk, key).await.unwrap().1, body);
    }
}

/// A bucket that lost its objects, and has nothing in `parts`, is told of while that can be seen.
#[tokio::test]
async fn a_bucket_without_objects_is_told_and_made_whole() {
    let directory = in_memory();
    let root = directory.path();
    drop(fresh(root, Durability::Relaxed).await);
    fs::remove_dir(root.join("buckets/bucket/objects")).unwrap();
    for repair in [false, true] {
        let (_, found) = check(root, repair);
        let told: Vec<_> = found
            .iter()
            .map(|p| (p.kind, p.path.as_str(), p.repaired))
            .collect();
        assert_eq!(told, [(Kind::Missing, "buckets/bucket/objects", repair)]);
    }
    assert_eq!(check(root, false).0.verdict(), Verdict::Sound);
}

#[tokio::test]
async fn what_is_served_or_is_no_store_is_refused_and_left_as_it_is() {
    let refused = |path: &Path| fsck(path, true, &mut Heard::default()).unwrap_err();
    let directory = in_memory();
    let disk = fresh(directory.path(), Durability::Relaxed).await;
    disk.wait_for_collector();
    let before = tree(directory.path());
    assert_eq!(
        refused(directory.path()).kind(),
        std::io::ErrorKind::ResourceBusy
    );
    assert_eq!(tree(directory.path()), before);
    drop(disk);
    fs::write(directory.path().join("format"), "portcullis-disk 2\n").unwrap();
    assert!(
        refused(directory.path())
            .to_string()
            .contains("earlier format")
    );

    let other = tempfile::tempdir().unwrap();
    refused(other.path());
    fs::write(other.path().join("mine"), "x").unwrap();
    refused(other.path());
    assert_eq!(tree(other.path()).len(), 1);
    let nowhere = other.path().join("nowhere");
    refused(&nowhere);
    assert!(!nowhere.exists());
}
