//! What an upstream has done since the start, for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Running numbers of one upstream.
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
