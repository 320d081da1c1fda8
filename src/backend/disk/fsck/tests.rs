//! What is sound is called so; leftovers go, what proves nothing stays; what is served is left alone.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::Path;

use super::fixtures::{Heard, check, furnished, tree};
use super::*;
use crate::backend::disk::Durability;
use crate::backend::disk::fixtures::{complete, directory, fresh, get, open_at, upload};

#[tokio::test]
async fn a_sound_store_is_sound_and_stays_as_it_is() {
    let directory = directory();
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

#[tokio::test]
async fn a_completed_upload_is_ended() {
    let directory = directory();
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
    let directory = directory();
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
    let directory = directory();
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
    let directory = directory();
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
