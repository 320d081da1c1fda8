//! What each operation needs: (action, resource) pairs, all of which must be allowed.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>

use std::borrow::Cow;

use crate::s3::call::CopyObject;
use crate::s3::{BucketName, Call, Head, ObjectKey};

/// One right that is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirement<'a> {
    /// The IAM action, as in `s3:GetObject`.
    pub(super) action: &'static str,
    /// The bucket whose policy is asked; `None` for the service.
    pub(super) bucket: Option<&'a BucketName>,
    /// The object, when the action is on one.
    pub(super) key: Option<&'a ObjectKey>,
    /// The version that is asked for.
    pub(super) version_id: Option<&'a str>,
    /// Whether this is a copy's source.
    pub(super) is_source: bool,
    /// Whether it manages the bucket's policy.
    pub(super) manages_policy: bool,
}

impl<'a> Requirement<'a> {
    fn service(action: &'static str) -> Self {
        Self {
            action,
            bucket: None,
            key: None,
            version_id: None,
            is_source: false,
            manages_policy: false,
        }
    }

    fn bucket(action: &'static str, bucket: &'a BucketName) -> Self {
        Self {
            bucket: Some(bucket),
            ..Self::service(action)
        }
    }

    fn object(action: &'static str, bucket: &'a BucketName, key: &'a ObjectKey) -> Self {
        Self {
            key: Some(key),
            ..Self::bucket(action, bucket)
        }
    }

    /// The ARN that policies name.
    pub(super) fn resource(&self) -> Cow<'static, str> {
        match (self.bucket, self.key) {
            (Some(bucket), Some(key)) => Cow::Owned(format!("arn:aws:s3:::{bucket}/{key}")),
            (Some(bucket), None) => Cow::Owned(format!("arn:aws:s3:::{bucket}")),
            (None, _) => Cow::Borrowed("arn:aws:s3:::*"),
        }
    }
}

/// Every right that a call needs. DeleteObjects has none of its own: its keys have.
pub(super) fn requirements<'a>(call: &'a Call, head: &Head) -> Vec<Requirement<'a>> {
    let mut needed = of_call(call);
    let writes = matches!(
        call,
        Call::PutObject(_) | Call::CopyObject(_) | Call::CreateMultipartUpload(_)
    );
    // A header may ask for more than the call's name: each has an action of its own (T40).
    if let (true, Some(object)) = (writes, needed.last().copied()) {
        if head.has_header("x-amz-acl") {
            needed.push(Requirement {
                action: "s3:PutObjectAcl",
                ..object
            });
        }
        if head.has_header("x-amz-tagging") {
            needed.push(Requirement {
                action: "s3:PutObjectTagging",
                ..object
            });
        }
    }
    needed
}

