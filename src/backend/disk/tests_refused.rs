//! What may not be read just now, or has strayed, is never taken for nothing: no key is missing from a page,
//! no bucket and no part goes, and nothing of it is remembered.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::faults::injected::{Plan, Rule, follow};
use super::fixtures::{
    bucket, complete, directory, fresh, get, listing, object_file, open_at, put, upload,
};
use super::*;

/// Gives a tree to another user, as far as the one who tests may.
fn give_away(path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    lchown(path, Some(1000), Some(1000)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

/// Runs `work` on this thread, its `nth` open failing; answers how many opens there were as well.
fn with_open_failing<T>(nth: usize, errno: Errno, work: impl FnOnce() -> T) -> (T, usize) {
    let plan = Arc::new(Plan::default());
    plan.set(Some(Rule {
        call: "open",
        nth,
        lasting: false,
        errno,
    }));
    follow(Some(plan.clone()));
    let outcome = work();
    follow(None);
    (outcome, plan.made().get("open").copied().unwrap_or(0))
}

fn keys(disk: &Disk, prefix: &str, delimiter: Option<&str>) -> Result<Vec<String>, Error> {
    let page = list::objects(&disk.store, &listing(prefix, delimiter, 1000))?;
    let keys = page.objects.into_iter().map(|object| object.key);
    Ok(keys.chain(page.common_prefixes).collect())
}

/// Something that is asked, and what there is to be told.
type Ask = (
    &'static str,
    fn(&Disk) -> Result<Vec<String>, Error>,
    &'static [&'static str],
);

const ASKS: [Ask; 4] = [
    (
        "list objects",
        |disk| keys(disk, "", None),
        &["a", "docs/deep/y", "docs/x", "film"],
    ),
    (
        "list prefixes",
        |disk| keys(disk, "", Some("/")),
        &["a", "film", "docs/"],
    ),
    (
        "list buckets",
        |disk| {
            let buckets = disk.store.buckets()?;
            Ok(buckets.into_iter().map(|b| b.to_string()).collect())
        },
        &["bucket"],
    ),
    (
        "delete the bucket",
        |disk| match disk.store.delete_bucket(&bucket()) {
            Err(error) if error.code() == ErrorCode::BucketNotEmpty => Ok(Vec::new()),
            other => other.map(|()| vec!["it is gone".to_owned()]),
        },
        &[],
    ),
];

#[tokio::test]
async fn t72_what_may_not_be_opened_is_never_taken_for_nothing() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    for key in ["a", "docs/x", "docs/deep/y"] {
        put(&disk, key, b"kept").await.unwrap();
    }
    let (id, part) = upload(&disk, "film", b"of parts").await;
    complete(&disk, "film", &id, part).await;
    drop(disk);
    give_away(root.path());
    for (what, ask, told) in ASKS {
        for errno in [Errno::ACCESS, Errno::PERM] {
            let disk = open_at(root.path(), Durability::Relaxed);
            let (_, opens) = with_open_failing(usize::MAX, errno, || ask(&disk));
            assert!(opens > 0, "{what}");
            drop(disk);
            for nth in 0..opens {
                let disk = open_at(root.path(), Durability::Relaxed);
                disk.wait_for_collector();
                let (outcome, _) = with_open_failing(nth, errno, || ask(&disk));
                let context = format!("{what}: {errno} at {nth}");
                match outcome {
                    Ok(answer) => assert_eq!(answer, told, "{context}"),
                    Err(error) => {
                        let code = error.code();
                        assert_eq!(code, ErrorCode::ServiceUnavailable, "{context}: {error}");
                    }
                }
                assert_eq!(disk.faults().foreign_count(), 0, "{context}");
                assert_eq!(ask(&disk).unwrap(), told, "{context}: afterwards");
            }
        }
    }
    let disk = open_at(root.path(), Durability::Relaxed);
    assert_eq!(get(&disk, "film").await.unwrap().1, b"of parts");
}

