//! The log, on standard error: written by a thread of its own, so that nobody who answers requests waits
//! for who reads it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Logging;

/// What libraries log that is not the operator's: every client that goes away, as an error; every
/// client that names an address where TLS wants a name, as a warning. HTTP/2's own lines have whole heads in
/// them, with signatures and tokens.
const QUIET: &str = "pingora_core=off,pingora=off,rustls::msgs::handshake=error,h2=off";

/// How many lines may wait; those beyond are lost and counted.
const LINES: usize = 4096;

/// How long the end of the process waits for the last lines.
const FLUSH: Duration = Duration::from_secs(1);

/// Lines on their way to standard error.
#[derive(Clone, Debug)]
pub(super) struct Log {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

impl Log {
    /// Logs as `logging` says from now on.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(logging: &Logging) -> io::Result<Self> {
        let (log, lines) = Self::new();
        let counts = log.counts.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&lines, &counts, &mut io::stderr()))?;
        let directives = format!("{},{QUIET}", logging.level);
        let filter = EnvFilter::try_new(directives);
        let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
        let builder = fmt().with_env_filter(filter).with_writer(log.clone());
        let _ = match logging.json {
            true => builder.json().try_init().map_err(drop),
            false => builder.with_ansi(false).try_init().map_err(drop),
        };
        Ok(log)
    }

    fn new() -> (Self, Receiver<Vec<u8>>) {
        let (lines, receiver) = sync_channel(LINES);
        let counts = Arc::default();
        (Self { lines, counts }, receiver)
    }

    /// Waits for the lines so far, for a while.
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + FLUSH;
        let left = || {
            let written = self.counts.written.load(Ordering::Acquire);
            written < self.counts.taken.load(Ordering::Acquire)
        };
        while left() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    /// One line, which is how the formatter writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.counts.taken.fetch_add(1, Ordering::AcqRel);
        if self.lines.try_send(line.to_vec()).is_err() {
            self.counts.taken.fetch_sub(1, Ordering::AcqRel);
            self.counts.lost.fetch_add(1, Ordering::AcqRel);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(lines: &Receiver<Vec<u8>>, counts: &Counts, to: &mut impl Write) {
    while let Ok(line) = lines.recv() {
        // Where standard error is closed or full there is nobody to say so to.
        let _ = to.write_all(&line);
        counts.written.fetch_add(1, Ordering::AcqRel);
        let lost = counts.lost.swap(0, Ordering::AcqRel);
        if lost > 0 {
            let _ = writeln!(
                to,
                "{lost} lines of the log are lost: nobody takes them fast enough"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_nobody_reads_is_lost_and_counted() {
        let (mut log, lines) = Log::new();
        for n in 0..LINES + 3 {
            log.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        assert_eq!(log.counts.lost.load(Ordering::Acquire), 3);
        let counts = log.counts.clone();
        drop(log);
        let mut out = Vec::new();
        write(&lines, &counts, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.starts_with("0\n3 lines of the log are lost"),
            "{out:.80}"
        );
        assert!(out.ends_with(&format!("{}\n", LINES - 1)));
        assert_eq!(counts.written.load(Ordering::Acquire), LINES as u64);
    }
}
