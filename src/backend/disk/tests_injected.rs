//! Every system call of the store fails, once and for ever, in every way that a disk fails, while a
//! model keeps what may be there: no wrong byte, no key missing from a page, nothing gone that was
//! acknowledged, and all is well as soon as the disk is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use rustix::io::Errno;

use super::faults::injected::{Plan, Rule, follow};
use super::fixtures::{
    ERRNOS, bucket, completion, config, directory, get, listing, listing_uploads, object, on,
    only_part, opening, read, send_part,
};
use super::*;
use crate::authz::Granted;
use crate::backend::Backend;
use crate::s3::call::{CopyObject, CreateBucket, ListBuckets, ListParts, OnBucket};
use crate::s3::{ObjectKey, ReadConditions, TagSet, WriteConditions};

/// What an open says of something that is no file or directory, and a disk in trouble may say as well.
const AMBIGUOUS: [Errno; 6] = [
    Errno::LOOP,
    Errno::NOTDIR,
    Errno::NXIO,
    Errno::XDEV,
    Errno::ISDIR,
    Errno::NODEV,
];

/// What a key may hold; `None` is no object.
type May = BTreeSet<Option<Vec<u8>>>;

/// What may be there after all that was answered.
struct Model {
    keys: BTreeMap<String, May>,
    /// Uploads that were acknowledged and neither completed nor aborted for sure.
    uploads: BTreeMap<String, bool>,
    context: String,
}

impl Model {
    fn may(&self, key: &str) -> May {
        let nothing = || BTreeSet::from([None]);
        self.keys.get(key).cloned().unwrap_or_else(nothing)
    }

    /// A write of `value` was answered.
    fn wrote(&mut self, key: &str, value: Option<&[u8]>, outcome: &Result<(), Error>) {
        let value = value.map(<[u8]>::to_vec);
        let mut may = match outcome {
            Ok(()) => BTreeSet::new(),
            Err(error) => {
                self.is_fault(error);
                self.may(key)
            }
        };
        may.insert(value);
        self.keys.insert(key.to_owned(), may);
    }

    /// A disk in trouble answers with a 5xx, whoever asks for what.
    fn is_fault(&self, error: &Error) {
        assert!(
            error.code().status().is_server_error(),
            "{}: {error}",
            self.context
        );
    }
}

async fn put(disk: &Disk, model: &mut Model, key: &str, body: &[u8]) {
    let outcome = super::fixtures::put(disk, key, body).await.map(drop);
    model.wrote(key, Some(body), &outcome);
}

async fn delete(disk: &Disk, model: &mut Model, key: &str) {
    let outcome = super::fixtures::delete(disk, key).await.map(drop);
    model.wrote(key, None, &outcome);
}

async fn copy(disk: &Disk, model: &mut Model, from: &str, to: &str) {
    let call = CopyObject {
        bucket: bucket(),
        key: ObjectKey::parse(to).unwrap(),
        source: crate::s3::call::CopySource {
            bucket: bucket(),
            key: ObjectKey::parse(from).unwrap(),
            version_id: None,
            conditions: ReadConditions::default(),
        },
        metadata: None,
        redirect: None,
        tags: None,
        conditions: WriteConditions::default(),
        checksum: None,
    };
    let outcome = disk.copy_object(Granted::for_test(&call)).await;
    let mut may = model.may(to);
    match outcome {
        // It holds one of those that the source may have held.
        Ok(_) => may = model.may(from),
        Err(error) => {
            if error.code() != ErrorCode::NoSuchKey || !model.may(from).contains(&None) {
                model.is_fault(&error);
            }
            may.extend(model.may(from));
        }
    }
    may.retain(|value| value.is_some() || model.may(to).contains(&None));
    model.keys.insert(to.to_owned(), may);
}

async fn multipart(disk: &Disk, model: &mut Model, key: &str, body: &[u8]) {
    let call = opening(key);
    let id = match disk.create_multipart_upload(Granted::for_test(&call)).await {
        Ok(id) => id,
        Err(error) => return model.is_fault(&error),
    };
    model.uploads.insert(id.clone(), true);
    let part = match send_part(disk, key, &id, body).await {
        Ok(part) => part,
        Err(error) => return model.is_fault(&error),
    };
    let call = ListParts {
        upload: on(key, &id),
        max_parts: 10,
        after: 0,
        url_encoded: false,
    };
    match disk.list_parts(Granted::for_test(&call)).await {
        Ok(page) => assert_eq!(page.parts.len(), 1, "{}", model.context),
        Err(error) => model.is_fault(&error),
    }
    let (call, named) = (completion(key, &id), only_part(&part));
    let completed = disk.complete_multipart_upload(Granted::for_test(&call), &named);
    let outcome = completed.await.map(drop);
    // Once it was tried, the upload may be there or not.
    model.uploads.insert(id, false);
    model.wrote(key, Some(body), &outcome);
}

