//! What waits for the writer, bounded in lines and in bytes, and what was lost because it was full.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tokio::sync::Notify;

use super::{Counts, WhenFull};

/// How many lines may wait for the writer.
const LINES: usize = 16 * 1024;

/// How many bytes may wait for the writer.
const BYTES: usize = 16 * 1024 * 1024;

/// How many bytes a line is taken to have before it is known.
const USUAL: usize = 1024;

/// How many lines that nobody reserved a place for are taken beside those who did.
const UNRESERVED: usize = 1024;

/// How long a request waits for a place before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a loss is said in the log, at most.
const SAY: Duration = Duration::from_secs(10);

/// How long the writer waits for more before it looks what else there is to do.
const LOOK: Duration = Duration::from_secs(1);

/// Nothing more is taken at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What the writer takes next.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Whole lines.
    pub(super) lines: Vec<Vec<u8>>,
    /// How many events were lost of which nobody has been told.
    pub(super) lost: u64,
}

/// Lines on their way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    when_full: WhenFull,
    waiting: Mutex<Waiting>,
    /// A line came, or a loss.
    came: Condvar,
    /// All that came is dealt with.
    settled: Condvar,
    /// There is room again.
    room: Notify,
    lost: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Places that are reserved for lines to come.
    places: usize,
    /// Lines that the writer has taken and not dealt with.
    taken: usize,
    /// Why nothing can be written at the moment.
    failing: Option<String>,
    /// Losses that no event has told.
    untold: u64,
    /// Losses that the log has not told, and when it last did.
    unsaid: u64,
    said: Option<Instant>,
}

/// A place in the queue, reserved for one line.
#[derive(Debug)]
pub struct Place(Option<Arc<Queue>>);

impl Place {
    /// No place, where none is needed.
    pub(super) const NONE: Self = Self(None);
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = &self.0 {
            let mut waiting = queue.lock();
            waiting.places = waiting.places.saturating_sub(1);
            drop(waiting);
            queue.room.notify_waiters();
        }
    }
}

impl Queue {
    pub(super) fn new(when_full: WhenFull, counts: &Counts) -> Self {
        Self {
            when_full,
            waiting: Mutex::default(),
            came: Condvar::new(),
            settled: Condvar::new(),
            room: Notify::new(),
            lost: counts.lost.clone(),
        }
    }

