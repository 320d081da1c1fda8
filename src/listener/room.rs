//! How many connections a listener has room for, and who gives way when it is full.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora_timeout::timeout;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::Notify;

/// The most connections beyond the limit that are told so; those beyond these are closed unheard.
const TOLD: usize = 64;

/// How long a connection may be idle before it gives way to another.
const GRACE: Duration = Duration::from_secs(1);

/// What is counted of connections.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Connections that are open.
    pub open: IntGauge,
    /// Idle connections that gave way to others.
    pub gave_way: IntCounter,
    /// Connections that were closed unheard.
    pub closed: IntCounter,
}

/// The room of one listener.
#[derive(Debug)]
pub struct Room {
    most: usize,
    /// With those that are told: a quarter more where room is small, as descriptors may be.
    most_told: usize,
    open: AtomicUsize,
    /// Connections that would give way.
    idle: AtomicUsize,
    /// Wakes the one that has been idle longest.
    wanted: Notify,
    counters: Counters,
}

/// How a new connection is met.
#[derive(Debug)]
pub(super) enum Entry {
    /// As a guest.
    Welcome(Place),
    /// It is told that there are too many.
    Told(Place),
    /// It is closed.
    Closed,
}

/// A connection's place, for as long as this lives.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.counters.open.dec();
    }
}

impl Room {
    /// Room for `most` connections.
    #[must_use]
    pub fn new(most: usize, counters: Counters) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_told: most.saturating_add((most / 4).clamp(1, TOLD)),
            open: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            wanted: Notify::new(),
            counters,
        })
    }

    /// Where the next connection goes. The limit is exact but for those that are told, and for those
    /// whose predecessor is just leaving, who are no more.
    pub(super) fn enter(self: &Arc<Self>) -> Entry {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        self.counters.open.inc();
        let place = Place(Arc::clone(self));
        if before < self.most {
            return Entry::Welcome(place);
        }
        if before >= self.most_told {
            self.counters.closed.inc();
            return Entry::Closed;
        }
        if self.make_way() {
            return Entry::Welcome(place);
        }
        Entry::Told(place)
    }

    /// Has the longest idle connection close; `false` where there is none.
    pub(super) fn make_way(&self) -> bool {
        let some = self.idle.load(Ordering::Relaxed) > 0;
        if some {
            self.wanted.notify_one();
        }
        some
    }

    /// Waits for what an idle connection waits for; `None` when it takes longer than `patience`, or
    /// when the connection has to give way.
    pub(super) async fn idle<T>(
        &self,
        patience: Duration,
        waiting: impl Future<Output = T>,
    ) -> Option<T> {
        let mut waiting = pin!(waiting);
        // One that is in use does not stand in line.
        if let Ok(done) = timeout(GRACE.min(patience), &mut waiting).await {
            return Some(done);
        }
        let _idle = Idle::begins(&self.idle);
        tokio::select! {
            biased;
            done = timeout(patience.saturating_sub(GRACE), waiting) => done.ok(),
            () = self.wanted.notified() => {
                self.counters.gave_way.inc();
                None
            }
        }
    }
}

/// An idle connection, counted.
struct Idle<'r>(&'r AtomicUsize);

impl<'r> Idle<'r> {
    fn begins(count: &'r AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::future::pending;

    fn room(most: usize) -> Arc<Room> {
        let counter = || IntCounter::new("n", "n").unwrap();
        let counters = Counters {
            open: IntGauge::new("n", "n").unwrap(),
            gave_way: counter(),
            closed: counter(),
        };
        Room::new(most, counters)
    }

    #[test]
    fn t87_room_is_for_so_many() {
        let room = room(2);
        let _first = room.enter();
        let second = room.enter();
        assert!(matches!(second, Entry::Welcome(_)));
        let told: Vec<Entry> = (2..room.most_told).map(|_| room.enter()).collect();
        assert!(!told.is_empty());
        assert!(told.iter().all(|entry| matches!(entry, Entry::Told(_))));
        assert!(matches!(room.enter(), Entry::Closed));
        drop(told);
        assert!(matches!(room.enter(), Entry::Told(_)));
        drop(second);
        assert!(matches!(room.enter(), Entry::Welcome(_)));
        assert_eq!(room.counters.open.get(), 1);
    }

    #[tokio::test]
    async fn t87_the_longest_idle_gives_way() {
        let room = room(2);
        let waits = |name: &'static str| {
            let room = Arc::clone(&room);
            tokio::spawn(async move {
                let Entry::Welcome(_place) = room.enter() else {
                    return "not welcome";
                };
                match room.idle(Duration::from_secs(60), pending::<()>()).await {
                    Some(()) => "served",
                    None => name,
                }
            })
        };
        let first = waits("first");
        while room.idle.load(Ordering::Relaxed) < 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let second = waits("second");
        while room.idle.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let third = room.enter();
        assert!(matches!(third, Entry::Welcome(_)));
        assert_eq!(first.await.unwrap(), "first");
        assert!(!second.is_finished());
        assert_eq!(room.open.load(Ordering::Relaxed), 2);
    }
}
