//! One event per request, and few others, each as one line of JSON: who asked what from where, what was decided by which
//! statement, and what became of it. No secret is in it, since nothing secret is in its fields.

mod queue;
mod writer;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::IntCounter;
use serde::Serialize;
use time::OffsetDateTime;

use crate::s3::{Error, ErrorCode, time::iso8601};
pub use queue::Place;
use queue::Queue;

/// How long the end of the process waits at least for the last events to be written.
const FLUSH: std::time::Duration = std::time::Duration::from_secs(5);

/// The longest text of one field: what a client sends is not copied without bound (T86).
const MAX_TEXT: usize = 2048;

/// What is told of a request.
#[derive(Debug, Default, Serialize)]
pub struct Event<'a> {
    /// When the head had arrived, ISO 8601.
    pub time: String,
    /// What the client was told as `x-amz-request-id`.
    pub request_id: &'a str,
    /// The caller's ARN, or `anonymous`; absent where nobody was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// How: `header`, `presigned` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticated_by: Option<&'static str>,
    /// The access key that signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<&'a str>,
    /// Where nobody was authenticated: the access key that the request names, which proves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_access_key_id: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether it came under TLS.
    pub secure: bool,
    /// The client's name for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Cow<'a, str>>,
    /// The S3 operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// The bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<&'a str>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// The version of the key that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<&'a str>,
    /// Where there is no operation: the path as it came. Never the query, where signatures stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Cow<'a, str>>,
    /// Query parameters that mean nothing to S3 and are the client's own: those that begin with `x-`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub parameters: &'a [String],
    /// Further resources: a copy's source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// `allow`, `explicit_deny`, `implicit_deny`, `unauthenticated`, `limited` or `invalid`.
    pub decision: &'static str,
    /// The policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'a str>,
    /// Its statement, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<usize>,
    /// That statement's Sid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<&'a str>,
    /// Where nothing allowed it: the statements that came closest to allowing, the closest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closest: Vec<Statement<'a>>,
    /// Every key of a DeleteObjects, in its order. `decision` is then that of the request as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key<'a>>,
    /// The status of the answer; 0 where there was none.
    pub status: u16,
    /// The S3 code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What the operator should know of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// Whether the answer was cut off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes sent.
    pub bytes_out: u64,
    /// Microseconds until the request was decided.
    pub admit_us: u64,
    /// Microseconds in all.
    pub total_us: u64,
    /// The backend that held the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<&'a str>,
}

/// One key of several, decided on its own.
#[derive(Debug, Serialize)]
pub struct Key<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<Cow<'a, str>>,
    /// `allow`, `explicit_deny` or `implicit_deny`.
    pub decision: &'static str,
    /// The statement that decided.
    #[serde(flatten)]
    pub by: Option<Statement<'a>>,
    /// Whether it was done. Where it was permitted, not done, and `code` says nothing, nobody knows:
    /// the request ended before that was told.
    pub done: bool,
    /// The S3 code of what was told of it instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What the operator should know of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// A statement of a policy.
#[derive(Debug, Serialize)]
pub struct Statement<'a> {
    /// The policy.
    pub policy: &'a str,
    /// The statement, counted from 1.
    pub statement: usize,
    /// Its Sid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<&'a str>,
}

/// A text of a client's, bounded. JSON escapes what could forge a line.
#[must_use]
pub fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT))
        .unwrap_or_default()
}

/// What is told that is no request: of the store, or of audit itself.
#[derive(Debug, Default, Serialize)]
struct Incident<'a> {
    /// When, ISO 8601.
    time: String,
    /// What kind of thing happened.
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// How often it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// How many events were lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

fn now() -> String {
    iso8601(OffsetDateTime::now_utc())
}

fn line(event: &impl Serialize) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(event).ok()?;
    line.push(b'\n');
    Some(line)
}

/// Where events go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Nowhere.
    #[default]
    Off,
    /// Standard output.
    Stdout,
    /// A file, appended to; opened again on reload, so that it can be rotated.
    File(PathBuf),
}

/// What gives way when events come faster than they can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The events: they are lost and counted, and requests go on.
    #[default]
    Drop,
    /// The requests: one is carried out only when its event has a place.
    Block,
}

/// How audit is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where events go.
    pub output: Output,
    /// What gives way when they cannot go there.
    pub when_full: WhenFull,
}

/// What is counted of events.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Events that nobody will see.
    pub lost: IntCounter,
    /// Requests that were not carried out, since their events had no place.
    pub refused: IntCounter,
}

impl Counts {
    /// Counters that stand at nought.
    ///
    /// # Errors
    /// When a name is no name of a metric, which a test finds.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            lost: IntCounter::new(
                "portcullis_audit_events_lost_total",
                "Audit events that could not be written and are lost",
            )?,
            refused: IntCounter::new(
                "portcullis_audit_refused_requests_total",
                "Requests that were not carried out, since their audit events could not be written",
            )?,
        })
    }
}

