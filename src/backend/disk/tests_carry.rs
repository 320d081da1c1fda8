//! A store of an earlier format is carried over, whole, wherever that is stopped, and at few syncs.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use rustix::io::Errno;

use super::faults::injected::{Plan, Rule, follow};
use super::fixtures::{config, delete, directory, fresh, get, listing, open_at, put};
use super::*;
use crate::authz::Granted;
use crate::backend::Backend;

/// Deep keys of every kind, and shallow ones.
fn keys() -> Vec<String> {
    vec![
        "a/".repeat(40) + "x",
        "a/".repeat(40) + "y",
        "a/".repeat(30) + &"long".repeat(60),
        "/".repeat(100),
        format!("{}{}/z", "b/".repeat(15), "c".repeat(170)),
        "shallow".to_owned(),
        "a/b/c".to_owned(),
    ]
}

/// A store that holds these keys, all but the first `carried` deep ones where an earlier version had them.
async fn earlier(root: &Path, keys: &[String], carried: usize) {
    let disk = fresh(root, Durability::Relaxed).await;
    for key in keys {
        put(&disk, key, key.as_bytes()).await.unwrap();
    }
    drop(disk);
    let objects = root.join("buckets/bucket/objects");
    for key in keys.iter().skip(carried) {
        let ((now, file), (before, old)) = (name::path(key), name::earlier_path(key));
        if now != before {
            let to = objects.join(before.join("/"));
            fs::create_dir_all(&to).unwrap();
            fs::rename(objects.join(now.join("/")).join(file), to.join(old)).unwrap();
        }
    }
    let format = match carried {
        0 => "portcullis-disk 2\n",
        _ => "portcullis-disk 3 carrying over\n",
    };
    fs::write(root.join("format"), format).unwrap();
}

async fn is_whole(disk: &Disk, root: &Path, keys: &[String]) {
    let format = fs::read_to_string(root.join("format")).unwrap();
    assert_eq!(format, "portcullis-disk 3\n");
    for key in keys {
        assert_eq!(get(disk, key).await.unwrap().1, key.as_bytes());
    }
    let call = listing("", None, 1000);
    let page = disk.list_objects(Granted::for_test(&call)).await.unwrap();
    assert_eq!(page.objects.len(), keys.len());
    assert_eq!(
        disk.faults().damaged_count() + disk.faults().foreign_count(),
        0
    );
    for key in keys {
        delete(disk, key).await.unwrap();
    }
    // Nothing is left where they were.
    let left = fs::read_dir(root.join("buckets/bucket/objects")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_store_of_an_earlier_format_is_carried_over() {
    for carried in [0, 1, 3] {
        let root = directory();
        earlier(root.path(), &keys(), carried).await;
        let disk = open_at(root.path(), Durability::Strict);
        is_whole(&disk, root.path(), &keys()).await;
    }
}

/// Every call fails: the start is refused, or nothing is wrong; the next one goes on, and nothing is lost.
#[tokio::test]
async fn t72_carrying_over_can_be_stopped_anywhere() {
    for call in [
        "open", "getdents", "mkdir", "link", "fsync", "unlink", "stat",
    ] {
        // All of the few, and some of the many.
        let step = if call == "open" { 7 } else { 1 };
        for nth in (0..).step_by(step) {
            let root = directory();
            earlier(root.path(), &keys(), 0).await;
            let plan = Arc::new(Plan::default());
            plan.set(Some(Rule {
                call,
                nth,
                lasting: nth % 2 == 0,
                errno: Errno::IO,
            }));
            follow(Some(plan.clone()));
            let opened = Disk::open(&config(root.path(), Durability::Strict, 1 << 20));
            follow(None);
            let made = plan.made().get(call).copied().unwrap_or(0);
            drop(opened);
            let disk = open_at(root.path(), Durability::Strict);
            is_whole(&disk, root.path(), &keys()).await;
            if made <= nth {
                break;
            }
        }
    }
}

/// What is made durable is directories, not keys.
#[tokio::test]
async fn carrying_over_syncs_no_key_by_itself() {
    let root = directory();
    let mut keys = Vec::new();
    for above in 0..4 {
        for n in 0..60 {
            // Each was in a directory of its own.
            keys.push(format!(
                "{above}/{}{n}/{}k",
                "d/".repeat(15),
                "e/".repeat(10)
            ));
        }
    }
    earlier(root.path(), &keys, 0).await;
    let plan = Arc::new(Plan::default());
    follow(Some(plan.clone()));
    let disk = Disk::open(&config(root.path(), Durability::Strict, 1 << 20));
    follow(None);
    let syncs = plan.made().get("fsync").copied().unwrap_or(0);
    assert!(syncs <= 16, "{syncs} syncs for {} keys", keys.len());
    is_whole(&disk.unwrap(), root.path(), &keys).await;
}
