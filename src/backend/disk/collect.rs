//! Removes, beside the requests, what a crash left: parts that no object names, uploads that were
//! completed, what was being made or removed. What cannot be proved to be garbage stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::files::{self, Is};
use super::opened::Trouble;
use super::spared::spared;
use super::store::{Place, Store, is_random_name};
use super::{ending, parts, upload};
use crate::s3::{BucketName, Error, ObjectKey, call::OnUpload};

/// Goes through the whole store once, or until it is closed.
pub(super) fn collect(store: &Arc<Store>, left: &[String]) {
    for name in left {
        if store.closing.load(Ordering::Relaxed) {
            return;
        }
        store.clear_away(&format!("staging/{name}"));
    }
    let buckets = match store.each_bucket() {
        Ok(buckets) => buckets,
        Err(error) => return tracing::warn!(%error, "leftovers cannot be looked for"),
    };
    for (bucket, looked) in buckets {
        if let Err(errno) = looked {
            tracing::warn!(%errno, %bucket, "leftovers of a bucket cannot be looked for");
            continue;
        }
        if let Err(error) = collect_parts(store, &bucket) {
            tracing::warn!(%error, %bucket, "parts that nobody names cannot be looked for");
        }
        if let Err(error) = collect_uploads(store, &bucket) {
            tracing::warn!(%error, %bucket, "uploads that were completed cannot be looked for");
        }
    }
}

/// What stands in `staging` before anything is made there.
pub(super) fn left_in_staging(store: &Store) -> Result<Vec<String>, Errno> {
    let mut left = Vec::new();
    for (name, is) in files::names(store.root(), "staging")? {
        match is_random_name(&name) && is != Is::Other {
            true => left.push(name),
            false => store
                .faults
                .foreign(&format!("staging/{name}"), "nothing that was being made"),
        }
    }
    Ok(left)
}

fn names(store: &Store, path: &str) -> Result<Vec<(String, Is)>, Error> {
    match files::names(store.root(), path) {
        Err(Errno::NOENT) => Ok(Vec::new()),
        other => other.map_err(|errno| files::error("list", errno)),
    }
}

/// Each part says which key it belongs to, and that key's object names the directory, or nobody does.
fn collect_parts(store: &Store, bucket: &BucketName) -> Result<(), Error> {
    let above = format!("buckets/{bucket}/parts");
    let mut unnamed = BTreeSet::new();
    for (directory, is) in names(store, &above)? {
        if store.closing.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = parts::path(bucket, &directory);
        if is != Is::Directory || !is_random_name(&directory) {
            store.faults.foreign(&path, "no directory of parts");
            continue;
        }
        match is_named(store, bucket, &directory) {
            Ok(true) => {}
            Ok(false) => drop(unnamed.insert(directory)),
            Err(error) => kept(&path, &error),
        }
    }
    if unnamed.is_empty() {
        return Ok(());
    }
    // Few starts find any, so that few have to read every object.
    for directory in spared(store, bucket, &unnamed)? {
        let path = parts::path(bucket, &directory);
        tracing::warn!(
            path,
            "parts are kept: an object at another key's place names them"
        );
        unnamed.remove(&directory);
    }
    for directory in unnamed {
        if let Err(error) = collect_directory(store, bucket, &directory) {
            kept(&parts::path(bucket, &directory), &error);
        }
    }
    Ok(())
}

fn kept(path: &str, error: &Error) {
    tracing::warn!(%error, path, "parts are kept: whether an object names them is not known");
}

/// Whether the object of the key that a directory's parts say names it, or somebody uses it.
fn is_named(store: &Store, bucket: &BucketName, directory: &str) -> Result<bool, Error> {
    let found = owners(store, bucket, directory, false)?;
    let Some(key) = found.keys.first() else {
        return Ok(store.parts_are_used(bucket, directory));
    };
    let current = store.open_object(&Place::of(bucket, key))?;
    Ok(
        current.is_some_and(|current| current.record.names(directory))
            || store.parts_are_used(bucket, directory),
    )
}

/// What a directory of parts says of whose it is.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The keys that its parts say.
    pub(super) keys: BTreeSet<String>,
    /// Whether it has a part that is too damaged to say one.
    pub(super) unclear: bool,
}

impl Owners {
    /// Whether every part says this one key.
    pub(super) fn agree_on(&self, key: &str) -> bool {
        !self.unclear && self.keys.len() == 1 && self.keys.contains(key)
    }
}