/// A directory that stays closed is named once; what is beside it is told.
#[tokio::test]
async fn t72_a_closed_directory_is_named_once_and_hides_no_other() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    for key in ["docs/x", "other/y"] {
        put(&disk, key, b"kept").await.unwrap();
    }
    drop(disk);
    let disk = open_at(root.path(), Durability::Relaxed);
    disk.wait_for_collector();
    assert_eq!(keys(&disk, "other/", None).unwrap(), ["other/y"]);
    for _ in 0..3 {
        // The bucket is opened, and then the directory: the names above it are remembered.
        let (page, _) = with_open_failing(1, Errno::ACCESS, || keys(&disk, "docs/", None));
        assert_eq!(page.unwrap_err().code(), ErrorCode::ServiceUnavailable);
        assert_eq!(keys(&disk, "other/", None).unwrap(), ["other/y"]);
    }
    let found = disk.faults().take();
    let told: Vec<_> = found.iter().map(|f| (f.kind, f.path.as_str())).collect();
    assert_eq!(told, [("unreadable", "buckets/bucket/objects/docs")]);
    assert_eq!(keys(&disk, "", None).unwrap(), ["docs/x", "other/y"]);
}

/// A bucket without objects goes whole, or is refused and stays whole.
#[tokio::test]
async fn t72_a_bucket_goes_only_when_all_of_it_can_be_looked_into() {
    let mut refused = 0;
    for nth in 0..40 {
        let root = directory();
        let disk = fresh(root.path(), Durability::Relaxed).await;
        let (id, part) = upload(&disk, "k", b"part").await;
        give_away(root.path());
        let delete = || disk.store.delete_bucket(&bucket());
        let (outcome, opens) = with_open_failing(nth, Errno::ACCESS, delete);
        assert!(opens < 40);
        if let Err(error) = outcome {
            assert_eq!(error.code(), ErrorCode::ServiceUnavailable, "{nth}");
            complete(&disk, "k", &id, part).await;
            assert_eq!(get(&disk, "k").await.unwrap().1, b"part");
            refused += 1;
        }
    }
    // The bucket, `buckets`, `objects`, `uploads`, the upload in it, `parts`, `tmp`, and what lists them.
    assert!(refused >= 7, "{refused}");
}

fn only_below(path: &Path) -> PathBuf {
    let mut all = fs::read_dir(path).unwrap();
    let first = all.next().unwrap().unwrap().path();
    assert!(all.next().is_none(), "{}", path.display());
    first
}

/// What stands for a directory proves nothing of the parts that objects behind it name.
#[tokio::test]
async fn t72_parts_outlive_their_bucket_while_something_stands_for_a_directory() {
    let (root, outside) = (directory(), directory());
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, part) = upload(&disk, "docs/film", b"of parts").await;
    complete(&disk, "docs/film", &id, part).await;
    let (docs, elsewhere) = (
        object_file(root.path(), "docs"),
        outside.path().join("docs"),
    );
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(docs.join("film@"), elsewhere.join("film@")).unwrap();
    fs::remove_dir_all(&docs).unwrap();
    symlink(&elsewhere, &docs).unwrap();
    disk.store.delete_bucket(&bucket()).unwrap();
    assert_eq!(
        keys(&disk, "", None).unwrap_err().code(),
        ErrorCode::NoSuchBucket
    );
    let kept = only_below(&root.path().join("foreign"));
    assert!(kept.join("objects/docs").is_symlink());
    let part = only_below(&only_below(&kept.join("parts")));
    assert!(fs::read(part).unwrap().starts_with(b"of parts"));
    drop(disk);
    open_at(root.path(), Durability::Relaxed).wait_for_collector();
    assert!(kept.join("parts").is_dir());
}

/// An object's file that somebody renamed keeps its parts until it is brought back, or removed.
#[tokio::test]
async fn t72_parts_stay_while_a_file_at_another_place_names_them() {
    for name in ["moved@", "k.bak", "d"] {
        let root = directory();
        let disk = fresh(root.path(), Durability::Relaxed).await;
        let (id, part) = upload(&disk, "k", b"of parts").await;
        complete(&disk, "k", &id, part).await;
        drop(disk);
        let (at, moved) = (
            object_file(root.path(), "k@"),
            object_file(root.path(), name),
        );
        fs::rename(&at, &moved).unwrap();
        open_at(root.path(), Durability::Relaxed).wait_for_collector();
        fs::rename(&moved, &at).unwrap();
        let disk = open_at(root.path(), Durability::Relaxed);
        assert_eq!(get(&disk, "k").await.unwrap().1, b"of parts", "{name}");
        drop(disk);
        // Without it they are nobody's.
        fs::remove_file(&at).unwrap();
        open_at(root.path(), Durability::Relaxed).wait_for_collector();
        let parts = root.path().join("buckets/bucket/parts");
        assert_eq!(fs::read_dir(parts).unwrap().count(), 0, "{name}");
    }
}