async fn tag(disk: &Disk, model: &Model, key: &str) {
    let tags = TagSet::new([("a".to_owned(), "b".to_owned())]).unwrap();
    let call = object(key);
    let put = disk.put_object_tagging(Granted::for_test(&call), &tags);
    if let Err(error) = put.await
        && !(error.code() == ErrorCode::NoSuchKey && model.may(key).contains(&None))
    {
        model.is_fault(&error);
    }
}

/// Whatever can be told just now is right.
async fn look(disk: &Disk, model: &Model) {
    for (key, may) in &model.keys {
        match get(disk, key).await {
            Ok((_, bytes)) => assert!(may.contains(&Some(bytes)), "{}: {key}", model.context),
            Err(error) if error.code() == ErrorCode::NoSuchKey => {
                assert!(may.contains(&None), "{}: {key} is gone", model.context);
            }
            Err(error) => model.is_fault(&error),
        }
        let call = read(key);
        match disk.head_object(Granted::for_test(&call)).await {
            Ok(object) => {
                let size = object.info.size;
                let fits = |v: &Option<Vec<u8>>| v.as_ref().is_some_and(|v| v.len() as u64 == size);
                assert!(may.iter().any(fits), "{}: {key}", model.context);
            }
            Err(error) if error.code() == ErrorCode::NoSuchKey => {
                assert!(may.contains(&None), "{}: {key} is gone", model.context);
            }
            Err(error) => model.is_fault(&error),
        }
    }
    match list(disk).await {
        Ok(listed) => {
            for (key, may) in &model.keys {
                let there = listed.contains(key);
                let right = may.iter().any(|value| value.is_some() == there);
                assert!(right, "{}: {key} listed: {there}", model.context);
            }
            for key in &listed {
                assert!(model.keys.contains_key(key), "{}: {key}", model.context);
            }
        }
        Err(error) => model.is_fault(&error),
    }
    let call = listing_uploads("", None, 1000);
    match disk.list_multipart_uploads(Granted::for_test(&call)).await {
        Ok(page) => {
            for (id, _) in model.uploads.iter().filter(|(_, open)| **open) {
                let told = page.uploads.iter().any(|upload| upload.upload_id == *id);
                assert!(told, "{}: an upload is not listed", model.context);
            }
        }
        Err(error) => model.is_fault(&error),
    }
    let call = ListBuckets::default();
    let buckets = disk.list_buckets(Granted::for_test(&call));
    match buckets.await {
        Ok(buckets) => assert_eq!(buckets.len(), 1, "{}: the bucket is gone", model.context),
        Err(error) => model.is_fault(&error),
    }
}

async fn list(disk: &Disk) -> Result<BTreeSet<String>, Error> {
    let call = listing("", None, 1000);
    let page = disk.list_objects(Granted::for_test(&call)).await?;
    Ok(page.objects.into_iter().map(|object| object.key).collect())
}

/// What clients do, with every operation in it.
async fn work(disk: &Disk, model: &mut Model) {
    put(disk, model, "a/x", b"one").await;
    put(disk, model, "a/y", b"two").await;
    delete(disk, model, "a/x").await;
    put(disk, model, "b", &vec![7; 200_000]).await;
    multipart(disk, model, "m/o", b"of parts").await;
    tag(disk, model, "b").await;
    look(disk, model).await;
    copy(disk, model, "b", "c/d/e").await;
    multipart(disk, model, "a/y", b"of other parts").await;
    put(disk, model, "m/o", b"no parts").await;
    tag(disk, model, "a/y").await;
    look(disk, model).await;
    let call = OnBucket { bucket: bucket() };
    match disk.delete_bucket(Granted::for_test(&call)).await {
        Ok(()) => panic!("{}: a full bucket was deleted", model.context),
        Err(error) if error.code() == ErrorCode::BucketNotEmpty => {}
        Err(error) => model.is_fault(&error),
    }
    for key in ["b", "a/y"] {
        delete(disk, model, key).await;
    }
    look(disk, model).await;
}

