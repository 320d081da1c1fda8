//! What was authorised, as a type: a backend takes a `Granted<&T>`, and only this room makes one.

use crate::fair::Asker;
use crate::s3::call::{
    Call, CompleteMultipartUpload, CopyObject, CopySource, CreateBucket, CreateMultipartUpload,
    DeleteObject, DeleteObjects, GetConfiguration, ListBuckets, ListMultipartUploads, ListObjects,
    ListParts, OnBucket, OnObject, OnUpload, PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{
    ByteRange, ChecksumAlgorithm, ChecksumRequest, ChecksumSource, ETag, ObjectMetadata,
    ReadConditions, TagSet,
};

/// A `T` that was authorised. It can be looked at and narrowed, never made or changed outside this
/// room, so that what was authorised is what is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Granted<T>(T, Asker);

impl<T> Granted<T> {
    pub(super) fn new(value: T, asker: Asker) -> Self {
        Self(value, asker)
    }

    /// A grant that nobody decided, for the unit tests of backends.
    #[cfg(test)]
    pub(crate) fn for_test(value: T) -> Self {
        Self(value, Asker::for_test(1))
    }

    /// The same of another who asks, for the unit tests of backends.
    #[cfg(test)]
    pub(crate) fn to(self, asker: Asker) -> Self {
        Self(self.0, asker)
    }

    /// The same grant, borrowed.
    pub fn as_ref(&self) -> Granted<&T> {
        Granted(&self.0, self.1)
    }

    /// On whose behalf it is carried out: what is shared is shared out between these.
    pub fn asker(&self) -> Asker {
        self.1
    }
}

impl<T> std::ops::Deref for Granted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// An authorised call, one variant per implemented operation.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the variants are those of `s3::Call`")]
pub enum GrantedCall<'p> {
    ListBuckets(Granted<&'p ListBuckets>),
    CreateBucket(Granted<&'p CreateBucket>),
    DeleteBucket(Granted<&'p OnBucket>),
    HeadBucket(Granted<&'p OnBucket>),
    GetBucketLocation(Granted<&'p OnBucket>),
    GetBucketPolicy(Granted<&'p OnBucket>),
    PutBucketPolicy(Granted<&'p OnBucket>),
    DeleteBucketPolicy(Granted<&'p OnBucket>),
    GetBucketPolicyStatus(Granted<&'p OnBucket>),
    GetPublicAccessBlock(Granted<&'p OnBucket>),
    PutPublicAccessBlock(Granted<&'p OnBucket>),
    DeletePublicAccessBlock(Granted<&'p OnBucket>),
    ListObjects(Granted<&'p ListObjects>),
    ListObjectsV2(Granted<&'p ListObjects>),
    ListObjectVersions(Granted<&'p ListObjects>),
    GetBucketVersioning(Granted<&'p OnBucket>),
    GetConfiguration(Granted<&'p GetConfiguration>),
    DeleteObjects(Granted<&'p DeleteObjects>),
    GetObject(Granted<&'p ReadObject>),
    HeadObject(Granted<&'p ReadObject>),
    PutObject(Granted<&'p PutObject>),
    DeleteObject(Granted<&'p DeleteObject>),
    CopyObject(Granted<&'p CopyObject>),
    CreateMultipartUpload(Granted<&'p CreateMultipartUpload>),
    UploadPart(Granted<&'p UploadPart>),
    UploadPartCopy(Granted<&'p UploadPartCopy>),
    CompleteMultipartUpload(Granted<&'p CompleteMultipartUpload>),
    AbortMultipartUpload(Granted<&'p OnUpload>),
    ListParts(Granted<&'p ListParts>),
    ListMultipartUploads(Granted<&'p ListMultipartUploads>),
    GetObjectAcl(Granted<&'p OnObject>),
    GetObjectTagging(Granted<&'p OnObject>),
    PutObjectTagging(Granted<&'p OnObject>),
    DeleteObjectTagging(Granted<&'p OnObject>),
}

impl<'p> GrantedCall<'p> {
    pub(super) fn of(call: &'p Call, asker: Asker) -> Self {
        match call {
            Call::ListBuckets(c) => Self::ListBuckets(Granted(c, asker)),
            Call::CreateBucket(c) => Self::CreateBucket(Granted(c, asker)),
            Call::DeleteBucket(c) => Self::DeleteBucket(Granted(c, asker)),
            Call::HeadBucket(c) => Self::HeadBucket(Granted(c, asker)),
            Call::GetBucketLocation(c) => Self::GetBucketLocation(Granted(c, asker)),
            Call::GetBucketPolicy(c) => Self::GetBucketPolicy(Granted(c, asker)),
            Call::PutBucketPolicy(c) => Self::PutBucketPolicy(Granted(c, asker)),
            Call::DeleteBucketPolicy(c) => Self::DeleteBucketPolicy(Granted(c, asker)),
            Call::GetBucketPolicyStatus(c) => Self::GetBucketPolicyStatus(Granted(c, asker)),
            Call::GetPublicAccessBlock(c) => Self::GetPublicAccessBlock(Granted(c, asker)),
            Call::PutPublicAccessBlock(c) => Self::PutPublicAccessBlock(Granted(c, asker)),
            Call::DeletePublicAccessBlock(c) => Self::DeletePublicAccessBlock(Granted(c, asker)),
            Call::ListObjects(c) => Self::ListObjects(Granted(c, asker)),
            Call::ListObjectsV2(c) => Self::ListObjectsV2(Granted(c, asker)),
            Call::ListObjectVersions(c) => Self::ListObjectVersions(Granted(c, asker)),
            Call::GetBucketVersioning(c) => Self::GetBucketVersioning(Granted(c, asker)),
            Call::GetConfiguration(c) => Self::GetConfiguration(Granted(c, asker)),
            Call::DeleteObjects(c) => Self::DeleteObjects(Granted(c, asker)),
            Call::GetObject(c) => Self::GetObject(Granted(c, asker)),
            Call::HeadObject(c) => Self::HeadObject(Granted(c, asker)),
            Call::PutObject(c) => Self::PutObject(Granted(c, asker)),
            Call::DeleteObject(c) => Self::DeleteObject(Granted(c, asker)),
            Call::CopyObject(c) => Self::CopyObject(Granted(c, asker)),
            Call::CreateMultipartUpload(c) => Self::CreateMultipartUpload(Granted(c, asker)),
            Call::UploadPart(c) => Self::UploadPart(Granted(c, asker)),
            Call::UploadPartCopy(c) => Self::UploadPartCopy(Granted(c, asker)),
            Call::CompleteMultipartUpload(c) => Self::CompleteMultipartUpload(Granted(c, asker)),
            Call::AbortMultipartUpload(c) => Self::AbortMultipartUpload(Granted(c, asker)),
            Call::ListParts(c) => Self::ListParts(Granted(c, asker)),
            Call::ListMultipartUploads(c) => Self::ListMultipartUploads(Granted(c, asker)),
            Call::GetObjectAcl(c) => Self::GetObjectAcl(Granted(c, asker)),
            Call::GetObjectTagging(c) => Self::GetObjectTagging(Granted(c, asker)),
            Call::PutObjectTagging(c) => Self::PutObjectTagging(Granted(c, asker)),
            Call::DeleteObjectTagging(c) => Self::DeleteObjectTagging(Granted(c, asker)),
        }
    }
}

impl Granted<&CopyObject> {
    /// The read that a copy was granted on its source.
    #[must_use]
    pub fn source(self) -> Granted<ReadObject> {
        read(&self.source, None, self.1)
    }

    /// The write that a copy was granted on its destination, where source and destination stand on
    /// different backends. `source` is what the source's metadata says, `tags` are the source's, and
    /// `kept` the algorithm of its checksum, which the copy keeps where none is asked for.
    #[must_use]
    pub fn destination(
        self,
        source: &ObjectMetadata,
        tags: TagSet,
        kept: Option<ChecksumAlgorithm>,
    ) -> Granted<PutObject> {
        let computed = |algorithm| ChecksumRequest {
            algorithm,
            source: ChecksumSource::Computed,
        };
        Granted(
            PutObject {
                bucket: self.bucket.clone(),
                key: self.key.clone(),
                metadata: self.metadata_from(source),
                tags: self.tags.clone().unwrap_or(tags),
                conditions: self.conditions.clone(),
                checksum: self.checksum.or(kept).map(computed),
            },
            self.1,
        )
    }
}

impl Granted<&CreateBucket> {
    /// A look whether the bucket is there already.
    #[must_use]
    pub fn head(self) -> Granted<OnBucket> {
        let bucket = self.bucket.clone();
        Granted(OnBucket { bucket }, self.1)
    }
}

impl Granted<&GetConfiguration> {
    /// A look whether the bucket is there.
    #[must_use]
    pub fn head(self) -> Granted<OnBucket> {
        let bucket = self.bucket.clone();
        Granted(OnBucket { bucket }, self.1)
    }
}

impl Granted<&ListObjects> {
    /// A look whether the bucket keeps versions.
    #[must_use]
    pub fn versioning(self) -> Granted<OnBucket> {
        let bucket = self.bucket.clone();
        Granted(OnBucket { bucket }, self.1)
    }
}

impl Granted<&OnObject> {
    /// A look at what is there, beside the look at its tags.
    #[must_use]
    pub fn head(self) -> Granted<ReadObject> {
        Granted(
            ReadObject {
                bucket: self.bucket.clone(),
                key: self.key.clone(),
                version_id: self.version_id.clone(),
                range: None,
                part_number: None,
                conditions: ReadConditions::default(),
                checksum_mode: false,
                overrides: Vec::new(),
            },
            self.1,
        )
    }
}

impl CopySource {
    /// The same source, only as long as it has this entity tag. What the client asks for beside it
    /// stays asked.
    fn only(&self, etag: &ETag) -> Self {
        let mut source = self.clone();
        let theirs = source.conditions.if_match.take().unwrap_or_default();
        // Of theirs the one that is ours; without it none, so that none fits.
        let any = theirs.is_empty() || theirs.iter().any(|tag| tag == etag || tag.0 == "*");
        source.conditions.if_match = Some(match any {
            true => vec![etag.clone()],
            false => theirs,
        });
        source
    }
}

impl Granted<UploadPartCopy> {
    /// The same copy, only of what has this entity tag.
    #[must_use]
    pub fn only(call: Granted<&UploadPartCopy>, etag: &ETag) -> Self {
        Granted(
            UploadPartCopy {
                source: call.source.only(etag),
                ..UploadPartCopy::clone(&call)
            },
            call.1,
        )
    }
}

impl Granted<CopyObject> {
    /// The same copy, only of what has this entity tag.
    #[must_use]
    pub fn only(call: Granted<&CopyObject>, etag: &ETag) -> Self {
        Granted(
            CopyObject {
                source: call.source.only(etag),
                ..CopyObject::clone(&call)
            },
            call.1,
        )
    }

    /// The same copy, which takes no tag along.
    #[must_use]
    pub fn without_tags(call: Granted<&CopyObject>) -> Self {
        Granted(
            CopyObject {
                tags: Some(TagSet::default()),
                ..CopyObject::clone(&call)
            },
            call.1,
        )
    }
}

impl Granted<ReadObject> {
    /// The same read, of the object that has this tag.
    #[must_use]
    pub fn still(&self, etag: &ETag) -> Self {
        Granted(
            ReadObject {
                conditions: ReadConditions {
                    if_match: Some(vec![etag.clone()]),
                    ..ReadConditions::default()
                },
                ..self.0.clone()
            },
            self.1,
        )
    }

    /// The tags of what a copy reads, at `version_id` where the store has told one.
    #[must_use]
    pub fn tagging(&self, version_id: Option<&str>) -> Granted<OnObject> {
        Granted(
            OnObject {
                bucket: self.bucket.clone(),
                key: self.key.clone(),
                version_id: version_id.map(str::to_owned),
            },
            self.1,
        )
    }

    /// The same read of the whole object: what a range was granted on.
    #[must_use]
    pub fn whole(&self) -> Self {
        Granted(
            ReadObject {
                range: None,
                ..self.0.clone()
            },
            self.1,
        )
    }
}

impl Granted<&UploadPartCopy> {
    /// The read that a part's copy was granted on its source.
    #[must_use]
    pub fn source(self) -> Granted<ReadObject> {
        read(
            &self.source,
            self.range
                .map(|(first, last)| ByteRange::FromTo(first, last)),
            self.1,
        )
    }

    /// The write that a part's copy was granted on its upload.
    #[must_use]
    pub fn destination(self) -> Granted<UploadPart> {
        let upload = self.upload.clone();
        Granted(
            UploadPart {
                upload,
                part_number: self.part_number,
                checksum: None,
            },
            self.1,
        )
    }
}

fn read(source: &CopySource, range: Option<ByteRange>, asker: Asker) -> Granted<ReadObject> {
    Granted(
        ReadObject {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            version_id: source.version_id.clone(),
            range,
            part_number: None,
            conditions: source.conditions.clone(),
            checksum_mode: true,
            overrides: Vec::new(),
        },
        asker,
    )
}
