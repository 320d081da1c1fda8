//! The bundled backend: a small S3 store on any POSIX file system. `FORMAT.md` describes its files.
//!
//! A write is acknowledged once its bytes, its metadata and its directory entry are durable. A reader
//! sees a whole object or none. Nothing outside the root is ever opened.

mod collect;
mod files;
mod list;
mod multipart;
mod name;
mod read;
mod record;
mod store;
mod sync;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_faults;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{
    Backend, Body, BucketInfo, CompletedPart, Deleted, Download, Object, ObjectPage, PartPage,
    Upload, UploadPage, Written, full_object,
};
use crate::authz::Granted;
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnUpload, PutObject,
    ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{
    ByteRange, Checksum, ChecksumAlgorithm, ContentRange, ETag, Error, ErrorCode, Hasher, Verdict,
    WriteConditions, time::http_date,
};
use record::Record;
use store::{Opened, Place, Store};
use write::{Draft, blocking, receive};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it survives a power cut.
    Strict,
    /// Once the kernel has it.
    Relaxed,
}

/// How the store is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its root directory, created when missing.
    pub path: PathBuf,
    /// When a write is acknowledged.
    pub durability: Durability,
}

/// The store.
#[derive(Debug)]
pub struct Disk {
    store: Arc<Store>,
    // Held as long as the store is open: two processes that shared it would not see each other's
    // locks.
    _lock: std::fs::File,
}

impl Disk {
    /// Opens the store, creating it when missing, and removes what a crash left.
    ///
    /// # Errors
    /// When the directory cannot be used, is of another format, or is in use.
    pub fn open(config: &Config) -> std::io::Result<Self> {
        collect::open(config).map(|(store, lock)| Self { store, _lock: lock })
    }
}

/// A version that is asked for: this store keeps one, which S3 calls `null`.
fn current_version(version_id: Option<&str>) -> Result<(), Error> {
    match version_id {
        None | Some("null") => Ok(()),
        Some(other) => Err(Error::new(ErrorCode::NoSuchVersion).detail("VersionId", other)),
    }
}

