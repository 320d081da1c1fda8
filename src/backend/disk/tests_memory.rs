//! What is remembered is what is there: with memory for everything, and for nearly nothing.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fixtures::{
    bucket, delete, directory, fresh, get, listing, object, object_file, open_with, put, read,
};
use super::store::Place;
use super::*;
use crate::authz::Granted;
use crate::backend::{Backend, Body, ObjectPage};
use crate::s3::TagSet;
use crate::s3::call::{ListObjects, ReadObject};

async fn page(disk: &Disk, after: Option<&str>, delimiter: Option<&str>, max: u32) -> ObjectPage {
    let call = ListObjects {
        after: after.map(str::to_owned),
        ..listing("", delimiter, max)
    };
    disk.list_objects(Granted::for_test(&call)).await.unwrap()
}

/// A directory of more names than may be remembered is listed a stretch at a time, changed meanwhile.
#[tokio::test]
async fn t77_a_directory_that_is_larger_than_memory_is_listed_whole() {
    let root = directory();
    drop(fresh(root.path(), Durability::Relaxed).await);
    let disk = open_with(root.path(), 0);
    put(&disk, "k00000", b"x").await.unwrap();
    let one = object_file(root.path(), "k00000@");
    let keys: BTreeSet<String> = (0..5000).map(|n| format!("k{n:05}")).collect();
    for key in &keys {
        // What is listed is the name's: the file may be another's.
        if key != "k00000" {
            std::fs::hard_link(&one, object_file(root.path(), &format!("{key}@"))).unwrap();
        }
    }
    let disk = {
        drop(disk);
        open_with(root.path(), 0)
    };
    for start in ["", "k02500", "k04990", "k0", "k00999z", "z"] {
        let mut after = (!start.is_empty()).then(|| start.to_owned());
        let mut listed = Vec::new();
        loop {
            let page = page(&disk, after.as_deref(), None, 700).await;
            listed.extend(page.objects.into_iter().map(|object| object.key));
            // A name that comes and one that goes, before and behind where the listing is.
            let (new, old) = (
                format!("k{}n", listed.len()),
                format!("k{:05}", 2 * listed.len() % 5000),
            );
            put(&disk, &new, b"new").await.unwrap();
            delete(&disk, &new).await.unwrap();
            let was_there = keys.contains(&old);
            delete(&disk, &old).await.unwrap();
            put(&disk, &old, b"again").await.unwrap();
            assert!(was_there);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let expected: Vec<&String> = keys.iter().filter(|key| key.as_str() > start).collect();
        let listed: Vec<&String> = listed.iter().collect();
        assert!(listed == expected, "from {start}");
    }
}

/// Writers alone fill memory no further than listings do, whatever their keys are and however many.
#[tokio::test]
async fn t77_writes_fill_memory_no_further_than_was_set() {
    let root = directory();
    drop(fresh(root.path(), Durability::Relaxed).await);
    // Directories have five eighths of it.
    let (memory, budget) = (1 << 20, 5 << 17);
    let disk = open_with(root.path(), memory);
    put(&disk, "flat/0", b"x").await.unwrap();
    let draft = || write::Draft::new(disk.store.clone(), &bucket()).unwrap();
    let mut most = 0;
    let mut keys = BTreeSet::new();
    for n in 0..6000_u32 {
        // One known directory, from both ends; and others that are made on the way.
        let (far, name) = (n.wrapping_mul(2_654_435_761), "x".repeat(60));
        for key in [format!("flat/{far:010}{name}"), format!("d{}/{n}", n % 40)] {
            let place = Place::of(&bucket(), &key);
            let mut draft = draft();
            let record = record::Record {
                key: key.clone(),
                ..written("")
            };
            draft.finish(&record).unwrap();
            let check = |_: Option<&opened::Opened>| Ok(());
            let committed = disk
                .store
                .commit(&place, &record, &draft.name, false, check);
            committed.unwrap();
            draft.keep();
            keys.insert(key);
            most = most.max(disk.store.tree.held());
        }
    }
    assert!(most > budget / 2, "nothing was remembered: {most}");
    assert!(most <= budget + budget / 8, "{most}");
    // What is known no more is read again.
    keys.insert("flat/0".to_owned());
    let (mut after, mut listed) = (None, BTreeSet::new());
    loop {
        let page = page(&disk, after.as_deref(), None, 700).await;
        listed.extend(page.objects.into_iter().map(|object| object.key));
        most = most.max(disk.store.tree.held());
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert!(listed == keys);
    assert!(most <= budget + budget / 8, "{most}");
}

/// The record of an object without bytes.
fn written(key: &str) -> record::Record {
    record::Record {
        key: key.to_owned(),
        size: 0,
        etag: super::fixtures::md5(b""),
        modified: 0,
        standard: Vec::new(),
        user: Vec::new(),
        tags: Vec::new(),
        checksum: None,
        manifest: None,
    }
}

/// Common prefixes are told once each, and what rolls up is skipped, across kinds of directories.
#[tokio::test]
async fn t77_what_rolls_up_is_skipped() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    for group in 0..20 {
        for n in 0..40 {
            put(&disk, &format!("g{group:02}-{n:02}"), b"x")
                .await
                .unwrap();
            put(&disk, &format!("d{group:02}-x/{n:02}"), b"x")
                .await
                .unwrap();
        }
    }
    let page = page(&disk, None, Some("-"), 1000).await;
    assert!(page.objects.is_empty() && page.next.is_none());
    let groups = (0..20)
        .map(|n| format!("d{n:02}-"))
        .chain((0..20).map(|n| format!("g{n:02}-")));
    assert_eq!(page.common_prefixes, groups.collect::<Vec<_>>());
}

/// Four threads for tasks.
fn with_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
}