/// Hands events to a thread that writes them. Nobody waits for that thread.
#[derive(Debug)]
pub struct Audit {
    queue: Option<Arc<Queue>>,
    refused: IntCounter,
    reopen: Arc<AtomicBool>,
}

impl Audit {
    /// Opens the output.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, which the error names, or the thread cannot start.
    pub fn open(config: &Config, counts: &Counts) -> std::io::Result<Self> {
        let reopen = Arc::new(AtomicBool::new(false));
        let mut audit = Self {
            queue: None,
            refused: counts.refused.clone(),
            reopen: reopen.clone(),
        };
        if let Some(sink) = writer::Sink::open(&config.output)? {
            let queue = Arc::new(Queue::new(config.when_full, counts));
            audit.queue = Some(queue.clone());
            let when_full = config.when_full;
            std::thread::Builder::new()
                .name("audit".to_owned())
                .spawn(move || writer::run(sink, &queue, when_full, &reopen))?;
        }
        Ok(audit)
    }

    /// Whether events go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Opens the file again before the next line, and tries until that succeeds. Until then nothing is
    /// written.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// A place for a request's event, to be had before the request is carried out.
    ///
    /// # Errors
    /// `ServiceUnavailable` where nothing may go unaudited and there has been no place for a while.
    pub async fn reserve(&self) -> Result<Place, Error> {
        let Some(queue) = &self.queue else {
            return Ok(Place::NONE);
        };
        queue.reserve().await.map_err(|queue::Full| {
            self.refused.inc();
            let why = queue.why_not().unwrap_or_default();
            Error::new(ErrorCode::ServiceUnavailable).because(why)
        })
    }

    /// What stands for a place where none was reserved: nothing has been carried out that could have waited.
    #[must_use]
    pub fn unreserved() -> Place {
        Place::NONE
    }

    /// Hands a request's event to the writer, and never waits.
    pub fn record(&self, event: &Event<'_>, place: Place) {
        self.hand(event, place);
    }

    /// Tells of something that is no request: `kind` is one of a few words, such as `damaged_object`.
    /// Never waits.
    pub fn incident(
        &self,
        kind: &'static str,
        bucket: Option<&str>,
        key: Option<&str>,
        reason: &str,
    ) {
        let incident = Incident {
            time: now(),
            event: kind,
            bucket: bucket.map(bounded),
            key: key.map(bounded),
            reason: Some(bounded(reason)),
            count: None,
            lost: None,
        };
        self.hand(&incident, Place::NONE);
    }

    /// Tells of something that happened `count` times, each too small for an event of its own. Never waits.
    pub fn counted(&self, kind: &'static str, count: u64, reason: &str) {
        let incident = Incident {
            time: now(),
            event: kind,
            reason: Some(bounded(reason)),
            count: Some(count),
            ..Incident::default()
        };
        self.hand(&incident, Place::NONE);
    }

    fn hand(&self, event: &impl Serialize, place: Place) {
        let Some(queue) = &self.queue else { return };
        match line(event) {
            Some(line) => queue.push(line, place),
            None => queue.lose(1),
        }
    }

    /// Why no request is carried out at the moment, where nothing may go unaudited.
    #[must_use]
    pub fn why_not_ready(&self) -> Option<String> {
        self.queue.as_ref().and_then(|queue| queue.why_not())
    }

    /// Waits until every event so far is written, where nothing may go unaudited for up to `most`, or for a
    /// few seconds if that is less: a log that nobody reads must not hold up the end.
    ///
    /// # Errors
    /// [`Unwritten`] where nothing may go unaudited and some were not.
    pub fn flush(&self, most: std::time::Duration) -> Result<(), Unwritten> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        let may_be_lost = queue.when_full() == WhenFull::Drop;
        let left = queue.settle(if may_be_lost { FLUSH } else { most.max(FLUSH) });
        if left == 0 {
            return Ok(());
        }
        tracing::error!(
            events = left,
            "audit events are lost: they could not be written before the end"
        );
        match may_be_lost {
            true => Ok(()),
            false => Err(Unwritten(left)),
        }
    }
}

/// Events that were not written before the end, of what was carried out all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} audit events are lost: they could not be written before the end")]
pub struct Unwritten(pub usize);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn t86_an_event_is_one_line() {
        let event = Event {
            key: Some("a\r\n{\"decision\":\"allow\"}\u{1b}[31m".into()),
            decision: "invalid",
            ..Event::default()
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(!line.contains('\n') && !line.contains('\r') && !line.contains('\u{1b}'));
        assert_eq!(bounded(&"\u{e9}".repeat(50_000)).len(), 2048);
    }
}
