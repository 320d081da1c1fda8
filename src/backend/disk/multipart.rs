//! Multipart uploads: a directory each, its parts in files of the object form. Completing one links
//! the parts into place and writes a manifest; no byte is copied.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use md5::Digest as _;
use rustix::fs::{AtFlags, fsync, linkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::files::{self, error};
use super::record::{Manifest, Record};
use super::store::{Opened, Place, Store, no_bucket, random_name};
use super::write::Draft;
use crate::backend::{CompletedPart, ListedPart, ListedUpload, PartPage, UploadPage};
use crate::s3::call::{
    CompleteMultipartUpload, CreateMultipartUpload, ListMultipartUploads, ListParts, OnUpload,
};
use crate::s3::{
    BucketName, Checksum, ChecksumAlgorithm, ChecksumType, ETag, Error, ErrorCode, Hasher,
    ObjectMetadata, StoredChecksum, combine,
};

/// The smallest part that another may follow (AWS's limit): 5 MiB.
const MIN_PART: u64 = 5 * 1024 * 1024;

/// The largest object (AWS's limit): 5 TiB.
const MAX_OBJECT: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// What an upload was opened with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadRecord {
    key: String,
    initiated: i128,
    standard: Vec<(String, String)>,
    user: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<(String, String)>,
    /// Algorithm, and whether the object's checksum is composite.
    checksum: Option<(String, bool)>,
}

impl UploadRecord {
    pub(super) fn checksum(&self) -> Option<(ChecksumAlgorithm, ChecksumType)> {
        let (algorithm, composite) = self.checksum.as_ref()?;
        let kind = if *composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        };
        Some((ChecksumAlgorithm::from_name(algorithm)?, kind))
    }

    fn initiated(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(self.initiated)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn metadata(&self) -> ObjectMetadata {
        let record = Record {
            key: String::new(),
            size: 0,
            etag: String::new(),
            modified: 0,
            checksum: None,
            manifest: None,
            standard: self.standard.clone(),
            user: self.user.clone(),
            tags: Vec::new(),
        };
        record.metadata()
    }
}

/// An upload id is 32 digits of hexadecimal: never a path (T69).
fn is_id(id: &str) -> bool {
    id.len() == 32
        && id
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

fn directory(bucket: &BucketName, id: &str) -> String {
    format!("buckets/{bucket}/uploads/{id}")
}

/// The upload's record; `NoSuchUpload` unless it is there and for this key.
pub(super) fn find(store: &Store, upload: &OnUpload) -> Result<UploadRecord, Error> {
    let missing =
        || Error::new(ErrorCode::NoSuchUpload).detail("UploadId", upload.upload_id.as_str());
    drop(store.bucket(&upload.bucket)?);
    if !is_id(&upload.upload_id) {
        return Err(missing());
    }
    let record = read(store, &upload.bucket, &upload.upload_id)?.ok_or_else(missing)?;
    if record.key == upload.key.as_str() {
        Ok(record)
    } else {
        Err(missing())
    }
}

fn read(store: &Store, bucket: &BucketName, id: &str) -> Result<Option<UploadRecord>, Error> {
    let (file, length) =
        match files::open_file(store.root(), &format!("{}/upload", directory(bucket, id))) {
            Ok(opened) => opened,
            Err(_) => return Ok(None),
        };
    let length = usize::try_from(length).unwrap_or(0);
    let bytes = files::read_at(file.as_fd(), 0, length).map_err(|e| error("read an upload", e))?;
    // One that cannot be read is no upload, and must not hide the others.
    let record = serde_json::from_slice(&bytes);
    let damaged = |error| tracing::error!(%error, id, "an upload's record is damaged");
    Ok(record.map_err(damaged).ok())
}

pub(super) fn create(
    store: &Store,
    call: &CreateMultipartUpload,
    now: OffsetDateTime,
) -> Result<String, Error> {
    drop(store.bucket(&call.bucket)?);
    let id = random_name()?;
    let record = UploadRecord {
        key: call.key.to_string(),
        initiated: now.unix_timestamp_nanos(),
        standard: call
            .metadata
            .standard
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.clone()))
            .collect(),
        user: call.metadata.user.clone(),
        tags: call
            .tags
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        checksum: call.checksum.map(|(algorithm, kind)| {
            (algorithm.name().to_owned(), kind == ChecksumType::Composite)
        }),
    };
    let bytes = serde_json::to_vec(&record).map_err(Error::internal)?;
    let uploads = format!("buckets/{}/uploads", call.bucket);
    // Made aside and moved into place, so that a crash leaves no upload without its record.
    let staged = format!("staging/{id}");
    let make = || -> Result<(), Errno> {
        let staging = files::open_directory(store.root(), "staging")?;
        files::make_directory(staging.as_fd(), &id)?;
        let file = files::create_file(store.root(), &format!("{staged}/upload"))?;
        files::write_all(file.as_fd(), &bytes)?;
        fsync(&file)?;
        fsync(files::open_directory(store.root(), &staged)?)?;
        let parent = files::open_directory(store.root(), &uploads)?;
        files::rename(staging.as_fd(), &id, parent.as_fd(), &id)?;
        fsync(&parent)
    };
    match make() {
        Ok(()) => Ok(id),
        Err(Errno::NOENT) => Err(no_bucket(&call.bucket)),
        Err(errno) => Err(error("open an upload", errno)),
    }
}

