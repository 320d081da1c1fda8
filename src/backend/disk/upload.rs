//! Multipart uploads: a directory each, with what it was opened with and its parts in files of the
//! object form.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::ending;
use super::files::{self, Is, LookAtFile, error};
use super::index::{Held, Position};
use super::opened::{Opened, Trouble};
use super::record::Record;
use super::store::{Store, is_random_name, random_name};
use super::write::Draft;
use crate::backend::{ListedObject, ListedPart, PartPage};
use crate::s3::call::{CreateMultipartUpload, ListParts, OnUpload};
use crate::s3::{
    BucketName, ChecksumAlgorithm, ChecksumRequest, ChecksumType, ETag, Error, ErrorCode,
    ObjectMetadata,
};

/// What an upload was opened with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadRecord {
    pub(super) key: String,
    pub(super) initiated: i128,
    standard: Vec<(String, String)>,
    user: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<(String, String)>,
    /// Algorithm, and whether the object's checksum is composite.
    checksum: Option<(String, bool)>,
}

impl UploadRecord {
    fn of(call: &CreateMultipartUpload, now: OffsetDateTime) -> Self {
        Self {
            key: call.key.to_string(),
            initiated: now.unix_timestamp_nanos(),
            standard: call
                .metadata
                .standard
                .iter()
                .map(|(n, v)| ((*n).to_owned(), v.clone()))
                .collect(),
            user: call.metadata.user.clone(),
            tags: call
                .tags
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            checksum: call.checksum.map(|(algorithm, kind)| {
                (algorithm.name().to_owned(), kind == ChecksumType::Composite)
            }),
        }
    }

    pub(super) fn checksum(&self) -> Option<(ChecksumAlgorithm, ChecksumType)> {
        let (algorithm, composite) = self.checksum.as_ref()?;
        let kind = if *composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        };
        Some((ChecksumAlgorithm::from_name(algorithm)?, kind))
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let pairs = [&self.standard, &self.user, &self.tags];
        let texts = pairs.into_iter().flatten();
        let texts = texts.map(|(name, value)| name.len() + value.len() + 48);
        320 + self.key.len() + texts.sum::<usize>()
    }

    pub(super) fn metadata(&self) -> ObjectMetadata {
        let record = Record {
            key: String::new(),
            size: 0,
            etag: String::new(),
            modified: 0,
            checksum: None,
            manifest: None,
            standard: self.standard.clone(),
            user: self.user.clone(),
            tags: Vec::new(),
        };
        record.metadata()
    }
}

pub(super) fn directory(bucket: &BucketName, id: &str) -> String {
    format!("buckets/{bucket}/uploads/{id}")
}

/// Where an upload's record is.
pub(super) fn record_path(bucket: &BucketName, id: &str) -> String {
    format!("{}/upload", directory(bucket, id))
}

pub(super) fn no_upload(id: &str) -> Error {
    Error::new(ErrorCode::NoSuchUpload).detail("UploadId", id)
}

/// What is at an upload's place.
pub(super) enum Found {
    Nothing,
    Damaged,
    Sound(Arc<UploadRecord>),
}

