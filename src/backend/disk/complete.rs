//! Completing a multipart upload: its parts are summed up, linked into place, and named by a manifest;
//! no byte is copied.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use md5::Digest as _;
use rustix::io::Errno;
use time::OffsetDateTime;

use super::ending::remove;
use super::files::{self, error};
use super::object::check_write;
use super::opened::Opened;
use super::record::{Manifest, Record};
use super::store::{Place, Store, is_random_name, random_name};
use super::upload::{directory, find, open_part};
use super::{parts, write::Draft};
use crate::backend::CompletedPart;
use crate::s3::call::{CompleteMultipartUpload, OnUpload};
use crate::s3::{
    BucketName, Checksum, ChecksumAlgorithm, ChecksumType, Error, ErrorCode, Hasher,
    StoredChecksum, combine,
};

/// The smallest part that another may follow (AWS's limit): 5 MiB.
const MIN_PART: u64 = 5 * 1024 * 1024;

/// The largest object (AWS's limit): 5 TiB.
const MAX_OBJECT: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// Completes an upload. Who asks again, since no answer came, or beside somebody else who asks, is
/// answered as the first one was, as long as the object is there that it became.
pub(super) fn once(
    store: &Arc<Store>,
    call: &CompleteMultipartUpload,
    named: &[CompletedPart],
) -> Result<Record, Error> {
    let now = OffsetDateTime::now_utc();
    let outcome = assemble(store, call, named, now).and_then(|(record, _)| {
        complete(store, call, named, &record, |current| {
            check_write(&call.conditions, current)
        })?;
        Ok(record)
    });
    match outcome {
        // What its own completion took away, or made, is in the way of none.
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::NoSuchUpload | ErrorCode::InvalidPart | ErrorCode::PreconditionFailed
            ) =>
        {
            let record = completed(store, call, named)?.ok_or(error)?;
            // The first one may have failed, or been killed, before this was durable.
            store.make_durable(&Place::of(&call.upload.bucket, &record.key))?;
            Ok(record)
        }
        other => other,
    }
}

/// The object that this upload became, of the same parts, while its key still holds it.
fn completed(
    store: &Store,
    call: &CompleteMultipartUpload,
    named: &[CompletedPart],
) -> Result<Option<Record>, Error> {
    let OnUpload {
        bucket,
        key,
        upload_id,
    } = &call.upload;
    if !is_random_name(upload_id) {
        return Ok(None);
    }
    let place = Place::of(bucket, key.as_str());
    let Some(opened) = store.open_object(&place)? else {
        return Ok(None);
    };
    let record = Record::clone(&opened.record);
    let Some(manifest) = record.manifest.as_ref() else {
        return Ok(None);
    };
    let mut md5 = md5::Md5::default();
    for part in named {
        match hex::decode(&part.etag.0) {
            Ok(digest) => md5.update(digest),
            Err(_) => return Ok(None),
        }
    }
    let etag = format!("{}-{}", hex::encode(md5.finalize()), named.len());
    let numbers = manifest.parts.iter().map(|(number, _)| *number);
    let same = manifest.upload == *upload_id
        && record.key == key.as_str()
        && record.etag == etag
        && numbers.eq(named.iter().map(|part| part.part_number));
    if !same {
        return Ok(None);
    }
    for part in named.iter().filter(|part| part.checksum.is_some()) {
        let path = parts::path(bucket, &manifest.directory);
        let found = store.open_record(&format!("{path}/{}", part.part_number))?;
        let kept = found.and_then(|part| part.record.stored_checksum());
        if kept.map(|stored| stored.checksum) != part.checksum {
            return Ok(None);
        }
    }
    check_size(call, record.size)?;
    check_given(call, record.stored_checksum().as_ref())?;
    Ok(Some(record))
}

