//! The bundled backend: a small S3 store on any POSIX file system. `FORMAT.md` describes its files.
//!
//! A write is acknowledged once its bytes, its metadata and its directory entry are durable. A reader
//! sees a whole object or none. Nothing outside the root is ever opened.

mod bucket;
mod carry;
mod collect;
mod complete;
mod faults;
mod files;
#[cfg(test)]
mod fixtures;
mod fsck;
mod index;
mod list;
mod memory;
mod name;
mod object;
mod open;
mod opened;
mod parts;
mod place;
mod read;
mod record;
mod scrub;
mod spared;
mod store;
mod sync;
mod tagging;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_carry;
#[cfg(test)]
mod tests_durable;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_foreign;
#[cfg(test)]
mod tests_injected;
#[cfg(test)]
mod tests_memory;
#[cfg(test)]
mod tests_refused;
#[cfg(test)]
mod tests_scrub;
#[cfg(test)]
mod tests_tagging;
#[cfg(test)]
mod tests_uploads;
mod threads;
mod tree;
mod upload;
mod uploads;
mod verify;
mod walk;
mod write;

pub use faults::{Faults, Finding};
pub use fsck::{Kind, Problem, Summary, Verdict, Watch, fsck};
pub use scrub::Scrub;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{
    Backend, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Tagging, Upload,
    UploadPage, Versioning, Written, full_object,
};
use crate::authz::{AsDecided, Granted, Standing};
use crate::fair::{Asker, Turns};
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{ByteRange, ChecksumAlgorithm, Error, ErrorCode, Hasher, TagSet};
use record::Record;
use store::{Place, Store};
use write::receive;

/// How many objects of one request are deleted at a time.
const LANES: usize = 16;

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
    /// About how many bytes of memory names and objects may be remembered in.
    pub memory: usize,
    /// How many bytes a second are read to find damage; 0 for none.
    pub scrub: u64,
}

/// The store.
#[derive(Debug)]
pub struct Disk {
    store: Arc<Store>,
    // Removes what a crash left; waited for when the store is closed.
    collector: Mutex<Option<JoinHandle<()>>>,
    // Reads everything again and again; waited for as well.
    scrubber: Option<JoinHandle<()>>,
    // Held as long as the store is open: two processes that shared it would not see each other's
    // locks.
    _lock: open::Lock,
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.store.closing.store(true, Ordering::Relaxed);
        self.wait_for_collector();
        if let Some(scrubber) = self.scrubber.take() {
            scrubber.thread().unpark();
            if scrubber.join().is_err() {
                tracing::error!("the scrubber failed");
            }
        }
    }
}

impl Disk {
    /// Opens the store, creating it when missing, and removes what a crash left.
    ///
    /// # Errors
    /// When the directory cannot be used, is of another format, or is in use.
    pub fn open(config: &Config) -> std::io::Result<Self> {
        let (store, lock) = open::open(config)?;
        let collector = match store.read_only {
            true => None,
            false => {
                let left = collect::left_in_staging(&store)?;
                let thread = std::thread::Builder::new().name("collector".to_owned());
                let store = store.clone();
                Some(thread.spawn(move || collect::collect(&store, &left))?)
            }
        };
        let mut disk = Self {
            store,
            collector: Mutex::new(collector),
            scrubber: None,
            _lock: lock,
        };
        if config.scrub > 0 {
            let thread = std::thread::Builder::new().name("scrubber".to_owned());
            let (store, rate) = (disk.store.clone(), config.scrub);
            disk.scrubber = Some(thread.spawn(move || scrub::run(&store, rate))?);
        }
        Ok(disk)
    }

    /// What was found wrong with the store, whoever asked for what.
    #[must_use]
    pub fn faults(&self) -> Arc<Faults> {
        self.store.faults.clone()
    }

    /// How far scrubbing has come.
    #[must_use]
    pub fn scrub(&self) -> Arc<Scrub> {
        self.store.scrub.clone()
    }

