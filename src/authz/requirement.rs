//! What each operation needs: (action, resource) pairs, all of which must be allowed.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>

use std::borrow::Cow;

use crate::s3::call::{CopyObject, CopySource, DeleteObject, OnObject};
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
    /// Whether it is of the object that is there, with the tags that it has.
    pub(super) is_there: bool,
    /// The KMS key, when the action is on one, as the request names it.
    pub(super) kms_key: Option<&'a str>,
}

impl<'a> Requirement<'a> {
    fn service(action: &'static str) -> Self {
        Self {
            action,
            bucket: None,
            key: None,
            version_id: None,
            is_source: false,
            is_there: false,
            kms_key: None,
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
    pub(super) fn resource(&self, account: &str, region: &str) -> Cow<'a, str> {
        if let Some(key) = self.kms_key {
            return kms_arn(key, account, region);
        }
        match (self.bucket, self.key) {
            (Some(bucket), Some(key)) => Cow::Owned(format!("arn:aws:s3:::{bucket}/{key}")),
            (Some(bucket), None) => Cow::Owned(format!("arn:aws:s3:::{bucket}")),
            (None, _) => Cow::Borrowed("arn:aws:s3:::*"),
        }
    }

    /// The object whose tags `s3:ExistingObjectTag/…` asks for.
    pub(super) fn existing_object(&self) -> Option<OnObject> {
        let (bucket, key) = self.bucket.zip(self.key).filter(|_| self.is_there)?;
        Some(OnObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version_id: self.version_id.map(str::to_owned),
        })
    }
}

/// Every right that a call needs. DeleteObjects has none of its own: its keys have.
pub(super) fn requirements<'a>(call: &'a Call, head: &'a Head) -> Vec<Requirement<'a>> {
    let mut needed = of_call(call);
    if let Some(last) = needed.last().copied() {
        let headers = of_headers(call, head);
        needed.extend(headers.map(|action| Requirement {
            action,
            is_there: action == "s3:GetObject",
            ..last
        }));
    }
    needed.extend(kms_key(call, head));
    needed
}

/// An upload under a key of the customer's takes the right to have data keys made with it.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html>
fn kms_key<'a>(call: &Call, head: &'a Head) -> Option<Requirement<'a>> {
    let writes = matches!(
        call,
        Call::PutObject(_) | Call::CopyObject(_) | Call::CreateMultipartUpload(_)
    );
    const NAME: &str = "x-amz-server-side-encryption-aws-kms-key-id";
    if !writes || !head.has_header(NAME) {
        return None;
    }
    // One that cannot be read is no key that a policy could name.
    let key = head.header(NAME).ok().flatten().unwrap_or_default();
    Some(Requirement {
        kms_key: Some(key),
        ..Requirement::service("kms:GenerateDataKey")
    })
}

/// A key by its ARN, its alias or its id.
pub(super) fn kms_arn<'a>(key: &'a str, account: &str, region: &str) -> Cow<'a, str> {
    match key {
        arn if arn.starts_with("arn:") => Cow::Borrowed(arn),
        alias if alias.starts_with("alias/") => {
            Cow::Owned(format!("arn:aws:kms:{region}:{account}:{alias}"))
        }
        id => Cow::Owned(format!("arn:aws:kms:{region}:{account}:key/{id}")),
    }
}

/// A header may ask for more than the call's name: each has an action of its own (T40).
fn of_headers(call: &Call, head: &Head) -> impl Iterator<Item = &'static str> {
    let table: &[Row] = match call {
        Call::CreateBucket(_) => &CREATES_BUCKET,
        Call::PutObject(_) | Call::CopyObject(_) | Call::CreateMultipartUpload(_) => &WRITES,
        Call::CompleteMultipartUpload(_) => &COMPLETES,
        Call::DeleteObject(_) => &DELETES,
        _ => &[],
    };
    let asked = |(headers, _): &&Row| headers.iter().any(|name| says(head, name));
    // The tag may stand in the document of a DeleteObjects.
    let compares = matches!(call, Call::DeleteObject(DeleteObject { if_match: Some(tag), .. }) if tag.0 != "*");
    let read = compares.then_some("s3:GetObject");
    table
        .iter()
        .filter(asked)
        .map(|(_, action)| *action)
        .chain(read)
}

/// Whether a header asks for something. What cannot be read asks for what it might.
fn says(head: &Head, name: &'static str) -> bool {
    if !head.has_header(name) {
        return false;
    }
    match head.header(name) {
        Ok(Some(value)) => asks(name, value),
        _ => true,
    }
}

/// Whether a header with that value asks for something.
pub(super) fn asks(name: &str, value: &str) -> bool {
    match name {
        // Two are flags, and any object at all is compared with nothing.
        "x-amz-bypass-governance-retention" | "x-amz-bucket-object-lock-enabled" => {
            !value.eq_ignore_ascii_case("false")
        }
        "if-match" => value != "*",
        _ => true,
    }
}

/// Headers, and the action that each of them asks for.
pub(super) type Row = (&'static [&'static str], &'static str);

