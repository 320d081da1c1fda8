//! Refusals at a glance: where there is no audit, the log tells who was refused what, and why. Bounded,
//! since anybody can be refused as often as they like.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::signature::told;
use crate::audit::Event;

/// How many lines may come at once, of each kind, and how often there is room for another one.
const BURST: u32 = 20;
const EVERY: Duration = Duration::from_millis(200);

/// The longest text of a field.
const MOST: usize = 300;

/// How soon it is told that lines were left out.
const TELL: Duration = Duration::from_secs(10);

/// Tells refusals. Those of callers who are known have their own share of the log: nobody who has no key
/// can hide them.
#[derive(Debug, Default)]
pub(super) struct Glance {
    known: Mutex<Share>,
    unknown: Mutex<Share>,
}

#[derive(Debug, Default)]
struct Share {
    // Lines that were told, less those whose time has passed.
    used: u32,
    since: Option<Instant>,
    left_out: u64,
    told: Option<Instant>,
}

impl Share {
    /// Whether one more may be told at `now`.
    fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since).as_millis() / EVERY.as_millis();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed > 0 {
            self.used = self.used.saturating_sub(passed);
            self.since = Some(now);
        }
        if self.used < BURST {
            self.used += 1;
            return true;
        }
        self.left_out = self.left_out.saturating_add(1);
        false
    }

    /// How many were left out, once it is time to say so.
    fn left_out(&mut self, now: Instant) -> Option<u64> {
        let recently = |told: Instant| now.saturating_duration_since(told) < TELL;
        if self.left_out == 0 || self.told.is_some_and(recently) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Glance {
    /// Tells of a request that was not permitted, or that failed: `event`, which is asked for only where there
    /// is room for it, with `message`, which is what its client was told. Whether somebody is known who asked
    /// is `known`.
    pub(super) fn tell<'e>(
        &self,
        known: bool,
        event: impl FnOnce() -> Event<'e>,
        message: Option<&str>,
    ) {
        let share = match known {
            true => &self.known,
            false => &self.unknown,
        };
        let told = locked(share).take(Instant::now());
        if told {
            line(&event(), message);
        }
        self.left_out();
    }

    /// Says how many were left out, when some were and it is time to.
    pub(super) fn left_out(&self) {
        for (share, whose) in [(&self.known, "known"), (&self.unknown, "unknown")] {
            if let Some(count) = locked(share).left_out(Instant::now()) {
                tracing::warn!(
                    count,
                    callers = whose,
                    "refusals are left out of the log: there are too many; `audit` tells all"
                );
            }
        }
    }
}

fn locked(share: &Mutex<Share>) -> std::sync::MutexGuard<'_, Share> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line. Texts are escaped by the log's writer.
fn line(event: &Event<'_>, message: Option<&str>) {
    let claimed = event.claimed_access_key_id.as_deref();
    let who = event.caller.as_deref();
    let who = who
        .map(str::to_owned)
        .or_else(|| claimed.map(|id| format!("unproved {id}")));
    let resource = match (event.bucket, &event.key) {
        (Some(bucket), Some(key)) => format!("{bucket}/{key}"),
        (Some(bucket), None) => bucket.to_owned(),
        (None, _) => event.path.as_deref().unwrap_or_default().to_owned(),
    };
    let refused_keys: Vec<_> = event
        .keys
        .iter()
        .filter(|key| key.decision != "allow")
        .collect();
    let reason = match (event.reason.as_deref(), refused_keys.first()) {
        (None, Some(first)) => format!(
            "{} of {} keys, `{}` first: {}",
            refused_keys.len(),
            event.keys.len(),
            first.key,
            first.reason.as_deref().unwrap_or_default()
        ),
        (Some(reason), _) => reason.to_owned(),
        // An event has only what is in it already; what the client was told repeats what it sent.
        (None, None) => told(message.unwrap_or_default()).into_owned(),
    };
    tracing::warn!(
        request_id = event.request_id,
        who = short(who.as_deref().unwrap_or("nobody known")),
        source = event.source.as_deref().unwrap_or_default(),
        action = event.operation.unwrap_or("unknown"),
        resource = short(&resource),
        status = event.status,
        code = event.code.unwrap_or_default(),
        reason = short(&reason),
        "{}",
        match event.decision {
            "allow" if refused_keys.is_empty() => "a request failed",
            _ => "a request is refused",
        }
    );
}

fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MOST))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t86_what_is_told_is_bounded_and_what_is_left_out_is_counted() {
        let mut share = Share::default();
        let start = Instant::now();
        let told = (0..1000).filter(|_| share.take(start)).count();
        assert_eq!(told, BURST as usize);
        assert_eq!(share.left_out(start), Some(1000 - u64::from(BURST)));
        assert_eq!(share.left_out(start), None);
        // Room comes back with time, and no more than there was.
        let later = start + EVERY * 3;
        assert_eq!((0..10).filter(|_| share.take(later)).count(), 3);
        assert_eq!(share.left_out(later), None, "it was said just now");
        let hours = start + Duration::from_secs(7200);
        assert_eq!(share.left_out(hours), Some(7));
        assert_eq!(
            (0..1000).filter(|_| share.take(hours)).count(),
            BURST as usize
        );
    }

    #[test]
    fn t86_what_is_left_out_is_not_made() {
        let glance = Glance::default();
        let mut made = 0;
        for _ in 0..1000 {
            let event = || {
                made += 1;
                Event::default()
            };
            glance.tell(false, event, None);
        }
        // Time passes, and makes room for a few more.
        assert!((BURST..1000).contains(&made), "{made}");
        glance.tell(
            true,
            || {
                made = 0;
                Event::default()
            },
            None,
        );
        assert_eq!(made, 0, "who is known has their own share");
    }
}