    fn wait_for_collector(&self) {
        let collector = store::lock(&self.collector).take();
        if let Some(Err(_)) = collector.map(JoinHandle::join) {
            tracing::error!("the collector failed");
        }
    }

    /// Runs file work on a thread, and counts what the disk refuses.
    async fn run<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce(&Arc<Store>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.run_among(&self.store.threads.short, asker, work).await
    }

    /// The same for what may take long.
    async fn run_long<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce(&Arc<Store>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.run_among(&self.store.threads.long, asker, work).await
    }

    async fn run_among<T: Send + 'static>(
        &self,
        turns: &Arc<Turns>,
        asker: Asker,
        work: impl FnOnce(&Arc<Store>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let standing = Standing::current();
        // Asked on the thread, which may have been waited for. A refusal is no fault of the disk's.
        let outcome = threads::run(turns, asker, move || {
            match standing.map_or(Ok(()), |it| it.check()) {
                Ok(()) => work(&store).map(Ok),
                Err(refused) => Ok(Err(refused)),
            }
        });
        self.counted(outcome.await)?
    }

    fn counted<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome
            && matches!(
                error.code(),
                ErrorCode::ServiceUnavailable | ErrorCode::InsufficientStorage
            )
        {
            self.store.faults.failed();
        }
        outcome
    }
}

#[async_trait]
impl Backend for Disk {
    async fn list_buckets(&self, call: Granted<&ListBuckets>) -> Result<Vec<BucketInfo>, Error> {
        let asker = call.asker();
        self.run(asker, |store| {
            let info = |name| {
                let created = store.created(&name)?;
                Ok(BucketInfo { name, created })
            };
            store.buckets()?.into_iter().map(info).collect()
        })
        .await
    }

    async fn create_bucket(&self, call: Granted<&CreateBucket>) -> Result<(), Error> {
        let asker = call.asker();
        let bucket = call.bucket.clone();
        self.run(asker, move |store| {
            store.create_bucket(&bucket, OffsetDateTime::now_utc())
        })
        .await
    }

    async fn delete_bucket(&self, call: Granted<&OnBucket>) -> Result<(), Error> {
        let asker = call.asker();
        let bucket = call.bucket.clone();
        self.run(asker, move |store| store.delete_bucket(&bucket))
            .await
    }

    async fn head_bucket(&self, call: Granted<&OnBucket>) -> Result<BucketInfo, Error> {
        let asker = call.asker();
        let name = call.bucket.clone();
        self.run(asker, move |store| {
            drop(store.bucket(&name)?);
            let created = store.created(&name)?;
            Ok(BucketInfo { name, created })
        })
        .await
    }

    async fn versioning(&self, call: Granted<&OnBucket>) -> Result<Versioning, Error> {
        self.head_bucket(call).await.map(|_| Versioning::Never)
    }

    async fn list_objects(&self, call: Granted<&ListObjects>) -> Result<ObjectPage, Error> {
        let asker = call.asker();
        let call = ListObjects::clone(&call);
        self.run_long(asker, move |store| list::objects(store, &call))
            .await
    }

