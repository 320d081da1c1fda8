//! An object's file: its bytes, then what is known of them, then a fixed trailer. See `FORMAT.md`.
//!
//! Everything is in one file, so that one open sees bytes, length and metadata that belong together.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::upload::part_number;
use crate::backend::ListedObject;
use crate::s3::{
    Checksum, ChecksumAlgorithm, ChecksumType, ETag, Error, ObjectInfo, ObjectMetadata,
    STANDARD_METADATA, StoredChecksum, TagSet,
};

/// The bytes that one CRC covers.
pub(super) const BLOCK: u64 = 1024 * 1024;

/// The trailer's length.
pub(super) const TRAILER: usize = 32;

const MAGIC: &[u8; 8] = b"PORTCUL1";

/// What is known of an object, a part or a manifest of parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) etag: String,
    /// Nanoseconds since 1970.
    pub(super) modified: i128,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) standard: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) user: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<StoredDigest>,
    /// The parts of a multipart object, whose bytes are in files of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<Manifest>,
}

/// Where a multipart object's bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The directory below `parts`.
    pub(super) directory: String,
    /// The upload that was completed: what a crash left of it can go. Empty for a simple object, whose
    /// one part is the file that it was written as.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) upload: String,
    /// Number and size of each part, in order.
    pub(super) parts: Vec<(u16, u64)>,
}

impl Manifest {
    /// Whether a part's file has this name.
    pub(super) fn has_part(&self, name: &str) -> bool {
        let find = |number| self.parts.binary_search_by_key(&number, |(part, _)| *part);
        part_number(name).is_some_and(|number| find(number).is_ok())
    }
}

/// What a listing tells of an object, small enough to be remembered of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    size: u64,
    /// Nanoseconds since 1970.
    modified: i64,
    digest: [u8; 16],
    /// The number behind a multipart object's entity tag.
    parts: Option<u16>,
    checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

impl Listed {
    /// What is told of `record`; `None` where it does not fit in here, and has to be read each time.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let (digest, parts) = match record.etag.split_once('-') {
            Some((digest, parts)) => (digest, Some(parts.parse().ok()?)),
            None => (record.etag.as_str(), None),
        };
        let listed = Self {
            size: record.size,
            modified: i64::try_from(record.modified).ok()?,
            digest: hex::decode_to_array(digest).ok()?,
            parts,
            checksum: record.listed_checksum(),
        };
        // Told as it stands in the record, or not at all.
        (listed.etag() == record.etag).then_some(listed)
    }

    fn etag(&self) -> String {
        let digest = hex::encode(self.digest);
        match self.parts {
            Some(parts) => format!("{digest}-{parts}"),
            None => digest,
        }
    }

    /// As a listing tells it.
    pub(super) fn told(&self, key: String) -> ListedObject {
        ListedObject {
            key,
            size: self.size,
            etag: ETag(self.etag()),
            last_modified: instant(self.modified.into()),
            checksum: self.checksum,
        }
    }
}

/// An instant in nanoseconds since 1970.
fn instant(nanoseconds: i128) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A checksum as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredDigest {
    pub(super) algorithm: String,
    pub(super) digest: String,
    pub(super) composite: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<u16>,
}

impl Record {
    pub(super) fn new(
        key: &str,
        size: u64,
        etag: String,
        now: OffsetDateTime,
        metadata: &ObjectMetadata,
        checksum: Option<&StoredChecksum>,
    ) -> Self {
        Self {
            key: key.to_owned(),
            size,
            etag,
            modified: now.unix_timestamp_nanos(),
            standard: metadata
                .standard
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            user: metadata.user.clone(),
            tags: Vec::new(),
            checksum: checksum.map(StoredDigest::of),
            manifest: None,
        }
    }

    /// The same with `tags` in place of those there are.
    pub(super) fn tagged(mut self, tags: &TagSet) -> Self {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        self.tags = tags.iter().map(owned).collect();
        self
    }

    pub(super) fn tags(&self) -> Result<TagSet, Error> {
        TagSet::new(self.tags.iter().cloned()).map_err(Error::internal)
    }

    pub(super) fn modified(&self) -> OffsetDateTime {
        instant(self.modified)
    }

    pub(super) fn metadata(&self) -> ObjectMetadata {
        let known = |(name, value): &(String, String)| {
            STANDARD_METADATA
                .iter()
                .find(|known| *known == name)
                .map(|known| (*known, value.clone()))
        };
        ObjectMetadata {
            standard: self.standard.iter().filter_map(known).collect(),
            user: self.user.clone(),
        }
    }

    pub(super) fn stored_checksum(&self) -> Option<StoredChecksum> {
        self.checksum.as_ref().and_then(StoredDigest::read)
    }

    /// Whether its parts are in `directory`.
    pub(super) fn names(&self, directory: &str) -> bool {
        let manifest = self.manifest.as_ref();
        manifest.is_some_and(|manifest| manifest.directory == directory)
    }

