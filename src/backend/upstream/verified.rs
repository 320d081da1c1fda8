//! What was verified of the parts that went to a store which keeps no checksums: what a
//! CompleteMultipartUpload says of them cannot be passed on, so it is compared here. What is not known
//! any more, or never was, is refused and not believed.

use crate::backend::CompletedPart;
use crate::crypto::sha256;
use crate::s3::call::{CompleteMultipartUpload, OnUpload, UploadPart};
use crate::s3::{Checksum, ETag, Error, ErrorCode, Hasher, combine};
use moka::sync::Cache;
use std::sync::LazyLock;
use std::time::Duration;

/// Parts that are remembered: some 20 MB.
const PARTS: u64 = 100_000;
/// How long one is remembered.
const FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Of all upstreams, and longer than a reload: uploads go on meanwhile.
static VERIFIED: LazyLock<Cache<[u8; 32], (Checksum, u64)>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(PARTS)
        .time_to_live(FOR)
        .build()
});

fn name(store: &str, upload: &OnUpload, part: u16, etag: &ETag) -> [u8; 32] {
    let OnUpload {
        bucket,
        key,
        upload_id,
    } = upload;
    // Quoted, so that no two are written alike.
    let of = (
        store,
        bucket.as_str(),
        key.as_str(),
        upload_id,
        part,
        &etag.0,
    );
    sha256(format!("{of:?}").as_bytes())
}

/// A part went to `store` and is called `etag` there; `checksum` is that of its `length` bytes.
pub(super) fn remember(
    store: &str,
    call: &UploadPart,
    etag: &ETag,
    checksum: Checksum,
    length: u64,
) {
    let name = name(store, &call.upload, call.part_number, etag);
    VERIFIED.insert(name, (checksum, length));
}

/// Whether what a client says of parts and whole is what was verified.
///
/// # Errors
/// `InvalidPart` for a part's checksum that is another, or that nobody knows; `BadDigest` for the
/// whole's; `NotImplemented` where the whole's cannot be told from those of the parts.
pub(super) fn check(
    store: &str,
    call: &CompleteMultipartUpload,
    parts: &[CompletedPart],
) -> Result<(), Error> {
    let known = |part: &CompletedPart| {
        VERIFIED.get(&name(store, &call.upload, part.part_number, &part.etag))
    };
    for part in parts {
        let Some(given) = &part.checksum else {
            continue;
        };
        let same = known(part).is_some_and(|(checksum, _)| checksum == *given);
        if !same {
            let message = "The checksum of a part is not the one that was verified when it came, or that \
                           is not known any more: upload the part again.";
            return Err(Error::with_message(ErrorCode::InvalidPart, message)
                .detail("UploadId", call.upload.upload_id.as_str())
                .detail("PartNumber", part.part_number.to_string())
                .detail("ETag", part.etag.0.as_str()));
        }
    }
    let Some(whole) = &call.checksum else {
        return Ok(());
    };
    let algorithm = whole.checksum.algorithm;
    let cannot = || {
        let message = "The checksum of a whole upload cannot be verified for this bucket.";
        Error::with_message(ErrorCode::NotImplemented, message)
    };
    let mut composite = Hasher::new(algorithm);
    let mut full: Option<Checksum> = None;
    for (at, part) in parts.iter().enumerate() {
        let verified = known(part).filter(|(checksum, _)| checksum.algorithm == algorithm);
        let (checksum, length) = verified.ok_or_else(cannot)?;
        composite.update(checksum.digest());
        full = match full.take() {
            None if at == 0 => Some(checksum),
            None => None,
            Some(before) => combine(&before, &checksum, length),
        };
    }
    let agrees = match whole.parts {
        Some(count) => usize::from(count) == parts.len() && composite.finish() == whole.checksum,
        None => full.as_ref() == Some(&whole.checksum) || composite.finish() == whole.checksum,
    };
    match agrees {
        true => Ok(()),
        false => {
            let message = format!(
                "The {} you specified did not match the calculated checksum.",
                algorithm.name()
            );
            Err(Error::with_message(ErrorCode::BadDigest, message))
        }
    }
}