    async fn get_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        let asker = call.asker();
        if let Some(answer) = object::remembered(&self.store, &call, false) {
            return answer;
        }
        let call = ReadObject::clone(&call);
        self.run(asker, move |store| object::read(store, &call, asker))
            .await
    }

    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error> {
        let asker = call.asker();
        if let Some(answer) = object::remembered(&self.store, &call, true) {
            return answer;
        }
        let call = ReadObject::clone(&call);
        self.run(asker, move |store| object::head(store, &call))
            .await
    }

    async fn put_object(
        &self,
        call: Granted<&PutObject>,
        body: &mut dyn Upload,
    ) -> Result<Written, Error> {
        let asker = call.asker();
        let call = PutObject::clone(&call);
        if !call.conditions.is_empty() || !self.store.was_seen(&call.bucket) {
            // Looked at before a byte is asked for, and again when it counts.
            let looked = call.clone();
            self.run(asker, move |store| {
                drop(store.bucket(&looked.bucket)?);
                if looked.conditions.is_empty() {
                    return Ok(());
                }
                let place = Place::of(&looked.bucket, looked.key.as_str());
                object::check_write(&looked.conditions, store.open_object(&place)?.as_ref())
            })
            .await?;
        }
        let (store, bucket) = (self.store.clone(), call.bucket.clone());
        let written = receive(
            store.clone(),
            bucket,
            asker,
            body,
            move |draft, checksum| object::commit(&store, &call, draft, checksum),
        );
        self.counted(written.await)
    }

    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, Error> {
        let asker = call.asker();
        let call = DeleteObject::clone(&call);
        self.run(asker, move |store| object::delete(store, &call))
            .await
    }

    async fn delete_objects(
        &self,
        calls: &[Granted<DeleteObject>],
    ) -> Result<Vec<Result<Deleted, Error>>, Error> {
        let first = (calls.first()).map(|call| (call.bucket.clone(), call.asker()));
        let calls: Vec<DeleteObject> = calls.iter().map(|call| DeleteObject::clone(call)).collect();
        let Some((bucket, asker)) = first else {
            return Ok(Vec::new());
        };
        self.run(asker, move |store| store.bucket(&bucket).map(drop))
            .await?;
        let _turn = threads::turn(&self.store.threads.long, asker).await?;
        // A few at a time, so that they share the syncs of their directories.
        let lanes = calls.chunks(calls.len().div_ceil(LANES).max(1));
        let lanes: Vec<_> = lanes
            .map(|calls| {
                let (store, calls) = (self.store.clone(), calls.to_vec());
                let delete = move || calls.iter().map(|c| object::delete(&store, c)).collect();
                tokio::task::spawn_blocking(delete)
            })
            .collect();
        let mut outcomes = Vec::with_capacity(calls.len());
        for lane in lanes {
            let ended: Vec<Result<Deleted, Error>> = lane.await.map_err(Error::internal)?;
            outcomes.extend(ended);
        }
        Ok(outcomes)
    }

    async fn copy_object(&self, call: Granted<&CopyObject>) -> Result<Written, Error> {
        let asker = call.asker();
        let (source, call) = (call.source(), CopyObject::clone(&call));
        let (read, bucket) = (ReadObject::clone(&source), call.bucket.clone());
        // The source's algorithm is kept unless another is asked for.
        let kept = self.run(asker, move |store| {
            drop(store.bucket(&bucket)?);
            let found = object::open_source(store, &read)?;
            Ok(found.record.stored_checksum().map(|s| s.checksum.algorithm))
        });
        let hasher = call.checksum.or(kept.await?).map(Hasher::new);
        let (found, mut draft, checksum) =
            object::copy_into(&self.store, source.as_ref(), &call.bucket, hasher).await?;
        self.run(asker, move |store| {
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
            let conditional = !call.conditions.is_empty();
            store.commit(&place, &record, &draft.name, conditional, |current| {
                object::check_write(&call.conditions, current)
            })?;
            draft.keep();
            Ok(object::written(&record))
        })
        .await
    }

    async fn get_object_tagging(&self, call: Granted<&OnObject>) -> Result<Tagging, Error> {
        let asker = call.asker();
        let call = OnObject::clone(&call);
        self.run(asker, move |store| {
            Ok(Tagging {
                tags: tagging::get(store, &call)?,
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
        let asker = call.asker();
        let (call, tags) = (OnObject::clone(&call), tags.clone());
        self.run(asker, move |store| {
            tagging::put(store, &call, None, &tags).map(|()| None)
        })
        .await
    }

    async fn put_object_tagging_of(
        &self,
        call: Granted<&OnObject>,
        decided: AsDecided<'_>,
        tags: &TagSet,
    ) -> Result<Option<String>, Error> {
        let asker = call.asker();
        let (call, tags) = (OnObject::clone(&call), tags.clone());
        let (etag, were) = (decided.etag.clone(), decided.tags.clone());
        self.run(asker, move |store| {
            let decided = AsDecided {
                etag: &etag,
                tags: &were,
            };
            tagging::put(store, &call, Some(decided), &tags).map(|()| None)
        })
        .await
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
        let asker = call.asker();
        let call = CreateMultipartUpload::clone(&call);
        self.run(asker, move |store| {
            upload::create(store, &call, OffsetDateTime::now_utc())
        })
        .await
    }

    async fn upload_part(
        &self,
        call: Granted<&UploadPart>,
        body: &mut dyn Upload,
    ) -> Result<Written, Error> {
        let asker = call.asker();
        let call = UploadPart::clone(&call);
        let record = match upload::seen(&self.store, &call.upload) {
            Some(record) => record,
            None => {
                let looked = call.upload.clone();
                self.run(asker, move |store| upload::find(store, &looked))
                    .await?
            }
        };
        upload::check_algorithm(&record, call.checksum.as_ref())?;
        let (store, bucket) = (self.store.clone(), call.upload.bucket.clone());
        let written = receive(
            store.clone(),
            bucket,
            asker,
            body,
            move |draft, checksum| {
                object::commit_part(&store, &call.upload, call.part_number, draft, checksum)
            },
        );
        self.counted(written.await)
    }

    async fn upload_part_copy(&self, call: Granted<&UploadPartCopy>) -> Result<Written, Error> {
        let asker = call.asker();
        let (source, call) = (call.source(), UploadPartCopy::clone(&call));
        let (looked, whole) = (
            call.clone(),
            ReadObject {
                range: None,
                ..ReadObject::clone(&source)
            },
        );
        let asked = self.run(asker, move |store| {
            let asked = upload::find(store, &looked.upload)?.checksum();
            if let Some((_, last)) = looked.range {
                // Both ends of a copy's range must lie in the source.
                let size = object::open_source(store, &whole)?.record.size;
                if ByteRange::From(last).resolve(size).is_err() {
                    let message =
                        format!("Range specified is not valid for source object of size: {size}");
                    return Err(Error::with_message(ErrorCode::InvalidArgument, message));
                }
            }
            Ok(asked)
        });
        let algorithm = match asked.await? {
            Some((algorithm, _)) => algorithm,
            None => ChecksumAlgorithm::Crc64Nvme,
        };
        let (hasher, bucket) = (Hasher::new(algorithm), &call.upload.bucket);
        let (_, draft, checksum) =
            object::copy_into(&self.store, source.as_ref(), bucket, Some(hasher)).await?;
        self.run(asker, move |store| {
            object::commit_part(store, &call.upload, call.part_number, draft, checksum)
        })
        .await
    }

    async fn complete_multipart_upload(
        &self,
        call: Granted<&CompleteMultipartUpload>,
        parts: &[CompletedPart],
    ) -> Result<Written, Error> {
        let asker = call.asker();
        let (call, parts) = (CompleteMultipartUpload::clone(&call), parts.to_vec());
        self.run(asker, move |store| {
            complete::once(store, &call, &parts).map(|record| object::written(&record))
        })
        .await
    }

    async fn abort_multipart_upload(&self, call: Granted<&OnUpload>) -> Result<(), Error> {
        let asker = call.asker();
        let call = OnUpload::clone(&call);
        self.run(asker, move |store| upload::abort(store, &call))
            .await
    }

    async fn list_parts(&self, call: Granted<&ListParts>) -> Result<PartPage, Error> {
        let asker = call.asker();
        let call = ListParts::clone(&call);
        self.run_long(asker, move |store| upload::list_parts(store, &call))
            .await
    }

    async fn list_multipart_uploads(
        &self,
        call: Granted<&ListMultipartUploads>,
    ) -> Result<UploadPage, Error> {
        let asker = call.asker();
        let call = ListMultipartUploads::clone(&call);
        self.run_long(asker, move |store| uploads::list(store, &call))
            .await
    }

    async fn health(&self) -> Result<(), Error> {
        let asker = Asker::GATEWAY;
        self.run(asker, |store| open::probe(store)).await
    }
}
