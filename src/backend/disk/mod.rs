//! The bundled backend: a small S3 store on any POSIX file system. `FORMAT.md` describes its files.
//!
//! A write is acknowledged once its bytes, its metadata and its directory entry are durable. A reader
//! sees a whole object or none. Nothing outside the root is ever opened.

mod backend;
mod bucket;
mod carry;
mod collect;
mod complete;
mod copy;
mod ending;
mod faults;
mod files;
#[cfg(test)]
mod fixtures;
mod fsck;
mod index;
mod list;
mod memory;
mod name;
mod object;
mod open;
mod opened;
mod parts;
mod place;
mod read;
mod record;
mod scrub;
mod spared;
mod store;
mod sync;
mod tagging;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_bounds;
#[cfg(test)]
mod tests_carry;
#[cfg(test)]
mod tests_durable;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_foreign;
#[cfg(test)]
mod tests_injected;
#[cfg(test)]
mod tests_memory;
#[cfg(test)]
mod tests_refused;
#[cfg(test)]
mod tests_scrub;
#[cfg(test)]
mod tests_tagging;
#[cfg(test)]
mod tests_uploads;
mod threads;
mod tree;
mod upload;
mod uploads;
mod verify;
mod walk;
mod write;

pub use faults::{Faults, Finding};
pub use fsck::{Kind, Problem, Summary, Verdict, Watch, fsck};
pub use scrub::Scrub;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::authz::Standing;
use crate::fair::{Asker, Turns};
use crate::s3::{Error, ErrorCode};
use store::Store;

/// What stands at a store's root, and is its own to make, empty and remove.
pub(crate) const ENTRIES: [&str; 6] =
    ["buckets", "damaged", "foreign", "format", "lock", "staging"];

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it survives a power cut.
    Strict,
    /// Once the kernel has it.
    Relaxed,
}

/// How the store is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its root directory, created when missing.
    pub path: PathBuf,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// About how many bytes of memory names and objects may be remembered in.
    pub memory: usize,
    /// How many bytes a second are read to find damage; 0 for none.
    pub scrub: u64,
}

/// The store.
#[derive(Debug)]
pub struct Disk {
    store: Arc<Store>,
    // Removes what a crash left; waited for when the store is closed.
    collector: Mutex<Option<JoinHandle<()>>>,
    // Reads everything again and again; waited for as well.
    scrubber: Option<JoinHandle<()>>,
    // Held as long as the store is open: two processes that shared it would not see each other's
    // locks.
    _lock: open::Lock,
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.store.closing.store(true, Ordering::Relaxed);
        self.wait_for_collector();
        if let Some(scrubber) = self.scrubber.take() {
            scrubber.thread().unpark();
            if scrubber.join().is_err() {
                tracing::error!("the scrubber failed");
            }
        }
    }
}

impl Disk {
    /// Opens the store, creating it when missing, and removes what a crash left.
    ///
    /// # Errors
    /// When the directory cannot be used, is of another format, or is in use.
    pub fn open(config: &Config) -> std::io::Result<Self> {
        let (store, lock) = open::open(config)?;
        let collector = match store.read_only {
            true => None,
            false => {
                let left = collect::left_in_staging(&store)?;
                let thread = std::thread::Builder::new().name("collector".to_owned());
                let store = store.clone();
                Some(thread.spawn(move || collect::collect(&store, &left))?)
            }
        };
        let mut disk = Self {
            store,
            collector: Mutex::new(collector),
            scrubber: None,
            _lock: lock,
        };
        if config.scrub > 0 {
            let thread = std::thread::Builder::new().name("scrubber".to_owned());
            let (store, rate) = (disk.store.clone(), config.scrub);
            disk.scrubber = Some(thread.spawn(move || scrub::run(&store, rate))?);
        }
        Ok(disk)
    }

    /// What was found wrong with the store, whoever asked for what.
    #[must_use]
    pub fn faults(&self) -> Arc<Faults> {
        self.store.faults.clone()
    }

    /// How far scrubbing has come.
    #[must_use]
    pub fn scrub(&self) -> Arc<Scrub> {
        self.store.scrub.clone()
    }

    fn wait_for_collector(&self) {
        let collector = store::lock(&self.collector).take();
        if let Some(Err(_)) = collector.map(JoinHandle::join) {
            tracing::error!("the collector failed");
        }
    }

    /// Runs file work on a thread, and counts what the disk refuses.
    async fn run<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce(&Arc<Store>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.run_among(&self.store.threads.short, asker, work).await
    }

    /// The same for what may take long.
    async fn run_long<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce(&Arc<Store>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.run_among(&self.store.threads.long, asker, work).await
    }

    async fn run_among<T: Send + 'static>(
        &self,
        turns: &Arc<Turns>,
        asker: Asker,
        work: impl FnOnce(&Arc<Store>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let standing = Standing::current();
        // Asked on the thread, which may have been waited for. A refusal is no fault of the disk's.
        let outcome = threads::run(turns, asker, move || {
            match standing.map_or(Ok(()), |it| it.check()) {
                Ok(()) => work(&store).map(Ok),
                Err(refused) => Ok(Err(refused)),
            }
        });
        self.counted(outcome.await)?
    }

    fn counted<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome
            && matches!(
                error.code(),
                ErrorCode::ServiceUnavailable | ErrorCode::InsufficientStorage
            )
        {
            self.store.faults.failed();
        }
        outcome
    }
}
