//! One object: what a read asks for, what a write must find, and how it gets to its key.

use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use time::OffsetDateTime;

use super::opened::Opened;
use super::record::Record;
use super::store::{Place, Store};
use super::write::Draft;
use super::{files, parts, read, upload as uploading};
use crate::backend::{Body, Deleted, Object, Written, full_object};
use crate::fair::Asker;
use crate::s3::call::{DeleteObject, OnUpload, PutObject, ReadObject};
use crate::s3::{
    BucketName, Checksum, ContentRange, ETag, Error, ErrorCode, ObjectKey, Verdict,
    WriteConditions, time::http_date,
};

/// How often an object is looked at anew whose parts went meanwhile, since it was replaced.
const ATTEMPTS: usize = 16;

/// A version that is asked for: this store keeps one, which S3 calls `null`.
fn current_version(version_id: Option<&str>) -> Result<(), Error> {
    match version_id {
        None | Some("null") => Ok(()),
        Some(other) if !is_version_id(other) => {
            let message = "Invalid version id specified";
            Err(Error::with_message(ErrorCode::InvalidArgument, message)
                .detail("ArgumentName", "versionId")
                .detail("ArgumentValue", other))
        }
        Some(other) => Err(Error::new(ErrorCode::NoSuchVersion).detail("VersionId", other)),
    }
}

/// Whether a text could be a version that S3 has named: 32 letters, digits and a few signs.
fn is_version_id(text: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() == 32 && text.bytes().all(sign)
}

/// Conditions on what is there before a write.
pub(super) fn check_write(
    conditions: &WriteConditions,
    current: Option<&Opened>,
) -> Result<(), Error> {
    if conditions.is_empty() {
        return Ok(());
    }
    if conditions.if_match.is_some() && current.is_none() {
        return Err(ErrorCode::NoSuchKey.into());
    }
    match conditions.verdict(current.map(|opened| opened.record.info()).as_ref()) {
        Verdict::Proceed => Ok(()),
        Verdict::NotModified | Verdict::Failed => {
            let name = if conditions.if_none_match {
                "If-None-Match"
            } else {
                "If-Match"
            };
            Err(Error::new(ErrorCode::PreconditionFailed).detail("Condition", name))
        }
    }
}

/// Opens the object that a key holds.
pub(super) fn current(
    store: &Store,
    bucket: &BucketName,
    key: &ObjectKey,
    version_id: Option<&str>,
) -> Result<Opened, Error> {
    current_version(version_id)?;
    let seen = store.seen(bucket, key.as_str());
    let place = Place::of(bucket, key.as_str());
    let Some(opened) = store.read_object(&place)? else {
        drop(store.bucket(bucket)?);
        return Err(Error::new(ErrorCode::NoSuchKey).detail("Key", key.as_str()));
    };
    if opened.record.key != key.as_str() {
        let what = "it holds another key's object";
        store.faults.damaged(&place.path(), what);
        return Err(Error::internal(what));
    }
    store.remember(bucket, key.as_str(), seen, &opened);
    Ok(opened)
}

/// Opens what a read asks for and checks its conditions.
pub(super) fn open(store: &Store, call: &ReadObject) -> Result<Opened, Error> {
    let opened = current(store, &call.bucket, &call.key, call.version_id.as_deref())?;
    check_read(call, &opened.record)?;
    Ok(opened)
}

/// Opens what a copy reads: conditions on it are conditions on the copy.
pub(super) fn open_source(store: &Store, call: &ReadObject) -> Result<Opened, Error> {
    open(store, call).map_err(as_source)
}

pub(super) fn as_source(error: Error) -> Error {
    match error.code() {
        ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
        _ => error,
    }
}

