//! What tests of the store have in common: a store in memory, and its operations as a client asks for them.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;

use super::*;
use crate::authz::Granted;
use crate::backend::{Backend, Body, CompletedPart, Deleted, Upload, Written};
use crate::s3::call::{
    CompleteMultipartUpload, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListMultipartUploads, ListObjects, OnObject, OnUpload, PutObject, ReadObject, UploadPart,
};
use crate::s3::{
    BucketName, Checksum, ObjectKey, ObjectMetadata, ReadConditions, TagSet, WriteConditions,
};

/// The ways in which a disk fails.
pub(super) const ERRNOS: [Errno; 6] = [
    Errno::IO,
    Errno::NOSPC,
    Errno::MFILE,
    Errno::ACCESS,
    Errno::ROFS,
    Errno::STALE,
];

/// A directory in memory, where syncs cost nothing.
pub(super) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A runtime of one thread.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A body that is all there.
pub(super) struct Given(pub(super) Option<Bytes>);

#[async_trait]
impl Upload for Given {
    fn length(&self) -> u64 {
        self.0.as_ref().map_or(0, |b| b.len() as u64)
    }
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.0.take().filter(|b| !b.is_empty()))
    }
    fn checksum(&self) -> Option<Checksum> {
        None
    }
}

pub(super) fn bucket() -> BucketName {
    BucketName::parse("bucket").unwrap()
}

pub(super) fn config(path: &Path, durability: Durability, memory: usize) -> Config {
    Config {
        path: path.to_owned(),
        durability,
        memory,
        scrub: 0,
    }
}

pub(super) fn open_at(path: &Path, durability: Durability) -> Disk {
    Disk::open(&config(path, durability, 16 << 20)).unwrap()
}

/// Opens a store that remembers in so many bytes.
pub(super) fn open_with(path: &Path, memory: usize) -> Disk {
    Disk::open(&config(path, Durability::Relaxed, memory)).unwrap()
}

pub(super) async fn fresh(path: &Path, durability: Durability) -> Disk {
    let disk = open_at(path, durability);
    let call = CreateBucket { bucket: bucket() };
    disk.create_bucket(Granted::for_test(&call)).await.unwrap();
    disk
}

pub(super) async fn put(disk: &Disk, key: &str, body: &[u8]) -> Result<Written, Error> {
    let call = PutObject {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        metadata: ObjectMetadata::default(),
        tags: TagSet::default(),
        conditions: WriteConditions::default(),
        checksum: None,
    };
    let mut body = Given(Some(Bytes::copy_from_slice(body)));
    disk.put_object(Granted::for_test(&call), &mut body).await
}

pub(super) async fn get(disk: &Disk, key: &str) -> Result<(String, Vec<u8>), Error> {
    let call = read(key);
    let object = disk.get_object(Granted::for_test(&call)).await?;
    let mut bytes = Vec::new();
    match object.body {
        Body::Empty => {}
        Body::Whole(whole) => bytes.extend_from_slice(&whole),
        Body::Stream(mut stream) => {
            while let Some(piece) = stream.next().await? {
                bytes.extend_from_slice(&piece);
            }
        }
    }
    Ok((object.info.etag.0, bytes))
}

pub(super) async fn delete(disk: &Disk, key: &str) -> Result<Deleted, Error> {
    let call = DeleteObject {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        version_id: None,
        if_match: None,
    };
    disk.delete_object(Granted::for_test(&call)).await
}

pub(super) fn md5(bytes: &[u8]) -> String {
    use md5::Digest as _;
    hex::encode(md5::Md5::digest(bytes))
}

/// A call on an object.
pub(super) fn object(key: &str) -> OnObject {
    OnObject {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        version_id: None,
    }
}

/// A call that reads an object whole.
pub(super) fn read(key: &str) -> ReadObject {
    ReadObject {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        version_id: None,
        range: None,
        part_number: None,
        conditions: ReadConditions::default(),
        checksum_mode: false,
        overrides: Vec::new(),
    }
}

/// A call that lists objects from the first on.
pub(super) fn listing(prefix: &str, delimiter: Option<&str>, max_keys: u32) -> ListObjects {
    ListObjects {
        bucket: bucket(),
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        max_keys,
        after: None,
        start: None,
        continuation_token: None,
        url_encoded: false,
        fetch_owner: false,
    }
}

/// A call that lists uploads from the first on.
pub(super) fn listing_uploads(
    prefix: &str,
    delimiter: Option<&str>,
    max_uploads: u32,
) -> ListMultipartUploads {
    ListMultipartUploads {
        bucket: bucket(),
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        max_uploads,
        key_marker: None,
        upload_id_marker: None,
        url_encoded: false,
    }
}

pub(super) fn on(key: &str, id: &str) -> OnUpload {
    OnUpload {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        upload_id: id.to_owned(),
    }
}

/// A call that opens an upload.
pub(super) fn opening(key: &str) -> CreateMultipartUpload {
    CreateMultipartUpload {
        bucket: bucket(),
        key: ObjectKey::parse(key).unwrap(),
        metadata: ObjectMetadata::default(),
        tags: TagSet::default(),
        checksum: None,
    }
}

/// A call that completes an upload.
pub(super) fn completion(key: &str, id: &str) -> CompleteMultipartUpload {
    CompleteMultipartUpload {
        upload: on(key, id),
        conditions: WriteConditions::default(),
        checksum: None,
        checksum_type: None,
        size: None,
    }
}

/// The only part of an upload, as its completion names it.
pub(super) fn only_part(part: &Written) -> [CompletedPart; 1] {
    [CompletedPart {
        part_number: 1,
        etag: part.etag.clone(),
        checksum: None,
    }]
}

/// Sends the only part of an upload.
pub(super) async fn send_part(
    disk: &Disk,
    key: &str,
    id: &str,
    body: &[u8],
) -> Result<Written, Error> {
    let call = UploadPart {
        upload: on(key, id),
        part_number: 1,
        checksum: None,
    };
    let mut given = Given(Some(Bytes::copy_from_slice(body)));
    disk.upload_part(Granted::for_test(&call), &mut given).await
}

/// Opens an upload with one part in it.
pub(super) async fn upload(disk: &Disk, key: &str, body: &[u8]) -> (String, Written) {
    let call = opening(key);
    let id = disk.create_multipart_upload(Granted::for_test(&call));
    let id = id.await.unwrap();
    let part = send_part(disk, key, &id, body).await.unwrap();
    (id, part)
}

pub(super) async fn complete(disk: &Disk, key: &str, id: &str, part: Written) {
    let call = completion(key, id);
    let named = only_part(&part);
    let completed = disk.complete_multipart_upload(Granted::for_test(&call), &named);
    completed.await.unwrap();
}

pub(super) fn object_file(root: &Path, name: &str) -> PathBuf {
    root.join("buckets/bucket/objects").join(name)
}