/// Moves a finished draft to its part, durably.
pub(super) fn commit_part(
    store: &Store,
    upload: &OnUpload,
    number: u16,
    draft: Draft,
) -> Result<(), Error> {
    let path = directory(&upload.bucket, &upload.upload_id);
    let gone = |errno| match errno {
        Errno::NOENT => ErrorCode::NoSuchUpload.into(),
        errno => error("keep a part", errno),
    };
    let target = files::open_directory(store.root(), &path).map_err(gone)?;
    let staging = files::open_directory(store.root(), &format!("buckets/{}/tmp", upload.bucket))
        .map_err(gone)?;
    files::rename(
        staging.as_fd(),
        &draft.name,
        target.as_fd(),
        &number.to_string(),
    )
    .map_err(gone)?;
    draft.keep();
    store.sync_directory(&path, target.as_fd())
}

/// The parts there are, ascending.
fn parts(store: &Store, upload: &OnUpload) -> Result<Vec<u16>, Error> {
    let path = directory(&upload.bucket, &upload.upload_id);
    let target =
        files::open_directory(store.root(), &path).map_err(|e| error("open an upload", e))?;
    let entries = rustix::fs::Dir::read_from(&target).map_err(|e| error("list", e))?;
    let number = |entry: rustix::fs::DirEntry| entry.file_name().to_str().ok()?.parse::<u16>().ok();
    let mut numbers: Vec<u16> = entries.flatten().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn open_part(store: &Store, upload: &OnUpload, number: u16) -> Result<Option<Opened>, Error> {
    store.open_record(&format!(
        "{}/{number}",
        directory(&upload.bucket, &upload.upload_id)
    ))
}

pub(super) fn list_parts(store: &Store, call: &ListParts) -> Result<PartPage, Error> {
    let record = find(store, &call.upload)?;
    let mut page = PartPage {
        checksum: record.checksum(),
        ..PartPage::default()
    };
    for number in parts(store, &call.upload)?
        .into_iter()
        .filter(|number| *number > call.after)
    {
        if page.parts.len() >= call.max_parts as usize {
            page.truncated = true;
            break;
        }
        let Some(part) = open_part(store, &call.upload, number)? else {
            continue;
        };
        page.parts.push(ListedPart {
            part_number: number,
            size: part.record.size,
            etag: ETag(part.record.etag.clone()),
            last_modified: part.record.modified(),
            checksum: part
                .record
                .stored_checksum()
                .map(|stored| stored.checksum)
                .filter(|c| record.checksum().is_some_and(|(a, _)| a == c.algorithm)),
        });
    }
    Ok(page)
}

pub(super) fn abort(store: &Store, upload: &OnUpload) -> Result<(), Error> {
    find(store, upload)?;
    remove(store, upload)
}

/// Out of sight first, then its files.
fn remove(store: &Store, upload: &OnUpload) -> Result<(), Error> {
    let parent = format!("buckets/{}/uploads", upload.bucket);
    let uploads = files::open_directory(store.root(), &parent).map_err(|e| error("open", e))?;
    let away = format!("staging/{}", random_name()?);
    match files::rename(uploads.as_fd(), &upload.upload_id, store.root(), &away) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(ErrorCode::NoSuchUpload.into()),
        Err(errno) => return Err(error("remove an upload", errno)),
    }
    store.sync_directory(&parent, uploads.as_fd())?;
    files::remove_all(store.root(), &away).map_err(|e| error("remove an upload", e))
}

