//! Pages of uploads: those of a model that knows what is on the disk, whatever fails, ends or is forgotten
//! meanwhile; as cheap as what they tell.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use rustix::io::Errno;
use time::OffsetDateTime;

use super::faults::injected::{Plan, Rule, follow};
use super::fixtures::{
    bucket, complete, directory, fresh, listing_uploads, on, open_with, opening, runtime,
    upload as upload_with_part,
};
use super::*;
use crate::s3::call::{CreateMultipartUpload, ListMultipartUploads};

/// A store with an empty bucket that remembers in so many bytes.
fn store_with(path: &Path, memory: usize) -> Disk {
    runtime().block_on(async { drop(fresh(path, Durability::Relaxed).await) });
    open_with(path, memory)
}

fn create(store: &Store, key: &str, second: i64) -> Result<String, Error> {
    let call = opening(key);
    let now = OffsetDateTime::from_unix_timestamp(second).unwrap();
    upload::create(store, &call, now)
}

fn abort(store: &Store, key: &str, id: &str) -> Result<(), Error> {
    ending::abort(store, &on(key, id))
}

/// An upload as pages order them.
type Known = (Vec<u8>, i64, String);

/// What a page tells, in its order: an upload's key and id, or a common prefix without one.
type Told = Vec<(String, String)>;

/// Every page, one after the other. `between` is told of each page's last entry.
fn pages(
    store: &Store,
    mut call: ListMultipartUploads,
    mut between: impl FnMut(&(String, String)),
) -> Result<Told, Error> {
    let mut all = Vec::new();
    loop {
        let page = uploads::list(store, &call)?;
        let mut told: Vec<_> = page
            .uploads
            .iter()
            .enumerate()
            .map(|(n, u)| ((u.key.clone(), n), u.upload_id.clone()))
            .chain(
                page.common_prefixes
                    .iter()
                    .map(|p| ((p.clone(), 0), String::new())),
            )
            .collect();
        told.sort();
        assert!(told.len() <= call.max_uploads as usize);
        all.extend(told.into_iter().map(|((key, _), id)| (key, id)));
        let Some(next) = page.next else {
            return Ok(all);
        };
        assert_eq!(
            Some(&next),
            all.last(),
            "a page goes on behind its last entry"
        );
        between(&next);
        (call.key_marker, call.upload_id_marker) = (Some(next.0), Some(next.1));
    }
}

/// The plain way: every upload is looked at.
fn expected(known: &BTreeSet<Known>, prefix: &str, delimiter: Option<&str>) -> Told {
    let mut all = Told::new();
    for (key, _, id) in known {
        let key = std::str::from_utf8(key).unwrap();
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        let at = delimiter.and_then(|d| Some(rest.split_once(d)?.0.len() + d.len()));
        let entry = match at {
            Some(end) => (key.split_at(prefix.len() + end).0.to_owned(), String::new()),
            None => (key.to_owned(), id.clone()),
        };
        if all.last() != Some(&entry) {
            all.push(entry);
        }
    }
    all
}

#[derive(Clone, Debug)]
enum Step {
    Create(String, i64),
    Abort(usize),
    Complete(String),
    List(String, Option<String>, u32),
    /// A call that fails in the next step.
    Fail(&'static str, usize, bool),
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let key = "[ab/]{1,4}|a/[a-c]{1,2}/[ab]|\u{e9}[ab]?";
    let call = prop::sample::select(vec![
        "open", "getdents", "pread", "rename", "fsync", "mkdir", "write",
    ]);
    prop_oneof![
        6 => (key, 0..4_i64).prop_map(|(key, second)| Step::Create(key, second)),
        3 => any::<usize>().prop_map(Step::Abort),
        1 => key.prop_map(Step::Complete),
        4 => ("[ab/]{0,2}", prop::option::of("[/ab]|//"), 1..5_u32)
            .prop_map(|(prefix, delimiter, max)| Step::List(prefix, delimiter, max)),
        3 => (call, 0..6_usize, any::<bool>()).prop_map(|(c, n, l)| Step::Fail(c, n, l)),
        1 => Just(Step::Forget),
    ]
}

/// A store, and what is on its disk.
struct Tried {
    root: tempfile::TempDir,
    disk: Disk,
    plan: Arc<Plan>,
    known: BTreeSet<Known>,
    /// Uploads whose call failed: they may be there or not.
    open: Vec<Known>,
}

impl Tried {
    fn new(memory: usize) -> Self {
        follow(None);
        let root = directory();
        let disk = store_with(root.path(), memory);
        disk.wait_for_collector();
        Self {
            root,
            disk,
            plan: Arc::default(),
            known: BTreeSet::new(),
            open: Vec::new(),
        }
    }

