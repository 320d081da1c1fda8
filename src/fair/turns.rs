//! Who may have one of a number of places, such as an upstream's connections or threads for files: no
//! caller has more than its share, so that what one lets stall is not everybody's wait. Who waits gets
//! one caller by caller in turn, however many requests each of them has waiting.

use super::Asker;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What callers get of the places, and of those in the queue.
#[derive(Clone, Copy, Debug)]
struct Limits {
    places: usize,
    places_each: usize,
    queue: usize,
    queue_each: usize,
}

/// There is no place, and none is waited for.
#[derive(Debug, thiserror::Error)]
#[error("{why} of {places} places, {each} for each caller")]
pub struct Crowded {
    why: &'static str,
    places: usize,
    each: usize,
}

/// A number of places.
#[derive(Debug)]
pub struct Turns {
    limits: Limits,
    // Never held across an await, nor while a `Turn` is dropped.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: usize,
    tickets: u64,
    // Those who have a place or wait for one.
    callers: HashMap<Asker, One>,
    // Those who wait and have less than their share, each once; empty as long as anything is free.
    turns: VecDeque<Asker>,
}

#[derive(Debug, Default)]
struct One {
    held: usize,
    // In the order of their tickets.
    waiting: VecDeque<(u64, oneshot::Sender<Turn>)>,
    has_turn: bool,
}

/// A place: it is free again when this is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    asker: Asker,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.asker == Asker::GATEWAY {
            return;
        }
        let next = self.turns.lock().release(self.asker, self.turns.limits);
        if let Some((asker, waiter)) = next {
            let turns = Arc::clone(&self.turns);
            // One that has just given up drops it, which hands it on.
            drop(waiter.send(Self { turns, asker }));
        }
    }
}

/// A request that waits; it leaves the queue when this is dropped.
struct Waiting<'s> {
    turns: &'s Turns,
    asker: Asker,
    ticket: u64,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.lock().leave(self.asker, self.ticket);
    }
}

/// All but a quarter, which is left to others.
fn share(of: usize) -> usize {
    of.saturating_sub(of.div_ceil(4)).max(1)
}

impl Turns {
    /// So many places, of which a caller has `each` at most, or all but a quarter; so many may wait,
    /// since what waits is held in memory, and who would wait for long is better told so.
    #[must_use]
    pub fn new(places: usize, each: Option<usize>, queue: usize) -> Arc<Self> {
        let limits = Limits {
            places,
            places_each: each.unwrap_or_else(|| share(places)),
            queue,
            queue_each: share(queue),
        };
        let state = State {
            free: places,
            waiting: 0,
            tickets: 0,
            callers: HashMap::new(),
            turns: VecDeque::new(),
        };
        let state = Mutex::new(state);
        Arc::new(Self { limits, state })
    }

    /// A place for `asker`, as soon as there is one.
    ///
    /// # Errors
    /// [`Crowded`] when too many wait already.
    pub async fn wait(self: &Arc<Self>, asker: Asker) -> Result<Turn, Crowded> {
        if let Some(turn) = self.at_once(asker) {
            return Ok(turn);
        }
        let mut waiting = self.line_up(asker)?;
        let turn = (&mut waiting.turn).await;
        turn.map_err(|_| self.crowded("nothing came"))
    }

    /// A place for `asker`, within `patience`.
    ///
    /// # Errors
    /// [`Crowded`] when there is none by then, or too many wait already.
    pub async fn within(
        self: &Arc<Self>,
        patience: Duration,
        asker: Asker,
    ) -> Result<Turn, Crowded> {
        match pingora_timeout::timeout(patience, self.wait(asker)).await {
            Ok(turn) => turn,
            Err(_) => Err(self.crowded("none was free in time")),
        }
    }

