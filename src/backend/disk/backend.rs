//! What the gateway asks of a backend, each in the words of what does it here.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::store::Place;
use super::write::receive;
use super::{Disk, complete, ending, list, object, open, tagging, threads, upload, uploads};
use crate::authz::{AsDecided, Granted};
use crate::backend::{
    Backend, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Tagging, Upload,
    UploadPage, Versioning, Written,
};
use crate::fair::Asker;
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{Error, TagSet};

/// How many objects of one request are deleted at a time.
const LANES: usize = 16;

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
                threads::spawn(delete)
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
        self.copy(call).await
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
        self.copy_part(call).await
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
        self.run(asker, move |store| ending::abort(store, &call))
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
