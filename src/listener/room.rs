//! How many connections a listener has room for, and who gives way when it is full.
//!
//! Who asks for nothing gives way: a connection between two requests, one whose request does not come
//! to an end, one that does not finish its handshake. Of those the network's with the most go first, so
//! that nobody's crowd pushes out another's connections. And a network gets no more than [`SHARE`] times
//! as many as are left, however busy its connections are: three quarters of the room where it is alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGauge};
use tokio::sync::Notify;

use crate::fair::network;

/// The most connections beyond the limit that are told so; those beyond these are closed unheard.
const TOLD: usize = 64;

/// How long a connection may ask for nothing before it gives way to another.
#[cfg(not(test))]
const GRACE: Duration = Duration::from_secs(1);
#[cfg(test)]
const GRACE: Duration = Duration::from_millis(50);

/// How many times as many connections as are left a network may have.
const SHARE: usize = 3;

/// How long connections may be refused, and none be let in, before that is said of this listener.
const FULL: Duration = Duration::from_secs(5);

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
    // Never held across an await.
    state: Mutex<State>,
    counters: Counters,
    opened: Instant,
    /// The first refusal since somebody was let in, and the last, in milliseconds since it was opened,
    /// and one; 0 is none.
    refused: [AtomicU64; 2],
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// Those of them that have been told to give way.
    leaving: usize,
    /// Those of them that are told that there are too many.
    told: usize,
    /// How many of them each network has.
    each: HashMap<IpAddr, usize>,
    /// Those that would give way, by their network, in the order of their tickets.
    line: HashMap<IpAddr, BTreeMap<u64, Arc<Guest>>>,
    /// How many of each network are in line.
    lengths: BTreeSet<(usize, IpAddr)>,
    tickets: u64,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Guest {
    room: Arc<Room>,
    network: IpAddr,
    /// Whether it is told that there are too many.
    is_told: bool,
    /// Requests that have come to the end of their heads, and are answered.
    busy: AtomicUsize,
    /// How many have been so far.
    requests: AtomicUsize,
    /// Whether it stands in line, and has been told to leave; changed under the room's lock.
    in_line: AtomicBool,
    leaving: AtomicBool,
    ticket: AtomicU64,
    told: Notify,
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
pub(super) struct Place(Arc<Guest>);

impl Drop for Place {
    fn drop(&mut self) {
        let Self(guest) = self;
        guest.room.leave(guest);
    }
}

/// A request is answered on a connection for as long as this lives.
#[derive(Debug)]
pub(super) struct Busy(Arc<Guest>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, SeqCst);
    }
}

