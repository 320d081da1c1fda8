//! Tags: kept with their object, old and new records, and who writes while tags are written.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use super::fixtures::{
    bucket, complete, delete, fresh, get, object, object_file, open_at, opening, put, send_part,
};
use super::record::Record;
use super::store::Place;
use super::*;
use crate::authz::{AsDecided, Granted};
use crate::backend::Backend;
use crate::s3::call::{CopyObject, CopySource, CreateMultipartUpload, OnObject, ReadObject};
use crate::s3::{ETag, ObjectKey, ReadConditions, TagSet, WriteConditions};

/// Larger than what is written anew with its tags.
const LARGE: usize = 3 * 1024 * 1024 + 17;

fn tags(query: &str) -> TagSet {
    TagSet::from_query(query).unwrap()
}

async fn tag(disk: &Disk, key: &str, query: &str) -> Result<(), Error> {
    let (call, tags) = (object(key), tags(query));
    let put = disk.put_object_tagging(Granted::for_test(&call), &tags);
    put.await.map(drop)
}

/// What is decided by the tags of an object is done to that object, small or large.
#[tokio::test]
async fn t40_tags_of_another_object_stay() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Strict).await;
    for (key, length) in [("small", 10), ("large", LARGE)] {
        let first = put(&disk, key, &vec![b'a'; length]).await.unwrap().etag;
        tag(&disk, key, "team=blue").await.unwrap();
        let call = object(key);
        let of = |etag: ETag, were: &'static str, text: &'static str| {
            let (disk, call) = (&disk, &call);
            async move {
                let (tags, were) = (tags(text), tags(were));
                let decided = AsDecided {
                    etag: &etag,
                    tags: &were,
                };
                let changed = disk.put_object_tagging_of(Granted::for_test(call), decided, &tags);
                changed.await.map(drop).map_err(|error| error.code())
            }
        };
        of(first.clone(), "team=blue", "team=green").await.unwrap();
        assert_eq!(tagged(&disk, key).await, "team=green");
        // The same bytes with other tags are not what was decided about.
        put(&disk, key, &vec![b'a'; length]).await.unwrap();
        tag(&disk, key, "team=red").await.unwrap();
        let refused = of(first.clone(), "team=green", "team=blue").await;
        assert_eq!(refused, Err(ErrorCode::ServiceUnavailable));
        assert_eq!(tagged(&disk, key).await, "team=red");
        of(first.clone(), "team=red", "").await.unwrap();
        assert_eq!(tagged(&disk, key).await, "");
        let second = put(&disk, key, &vec![b'b'; length]).await.unwrap().etag;
        tag(&disk, key, "team=red").await.unwrap();
        for text in ["team=blue", ""] {
            let refused = of(first.clone(), "team=red", text).await;
            assert_eq!(refused, Err(ErrorCode::ServiceUnavailable));
        }
        assert_eq!(tagged(&disk, key).await, "team=red");
        of(second, "team=red", "team=blue").await.unwrap();
        assert_eq!(tagged(&disk, key).await, "team=blue");
    }
}

async fn tagged(disk: &Disk, key: &str) -> String {
    let call = object(key);
    let found = disk.get_object_tagging(Granted::for_test(&call)).await;
    found.unwrap().tags.to_query()
}

/// A call that reads an object as its first part.
fn read(key: &str) -> ReadObject {
    ReadObject {
        part_number: Some(1),
        ..super::fixtures::read(key)
    }
}