/// Conditions on what is read.
fn check_read(call: &ReadObject, record: &Record) -> Result<(), Error> {
    let etag = ETag(record.etag.clone());
    let refuse = |code| {
        Error::new(code)
            .detail("ETag", etag.quoted())
            .detail("LastModified", http_date(record.modified()))
    };
    match call.conditions.verdict(&etag, record.modified()) {
        Verdict::Proceed => Ok(()),
        Verdict::NotModified => Err(refuse(ErrorCode::NotModified)),
        Verdict::Failed => Err(refuse(ErrorCode::PreconditionFailed)),
    }
}

/// What is asked of an object that is remembered: answered without a system call. `None` where the
/// disk has to be asked.
pub(super) fn remembered(
    store: &Store,
    call: &ReadObject,
    head: bool,
) -> Option<Result<Object, Error>> {
    let known = store.objects.get(&call.bucket, call.key.as_str())?;
    if !head && known.bytes.is_none() && known.record.size > 0 {
        return None;
    }
    let answer = || {
        current_version(call.version_id.as_deref())?;
        check_read(call, &known.record)?;
        let range = extent(call, &known.record)?;
        let body = match &known.bytes {
            Some(bytes) if !head => within(bytes, range)?,
            _ => Body::Empty,
        };
        let info = known.record.info();
        Ok(Object { info, range, body })
    };
    Some(answer())
}

fn within(bytes: &Bytes, range: Option<ContentRange>) -> Result<Body, Error> {
    let Some(range) = range else {
        return Ok(match bytes.is_empty() {
            true => Body::Empty,
            false => Body::Whole(bytes.clone()),
        });
    };
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let (first, end) = (at(range.first), at(range.last.saturating_add(1)));
    match first < end && end <= bytes.len() {
        true => Ok(Body::Whole(bytes.slice(first..end))),
        false => Err(Error::internal("a range lies beyond an object's end")),
    }
}

/// What is known of an object.
pub(super) fn head(store: &Store, call: &ReadObject) -> Result<Object, Error> {
    let opened = open(store, call)?;
    let range = extent(call, &opened.record)?;
    Ok(Object {
        info: opened.record.info(),
        range,
        body: Body::Empty,
    })
}

/// The bytes that a read asks for.
pub(super) fn extent(call: &ReadObject, record: &Record) -> Result<Option<ContentRange>, Error> {
    let unsatisfiable = || {
        let error =
            Error::new(ErrorCode::InvalidRange).detail("ActualObjectSize", record.size.to_string());
        match call.range {
            Some(range) => error.detail("RangeRequested", range.to_string()),
            None => error,
        }
    };
    match (call.range, call.part_number) {
        (Some(range), _) => range.resolve(record.size).map_err(|_| unsatisfiable()),
        (None, None) => Ok(None),
        (None, Some(number)) => part_extent(record, number),
    }
}

/// The bytes of a part, counted from 1 in the order they stand; a simple object is its only one.
fn part_extent(record: &Record, number: u16) -> Result<Option<ContentRange>, Error> {
    let no_part = || {
        Error::new(ErrorCode::InvalidPartNumber).detail("PartNumberRequested", number.to_string())
    };
    let sizes: Vec<u64> = match &record.manifest {
        Some(manifest) => manifest.parts.iter().map(|(_, size)| *size).collect(),
        None => vec![record.size],
    };
    let at = usize::from(number).checked_sub(1).ok_or_else(no_part)?;
    let size = *sizes.get(at).ok_or_else(no_part)?;
    let first: u64 = sizes.iter().take(at).sum();
    match size {
        0 => Ok(None),
        size => Ok(Some(ContentRange {
            first,
            last: first.saturating_add(size).saturating_sub(1),
            size: record.size,
        })),
    }
}

pub(super) fn written(record: &Record) -> Written {
    Written {
        etag: ETag(record.etag.clone()),
        checksum: record.stored_checksum(),
        last_modified: record.modified(),
        size: Some(record.size),
        version_id: None,
    }
}