fn of_call(call: &Call) -> Vec<Requirement<'_>> {
    let bucket = Requirement::bucket;
    let object = Requirement::object;
    match call {
        Call::ListBuckets(_) => vec![Requirement::service("s3:ListAllMyBuckets")],
        Call::CreateBucket(c) => vec![bucket("s3:CreateBucket", &c.bucket)],
        Call::DeleteBucket(c) => vec![bucket("s3:DeleteBucket", &c.bucket)],
        Call::HeadBucket(c) => vec![bucket("s3:ListBucket", &c.bucket)],
        Call::GetBucketLocation(c) => vec![bucket("s3:GetBucketLocation", &c.bucket)],
        Call::GetBucketPolicy(c) => vec![manages("s3:GetBucketPolicy", &c.bucket)],
        Call::PutBucketPolicy(c) => vec![manages("s3:PutBucketPolicy", &c.bucket)],
        Call::DeleteBucketPolicy(c) => vec![manages("s3:DeleteBucketPolicy", &c.bucket)],
        Call::ListObjects(c) | Call::ListObjectsV2(c) => vec![bucket("s3:ListBucket", &c.bucket)],
        Call::ListMultipartUploads(c) => vec![bucket("s3:ListBucketMultipartUploads", &c.bucket)],
        Call::DeleteObjects(_) => Vec::new(),
        Call::GetObject(c) | Call::HeadObject(c) => {
            vec![read(&c.bucket, &c.key, c.version_id.as_deref())]
        }
        Call::PutObject(c) => vec![object("s3:PutObject", &c.bucket, &c.key)],
        Call::DeleteObject(c) => {
            let version_id = c.version_id.as_deref();
            let action = version_id.map_or("s3:DeleteObject", |_| "s3:DeleteObjectVersion");
            vec![Requirement {
                version_id,
                ..object(action, &c.bucket, &c.key)
            }]
        }
        Call::CopyObject(c) => {
            let source = read(
                &c.source.bucket,
                &c.source.key,
                c.source.version_id.as_deref(),
            );
            let source = Requirement {
                is_source: true,
                ..source
            };
            vec![source, object("s3:PutObject", &c.bucket, &c.key)]
        }
        Call::CreateMultipartUpload(c) => vec![object("s3:PutObject", &c.bucket, &c.key)],
        Call::UploadPart(c) => vec![object("s3:PutObject", &c.upload.bucket, &c.upload.key)],
        Call::UploadPartCopy(c) => {
            let source = read(
                &c.source.bucket,
                &c.source.key,
                c.source.version_id.as_deref(),
            );
            let source = Requirement {
                is_source: true,
                ..source
            };
            vec![
                source,
                object("s3:PutObject", &c.upload.bucket, &c.upload.key),
            ]
        }
        Call::CompleteMultipartUpload(c) => {
            vec![object("s3:PutObject", &c.upload.bucket, &c.upload.key)]
        }
        Call::GetObjectTagging(c) => vec![get_tags(&c.bucket, &c.key, c.version_id.as_deref())],
        Call::PutObjectTagging(c) => {
            let actions = ["s3:PutObjectTagging", "s3:PutObjectVersionTagging"];
            vec![tags(actions, &c.bucket, &c.key, c.version_id.as_deref())]
        }
        Call::DeleteObjectTagging(c) => {
            let actions = ["s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"];
            vec![tags(actions, &c.bucket, &c.key, c.version_id.as_deref())]
        }
        Call::AbortMultipartUpload(c) => vec![object("s3:AbortMultipartUpload", &c.bucket, &c.key)],
        Call::ListParts(c) => {
            vec![object(
                "s3:ListMultipartUploadParts",
                &c.upload.bucket,
                &c.upload.key,
            )]
        }
    }
}

/// An action on the tags of an object, or on those of one of its versions.
fn tags<'a>(
    [current, version]: [&'static str; 2],
    bucket: &'a BucketName,
    key: &'a ObjectKey,
    version_id: Option<&'a str>,
) -> Requirement<'a> {
    let action = version_id.map_or(current, |_| version);
    Requirement {
        version_id,
        ..Requirement::object(action, bucket, key)
    }
}

/// The right to know an object's tags.
pub(super) fn get_tags<'a>(
    bucket: &'a BucketName,
    key: &'a ObjectKey,
    version_id: Option<&'a str>,
) -> Requirement<'a> {
    let actions = ["s3:GetObjectTagging", "s3:GetObjectVersionTagging"];
    tags(actions, bucket, key, version_id)
}

/// What a copy needs where its source has tags that it takes along.
pub(super) fn copied_tags(call: &CopyObject) -> [Requirement<'_>; 2] {
    let source = &call.source;
    [
        Requirement {
            is_source: true,
            ..get_tags(&source.bucket, &source.key, source.version_id.as_deref())
        },
        Requirement::object("s3:PutObjectTagging", &call.bucket, &call.key),
    ]
}

fn manages<'a>(action: &'static str, bucket: &'a BucketName) -> Requirement<'a> {
    Requirement {
        manages_policy: true,
        ..Requirement::bucket(action, bucket)
    }
}

fn read<'a>(
    bucket: &'a BucketName,
    key: &'a ObjectKey,
    version_id: Option<&'a str>,
) -> Requirement<'a> {
    let action = version_id.map_or("s3:GetObject", |_| "s3:GetObjectVersion");
    Requirement {
        version_id,
        ..Requirement::object(action, bucket, key)
    }
}
