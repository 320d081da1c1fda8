//! Scrubbing finds what a reader would find, and nothing that is only being replaced.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::faults::injected::{Plan, Rule, follow};
use super::fixtures::{bucket, fresh, get, object_file, open_at, put};
use super::fsck::furnished;
use super::*;

/// As fast as it goes.
const FAST: u64 = u64::MAX;

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn paths(disk: &Disk) -> Vec<(&'static str, String)> {
    let found = disk.faults().take();
    found.into_iter().map(|f| (f.kind, f.path)).collect()
}

#[tokio::test]
async fn a_sound_store_is_read_whole_and_nothing_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let held = furnished(directory.path()).await;
    let disk = open_at(directory.path(), Durability::Relaxed);
    assert!(scrub::pass(&disk.store, FAST));
    assert_eq!(paths(&disk), []);
    assert_eq!(disk.faults().damaged_count(), 0);
    let bytes: usize = held.values().map(Vec::len).sum();
    assert_eq!(disk.scrub().bytes(), (bytes + b"not yet".len()) as u64);
}

#[tokio::test]
async fn every_file_that_is_damaged_is_told_once_a_pass() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    furnished(root).await;
    let disk = open_at(root, Durability::Relaxed);
    disk.wait_for_collector();
    let mut damaged = vec![object_file(root, "k@"), object_file(root, "large@")];
    for above in ["parts", "uploads"] {
        for entry in fs::read_dir(root.join("buckets/bucket").join(above)).unwrap() {
            damaged.push(entry.unwrap().path().join("1"));
        }
    }
    assert_eq!(damaged.len(), 5);
    damaged.iter().for_each(|path| flip(path));
    // Nothing can be told of a footer but that it is none.
    let cut = object_file(root, "d/e/f@");
    fs::write(&cut, "damage").unwrap();
    damaged.push(cut);
    let relative = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    let mut expected: Vec<_> = damaged.iter().map(|p| ("damaged", relative(p))).collect();
    expected.sort();
    assert!(scrub::pass(&disk.store, FAST), "all of it was read");
    let mut found = paths(&disk);
    found.sort();
    assert_eq!(found, expected);
    assert!(scrub::pass(&disk.store, FAST));
    assert_eq!(paths(&disk), [], "each is told once");
    assert!(disk.faults().damaged_count() >= 12, "and counted");
}

/// What is remembered of an object does not hide that its file is damaged.
#[tokio::test]
async fn a_remembered_copy_hides_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let disk = fresh(directory.path(), Durability::Relaxed).await;
    for key in ["byte", "footer"] {
        put(&disk, key, b"body").await.unwrap();
        get(&disk, key).await.unwrap();
    }
    flip(&object_file(directory.path(), "byte@"));
    fs::write(object_file(directory.path(), "footer@"), "damage").unwrap();
    for key in ["byte", "footer"] {
        assert_eq!(get(&disk, key).await.unwrap().1, b"body", "remembered");
    }
    scrub::pass(&disk.store, FAST);
    for key in ["byte", "footer"] {
        assert!(get(&disk, key).await.is_err(), "{key} is told as it was");
    }
}

/// An object that is replaced or removed while it is read is none that is damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_replaced_meanwhile_is_not_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(fresh(directory.path(), Durability::Relaxed).await);
    disk.wait_for_collector();
    let scrubbing = {
        let disk = disk.clone();
        std::thread::spawn(move || {
            let mut passes = 0;
            while !disk.store.is_closing() {
                passes += usize::from(scrub::pass(&disk.store, FAST));
            }
            passes
        })
    };
    for round in 0..60_usize {
        let body = vec![round as u8; 1 + round * 40_000];
        put(&disk, "k", &body).await.unwrap();
        let (id, part) = super::fixtures::upload(&disk, "m", &body).await;
        super::fixtures::complete(&disk, "m", &id, part).await;
        super::fixtures::delete(&disk, "k").await.unwrap();
    }
    disk.store.closing.store(true, Ordering::Relaxed);
    scrubbing.join().unwrap();
    assert_eq!(paths(&disk), []);
    assert_eq!(disk.faults().damaged_count(), 0);
}

/// A pass in which something could not be read is none, and nothing is called damaged for it.
#[tokio::test]
async fn what_cannot_be_read_is_said_and_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    furnished(directory.path()).await;
    let disk = open_at(directory.path(), Durability::Relaxed);
    disk.wait_for_collector();
    let plan = Arc::new(Plan::default());
    let run = |rule| {
        plan.set(rule);
        follow(Some(plan.clone()));
        let complete = scrub::pass(&disk.store, FAST);
        follow(None);
        complete
    };
    assert!(run(None));
    for (call, count) in plan.made() {
        for nth in 0..count {
            // The last ones are also said of what is foreign: by themselves they say nothing.
            let said = [
                Errno::IO,
                Errno::MFILE,
                Errno::STALE,
                Errno::LOOP,
                Errno::XDEV,
            ];
            for errno in said {
                let lasting = nth.is_multiple_of(2);
                let rule = Rule {
                    call,
                    nth,
                    lasting,
                    errno,
                };
                assert!(!run(Some(rule)), "{rule:?} is a complete pass");
            }
        }
    }
    assert_eq!(disk.faults().damaged_count(), 0);
    assert!(paths(&disk).iter().all(|(kind, _)| *kind == "unreadable"));
    assert!(run(None), "it is well again");
}

