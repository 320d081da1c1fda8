//! From a routed head to a typed [`Call`]: one function per operation, each total.

mod bucket;
pub(super) mod checksum;
mod condition;
pub(super) mod headers;
mod listing;
mod metadata;
mod multipart;
mod object;
mod tagging;

pub use listing::write_token as continuation_token;

use super::{BucketName, Call, Error, ErrorCode, Head, ObjectKey, Operation, Target};

/// The typed call of a head that was routed to `operation`.
pub(super) fn call(head: &Head, target: &Target, operation: Operation) -> Result<Call, Error> {
    match target {
        Target::Service => bucket::service(head, operation),
        Target::Bucket(name) => on_bucket(head, name, operation),
        Target::Object(name, key) => on_object(head, name, key, operation),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table says which operations are answered"
)]
fn on_bucket(head: &Head, name: &BucketName, operation: Operation) -> Result<Call, Error> {
    match operation {
        Operation::CreateBucket => bucket::create(head, name),
        Operation::DeleteBucket => Ok(Call::DeleteBucket(bucket::on(name))),
        Operation::HeadBucket => Ok(Call::HeadBucket(bucket::on(name))),
        Operation::GetBucketLocation => Ok(Call::GetBucketLocation(bucket::on(name))),
        Operation::GetBucketPolicy => Ok(Call::GetBucketPolicy(bucket::on(name))),
        Operation::PutBucketPolicy => Ok(Call::PutBucketPolicy(bucket::on(name))),
        Operation::DeleteBucketPolicy => Ok(Call::DeleteBucketPolicy(bucket::on(name))),
        Operation::GetBucketPolicyStatus => Ok(Call::GetBucketPolicyStatus(bucket::on(name))),
        Operation::GetPublicAccessBlock => Ok(Call::GetPublicAccessBlock(bucket::on(name))),
        Operation::PutPublicAccessBlock => Ok(Call::PutPublicAccessBlock(bucket::on(name))),
        Operation::DeletePublicAccessBlock => Ok(Call::DeletePublicAccessBlock(bucket::on(name))),
        Operation::DeleteObjects => Ok(Call::DeleteObjects(bucket::delete_objects(name))),
        Operation::ListObjects => listing::objects(head, name).map(Call::ListObjects),
        Operation::ListObjectsV2 => listing::objects_v2(head, name).map(Call::ListObjectsV2),
        Operation::ListObjectVersions => {
            listing::versions(head, name).map(Call::ListObjectVersions)
        }
        Operation::GetBucketVersioning => Ok(Call::GetBucketVersioning(bucket::on(name))),
        other if bucket::is_configuration(other) => {
            Ok(Call::GetConfiguration(bucket::configuration(name, other)))
        }
        Operation::ListMultipartUploads => {
            listing::uploads(head, name).map(Call::ListMultipartUploads)
        }
        other => Err(unanswered(other)),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table says which operations are answered"
)]
fn on_object(
    head: &Head,
    name: &BucketName,
    key: &ObjectKey,
    operation: Operation,
) -> Result<Call, Error> {
    match operation {
        Operation::GetObject => object::read(head, name, key).map(Call::GetObject),
        Operation::HeadObject => object::read(head, name, key).map(Call::HeadObject),
        Operation::PutObject => object::put(head, name, key).map(Call::PutObject),
        Operation::DeleteObject => object::delete(head, name, key).map(Call::DeleteObject),
        Operation::CopyObject => object::copy(head, name, key).map(Call::CopyObject),
        Operation::CreateMultipartUpload => {
            multipart::create(head, name, key).map(Call::CreateMultipartUpload)
        }
        Operation::UploadPart => multipart::part(head, name, key).map(Call::UploadPart),
        Operation::UploadPartCopy => {
            multipart::part_copy(head, name, key).map(Call::UploadPartCopy)
        }
        Operation::CompleteMultipartUpload => {
            multipart::complete(head, name, key).map(Call::CompleteMultipartUpload)
        }
        Operation::AbortMultipartUpload => {
            multipart::upload(head, name, key).map(Call::AbortMultipartUpload)
        }
        Operation::ListParts => multipart::list_parts(head, name, key).map(Call::ListParts),
        Operation::GetObjectAcl => tagging::on(head, name, key).map(Call::GetObjectAcl),
        Operation::GetObjectTagging => tagging::on(head, name, key).map(Call::GetObjectTagging),
        Operation::PutObjectTagging => tagging::on(head, name, key).map(Call::PutObjectTagging),
        Operation::DeleteObjectTagging => {
            tagging::on(head, name, key).map(Call::DeleteObjectTagging)
        }
        other => Err(unanswered(other)),
    }
}

/// A row says `implemented` and nothing parses it: a mistake of ours that a test finds, refused all
/// the same.
fn unanswered(operation: Operation) -> Error {
    Error::new(ErrorCode::NotImplemented).because(operation.name())
}

/// `InvalidArgument` for a named argument, as S3 words it.
pub(super) fn invalid(name: &'static str, value: &str, message: &'static str) -> Error {
    Error::with_message(ErrorCode::InvalidArgument, message)
        .detail("ArgumentName", name)
        .detail("ArgumentValue", value)
}

/// A whole number of a query parameter, at most `most`, or `default` where it is absent.
fn number(head: &Head, name: &'static str, default: u32, most: u32) -> Result<u32, Error> {
    let Some(text) = head.query.get(name) else {
        return Ok(default);
    };
    match text.parse::<i64>() {
        Ok(n @ 0..=2_147_483_647) => Ok(u32::try_from(n).unwrap_or(most).min(most)),
        Ok(_) => Err(invalid(
            name,
            text,
            "Argument must be an integer between 0 and 2147483647",
        )),
        Err(_) => Err(invalid(
            name,
            text,
            "Provided argument not an integer or within integer range",
        )),
    }
}

/// Whether `encoding-type=url` is asked for.
fn url_encoded(head: &Head) -> Result<bool, Error> {
    match head.query.get("encoding-type") {
        None => Ok(false),
        Some("url") => Ok(true),
        Some(other) => Err(invalid(
            "encoding-type",
            other,
            "Invalid Encoding Method specified in Request",
        )),
    }
}
