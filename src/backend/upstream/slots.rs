//! Who may have a connection: as many as the definition allows at a time, of which no caller has more
//! than its share, so that streams that one lets stall are not everybody's wait. Who waits gets one
//! caller by caller in turn, however many requests each of them has waiting.

use super::error::Error;
use crate::authz::Asker;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// So many requests may wait for each connection, or [`QUEUE`] in all where there are few: what
/// waits is held in memory, and who would wait for long is better told so.
const QUEUE_FACTOR: usize = 4;
const QUEUE: usize = 256;

/// What callers get of the connections and of the places in the queue.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: usize,
    connections_each: usize,
    queue: usize,
    queue_each: usize,
}

/// The connections of one upstream, as numbers.
#[derive(Debug)]
pub(super) struct Slots {
    limits: Limits,
    // Never held across an await, nor while a `Place` is dropped.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: usize,
    tickets: u64,
    // Those who have a connection or wait for one.
    callers: HashMap<Asker, One>,
    // Those who wait and have less than their share, each once; empty as long as anything is free.
    turns: VecDeque<Asker>,
}

#[derive(Debug, Default)]
struct One {
    held: usize,
    // In the order of their tickets.
    waiting: VecDeque<(u64, oneshot::Sender<Place>)>,
    has_turn: bool,
}

/// A connection's place: it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    slots: Arc<Slots>,
    asker: Asker,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.asker == Asker::GATEWAY {
            return;
        }
        let next = self.slots.lock().release(self.asker, self.slots.limits);
        if let Some((asker, waiter)) = next {
            let slots = Arc::clone(&self.slots);
            // One that has just given up drops it, which hands it on.
            drop(waiter.send(Self { slots, asker }));
        }
    }
}

/// A request that waits; it leaves the queue when this is dropped.
struct Waiting<'s> {
    slots: &'s Slots,
    asker: Asker,
    ticket: u64,
    turn: oneshot::Receiver<Place>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.slots.lock().leave(self.asker, self.ticket);
    }
}

/// All but a quarter, which is left to others.
fn share(of: usize) -> usize {
    of.saturating_sub(of.div_ceil(4)).max(1)
}

impl Slots {
    /// So many connections, of which a caller has `each` at most, or all but a quarter.
    pub(super) fn new(connections: usize, each: Option<usize>) -> Arc<Self> {
        let queue = connections.saturating_mul(QUEUE_FACTOR).max(QUEUE);
        let limits = Limits {
            connections,
            connections_each: each.unwrap_or_else(|| share(connections)),
            queue,
            queue_each: share(queue),
        };
        let state = State {
            free: connections,
            waiting: 0,
            tickets: 0,
            callers: HashMap::new(),
            turns: VecDeque::new(),
        };
        let state = Mutex::new(state);
        Arc::new(Self { limits, state })
    }

