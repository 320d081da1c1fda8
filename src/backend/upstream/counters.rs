//! What an upstream does, for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of one upstream: what happens now, and what happened since [`Counters::take`].
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests that are being sent or answered now, bodies included.
    pub in_flight: AtomicU64,
    /// Connections made.
    pub connects: AtomicU64,
    /// Requests over a connection of the pool.
    pub reuses: AtomicU64,
    /// Requests sent again because a pooled connection had died.
    pub retries: AtomicU64,
    /// Requests without a usable answer, or with a 5xx.
    pub failures: AtomicU64,
}

impl Counters {
    /// What happened since the last time this was asked, by its name in metrics.
    #[must_use]
    pub fn take(&self) -> [(&'static str, u64); 4] {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        [
            ("connect", take(&self.connects)),
            ("reuse", take(&self.reuses)),
            ("retry", take(&self.retries)),
            ("failure", take(&self.failures)),
        ]
    }
}

/// Counts one request in flight for as long as it lives.
#[derive(Debug)]
pub(super) struct Gauge(Arc<Counters>);

impl Gauge {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