/// A pass takes as long as its rate says, at least: `spend` is what makes it.
#[tokio::test]
async fn a_pass_keeps_to_its_rate() {
    let directory = tempfile::tempdir().unwrap();
    furnished(directory.path()).await;
    let disk = open_at(directory.path(), Durability::Relaxed);
    disk.wait_for_collector();
    assert!(scrub::pass(&disk.store, FAST));
    let bytes = disk.scrub().bytes();
    assert!(bytes > 0);
    let begun = Instant::now();
    assert!(scrub::pass(&disk.store, bytes * 4));
    assert!(begun.elapsed() >= Duration::from_millis(250));
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let due = |due, now| scrub::due_after(due, now, 3_000_000, 2_000_000);
    assert_eq!(due(now, now), now + second * 3 / 2);
    // What is read early is waited for; what was late is not made up for.
    assert_eq!(due(now + second, now), now + second * 5 / 2);
    assert_eq!(due(now, now + 9 * second), now + second * 21 / 2);
    // No rate is so low, and no file so large, that the sum overflows.
    assert!(scrub::due_after(now, now, u64::MAX, 0) >= now);
}

/// The thread: it works, and ends with the store however far it is.
#[tokio::test]
async fn a_store_that_is_opened_to_be_scrubbed_is() {
    let directory = tempfile::tempdir().unwrap();
    let disk = fresh(directory.path(), Durability::Relaxed).await;
    put(&disk, "k", b"body").await.unwrap();
    drop(disk);
    flip(&object_file(directory.path(), "k@"));
    let open = |rate| {
        Disk::open(&Config {
            path: directory.path().to_owned(),
            durability: Durability::Relaxed,
            memory: 1 << 20,
            scrub: rate,
        })
        .unwrap()
    };
    let disk = open(1 << 40);
    let begun = Instant::now();
    while disk.scrub().passes() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(disk.scrub().completed() > 0);
    let path = format!("buckets/{}/objects/k@", bucket());
    assert_eq!(paths(&disk), [("damaged", path)]);
    // It rests now; the next one would take days. Neither is waited for.
    drop(disk);
    drop(open(1));
}

/// What others left is named wherever it stands, as `fsck` does.
#[tokio::test]
async fn what_nobody_here_wrote_is_named_everywhere() {
    use std::os::unix::ffi::OsStrExt;

    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    furnished(root).await;
    let in_bucket = root.join("buckets/bucket");
    let mut above = vec![root.to_owned(), root.join("staging"), in_bucket.clone()];
    for name in ["objects", "parts", "uploads", "tmp"] {
        above.push(in_bucket.join(name));
    }
    for name in ["parts", "uploads"] {
        let entries = fs::read_dir(in_bucket.join(name)).unwrap();
        above.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let disk = open_at(root, Durability::Relaxed);
    disk.wait_for_collector();
    // None of them looks like a part, an object or anything else of the store's.
    let names: [&[u8]; 4] = [b".DS_Store", b"\xff\xfe", b"070", b".nfs0001"];
    let mut expected = Vec::new();
    for above in &above {
        for name in names {
            let path = above.join(std::ffi::OsStr::from_bytes(name));
            fs::write(&path, "theirs").unwrap();
            let relative = path.strip_prefix(root).unwrap();
            expected.push(relative.to_string_lossy().into_owned());
        }
    }
    expected.sort();
    assert_eq!(above.len(), 10);
    assert!(scrub::pass(&disk.store, FAST));
    let plain = |path: &str| path.trim_start_matches("./").to_owned();
    let mut named: Vec<_> = (paths(&disk).iter())
        .map(|(kind, path)| (*kind, plain(path)))
        .collect();
    named.sort();
    let told: Vec<_> = expected
        .iter()
        .map(|path| ("foreign", path.clone()))
        .collect();
    assert_eq!(named, told);
    assert_eq!(disk.faults().foreign_count(), expected.len() as u64);
    drop(disk);
    let (_, problems) = fsck::check(root, false);
    let of_fsck = |problem: &Problem| (problem.kind == Kind::Foreign).then(|| plain(&problem.path));
    let mut of_fsck: Vec<_> = problems.iter().filter_map(of_fsck).collect();
    of_fsck.sort();
    assert_eq!(of_fsck, expected);
}