fn parts(root: &Path) -> usize {
    std::fs::read_dir(root.join("buckets/bucket/parts"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn tags_change_and_nothing_else_does() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Strict).await;
    for (key, size) in [("d/none", 0), ("d/small", 300), ("d/large", LARGE)] {
        let body = vec![7; size];
        let written = put(&disk, key, &body).await.unwrap();
        for query in ["a=1&b=2", "c=3", "c=3", ""] {
            tag(&disk, key, query).await.unwrap();
            assert_eq!(tagged(&disk, key).await, query, "{key}");
            let (etag, bytes) = get(&disk, key).await.unwrap();
            assert!(etag == written.etag.0 && bytes == body, "{key}");
            let call = read(key);
            let info = disk.head_object(Granted::for_test(&call)).await.unwrap();
            let info = info.info;
            assert_eq!(info.last_modified, written.last_modified);
            assert_eq!(info.tag_count, tags(query).len());
            assert_eq!(info.parts, None, "{key} was not uploaded in parts");
        }
    }
    // A large one's bytes are where they were written, once.
    assert_eq!(parts(root.path()), 1);
    drop(disk);
    let disk = open_at(root.path(), Durability::Strict);
    assert_eq!(get(&disk, "d/large").await.unwrap().1, vec![7; LARGE]);
    delete(&disk, "d/large").await.unwrap();
    assert_eq!(parts(root.path()), 0, "what was linked stays behind");
    let missing = tag(&disk, "d/large", "a=1").await.unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NoSuchKey);
    for (version, code) in [
        ("v".repeat(32), ErrorCode::NoSuchVersion),
        ("v".to_owned(), ErrorCode::InvalidArgument),
    ] {
        let versioned = OnObject {
            version_id: Some(version),
            ..object("d/small")
        };
        let refused = disk
            .get_object_tagging(Granted::for_test(&versioned))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), code);
    }
}

#[tokio::test]
async fn tags_come_with_their_object_and_go_with_it() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    put(&disk, "k", b"one").await.unwrap();
    tag(&disk, "k", "a=1").await.unwrap();
    for (asked, expected) in [(None, "a=1"), (Some("b=2"), "b=2"), (Some(""), "")] {
        let call = CopyObject {
            source: CopySource {
                bucket: bucket(),
                key: ObjectKey::parse("k").unwrap(),
                version_id: None,
                conditions: ReadConditions::default(),
            },
            bucket: bucket(),
            key: ObjectKey::parse("copy").unwrap(),
            metadata: None,
            redirect: None,
            tags: asked.map(tags),
            conditions: WriteConditions::default(),
            checksum: None,
        };
        disk.copy_object(Granted::for_test(&call)).await.unwrap();
        assert_eq!(tagged(&disk, "copy").await, expected);
    }
    put(&disk, "k", b"two").await.unwrap();
    assert_eq!(tagged(&disk, "k").await, "");
}

#[tokio::test]
async fn an_upload_in_parts_keeps_its_tags() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let call = CreateMultipartUpload {
        tags: tags("a=1"),
        ..opening("k")
    };
    let id = disk.create_multipart_upload(Granted::for_test(&call));
    let id = id.await.unwrap();
    let part = send_part(&disk, "k", &id, b"part").await.unwrap();
    complete(&disk, "k", &id, part).await;
    assert_eq!(tagged(&disk, "k").await, "a=1");
    tag(&disk, "k", "b=2").await.unwrap();
    assert_eq!(tagged(&disk, "k").await, "b=2");
    assert_eq!(get(&disk, "k").await.unwrap().1, b"part");
    let call = read("k");
    let found = disk.head_object(Granted::for_test(&call)).await.unwrap();
    assert_eq!(found.info.parts, Some(1));
    assert_eq!(parts(root.path()), 1);
}

/// T76: whoever comes between the making of a tagged file and its move is neither lost nor tagged.
#[tokio::test]
async fn t76_tags_never_come_to_an_object_that_they_were_not_meant_for() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    for size in [5, LARGE] {
        let place = Place::of(&bucket(), "k");
        put(&disk, "k", &vec![1; size]).await.unwrap();
        let old = disk.store.open_object(&place).unwrap().unwrap();
        let made = tagging::retag(&disk.store, &place, &old, &tags("a=1")).unwrap();
        // The same bytes, so that nothing but the file tells one from the other.
        put(&disk, "k", &vec![1; size]).await.unwrap();
        assert!(!tagging::commit(&disk.store, &place, &old, made.unwrap()).unwrap());
        assert_eq!(tagged(&disk, "k").await, "");
        assert_eq!(get(&disk, "k").await.unwrap().1, vec![1; size]);
        // Nor is one made of a file that the key no longer holds.
        if size == LARGE {
            let made = tagging::retag(&disk.store, &place, &old, &tags("a=1")).unwrap();
            assert!(made.is_none());
        }
        delete(&disk, "k").await.unwrap();
        let made = tagging::retag(&disk.store, &place, &old, &tags("a=1")).unwrap();
        if let Some(made) = made {
            assert!(!tagging::commit(&disk.store, &place, &old, made).unwrap());
        }
        assert_eq!(
            get(&disk, "k").await.unwrap_err().code(),
            ErrorCode::NoSuchKey
        );
        assert_eq!(parts(root.path()), 0, "what was linked stays behind");
    }
}