/// One page of uploads, by key and then by time.
pub(super) fn list(store: &Store, call: &ListMultipartUploads) -> Result<UploadPage, Error> {
    drop(store.bucket(&call.bucket)?);
    let path = format!("buckets/{}/uploads", call.bucket);
    let directory = files::open_directory(store.root(), &path).map_err(|e| error("open", e))?;
    let entries = rustix::fs::Dir::read_from(&directory).map_err(|e| error("list", e))?;
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().ok().filter(|id| is_id(id)) else {
            continue;
        };
        let Some(record) = read(store, &call.bucket, id)? else {
            continue;
        };
        if record.key.starts_with(&call.prefix) {
            all.push((record.key.clone(), record.initiated, id.to_owned(), record));
        }
    }
    all.sort_by(|a, b| (a.0.as_bytes(), a.1, &a.2).cmp(&(b.0.as_bytes(), b.1, &b.2)));
    let mut page = UploadPage::default();
    let mut behind = call.upload_id_marker.is_none();
    for (key, _, id, record) in all {
        if let Some(marker) = &call.key_marker {
            if key.as_bytes() < marker.as_bytes()
                || (key == *marker && call.upload_id_marker.is_none())
            {
                continue;
            }
            if key == *marker && !behind {
                behind = call.upload_id_marker.as_ref() == Some(&id);
                continue;
            }
        }
        let rest = key.strip_prefix(&call.prefix).unwrap_or_default();
        let common = call
            .delimiter
            .as_ref()
            .and_then(|d| rest.find(d.as_str()).map(|at| at.saturating_add(d.len())));
        let common = common.and_then(|end| Some(format!("{}{}", call.prefix, rest.get(..end)?)));
        if let Some(common) = &common {
            let told = call
                .key_marker
                .as_ref()
                .is_some_and(|marker| common.as_bytes() <= marker.as_bytes());
            if told || page.common_prefixes.last() == Some(common) {
                continue;
            }
        }
        let count = page
            .uploads
            .len()
            .saturating_add(page.common_prefixes.len());
        if count >= call.max_uploads as usize {
            let upload = page
                .uploads
                .last()
                .map(|u| (u.key.clone(), u.upload_id.clone()));
            let rolled = page
                .common_prefixes
                .last()
                .map(|p| (p.clone(), String::new()));
            page.next = match (upload, rolled) {
                (Some(upload), Some(rolled)) => {
                    Some(if upload.0 > rolled.0 { upload } else { rolled })
                }
                (one, other) => one.or(other),
            };
            break;
        }
        match common {
            Some(common) => page.common_prefixes.push(common),
            None => page.uploads.push(ListedUpload {
                key,
                upload_id: id,
                initiated: record.initiated(),
                checksum: record.checksum(),
            }),
        }
    }
    Ok(page)
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
    if call.size.is_some_and(|given| given != size) {
        let message = format!(
            "The provided 'x-amz-mp-object-size' header does not match what was computed: {size}"
        );
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
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
    record.tags = upload.tags;
    record.manifest = Some(Manifest {
        directory: random_name()?,
        upload: call.upload.upload_id.clone(),
        parts,
    });
    Ok((record, checksum))
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
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
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
    let link = || -> Result<(), Errno> {
        let parts = files::open_directory(store.root(), &format!("buckets/{bucket}/parts"))?;
        files::make_directory(parts.as_fd(), &manifest.directory)?;
        let to = files::open_directory(
            store.root(),
            &format!("buckets/{bucket}/parts/{}", manifest.directory),
        )?;
        let from = files::open_directory(store.root(), &directory(bucket, &call.upload.upload_id))?;
        for (number, _) in &manifest.parts {
            let name = number.to_string();
            linkat(from.as_fd(), &*name, to.as_fd(), &*name, AtFlags::empty())?;
        }
        fsync(&to)?;
        fsync(&parts)
    };
    let place = Place::of(bucket, call.upload.key.as_str());
    let outcome = link()
        .map_err(|errno| match errno {
            Errno::NOENT => ErrorCode::NoSuchUpload.into(),
            errno => error("link parts", errno),
        })
        .and_then(|()| unchanged(store, bucket, manifest, named))
        .and_then(|()| {
            store.swap(
                &place,
                call.upload.key.as_str(),
                &draft.name,
                !call.conditions.is_empty(),
                check,
            )
        });
    match outcome {
        Ok(old) => {
            draft.keep();
            // The key names these parts now, whatever becomes of the next step.
            store.settle(&place, old)?;
            // The object is there: what is left of the upload is the collector's, should this fail.
            if let Err(error) = remove(store, &call.upload) {
                tracing::warn!(%error, "a completed upload cannot be removed");
            }
            Ok(())
        }
        Err(error) => {
            store.discard_parts(bucket, &manifest.directory);
            Err(error)
        }
    }
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
        let path = format!("buckets/{bucket}/parts/{}/{number}", manifest.directory);
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
