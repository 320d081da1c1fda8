//! What a failed or unfinished `fsync` left is made durable by whoever tells of it next, or builds on it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use time::OffsetDateTime;

use super::faults::injected::{Plan, Rule, follow};
use super::fixtures::{
    bucket, complete, completion, directory, fresh, get, object_file, only_part, open_at, put,
    upload,
};
use super::store::Place;
use super::*;
use crate::s3::call::OnUpload;

/// Runs `work` on this thread; from the `nth` on, syncs fail.
fn with_syncs_failing<T>(
    nth: usize,
    work: impl FnOnce() -> T,
) -> (T, BTreeMap<&'static str, usize>) {
    let plan = Arc::new(Plan::default());
    plan.set(Some(Rule {
        call: "fsync",
        nth,
        lasting: true,
        errno: Errno::IO,
    }));
    follow(Some(plan.clone()));
    let outcome = work();
    follow(None);
    (outcome, plan.made())
}

/// How many syncs `work` makes.
fn syncs(work: impl FnOnce() -> Result<(), Error>) -> usize {
    let (outcome, made) = with_syncs_failing(usize::MAX, work);
    outcome.unwrap();
    made.get("fsync").copied().unwrap_or(0)
}

/// Each sync that `work` makes when it goes well fails once, with those behind it: then it fails as well.
fn needs_each_sync(of: usize, mut work: impl FnMut() -> Result<(), Error>) {
    for nth in 0..of {
        let (outcome, _) = with_syncs_failing(nth, &mut work);
        let code = outcome.map_err(|error| error.code());
        assert_eq!(code, Err(ErrorCode::ServiceUnavailable), "{nth}");
    }
    assert_eq!(syncs(&mut work), of);
}

#[tokio::test]
async fn t73_who_first_writes_makes_the_bucket_durable() {
    let root = directory();
    let disk = open_at(root.path(), Durability::Strict);
    let made = |disk: &Disk| {
        disk.store
            .create_bucket(&bucket(), OffsetDateTime::now_utc())
    };
    let staged = syncs(|| {
        disk.store
            .create_bucket(&bucket(), OffsetDateTime::now_utc())
    });
    disk.store.delete_bucket(&bucket()).unwrap();
    // The last one is that of `buckets`.
    let (outcome, _) = with_syncs_failing(staged - 1, || made(&disk));
    assert_eq!(outcome.unwrap_err().code(), ErrorCode::ServiceUnavailable);
    // It is there, though.
    let (again, _) = with_syncs_failing(staged - 2, || made(&disk));
    assert_eq!(again.unwrap_err().code(), ErrorCode::ServiceUnavailable);
    let (place, store) = (Place::of(&bucket(), "k"), disk.store.clone());
    // `objects`, `uploads`, the bucket, `buckets`.
    needs_each_sync(4, || store.make_durable(&place));
    assert_eq!(syncs(|| store.make_durable(&place)), 1);
    drop((store, disk));
    // Whoever made it may have been killed.
    let disk = open_at(root.path(), Durability::Strict);
    assert_eq!(syncs(|| disk.store.make_durable(&place)), 4);
}

/// Who opened an upload in a bucket that was removed meanwhile leaves nothing durable for the next one.
#[tokio::test]
async fn t73_a_bucket_that_is_gone_is_not_durable() {
    let root = directory();
    let disk = open_at(root.path(), Durability::Strict);
    let create = || {
        disk.store
            .create_bucket(&bucket(), OffsetDateTime::now_utc())
    };
    let staged = syncs(create);
    disk.store.delete_bucket(&bucket()).unwrap();
    disk.store.make_bucket_durable(&bucket()).unwrap();
    let (outcome, _) = with_syncs_failing(staged - 1, create);
    assert_eq!(outcome.unwrap_err().code(), ErrorCode::ServiceUnavailable);
    let place = Place::of(&bucket(), "k");
    needs_each_sync(4, || disk.store.make_durable(&place));
}

/// A directory that was missing, and was made again.
#[tokio::test]
async fn t73_a_directory_that_was_made_again_is_made_durable_by_who_finds_it() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Strict).await;
    put(&disk, "k", b"kept").await.unwrap();
    fs::remove_dir(root.path().join("buckets/bucket/parts")).unwrap();
    let inside = || disk.store.inside(&bucket(), "parts").map(drop);
    let (outcome, _) = with_syncs_failing(0, inside);
    assert_eq!(outcome.unwrap_err().code(), ErrorCode::ServiceUnavailable);
    let place = Place::of(&bucket(), "k");
    needs_each_sync(4, || disk.store.make_durable(&place));
}

