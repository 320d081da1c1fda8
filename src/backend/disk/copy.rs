//! Copies within the store: what is found at the source is written as any other object or part is.

use std::sync::Arc;

use super::record::Record;
use super::store::Store;
use super::write::Draft;
use super::{Disk, object, threads, upload};
use crate::authz::Granted;
use crate::backend::{Body, Download, Written};
use crate::s3::call::{CopyObject, PutObject, ReadObject, UploadPartCopy};
use crate::s3::{BucketName, ByteRange, Checksum, ChecksumAlgorithm, Error, ErrorCode, Hasher};

impl Disk {
    /// CopyObject: the source's metadata and tags, unless the call says others.
    pub(super) async fn copy(&self, call: Granted<&CopyObject>) -> Result<Written, Error> {
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
        let (found, draft, checksum) =
            copy_into(&self.store, source.as_ref(), &call.bucket, hasher).await?;
        self.run(asker, move |store| {
            let tags = match &call.tags {
                Some(tags) => tags.clone(),
                None => found.tags()?,
            };
            let put = PutObject {
                metadata: call.metadata_from(&found.metadata()),
                bucket: call.bucket,
                key: call.key,
                tags,
                conditions: call.conditions,
                checksum: None,
            };
            object::commit(store, &put, draft, checksum)
        })
        .await
    }

    /// UploadPartCopy: the bytes alone, with the checksum that the upload was begun with.
    pub(super) async fn copy_part(&self, call: Granted<&UploadPartCopy>) -> Result<Written, Error> {
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
            copy_into(&self.store, source.as_ref(), bucket, Some(hasher)).await?;
        self.run(asker, move |store| {
            object::commit_part(store, &call.upload, call.part_number, draft, checksum)
        })
        .await
    }
}

/// Copies an object's bytes into a draft, checked as they are read.
async fn copy_into(
    store: &Arc<Store>,
    source: Granted<&ReadObject>,
    bucket: &BucketName,
    hasher: Option<Hasher>,
) -> Result<(Arc<Record>, Draft, Option<Checksum>), Error> {
    let (from, call, asker) = (store.clone(), ReadObject::clone(&source), source.asker());
    let threads = &store.threads;
    let _turn = threads::turn(&threads.copying, asker).await?;
    let open = move || object::open_body(&from, &call, asker, Arc::clone);
    let (found, _, mut body) = threads::run(&threads.short, asker, open)
        .await
        .map_err(object::as_source)?;
    let (to, bucket) = (store.clone(), bucket.clone());
    let make = move || Draft::new(to, &bucket);
    let mut draft = threads::run(&threads.short, asker, make).await?;
    let mut hasher = hasher;
    loop {
        let piece = match &mut body {
            Body::Empty => None,
            Body::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Body::Stream(stream) => Download::next(stream.as_mut()).await?,
        };
        let Some(bytes) = piece else { break };
        let taken = hasher;
        (draft, hasher) = threads::run(&threads.writing, asker, move || {
            let (mut draft, mut hasher) = (draft, taken);
            draft.write(&bytes)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(&bytes);
            }
            Ok((draft, hasher))
        })
        .await?;
    }
    Ok((found, draft, hasher.map(Hasher::finish)))
}
