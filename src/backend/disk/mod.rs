//! The bundled backend: a small S3 store on any POSIX file system. `FORMAT.md` describes its files.
//!
//! A write is acknowledged once its bytes, its metadata and its directory entry are durable. A reader
//! sees a whole object or none. Nothing outside the root is ever opened.

mod collect;
mod files;
mod list;
mod multipart;
mod name;
mod object;
mod read;
mod record;
mod store;
mod sync;
mod tagging;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_tagging;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{
    Backend, Body, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Tagging,
    Upload, UploadPage, Written, full_object,
};
use crate::authz::Granted;
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{ByteRange, ChecksumAlgorithm, Error, ErrorCode, Hasher, TagSet};
use record::Record;
use store::{Place, Store};
use write::{blocking, receive};

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
        object::read(&self.store, &call)
    }

    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        let opened = object::open(&self.store, &call)?;
        let range = object::extent(&call, &opened.record)?;
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
            object::check_write(&call.conditions, current.as_ref())?;
        }
        let bucket = call.bucket.clone();
        receive(store.clone(), bucket, body, move |draft, checksum| {
            object::commit(&store, &call, draft, checksum)
        })
        .await
    }

    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, Error> {
        let (store, call) = (self.store.clone(), DeleteObject::clone(&call));
        blocking(move || object::delete(&store, &call)).await
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
                        .map(|call| object::delete(store, call))
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
        let known = object::open(store, &source).map_err(|error| match error.code() {
            ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
            _ => error,
        })?;
        let algorithm = call.checksum.or(known
            .record
            .stored_checksum()
            .map(|stored| stored.checksum.algorithm));
        let hasher = algorithm.map(Hasher::new);
        let (found, mut draft, checksum) =
            object::copy_into(store, source.as_ref(), &call.bucket, hasher).await?;
        let (store, call) = (store.clone(), CopyObject::clone(&call));
        blocking(move || {
            let metadata = call.metadata_from(&found.metadata());
            let tags = match &call.tags {
                Some(tags) => tags.clone(),
                None => found.tags()?,
            };
            let key = call.key.as_str();
            let checksum = checksum.map(full_object);
            let record = Record::new(
                key,
                draft.size,
                hex::encode(draft.md5()),
                OffsetDateTime::now_utc(),
                &metadata,
                checksum.as_ref(),
            )
            .tagged(&tags);
            draft.finish(&record)?;
            let place = Place::of(&call.bucket, key);
            store.commit(
                &place,
                key,
                &draft.name,
                !call.conditions.is_empty(),
                |current| object::check_write(&call.conditions, current),
            )?;
            draft.keep();
            Ok(object::written(&record))
        })
        .await
    }

    async fn get_object_tagging(&self, call: Granted<&OnObject>) -> Result<Tagging, Error> {
        let (store, call) = (self.store.clone(), OnObject::clone(&call));
        blocking(move || {
            Ok(Tagging {
                tags: tagging::get(&store, &call)?,
                version_id: None,
            })
        })
        .await
    }

    async fn put_object_tagging(
        &self,
        call: Granted<&OnObject>,
        tags: &TagSet,
    ) -> Result<Option<String>, Error> {
        let (store, call, tags) = (self.store.clone(), OnObject::clone(&call), tags.clone());
        blocking(move || tagging::put(&store, &call, &tags).map(|()| None)).await
    }

    async fn delete_object_tagging(
        &self,
        call: Granted<&OnObject>,
    ) -> Result<Option<String>, Error> {
        self.put_object_tagging(call, &TagSet::default()).await
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
            object::commit_part(&store, &call.upload, call.part_number, draft, checksum)
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
            let size = object::open(&self.store, &whole)
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
            object::copy_into(&self.store, source.as_ref(), bucket, Some(hasher)).await?;
        let (store, call) = (self.store.clone(), UploadPartCopy::clone(&call));
        blocking(move || {
            object::commit_part(&store, &call.upload, call.part_number, draft, checksum)
        })
        .await
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
                object::check_write(&call.conditions, current)
            })?;
            Ok(object::written(&record))
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