/// Keeps what completing an upload removes, and answers how to bring it back.
fn keep(root: &Path, id: &str) -> (PathBuf, PathBuf) {
    let upload = root.join("buckets/bucket/uploads").join(id);
    let kept = root.join("kept");
    fs::create_dir(&kept).unwrap();
    for entry in fs::read_dir(&upload).unwrap() {
        let entry = entry.unwrap();
        fs::hard_link(entry.path(), kept.join(entry.file_name())).unwrap();
    }
    (kept, upload)
}

#[tokio::test]
async fn t73_completing_again_makes_durable_what_it_answers() {
    let root = directory();
    // Nothing of it is durable.
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, part) = upload(&disk, "d/k", b"part").await;
    let named = only_part(&part);
    complete(&disk, "d/k", &id, part).await;
    drop(disk);
    let disk = open_at(root.path(), Durability::Strict);
    disk.wait_for_collector();
    let call = completion("d/k", &id);
    // `d`, and above it what the bucket has.
    needs_each_sync(5, || complete::once(&disk.store, &call, &named).map(drop));
}

/// An upload that was completed goes once its object is durable: without either its parts would be lost.
#[tokio::test]
async fn t73_a_completed_upload_stays_until_its_object_is_durable() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, part) = upload(&disk, "k", b"part").await;
    let (kept, upload) = keep(root.path(), &id);
    complete(&disk, "k", &id, part).await;
    drop(disk);
    fs::rename(kept, &upload).unwrap();
    let disk = open_at(root.path(), Durability::Strict);
    disk.wait_for_collector();
    assert!(!upload.exists());
    let record = get(&disk, "k").await.unwrap();
    assert_eq!(record.1, b"part");
    drop(disk);
    // The same while nothing can be made durable.
    fs::create_dir(&upload).unwrap();
    let completed = OnUpload {
        bucket: bucket(),
        key: crate::s3::ObjectKey::parse("k").unwrap(),
        upload_id: id,
    };
    let disk = open_at(root.path(), Durability::Strict);
    let (outcome, _) = with_syncs_failing(0, || collect::remove_completed(&disk.store, &completed));
    assert_eq!(outcome.unwrap_err().code(), ErrorCode::ServiceUnavailable);
    assert!(upload.exists());
}

/// Parts go once what replaced their object is durable.
#[tokio::test]
async fn t73_parts_stay_until_what_replaced_their_object_is_durable() {
    for replaced in [true, false] {
        let root = directory();
        let disk = fresh(root.path(), Durability::Relaxed).await;
        let (id, part) = upload(&disk, "d/k", b"part").await;
        complete(&disk, "d/k", &id, part).await;
        put(&disk, "d/other", b"kept").await.unwrap();
        let disk = {
            drop(disk);
            // By who was killed before that was durable.
            let at = object_file(root.path(), "d/k@");
            match replaced {
                true => {
                    let disk = open_at(root.path(), Durability::Relaxed);
                    disk.wait_for_collector();
                    let parts = root.path().join("buckets/bucket/parts");
                    let aside = root.path().join("aside");
                    fs::rename(&parts, &aside).unwrap();
                    put(&disk, "d/k", b"new").await.unwrap();
                    drop(disk);
                    fs::remove_dir(&parts).ok();
                    fs::rename(&aside, &parts).unwrap();
                }
                false => fs::remove_file(&at).unwrap(),
            }
            let config = fixtures::config(root.path(), Durability::Strict, 16 << 20);
            let (store, lock) = open::open(&config).unwrap();
            (store, lock)
        };
        let parts = fs::read_dir(root.path().join("buckets/bucket/parts")).unwrap();
        let name = parts.last().unwrap().unwrap().file_name();
        let name = name.into_string().unwrap();
        let collect = || collect::collect_directory(&disk.0, &bucket(), &name);
        needs_each_sync_of_parts(root.path(), &name, collect);
    }
}

fn needs_each_sync_of_parts(root: &Path, name: &str, collect: impl Fn() -> Result<(), Error>) {
    let parts = root.join("buckets/bucket/parts").join(name);
    for nth in 0..5 {
        let (outcome, _) = with_syncs_failing(nth, &collect);
        assert_eq!(
            outcome.unwrap_err().code(),
            ErrorCode::ServiceUnavailable,
            "{nth}"
        );
        assert!(parts.exists(), "{nth}");
    }
    collect().unwrap();
    assert!(!parts.exists());
}
