//! Where objects live: one trait with two streaming implementations, the bundled disk store and any
//! S3 upstream. A backend takes only what `authz` granted, and neither buffers an object whole.

pub mod disk;
mod nowhere;
pub mod router;
pub mod upstream;

pub use nowhere::Nowhere;

use async_trait::async_trait;
use bytes::Bytes;
use time::OffsetDateTime;

use crate::authz::{AsDecided, Granted};
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{
    BucketName, Checksum, ContentRange, ETag, Error, ObjectInfo, StoredChecksum, TagSet,
};

/// A store of buckets and objects.
///
/// Every method answers S3's own errors (`NoSuchBucket`, `NoSuchKey`, `PreconditionFailed`…); an
/// answer of `Ok` to a write means that it is durable.
#[async_trait]
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// The buckets there are, in name order; paging is the caller's.
    async fn list_buckets(&self, call: Granted<&ListBuckets>) -> Result<Vec<BucketInfo>, Error>;
    /// Creates a bucket: `BucketAlreadyOwnedByYou` when it is there.
    async fn create_bucket(&self, call: Granted<&CreateBucket>) -> Result<(), Error>;
    /// Deletes an empty bucket: `BucketNotEmpty` otherwise.
    async fn delete_bucket(&self, call: Granted<&OnBucket>) -> Result<(), Error>;
    /// Tells whether a bucket is there (HeadBucket, GetBucketLocation, bucket policies).
    async fn head_bucket(&self, call: Granted<&OnBucket>) -> Result<BucketInfo, Error>;
    /// Whether a bucket keeps versions of its objects.
    async fn versioning(&self, call: Granted<&OnBucket>) -> Result<Versioning, Error>;
    /// One page of keys and common prefixes in UTF-8 byte order.
    async fn list_objects(&self, call: Granted<&ListObjects>) -> Result<ObjectPage, Error>;
    /// An object and its bytes. `NotModified`, `PreconditionFailed`, `InvalidRange` are errors.
    async fn get_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error>;
    /// The same without the bytes: [`Object::body`] is empty.
    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, Error>;
    /// Writes an object. Nothing of `body` is asked for before the conditions that can be checked
    /// first have been, and the object is there only when `body` has ended without an error.
    async fn put_object(
        &self,
        call: Granted<&PutObject>,
        body: &mut dyn Upload,
    ) -> Result<Written, Error>;
    /// Deletes an object; a missing one is no error.
    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, Error>;
    /// Deletes objects of one bucket; answers in the same order.
    async fn delete_objects(
        &self,
        calls: &[Granted<DeleteObject>],
    ) -> Result<Vec<Result<Deleted, Error>>, Error>;
    /// Copies an object within this backend.
    async fn copy_object(&self, call: Granted<&CopyObject>) -> Result<Written, Error>;
    /// An object's tags.
    async fn get_object_tagging(&self, call: Granted<&OnObject>) -> Result<Tagging, Error>;
    /// Replaces an object's tags, and nothing else of it. Answers the version, where the store keeps
    /// versions.
    async fn put_object_tagging(
        &self,
        call: Granted<&OnObject>,
        tags: &TagSet,
    ) -> Result<Option<String>, Error>;
    /// Takes an object's tags away. Answers the version, where the store keeps versions.
    async fn delete_object_tagging(
        &self,
        call: Granted<&OnObject>,
    ) -> Result<Option<String>, Error>;
    /// Replaces the tags, if with none, of the object that it was when its tags decided, and only as long
    /// as it has those. A store that cannot see to that refuses.
    async fn put_object_tagging_of(
        &self,
        call: Granted<&OnObject>,
        decided: AsDecided<'_>,
        tags: &TagSet,
    ) -> Result<Option<String>, Error>;
    /// Opens a multipart upload and answers its id.
    async fn create_multipart_upload(
        &self,
        call: Granted<&CreateMultipartUpload>,
    ) -> Result<String, Error>;
    /// Writes a part.
    async fn upload_part(
        &self,
        call: Granted<&UploadPart>,
        body: &mut dyn Upload,
    ) -> Result<Written, Error>;
    /// Writes a part from an object of this backend.
    async fn upload_part_copy(&self, call: Granted<&UploadPartCopy>) -> Result<Written, Error>;
    /// Joins parts into an object.
    async fn complete_multipart_upload(
        &self,
        call: Granted<&CompleteMultipartUpload>,
        parts: &[CompletedPart],
    ) -> Result<Written, Error>;
    /// Ends a multipart upload without an object.
    async fn abort_multipart_upload(&self, call: Granted<&OnUpload>) -> Result<(), Error>;
    /// One page of an upload's parts.
    async fn list_parts(&self, call: Granted<&ListParts>) -> Result<PartPage, Error>;
    /// One page of a bucket's uploads.
    async fn list_multipart_uploads(
        &self,
        call: Granted<&ListMultipartUploads>,
    ) -> Result<UploadPage, Error>;
    /// Whether the store can be reached and used, for readiness and metrics.
    async fn health(&self) -> Result<(), Error>;
}

