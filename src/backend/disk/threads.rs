//! Threads for file work: a call to the disk may take any time, so each has a thread, and there are only
//! so many. Callers have them in turn ([`crate::fair`]): what one asks for is nobody else's wait, and a
//! disk that hangs for one leaves threads to others.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::fair::{Asker, Crowded, Turn, Turns};
use crate::s3::{Error, ErrorCode};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How many threads work at a time for requests whose work is short.
const SHORT: usize = 64;

/// How many requests that may take long, such as a page or many deletions, run at a time, so that the
/// others keep cores.
const LONG: usize = 8;

/// How many bodies are read at a time, and how many written before their last bytes: more would have
/// as many threads, and be no faster.
const BODIES: usize = 32;

/// How many threads work at a time for nobody.
const ASIDE: usize = 16;

/// How long a thread that nobody needs is kept, and with it what its allocator holds.
const IDLE: Duration = Duration::from_secs(1);

/// Turns for each kind of work.
#[derive(Debug)]
pub(super) struct Threads {
    pub(super) short: Arc<Turns>,
    pub(super) long: Arc<Turns>,
    pub(super) reading: Arc<Turns>,
    pub(super) writing: Arc<Turns>,
    /// Of copies, from their beginning to the last byte: each has as much in memory as a reader.
    pub(super) copying: Arc<Turns>,
}

impl Default for Threads {
    fn default() -> Self {
        // Whoever waits has a request's place already, and there are only so many of those.
        let turns = |places| Turns::new(places, None, usize::MAX);
        Self {
            short: turns(SHORT),
            long: turns(LONG),
            reading: turns(BODIES),
            writing: turns(BODIES),
            copying: turns(BODIES),
        }
    }
}

/// A place among `turns`, once it is there.
pub(super) async fn turn(turns: &Arc<Turns>, asker: Asker) -> Result<Turn, Error> {
    let none = |crowded: Crowded| Error::new(ErrorCode::SlowDown).because(crowded);
    turns.wait(asker).await.map_err(none)
}

/// Runs file work on a thread, in its turn. It has its place to the end, whoever waits for it.
pub(super) async fn run<T: Send + 'static>(
    turns: &Arc<Turns>,
    asker: Asker,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let turn = turn(turns, asker).await?;
    let work = move || {
        let outcome = work();
        drop(turn);
        outcome
    };
    spawn(work).await.map_err(Error::internal)?
}

/// Runs work on a thread of the one pool that all reactors share: each of them would have as many of its own.
pub(super) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    static POOL: LazyLock<Option<Runtime>> = LazyLock::new(|| {
        let mut pool = tokio::runtime::Builder::new_current_thread();
        pool.thread_name("files").thread_keep_alive(IDLE);
        match pool.build() {
            Ok(pool) => Some(pool),
            Err(error) => {
                tracing::warn!(%error, "files have the reactors' own threads");
                None
            }
        }
    });
    match &*POOL {
        // Of tests, each has threads with faults of its own.
        Some(pool) if !cfg!(test) => pool.spawn_blocking(work),
        _ => tokio::task::spawn_blocking(work),
    }
}

/// Runs file work that nobody waits for, not on the reactor: a few at a time, however many clients leave at
/// once.
pub(super) fn aside(work: impl FnOnce() + Send + 'static) {
    static TURNS: Semaphore = Semaphore::const_new(ASIDE);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return work();
    };
    match TURNS.try_acquire() {
        Ok(turn) => drop(spawn(move || {
            work();
            drop(turn);
        })),
        Err(_) => drop(runtime.spawn(async move {
            let turn = TURNS.acquire().await;
            let worked = spawn(work).await;
            drop((turn, worked));
        })),
    }
}
