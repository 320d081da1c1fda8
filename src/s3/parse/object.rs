//! Operations on one object.

use super::super::call::{
    CopyObject, CopySource, DeleteObject, PutObject, ReadObject, ResponseOverrides,
};
use super::super::head::decode;
use super::super::{BucketName, ByteRange, ETag, Error, ErrorCode, Head, ObjectKey};
use super::{checksum, condition, invalid, metadata, tagging};

/// The longest version id; any store's is text that needs no encoding in a URL.
const MAX_VERSION: usize = 1024;

/// Query keys that set a header of the answer, and that header.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];

pub(super) fn read(head: &Head, bucket: &BucketName, key: &ObjectKey) -> Result<ReadObject, Error> {
    let range = head.header("range")?.and_then(ByteRange::parse);
    let part_number = head.query.get("partNumber").map(part_number).transpose()?;
    if range.is_some() && part_number.is_some() {
        let message = "Cannot specify both Range header and partNumber query parameter";
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    let mode = head.header("x-amz-checksum-mode")?;
    Ok(ReadObject {
        bucket: bucket.clone(),
        key: key.clone(),
        version_id: version(head)?,
        range,
        part_number,
        conditions: condition::of_read(head)?,
        checksum_mode: mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED")),
        overrides: overrides(head)?,
    })
}

fn overrides(head: &Head) -> Result<ResponseOverrides, Error> {
    let mut kept = Vec::new();
    for (parameter, header) in OVERRIDES {
        let Some(value) = head.query.get(parameter) else {
            continue;
        };
        // A value that could end the header would let a client write headers of its own (T59).
        if http::HeaderValue::from_str(value).is_err()
            && http::HeaderValue::from_bytes(value.as_bytes()).is_err()
        {
            return Err(invalid(parameter, "", "the value cannot stand in a header"));
        }
        kept.push((header, value.to_owned()));
    }
    Ok(kept)
}

pub(super) fn version(head: &Head) -> Result<Option<String>, Error> {
    match head.query.get("versionId") {
        Some("") => Err(invalid(
            "versionId",
            "",
            "Version id cannot be the empty string",
        )),
        Some(id) if id.len() > MAX_VERSION || !id.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(invalid("versionId", "", "Invalid version id specified"))
        }
        other => Ok(other.map(str::to_owned)),
    }
}

/// A part number, 1 to 10,000.
pub(super) fn part_number(text: &str) -> Result<u16, Error> {
    match text.parse::<u16>() {
        Ok(n @ 1..=10_000) => Ok(n),
        _ => {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            Err(invalid("partNumber", text, message))
        }
    }
}

pub(super) fn put(head: &Head, bucket: &BucketName, key: &ObjectKey) -> Result<PutObject, Error> {
    Ok(PutObject {
        bucket: bucket.clone(),
        key: key.clone(),
        metadata: metadata::of(head)?,
        tags: tagging::of(head)?,
        conditions: condition::of_write(head)?,
        checksum: checksum::of_upload(head)?,
    })
}

pub(super) fn delete(
    head: &Head,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<DeleteObject, Error> {
    Ok(DeleteObject {
        bucket: bucket.clone(),
        key: key.clone(),
        version_id: version(head)?,
        if_match: head.header("if-match")?.map(ETag::parse),
    })
}

pub(super) fn copy(head: &Head, bucket: &BucketName, key: &ObjectKey) -> Result<CopyObject, Error> {
    let source = copy_source(head)?;
    let redirect = metadata::redirect(head)?;
    let metadata = match head.header("x-amz-metadata-directive")? {
        None | Some("COPY") => None,
        Some("REPLACE") => Some(metadata::of(head)?),
        Some(other) => {
            return Err(invalid(
                "x-amz-metadata-directive",
                other,
                "Unknown metadata directive.",
            ));
        }
    };
    if metadata.is_none()
        && redirect.is_none()
        && source.bucket == *bucket
        && source.key == *key
        && source.version_id.is_none()
    {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    no_body(head)?;
    Ok(CopyObject {
        source,
        bucket: bucket.clone(),
        key: key.clone(),
        metadata,
        redirect,
        tags: tagging::of_copy(head)?,
        conditions: condition::of_write(head)?,
        checksum: checksum::algorithm(head, "x-amz-checksum-algorithm")?,
    })
}

/// A copy has no body: one that came would be an upload that is thrown away.
pub(super) fn no_body(head: &Head) -> Result<(), Error> {
    let length = head
        .header("content-length")?
        .is_some_and(|length| length.trim() != "0");
    if length || head.headers().contains_key("transfer-encoding") {
        let message = "A copy request must not have a body";
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

/// `x-amz-copy-source`: `bucket/key`, percent-encoded, with an optional `/` in front and an optional
/// `?versionId=` behind; the `?` is looked for before anything is decoded (T55).
pub(super) fn copy_source(head: &Head) -> Result<CopySource, Error> {
    let raw = head.header("x-amz-copy-source")?.unwrap_or_default();
    let wrong = || {
        let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
        invalid("x-amz-copy-source", raw, message)
    };
    let (path, version_id) = match raw.split_once('?') {
        None => (raw, None),
        Some((path, query)) => match query.strip_prefix("versionId=") {
            Some(id) if !id.is_empty() && !id.contains('&') => (path, Some(decode(id)?)),
            _ => return Err(wrong()),
        },
    };
    let path = decode(path).map_err(|_| wrong())?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or_else(wrong)?;
    let bucket = BucketName::parse(bucket).map_err(|_| wrong())?;
    let key = match ObjectKey::parse(key) {
        Ok(key) => key,
        Err(super::super::InvalidObjectKey::TooLong) => return Err(ErrorCode::KeyTooLong.into()),
        Err(_) => return Err(wrong()),
    };
    Ok(CopySource {
        bucket,
        key,
        version_id,
        conditions: condition::of_copy_source(head)?,
    })
}