const ACL: [&str; 6] = [
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];
const RETENTION: [&str; 2] = [
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
];

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>
pub(super) const CREATES_BUCKET: [Row; 4] = [
    (&ACL, "s3:PutBucketAcl"),
    (
        &["x-amz-bucket-object-lock-enabled"],
        "s3:PutBucketObjectLockConfiguration",
    ),
    (
        &["x-amz-bucket-object-lock-enabled"],
        "s3:PutBucketVersioning",
    ),
    (&["x-amz-object-ownership"], "s3:PutBucketOwnershipControls"),
];

/// What compares an entity tag reads.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
pub(super) const COMPARES: Row = (&["if-match"], "s3:GetObject");

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
pub(super) const WRITES: [Row; 5] = [
    (&ACL, "s3:PutObjectAcl"),
    (&["x-amz-tagging"], "s3:PutObjectTagging"),
    (&RETENTION, "s3:PutObjectRetention"),
    (&["x-amz-object-lock-legal-hold"], "s3:PutObjectLegalHold"),
    COMPARES,
];

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
const COMPLETES: [Row; 1] = [COMPARES];

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>
pub(super) const DELETES: [Row; 1] = [(
    &["x-amz-bypass-governance-retention"],
    "s3:BypassGovernanceRetention",
)];

fn of_call(call: &Call) -> Vec<Requirement<'_>> {
    let bucket = Requirement::bucket;
    let object = Requirement::object;
    match call {
        Call::ListBuckets(_) => vec![Requirement::service("s3:ListAllMyBuckets")],
        Call::CreateBucket(c) => vec![bucket("s3:CreateBucket", &c.bucket)],
        Call::DeleteBucket(c) => vec![bucket("s3:DeleteBucket", &c.bucket)],
        Call::HeadBucket(c) => vec![bucket("s3:ListBucket", &c.bucket)],
        Call::GetBucketLocation(c) => vec![bucket("s3:GetBucketLocation", &c.bucket)],
        Call::GetBucketPolicy(c) => vec![bucket("s3:GetBucketPolicy", &c.bucket)],
        Call::PutBucketPolicy(c) => vec![bucket("s3:PutBucketPolicy", &c.bucket)],
        Call::DeleteBucketPolicy(c) => vec![bucket("s3:DeleteBucketPolicy", &c.bucket)],
        Call::GetBucketPolicyStatus(c) => vec![bucket("s3:GetBucketPolicyStatus", &c.bucket)],
        Call::GetPublicAccessBlock(c) => vec![bucket("s3:GetBucketPublicAccessBlock", &c.bucket)],
        Call::PutPublicAccessBlock(c) | Call::DeletePublicAccessBlock(c) => {
            vec![bucket("s3:PutBucketPublicAccessBlock", &c.bucket)]
        }
        Call::ListObjects(c) | Call::ListObjectsV2(c) => vec![bucket("s3:ListBucket", &c.bucket)],
        Call::ListObjectVersions(c) => vec![bucket("s3:ListBucketVersions", &c.bucket)],
        Call::GetBucketVersioning(c) => vec![bucket("s3:GetBucketVersioning", &c.bucket)],
        Call::GetConfiguration(c) => {
            let actions = c.operation.row().actions.iter();
            actions.map(|action| bucket(action, &c.bucket)).collect()
        }
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
            vec![source(&c.source), object("s3:PutObject", &c.bucket, &c.key)]
        }
        Call::CreateMultipartUpload(c) => vec![object("s3:PutObject", &c.bucket, &c.key)],
        Call::UploadPart(c) => vec![object("s3:PutObject", &c.upload.bucket, &c.upload.key)],
        Call::UploadPartCopy(c) => {
            vec![
                source(&c.source),
                object("s3:PutObject", &c.upload.bucket, &c.upload.key),
            ]
        }
        Call::CompleteMultipartUpload(c) => {
            vec![object("s3:PutObject", &c.upload.bucket, &c.upload.key)]
        }
        Call::GetObjectAcl(c) => {
            let actions = ["s3:GetObjectAcl", "s3:GetObjectVersionAcl"];
            vec![tags(actions, &c.bucket, &c.key, c.version_id.as_deref())]
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

/// An action on the tags or the ACL of an object, or on those of one of its versions.
fn tags<'a>(
    [current, version]: [&'static str; 2],
    bucket: &'a BucketName,
    key: &'a ObjectKey,
    version_id: Option<&'a str>,
) -> Requirement<'a> {
    let action = version_id.map_or(current, |_| version);
    Requirement {
        version_id,
        is_there: true,
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

/// Whether an action manages a bucket's policy, which root may whatever that policy says.
pub(super) fn manages_policy(action: &str) -> bool {
    matches!(
        action,
        "s3:DeleteBucketPolicy" | "s3:GetBucketPolicy" | "s3:PutBucketPolicy"
    )
}

/// The read of what a copy takes its bytes from.
pub(super) fn source(from: &CopySource) -> Requirement<'_> {
    Requirement {
        is_source: true,
        ..read(&from.bucket, &from.key, from.version_id.as_deref())
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
        is_there: true,
        ..Requirement::object(action, bucket, key)
    }
}