impl Room {
    /// Room for `most` connections.
    #[must_use]
    pub fn new(most: usize, counters: Counters) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_told: most.saturating_add((most / 4).clamp(1, TOLD)),
            state: Mutex::default(),
            counters,
            opened: Instant::now(),
            refused: Default::default(),
        })
    }

    /// Where the next connection goes. The limit is exact but for those that are told, and for those
    /// whose predecessor is just leaving, who are no more.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Entry {
        let network = network(address);
        let mut state = self.lock();
        let theirs = state
            .each
            .get(&network)
            .map_or(1, |each| each.saturating_add(1));
        let guests = state
            .open
            .saturating_sub(state.leaving.saturating_add(state.told));
        let left = self.most.saturating_sub(guests);
        let (is_crowd, is_let_in) = match left {
            // One of many is let in for one who asks for nothing, one of a crowd for one of its own.
            0 if theirs <= self.most / 4 => (false, state.make_way()),
            0 => (false, state.make_way_of(network)),
            left if theirs > left.saturating_mul(SHARE) => (true, state.make_way_of(network)),
            _ => (false, true),
        };
        // Whoever leaves has not left yet: not without end.
        let enters = match is_let_in {
            true => state.leaving <= self.most.max(TOLD),
            false => state.told < self.most_told.saturating_sub(self.most),
        };
        if enters {
            state.open = state.open.saturating_add(1);
            state.told = state.told.saturating_add(usize::from(!is_let_in));
            state.each.insert(network, theirs);
        }
        drop(state);
        if !is_crowd {
            self.refuses(!(enters && is_let_in));
        }
        if !enters {
            self.counters.closed.inc();
            return Entry::Closed;
        }
        self.counters.open.inc();
        let place = Place(Arc::new(Guest::new(self, network, !is_let_in)));
        match is_let_in {
            true => Entry::Welcome(place),
            false => Entry::Told(place),
        }
    }

    /// Has one that asks for nothing close, if there is any.
    pub(super) fn make_way(&self) {
        self.lock().make_way();
    }

    /// Whether somebody has been told to give way and has not left yet.
    pub(super) fn is_tight(&self) -> bool {
        self.lock().leaving > 0
    }

    /// Why no connection gets in, if none does.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        let now = self.now();
        let [first, last] = [0, 1].map(|at| self.refused.get(at).map_or(0, |at| at.load(SeqCst)));
        let ago = |at: u64| u128::from(now.saturating_sub(at));
        let full = first > 0 && ago(first) > FULL.as_millis() && ago(last) < FULL.as_millis();
        full.then(|| format!("all {} connections of a listener are in use", self.most))
    }

    fn refuses(&self, refuses: bool) {
        let [first, last] = &self.refused;
        if !refuses {
            if first.load(SeqCst) > 0 {
                first.store(0, SeqCst);
            }
            return;
        }
        let now = self.now();
        last.store(now, SeqCst);
        let _ = first.compare_exchange(0, now, SeqCst, SeqCst);
    }

    fn now(&self) -> u64 {
        let passed = u64::try_from(self.opened.elapsed().as_millis());
        passed.unwrap_or(u64::MAX).saturating_add(1)
    }

    fn leave(&self, guest: &Guest) {
        let mut state = self.lock();
        state.step_out(guest);
        state.stays(guest);
        state.open = state.open.saturating_sub(1);
        state.told = state.told.saturating_sub(usize::from(guest.is_told));
        if let Some(each) = state.each.get_mut(&guest.network) {
            *each = each.saturating_sub(1);
            if *each == 0 {
                state.each.remove(&guest.network);
            }
        }
        self.counters.open.dec();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_way(&mut self) -> bool {
        match self.lengths.last().copied() {
            Some((_, network)) => self.make_way_of(network),
            None => false,
        }
    }

    /// Has one of this network close that asks for nothing, if there is any.
    fn make_way_of(&mut self, network: IpAddr) -> bool {
        let first = self.line.get(&network).and_then(BTreeMap::first_key_value);
        let Some(guest) = first.map(|(_, guest)| Arc::clone(guest)) else {
            return false;
        };
        self.step_out(&guest);
        guest.leaving.store(true, SeqCst);
        self.leaving = self.leaving.saturating_add(1);
        guest.told.notify_one();
        true
    }

    fn line_up(&mut self, guest: &Arc<Guest>) {
        self.tickets = self.tickets.saturating_add(1);
        guest.ticket.store(self.tickets, SeqCst);
        guest.in_line.store(true, SeqCst);
        let line = self.line.entry(guest.network).or_default();
        self.lengths.remove(&(line.len(), guest.network));
        line.insert(self.tickets, Arc::clone(guest));
        self.lengths.insert((line.len(), guest.network));
    }

    fn step_out(&mut self, guest: &Guest) {
        if !guest.in_line.swap(false, SeqCst) {
            return;
        }
        let Some(line) = self.line.get_mut(&guest.network) else {
            return;
        };
        self.lengths.remove(&(line.len(), guest.network));
        line.remove(&guest.ticket.load(SeqCst));
        match line.len() {
            0 => drop(self.line.remove(&guest.network)),
            length => drop(self.lengths.insert((length, guest.network))),
        }
    }

    /// It was told to leave, and does not, or has left.
    fn stays(&mut self, guest: &Guest) {
        if guest.leaving.swap(false, SeqCst) {
            self.leaving = self.leaving.saturating_sub(1);
        }
    }
}

impl Guest {
    fn new(room: &Arc<Room>, network: IpAddr, is_told: bool) -> Self {
        Self {
            room: Arc::clone(room),
            network,
            is_told,
            busy: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            in_line: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            ticket: AtomicU64::new(0),
            told: Notify::new(),
        }
    }

    /// A request has come to the end of its head.
    pub(super) fn begins(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, SeqCst);
        self.busy.fetch_add(1, SeqCst);
        if self.in_line.load(SeqCst) {
            self.room.lock().step_out(self);
            self.told.notify_one();
        }
        Busy(Arc::clone(self))
    }

    fn is_busy(&self) -> bool {
        self.busy.load(SeqCst) > 0
    }

    /// Ends when the connection has to give way.
    async fn gives_way(self: &Arc<Self>) {
        loop {
            let before = self.requests.load(SeqCst);
            pingora_timeout::sleep(GRACE).await;
            if self.is_busy() || self.requests.load(SeqCst) != before {
                continue;
            }
            self.room.lock().line_up(self);
            if self.is_busy() {
                self.room.lock().step_out(self);
                continue;
            }
            while self.in_line.load(SeqCst) {
                self.told.notified().await;
            }
            let mut state = self.room.lock();
            match (self.leaving.load(SeqCst), self.is_busy()) {
                (true, false) => return,
                // A request was faster.
                (true, true) => state.stays(self),
                (false, _) => {}
            }
        }
    }
}

impl Place {
    /// Who has it.
    pub(super) fn guest(&self) -> &Arc<Guest> {
        &self.0
    }

    /// Serves the connection that has it until that is done, or has to give way.
    pub(super) async fn attend(&self, serving: impl Future<Output = ()>) {
        let Self(guest) = self;
        tokio::select! {
            biased;
            () = serving => {}
            () = guest.gives_way() => guest.room.counters.gave_way.inc(),
        }
    }
}

#[cfg(test)]
mod tests;