impl Found {
    pub(super) fn sound(self) -> Option<Arc<UploadRecord>> {
        match self {
            Self::Sound(record) => Some(record),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

/// The upload's record; `NoSuchUpload` unless it is there and for this key.
pub(super) fn find(store: &Store, upload: &OnUpload) -> Result<Arc<UploadRecord>, Error> {
    let missing = || no_upload(&upload.upload_id);
    drop(store.bucket(&upload.bucket)?);
    // Never a path (T69).
    if !is_random_name(&upload.upload_id) {
        return Err(missing());
    }
    match read(store, &upload.bucket, &upload.upload_id)? {
        Found::Sound(record) if record.key == upload.key.as_str() => Ok(record),
        // It comes and goes with its record: without one it is damaged, and not gone.
        Found::Nothing if ending::is_there(store, &upload.bucket, &upload.upload_id)? => {
            Err(Error::internal("the upload's record is missing"))
        }
        Found::Sound(_) | Found::Nothing => Err(missing()),
        Found::Damaged => Err(Error::internal("the upload's record is damaged")),
    }
}

/// An upload that was there not long ago: it need not be looked for before a part is asked for. Whoever
/// brings the part to it will see.
pub(super) fn seen(store: &Store, upload: &OnUpload) -> Option<Arc<UploadRecord>> {
    let known = store
        .uploads
        .record(&record_path(&upload.bucket, &upload.upload_id))?;
    let is_it = is_random_name(&upload.upload_id) && known.key == upload.key.as_str();
    is_it.then_some(known)
}

/// Refuses a part whose checksum is of another kind than the upload's: the object's could not be made of it.
pub(super) fn check_algorithm(
    record: &UploadRecord,
    given: Option<&ChecksumRequest>,
) -> Result<(), Error> {
    match (record.checksum(), given) {
        (Some((asked, _)), Some(given)) if asked != given.algorithm => {
            let [asked, given] =
                [asked, given.algorithm].map(|algorithm| algorithm.name().to_ascii_lowercase());
            let message = format!(
                "Checksum Type mismatch occurred, expected checksum Type: {asked}, actual checksum Type: {given}"
            );
            Err(Error::with_message(ErrorCode::InvalidRequest, message))
        }
        _ => Ok(()),
    }
}

/// Reads an upload's record.
pub(super) fn read(store: &Store, bucket: &BucketName, id: &str) -> Result<Found, Error> {
    let path = record_path(bucket, id);
    if let Some(known) = store.uploads.record(&path) {
        return Ok(Found::Sound(known));
    }
    let found = read_record(store, &path).map_err(|errno| error("read an upload", errno))?;
    if let Found::Sound(record) = &found {
        store.uploads.remember(&path, record.clone());
    }
    Ok(found)
}

/// Reads the record at a path, whatever is remembered.
pub(super) fn read_record(store: &Store, path: &str) -> Result<Found, Errno> {
    let (file, stat) = match files::look_at_file(store.root(), path)? {
        LookAtFile::File(file, stat) => (file, stat),
        LookAtFile::Nothing => return Ok(Found::Nothing),
        LookAtFile::Foreign(at) => {
            let what = "no regular file, in the place of an upload's record";
            store.faults.foreign(at, what);
            return Ok(Found::Nothing);
        }
    };
    let length = usize::try_from(files::length(&stat)).map_err(|_| Errno::FBIG)?;
    let bytes = files::read_at(file.as_fd(), 0, length)?;
    Ok(match serde_json::from_slice::<UploadRecord>(&bytes) {
        Ok(record) => Found::Sound(Arc::new(record)),
        Err(_) => {
            store.faults.damaged(path, "it is no upload's record");
            Found::Damaged
        }
    })
}

pub(super) fn create(
    store: &Store,
    call: &CreateMultipartUpload,
    now: OffsetDateTime,
) -> Result<String, Error> {
    drop(store.bucket(&call.bucket)?);
    let id = random_name()?;
    let record = UploadRecord::of(call, now);
    let position = Position::of(&id, &record).ok_or_else(|| Error::internal("no upload's id"))?;
    let bytes = serde_json::to_vec(&record).map_err(Error::internal)?;
    let uploads = store.inside(&call.bucket, "uploads")?;
    // Made aside and moved into place, so that a crash leaves no upload without its record.
    let staged = format!("staging/{id}");
    let make = || -> Result<(), Errno> {
        let staging = files::open_directory(store.root(), "staging")?;
        files::make_directory(staging.as_fd(), &id)?;
        let file = files::create_file(store.root(), &format!("{staged}/upload"))?;
        files::write_all(file.as_fd(), &bytes)?;
        files::sync(file.as_fd())?;
        files::sync(files::open_directory(store.root(), &staged)?.as_fd())
    };
    // A bucket that is removed meanwhile has no uploads, and another index.
    let placing = store.placing(&call.bucket);
    drop(store.bucket(&call.bucket)?);
    let index = store.uploads.index(&call.bucket);
    let place = || -> Result<(), Errno> {
        let mut held = index.lock();
        files::rename(store.root(), &staged, uploads.as_fd(), &id)?;
        held.insert(position, record.checksum());
        drop(held);
        files::sync(uploads.as_fd())
    };
    if let Err(errno) = make().and_then(|()| place()) {
        let held = index.lock();
        take_back(store, &call.bucket, held, uploads.as_fd(), &id);
        store.clear_away(&staged);
        return Err(error("open an upload", errno));
    }
    drop(index);
    drop(placing);
    store.make_bucket_durable(&call.bucket)?;
    store.uploads.trim();
    Ok(id)
}

/// Moves an upload out of sight that could not be made, or not durably: it may have been moved into place
/// by what failed then.
fn take_back(
    store: &Store,
    bucket: &BucketName,
    mut held: Held<'_>,
    uploads: BorrowedFd<'_>,
    id: &str,
) {
    held.unsure();
    match files::rename(uploads, id, store.root(), &format!("staging/{id}")) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => {
            tracing::warn!(%errno, id, "an upload that nobody knows of is left");
            store.is_not_durable(bucket);
        }
    }
}

/// Moves a finished draft to its part, durably.
pub(super) fn commit_part(
    store: &Store,
    upload: &OnUpload,
    number: u16,
    draft: Draft,
) -> Result<(), Error> {
    let path = directory(&upload.bucket, &upload.upload_id);
    let gone = |errno| match errno {
        Errno::NOENT => no_upload(&upload.upload_id),
        errno => error("keep a part", errno),
    };
    let target = files::open_directory(store.root(), &path).map_err(gone)?;
    let staging = store.inside(&upload.bucket, "tmp")?;
    let number = number.to_string();
    store.check_replaceable(target.as_fd(), &number, &format!("{path}/{number}"))?;
    files::rename(staging.as_fd(), &draft.name, target.as_fd(), &number).map_err(gone)?;
    draft.keep();
    store.sync_directory(target.as_fd())?;
    store.make_bucket_durable(&upload.bucket)
}

/// The number that a part's file has for a name.
pub(super) fn part_number(name: &str) -> Option<u16> {
    let number = name.parse::<u16>().ok()?;
    (number.to_string() == name).then_some(number)
}

/// The parts there are, ascending.
fn parts(store: &Store, upload: &OnUpload) -> Result<Vec<u16>, Error> {
    let path = directory(&upload.bucket, &upload.upload_id);
    let names = match files::names(store.root(), &path) {
        Err(Errno::NOENT) => return Err(no_upload(&upload.upload_id)),
        other => other.map_err(|e| error("list parts", e))?,
    };
    let mut numbers = Vec::new();
    for (name, is) in names {
        match part_number(&name) {
            Some(number) if is == Is::File => numbers.push(number),
            _ if name == "upload" => {}
            _ => store
                .faults
                .foreign(&format!("{path}/{name}"), "no part's name or kind"),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn open_part(
    store: &Store,
    upload: &OnUpload,
    number: u16,
) -> Result<Option<Opened>, Error> {
    Ok(store.open_record(&part_path(upload, number))?)
}

fn part_path(upload: &OnUpload, number: u16) -> String {
    format!("{}/{number}", directory(&upload.bucket, &upload.upload_id))
}

/// A damaged part as a page tells it: by its name and its file, as a damaged object.
fn damaged_part(part_number: u16, damaged: ListedObject) -> ListedPart {
    ListedPart {
        part_number,
        size: damaged.size,
        etag: damaged.etag,
        last_modified: damaged.last_modified,
        checksum: None,
    }
}

pub(super) fn list_parts(store: &Store, call: &ListParts) -> Result<PartPage, Error> {
    let record = find(store, &call.upload)?;
    let mut page = PartPage {
        checksum: record.checksum(),
        ..PartPage::default()
    };
    for number in parts(store, &call.upload)?
        .into_iter()
        .filter(|number| *number > call.after)
    {
        if page.parts.len() >= call.max_parts as usize {
            page.truncated = true;
            break;
        }
        let path = part_path(&call.upload, number);
        let part = match store.open_record(&path) {
            Ok(Some(part)) => part,
            // Gone, with the upload, or not the store's.
            Ok(None) | Err(Trouble::Foreign { .. }) => continue,
            Err(trouble) => match trouble.listed(path) {
                Some(damaged) => {
                    page.parts.push(damaged_part(number, damaged));
                    continue;
                }
                None => return Err(trouble.into()),
            },
        };
        page.parts.push(ListedPart {
            part_number: number,
            size: part.record.size,
            etag: ETag(part.record.etag.clone()),
            last_modified: part.record.modified(),
            checksum: part
                .record
                .stored_checksum()
                .map(|stored| stored.checksum)
                .filter(|c| record.checksum().is_some_and(|(a, _)| a == c.algorithm)),
        });
    }
    Ok(page)
}
