//! Multipart uploads.

use super::super::call::{
    CompleteMultipartUpload, CreateMultipartUpload, ListParts, OnUpload, UploadPart, UploadPartCopy,
};
use super::super::{BucketName, ByteRange, Error, Head, ObjectKey};
use super::{checksum, condition, invalid, metadata, number, object, tagging, url_encoded};

/// The longest page of ListParts.
const MAX_PARTS: u32 = 1000;

/// The longest upload id that is looked at.
const MAX_UPLOAD_ID: usize = 1024;

pub(super) fn create(
    head: &Head,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<CreateMultipartUpload, Error> {
    Ok(CreateMultipartUpload {
        bucket: bucket.clone(),
        key: key.clone(),
        metadata: metadata::of(head)?,
        tags: tagging::of(head)?,
        checksum: checksum::of_multipart(head)?,
    })
}

pub(super) fn upload(head: &Head, bucket: &BucketName, key: &ObjectKey) -> Result<OnUpload, Error> {
    let upload_id = head.query.get("uploadId").unwrap_or_default();
    if upload_id.is_empty() || upload_id.len() > MAX_UPLOAD_ID {
        return Err(invalid(
            "uploadId",
            upload_id.get(..64).unwrap_or_default(),
            "This operation needs an upload id",
        ));
    }
    Ok(OnUpload {
        bucket: bucket.clone(),
        key: key.clone(),
        upload_id: upload_id.to_owned(),
    })
}

pub(super) fn part(head: &Head, bucket: &BucketName, key: &ObjectKey) -> Result<UploadPart, Error> {
    Ok(UploadPart {
        upload: upload(head, bucket, key)?,
        part_number: object::part_number(head.query.get("partNumber").unwrap_or_default())?,
        checksum: checksum::of_upload(head)?,
    })
}

pub(super) fn part_copy(
    head: &Head,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<UploadPartCopy, Error> {
    object::no_body(head)?;
    Ok(UploadPartCopy {
        source: object::copy_source(head)?,
        range: copy_range(head)?,
        upload: upload(head, bucket, key)?,
        part_number: object::part_number(head.query.get("partNumber").unwrap_or_default())?,
    })
}

/// `x-amz-copy-source-range`: `bytes=first-last`, both always given.
fn copy_range(head: &Head) -> Result<Option<(u64, u64)>, Error> {
    let Some(text) = head.header("x-amz-copy-source-range")? else {
        return Ok(None);
    };
    let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy";
    match ByteRange::parse(text) {
        Some(ByteRange::FromTo(first, last)) => Ok(Some((first, last))),
        _ => Err(invalid("x-amz-copy-source-range", text, message)),
    }
}

pub(super) fn complete(
    head: &Head,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<CompleteMultipartUpload, Error> {
    let size = match head.header("x-amz-mp-object-size")? {
        None => None,
        Some(text) => match text.parse() {
            Ok(size) => Some(size),
            Err(_) => {
                return Err(invalid(
                    "x-amz-mp-object-size",
                    text,
                    "the size is not a number",
                ));
            }
        },
    };
    Ok(CompleteMultipartUpload {
        upload: upload(head, bucket, key)?,
        conditions: condition::of_write(head)?,
        checksum: checksum::of_complete(head)?,
        checksum_type: checksum::kind(head)?,
        size,
    })
}

pub(super) fn list_parts(
    head: &Head,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<ListParts, Error> {
    let after = number(head, "part-number-marker", 0, 10_000)?;
    Ok(ListParts {
        upload: upload(head, bucket, key)?,
        max_parts: number(head, "max-parts", MAX_PARTS, MAX_PARTS)?,
        after: u16::try_from(after).unwrap_or(u16::MAX),
        url_encoded: url_encoded(head)?,
    })
}