/// The object that the parts make: its record, not yet written.
pub(super) fn assemble(
    store: &Store,
    call: &CompleteMultipartUpload,
    named: &[CompletedPart],
    now: OffsetDateTime,
) -> Result<(Record, Option<StoredChecksum>), Error> {
    let upload = find(store, &call.upload)?;
    let mut sum = Sum::new(upload.checksum());
    let mut parts = Vec::with_capacity(named.len());
    for (at, part) in named.iter().enumerate() {
        let invalid = || {
            Error::new(ErrorCode::InvalidPart)
                .detail("UploadId", call.upload.upload_id.as_str())
                .detail("PartNumber", part.part_number.to_string())
                .detail("ETag", part.etag.0.as_str())
        };
        let found = open_part(store, &call.upload, part.part_number)?
            .ok_or_else(invalid)?
            .record;
        let kept = found.stored_checksum().map(|stored| stored.checksum);
        let differs = part
            .checksum
            .as_ref()
            .is_some_and(|given| kept.as_ref() != Some(given));
        if found.etag != part.etag.0 || differs {
            return Err(invalid());
        }
        if found.size < MIN_PART && at.saturating_add(1) < named.len() {
            return Err(Error::new(ErrorCode::EntityTooSmall)
                .detail("ProposedSize", found.size.to_string())
                .detail("MinSizeAllowed", MIN_PART.to_string())
                .detail("PartNumber", part.part_number.to_string())
                .detail("ETag", part.etag.0.as_str()));
        }
        sum.add(&found.etag, kept.as_ref(), found.size)?;
        parts.push((part.part_number, found.size));
    }
    let size = sum.size;
    if size > MAX_OBJECT {
        return Err(ErrorCode::EntityTooLarge.into());
    }
    check_size(call, size)?;
    let (etag, checksum) = sum.finish(parts.len());
    check_given(call, checksum.as_ref())?;
    let mut record = Record::new(
        call.upload.key.as_str(),
        size,
        etag,
        now,
        &upload.metadata(),
        checksum.as_ref(),
    );
    record.tags = upload.tags.clone();
    record.manifest = Some(Manifest {
        directory: random_name()?,
        upload: call.upload.upload_id.clone(),
        parts,
    });
    Ok((record, checksum))
}