    pub(super) fn when_full(&self) -> WhenFull {
        self.when_full
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves a place, where nothing may be lost.
    ///
    /// # Errors
    /// [`Full`] when there is none for a while.
    pub(super) async fn reserve(self: &Arc<Self>) -> Result<Place, Full> {
        if self.when_full == WhenFull::Drop {
            return Ok(Place::NONE);
        }
        if let Some(place) = self.try_reserve() {
            return Ok(place);
        }
        let wait = async {
            loop {
                let mut room = std::pin::pin!(self.room.notified());
                // From now on no word of room is missed.
                room.as_mut().enable();
                if let Some(place) = self.try_reserve() {
                    return place;
                }
                room.await;
            }
        };
        let waited = pingora_timeout::timeout(PATIENCE, wait).await;
        waited.map_err(|_| Full)
    }

    fn try_reserve(self: &Arc<Self>) -> Option<Place> {
        let mut waiting = self.lock();
        if waiting.why_not().is_some() {
            return None;
        }
        waiting.places = waiting.places.saturating_add(1);
        drop(waiting);
        Some(Place(Some(self.clone())))
    }

    /// Why no place can be reserved, where requests need one.
    pub(super) fn why_not(&self) -> Option<String> {
        match self.when_full {
            WhenFull::Drop => None,
            WhenFull::Block => self.lock().why_not(),
        }
    }

    /// Takes a line: always where its place was reserved, and as long as there is room otherwise.
    pub(super) fn push(&self, line: Vec<u8>, place: Place) {
        let mut waiting = self.lock();
        let fits = match (&place.0, self.when_full) {
            (Some(_), _) => true,
            (None, WhenFull::Block) => waiting.lines.len() < LINES + UNRESERVED,
            (None, WhenFull::Drop) => {
                waiting.lines.len() < LINES && waiting.bytes.saturating_add(line.len()) <= BYTES
            }
        };
        if fits {
            waiting.bytes = waiting.bytes.saturating_add(line.len());
            waiting.lines.push_back(line);
        }
        drop(waiting);
        match fits {
            true => self.came.notify_one(),
            false => self.lose(1),
        }
        drop(place);
    }

    /// Counts events that nobody will see.
    pub(super) fn lose(&self, count: u64) {
        if count == 0 {
            return;
        }
        self.lost.inc_by(count);
        let mut waiting = self.lock();
        waiting.untold = waiting.untold.saturating_add(count);
        waiting.unsaid = waiting.unsaid.saturating_add(count);
        if waiting.said.is_some_and(|said| said.elapsed() < SAY) {
            return;
        }
        let lost = std::mem::take(&mut waiting.unsaid);
        waiting.said = Some(Instant::now());
        drop(waiting);
        tracing::error!(lost, "audit events are lost: nobody takes them fast enough");
    }

    /// Waits a while for lines, and takes `most` bytes of them and the first line beyond. What was taken
    /// before is dealt with.
    pub(super) fn take(&self, most: usize) -> Taken {
        let mut waiting = self.lock();
        waiting.taken = 0;
        if waiting.lines.is_empty() {
            self.settled.notify_all();
        }
        if waiting.lines.is_empty() {
            let wait = self.came.wait_timeout(waiting, LOOK);
            waiting = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while bytes < most {
            let Some(line) = waiting.lines.pop_front() else {
                break;
            };
            bytes += line.len();
            lines.push(line);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        waiting.taken = lines.len();
        let lost = waiting.untold;
        drop(waiting);
        self.room.notify_waiters();
        Taken { lines, lost }
    }

    /// That many losses have been told by an event.
    pub(super) fn told(&self, lost: u64) {
        let mut waiting = self.lock();
        waiting.untold = waiting.untold.saturating_sub(lost);
    }

    /// Says that nothing can be written, and why; or that it can again.
    pub(super) fn failing(&self, why: Option<String>) {
        self.lock().failing = why;
        self.room.notify_waiters();
    }

    /// Waits until all lines are dealt with, at most `patience`; answers how many are not.
    pub(super) fn settle(&self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        let mut waiting = self.lock();
        loop {
            let left = waiting.lines.len().saturating_add(waiting.taken);
            let patience = deadline.saturating_duration_since(Instant::now());
            if left == 0 || patience.is_zero() {
                return left;
            }
            let settled = self.settled.wait_timeout(waiting, patience);
            waiting = settled.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Waiting {
    fn why_not(&self) -> Option<String> {
        if let Some(why) = &self.failing {
            return Some(format!("audit events cannot be written: {why}"));
        }
        let lines = self.lines.len().saturating_add(self.places);
        let bytes = self.bytes.saturating_add(self.places * USUAL);
        (lines >= LINES || bytes >= BYTES)
            .then(|| "audit events wait to be written, and there is no room for more".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn queue(when_full: WhenFull) -> Arc<Queue> {
        Arc::new(Queue::new(when_full, &Counts::new().unwrap()))
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let queue = queue(WhenFull::Drop);
        for _ in 0..LINES + 7 {
            let place = queue.reserve().await.unwrap();
            queue.push(b"{}\n".to_vec(), place);
        }
        assert_eq!(queue.lost.get(), 7);
        assert_eq!(queue.why_not(), None);
        let taken = queue.take(usize::MAX);
        assert_eq!((taken.lines.len(), taken.lost), (LINES, 7));
        queue.told(7);
        queue.push(b"{}\n".to_vec(), Place::NONE);
        assert_eq!(queue.take(1).lost, 0);
    }

    #[tokio::test]
    async fn a_queue_is_bounded_in_bytes() {
        let queue = queue(WhenFull::Drop);
        let line = vec![b'x'; BYTES / 4];
        for _ in 0..5 {
            queue.push(line.clone(), Place::NONE);
        }
        assert_eq!(queue.lost.get(), 1);
    }

    #[tokio::test]
    async fn where_nothing_may_be_lost_a_place_comes_first() {
        let queue = queue(WhenFull::Block);
        let mut places = Vec::new();
        for _ in 0..LINES {
            places.push(queue.reserve().await.unwrap());
        }
        assert!(queue.why_not().is_some());
        assert_eq!(queue.reserve().await.map(|_| ()), Err(Full));
        // A request that ended without an event gives its place back.
        drop(places.pop());
        places.push(queue.reserve().await.unwrap());
        // Every one who has a place can speak.
        for place in places {
            queue.push(b"{}\n".to_vec(), place);
        }
        assert!(queue.reserve().await.is_err());
        let waits = tokio::spawn({
            let queue = queue.clone();
            async move { queue.reserve().await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert_eq!(queue.take(3).lines.len(), 1);
        assert!(waits.await.unwrap());
        assert_eq!(queue.lost.get(), 0);
    }

    #[tokio::test]
    async fn nothing_is_promised_while_nothing_can_be_written() {
        let queue = queue(WhenFull::Block);
        queue.failing(Some("no room".to_owned()));
        assert!(queue.why_not().unwrap().contains("no room"));
        assert!(queue.reserve().await.is_err());
        queue.failing(None);
        assert!(queue.reserve().await.is_ok());
    }

    #[test]
    fn settling_does_not_wait_for_ever() {
        let queue = queue(WhenFull::Block);
        queue.push(b"{}\n".to_vec(), Place::NONE);
        assert_eq!(queue.settle(Duration::from_millis(10)), 1);
        queue.take(10);
        assert_eq!(queue.settle(Duration::from_millis(10)), 1);
    }
}
