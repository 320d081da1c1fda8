//! Reads an object's bytes: whole blocks, each checked against its CRC before a byte of it leaves.
//!
//! A block of 1 MiB is held in memory only while there is room for it (see [`Blocks`]) and its reader
//! keeps up. Otherwise it is checked without being kept, and its pieces are read again, and compared
//! with what was checked, when they can be sent.

use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::files;
use super::opened::{Opened, Trouble};
use super::parts::Using;
use super::record::{BLOCK, crc32c};
use super::store::{Store, lock};
use super::threads;
use crate::backend::{Body, Download};
use crate::fair::{Asker, Turn, Turns};
use crate::s3::{BucketName, Error};

/// What is answered in one piece.
const SMALL: u64 = 64 * 1024;

/// What one who has no block of his own holds at a time.
const PIECE: u64 = 32 * 1024;

/// How many blocks are held at a time, by all readers together.
const BLOCKS: usize = 32;

/// A reader who needs longer than this for a piece, or as much longer for more bytes, is slow.
const SLOW: Duration = Duration::from_millis(15);

/// Room for blocks in memory. The memory is used again: what one thread takes of the allocator and another
/// gives back stays with the first, and there are many.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    room: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(BLOCKS)),
            spare: Arc::default(),
        }
    }
}

impl Blocks {
    fn take(&self) -> Option<Room> {
        let permit = self.room.clone().try_acquire_owned().ok()?;
        let mut bytes = Vec::new();
        if let Some(spare) = lock(&self.spare).pop() {
            bytes = spare;
        }
        // Here and not by the thread that reads: what a thread takes stays with it.
        bytes.clear();
        bytes.reserve_exact(BLOCK as usize);
        Some(Room {
            bytes,
            blocks: self.clone(),
            permit: Some(permit),
        })
    }
}

#[cfg(test)]
impl Blocks {
    /// Leaves no room to others.
    pub(super) fn take_all(&self) -> Option<OwnedSemaphorePermit> {
        let all = u32::try_from(BLOCKS).ok()?;
        self.room.clone().try_acquire_many_owned(all).ok()
    }
}

/// Room for a block, taken until the last of its bytes is sent.
struct Room {
    bytes: Vec<u8>,
    blocks: Blocks,
    permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut spare = lock(&self.blocks.spare);
        spare.push(std::mem::take(&mut self.bytes));
        // Given back under the lock, so that one of those that go at the same time is the last.
        drop(self.permit.take());
        let is_last = self.blocks.room.available_permits() == BLOCKS;
        let freed = is_last.then(|| std::mem::take(&mut *spare));
        drop(spare);
        drop(freed);
    }
}

/// The body of `length` bytes from `offset` of an object.
pub(super) fn body(
    store: &Arc<Store>,
    bucket: &BucketName,
    asker: Asker,
    opened: Opened,
    offset: u64,
    length: u64,
) -> Result<Body, Error> {
    if length == 0 {
        return Ok(Body::Empty);
    }
    let inside = offset % BLOCK;
    if opened.record.manifest.is_none() && length <= SMALL && inside.saturating_add(length) <= BLOCK
    {
        let bytes = stretch(store, &opened, offset, length)?;
        return Ok(Body::Whole(bytes));
    }
    Ok(Body::Stream(Box::new(Stream::new(
        store, bucket, asker, opened, offset, length,
    ))))
}

/// All bytes of an object that is one small file.
pub(super) fn whole(store: &Store, opened: &Opened) -> Result<Bytes, Error> {
    match opened.data {
        0 => Ok(Bytes::new()),
        length => stretch(store, opened, 0, length),
    }
}

/// Bytes of one block, which was checked.
fn stretch(store: &Store, opened: &Opened, offset: u64, length: u64) -> Result<Bytes, Error> {
    let start = usize::try_from(offset % BLOCK).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
    let bytes = match &opened.whole {
        Some(whole) => {
            check(store, opened, 0, crc32c(whole))?;
            whole.clone()
        }
        None => {
            let mut piece = Vec::new();
            let sums = sums(store, opened, offset / BLOCK, &mut piece)?;
            let (from, bytes) = pieces(opened, offset, length, &sums, piece)?;
            let skip = usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX);
            let end = skip.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            return match end <= bytes.len() {
                true => Ok(bytes.slice(skip..end)),
                false => Err(Error::internal("a file is shorter than its record says")),
            };
        }
    };
    match end <= bytes.len() {
        true => Ok(bytes.slice(start..end)),
        false => Err(Error::internal("a file is shorter than its record says")),
    }
}

/// Where a block begins and how long it is.
fn bounds(opened: &Opened, index: u64) -> (u64, u64) {
    let start = index.saturating_mul(BLOCK);
    (start, opened.data.saturating_sub(start).min(BLOCK))
}