/// The decoded bytes of an upload, verified as they flow.
#[async_trait]
pub trait Upload: Send {
    /// Exactly how many bytes `next` gives in all.
    fn length(&self) -> u64;
    /// The next bytes, never empty; `None` at the end. The last bytes are held back until every
    /// check has passed, so that after an error no store can have seen a complete object. The
    /// first call tells a waiting client to go on (`100 Continue`).
    async fn next(&mut self) -> Result<Option<Bytes>, Error>;
    /// The verified checksum, known once the last bytes have been given: the one that was asked
    /// for, or CRC-64/NVME as S3 computes by default.
    fn checksum(&self) -> Option<Checksum>;
}

/// The bytes of an object on their way out.
#[async_trait]
pub trait Download: Send {
    /// The next bytes, never empty; `None` at the end, when all bytes that were promised have been
    /// given. An error means that the answer must be cut off.
    async fn next(&mut self) -> Result<Option<Bytes>, Error>;
}

/// An answer's body.
pub enum Body {
    /// No byte.
    Empty,
    /// All bytes at once, for what is small.
    Whole(Bytes),
    /// Bytes as they come.
    Stream(Box<dyn Download>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct BucketInfo {
    /// Its name.
    pub name: BucketName,
    /// When it was created, where the store knows.
    pub created: Option<OffsetDateTime>,
}

/// Whether a bucket keeps versions of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// It never did: each key has one, which S3 calls `null`.
    Never,
    /// It does.
    Enabled,
    /// It did.
    Suspended,
}

/// An object that is read.
#[derive(Debug)]
pub struct Object {
    /// What is known of it; `size` is the whole object's.
    pub info: ObjectInfo,
    /// The bytes that are answered, when not all: a range or a part was asked for.
    pub range: Option<ContentRange>,
    /// The bytes.
    pub body: Body,
}

/// An object or part that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its entity tag.
    pub etag: ETag,
    /// Its checksum, as kept.
    pub checksum: Option<StoredChecksum>,
    /// When.
    pub last_modified: OffsetDateTime,
    /// Its size in bytes, where known.
    pub size: Option<u64>,
    /// The new version, where the store keeps versions.
    pub version_id: Option<String>,
}

/// An object that was deleted, or was not there.
#[derive(Clone, Debug, Default)]
pub struct Deleted {
    /// The version that was deleted or made, where the store keeps versions.
    pub version_id: Option<String>,
    /// Whether a delete marker was made or deleted.
    pub delete_marker: bool,
}

/// The tags of an object.
#[derive(Clone, Debug)]
pub struct Tagging {
    /// The tags.
    pub tags: TagSet,
    /// The version that they are of, where the store keeps versions.
    pub version_id: Option<String>,
}

/// A listed object.
#[derive(Clone, Debug)]
pub struct ListedObject {
    /// Its key: an upstream may hold keys that this gateway would not let in.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag.
    pub etag: ETag,
    /// When it was written.
    pub last_modified: OffsetDateTime,
    /// Its checksum's algorithm and type, where one is kept.
    pub checksum: Option<(crate::s3::ChecksumAlgorithm, crate::s3::ChecksumType)>,
}

/// One page of a listing. Objects and common prefixes are each in UTF-8 byte order.
#[derive(Clone, Debug, Default)]
pub struct ObjectPage {
    /// Objects.
    pub objects: Vec<ListedObject>,
    /// Keys rolled up at the delimiter, including it.
    pub common_prefixes: Vec<String>,
    /// The last key or common prefix of this page when more follow: the next page starts behind it.
    pub next: Option<String>,
}

/// A part that CompleteMultipartUpload names.
#[derive(Clone, Debug)]
pub struct CompletedPart {
    /// 1 to 10,000; ascending.
    pub part_number: u16,
    /// Its entity tag.
    pub etag: ETag,
    /// Its checksum as the client has it.
    pub checksum: Option<Checksum>,
}

/// A listed part.
#[derive(Clone, Debug)]
pub struct ListedPart {
    /// 1 to 10,000.
    pub part_number: u16,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag.
    pub etag: ETag,
    /// When it was written.
    pub last_modified: OffsetDateTime,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// One page of an upload's parts, ascending.
#[derive(Clone, Debug, Default)]
pub struct PartPage {
    /// Parts.
    pub parts: Vec<ListedPart>,
    /// Whether more follow the last.
    pub truncated: bool,
    /// The checksum that the upload asks of its parts.
    pub checksum: Option<(crate::s3::ChecksumAlgorithm, crate::s3::ChecksumType)>,
}

/// A listed multipart upload.
#[derive(Clone, Debug)]
pub struct ListedUpload {
    /// Its key.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// When it was opened.
    pub initiated: OffsetDateTime,
    /// The checksum that it asks of its parts.
    pub checksum: Option<(crate::s3::ChecksumAlgorithm, crate::s3::ChecksumType)>,
}

/// One page of a bucket's uploads, by key and then by time.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// Uploads.
    pub uploads: Vec<ListedUpload>,
    /// Keys rolled up at the delimiter, including it.
    pub common_prefixes: Vec<String>,
    /// Key and upload id of the last entry when more follow (the id is empty behind a prefix).
    pub next: Option<(String, String)>,
}

/// A checksum of one simple upload.
#[must_use]
pub fn full_object(checksum: Checksum) -> StoredChecksum {
    StoredChecksum {
        checksum,
        kind: crate::s3::ChecksumType::FullObject,
        parts: None,
    }
}
