//! Faults of the store, each as the test that shows it: crash states, races and planted links.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;

use time::OffsetDateTime;

use super::fixtures::{
    complete as complete_upload, completion, config, delete, fresh, get, listing_uploads, md5,
    object_file, on, only_part, open_at, put, send_part, upload,
};
use super::*;
use crate::authz::Granted;
use crate::backend::Backend;
use crate::s3::call::ListBuckets;

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

/// T75: no page could tell of an upload that has lost its key, so none is told without it; whoever is told
/// its id can end it, and what is left of it is kept.
#[tokio::test]
async fn t75_an_upload_that_lost_its_record_fails_its_page_until_it_is_aborted() {
    for torn in [Some("{"), Some(""), None] {
        let root = tempfile::tempdir().unwrap();
        let disk = fresh(root.path(), Durability::Relaxed).await;
        let (id, _) = upload(&disk, "k", b"first").await;
        let (lost, _) = upload(&disk, "lost", b"bytes of the lost").await;
        drop(disk);
        let record = root.path().join("buckets/bucket/uploads").join(&lost);
        let record = record.join("upload");
        match torn {
            Some(text) => std::fs::write(record, text).unwrap(),
            None => std::fs::remove_file(record).unwrap(),
        }
        let disk = open_at(root.path(), Durability::Relaxed);
        let call = listing_uploads("", None, 10);
        for _ in 0..2 {
            let page = disk.list_multipart_uploads(Granted::for_test(&call));
            let error = page.await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InternalError);
            assert!(error.message().contains(&lost), "{error}");
        }
        let told = disk.faults().take();
        assert!(
            told.iter()
                .any(|f| f.kind == "damaged" && f.path.contains(&lost))
        );
        // Nobody can know its key.
        let ended = on("whatever", &lost);
        disk.abort_multipart_upload(Granted::for_test(&ended))
            .await
            .unwrap();
        let page = disk.list_multipart_uploads(Granted::for_test(&call));
        let page = page.await.unwrap();
        let told: Vec<_> = page.uploads.iter().map(|u| &u.upload_id).collect();
        assert_eq!(told, [&id]);
        let kept = root.path().join("foreign").join(&lost).join("1");
        assert!(kept.is_file());
        let again = disk.abort_multipart_upload(Granted::for_test(&ended));
        assert_eq!(again.await.unwrap_err().code(), ErrorCode::NoSuchUpload);
        // One that is sound is ended by its key alone.
        let other = on("whatever", &id);
        let other = disk.abort_multipart_upload(Granted::for_test(&other));
        assert_eq!(other.await.unwrap_err().code(), ErrorCode::NoSuchUpload);
    }
}

/// T75: a part is told as an object is, by its name and its file.
#[tokio::test]
async fn t75_a_damaged_part_is_listed_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, _) = upload(&disk, "k", b"first").await;
    let part = root.path().join("buckets/bucket/uploads").join(&id);
    std::fs::write(part.join("1"), "damage").unwrap();
    let call = crate::s3::call::ListParts {
        upload: on("k", &id),
        max_parts: 10,
        after: 0,
        url_encoded: false,
    };
    let page = disk.list_parts(Granted::for_test(&call)).await.unwrap();
    let told: Vec<_> = page
        .parts
        .iter()
        .map(|p| (p.part_number, p.size, p.etag.0.as_str()))
        .collect();
    assert_eq!(told, [(1, 6, "damaged")]);
    assert!(disk.faults().damaged_count() > 0);
    // Whoever takes the tag at its word makes no object of it.
    let named = [crate::backend::CompletedPart {
        part_number: 1,
        etag: page.parts.first().unwrap().etag.clone(),
        checksum: None,
    }];
    let call = completion("k", &id);
    let completed = disk.complete_multipart_upload(Granted::for_test(&call), &named);
    assert!(completed.await.is_err());
}

/// T75: a bucket that lost its objects is told of, as one that is damaged; what has nothing of a bucket is none.
#[tokio::test]
async fn t75_a_bucket_that_lost_its_objects_is_listed_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let (id, part) = upload(&disk, "k", b"of parts").await;
    complete_upload(&disk, "k", &id, part).await;
    drop(disk);
    std::fs::create_dir(root.path().join("buckets/theirs")).unwrap();
    std::fs::remove_dir_all(root.path().join("buckets/bucket/objects")).unwrap();
    let disk = open_at(root.path(), Durability::Relaxed);
    disk.wait_for_collector();
    let call = ListBuckets::default();
    let told = disk.list_buckets(Granted::for_test(&call)).await.unwrap();
    let told: Vec<_> = told.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(told, ["bucket"]);
    let found = disk.faults().take();
    let is = |kind: &str, path: &str| found.iter().any(|f| f.kind == kind && f.path == path);
    assert!(is("damaged", "buckets/bucket/objects"), "{found:?}");
    assert!(is("foreign", "buckets/theirs"), "{found:?}");
    // Nothing of it is garbage for that.
    let parts = root.path().join("buckets/bucket/parts");
    assert_eq!(std::fs::read_dir(parts).unwrap().count(), 1);
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