/// Each part says which key it belongs to; the first one that does, or all.
pub(super) fn owners(
    store: &Store,
    bucket: &BucketName,
    directory: &str,
    all: bool,
) -> Result<Owners, Error> {
    owners_at(store, &parts::path(bucket, directory), all)
        .map_err(|errno| files::error("look whose parts they are", errno))
}

/// The same of a directory of parts wherever it is.
pub(super) fn owners_at(store: &Store, path: &str, all: bool) -> Result<Owners, Errno> {
    let mut owners = Owners::default();
    let names = match files::names(store.root(), path) {
        Err(Errno::NOENT) => return Ok(owners),
        other => other?,
    };
    for (number, is) in names {
        if is != Is::File || upload::part_number(&number).is_none() {
            continue;
        }
        match store.open_record(&format!("{path}/{number}")) {
            Ok(Some(part)) => {
                owners.keys.insert(part.record.key.clone());
                if !all {
                    break;
                }
            }
            Ok(None) => {}
            Err(Trouble::Damaged { .. } | Trouble::Foreign { .. }) => owners.unclear = true,
            Err(Trouble::Io(_, errno)) => return Err(errno),
        }
    }
    Ok(owners)
}

/// Removes a directory of parts that is proved to be garbage.
pub(super) fn collect_directory(
    store: &Store,
    bucket: &BucketName,
    directory: &str,
) -> Result<(), Error> {
    let path = parts::path(bucket, directory);
    let found = owners(store, bucket, directory, false)?;
    let Some(key) = found.keys.first() else {
        // Made, and nothing linked into it: nothing is lost with it. One of damaged parts stays.
        if found.unclear || store.parts_are_used(bucket, directory) {
            return Ok(());
        }
        let parent = files::open_directory(store.root(), &format!("buckets/{bucket}/parts"));
        let removed = parent.and_then(|parent| {
            files::remove_directory(std::os::fd::AsFd::as_fd(&parent), directory)
        });
        return match removed {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(errno) => Err(files::error("remove a directory of parts", errno)),
        };
    };
    let place = Place::of(bucket, key);
    // While the key is held, nobody brings these parts to it; whoever is about to has said so.
    let _changing = store.changing(bucket, key);
    if store.parts_are_used(bucket, directory) {
        return Ok(());
    }
    let current = store.open_object(&place)?;
    if current.is_some_and(|current| current.record.names(directory)) {
        return Ok(());
    }
    // What is there instead may have come, and not be durable: without it, these would be named again.
    store.make_durable(&place)?;
    // One file that strayed in here must not take another object's parts with it.
    if owners(store, bucket, directory, true)?.agree_on(key) {
        tracing::info!(path, key, "parts that no object names are removed");
        store.discard_parts(bucket, directory);
    } else {
        tracing::warn!(path, "parts are kept: they say different keys");
    }
    Ok(())
}

/// An upload whose object is there has been completed.
fn collect_uploads(store: &Store, bucket: &BucketName) -> Result<(), Error> {
    for (id, is) in names(store, &format!("buckets/{bucket}/uploads"))? {
        if store.closing.load(Ordering::Relaxed) {
            return Ok(());
        }
        if is != Is::Directory || !is_random_name(&id) {
            let path = upload::directory(bucket, &id);
            store.faults.foreign(&path, "no upload's name or kind");
            continue;
        }
        let Some(record) = upload::read(store, bucket, &id)?.sound() else {
            continue;
        };
        match completed(store, bucket, &id, &record.key) {
            Ok(Some(upload)) => remove_completed(store, &upload)?,
            Ok(None) => {}
            Err(trouble) => {
                let error = Error::from(trouble);
                tracing::warn!(%error, id, "an upload is kept: whether it was completed is not known");
            }
        }
    }
    Ok(())
}

/// Removes an upload that an object says it completed, once that is durable.
pub(super) fn remove_completed(store: &Store, upload: &OnUpload) -> Result<(), Error> {
    store.make_durable(&Place::of(&upload.bucket, upload.key.as_str()))?;
    ending::remove(store, upload)
}

/// The upload `id`, if the object of its key says that it completed it.
pub(super) fn completed(
    store: &Store,
    bucket: &BucketName,
    id: &str,
    key: &str,
) -> Result<Option<OnUpload>, Trouble> {
    let current = store.open_object(&Place::of(bucket, key))?;
    let made = |m: &super::record::Manifest| m.upload == id;
    let completed = current.is_some_and(|c| c.record.manifest.as_ref().is_some_and(made));
    Ok(match (completed, ObjectKey::parse(key)) {
        (true, Ok(key)) => Some(OnUpload {
            bucket: bucket.clone(),
            key,
            upload_id: id.to_owned(),
        }),
        _ => None,
    })
}