    fn listed_checksum(&self) -> Option<(ChecksumAlgorithm, ChecksumType)> {
        self.stored_checksum()
            .map(|stored| (stored.checksum.algorithm, stored.kind))
    }

    /// As a listing tells it.
    pub(super) fn listed(&self, key: String) -> ListedObject {
        ListedObject {
            key,
            size: self.size,
            etag: ETag(self.etag.clone()),
            last_modified: self.modified(),
            checksum: self.listed_checksum(),
        }
    }

    pub(super) fn info(&self) -> ObjectInfo {
        ObjectInfo {
            size: self.size,
            etag: ETag(self.etag.clone()),
            last_modified: self.modified(),
            metadata: self.metadata(),
            tag_count: self.tags.len(),
            checksum: self.stored_checksum(),
            parts: self
                .manifest
                .as_ref()
                .filter(|m| !m.upload.is_empty())
                .and_then(|m| u16::try_from(m.parts.len()).ok()),
            version_id: None,
        }
    }

    /// The bytes behind `size` bytes of data: CRCs, record, trailer.
    pub(super) fn footer(&self, data: u64, crcs: &[u32]) -> Result<Vec<u8>, Error> {
        let record = serde_json::to_vec(self).map_err(Error::internal)?;
        let crc_bytes = crcs.len().saturating_mul(4);
        let mut footer = Vec::with_capacity(
            crc_bytes
                .saturating_add(record.len())
                .saturating_add(TRAILER),
        );
        for crc in crcs {
            footer.extend_from_slice(&crc.to_le_bytes());
        }
        footer.extend_from_slice(&record);
        footer.extend_from_slice(MAGIC);
        footer.extend_from_slice(&data.to_le_bytes());
        let length = |n: usize| u32::try_from(n).map_err(Error::internal);
        footer.extend_from_slice(&length(crc_bytes)?.to_le_bytes());
        footer.extend_from_slice(&length(record.len())?.to_le_bytes());
        let crc = crc32c(&footer);
        footer.extend_from_slice(&crc.to_le_bytes());
        footer.extend_from_slice(&[0; 4]);
        Ok(footer)
    }
}

impl StoredDigest {
    pub(super) fn of(stored: &StoredChecksum) -> Self {
        Self {
            algorithm: stored.checksum.algorithm.name().to_owned(),
            digest: stored.checksum.base64(),
            composite: stored.kind == ChecksumType::Composite,
            parts: stored.parts,
        }
    }

    fn read(&self) -> Option<StoredChecksum> {
        let algorithm = ChecksumAlgorithm::from_name(&self.algorithm)?;
        let kind = if self.composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        };
        Some(StoredChecksum {
            checksum: Checksum::parse(algorithm, &self.digest)?,
            kind,
            parts: self.parts,
        })
    }
}

/// CRC-32C, which every block and every footer has.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// What a trailer says of the bytes before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) data: u64,
    pub(super) crcs: usize,
    pub(super) record: usize,
}

impl Lengths {
    /// Reads a trailer; the lengths must add up to the file's.
    pub(super) fn read(trailer: &[u8], file: u64) -> Option<Self> {
        let rest = trailer.strip_prefix(MAGIC)?;
        let (data, rest) = rest.split_first_chunk::<8>()?;
        let (crcs, rest) = rest.split_first_chunk::<4>()?;
        let (record, _) = rest.split_first_chunk::<4>()?;
        let lengths = Self {
            data: u64::from_le_bytes(*data),
            crcs: u32::from_le_bytes(*crcs) as usize,
            record: u32::from_le_bytes(*record) as usize,
        };
        let blocks = lengths.data.div_ceil(BLOCK).checked_mul(4)?;
        let whole = lengths.data.checked_add(lengths.footer() as u64)?;
        (whole == file && blocks == lengths.crcs as u64).then_some(lengths)
    }

    /// The footer's length, trailer included.
    pub(super) fn footer(&self) -> usize {
        self.crcs
            .saturating_add(self.record)
            .saturating_add(TRAILER)
    }
}

/// Reads a footer: the record and the blocks' CRCs.
pub(super) fn parse(footer: &[u8], lengths: Lengths) -> Option<(Record, Vec<u32>)> {
    let (covered, tail) = footer.split_at_checked(footer.len().checked_sub(8)?)?;
    let (crc, padding) = tail.split_first_chunk::<4>()?;
    if padding != [0; 4] || crc32c(covered) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (crcs, rest) = covered.split_at_checked(lengths.crcs)?;
    let record = rest.get(..lengths.record)?;
    let record: Record = serde_json::from_slice(record).ok()?;
    let crcs = crcs
        .chunks_exact(4)
        .filter_map(|c| c.first_chunk::<4>())
        .map(|c| u32::from_le_bytes(*c));
    Some((record, crcs.collect()))
}