fn runtime(plan: &Arc<Plan>) -> tokio::runtime::Runtime {
    let plan = plan.clone();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .on_thread_start(move || follow(Some(plan.clone())))
        .build()
        .unwrap()
}

/// The workload under one rule, then without, then after a start.
fn run(rule: Option<Rule>) -> BTreeMap<&'static str, usize> {
    let (root, plan) = (directory(), Arc::new(Plan::default()));
    let mut model = Model {
        keys: BTreeMap::new(),
        uploads: BTreeMap::new(),
        context: format!("{rule:?}"),
    };
    let runtime = runtime(&plan);
    let disk = Disk::open(&config(root.path(), Durability::Strict, 1 << 20)).unwrap();
    runtime.block_on(async {
        let call = CreateBucket { bucket: bucket() };
        disk.create_bucket(Granted::for_test(&call)).await.unwrap();
        put(&disk, &mut model, "kept", b"whatever happens").await;
        plan.set(rule);
        work(&disk, &mut model).await;
    });
    let made = plan.made();
    plan.set(None);
    let settled = runtime.block_on(async {
        // The disk is well again: everything is answered, and rightly.
        let settled = settle(&disk, &model).await;
        look(&disk, &model).await;
        put(&disk, &mut model, "later", b"later").await;
        settled
    });
    drop(disk);
    // A start under the same rule, which may fail but not lose anything, and one without.
    plan.set(rule);
    follow(Some(plan.clone()));
    if let Ok(disk) = Disk::open(&config(root.path(), Durability::Strict, 1 << 20)) {
        disk.wait_for_collector();
        let left = collect::left_in_staging(&disk.store).unwrap_or_default();
        collect::collect(&disk.store, &left);
    }
    follow(None);
    plan.set(None);
    let disk = Disk::open(&config(root.path(), Durability::Strict, 1 << 20)).unwrap();
    disk.wait_for_collector();
    runtime.block_on(async {
        for (key, held) in settled {
            let now = get(&disk, &key).await.map(|(_, bytes)| bytes);
            assert_eq!(now.ok(), held, "{}: {key} after a start", model.context);
        }
        look(&disk, &model).await;
    });
    made
}

/// What each key holds, now that the disk is well.
async fn settle(disk: &Disk, model: &Model) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut settled = BTreeMap::new();
    let listed = list(disk).await.unwrap();
    for key in model.keys.keys() {
        let held = match get(disk, key).await {
            Ok((_, bytes)) => Some(bytes),
            Err(error) => {
                assert_eq!(
                    error.code(),
                    ErrorCode::NoSuchKey,
                    "{}: {error}",
                    model.context
                );
                None
            }
        };
        assert_eq!(
            listed.contains(key),
            held.is_some(),
            "{}: {key}",
            model.context
        );
        settled.insert(key.clone(), held);
    }
    settled
}

/// T72 to T75 with faults: every call, the first, the last and those between, once and for ever.
#[test]
fn t72_no_fault_of_the_disk_loses_or_invents_anything() {
    let made = run(None);
    for call in [
        "open",
        "stat",
        "pread",
        "getdents",
        "write",
        "fdatasync",
        "fsync",
        "rename",
        "link",
        "mkdir",
        "unlink",
    ] {
        assert!(made.contains_key(call), "`{call}` is not in the workload");
    }
    let mut rules = Vec::new();
    for (call, count) in made {
        for nth in 0..count {
            for (at, errno) in ERRNOS.into_iter().enumerate() {
                // All of them the first times, then in turn.
                if nth < 2 || nth % ERRNOS.len() == at {
                    rules.push(Rule {
                        call,
                        nth,
                        lasting: nth % 2 == 0 || nth < 2,
                        errno,
                    });
                    rules.push(Rule {
                        call,
                        nth,
                        lasting: false,
                        errno,
                    });
                }
            }
            // What is said of links, devices and the like too.
            if call == "open"
                && let Some(errno) = AMBIGUOUS.get(nth % AMBIGUOUS.len())
            {
                rules.push(Rule {
                    call,
                    nth,
                    lasting: nth % 4 == 0,
                    errno: *errno,
                });
            }
        }
    }
    let lanes = rules.chunks(rules.len().div_ceil(2));
    std::thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(move || {
                for rule in lane {
                    run(Some(*rule));
                }
            });
        }
    });
}