    fn is_there(&self, id: &str) -> bool {
        let uploads = self.root.path().join("buckets/bucket/uploads");
        uploads.join(id).join("upload").exists()
    }

    fn step(&mut self, step: &Step) {
        let store = self.disk.store.clone();
        follow(Some(self.plan.clone()));
        match step {
            Step::Fail(call, nth, lasting) => {
                follow(None);
                self.plan.set(Some(Rule {
                    call,
                    nth: *nth,
                    lasting: *lasting,
                    errno: Errno::IO,
                }));
                return;
            }
            Step::Create(key, second) => {
                // One that failed has no id that anybody knows, and is not there.
                if let Ok(id) = create(&store, key, *second) {
                    self.open.push((key.clone().into_bytes(), *second, id));
                }
            }
            Step::Abort(at) => {
                if let Some((key, _, id)) = self.open.get(at % self.open.len().max(1)) {
                    let key = std::str::from_utf8(key).unwrap();
                    if abort(&store, key, id).is_ok() {
                        assert!(!self.is_there(id));
                    }
                }
            }
            Step::Complete(key) => {
                // Told of by the index as an upload that comes and goes.
                follow(None);
                runtime().block_on(async {
                    let (id, part) = upload_with_part(&self.disk, key, b"x").await;
                    complete(&self.disk, key, &id, part).await;
                    assert!(!self.is_there(&id));
                });
            }
            Step::List(prefix, delimiter, max) => {
                let call = listing_uploads(prefix, delimiter.as_deref(), *max);
                if let Ok(told) = pages(&store, call, |_| ()) {
                    let expected = expected(&self.known, prefix, delimiter.as_deref());
                    assert_eq!(told, expected, "a page that was told while calls failed");
                }
            }
            Step::Forget => store.uploads.index(&bucket()).lock().unsure(),
        }
        follow(None);
        self.plan.set(None);
        self.known = self
            .open
            .iter()
            .filter(|u| self.is_there(&u.2))
            .cloned()
            .collect();
        let there = std::fs::read_dir(self.root.path().join("buckets/bucket/uploads")).unwrap();
        assert_eq!(
            there.count(),
            self.known.len(),
            "one is there that nobody knows of"
        );
        // Whatever happened, the next page is right.
        let told = pages(&store, listing_uploads("", None, 3), |_| ()).unwrap();
        assert_eq!(told, expected(&self.known, "", None), "after {step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn t77_pages_of_uploads_are_those_of_a_model(
        steps in prop::collection::vec(step(), 1..50), little in any::<bool>(),
    ) {
        let mut tried = Tried::new(if little { 0 } else { 16 << 20 });
        for step in &steps {
            tried.step(step);
        }
        for (delimiter, max) in [(Some("/"), 1), (None, 2), (Some("a"), 1000)] {
            let told = pages(&tried.disk.store, listing_uploads("a", delimiter, max), |_| ()).unwrap();
            prop_assert_eq!(told, expected(&tried.known, "a", delimiter));
        }
    }
}

/// A page costs what the page is, not what the bucket holds: told by the system calls it makes.
#[test]
fn t77_a_page_of_uploads_reads_no_upload_again() {
    let root = directory();
    let disk = store_with(root.path(), 16 << 20);
    for n in 0..1500 {
        create(&disk.store, &format!("k/{:04}/{n}", n % 700), 1).unwrap();
    }
    let mut call = listing_uploads("", None, 10);
    let first = uploads::list(&disk.store, &call).unwrap();
    let next = first.next.unwrap();
    (call.key_marker, call.upload_id_marker) = (Some(next.0.clone()), Some(next.1.clone()));
    let plan = Arc::new(Plan::default());
    follow(Some(plan.clone()));
    // An upload that comes and one that goes make nobody read the others.
    create(&disk.store, "k/0000/new", 2).unwrap();
    abort(&disk.store, &next.0, &next.1).unwrap();
    plan.set(None);
    let page = uploads::list(&disk.store, &call).unwrap();
    assert_eq!(page.uploads.len(), 10);
    let made = plan.made();
    follow(None);
    assert!(made.values().sum::<usize>() <= 4, "{made:?}");
}

/// Whoever ends the upload that a page ended at is told of every other one, once.
#[test]
fn t77_a_page_goes_on_where_an_upload_was_that_has_ended() {
    let root = directory();
    let disk = store_with(root.path(), 16 << 20);
    let mut ids = BTreeSet::new();
    for second in 0..9 {
        ids.insert(create(&disk.store, "same", second).unwrap());
    }
    let aborting = |last: &(String, String)| abort(&disk.store, &last.0, &last.1).unwrap();
    let told = pages(&disk.store, listing_uploads("", None, 2), aborting).unwrap();
    assert_eq!(told.len(), 9);
    assert_eq!(
        told.into_iter().map(|(_, id)| id).collect::<BTreeSet<_>>(),
        ids
    );
    // Where one stood that ended before the store was opened is not known: its key is told again.
    let mut call = listing_uploads("", None, 1000);
    let left = uploads::list(&disk.store, &call).unwrap().uploads;
    let gone = left.get(2).unwrap().upload_id.clone();
    abort(&disk.store, "same", &gone).unwrap();
    drop(disk);
    let disk = super::fixtures::open_at(root.path(), Durability::Relaxed);
    (call.key_marker, call.upload_id_marker) = (Some("same".to_owned()), Some(gone));
    let again = uploads::list(&disk.store, &call).unwrap();
    assert_eq!(again.uploads.len(), left.len() - 1);
    // What is no upload's id stood nowhere.
    for id in ["", "no id"] {
        call.upload_id_marker = Some(id.to_owned());
        assert!(
            uploads::list(&disk.store, &call)
                .unwrap()
                .uploads
                .is_empty()
        );
    }
}

/// However many uploads there are, and in however many buckets, memory is what was set.
#[test]
fn uploads_are_remembered_in_bounded_memory() {
    let root = directory();
    // An eighth is for uploads, half of that for indexes; one bucket's is at least 256 KiB.
    let disk = store_with(root.path(), 16 << 20);
    let budget = 1 << 20;
    let name = |n: usize| crate::s3::BucketName::parse(&format!("bucket-{n}")).unwrap();
    let now = OffsetDateTime::now_utc();
    let mut most = 0;
    for n in 0..6 {
        let bucket = name(n);
        disk.store.create_bucket(&bucket, now).unwrap();
        let mut ids = BTreeSet::new();
        for at in 0..2000 {
            let call = CreateMultipartUpload {
                bucket: bucket.clone(),
                ..opening(&format!("{at:04}/{}", "x".repeat(300)))
            };
            ids.insert(upload::create(&disk.store, &call, now).unwrap());
            if at == 50 {
                // From here on the index is told of each.
                let call = ListMultipartUploads {
                    bucket: bucket.clone(),
                    ..listing_uploads("", None, 1)
                };
                uploads::list(&disk.store, &call).unwrap();
            }
            most = most.max(disk.store.uploads.held());
        }
        let call = ListMultipartUploads {
            bucket,
            ..listing_uploads("", None, 700)
        };
        let told = pages(&disk.store, call, |_| {
            most = most.max(disk.store.uploads.held())
        });
        let told: BTreeSet<_> = told.unwrap().into_iter().map(|(_, id)| id).collect();
        assert!(told == ids);
    }
    assert!(most > budget / 2, "nothing was remembered: {most}");
    // What one bucket's takes beyond it goes before the next page.
    assert!(most <= budget + budget / 2, "{most}");
    assert!(disk.store.uploads.held() <= budget);
    for n in 0..6 {
        disk.store.delete_bucket(&name(n)).unwrap();
    }
    assert_eq!(disk.store.uploads.held(), 0, "of a bucket that is gone");
}

/// A bucket of the same name starts with nothing.
#[test]
fn a_new_bucket_has_no_uploads() {
    let root = directory();
    let disk = store_with(root.path(), 16 << 20);
    create(&disk.store, "k", 1).unwrap();
    assert_eq!(
        uploads::list(&disk.store, &listing_uploads("", None, 9))
            .unwrap()
            .uploads
            .len(),
        1
    );
    disk.store.delete_bucket(&bucket()).unwrap();
    let now = OffsetDateTime::now_utc();
    disk.store.create_bucket(&bucket(), now).unwrap();
    assert!(
        uploads::list(&disk.store, &listing_uploads("", None, 9))
            .unwrap()
            .uploads
            .is_empty()
    );
}

/// Who opens an upload sees it at once, who ends one sees it no more, whoever else does so or has it
/// forgotten meanwhile.
#[test]
fn t76_pages_of_uploads_follow_every_change() {
    for memory in [0, 16 << 20] {
        let root = directory();
        let disk = store_with(root.path(), memory);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let store = disk.store.clone();
                scope.spawn(move || {
                    for round in 0..60 {
                        let key = format!("{worker}/{}", round % 3);
                        let id = create(&store, &key, round).unwrap();
                        let told = |wanted: bool| {
                            let told = pages(&store, listing_uploads("", None, 2), |_| ()).unwrap();
                            let found = told.iter().any(|(_, told)| *told == id);
                            assert_eq!(found, wanted, "{key} in round {round}");
                        };
                        told(true);
                        if round % 7 == 0 {
                            store.uploads.index(&bucket()).lock().unsure();
                        }
                        abort(&store, &key, &id).unwrap();
                        told(false);
                    }
                });
            }
        });
    }
}
