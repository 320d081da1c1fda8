//! Each kind of damage is found and nothing is changed; repaired, the store is sound and serves.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::fixtures::{Tree, check, furnished, parts_of, tree};
use super::*;
use crate::backend::disk::Durability;
use crate::backend::disk::fixtures::{
    complete, directory, fresh, get, object_file, open_at, put, upload,
};

fn only(directory: &Path) -> PathBuf {
    let mut all: Vec<_> = fs::read_dir(directory).unwrap().collect();
    assert_eq!(all.len(), 1);
    all.pop().unwrap().unwrap().path()
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
    let directory = directory();
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

/// Every byte of an object's file and of a part's.
#[tokio::test]
async fn t75_no_flipped_or_missing_byte_passes() {
    let directory = directory();
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