/// Conditions on what is there before a write.
fn check_write(conditions: &WriteConditions, current: Option<&Opened>) -> Result<(), Error> {
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

/// Opens what a read asks for and checks its conditions.
fn open(store: &Store, call: &ReadObject) -> Result<Opened, Error> {
    current_version(call.version_id.as_deref())?;
    let place = Place::of(&call.bucket, call.key.as_str());
    let Some(opened) = store.open_object(&place)? else {
        drop(store.bucket(&call.bucket)?);
        return Err(Error::new(ErrorCode::NoSuchKey).detail("Key", call.key.as_str()));
    };
    if opened.record.key != call.key.as_str() {
        return Err(Error::internal("a file holds another key's object"));
    }
    let etag = ETag(opened.record.etag.clone());
    let refuse = |code| {
        Error::new(code)
            .detail("ETag", etag.quoted())
            .detail("LastModified", http_date(opened.record.modified()))
    };
    match call.conditions.verdict(&etag, opened.record.modified()) {
        Verdict::Proceed => Ok(opened),
        Verdict::NotModified => Err(refuse(ErrorCode::NotModified)),
        Verdict::Failed => Err(refuse(ErrorCode::PreconditionFailed)),
    }
}

/// The bytes that a read asks for.
fn extent(call: &ReadObject, record: &Record) -> Result<Option<ContentRange>, Error> {
    let unsatisfiable = || {
        let error =
            Error::new(ErrorCode::InvalidRange).detail("ActualObjectSize", record.size.to_string());
        match call.range {
            Some(range) => error.detail("RangeRequested", range.to_string()),
            None => error,
        }
    };
    match (call.range, call.part_number) {
        (Some(range), _) => range
            .resolve(record.size)
            .map(Some)
            .map_err(|_| unsatisfiable()),
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

fn written(record: &Record) -> Written {
    Written {
        etag: ETag(record.etag.clone()),
        checksum: record.stored_checksum(),
        last_modified: record.modified(),
        size: Some(record.size),
        version_id: None,
    }
}

fn read(store: &Arc<Store>, call: &ReadObject) -> Result<Object, Error> {
    let mut attempts = 0;
    loop {
        let opened = open(store, call)?;
        let range = extent(call, &opened.record)?;
        let info = opened.record.info();
        let (offset, length) = range.map_or((0, info.size), |range| (range.first, range.length()));
        let parts = opened
            .record
            .manifest
            .as_ref()
            .map(|m| format!("buckets/{}/parts/{}", call.bucket, m.directory));
        let body = read::body(store, &call.bucket, opened, offset, length)?;
        // Parts that went between the look at the manifest and the count of its readers belong to an
        // object that has been replaced: what replaced it is read.
        let gone = parts.is_some_and(|path| files::open_directory(store.root(), &path).is_err());
        if !gone || attempts > 3 {
            return Ok(Object { info, range, body });
        }
        attempts += 1;
    }
}

/// Takes a draft to its key.
fn commit(
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
    draft.finish(&record)?;
    let place = Place::of(&call.bucket, key);
    store.commit(
        &place,
        key,
        &draft.name,
        !call.conditions.is_empty(),
        |current| check_write(&call.conditions, current),
    )?;
    draft.keep();
    Ok(written(&record))
}

/// Copies an object's bytes into a draft, checked as they are read.
async fn copy_into(
    store: &Arc<Store>,
    source: Granted<&ReadObject>,
    bucket: &crate::s3::BucketName,
    hasher: Option<Hasher>,
) -> Result<(Object, Draft, Option<Checksum>), Error> {
    let (from, call) = (store.clone(), ReadObject::clone(&source));
    let mut object = blocking(move || read(&from, &call))
        .await
        .map_err(|error| match error.code() {
            ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
            _ => error,
        })?;
    let (to, bucket) = (store.clone(), bucket.clone());
    let mut draft = blocking(move || Draft::new(to, &bucket)).await?;
    let mut hasher = hasher;
    let mut body = std::mem::replace(&mut object.body, Body::Empty);
    loop {
        let piece = match &mut body {
            Body::Empty => None,
            Body::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Body::Stream(stream) => Download::next(stream.as_mut()).await?,
        };
        let Some(bytes) = piece else { break };
        let taken = hasher;
        (draft, hasher) = blocking(move || {
            let (mut draft, mut hasher) = (draft, taken);
            draft.write(&bytes)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(&bytes);
            }
            Ok((draft, hasher))
        })
        .await?;
    }
    Ok((object, draft, hasher.map(Hasher::finish)))
}

#[async_trait]
impl Backend for Disk {
    async fn list_buckets(&self, _call: Granted<&ListBuckets>) -> Result<Vec<BucketInfo>, Error> {
        let store = self.store.clone();
        blocking(move || {
            let info = |name| BucketInfo {
                created: store.created(&name),
                name,
            };
            Ok(store.buckets()?.into_iter().map(info).collect())
        })
        .await
    }

    async fn create_bucket(&self, call: Granted<&CreateBucket>) -> Result<(), Error> {
        let (store, bucket) = (self.store.clone(), call.bucket.clone());
        blocking(move || store.create_bucket(&bucket, OffsetDateTime::now_utc())).await
    }

    async fn delete_bucket(&self, call: Granted<&OnBucket>) -> Result<(), Error> {
        let (store, bucket) = (self.store.clone(), call.bucket.clone());
        blocking(move || store.delete_bucket(&bucket)).await
    }

    async fn head_bucket(&self, call: Granted<&OnBucket>) -> Result<BucketInfo, Error> {
        let (store, bucket) = (self.store.clone(), call.bucket.clone());
        blocking(move || {
            drop(store.bucket(&bucket)?);
            Ok(BucketInfo {
                created: store.created(&bucket),
                name: bucket,
            })
        })
        .await
    }

    async fn list_objects(&self, call: Granted<&ListObjects>) -> Result<ObjectPage, Error> {
        let (store, call) = (self.store.clone(), ListObjects::clone(&call));
        blocking(move || list::objects(&store, &call)).await
    }

    async fn get_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        // On the reactor: an open and a read of what is small take less than a hop.
        read(&self.store, &call)
    }

    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        let opened = open(&self.store, &call)?;
        let range = extent(&call, &opened.record)?;
        Ok(Object {
            info: opened.record.info(),
            range,
            body: Body::Empty,
        })
    }

    async fn put_object(
        &self,
        call: Granted<&PutObject>,
        body: &mut dyn Upload,
    ) -> Result<Written, Error> {
        let (store, call) = (self.store.clone(), PutObject::clone(&call));
        drop(store.bucket(&call.bucket)?);
        if !call.conditions.is_empty() {
            // Looked at before a byte is asked for, and again when it counts.
            let current = store.open_object(&Place::of(&call.bucket, call.key.as_str()))?;
            check_write(&call.conditions, current.as_ref())?;
        }
        let bucket = call.bucket.clone();
        receive(store.clone(), bucket, body, move |draft, checksum| {
            commit(&store, &call, draft, checksum)
        })
        .await
    }

    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, Error> {
        let (store, call) = (self.store.clone(), DeleteObject::clone(&call));
        blocking(move || delete(&store, &call)).await
    }

    async fn delete_objects(
        &self,
        calls: &[Granted<DeleteObject>],
    ) -> Result<Vec<Result<Deleted, Error>>, Error> {
        let calls: Vec<DeleteObject> = calls.iter().map(|call| DeleteObject::clone(call)).collect();
        if let Some(first) = calls.first() {
            drop(self.store.bucket(&first.bucket)?);
        }
        let store = self.store.clone();
        // A few at a time, so that they share the syncs of their directories.
        blocking(move || {
            let lanes = calls.chunks(calls.len().div_ceil(16).max(1));
            let outcomes = std::thread::scope(|scope| {
                let store = &store;
                let lane = |calls: &'_ [DeleteObject]| {
                    calls
                        .iter()
                        .map(|call| delete(store, call))
                        .collect::<Vec<_>>()
                };
                let running: Vec<_> = lanes
                    .map(|calls| (calls.len(), scope.spawn(move || lane(calls))))
                    .collect();
                let ended = running.into_iter().map(|(count, thread)| {
                    thread.join().unwrap_or_else(|_| {
                        (0..count)
                            .map(|_| Err(Error::internal("a thread failed")))
                            .collect()
                    })
                });
                ended.flatten().collect::<Vec<_>>()
            });
            Ok(outcomes)
        })
        .await
    }

    async fn copy_object(&self, call: Granted<&CopyObject>) -> Result<Written, Error> {
        let store = &self.store;
        drop(store.bucket(&call.bucket)?);
        let source = call.source();
        // The source's algorithm is kept unless another is asked for.
        let known = open(store, &source).map_err(|error| match error.code() {
            ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
            _ => error,
        })?;
        let algorithm = call.checksum.or(known
            .record
            .stored_checksum()
            .map(|stored| stored.checksum.algorithm));
        let hasher = algorithm.map(Hasher::new);
        let (object, mut draft, checksum) =
            copy_into(store, source.as_ref(), &call.bucket, hasher).await?;
        let (store, call) = (store.clone(), CopyObject::clone(&call));
        blocking(move || {
            let metadata = call.metadata_from(&object.info.metadata);
            let key = call.key.as_str();
            let checksum = checksum.map(full_object);
            let record = Record::new(
                key,
                draft.size,
                hex::encode(draft.md5()),
                OffsetDateTime::now_utc(),
                &metadata,
                checksum.as_ref(),
            );
            draft.finish(&record)?;
            let place = Place::of(&call.bucket, key);
            store.commit(
                &place,
                key,
                &draft.name,
                !call.conditions.is_empty(),
                |current| check_write(&call.conditions, current),
            )?;
            draft.keep();
            Ok(written(&record))
        })
        .await
    }

    async fn create_multipart_upload(
        &self,
        call: Granted<&CreateMultipartUpload>,
    ) -> Result<String, Error> {
        let (store, call) = (self.store.clone(), CreateMultipartUpload::clone(&call));
        blocking(move || multipart::create(&store, &call, OffsetDateTime::now_utc())).await
    }

    async fn upload_part(
        &self,
        call: Granted<&UploadPart>,
        body: &mut dyn Upload,
    ) -> Result<Written, Error> {
        let (store, call) = (self.store.clone(), UploadPart::clone(&call));
        multipart::find(&store, &call.upload)?;
        let bucket = call.upload.bucket.clone();
        receive(store.clone(), bucket, body, move |draft, checksum| {
            commit_part(&store, &call.upload, call.part_number, draft, checksum)
        })
        .await
    }

    async fn upload_part_copy(&self, call: Granted<&UploadPartCopy>) -> Result<Written, Error> {
        let asked = multipart::find(&self.store, &call.upload)?.checksum();
        let source = call.source();
        // Both ends of a copy's range must lie in the source.
        if let Some((_, last)) = call.range {
            let whole = ReadObject {
                range: None,
                ..ReadObject::clone(&source)
            };
            let size = open(&self.store, &whole)
                .map_err(|error| match error.code() {
                    ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
                    _ => error,
                })?
                .record
                .size;
            if ByteRange::From(last).resolve(size).is_err() {
                let message =
                    format!("Range specified is not valid for source object of size: {size}");
                return Err(Error::with_message(ErrorCode::InvalidArgument, message));
            }
        }
        let algorithm = asked.map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm);
        let hasher = Hasher::new(algorithm);
        let bucket = &call.upload.bucket;
        let (_, draft, checksum) =
            copy_into(&self.store, source.as_ref(), bucket, Some(hasher)).await?;
        let (store, call) = (self.store.clone(), UploadPartCopy::clone(&call));
        blocking(move || commit_part(&store, &call.upload, call.part_number, draft, checksum)).await
    }

    async fn complete_multipart_upload(
        &self,
        call: Granted<&CompleteMultipartUpload>,
        parts: &[CompletedPart],
    ) -> Result<Written, Error> {
        let (store, call, parts) = (
            self.store.clone(),
            CompleteMultipartUpload::clone(&call),
            parts.to_vec(),
        );
        blocking(move || {
            let (record, _) =
                multipart::assemble(&store, &call, &parts, OffsetDateTime::now_utc())?;
            multipart::complete(&store, &call, &parts, &record, |current| {
                check_write(&call.conditions, current)
            })?;
            Ok(written(&record))
        })
        .await
    }

    async fn abort_multipart_upload(&self, call: Granted<&OnUpload>) -> Result<(), Error> {
        let (store, call) = (self.store.clone(), OnUpload::clone(&call));
        blocking(move || multipart::abort(&store, &call)).await
    }

    async fn list_parts(&self, call: Granted<&ListParts>) -> Result<PartPage, Error> {
        let (store, call) = (self.store.clone(), ListParts::clone(&call));
        blocking(move || multipart::list_parts(&store, &call)).await
    }

    async fn list_multipart_uploads(
        &self,
        call: Granted<&ListMultipartUploads>,
    ) -> Result<UploadPage, Error> {
        let (store, call) = (self.store.clone(), ListMultipartUploads::clone(&call));
        blocking(move || multipart::list(&store, &call)).await
    }

    async fn health(&self) -> Result<(), Error> {
        let store = self.store.clone();
        blocking(move || {
            let buckets = files::open_directory(store.root(), "buckets");
            buckets.map(drop).map_err(|e| files::error("open", e))
        })
        .await
    }
}

fn delete(store: &Store, call: &DeleteObject) -> Result<Deleted, Error> {
    // A version that never was is as gone as it can be.
    if current_version(call.version_id.as_deref()).is_err() {
        return store.bucket(&call.bucket).map(|_| Deleted::default());
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

fn commit_part(
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
    multipart::commit_part(store, upload, number, draft)?;
    Ok(written(&record))
}