/// Writers and readers of one key: nobody reads what is older than what was acknowledged or read before.
#[test]
fn t76_what_is_remembered_is_never_stale() {
    let root = directory();
    with_threads().block_on(async {
        let disk = Arc::new(fresh(root.path(), Durability::Relaxed).await);
        put(&disk, "k", b"00000000").await.unwrap();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let (disk, acknowledged) = (disk.clone(), acknowledged.clone());
            tasks.push(tokio::spawn(async move {
                let mut last = 0;
                for _ in 0..3000 {
                    let before = acknowledged.load(Ordering::Acquire).max(last);
                    let (_, bytes) = get(&disk, "k").await.unwrap();
                    let now: u64 = String::from_utf8(bytes).unwrap().parse().unwrap();
                    assert!(now >= before, "read {now} after {before}");
                    last = now;
                    tokio::task::yield_now().await;
                }
            }));
        }
        for n in 1..2000_u64 {
            put(&disk, "k", format!("{n:08}").as_bytes()).await.unwrap();
            acknowledged.store(n, Ordering::Release);
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// One who deletes and makes again sees each at once, in reads and in listings.
#[tokio::test]
async fn t76_reads_and_listings_follow_every_change() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    for round in 0..50 {
        let body = format!("round {round}");
        put(&disk, "a/b/c", body.as_bytes()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(get(&disk, "a/b/c").await.unwrap().1, body.as_bytes());
            let page = page(&disk, None, None, 10).await;
            let sizes: Vec<u64> = page.objects.iter().map(|o| o.size).collect();
            assert_eq!(sizes, [body.len() as u64]);
            assert_eq!(
                page.objects.first().unwrap().etag.0,
                super::fixtures::md5(body.as_bytes())
            );
        }
        delete(&disk, "a/b/c").await.unwrap();
        assert_eq!(
            get(&disk, "a/b/c").await.unwrap_err().code(),
            ErrorCode::NoSuchKey
        );
        assert!(page(&disk, None, None, 10).await.objects.is_empty());
        let rolled = page(&disk, None, Some("/"), 10).await;
        assert!(rolled.common_prefixes.is_empty());
    }
}

/// T75: listed by what its name and its file say, so that nobody takes it for deleted.
#[tokio::test]
async fn t75_a_damaged_object_is_listed_and_counted() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    for key in ["a", "b", "c"] {
        put(&disk, key, b"sound").await.unwrap();
    }
    std::fs::write(object_file(root.path(), "b@"), "damage").unwrap();
    let disk = {
        drop(disk);
        open_with(root.path(), 1 << 20)
    };
    let page = page(&disk, None, None, 10).await;
    let told: Vec<_> = page
        .objects
        .iter()
        .map(|o| (o.key.as_str(), o.size))
        .collect();
    assert_eq!(told, [("a", 5), ("b", 6), ("c", 5)]);
    assert_eq!(page.objects.get(1).unwrap().etag.0, "damaged");
    let faults = disk.faults();
    assert!(faults.damaged_count() > 0);
    assert!(
        faults
            .take()
            .iter()
            .any(|found| found.path.ends_with("objects/b@"))
    );
}

/// However little room there is for blocks, every byte comes, and only checked ones.
#[tokio::test]
async fn t75_readers_without_a_block_get_the_same_bytes() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let body: Vec<u8> = (0..3_300_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    put(&disk, "k", &body).await.unwrap();
    let all = disk.store.blocks.take_all().unwrap();
    for (first, last) in [
        (0, body.len() - 1),
        (5, 70_000),
        (1_048_570, 1_048_590),
        (65_535, 65_536),
        (3_299_999, 3_299_999),
    ] {
        let call = ReadObject {
            range: Some(crate::s3::ByteRange::FromTo(first as u64, last as u64)),
            ..read("k")
        };
        let object = disk.get_object(Granted::for_test(&call)).await.unwrap();
        let mut bytes = Vec::new();
        match object.body {
            Body::Empty => {}
            Body::Whole(whole) => bytes.extend_from_slice(&whole),
            Body::Stream(mut stream) => {
                while let Some(piece) = stream.next().await.unwrap() {
                    assert!(
                        piece.len() <= 64 * 1024,
                        "a reader without a block holds {}",
                        piece.len()
                    );
                    bytes.extend_from_slice(&piece);
                }
            }
        }
        assert!(bytes == body.get(first..=last).unwrap(), "{first}..={last}");
    }
    // Damage in a block that is read in pieces is found before one of them is sent.
    let file = object_file(root.path(), "k@");
    let mut damaged = std::fs::read(&file).unwrap();
    *damaged.get_mut(1_048_576 + 900_000).unwrap() ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let mut got = 0;
    let object = {
        let call = read("k");
        disk.get_object(Granted::for_test(&call)).await.unwrap()
    };
    let Body::Stream(mut stream) = object.body else {
        return assert!(
            matches!(object.body, Body::Stream(_)),
            "a large object is streamed"
        );
    };
    while let Ok(Some(piece)) = stream.next().await {
        got += piece.len();
    }
    assert_eq!(
        got, 1_048_576,
        "bytes of a damaged block were sent, or sound ones were not"
    );
    drop(all);
}

/// A key of slashes has as many directories as any other deep key.
#[tokio::test]
async fn t77_a_key_of_slashes_has_few_directories() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    let key = "/".repeat(1022);
    put(&disk, &key, b"x").await.unwrap();
    let mut depth = 0;
    let mut at = root.path().join("buckets/bucket/objects");
    loop {
        let entries: Vec<_> = std::fs::read_dir(&at)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        match entries.into_iter().find(|path| path.is_dir()) {
            Some(below) => at = below,
            None => break,
        }
        depth += 1;
    }
    assert!(depth <= 29, "{depth}");
    assert_eq!(get(&disk, &key).await.unwrap().1, b"x");
    assert_eq!(page(&disk, None, None, 10).await.objects.len(), 1);
    delete(&disk, &key).await.unwrap();
    assert_eq!(
        std::fs::read_dir(root.path().join("buckets/bucket/objects"))
            .unwrap()
            .count(),
        0
    );
}

