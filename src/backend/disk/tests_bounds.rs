//! What requests may take, counted: memory that a slow client holds, locks that are held for others to wait,
//! system calls and names of what is remembered.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;

use super::faults::injected::{Plan, Rule, follow};
use super::fixtures::{
    bucket, directory, fresh, get, listing, object_file, open_with, put, read, upload,
};
use super::*;
use crate::authz::Granted;
use crate::backend::{Backend, Upload};
use crate::s3::call::PutObject;
use crate::s3::{Checksum, ObjectKey, ObjectMetadata, TagSet, WriteConditions};

/// Nobody waits so long for anything here but in vain.
const LONG: Duration = Duration::from_secs(60);

/// Bytes that are counted as long as they are in memory.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A client that sends some pieces at once, and then nothing, for ever.
struct Stalled {
    pieces: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
}

#[async_trait]
impl Upload for Stalled {
    fn length(&self) -> u64 {
        100 << 20
    }
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.pieces.load(Ordering::SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        self.pieces.fetch_sub(1, Ordering::SeqCst);
        self.held.fetch_add(1, Ordering::SeqCst);
        let piece = Counted(vec![7; 32 * 1024], self.held.clone());
        Ok(Some(Bytes::from_owner(piece)))
    }
    fn checksum(&self) -> Option<Checksum> {
        None
    }
}

/// What a client who sends no more has gathered is written and given back, and until then it has room for it.
#[tokio::test]
async fn an_upload_that_stalls_holds_nothing() {
    let root = directory();
    let disk = Arc::new(fresh(root.path(), Durability::Relaxed).await);
    let all = disk.store.gathering.left();
    // As much as is written in one go; and some that was gathered since.
    for pieces in [8, 11] {
        let held = Arc::new(AtomicUsize::new(0));
        let left = Arc::new(AtomicUsize::new(pieces));
        let (of_task, mut body) = (
            disk.clone(),
            Stalled {
                pieces: left.clone(),
                held: held.clone(),
            },
        );
        let task = tokio::spawn(async move {
            let call = PutObject {
                bucket: bucket(),
                key: ObjectKey::parse("k").unwrap(),
                metadata: ObjectMetadata::default(),
                tags: TagSet::default(),
                conditions: WriteConditions::default(),
                checksum: None,
            };
            let granted = Granted::for_test(&call);
            of_task.put_object(granted, &mut body).await.map(drop)
        });
        let begun = Instant::now();
        while left.load(Ordering::SeqCst) > 0 || held.load(Ordering::SeqCst) > 0 {
            // Its task runs on this thread, and does not now.
            let now = held.load(Ordering::SeqCst);
            assert!(now == 0 || disk.store.gathering.left() < all, "{now}");
            assert!(begun.elapsed() < LONG, "{now} pieces are held");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(disk.store.gathering.left(), all);
        task.abort();
    }
}

/// Looking into all that a bucket holds, which may be very much, stops nobody who writes to another one.
#[tokio::test]
async fn a_bucket_is_looked_into_before_its_lock_is_taken() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    upload(&disk, "k", b"part").await;
    let plan = Arc::new(Plan::default());
    // The first is that of `objects`, the next that of `uploads`.
    plan.set(Some(Rule {
        call: "getdents",
        nth: 1,
        lasting: true,
        errno: Errno::IO,
    }));
    let placing = disk.store.placing(&bucket());
    let (said, hear) = mpsc::channel();
    let store = disk.store.clone();
    std::thread::spawn(move || {
        follow(Some(plan));
        said.send(store.delete_bucket(&bucket())).unwrap();
    });
    let outcome = hear.recv_timeout(LONG).unwrap();
    assert_eq!(outcome.unwrap_err().code(), ErrorCode::ServiceUnavailable);
    drop(placing);
    disk.store.delete_bucket(&bucket()).unwrap();
}

/// What is remembered is answered without the disk: a small object wholly, a page but for its bucket.
#[test]
fn what_is_remembered_is_answered_without_the_disk() {
    let root = directory();
    let plan = Arc::new(Plan::default());
    let of_threads = plan.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(move || follow(Some(of_threads.clone())))
        .build()
        .unwrap();
    follow(Some(plan.clone()));
    runtime.block_on(async {
        let disk = fresh(root.path(), Durability::Relaxed).await;
        for n in 0..1100 {
            put(&disk, &format!("d{}/k{n:04}", n % 3), b"small")
                .await
                .unwrap();
        }
        let page = async || {
            let call = listing("", None, 1000);
            let page = disk.list_objects(Granted::for_test(&call)).await.unwrap();
            assert_eq!(page.objects.len(), 1000);
        };
        let look = async || {
            assert_eq!(get(&disk, "d0/k0000").await.unwrap().1, b"small");
            let call = read("d0/k0000");
            disk.head_object(Granted::for_test(&call)).await.unwrap();
        };
        plan.set(None);
        look().await;
        page().await;
        assert!(!plan.made().is_empty(), "no call was counted");
        plan.set(None);
        look().await;
        assert_eq!(plan.made().values().sum::<usize>(), 0);
        page().await;
        assert_eq!(plan.made().values().sum::<usize>(), 1, "{:?}", plan.made());
    });
    follow(None);
}

/// What rolls up is skipped, not passed over name by name, in one flat directory as among many: a page takes as
/// many names as it tells prefixes, a few of each, whatever is behind them.
#[tokio::test]
async fn a_page_that_rolls_up_takes_a_few_names_for_each_prefix() {
    let root = directory();
    let disk = fresh(root.path(), Durability::Relaxed).await;
    put(&disk, "one", b"x").await.unwrap();
    let one = object_file(root.path(), "one@");
    for group in 0..100 {
        let directory = object_file(root.path(), &format!("h{group:02}-"));
        std::fs::create_dir(&directory).unwrap();
        for n in 0..100 {
            // What is listed is the name's: the file may be another's.
            let flat = object_file(root.path(), &format!("g{group:02}-{n:02}@"));
            std::fs::hard_link(&one, flat).unwrap();
            std::fs::hard_link(&one, directory.join(format!("{n:02}@"))).unwrap();
        }
    }
    let disk = {
        drop(disk);
        open_with(root.path(), 64 << 20)
    };
    let plan = Arc::new(Plan::default());
    let store = disk.store.clone();
    let page = |expected: usize| {
        let call = listing("", Some("-"), 1000);
        follow(Some(plan.clone()));
        plan.set(None);
        let page = list::objects(&store, &call).unwrap();
        follow(None);
        assert_eq!(page.common_prefixes.len(), expected);
        (store.tree.taken(), plan.made())
    };
    let (cold, made) = page(200);
    // The flat directory is read once, with what is beside it; of the others, all of each that is asked for one.
    let read = made.get("getdents").copied().unwrap_or(0);
    assert!(read <= 2 * 100 * 100 + 2 * 200 + 200, "{read}");
    let (warm, made) = page(200);
    assert!(cold > 200 && warm > 200, "no name was counted");
    let most = 200 * 2 * 16 + 64;
    assert!(cold <= most && warm <= most, "{cold} {warm}");
    assert!(made.values().sum::<usize>() <= 1, "{made:?}");
}
