//! What each implemented operation is asked to do, typed: the value that is authorised and then
//! carried out. Documents in a request's body (the keys of a DeleteObjects, the parts of a
//! CompleteMultipartUpload, the tags of a PutObjectTagging) are read later, once it is known who asks.

use super::{
    BucketName, ByteRange, ChecksumAlgorithm, ChecksumRequest, ChecksumType, ETag, ObjectKey,
    ObjectMetadata, Operation, ReadConditions, StoredChecksum, TagSet, WEBSITE_REDIRECT,
    WriteConditions,
};

/// A request for an implemented operation.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "the variants are operations; their structs say the rest"
)]
pub enum Call {
    ListBuckets(ListBuckets),
    CreateBucket(CreateBucket),
    DeleteBucket(OnBucket),
    HeadBucket(OnBucket),
    GetBucketLocation(OnBucket),
    GetBucketPolicy(OnBucket),
    PutBucketPolicy(OnBucket),
    DeleteBucketPolicy(OnBucket),
    GetBucketPolicyStatus(OnBucket),
    GetPublicAccessBlock(OnBucket),
    PutPublicAccessBlock(OnBucket),
    DeletePublicAccessBlock(OnBucket),
    ListObjects(ListObjects),
    ListObjectsV2(ListObjects),
    ListObjectVersions(ListObjects),
    GetBucketVersioning(OnBucket),
    GetConfiguration(GetConfiguration),
    DeleteObjects(DeleteObjects),
    GetObject(ReadObject),
    HeadObject(ReadObject),
    PutObject(PutObject),
    DeleteObject(DeleteObject),
    CopyObject(CopyObject),
    CreateMultipartUpload(CreateMultipartUpload),
    UploadPart(UploadPart),
    UploadPartCopy(UploadPartCopy),
    CompleteMultipartUpload(CompleteMultipartUpload),
    AbortMultipartUpload(OnUpload),
    ListParts(ListParts),
    ListMultipartUploads(ListMultipartUploads),
    GetObjectAcl(OnObject),
    GetObjectTagging(OnObject),
    PutObjectTagging(OnObject),
    DeleteObjectTagging(OnObject),
}

/// ListBuckets.
#[derive(Clone, Debug, Default)]
pub struct ListBuckets {
    /// Only names that start with this.
    pub prefix: String,
    /// At most so many, 1 to 10,000; `None` is all.
    pub max_buckets: Option<u32>,
    /// Start behind this name.
    pub after: Option<String>,
}

/// CreateBucket. Its location constraint is in the body.
#[derive(Clone, Debug)]
pub struct CreateBucket {
    /// The bucket to create.
    pub bucket: BucketName,
}

/// An operation that names a bucket and nothing else.
#[derive(Clone, Debug)]
pub struct OnBucket {
    /// The bucket.
    pub bucket: BucketName,
}

/// A read of what a bucket is configured to, where the answer is the same for every bucket: what it
/// sets is not there, or is as it always is.
#[derive(Clone, Debug)]
pub struct GetConfiguration {
    /// The bucket.
    pub bucket: BucketName,
    /// What is read, such as `GetBucketCors`.
    pub operation: Operation,
}

/// ListObjects, ListObjectsV2 and ListObjectVersions.
#[derive(Clone, Debug)]
pub struct ListObjects {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this.
    pub prefix: String,
    /// Keys that share what stands before its next occurrence are rolled up.
    pub delimiter: Option<String>,
    /// At most so many keys and common prefixes together, 0 to 1,000.
    pub max_keys: u32,
    /// List what sorts behind this, in UTF-8 byte order: `marker`, `start-after`, or the key out of
    /// a continuation token. A common prefix that is not behind it is not listed again.
    pub after: Option<String>,
    /// Echoed: `marker` (version 1) or `start-after` (version 2), as sent.
    pub start: Option<String>,
    /// Echoed: the continuation token as sent (version 2).
    pub continuation_token: Option<String>,
    /// Whether keys in the answer are percent-encoded (`encoding-type=url`).
    pub url_encoded: bool,
    /// Whether version 2 tells owners.
    pub fetch_owner: bool,
}

/// DeleteObjects. Its keys are in the body.
#[derive(Clone, Debug)]
pub struct DeleteObjects {
    /// The bucket.
    pub bucket: BucketName,
}

