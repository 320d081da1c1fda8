//! Reads an object's bytes: whole blocks, each checked against its CRC before a byte of it leaves.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::files::{self, error};
use super::record::BLOCK;
use super::store::{Opened, Store};
use super::write::verify;
use crate::backend::{Body, Download};
use crate::s3::{BucketName, Error};

/// What is answered in one piece, read without leaving the reactor: a hop to another thread would
/// cost more than the read.
const SMALL: u64 = 64 * 1024;

/// The body of `length` bytes from `offset` of an object whose bytes are in its own file.
pub(super) fn body(
    store: &Arc<Store>,
    bucket: &BucketName,
    opened: Opened,
    offset: u64,
    length: u64,
) -> Result<Body, Error> {
    if length == 0 {
        return Ok(Body::Empty);
    }
    if opened.record.manifest.is_none() && length <= SMALL {
        let bytes = block(&opened, offset / BLOCK)?;
        let start = usize::try_from(offset % BLOCK).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        // Most small reads lie in one block; one across a border takes the stream's way.
        if end <= bytes.len() {
            return Ok(Body::Whole(bytes.slice(start..end)));
        }
    }
    Ok(Body::Stream(Box::new(Stream::new(
        store.clone(),
        bucket,
        opened,
        offset,
        length,
    ))))
}

/// Reads and checks one block.
pub(super) fn block(opened: &Opened, index: u64) -> Result<Bytes, Error> {
    let start = index.saturating_mul(BLOCK);
    let length = usize::try_from(opened.data.saturating_sub(start).min(BLOCK)).unwrap_or(0);
    let bytes = match &opened.whole {
        Some(bytes) => bytes.clone(),
        None => files::read_at(opened.file.as_fd(), start, length)
            .map_err(|e| error("read", e))?
            .into(),
    };
    let crc = usize::try_from(index)
        .ok()
        .and_then(|index| opened.crcs.get(index));
    match verify(&bytes, crc) {
        true => Ok(bytes),
        false => Err(Error::internal(format_args!(
            "block {index} of `{}` is damaged",
            opened.record.key
        ))),
    }
}

/// A stretch of one file.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// The part's number; `None` is the object's own file.
    part: Option<u16>,
    offset: u64,
    length: u64,
}

/// Blocks in order, the next one being read while the last is sent.
struct Stream {
    reader: Option<Box<Reader>>,
    next: Option<JoinHandle<Step>>,
}

/// A reader back from its thread, with what it read.
type Step = (Box<Reader>, Result<Option<Bytes>, Error>);

/// The blocking side.
struct Reader {
    store: Arc<Store>,
    bucket: BucketName,
    /// The directory of the parts, which stays while it is read.
    directory: Option<String>,
    current: Option<Opened>,
    stretches: std::vec::IntoIter<Stretch>,
    offset: u64,
    left: u64,
}

impl Stream {
    fn new(
        store: Arc<Store>,
        bucket: &BucketName,
        opened: Opened,
        offset: u64,
        length: u64,
    ) -> Self {
        let stretches = match &opened.record.manifest {
            None => vec![Stretch {
                part: None,
                offset,
                length,
            }],
            Some(manifest) => stretches(&manifest.parts, offset, length),
        };
        let directory = opened
            .record
            .manifest
            .as_ref()
            .map(|manifest| manifest.directory.clone());
        if let Some(directory) = &directory {
            store.enter_parts(bucket, directory);
        }
        let reader = Reader {
            store,
            bucket: bucket.clone(),
            directory,
            current: Some(opened),
            stretches: stretches.into_iter(),
            offset: 0,
            left: 0,
        };
        Self {
            reader: Some(Box::new(reader)),
            next: None,
        }
    }

    fn start(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            self.next = Some(tokio::task::spawn_blocking(move || {
                let outcome = reader.step();
                (reader, outcome)
            }));
        }
    }
}

/// The parts, and what of each, that a range covers.
fn stretches(parts: &[(u16, u64)], offset: u64, length: u64) -> Vec<Stretch> {
    let end = offset.saturating_add(length);
    let mut at = 0_u64;
    let mut found = Vec::new();
    for &(number, size) in parts {
        let (first, last) = (offset.max(at), end.min(at.saturating_add(size)));
        if first < last {
            found.push(Stretch {
                part: Some(number),
                offset: first.saturating_sub(at),
                length: last.saturating_sub(first),
            });
        }
        at = at.saturating_add(size);
    }
    found
}

impl Reader {
    fn step(&mut self) -> Result<Option<Bytes>, Error> {
        while self.left == 0 {
            let Some(stretch) = self.stretches.next() else {
                return Ok(None);
            };
            if let (Some(part), Some(directory)) = (stretch.part, &self.directory) {
                let path = format!("buckets/{}/parts/{directory}/{part}", self.bucket);
                let opened = self.store.open_record(&path)?;
                self.current =
                    Some(opened.ok_or_else(|| {
                        Error::internal(format_args!("part `{path}` is missing"))
                    })?);
            }
            (self.offset, self.left) = (stretch.offset, stretch.length);
        }
        let Some(opened) = &self.current else {
            return Err(Error::internal("nothing is open"));
        };
        let whole = block(opened, self.offset / BLOCK)?;
        let start = usize::try_from(self.offset % BLOCK).unwrap_or(usize::MAX);
        let want = usize::try_from(self.left).unwrap_or(usize::MAX);
        let end = start.saturating_add(want).min(whole.len());
        if start >= end {
            return Err(Error::internal("a file is shorter than its record says"));
        }
        let bytes = whole.slice(start..end);
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(Some(bytes))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            self.store.leave_parts(&self.bucket, directory);
        }
    }
}

#[async_trait]
impl Download for Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.next.is_none() {
            self.start();
        }
        let Some(running) = self.next.take() else {
            return Ok(None);
        };
        let (reader, outcome) = running.await.map_err(Error::internal)?;
        self.reader = Some(reader);
        if matches!(outcome, Ok(Some(_))) {
            self.start();
        }
        outcome
    }
}
