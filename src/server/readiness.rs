//! Whether requests can be served: what `/readyz` tells. Nothing is asked of anybody at that moment; what
//! is known is looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::health::Health;
use super::pulse::Pulse;
use crate::admin;
use crate::audit::Audit;
use crate::listener::Room;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    /// Requests are answered.
    Serving = 1,
    /// What is under way may end.
    Draining = 2,
}

/// What makes readiness red.
#[derive(Debug)]
pub(super) struct Readiness {
    phase: AtomicU8,
    /// The threads that answer requests.
    pub(super) pulse: Arc<Pulse>,
    /// The backends.
    pub(super) health: Arc<Health>,
    audit: Arc<Audit>,
    /// Those of the listeners that clients come to.
    rooms: Vec<Arc<Room>>,
}

impl Readiness {
    /// Red until it is told to be [`Phase::Serving`].
    pub(super) fn new(pulse: Arc<Pulse>, audit: Arc<Audit>, rooms: Vec<Arc<Room>>) -> Self {
        Self {
            phase: AtomicU8::new(0),
            pulse,
            health: Arc::default(),
            audit,
            rooms,
        }
    }

    pub(super) fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }
}

impl admin::Readiness for Readiness {
    fn why_not(&self) -> Option<String> {
        let phase = self.phase.load(Ordering::Acquire);
        if phase == Phase::Draining as u8 {
            return Some("draining".to_owned());
        }
        if phase != Phase::Serving as u8 {
            return Some("starting".to_owned());
        }
        self.pulse
            .why_not()
            .or_else(|| self.health.why_not())
            .or_else(|| self.audit.why_not_ready())
            .or_else(|| self.rooms.iter().find_map(|room| room.why_not()))
    }
}
