//! Faults of the store, each as the test that shows it: crash states, races and planted links.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;

use time::OffsetDateTime;

use super::fixtures::{
    completion, config, delete, fresh, get, listing_uploads, md5, object_file, only_part, open_at,
    put, send_part, upload,
};
use super::*;
use crate::authz::Granted;
use crate::backend::Backend;

/// T70: a directory of the store replaced by a link; nothing behind it may be touched.
#[tokio::test]
async fn t70_a_planted_link_takes_no_file_outside_with_it() {
    let mut followed = Vec::new();
    for planted in ["buckets/bucket/tmp", "buckets/bucket/parts", "staging"] {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(fresh(root.path(), Durability::Relaxed).await);
        std::fs::create_dir(outside.path().join("d")).unwrap();
        std::fs::write(outside.path().join("d/precious"), "p").unwrap();
        let at = root.path().join(planted);
        std::fs::remove_dir(&at).unwrap();
        symlink(outside.path(), &at).unwrap();
        drop(Disk::open(&config(
            root.path(),
            Durability::Relaxed,
            16 << 20,
        )));
        if !outside.path().join("d/precious").exists() {
            followed.push(planted);
        }
    }
    assert!(
        followed.is_empty(),
        "followed, and files outside removed: {followed:?}"
    );
}

/// T70: links in the place of an object are no object.
#[tokio::test]
async fn t70_only_regular_files_are_served() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    put(&disk, "k", b"b").await.unwrap();
    symlink("k@", object_file(root.path(), "link@")).unwrap();
    symlink(".", object_file(root.path(), "d")).unwrap();
    for key in ["link", "d/k"] {
        assert!(get(&disk, key).await.is_err(), "{key}");
    }
}

/// T75: what is damaged can be replaced and removed.
#[tokio::test]
async fn t75_a_damaged_object_can_be_overwritten_and_deleted() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let mut failed = Vec::new();
    for key in ["a", "b"] {
        put(&disk, key, b"old").await.unwrap();
        std::fs::write(object_file(root.path(), &format!("{key}@")), "damage").unwrap();
    }
    failed.extend(put(&disk, "a", b"new").await.err());
    failed.extend(delete(&disk, "b").await.err());
    assert!(failed.is_empty(), "{failed:?}");
}

/// T72: killed between making an upload's record and writing it.
#[tokio::test]
async fn t72_a_torn_upload_hides_no_other() {
    let root = tempfile::tempdir().unwrap();
    drop(fresh(root.path(), Durability::Relaxed).await);
    let torn = root
        .path()
        .join("buckets/bucket/uploads")
        .join("0".repeat(32));
    std::fs::create_dir(&torn).unwrap();
    std::fs::write(torn.join("upload"), "").unwrap();
    let disk = open_at(root.path(), Durability::Relaxed);
    let (id, _) = upload(&disk, "k", b"first").await;
    let call = listing_uploads("", None, 10);
    let page = disk
        .list_multipart_uploads(Granted::for_test(&call))
        .await
        .unwrap();
    assert_eq!(page.uploads.len(), 1);
    assert_eq!(page.uploads.first().unwrap().upload_id, id);
}

/// T76: a part replaced between the look at it and its taking.
#[tokio::test]
async fn t76_bytes_and_tag_of_a_multipart_object_belong_together() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, first) = upload(&disk, "k", b"first").await;
    let call = completion("k", &id);
    let named = only_part(&first);
    let now = OffsetDateTime::now_utc();
    let (record, _) = complete::assemble(&disk.store, &call, &named, now).unwrap();
    send_part(&disk, "k", &id, b"other").await.unwrap();
    if complete::complete(&disk.store, &call, &named, &record, |_| Ok(())).is_ok() {
        // An error in place of the bytes would do; other bytes under the first part's tag do not.
        if let Ok((tag, bytes)) = get(&disk, "k").await {
            let parts_tag = md5(&hex::decode(md5(&bytes)).unwrap());
            assert_eq!(tag, format!("{parts_tag}-1"), "served {bytes:?}");
        }
    }
}

/// T72: what is left of an upload that had been completed goes at the next start.
#[tokio::test]
async fn t72_a_completed_upload_does_not_outlive_a_crash() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, first) = upload(&disk, "k", b"first").await;
    let kept = root.path().join("kept");
    let upload = root.path().join("buckets/bucket/uploads").join(&id);
    std::fs::create_dir(&kept).unwrap();
    for entry in std::fs::read_dir(&upload).unwrap().flatten() {
        std::fs::hard_link(entry.path(), kept.join(entry.file_name())).unwrap();
    }
    let named = only_part(&first);
    let call = completion("k", &id);
    let granted = Granted::for_test(&call);
    disk.complete_multipart_upload(granted, &named)
        .await
        .unwrap();
    drop(disk);
    // The crash came before the upload was removed.
    std::fs::rename(&kept, &upload).unwrap();
    open_at(root.path(), Durability::Relaxed).wait_for_collector();
    assert!(!upload.exists(), "the completed upload is still there");
}

/// T75: a file that strayed into a directory of parts takes no object's parts with it.
#[tokio::test]
async fn t75_a_stray_part_does_not_doom_the_others() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, first) = upload(&disk, "k", b"first").await;
    let named = only_part(&first);
    let call = completion("k", &id);
    let completed = disk.complete_multipart_upload(Granted::for_test(&call), &named);
    completed.await.unwrap();
    put(&disk, "other", b"other").await.unwrap();
    let mut parts = std::fs::read_dir(root.path().join("buckets/bucket/parts")).unwrap();
    let parts = parts.next().unwrap().unwrap().path();
    // Whichever of them is listed first.
    for number in ["0", "2", "3", "7", "9"] {
        std::fs::copy(object_file(root.path(), "other@"), parts.join(number)).unwrap();
    }
    drop(disk);
    let disk = open_at(root.path(), Durability::Relaxed);
    disk.wait_for_collector();
    assert_eq!(get(&disk, "k").await.unwrap().1, b"first");
}
