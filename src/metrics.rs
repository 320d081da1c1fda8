//! The metrics there are, in one file. Labels are bounded: operations, statuses and reasons, never
//! a name that a client chose.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::audit;
use crate::backend::disk::{Faults, Scrub};
use crate::backend::upstream::Counters;
use crate::listener;
use crate::s3::Operation;

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    /// Resolved once: a lookup by labels takes longer than the count. The usual statuses only.
    usual: HashMap<(Option<Operation>, u16), IntCounter>,
    admit: Histogram,
    total: Histogram,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    cut: IntCounter,
    in_flight: IntGauge,
    authentication_failures: IntCounterVec,
    connections: IntGaugeVec,
    limited: IntCounterVec,
    backend_up: IntGaugeVec,
    disk_faults: IntCounterVec,
    scrub_bytes: IntCounter,
    scrub_passes: IntCounter,
    scrub_completed: IntGauge,
    upstream_in_flight: IntGaugeVec,
    upstream_events: IntCounterVec,
    audit: audit::Counts,
}

/// Statuses whose counters are resolved in advance.
const USUAL: [u16; 10] = [200, 204, 206, 304, 400, 403, 404, 409, 412, 416];

/// What is counted of a request.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// The operation, when it was known.
    pub operation: Option<Operation>,
    /// The status of the answer.
    pub status: u16,
    /// Time until it was decided.
    pub admit: Duration,
    /// Time in all.
    pub total: Duration,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes sent.
    pub bytes_out: u64,
    /// Whether the answer was cut off.
    pub cut: bool,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two metrics share a name, which a test finds.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "portcullis_requests_total",
                "Requests by operation and status",
            ),
            &["operation", "status"],
        )?;
        let buckets = vec![
            0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
            0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
        ];
        let opts = HistogramOpts::new("portcullis_request_seconds", "Time of requests by phase")
            .buckets(buckets);
        let seconds = HistogramVec::new(opts, &["phase"])?;
        let bytes = IntCounterVec::new(
            Opts::new("portcullis_body_bytes_total", "Body bytes by direction"),
            &["direction"],
        )?;
        let cut = IntCounter::new("portcullis_answers_cut_total", "Answers that ended early")?;
        let in_flight = IntGauge::new("portcullis_requests_in_flight", "Requests being answered")?;
        let authentication_failures = IntCounterVec::new(
            Opts::new(
                "portcullis_authentication_failures_total",
                "Failed authentications by reason",
            ),
            &["reason"],
        )?;
        let connections = IntGaugeVec::new(
            Opts::new("portcullis_connections", "Open connections by listener"),
            &["listener"],
        )?;
        let limited = IntCounterVec::new(
            Opts::new(
                "portcullis_limited_total",
                "Requests and connections that a limit refused or closed, by what was reached",
            ),
            &["limit"],
        )?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(limited.clone()))?;
        let backend_up = IntGaugeVec::new(
            Opts::new("portcullis_backend_up", "Whether a backend answers"),
            &["backend"],
        )?;
        let disk_faults = IntCounterVec::new(
            Opts::new(
                "portcullis_disk_faults_total",
                "Damaged files found, entries that are not the store's, requests that the disk failed",
            ),
            &["kind"],
        )?;
        let upstream_in_flight = IntGaugeVec::new(
            Opts::new(
                "portcullis_upstream_requests_in_flight",
                "Requests that an upstream is answering",
            ),
            &["backend"],
        )?;
        let upstream_events = IntCounterVec::new(
            Opts::new(
                "portcullis_upstream_events_total",
                "Connections made and reused, requests sent again and failed, by upstream",
            ),
            &["backend", "event"],
        )?;
        let audit = audit::Counts::new()?;
        registry.register(Box::new(audit.lost.clone()))?;
        registry.register(Box::new(audit.refused.clone()))?;
        registry.register(Box::new(disk_faults.clone()))?;
        let scrub_bytes = IntCounter::new(
            "portcullis_disk_scrub_bytes_total",
            "Bytes read to find damage before a reader does",
        )?;
        let scrub_passes = IntCounter::new(
            "portcullis_disk_scrub_passes_total",
            "Passes in which everything could be read",
        )?;
        let scrub_completed = IntGauge::new(
            "portcullis_disk_scrub_completed_seconds",
            "When the last such pass ended, since 1970; 0 when none has",
        )?;
        registry.register(Box::new(scrub_bytes.clone()))?;
        registry.register(Box::new(scrub_passes.clone()))?;
        registry.register(Box::new(scrub_completed.clone()))?;
        registry.register(Box::new(upstream_in_flight.clone()))?;
        registry.register(Box::new(upstream_events.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(bytes.clone()))?;
        registry.register(Box::new(cut.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(authentication_failures.clone()))?;
        registry.register(Box::new(backend_up.clone()))?;
        let implemented = Operation::ALL
            .iter()
            .copied()
            .filter(|o| o.row().implemented)
            .map(Some);
        let usual = implemented
            .chain([None])
            .flat_map(|operation| USUAL.map(|status| (operation, status)));
        let usual = usual
            .map(|key| (key, counter(&requests, key.0, key.1)))
            .collect();
        Ok(Self {
            usual,
            admit: seconds.with_label_values(&["admit"]),
            total: seconds.with_label_values(&["total"]),
            bytes_in: bytes.with_label_values(&["in"]),
            bytes_out: bytes.with_label_values(&["out"]),
            requests,
            cut,
            in_flight,
            authentication_failures,
            connections,
            limited,
            backend_up,
            disk_faults,
            scrub_bytes,
            scrub_passes,
            scrub_completed,
            upstream_in_flight,
            upstream_events,
            audit,
            registry,
        })
    }

    /// Counts a request.
    pub fn request(&self, seen: &Observation) {
        match self.usual.get(&(seen.operation, seen.status)) {
            Some(counter) => counter.inc(),
            None => counter(&self.requests, seen.operation, seen.status).inc(),
        }
        self.admit.observe(seen.admit.as_secs_f64());
        self.total.observe(seen.total.as_secs_f64());
        self.bytes_in.inc_by(seen.bytes_in);
        self.bytes_out.inc_by(seen.bytes_out);
        if seen.cut {
            self.cut.inc();
        }
    }

    /// Counts a failed authentication; `reason` is one of a bounded set.
    pub fn authentication_failed(&self, reason: &'static str) {
        self.authentication_failures
            .with_label_values(&[reason])
            .inc();
    }

    /// Counts what a limit refused; `limit` is one of a bounded set.
    pub fn limited(&self, limit: &'static str) {
        self.limited.with_label_values(&[limit]).inc();
    }

    /// What is counted of the connections of a listener.
    #[must_use]
    pub fn connections(&self, listener: &'static str) -> listener::Counters {
        let limited = |limit| self.limited.with_label_values(&[limit]);
        listener::Counters {
            open: self.connections.with_label_values(&[listener]),
            gave_way: limited("idle_connections"),
            closed: limited("connections_unheard"),
        }
    }

    /// Counts a request as being answered until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// How many requests are being answered.
    #[must_use]
    pub fn flying(&self) -> i64 {
        self.in_flight.get()
    }

    /// Adds what was found wrong with the disk since the last time, and how far it was scrubbed.
    pub fn disk(&self, faults: &Faults, scrub: &Scrub) {
        let add = |counter: &IntCounter, count: u64| {
            counter.inc_by(count.saturating_sub(counter.get()));
        };
        add(&self.scrub_bytes, scrub.bytes());
        add(&self.scrub_passes, scrub.passes());
        self.scrub_completed.set(scrub.completed());
        let counts = [
            ("damaged", faults.damaged_count()),
            ("foreign", faults.foreign_count()),
            ("failed", faults.failed_count()),
        ];
        for (kind, count) in counts {
            add(&self.disk_faults.with_label_values(&[kind]), count);
        }
    }

    /// Says whether a configured backend answers.
    pub fn backend(&self, name: &str, up: bool) {
        self.backend_up
            .with_label_values(&[name])
            .set(i64::from(up));
    }

    /// Forgets a backend that is configured no more.
    pub fn forget_backend(&self, name: &str) {
        let _ = self.backend_up.remove_label_values(&[name]);
    }

    /// What audit counts.
    #[must_use]
    pub fn audit(&self) -> &audit::Counts {
        &self.audit
    }

    /// Adds what an upstream has done since the last time.
    pub fn upstream(&self, name: &str, counters: &Counters) {
        let in_flight = counters.in_flight.load(Ordering::Relaxed);
        self.upstream_in_flight
            .with_label_values(&[name])
            .set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        for (event, count) in counters.take() {
            let labels = &[name, event];
            self.upstream_events.with_label_values(labels).inc_by(count);
        }
    }

    /// The text exposition.
    ///
    /// # Errors
    /// When it cannot be made: nothing is told rather than a part.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn counter(requests: &IntCounterVec, operation: Option<Operation>, status: u16) -> IntCounter {
    let operation = operation.map_or("Unknown", Operation::name);
    requests.with_label_values(&[operation, itoa::Buffer::new().format(status)])
}

/// A request being answered.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_registers_and_counts() {
        let metrics = Metrics::new().ok();
        let text = metrics.and_then(|metrics| {
            metrics.authentication_failed("expired");
            let counters = Counters::default();
            counters.retries.store(2, Ordering::Relaxed);
            metrics.upstream("store", &counters);
            metrics.upstream("store", &counters);
            metrics.text().ok()
        });
        let retries = "portcullis_upstream_events_total{backend=\"store\",event=\"retry\"} 2";
        assert!(text.as_deref().is_some_and(|t| t.contains(retries)));
        assert!(text.is_some_and(|t| {
            t.contains("portcullis_authentication_failures_total{reason=\"expired\"} 1")
        }));
    }
}
