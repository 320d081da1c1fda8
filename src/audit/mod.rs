//! One event per request, as one line of JSON: who asked what from where, what was decided by which
//! statement, and what became of it. No secret is in it, since nothing secret is in its fields.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde::Serialize;

/// How many lines may wait for the writer before requests wait for it.
const QUEUE: usize = 16 * 1024;

/// How long the end of the process waits for the last events to be written.
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
    pub key: Option<&'a str>,
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
    /// The status of the answer.
    pub status: u16,
    /// The S3 code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What the operator should know of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
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

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file, appended to; opened again on reload, so that it can be rotated.
    File(PathBuf),
}

enum Message {
    Line(Vec<u8>),
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
}

/// Writes events on a thread of its own.
#[derive(Debug)]
pub struct Audit {
    lines: Option<SyncSender<Message>>,
    reopen: std::sync::Arc<AtomicBool>,
}

impl Audit {
    /// Opens the output.
    ///
    /// # Errors
    /// When the file cannot be opened for appending or the thread cannot start.
    pub fn open(output: &Output) -> std::io::Result<Self> {
        let reopen = std::sync::Arc::new(AtomicBool::new(false));
        let lines = match output {
            Output::Off => None,
            Output::Stdout => Some(spawn(Sink::Stdout, reopen.clone())?),
            Output::File(path) => Some(spawn(
                Sink::File(append(path)?, path.clone()),
                reopen.clone(),
            )?),
        };
        Ok(Self { lines, reopen })
    }

    /// Whether events go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Opens the file again before the next line.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// Hands an event to the writer. When the queue is full the request waits: an event is never
    /// lost silently.
    pub fn record(&self, event: &Event<'_>) {
        let Some(lines) = &self.lines else { return };
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            let _ = lines.send(Message::Line(line));
        }
    }

    /// Waits until every event so far is written, for a while: a full disk must not hold the end up.
    pub fn flush(&self) {
        let Some(lines) = &self.lines else { return };
        let (done, wait) = sync_channel(1);
        if lines.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

enum Sink {
    Stdout,
    File(std::fs::File, PathBuf),
}

fn append(path: &PathBuf) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn spawn(sink: Sink, reopen: std::sync::Arc<AtomicBool>) -> std::io::Result<SyncSender<Message>> {
    let (sender, receiver) = sync_channel(QUEUE);
    std::thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || write(sink, &receiver, &reopen))?;
    Ok(sender)
}

fn write(mut sink: Sink, lines: &Receiver<Message>, reopen: &AtomicBool) {
    while let Ok(first) = lines.recv() {
        // What waits is written at once.
        let (mut batch, mut flushed) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Line(line) => batch.extend_from_slice(&line),
                Message::Flush(done) => flushed.push(done),
            }
            if batch.len() < 64 * 1024 {
                next = lines.try_recv().ok();
            }
        }
        if let (Sink::File(file, path), true) = (&mut sink, reopen.swap(false, Ordering::Relaxed)) {
            match append(path) {
                Ok(opened) => *file = opened,
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "the audit file cannot be opened again")
                }
            }
        }
        let outcome = match &mut sink {
            Sink::Stdout => std::io::stdout().lock().write_all(&batch),
            Sink::File(file, _) => file.write_all(&batch),
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "audit events cannot be written");
        }
        for done in flushed {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn t86_an_event_is_one_line() {
        let event = Event {
            key: Some("a\r\n{\"decision\":\"allow\"}\u{1b}[31m"),
            decision: "invalid",
            ..Event::default()
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(!line.contains('\n') && !line.contains('\r') && !line.contains('\u{1b}'));
        assert_eq!(bounded(&"\u{e9}".repeat(50_000)).len(), 2048);
    }
}
