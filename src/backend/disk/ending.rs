//! How an upload ends: with its object, without, or set aside where it has lost its record.

use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::files::{self, Look, error};
use super::index::Position;
use super::store::{Store, is_random_name, random_name};
use super::upload::{Found, directory, find, no_upload, read, record_path};
use crate::s3::call::OnUpload;
use crate::s3::{BucketName, Error};

/// Ends an upload without an object. One whose record is damaged or missing has lost its key, and may be
/// ended by whoever knows its id: nobody else could, and until then it fails every page of its bucket's
/// uploads. What is left of it is kept.
pub(super) fn abort(store: &Store, upload: &OnUpload) -> Result<(), Error> {
    drop(store.bucket(&upload.bucket)?);
    match is_random_name(&upload.upload_id) && has_lost_its_record(store, upload)? {
        true => set_aside(store, upload),
        false => remove(store, upload),
    }
}

fn has_lost_its_record(store: &Store, upload: &OnUpload) -> Result<bool, Error> {
    let id = upload.upload_id.as_str();
    match read(store, &upload.bucket, id)? {
        Found::Sound(_) => Ok(false),
        Found::Damaged => Ok(true),
        Found::Nothing => is_there(store, &upload.bucket, id),
    }
}

/// Whether an upload's directory is there, whatever is in it.
pub(super) fn is_there(store: &Store, bucket: &BucketName, id: &str) -> Result<bool, Error> {
    let path = directory(bucket, id);
    let looked = files::look_into(store.root(), &path);
    let looked = looked.map_err(|errno| error("look into an upload", errno))?;
    Ok(matches!(looked, Look::Directory(_)))
}

/// Moves an upload that lost its record to where it is in nobody's way.
fn set_aside(store: &Store, upload: &OnUpload) -> Result<(), Error> {
    let (bucket, id) = (&upload.bucket, upload.upload_id.as_str());
    let _placing = store.placing(bucket);
    let uploads = store.inside(bucket, "uploads")?;
    let index = store.uploads.index(bucket);
    let mut held = index.lock();
    held.unsure();
    store
        .keep_foreign(&directory(bucket, id), id)
        .map_err(|errno| match errno {
            Errno::NOENT => no_upload(id),
            errno => error("set an upload aside", errno),
        })?;
    drop(held);
    store.sync_directory(uploads.as_fd())
}

/// Out of sight first, then its files.
pub(super) fn remove(store: &Store, upload: &OnUpload) -> Result<(), Error> {
    let id = upload.upload_id.as_str();
    let record = find(store, upload)?;
    let position = Position::of(id, &record).ok_or_else(|| no_upload(id))?;
    let _placing = store.placing(&upload.bucket);
    let uploads = store.inside(&upload.bucket, "uploads")?;
    let away = format!("staging/{}", random_name()?);
    let index = store.uploads.index(&upload.bucket);
    {
        let mut held = index.lock();
        match files::rename(uploads.as_fd(), id, store.root(), &away) {
            Ok(()) => held.remove(&position),
            Err(Errno::NOENT) => {
                held.remove(&position);
                return Err(no_upload(id));
            }
            Err(errno) => {
                held.unsure();
                return Err(error("remove an upload", errno));
            }
        }
        store
            .uploads
            .end(&record_path(&upload.bucket, id), position);
    }
    store.sync_directory(uploads.as_fd())?;
    // It is gone. What is left of it is the collector's, should this fail.
    store.clear_away(&away);
    Ok(())
}