/// Response headers that a signed reader may ask for (`response-*`): name and value.
pub type ResponseOverrides = Vec<(&'static str, String)>;

/// GetObject and HeadObject.
#[derive(Clone, Debug)]
pub struct ReadObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; `None` is the current one.
    pub version_id: Option<String>,
    /// The bytes asked for; `None` is all.
    pub range: Option<ByteRange>,
    /// The part asked for, 1 to 10,000.
    pub part_number: Option<u16>,
    /// Conditions on the object.
    pub conditions: ReadConditions,
    /// Whether the answer tells the stored checksum (`x-amz-checksum-mode: ENABLED`).
    pub checksum_mode: bool,
    /// Headers of the answer to set.
    pub overrides: ResponseOverrides,
}

/// PutObject.
#[derive(Clone, Debug)]
pub struct PutObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// What to keep with the object.
    pub metadata: ObjectMetadata,
    /// Its tags.
    pub tags: TagSet,
    /// Conditions on what the key holds now.
    pub conditions: WriteConditions,
    /// The checksum to verify and keep.
    pub checksum: Option<ChecksumRequest>,
}

/// An operation that names an object and nothing else. The tags of a PutObjectTagging are in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; `None` is the current one.
    pub version_id: Option<String>,
}

/// DeleteObject.
#[derive(Clone, Debug)]
pub struct DeleteObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; `None` is the current one.
    pub version_id: Option<String>,
    /// The object must have this tag (`If-Match`).
    pub if_match: Option<ETag>,
}

/// The object that a copy reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Its version; `None` is the current one.
    pub version_id: Option<String>,
    /// Conditions on it (`x-amz-copy-source-if-*`).
    pub conditions: ReadConditions,
}

/// CopyObject.
#[derive(Clone, Debug)]
pub struct CopyObject {
    /// Where the bytes come from.
    pub source: CopySource,
    /// The bucket to write.
    pub bucket: BucketName,
    /// The key to write.
    pub key: ObjectKey,
    /// The new metadata (`REPLACE`), or `None` for the source's (`COPY`).
    pub metadata: Option<ObjectMetadata>,
    /// The copy's own website redirect, whichever of the two it is.
    pub redirect: Option<String>,
    /// The new tags (`REPLACE`), or `None` for the source's (`COPY`).
    pub tags: Option<TagSet>,
    /// Conditions on what the key holds now.
    pub conditions: WriteConditions,
    /// The checksum to compute and keep; `None` keeps the source's.
    pub checksum: Option<ChecksumAlgorithm>,
}

impl CopyObject {
    /// The copy's metadata: what the call says anew, or what `source`'s writer said.
    #[must_use]
    pub fn metadata_from(&self, source: &ObjectMetadata) -> ObjectMetadata {
        if let Some(metadata) = &self.metadata {
            return metadata.clone();
        }
        let mut copied = source.clone();
        copied
            .standard
            .retain(|(name, _)| *name != WEBSITE_REDIRECT);
        let redirect = self.redirect.iter().cloned();
        copied
            .standard
            .extend(redirect.map(|value| (WEBSITE_REDIRECT, value)));
        copied
    }
}

/// CreateMultipartUpload.
#[derive(Clone, Debug)]
pub struct CreateMultipartUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// What to keep with the object.
    pub metadata: ObjectMetadata,
    /// The object's tags.
    pub tags: TagSet,
    /// The checksum that its parts carry, and of what the object's is to be.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

/// UploadPart.
#[derive(Clone, Debug)]
pub struct UploadPart {
    /// The upload.
    pub upload: OnUpload,
    /// 1 to 10,000.
    pub part_number: u16,
    /// The checksum to verify and keep.
    pub checksum: Option<ChecksumRequest>,
}

/// UploadPartCopy.
#[derive(Clone, Debug)]
pub struct UploadPartCopy {
    /// Where the bytes come from.
    pub source: CopySource,
    /// `x-amz-copy-source-range`: both ends are always given.
    pub range: Option<(u64, u64)>,
    /// The upload.
    pub upload: OnUpload,
    /// 1 to 10,000.
    pub part_number: u16,
}