/// Compares a block's CRC with the file's.
fn check(store: &Store, opened: &Opened, index: u64, computed: u32) -> Result<(), Error> {
    let kept = usize::try_from(index).ok();
    let kept = kept.and_then(|index| opened.crcs.get(index));
    if kept == Some(&computed) {
        return Ok(());
    }
    let path = format!("block {index} of `{}`", opened.record.key);
    store.faults.damaged(&path, "its CRC is another");
    Err(Error::internal(format_args!("{path} is damaged")))
}

fn read(into: &mut Vec<u8>, opened: &Opened, offset: u64, length: u64) -> Result<(), Error> {
    let length = usize::try_from(length).map_err(Error::internal)?;
    let read = files::read_into(into, opened.file.as_fd(), offset, length);
    Ok(read.map_err(|errno| Trouble::Io("read", errno))?)
}

/// Reads and checks one block.
fn block(store: &Store, opened: &Opened, index: u64, mut room: Room) -> Result<Bytes, Error> {
    let (start, length) = bounds(opened, index);
    read(&mut room.bytes, opened, start, length)?;
    check(store, opened, index, crc32c(&room.bytes))?;
    Ok(Bytes::from_owner(room))
}

/// Checks a block without keeping it, piece by piece in `piece`: the CRC of each.
fn sums(
    store: &Store,
    opened: &Opened,
    index: u64,
    piece: &mut Vec<u8>,
) -> Result<Vec<u32>, Error> {
    let (start, length) = bounds(opened, index);
    let mut all = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    let mut sums = Vec::new();
    let mut at = 0;
    while at < length {
        let from = start.saturating_add(at);
        read(piece, opened, from, PIECE.min(length - at))?;
        all.update(piece);
        sums.push(crc32c(piece));
        at = at.saturating_add(PIECE);
    }
    check(store, opened, index, all.finalize() as u32)?;
    Ok(sums)
}

