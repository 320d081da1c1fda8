//! Connections that were closed before anything of them was heard, told in audit and log as often as
//! there were any: by how many, since whoever opens them can open very many.

use std::time::{Duration, Instant};

use crate::audit::Audit;
use crate::listener::Counters;
use crate::metrics::Metrics;

/// How often they are told, at most.
const EVERY: Duration = Duration::from_secs(1);

/// What has been told of connections that had to go.
pub(super) struct TurnedAway {
    counters: Counters,
    closed: u64,
    gave_way: u64,
    told: Option<Instant>,
}

impl TurnedAway {
    /// None has been told of.
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            // Both are counted together for all listeners.
            counters: metrics.connections("main"),
            closed: 0,
            gave_way: 0,
            told: None,
        }
    }

    /// Tells of those since it was last told.
    pub(super) fn tell(&mut self, audit: &Audit) {
        if self.told.is_some_and(|told| told.elapsed() < EVERY) {
            return;
        }
        let (closed, gave_way) = (self.counters.closed.get(), self.counters.gave_way.get());
        let news = [
            (
                "connections_closed_unheard",
                closed.saturating_sub(self.closed),
                "the limit `connections` is reached",
            ),
            (
                "connections_gave_way",
                gave_way.saturating_sub(self.gave_way),
                "connections that asked for nothing, or whose head had not ended, were closed for others",
            ),
        ];
        (self.closed, self.gave_way) = (closed, gave_way);
        for (kind, count, reason) in news.into_iter().filter(|(_, count, _)| *count > 0) {
            self.told = Some(Instant::now());
            audit.counted(kind, count, reason);
            if !audit.is_on() {
                tracing::warn!(count, reason, "connections are closed");
            }
        }
    }
}
