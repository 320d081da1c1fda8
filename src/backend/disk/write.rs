//! Writes a body into a temporary file: bytes, CRCs, MD5 and checksum as they pass.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use md5::Digest as _;
use pingora_timeout::timeout;
use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::files::{self, error};
use super::record::{BLOCK, Record};
use super::store::{Store, random_name};
use super::threads::{self, aside};
use crate::backend::Upload;
use crate::fair::{Asker, Turns};
use crate::s3::{BucketName, Checksum, Error};

/// A body up to this length is taken whole and written in one go.
const SMALL: u64 = 64 * 1024;

/// How many bytes are gathered before they are written: as many again may be on their way to the disk.
const GATHER: usize = 256 * 1024;

/// How many uploads gather so much at a time.
const MUCH: usize = 32;

/// How many bytes the others gather.
const LITTLE: usize = 32 * 1024;

/// How long what was gathered waits for more.
const PAUSE: Duration = Duration::from_secs(1);

/// A temporary file with a body in it, which goes when it is not committed.
#[derive(Debug)]
pub(super) struct Draft {
    store: Arc<Store>,
    bucket: BucketName,
    pub(super) name: String,
    file: OwnedFd,
    crcs: Vec<u32>,
    block: crc_fast::Digest,
    filled: u64,
    md5: md5::Md5,
    pub(super) size: u64,
    committed: bool,
}

impl Draft {
    pub(super) fn new(store: Arc<Store>, bucket: &BucketName) -> Result<Self, Error> {
        let name = random_name()?;
        let path = format!("buckets/{bucket}/tmp/{name}");
        let file = match files::create_file(store.root(), &path) {
            // There is no such bucket, or one whose directory has to be made again.
            Err(Errno::NOENT) => files::create_file(store.inside(bucket, "tmp")?.as_fd(), &name),
            other => other,
        };
        let file = file.map_err(|errno| error("create a file", errno))?;
        Ok(Self {
            store,
            bucket: bucket.clone(),
            name,
            file,
            crcs: Vec::new(),
            block: block(),
            filled: 0,
            md5: md5::Md5::default(),
            size: 0,
            committed: false,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        files::write_all(self.file.as_fd(), bytes).map_err(|e| error("write", e))?;
        self.md5.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = usize::try_from(BLOCK.saturating_sub(self.filled)).unwrap_or(0);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.block.update(now);
            self.filled = self.filled.saturating_add(now.len() as u64);
            if self.filled == BLOCK {
                self.end_block();
            }
            rest = later;
        }
        Ok(())
    }

    fn end_block(&mut self) {
        let crc = std::mem::replace(&mut self.block, block()).finalize();
        self.crcs.push(crc as u32);
        self.filled = 0;
    }

    /// The MD5 of the bytes so far.
    pub(super) fn md5(&self) -> [u8; 16] {
        self.md5.clone().finalize().into()
    }

    /// Writes what is known of the body behind it, and makes the file durable.
    pub(super) fn finish(&mut self, record: &Record) -> Result<(), Error> {
        if self.filled > 0 {
            self.end_block();
        }
        let footer = record.footer(self.size, &self.crcs)?;
        files::write_all(self.file.as_fd(), &footer).map_err(|e| error("write", e))?;
        self.store.sync_file(self.file.as_fd())
    }

    /// The file has been renamed: it stays.
    pub(super) fn keep(mut self) {
        self.committed = true;
    }
}

fn block() -> crc_fast::Digest {
    crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi)
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let store = self.store.clone();
        let (directory, name) = (format!("buckets/{}/tmp", self.bucket), self.name.clone());
        // What cannot be removed now goes with the next start.
        aside(move || {
            let above = files::open_directory(store.root(), &directory);
            let removed = above.and_then(|above| files::remove_file(above.as_fd(), &name));
            if let Err(errno) = removed {
                tracing::debug!(%errno, name, "a temporary file cannot be removed");
            }
        });
    }
}