fn check_size(call: &CompleteMultipartUpload, size: u64) -> Result<(), Error> {
    if call.size.is_some_and(|given| given != size) {
        let message = format!(
            "The provided 'x-amz-mp-object-size' header does not match what was computed: {size}"
        );
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

/// What the client says of the whole must be what we computed.
fn check_given(
    call: &CompleteMultipartUpload,
    computed: Option<&StoredChecksum>,
) -> Result<(), Error> {
    if let (Some(kind), Some(computed)) = (call.checksum_type, computed)
        && kind != computed.kind
    {
        let message = "The upload was created with another checksum type. The complete request must carry the same one.";
        return Err(Error::with_message(ErrorCode::BadDigest, message));
    }
    let Some(given) = &call.checksum else {
        return Ok(());
    };
    let agrees = computed.is_some_and(|computed| {
        let same = computed.checksum == given.checksum;
        same && (given.parts.is_none() || given.parts == computed.parts)
    });
    match agrees {
        true => Ok(()),
        false => {
            let name = given.checksum.algorithm.name();
            let message =
                format!("The {name} you specified did not match the calculated checksum.");
            Err(Error::with_message(ErrorCode::BadDigest, message))
        }
    }
}

/// Links the parts where the manifest says, commits it, and ends the upload.
pub(super) fn complete(
    store: &Arc<Store>,
    call: &CompleteMultipartUpload,
    named: &[CompletedPart],
    record: &Record,
    check: impl FnOnce(Option<&Opened>) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(manifest) = &record.manifest else {
        return Err(Error::internal("there is no manifest"));
    };
    let bucket = &call.upload.bucket;
    let mut draft = Draft::new(store.clone(), bucket)?;
    draft.finish(record)?;
    // In use from before it is there, so that the collector knows of it.
    let using = store.use_parts(bucket, &manifest.directory);
    let place = Place::of(bucket, call.upload.key.as_str());
    let outcome = link(store, call, manifest)
        .and_then(|()| unchanged(store, bucket, manifest, named))
        .and_then(|()| {
            let conditional = !call.conditions.is_empty();
            store.swap(&place, record, &draft.name, conditional, check)
        });
    match outcome {
        Ok(old) => {
            draft.keep();
            // The key names these parts now, whatever becomes of the next step.
            store.settle(&place, old.as_ref())?;
            drop(using);
            // The object is there: what is left of the upload is the collector's, should this fail.
            if let Err(error) = remove(store, &call.upload) {
                tracing::warn!(%error, "a completed upload cannot be removed");
            }
            Ok(())
        }
        Err(error) => {
            store.discard_if_unnamed(&place, &manifest.directory);
            Err(error)
        }
    }
}

fn link(store: &Store, call: &CompleteMultipartUpload, manifest: &Manifest) -> Result<(), Error> {
    let bucket = &call.upload.bucket;
    let failed = |errno| error("link parts", errno);
    let from = directory(bucket, &call.upload.upload_id);
    let from = match files::open_directory(store.root(), &from) {
        Err(Errno::NOENT) => return Err(ErrorCode::NoSuchUpload.into()),
        other => other.map_err(failed)?,
    };
    let above = store.inside(bucket, "parts")?;
    files::make_directory(above.as_fd(), &manifest.directory).map_err(failed)?;
    let to = files::open_directory(store.root(), &parts::path(bucket, &manifest.directory));
    let to = to.map_err(failed)?;
    for (number, _) in &manifest.parts {
        let name = number.to_string();
        match files::link(from.as_fd(), &name, to.as_fd(), &name) {
            Err(Errno::NOENT) => return Err(ErrorCode::NoSuchUpload.into()),
            other => other.map_err(failed)?,
        }
    }
    files::sync(to.as_fd()).map_err(failed)?;
    files::sync(above.as_fd()).map_err(failed)
}

/// Whether the linked parts are those that were summed up: an upload of the same part may have come in
/// between. What is linked stays as it is.
fn unchanged(
    store: &Store,
    bucket: &BucketName,
    manifest: &Manifest,
    named: &[CompletedPart],
) -> Result<(), Error> {
    for ((number, size), part) in manifest.parts.iter().zip(named) {
        let path = format!("{}/{number}", parts::path(bucket, &manifest.directory));
        let linked = store.open_record(&path)?;
        let same = |o: &Opened| o.record.etag == part.etag.0 && o.record.size == *size;
        if !linked.as_ref().is_some_and(same) {
            return Err(Error::new(ErrorCode::InvalidPart).detail("PartNumber", number.to_string()));
        }
    }
    Ok(())
}

/// Tags and checksums of the parts on their way to the whole's.
struct Sum {
    md5: md5::Md5,
    asked: Option<(ChecksumAlgorithm, ChecksumType)>,
    composite: Option<Hasher>,
    full: Option<Checksum>,
    broken: bool,
    size: u64,
}

impl Sum {
    fn new(asked: Option<(ChecksumAlgorithm, ChecksumType)>) -> Self {
        // Without a choice S3 keeps the CRC-64 of the whole, which every part has.
        let asked = Some(asked.unwrap_or((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject)));
        let composite = asked.and_then(|(algorithm, kind)| {
            (kind == ChecksumType::Composite).then(|| Hasher::new(algorithm))
        });
        Self {
            md5: md5::Md5::default(),
            asked,
            composite,
            full: None,
            broken: false,
            size: 0,
        }
    }

    fn add(&mut self, etag: &str, kept: Option<&Checksum>, size: u64) -> Result<(), Error> {
        self.md5.update(hex::decode(etag).map_err(Error::internal)?);
        self.size = self.size.saturating_add(size);
        let Some((algorithm, kind)) = self.asked else {
            return Ok(());
        };
        match (kept.filter(|kept| kept.algorithm == algorithm), kind) {
            (None, _) => self.broken = true,
            (Some(kept), ChecksumType::Composite) => {
                if let Some(hasher) = &mut self.composite {
                    hasher.update(kept.digest());
                }
            }
            (Some(kept), ChecksumType::FullObject) => {
                self.full = match self.full.take() {
                    None => Some(kept.clone()),
                    Some(before) => combine(&before, kept, size),
                };
            }
        }
        Ok(())
    }

    fn finish(self, parts: usize) -> (String, Option<StoredChecksum>) {
        let etag = format!("{}-{parts}", hex::encode(self.md5.finalize()));
        let checksum = match (self.asked, self.broken) {
            (Some((_, ChecksumType::FullObject)), false) => {
                self.full.map(|checksum| StoredChecksum {
                    checksum,
                    kind: ChecksumType::FullObject,
                    parts: None,
                })
            }
            (Some((_, ChecksumType::Composite)), false) => {
                self.composite.map(|hasher| StoredChecksum {
                    checksum: hasher.finish(),
                    kind: ChecksumType::Composite,
                    parts: u16::try_from(parts).ok(),
                })
            }
            _ => None,
        };
        (etag, checksum)
    }
}