    /// A place for `asker`, within `patience`.
    ///
    /// # Errors
    /// [`Error::Busy`] when there is none by then, or too many wait already.
    pub(super) async fn place(
        self: &Arc<Self>,
        asker: Asker,
        patience: Duration,
    ) -> Result<Place, Error> {
        // The gateway's own look, one at a time, is let past: an upstream that is busy is there.
        if asker == Asker::GATEWAY || self.lock().take(asker, self.limits) {
            let slots = Arc::clone(self);
            return Ok(Place { slots, asker });
        }
        let mut waiting = self.wait(asker)?;
        let turn = pingora_timeout::timeout(patience, &mut waiting.turn).await;
        match turn {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.busy("none was free in time")),
        }
    }

    fn wait(&self, asker: Asker) -> Result<Waiting<'_>, Error> {
        let queued = self.lock().queue(asker, self.limits);
        let (ticket, turn) = queued.ok_or_else(|| self.busy("too many wait for one"))?;
        Ok(Waiting {
            slots: self,
            asker,
            ticket,
            turn,
        })
    }

    fn busy(&self, why: &str) -> Error {
        let Limits {
            connections,
            connections_each,
            ..
        } = self.limits;
        Error::Busy(format!(
            "{why} of {connections} connections, {connections_each} for each caller"
        ))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a place at once, if there is one for `asker`.
    fn take(&mut self, asker: Asker, limits: Limits) -> bool {
        if self.free == 0 {
            return false;
        }
        let one = self.callers.entry(asker).or_default();
        if one.held >= limits.connections_each {
            return false;
        }
        one.held += 1;
        self.free -= 1;
        true
    }

    fn queue(&mut self, asker: Asker, limits: Limits) -> Option<(u64, oneshot::Receiver<Place>)> {
        let theirs = self.callers.get(&asker).map_or(0, |one| one.waiting.len());
        if self.waiting >= limits.queue || theirs >= limits.queue_each {
            return None;
        }
        let ticket = self.tickets;
        self.tickets = ticket.wrapping_add(1);
        let (sender, receiver) = oneshot::channel();
        let one = self.callers.entry(asker).or_default();
        one.waiting.push_back((ticket, sender));
        self.waiting += 1;
        self.line_up(asker, limits);
        Some((ticket, receiver))
    }

    /// Gives a turn to `asker` if it waits and may have one more.
    fn line_up(&mut self, asker: Asker, limits: Limits) {
        if let Some(one) = self.callers.get_mut(&asker)
            && !one.has_turn
            && !one.waiting.is_empty()
            && one.held < limits.connections_each
        {
            one.has_turn = true;
            self.turns.push_back(asker);
        }
    }

    /// Takes a place back, and says who has it next.
    fn release(&mut self, asker: Asker, limits: Limits) -> Option<(Asker, oneshot::Sender<Place>)> {
        self.free += 1;
        if let Some(one) = self.callers.get_mut(&asker) {
            one.held = one.held.saturating_sub(1);
        }
        self.line_up(asker, limits);
        self.forget(asker);
        loop {
            let next = self.turns.pop_front()?;
            let Some(one) = self.callers.get_mut(&next) else {
                continue;
            };
            one.has_turn = false;
            let Some((_, waiter)) = one.waiting.pop_front() else {
                continue;
            };
            one.held += 1;
            self.waiting -= 1;
            self.free -= 1;
            self.line_up(next, limits);
            return Some((next, waiter));
        }
    }

    /// Takes a request out of the queue that no longer waits.
    fn leave(&mut self, asker: Asker, ticket: u64) {
        let Some(one) = self.callers.get_mut(&asker) else {
            return;
        };
        if let Ok(at) = one
            .waiting
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
        {
            one.waiting.remove(at);
            self.waiting -= 1;
        }
        if one.waiting.is_empty() && std::mem::take(&mut one.has_turn) {
            self.turns.retain(|turn| *turn != asker);
        }
        self.forget(asker);
    }

    /// Forgets who has nothing and waits for nothing.
    fn forget(&mut self, asker: Asker) {
        let idle = |one: &One| one.held == 0 && one.waiting.is_empty();
        if self.callers.get(&asker).is_some_and(idle) {
            self.callers.remove(&asker);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const A: Asker = Asker::for_test(1);
    const B: Asker = Asker::for_test(2);
    const C: Asker = Asker::for_test(3);
    const LONG: Duration = Duration::from_secs(60);

    /// Nothing is left of whoever was here.
    fn assert_untouched(slots: &Slots) {
        let state = slots.lock();
        assert_eq!((state.free, state.waiting), (slots.limits.connections, 0));
        assert!(state.callers.is_empty() && state.turns.is_empty());
    }

    #[test]
    fn a_quarter_is_left_to_others() {
        for (of, each) in [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (1024, 768)] {
            assert_eq!(share(of), each);
        }
    }

    #[tokio::test]
    async fn no_caller_has_more_than_its_share() {
        let slots = Slots::new(8, None);
        let soon = Duration::from_millis(20);
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(slots.place(A, LONG).await.unwrap());
        }
        assert!(matches!(slots.place(A, soon).await, Err(Error::Busy(_))));
        for asker in [B, C] {
            held.push(slots.place(asker, LONG).await.unwrap());
        }
        assert!(slots.place(C, soon).await.is_err());
        drop(held);
        assert_untouched(&slots);

        let slots = Slots::new(8, Some(8));
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(slots.place(A, LONG).await.unwrap());
        }
        drop(held);
        assert_untouched(&slots);
    }

    /// One with a long queue does not make another wait for its end.
    #[tokio::test]
    async fn callers_take_turns() {
        let slots = Slots::new(1, None);
        let first = slots.place(A, LONG).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for asker in [A, A, A, B, B, C] {
            let (slots, order) = (Arc::clone(&slots), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let place = slots.place(asker, LONG).await.unwrap();
                order.lock().unwrap().push(asker);
                drop(place);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        // `A` had one already, so the others come first.
        assert_eq!(*order.lock().unwrap(), [B, C, A, B, A, A]);
        assert_untouched(&slots);
    }

    #[tokio::test]
    async fn the_queue_is_bounded_for_each_and_for_all() {
        let slots = Slots::new(1, None);
        let held = slots.place(A, LONG).await.unwrap();
        let mut waiting: Vec<_> = (0..192).map(|_| slots.wait(A).unwrap()).collect();
        assert!(matches!(slots.wait(A), Err(Error::Busy(_))));
        waiting.extend((0..64).map(|_| slots.wait(B).unwrap()));
        assert!(slots.wait(C).is_err());
        // Who gives up leaves room, and a place is not lost to one of those.
        waiting.truncate(3);
        assert!(slots.wait(C).is_ok());
        drop(held);
        assert!(waiting.first_mut().unwrap().turn.try_recv().is_ok());
        drop(waiting);
        assert_untouched(&slots);
    }

    /// Whoever gives up at whatever moment, the count is right in the end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_place_is_lost() {
        let slots = Slots::new(3, None);
        let tasks = (0..400_u64).map(|number| {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move {
                let patience = Duration::from_micros(number * 37 % 3_000);
                let place = slots.place(Asker::for_test(number % 7), patience).await;
                tokio::time::sleep(Duration::from_micros(number % 300)).await;
                place.is_ok()
            })
        });
        let mut had = 0;
        for task in tasks.collect::<Vec<_>>() {
            had += usize::from(task.await.unwrap());
        }
        assert!(had > 2);
        assert_untouched(&slots);
    }
}