/// T76: the last object that was written is there in the end, with tags that were written behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t76_writers_and_taggers_race() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(fresh(root.path(), Durability::Relaxed).await);
    let body = |n: usize| format!("{n:04}").repeat(if n.is_multiple_of(2) { 5 } else { 6_000 });
    put(&disk, "k", body(0).as_bytes()).await.unwrap();
    let taggers = (0..3).map(|lane| {
        let disk = disk.clone();
        tokio::spawn(async move {
            for n in 0..60 {
                let outcome = tag(&disk, "k", &format!("lane={lane}&n={n}")).await;
                let overtaken = |e: &Error| e.code() == ErrorCode::ConditionalRequestConflict;
                assert!(outcome.as_ref().err().is_none_or(overtaken), "{outcome:?}");
            }
        })
    });
    let taggers: Vec<_> = taggers.collect();
    for n in 1..=60 {
        put(&disk, "k", body(n).as_bytes()).await.unwrap();
        let (_, bytes) = get(&disk, "k").await.unwrap();
        assert_eq!(bytes, body(n).as_bytes(), "another has taken its place");
    }
    for tagger in taggers {
        tagger.await.unwrap();
    }
    assert_eq!(get(&disk, "k").await.unwrap().1, body(60).as_bytes());
    put(&disk, "k", b"last").await.unwrap();
    assert_eq!(tagged(&disk, "k").await, "");
    assert_eq!(parts(root.path()), 0, "what was linked stays behind");
}

/// T75: damage is not blessed with new sums.
#[tokio::test]
async fn t75_what_is_damaged_is_not_written_anew() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    put(&disk, "k", b"sound").await.unwrap();
    let file = object_file(root.path(), "k@");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.first_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refused = tag(&disk, "k", "a=1").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InternalError);
}

/// A store of the format before tags: its records are read, and it is of this format from then on.
#[tokio::test]
async fn records_without_tags_are_read() {
    let old = r#"{"key":"k","size":3,"etag":"e","modified":1,"manifest":{"directory":"d","upload":"u","parts":[[1,3]]}}"#;
    let record: Record = serde_json::from_str(old).unwrap();
    assert!(record.tags().unwrap().is_empty());
    assert_eq!(record.info().parts, Some(1));
    assert_eq!(serde_json::to_string(&record).unwrap(), old);
    let tagged = record.tagged(&tags("a=1"));
    let again: Record = serde_json::from_slice(&serde_json::to_vec(&tagged).unwrap()).unwrap();
    assert_eq!(again.tags().unwrap(), tags("a=1"));

    let root = tempfile::tempdir().unwrap();
    drop(fresh(root.path(), Durability::Relaxed).await);
    let format = root.path().join("format");
    let current = std::fs::read(&format).unwrap();
    std::fs::write(&format, "portcullis-disk 1\n").unwrap();
    drop(open_at(root.path(), Durability::Relaxed));
    assert_eq!(std::fs::read(&format).unwrap(), current);
    std::fs::write(&format, "portcullis-disk 4\n").unwrap();
    let config = Config {
        path: root.path().to_owned(),
        durability: Durability::Relaxed,
        memory: 16 << 20,
        scrub: 0,
    };
    assert!(Disk::open(&config).is_err());
}
