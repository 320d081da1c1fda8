//! Objects remembered: what is known of those that were read lately, and the bytes of small ones, in
//! bounded memory. Whoever changes an object forgets it first (see [`Store::changing`]).
//!
//! [`Store::changing`]: super::store::Store::changing

use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;

use super::opened::Opened;
use super::record::{Record, crc32c};
use crate::s3::BucketName;

/// What an object takes in memory beside its texts and bytes.
const OBJECT: usize = 640;

/// An object as it was read.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) record: Arc<Record>,
    /// All of its bytes, checked, where they are few.
    pub(super) bytes: Option<Bytes>,
}

impl Remembered {
    fn weight(&self, key: &str) -> u32 {
        let record = &self.record;
        let pairs = [&record.standard, &record.user, &record.tags];
        let texts = pairs.into_iter().flatten();
        let texts = texts
            .map(|(name, value)| name.len() + value.len() + 48)
            .sum::<usize>();
        let parts = record.manifest.as_ref().map_or(0, |m| m.parts.len() * 16);
        let bytes = self.bytes.as_ref().map_or(0, Bytes::len);
        u32::try_from(OBJECT + 2 * key.len() + texts + parts + bytes).unwrap_or(u32::MAX)
    }
}

/// The objects that were read lately.
#[derive(Debug)]
pub(super) struct Objects {
    cache: Cache<String, Remembered>,
}

fn name(bucket: &BucketName, key: &str) -> String {
    [bucket.as_str(), "/", key].concat()
}

impl Objects {
    /// Remembers in at most about `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        let weigher = |key: &String, kept: &Remembered| kept.weight(key);
        let builder = Cache::builder()
            .max_capacity(budget as u64)
            .weigher(weigher);
        Self {
            cache: builder.build(),
        }
    }

    pub(super) fn get(&self, bucket: &BucketName, key: &str) -> Option<Remembered> {
        self.cache.get(&name(bucket, key))
    }

    /// Only by whoever holds the key's lock.
    pub(super) fn remember(&self, bucket: &BucketName, key: &str, opened: &Opened) {
        let sound = |bytes: &&Bytes| opened.crcs.first().map(|crc| *crc == crc32c(bytes));
        let bytes = match &opened.whole {
            Some(bytes) if opened.record.manifest.is_none() => match sound(&bytes) {
                // A copy: the piece that was read has the footer in it as well.
                Some(true) => Some(Bytes::copy_from_slice(bytes)),
                Some(false) => return,
                None => Some(Bytes::new()),
            },
            _ => None,
        };
        let record = opened.record.clone();
        self.cache
            .insert(name(bucket, key), Remembered { record, bytes });
    }

    pub(super) fn forget(&self, bucket: &BucketName, key: &str) {
        self.cache.invalidate(&name(bucket, key));
    }
}