/// Reads the pieces of a checked block that `length` bytes from `offset` lie in, and where they begin.
fn pieces(
    opened: &Opened,
    offset: u64,
    length: u64,
    sums: &[u32],
    mut bytes: Vec<u8>,
) -> Result<(u64, Bytes), Error> {
    let (start, size) = bounds(opened, offset / BLOCK);
    let inside = offset.saturating_sub(start);
    let first = inside / PIECE;
    let end = inside.saturating_add(length).min(size).div_ceil(PIECE);
    let from = first.saturating_mul(PIECE);
    let until = end.saturating_mul(PIECE).min(size);
    let (from, length) = (start.saturating_add(from), until.saturating_sub(from));
    read(&mut bytes, opened, from, length)?;
    let step = usize::try_from(PIECE).map_err(Error::internal)?;
    let expected = sums
        .iter()
        .skip(usize::try_from(first).map_err(Error::internal)?);
    let same = bytes
        .chunks(step)
        .zip(expected)
        .all(|(bytes, sum)| crc32c(bytes) == *sum);
    match same {
        true => Ok((from, bytes.into())),
        false => Err(Error::internal("a block changed while it was read")),
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

/// Bytes in order. Of a reader that keeps up the next block is read while the last is sent.
struct Stream {
    blocks: Blocks,
    turns: Arc<Turns>,
    asker: Asker,
    reader: Option<Box<Reader>>,
    next: Option<JoinHandle<Step>>,
    /// What was given last, and when.
    given: Option<(usize, Instant)>,
}

/// A reader back from its thread, with what it read.
type Step = (Box<Reader>, Result<Option<Bytes>, Error>);

/// The blocking side.
struct Reader {
    store: Arc<Store>,
    /// The directory of the parts, which stays while it is read.
    parts: Option<Using>,
    current: Option<Opened>,
    stretches: std::vec::IntoIter<Stretch>,
    offset: u64,
    left: u64,
    /// The block that was checked last, and the CRCs of its pieces.
    checked: Option<(u64, Vec<u32>)>,
}

impl Stream {
    fn new(
        store: &Arc<Store>,
        bucket: &BucketName,
        asker: Asker,
        opened: Opened,
        offset: u64,
        length: u64,
    ) -> Self {
        let manifest = opened.record.manifest.as_ref();
        let stretches = match manifest {
            None => vec![Stretch {
                part: None,
                offset,
                length,
            }],
            Some(manifest) => stretches(&manifest.parts, offset, length),
        };
        let parts = manifest.map(|manifest| store.use_parts(bucket, &manifest.directory));
        let reader = Reader {
            parts,
            current: Some(opened),
            stretches: stretches.into_iter(),
            offset: 0,
            left: 0,
            checked: None,
            store: store.clone(),
        };
        Self {
            blocks: store.blocks.clone(),
            turns: store.threads.reading.clone(),
            asker,
            reader: Some(Box::new(reader)),
            next: None,
            given: None,
        }
    }

    fn start(&mut self, room: Option<Room>, turn: Turn) {
        // Taken here, where it is given back.
        let piece = match room {
            Some(_) => Vec::new(),
            None => Vec::with_capacity(PIECE as usize),
        };
        if let Some(mut reader) = self.reader.take() {
            self.next = Some(threads::spawn(move || {
                let outcome = reader.step(room, piece);
                drop(turn);
                (reader, outcome)
            }));
        }
    }

    /// Room for a block, while there is much of it or the client has taken the last bytes at once.
    fn room(&self) -> Option<Room> {
        let keeps_up = match self.given {
            None => self.blocks.room.available_permits() > BLOCKS / 2,
            Some((length, since)) => {
                let pieces = u32::try_from(length as u64 / PIECE)
                    .unwrap_or(u32::MAX)
                    .max(1);
                since.elapsed() < SLOW.saturating_mul(pieces)
            }
        };
        match keeps_up {
            true => self.blocks.take(),
            false => None,
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
    /// The next bytes: the rest of a block where there is room for it, else a piece in that memory.
    fn step(&mut self, room: Option<Room>, mut piece: Vec<u8>) -> Result<Option<Bytes>, Error> {
        while self.left == 0 {
            let Some(stretch) = self.stretches.next() else {
                return Ok(None);
            };
            self.enter(stretch)?;
        }
        let Some(opened) = &self.current else {
            return Err(Error::internal("nothing is open"));
        };
        let index = self.offset / BLOCK;
        let (start, size) = bounds(opened, index);
        let inside = self.offset.saturating_sub(start);
        if inside >= size {
            return Err(Error::internal("a file is shorter than its record says"));
        }
        let (from, bytes) = match room {
            Some(room) => (start, block(&self.store, opened, index, room)?),
            None => {
                let sums = match self.checked.take() {
                    Some((checked, sums)) if checked == index => sums,
                    _ => sums(&self.store, opened, index, &mut piece)?,
                };
                let length = PIECE.saturating_sub(inside % PIECE).min(size - inside);
                let read = pieces(opened, self.offset, length, &sums, piece)?;
                self.checked = Some((index, sums));
                read
            }
        };
        let skip = usize::try_from(self.offset.saturating_sub(from)).unwrap_or(usize::MAX);
        let want = usize::try_from(self.left).unwrap_or(usize::MAX);
        let end = skip.saturating_add(want).min(bytes.len());
        let bytes = bytes.slice(skip.min(end)..end);
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(Some(bytes))
    }

    /// Opens what the next bytes are in.
    fn enter(&mut self, stretch: Stretch) -> Result<(), Error> {
        if let (Some(part), Some(parts)) = (stretch.part, &self.parts) {
            let path = format!("{}/{part}", parts.path());
            let opened = self.store.open_record(&path)?;
            let Some(opened) = opened else {
                self.store.faults.damaged(&path, "a part is missing");
                return Err(Error::internal(format_args!("part `{path}` is missing")));
            };
            self.current = Some(opened);
        }
        self.checked = None;
        (self.offset, self.left) = (stretch.offset, stretch.length);
        Ok(())
    }
}

#[async_trait]
impl Download for Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.next.is_none() {
            let turn = threads::turn(&self.turns, self.asker).await?;
            let room = self.room();
            self.start(room, turn);
        }
        let Some(running) = self.next.take() else {
            return Ok(None);
        };
        let (reader, outcome) = running.await.map_err(Error::internal)?;
        self.reader = Some(reader);
        if let Ok(Some(bytes)) = &outcome {
            // Whoever got a block gets the next one read ahead, if there is room for it too.
            let ahead = match bytes.len() as u64 > PIECE {
                true => self.room(),
                false => None,
            };
            self.given = Some((bytes.len(), Instant::now()));
            if let (Some(_), Some(turn)) = (&ahead, self.turns.at_once(self.asker)) {
                self.start(ahead, turn);
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::{Blocks, lock};

    /// Whoever is last, and also where two are: nobody keeps memory that nobody uses.
    #[test]
    fn the_last_reader_gives_all_memory_back() {
        for _ in 0..2000 {
            let blocks = Blocks::default();
            let rooms = [blocks.take(), blocks.take()];
            assert!(rooms.iter().all(Option::is_some));
            let together = Barrier::new(rooms.len());
            std::thread::scope(|scope| {
                for mut room in rooms.into_iter().flatten() {
                    room.bytes = vec![0; 8];
                    let together = &together;
                    scope.spawn(move || {
                        together.wait();
                        drop(room);
                    });
                }
            });
            assert!(lock(&blocks.spare).is_empty());
        }
    }
}