/// The collector removes what is proved to be garbage, and nothing else.
#[tokio::test]
async fn t72_what_cannot_be_proved_to_be_garbage_stays() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    put(&disk, "named", &vec![1; 100_000]).await.unwrap();
    put(&disk, "other", &vec![2; 100_000]).await.unwrap();
    let tags = TagSet::new([("a".to_owned(), "b".to_owned())]).unwrap();
    for key in ["named", "other"] {
        let call = object(key);
        // Its bytes go below `parts`.
        disk.put_object_tagging(Granted::for_test(&call), &tags)
            .await
            .unwrap();
    }
    drop(disk);
    let parts = root.path().join("buckets/bucket/parts");
    let named: BTreeSet<_> = std::fs::read_dir(&parts)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(named.len(), 2);
    let leftover = |name: &str, from: &Path| {
        let directory = parts.join(name.repeat(32));
        std::fs::create_dir(&directory).unwrap();
        std::fs::hard_link(from, directory.join("1")).unwrap();
        directory
    };
    let some = parts.join(named.first().unwrap()).join("1");
    let garbage = leftover("a", &some);
    let empty = parts.join("b".repeat(32));
    std::fs::create_dir(&empty).unwrap();
    let damaged = parts.join("c".repeat(32));
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("1"), "damaged").unwrap();
    let foreign = parts.join("somebody's");
    std::fs::create_dir(&foreign).unwrap();
    let disk = open_with(root.path(), 1 << 20);
    disk.wait_for_collector();
    assert!(!garbage.exists() && !empty.exists());
    assert!(damaged.exists() && foreign.exists());
    for key in ["named", "other"] {
        assert_eq!(get(&disk, key).await.unwrap().1.len(), 100_000);
    }
    drop(disk);
    // The object that may name them is damaged: nothing is proved.
    let garbage = leftover("a", &some);
    for key in ["named@", "other@"] {
        std::fs::write(object_file(root.path(), key), "damaged").unwrap();
    }
    open_with(root.path(), 1 << 20).wait_for_collector();
    assert!(garbage.exists() && named.iter().all(|name| parts.join(name).exists()));
}

