//! Removes, beside the requests, what a crash left: parts that no object names, uploads that were
//! completed, what was being made or removed. What cannot be proved to be garbage stays.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::files::{self, Is};
use super::store::{Place, Store, Trouble, is_random_name};
use super::{parts, upload};
use crate::s3::{BucketName, Error, ObjectKey, call::OnUpload};

/// Goes through the whole store once, or until it is closed.
pub(super) fn collect(store: &Arc<Store>, left: &[String]) {
    for name in left {
        if store.closing.load(Ordering::Relaxed) {
            return;
        }
        store.clear_away(&format!("staging/{name}"));
    }
    let buckets = match store.buckets() {
        Ok(buckets) => buckets,
        Err(error) => return tracing::warn!(%error, "leftovers cannot be looked for"),
    };
    for bucket in buckets {
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
    for (name, _) in files::names(store.root(), "staging")? {
        match is_random_name(&name) {
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
    for (directory, is) in names(store, &above)? {
        if store.closing.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = parts::path(bucket, &directory);
        if is != Is::Directory || !is_random_name(&directory) {
            store.faults.foreign(&path, "no directory of parts");
            continue;
        }
        if let Err(error) = collect_directory(store, bucket, &directory) {
            tracing::warn!(%error, path, "parts are kept: whether an object names them is not known");
        }
    }
    Ok(())
}

/// Whose a directory of parts is.
#[derive(Debug)]
pub(super) enum Owner {
    /// Nobody's: nothing was linked into it.
    Nobody,
    /// Some object's, which its parts are too damaged to tell.
    Unknown,
    /// Its parts say this key.
    Key(String),
}

/// Each part says which key it belongs to.
pub(super) fn owner(store: &Store, bucket: &BucketName, directory: &str) -> Result<Owner, Error> {
    let path = parts::path(bucket, directory);
    let mut numbers = names(store, &path)?;
    numbers.retain(|(name, is)| *is == Is::File && name.parse::<u16>().is_ok());
    for (number, _) in &numbers {
        match store.open_record(&format!("{path}/{number}")) {
            Ok(Some(part)) => return Ok(Owner::Key(part.record.key.clone())),
            Ok(None) | Err(Trouble::Damaged { .. }) => {}
            Err(trouble) => return Err(trouble.into()),
        }
    }
    Ok(match numbers.is_empty() {
        true => Owner::Nobody,
        false => Owner::Unknown,
    })
}

/// Removes a directory of parts that is proved to be garbage.
pub(super) fn collect_directory(
    store: &Store,
    bucket: &BucketName,
    directory: &str,
) -> Result<(), Error> {
    let path = parts::path(bucket, directory);
    let key = match owner(store, bucket, directory)? {
        Owner::Key(key) => key,
        Owner::Nobody if !store.parts_are_used(bucket, directory) => {
            let parent = files::open_directory(store.root(), &format!("buckets/{bucket}/parts"));
            let removed = parent.and_then(|parent| {
                files::remove_directory(std::os::fd::AsFd::as_fd(&parent), directory)
            });
            return match removed {
                Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
                Err(errno) => Err(files::error("remove a directory of parts", errno)),
            };
        }
        Owner::Nobody | Owner::Unknown => return Ok(()),
    };
    let place = Place::of(bucket, &key);
    // While the key is held, nobody brings these parts to it; whoever is about to has said so.
    let _changing = store.changing(bucket, &key);
    if store.parts_are_used(bucket, directory) {
        return Ok(());
    }
    let current = store.open_object(&place)?;
    if !current.is_some_and(|current| current.record.names(directory)) {
        tracing::info!(path, key, "parts that no object names are removed");
        store.discard_parts(bucket, directory);
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
            continue;
        }
        let Some(record) = upload::read(store, bucket, &id)?.sound() else {
            continue;
        };
        match completed(store, bucket, &id, &record.key) {
            Ok(Some(upload)) => upload::remove(store, &upload)?,
            Ok(None) => {}
            Err(trouble) => {
                let error = Error::from(trouble);
                tracing::warn!(%error, id, "an upload is kept: whether it was completed is not known");
            }
        }
    }
    Ok(())
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