    /// A place for `asker`, if there is one now. The gateway's own look, one at a time, is let past:
    /// what is busy is there.
    pub fn at_once(self: &Arc<Self>, asker: Asker) -> Option<Turn> {
        let taken = asker == Asker::GATEWAY || self.lock().take(asker, self.limits);
        taken.then(|| Turn {
            turns: Arc::clone(self),
            asker,
        })
    }

    fn line_up(&self, asker: Asker) -> Result<Waiting<'_>, Crowded> {
        let queued = self.lock().queue(asker, self.limits);
        let (ticket, turn) = queued.ok_or_else(|| self.crowded("too many wait for one"))?;
        Ok(Waiting {
            turns: self,
            asker,
            ticket,
            turn,
        })
    }

    fn crowded(&self, why: &'static str) -> Crowded {
        Crowded {
            why,
            places: self.limits.places,
            each: self.limits.places_each,
        }
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
        if one.held >= limits.places_each {
            return false;
        }
        one.held += 1;
        self.free -= 1;
        true
    }

    fn queue(&mut self, asker: Asker, limits: Limits) -> Option<(u64, oneshot::Receiver<Turn>)> {
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
            && one.held < limits.places_each
        {
            one.has_turn = true;
            self.turns.push_back(asker);
        }
    }

    /// Takes a place back, and says who has it next.
    fn release(&mut self, asker: Asker, limits: Limits) -> Option<(Asker, oneshot::Sender<Turn>)> {
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
    fn assert_untouched(turns: &Turns) {
        let state = turns.lock();
        assert_eq!((state.free, state.waiting), (turns.limits.places, 0));
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
        let turns = Turns::new(8, None, 256);
        let soon = Duration::from_millis(20);
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(turns.within(LONG, A).await.unwrap());
        }
        assert!(matches!(turns.within(soon, A).await, Err(Crowded { .. })));
        for asker in [B, C] {
            held.push(turns.within(LONG, asker).await.unwrap());
        }
        assert!(turns.within(soon, C).await.is_err());
        drop(held);
        assert_untouched(&turns);

        let turns = Turns::new(8, Some(8), 256);
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(turns.within(LONG, A).await.unwrap());
        }
        drop(held);
        assert_untouched(&turns);
    }

    /// One with a long queue does not make another wait for its end.
    #[tokio::test]
    async fn callers_take_turns() {
        let turns = Turns::new(1, None, 256);
        let first = turns.within(LONG, A).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for asker in [A, A, A, B, B, C] {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let place = turns.within(LONG, asker).await.unwrap();
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
        assert_untouched(&turns);
    }

    #[tokio::test]
    async fn the_queue_is_bounded_for_each_and_for_all() {
        let turns = Turns::new(1, None, 256);
        let held = turns.within(LONG, A).await.unwrap();
        let mut waiting: Vec<_> = (0..192).map(|_| turns.line_up(A).unwrap()).collect();
        assert!(matches!(turns.line_up(A), Err(Crowded { .. })));
        waiting.extend((0..64).map(|_| turns.line_up(B).unwrap()));
        assert!(turns.line_up(C).is_err());
        // Who gives up leaves room, and a place is not lost to one of those.
        waiting.truncate(3);
        assert!(turns.line_up(C).is_ok());
        drop(held);
        assert!(waiting.first_mut().unwrap().turn.try_recv().is_ok());
        drop(waiting);
        assert_untouched(&turns);
    }

    /// Whoever gives up at whatever moment, the count is right in the end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_place_is_lost() {
        let turns = Turns::new(3, None, 256);
        let tasks = (0..400_u64).map(|number| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                let patience = Duration::from_micros(number * 37 % 3_000);
                let place = turns.within(patience, Asker::for_test(number % 7)).await;
                tokio::time::sleep(Duration::from_micros(number % 300)).await;
                place.is_ok()
            })
        });
        let mut had = 0;
        for task in tasks.collect::<Vec<_>>() {
            had += usize::from(task.await.unwrap());
        }
        assert!(had > 2);
        assert_untouched(&turns);
    }
}