/// Takes `body` into a draft, then hands it with the verified checksum to `commit`. Bytes are gathered
/// while the last ones are written, on blocking threads; a client that is slow has neither thread nor
/// much memory.
pub(super) async fn receive<T: Send + 'static>(
    store: Arc<Store>,
    bucket: BucketName,
    asker: Asker,
    body: &mut dyn Upload,
    commit: impl FnOnce(Draft, Option<Checksum>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let room = Room {
        much: store.gathering.0.clone(),
        turns: store.threads.writing.clone(),
        asker,
    };
    let short = store.threads.short.clone();
    let mut draft = Writing::Unmade(store, bucket);
    let mut gathered = Gathered::default();
    loop {
        match next(body, &mut gathered, &mut draft, &room).await? {
            Some(bytes) => gathered.push(bytes, &room.much),
            None => break,
        }
        if gathered.is_full() {
            let alone = gathered.room.is_none();
            draft = draft.write(gathered.take(), &room).await?;
            if alone {
                // Without room for much, nothing is gathered while the last is written.
                draft = draft.idle().await?;
            }
        }
    }
    let checksum = body.checksum();
    let (batch, draft) = (gathered.take(), draft.idle().await?);
    threads::run(&short, asker, move || {
        let mut draft = draft.made()?;
        for bytes in &batch.pieces {
            draft.write(bytes)?;
        }
        commit(*draft, checksum)
    })
    .await
}

/// The next bytes. While a client takes its time, what it has sent goes to the disk.
async fn next(
    body: &mut dyn Upload,
    gathered: &mut Gathered,
    draft: &mut Writing,
    room: &Room,
) -> Result<Option<Bytes>, Error> {
    // A small body is written in one go.
    if body.length() <= SMALL {
        return body.next().await;
    }
    if draft.has_written() {
        *draft = std::mem::replace(draft, Writing::Lost).idle().await?;
    }
    let mut coming = body.next();
    if let Ok(came) = timeout(PAUSE, &mut coming).await {
        return came;
    }
    let mut taken = std::mem::replace(draft, Writing::Lost);
    if gathered.length > 0 {
        taken = taken.write(gathered.take(), room).await?;
    }
    // What was written last is given back too: the client may never send more.
    *draft = taken.idle().await?;
    coming.await
}

/// Bytes that wait to be written.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    length: usize,
    /// Room to gather much: as long as the pieces are there.
    room: Option<OwnedSemaphorePermit>,
}

impl Gathered {
    fn push(&mut self, bytes: Bytes, room: &Arc<Semaphore>) {
        self.length = self.length.saturating_add(bytes.len());
        self.pieces.push(bytes);
        if self.length >= LITTLE && self.room.is_none() {
            self.room = room.clone().try_acquire_owned().ok();
        }
    }

    fn is_full(&self) -> bool {
        let most = match self.room {
            Some(_) => GATHER,
            None => LITTLE,
        };
        self.length >= most
    }

    fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// Room to gather much, which all uploads share.
#[derive(Clone, Debug)]
pub(super) struct Gathering(Arc<Semaphore>);

impl Default for Gathering {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MUCH)))
    }
}

#[cfg(test)]
impl Gathering {
    /// How many more uploads may gather much.
    pub(super) fn left(&self) -> usize {
        self.0.available_permits()
    }
}

/// What one upload has of what all share.
struct Room {
    much: Arc<Semaphore>,
    turns: Arc<Turns>,
    asker: Asker,
}

/// A draft, and what was written to it last, which has its room until its memory is given back.
type Written = (Box<Draft>, Gathered);

/// A draft that is written piece by piece.
enum Writing {
    /// No file yet.
    Unmade(Arc<Store>, BucketName),
    Idle(Box<Draft>),
    /// A thread has it; what it wrote comes back, so that memory is given back where it was taken.
    Busy(JoinHandle<Result<Written, Error>>),
    /// Only while another value is on its way, or after an error.
    Lost,
}

impl Writing {
    /// Whether a thread has ended its writing, so that what it wrote can be given back at once.
    fn has_written(&self) -> bool {
        matches!(self, Self::Busy(writing) if writing.is_finished())
    }

    /// Waits until nobody writes.
    async fn idle(self) -> Result<Self, Error> {
        match self {
            Self::Busy(writing) => {
                let (draft, _written) = writing.await.map_err(Error::internal)??;
                Ok(Self::Idle(draft))
            }
            other => Ok(other),
        }
    }

    /// Writes a batch once the one before is written, and does not wait for it.
    async fn write(self, batch: Gathered, room: &Room) -> Result<Self, Error> {
        let draft = self.idle().await?;
        let turn = threads::turn(&room.turns, room.asker).await?;
        Ok(Self::Busy(threads::spawn(move || {
            let mut draft = draft.made()?;
            for bytes in &batch.pieces {
                draft.write(bytes)?;
            }
            drop(turn);
            Ok((draft, batch))
        })))
    }

    /// The draft; blocks.
    fn made(self) -> Result<Box<Draft>, Error> {
        match self {
            Self::Unmade(store, bucket) => Draft::new(store, &bucket).map(Box::new),
            Self::Idle(draft) => Ok(draft),
            Self::Busy(_) | Self::Lost => Err(Error::internal("a draft is written by two")),
        }
    }
}