pub(super) fn read(store: &Arc<Store>, call: &ReadObject, asker: Asker) -> Result<Object, Error> {
    let (info, range, body) = open_body(store, call, asker, |record| record.info())?;
    Ok(Object { info, range, body })
}

/// What is asked of an object's record, and the bytes that belong to it.
pub(super) fn open_body<T>(
    store: &Arc<Store>,
    call: &ReadObject,
    asker: Asker,
    tell: impl Fn(&Arc<Record>) -> T,
) -> Result<(T, Option<ContentRange>, Body), Error> {
    let mut attempts = 0;
    loop {
        let opened = open(store, call)?;
        let range = extent(call, &opened.record)?;
        let told = tell(&opened.record);
        let whole = (0, opened.record.size);
        let (offset, length) = range.map_or(whole, |range| (range.first, range.length()));
        let manifest = opened.record.manifest.as_ref();
        let parts = manifest.map(|m| parts::path(&call.bucket, &m.directory));
        let body = read::body(store, &call.bucket, asker, opened, offset, length)?;
        // Parts that went between the look at the manifest and the count of its readers belong to an
        // object that has been replaced: what replaced it is read.
        let there = match &parts {
            Some(path) if store.parts_are_going(path) => Err(Errno::NOENT),
            Some(path) => files::open_directory(store.root(), path).map(drop),
            None => Ok(()),
        };
        match there {
            Ok(()) => return Ok((told, range, body)),
            Err(Errno::NOENT) if attempts < ATTEMPTS => {}
            Err(Errno::NOENT) => {
                let what = "the parts of an object are missing";
                if let Some(path) = &parts {
                    store.faults.damaged(path, what);
                }
                return Err(Error::internal(what));
            }
            Err(errno) => return Err(files::error("open an object's parts", errno)),
        }
        attempts += 1;
    }
}

/// Takes a draft to its key.
pub(super) fn commit(
    store: &Store,
    call: &PutObject,
    mut draft: Draft,
    checksum: Option<Checksum>,
) -> Result<Written, Error> {
    let checksum = checksum.map(full_object);
    let etag = hex::encode(draft.md5());
    let key = call.key.as_str();
    let record = Record::new(
        key,
        draft.size,
        etag,
        OffsetDateTime::now_utc(),
        &call.metadata,
        checksum.as_ref(),
    );
    let record = record.tagged(&call.tags);
    draft.finish(&record)?;
    let place = Place::of(&call.bucket, key);
    store.commit(
        &place,
        &record,
        &draft.name,
        !call.conditions.is_empty(),
        |current| check_write(&call.conditions, current),
    )?;
    draft.keep();
    Ok(written(&record))
}

pub(super) fn delete(store: &Store, call: &DeleteObject) -> Result<Deleted, Error> {
    match current_version(call.version_id.as_deref()) {
        Ok(()) => {}
        // A version that never was is as gone as it can be.
        Err(error) if error.code() == ErrorCode::NoSuchVersion => {
            return store.bucket(&call.bucket).map(|_| Deleted::default());
        }
        Err(error) => return Err(error),
    }
    let conditions = WriteConditions {
        if_match: call.if_match.clone(),
        if_none_match: false,
    };
    store.delete(
        &call.bucket,
        call.key.as_str(),
        !conditions.is_empty(),
        |current| check_write(&conditions, current),
    )?;
    Ok(Deleted::default())
}

pub(super) fn commit_part(
    store: &Store,
    upload: &OnUpload,
    number: u16,
    mut draft: Draft,
    checksum: Option<Checksum>,
) -> Result<Written, Error> {
    let checksum = checksum.map(full_object);
    let metadata = crate::s3::ObjectMetadata::default();
    let record = Record::new(
        upload.key.as_str(),
        draft.size,
        hex::encode(draft.md5()),
        OffsetDateTime::now_utc(),
        &metadata,
        checksum.as_ref(),
    );
    draft.finish(&record)?;
    uploading::commit_part(store, upload, number, draft)?;
    Ok(written(&record))
}