/// Whoever reads what has its bytes below `parts`, while it is replaced, reads one or the other, whole.
#[test]
fn t76_what_is_replaced_is_read_whole_or_not_at_all() {
    let root = directory();
    with_threads().block_on(async {
        let disk = Arc::new(fresh(root.path(), Durability::Relaxed).await);
        put(&disk, "k", &vec![b'0'; 100_000]).await.unwrap();
        let mut readers = Vec::new();
        for _ in 0..6 {
            let disk = disk.clone();
            readers.push(tokio::spawn(async move {
                for _ in 0..400 {
                    let (_, bytes) = get(&disk, "k").await.unwrap();
                    let first = *bytes.first().unwrap();
                    assert_eq!(bytes.len(), 100_000);
                    assert!(bytes.iter().all(|byte| *byte == first));
                    tokio::task::yield_now().await;
                }
            }));
        }
        let tags = TagSet::new([("a".to_owned(), "b".to_owned())]).unwrap();
        for n in 0..300_u16 {
            put(&disk, "k", &vec![b'0' + (n % 10) as u8; 100_000])
                .await
                .unwrap();
            let call = object("k");
            disk.put_object_tagging(Granted::for_test(&call), &tags)
                .await
                .unwrap();
        }
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(disk.faults().damaged_count(), 0);
    });
    // Nothing that was replaced is left but the last.
    let parts = std::fs::read_dir(root.path().join("buckets/bucket/parts")).unwrap();
    assert!(parts.count() <= 1);
}
