//! Writes a body into a temporary file: bytes, CRCs, MD5 and checksum as they pass.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use md5::Digest as _;
use tokio::sync::mpsc;

use super::files::{self, error};
use super::record::{BLOCK, Record, crc32c};
use super::store::{Store, no_bucket, random_name};
use crate::backend::Upload;
use crate::s3::{BucketName, Checksum, Error, ErrorCode};

/// A body up to this length is taken whole and written in one go.
const SMALL: u64 = 128 * 1024;

/// How many pieces may wait for the disk.
const QUEUE: usize = 16;

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
        let file = files::create_file(store.root(), &format!("buckets/{bucket}/tmp/{name}"));
        let file = file.map_err(|errno| match errno {
            rustix::io::Errno::NOENT => no_bucket(bucket),
            errno => error("create a file", errno),
        })?;
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
        if !self.committed {
            let _ = std::fs::remove_file(
                self.store
                    .path
                    .join(format!("buckets/{}/tmp/{}", self.bucket, self.name)),
            );
        }
    }
}

/// Takes `body` into a draft, then hands it with the verified checksum to `commit`, all file work on
/// blocking threads while the reactor awaits the next bytes.
pub(super) async fn receive<T: Send + 'static>(
    store: Arc<Store>,
    bucket: BucketName,
    body: &mut dyn Upload,
    commit: impl FnOnce(Draft, Option<Checksum>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if body.length() <= SMALL {
        let mut pieces = Vec::new();
        while let Some(bytes) = body.next().await? {
            pieces.push(bytes);
        }
        let checksum = body.checksum();
        return blocking(move || {
            let mut draft = Draft::new(store, &bucket)?;
            for bytes in &pieces {
                draft.write(bytes)?;
            }
            commit(draft, checksum)
        })
        .await;
    }
    let (sender, mut receiver) = mpsc::channel::<Bytes>(QUEUE);
    let (verdict, outcome) = tokio::sync::oneshot::channel::<Option<Checksum>>();
    let writer = tokio::task::spawn_blocking(move || {
        let mut draft = Draft::new(store, &bucket)?;
        while let Some(bytes) = receiver.blocking_recv() {
            draft.write(&bytes)?;
        }
        // Without the verdict the body ended in an error, or its client left: the draft goes.
        let checksum = outcome
            .blocking_recv()
            .map_err(|_| Error::new(ErrorCode::IncompleteBody))?;
        commit(draft, checksum)
    });
    let mut fed = Ok(());
    loop {
        match body.next().await {
            Ok(Some(bytes)) => {
                // The writer stops reading when the disk fails; its own error says why.
                if sender.send(bytes).await.is_err() {
                    break;
                }
            }
            Ok(None) => {
                let _ = verdict.send(body.checksum());
                drop(sender);
                return writer.await.map_err(Error::internal)?;
            }
            Err(error) => {
                fed = Err(error);
                break;
            }
        }
    }
    drop(sender);
    drop(verdict);
    let written = writer.await.map_err(Error::internal)?;
    fed.and(written)
}

/// Runs file work on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)?
}

/// CRC of a whole block, as the reader checks it.
pub(super) fn verify(bytes: &[u8], crc: Option<&u32>) -> bool {
    crc.is_some_and(|crc| crc32c(bytes) == *crc)
}