/// CompleteMultipartUpload. Its parts are in the body.
#[derive(Clone, Debug)]
pub struct CompleteMultipartUpload {
    /// The upload.
    pub upload: OnUpload,
    /// Conditions on what the key holds now.
    pub conditions: WriteConditions,
    /// The whole object's checksum as the client has it (`x-amz-checksum-*`).
    pub checksum: Option<StoredChecksum>,
    /// The checksum's type as the client has it (`x-amz-checksum-type`).
    pub checksum_type: Option<ChecksumType>,
    /// The whole object's size as the client has it (`x-amz-mp-object-size`).
    pub size: Option<u64>,
}

/// An operation that names a multipart upload and nothing else.
#[derive(Clone, Debug)]
pub struct OnUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload, opaque.
    pub upload_id: String,
}

/// ListParts.
#[derive(Clone, Debug)]
pub struct ListParts {
    /// The upload.
    pub upload: OnUpload,
    /// At most so many, 0 to 1,000.
    pub max_parts: u32,
    /// Start behind this part; 0 starts at the first.
    pub after: u16,
    /// Whether the key in the answer is percent-encoded.
    pub url_encoded: bool,
}

/// ListMultipartUploads.
#[derive(Clone, Debug)]
pub struct ListMultipartUploads {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this.
    pub prefix: String,
    /// Keys that share what stands before its next occurrence are rolled up.
    pub delimiter: Option<String>,
    /// At most so many uploads and common prefixes together, 0 to 1,000.
    pub max_uploads: u32,
    /// Start behind this key, or behind `upload_id_marker` at this key.
    pub key_marker: Option<String>,
    /// Start behind this upload of `key_marker`.
    pub upload_id_marker: Option<String>,
    /// Whether keys in the answer are percent-encoded.
    pub url_encoded: bool,
}

impl Call {
    /// What a copy reads.
    #[must_use]
    pub fn source(&self) -> Option<&CopySource> {
        match self {
            Self::CopyObject(call) => Some(&call.source),
            Self::UploadPartCopy(call) => Some(&call.source),
            _ => None,
        }
    }

    /// The operation's name in the table.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::ListBuckets(_) => Operation::ListBuckets,
            Self::CreateBucket(_) => Operation::CreateBucket,
            Self::DeleteBucket(_) => Operation::DeleteBucket,
            Self::HeadBucket(_) => Operation::HeadBucket,
            Self::GetBucketLocation(_) => Operation::GetBucketLocation,
            Self::GetBucketPolicy(_) => Operation::GetBucketPolicy,
            Self::PutBucketPolicy(_) => Operation::PutBucketPolicy,
            Self::DeleteBucketPolicy(_) => Operation::DeleteBucketPolicy,
            Self::GetBucketPolicyStatus(_) => Operation::GetBucketPolicyStatus,
            Self::GetPublicAccessBlock(_) => Operation::GetPublicAccessBlock,
            Self::PutPublicAccessBlock(_) => Operation::PutPublicAccessBlock,
            Self::DeletePublicAccessBlock(_) => Operation::DeletePublicAccessBlock,
            Self::ListObjects(_) => Operation::ListObjects,
            Self::ListObjectsV2(_) => Operation::ListObjectsV2,
            Self::ListObjectVersions(_) => Operation::ListObjectVersions,
            Self::GetBucketVersioning(_) => Operation::GetBucketVersioning,
            Self::GetConfiguration(c) => c.operation,
            Self::DeleteObjects(_) => Operation::DeleteObjects,
            Self::GetObject(_) => Operation::GetObject,
            Self::HeadObject(_) => Operation::HeadObject,
            Self::PutObject(_) => Operation::PutObject,
            Self::DeleteObject(_) => Operation::DeleteObject,
            Self::CopyObject(_) => Operation::CopyObject,
            Self::CreateMultipartUpload(_) => Operation::CreateMultipartUpload,
            Self::UploadPart(_) => Operation::UploadPart,
            Self::UploadPartCopy(_) => Operation::UploadPartCopy,
            Self::CompleteMultipartUpload(_) => Operation::CompleteMultipartUpload,
            Self::AbortMultipartUpload(_) => Operation::AbortMultipartUpload,
            Self::ListParts(_) => Operation::ListParts,
            Self::ListMultipartUploads(_) => Operation::ListMultipartUploads,
            Self::GetObjectAcl(_) => Operation::GetObjectAcl,
            Self::GetObjectTagging(_) => Operation::GetObjectTagging,
            Self::PutObjectTagging(_) => Operation::PutObjectTagging,
            Self::DeleteObjectTagging(_) => Operation::DeleteObjectTagging,
        }
    }
}
