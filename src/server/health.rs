//! How the backends are: each is asked from time to time, one question at a time, and nobody waits for
//! the answer. One that does not answer in time is down.
//!
//! Readiness is red when the disk is down and buckets can be on it, or when every backend on which
//! buckets can be is. One of several upstreams that is down fails its own buckets only, and often every
//! gateway's at once: were that red, nobody would be left for the others'.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pingora_runtime::Runtime;

use crate::backend::router::Backends;
use crate::metrics::Metrics;

/// How often a backend is asked.
const EVERY: Duration = Duration::from_secs(5);

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of all backends.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<HashMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    local: bool,
    routed: bool,
    /// When it was asked last.
    asked: Option<Instant>,
    /// Whether it has not answered yet.
    waits: bool,
    /// Whether it ever has.
    answered: bool,
    /// What it answered last: why it cannot be used.
    said: Option<String>,
}

impl Known {
    fn why_not(&self, now: Instant) -> Option<String> {
        let waits = self.asked.filter(|_| self.waits);
        match waits.is_some_and(|asked| now.duration_since(asked) > PATIENCE) {
            true => Some("it does not answer".to_owned()),
            false => self.said.clone(),
        }
    }
}

impl Health {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whoever has not been asked for a while and has answered, and counts what is known.
    pub(super) fn ask(
        self: &Arc<Self>,
        backends: &Arc<Backends>,
        workers: &Runtime,
        metrics: &Metrics,
    ) {
        let now = Instant::now();
        let names: Vec<_> = backends.all().map(|checked| checked.name).collect();
        self.known().retain(|name, _| {
            let stays = names.contains(&name.as_str());
            if !stays {
                metrics.forget_backend(name);
            }
            stays
        });
        for checked in backends.all() {
            if self.begin(checked.name, checked.local, checked.routed, now) {
                let (this, name) = (self.clone(), checked.name.to_owned());
                let backend = checked.backend.clone();
                // Where requests are answered: the pool keeps the connections that this opens, and one of
                // another thread's would wake that thread for every request.
                workers.get_handle().spawn(async move {
                    let asked = tokio::spawn(async move { backend.health().await }).await;
                    let said = match asked {
                        Ok(answer) => answer.err().map(|error| error.to_string()),
                        Err(error) => Some(error.to_string()),
                    };
                    this.end(&name, said);
                });
            }
            if let Some(up) = self.is_up(checked.name, now) {
                metrics.backend(checked.name, up);
            }
        }
        for upstream in backends.upstreams() {
            metrics.upstream(upstream.name(), upstream.counters());
        }
    }

    /// Whether a backend is to be asked now; it then waits for [`Self::end`].
    fn begin(&self, name: &str, local: bool, routed: bool, now: Instant) -> bool {
        let mut known = self.known();
        let known = known.entry(name.to_owned()).or_default();
        (known.local, known.routed) = (local, routed);
        let soon = known.asked.is_some_and(|at| now.duration_since(at) < EVERY);
        if known.waits || soon {
            return false;
        }
        (known.waits, known.asked) = (true, Some(now));
        true
    }

    fn end(&self, name: &str, said: Option<String>) {
        let mut known = self.known();
        let Some(known) = known.get_mut(name) else {
            return;
        };
        if said != known.said {
            match &said {
                Some(why) => tracing::error!(backend = name, %why, "a backend cannot be used"),
                None => tracing::info!(backend = name, "a backend can be used again"),
            }
        }
        (known.waits, known.answered) = (false, true);
        known.said = said;
    }

    /// Whether a backend is up, where that is known.
    fn is_up(&self, name: &str, now: Instant) -> Option<bool> {
        let known = self.known();
        let known = known.get(name)?;
        match known.why_not(now) {
            Some(_) => Some(false),
            None => known.answered.then_some(true),
        }
    }

    /// Why requests cannot be served.
    pub(super) fn why_not(&self) -> Option<String> {
        self.why_not_at(Instant::now())
    }

    fn why_not_at(&self, now: Instant) -> Option<String> {
        let known = self.known();
        let mut routed: Vec<_> = known.iter().filter(|(_, known)| known.routed).collect();
        routed.sort_by_key(|(name, _)| *name);
        let down = |(name, known): &(&String, &Known)| {
            let why = known.why_not(now)?;
            Some(format!("backend `{name}` is down: {why}"))
        };
        if let Some(local) = routed
            .iter()
            .filter(|(_, known)| known.local)
            .find_map(down)
        {
            return Some(local);
        }
        let all: Option<Vec<_>> = routed.iter().map(down).collect();
        all.and_then(|all| all.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(health: &Health, name: &str, local: bool, routed: bool) -> Instant {
        let now = Instant::now();
        assert!(health.begin(name, local, routed, now));
        now
    }

    #[test]
    fn the_disk_counts_when_buckets_can_be_on_it() {
        for routed in [true, false] {
            let health = Health::default();
            let now = asked(&health, "disk", true, routed);
            asked(&health, "far", false, true);
            assert_eq!(health.why_not_at(now), None, "nobody has answered yet");
            health.end("far", None);
            health.end("disk", Some("no room".to_owned()));
            let why = health.why_not_at(now);
            assert_eq!(why.is_some_and(|why| why.contains("no room")), routed);
            assert_eq!(health.is_up("disk", now), Some(false));
            let later = now + EVERY;
            assert!(health.begin("disk", true, routed, later));
            health.end("disk", None);
            assert_eq!(health.why_not_at(later), None);
            assert_eq!(health.is_up("disk", later), Some(true));
        }
    }

    #[test]
    fn upstreams_count_when_all_are_down() {
        let health = Health::default();
        let now = asked(&health, "disk", true, false);
        asked(&health, "a", false, true);
        asked(&health, "b", false, true);
        health.end("a", Some("refused".to_owned()));
        assert_eq!(health.why_not_at(now), None);
        health.end("b", Some("refused".to_owned()));
        assert!(health.why_not_at(now).is_some());
        health.end("b", None);
        assert_eq!(health.why_not_at(now), None);
    }

    #[test]
    fn one_that_hangs_is_down_and_is_not_asked_again() {
        let health = Health::default();
        let mut now = asked(&health, "disk", true, true);
        health.end("disk", None);
        now += EVERY;
        assert!(health.begin("disk", true, true, now));
        assert_eq!(health.why_not_at(now), None);
        for _ in 0..3 {
            now += PATIENCE * 2;
            assert!(!health.begin("disk", true, true, now));
            assert!(health.why_not_at(now).is_some());
            assert_eq!(health.is_up("disk", now), Some(false));
        }
        health.end("disk", None);
        assert_eq!(health.why_not_at(now), None);
        assert!(health.begin("disk", true, true, now));
    }
}
