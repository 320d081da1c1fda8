//! The thread that writes lines. It may be held up by whoever reads them: nobody waits for it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::queue::Queue;
use super::{Output, WhenFull};

/// How many bytes are written at once.
const BATCH: usize = 64 * 1024;

/// How long it takes until what could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// How long a pipe that does not block is left alone when it is full.
const STALLED: Duration = Duration::from_millis(10);

/// How often the log says that nothing can be written, at most.
const SAY: Duration = Duration::from_secs(10);

/// How long it takes until a file that could not be opened again is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Debug)]
pub(super) struct Sink {
    to: File,
    path: Option<PathBuf>,
    /// The file is not the one of that name any more, and nothing is written to it.
    stale: Option<Stale>,
}

/// A file that is to be opened again.
#[derive(Debug, Default)]
struct Stale {
    /// When that failed last, and why.
    failed: Option<(Instant, String)>,
}

impl Sink {
    /// Opens an output; `None` where there is none.
    pub(super) fn open(output: &Output) -> io::Result<Option<Self>> {
        let (to, path) = match output {
            Output::Off => return Ok(None),
            // Past the library's buffer, in which a line could wait for the next one.
            Output::Stdout => (io::stdout().as_fd().try_clone_to_owned()?.into(), None),
            Output::File(path) => {
                let to = append(path).map_err(|error| crate::files::named(path, &error))?;
                (to, Some(path.clone()))
            }
        };
        let stale = None;
        Ok(Some(Self { to, path, stale }))
    }

    /// Writes what is left of a batch, into the file that has its name.
    fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.open_again(batch)?;
        batch.write(&mut self.to)
    }

    /// Opens a file again that is stale. Until that succeeds nothing is written: what went to a file that
    /// nobody can find would be lost, and nobody would count it.
    fn open_again(&mut self, batch: &mut Batch) -> io::Result<()> {
        let (Some(stale), Some(path)) = (&mut self.stale, &self.path) else {
            return Ok(());
        };
        if let Some((at, why)) = &stale.failed
            && at.elapsed() < REOPEN
        {
            return Err(io::Error::other(why.clone()));
        }
        match append(path) {
            Ok(opened) => {
                if stale.failed.is_some() {
                    tracing::info!(path = %path.display(), "the audit file is opened again");
                }
                self.to = opened;
                self.stale = None;
                batch.begin_again();
                Ok(())
            }
            Err(error) => {
                if stale.failed.is_none() {
                    tracing::error!(%error, path = %path.display(), "the audit file cannot be opened again");
                }
                let why = format!("the file cannot be opened again: {error}");
                stale.failed = Some((Instant::now(), why.clone()));
                Err(io::Error::other(why))
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Writes what comes, for ever.
pub(super) fn run(mut sink: Sink, queue: &Arc<Queue>, when_full: WhenFull, reopen: &AtomicBool) {
    let mut batch = Batch::default();
    let mut said = None;
    loop {
        let taken = queue.take(BATCH);
        if taken.lost > 0 {
            batch.notice(taken.lost);
        }
        for line in &taken.lines {
            batch.push(line);
        }
        loop {
            if reopen.swap(false, Ordering::Relaxed) {
                sink.stale = Some(Stale::default());
            }
            let Err(error) = sink.write(&mut batch) else {
                queue.failing(None);
                queue.told(batch.told);
                batch = Batch::default();
                break;
            };
            if said.is_none_or(|said: Instant| said.elapsed() > SAY) {
                tracing::error!(%error, path = ?sink.path, "audit events cannot be written");
                said = Some(Instant::now());
            }
            match when_full {
                WhenFull::Drop => {
                    queue.lose(batch.give_up());
                    break;
                }
                WhenFull::Block => {
                    queue.failing(Some(error.to_string()));
                    std::thread::sleep(AGAIN);
                }
            }
        }
    }
}

/// Lines that are being written.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends, and whether it is an event.
    lines: Vec<(usize, bool)>,
    /// How many bytes are written.
    at: usize,
    /// How many losses its notices tell.
    told: u64,
}

impl Batch {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.lines.push((self.bytes.len(), true));
    }

    /// Tells how many events were lost.
    fn notice(&mut self, lost: u64) {
        // One that is already here in part is told, and this is of those after it.
        let lost = lost.saturating_sub(self.told);
        if lost == 0 {
            return;
        }
        let incident = super::Incident {
            time: super::now(),
            event: "audit_events_lost",
            lost: Some(lost),
            ..super::Incident::default()
        };
        if let Some(line) = super::line(&incident) {
            self.push(&line);
            if let Some((_, is_event)) = self.lines.last_mut() {
                *is_event = false;
            }
            self.told = self.told.saturating_add(lost);
        }
    }

    /// Writes what is not written yet.
    fn write(&mut self, to: &mut impl Write) -> io::Result<()> {
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            match to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.at = self.at.saturating_add(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(STALLED);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where the line begins that is being written, and which it is.
    fn line(&self) -> (usize, usize) {
        let whole = self.lines.iter().take_while(|(end, _)| *end <= self.at);
        let index = whole.clone().count();
        (whole.last().map_or(0, |(end, _)| *end), index)
    }

    /// Gives up what is not written, but for the rest of a line that has begun: it is not torn. Answers
    /// how many events that are.
    fn give_up(&mut self) -> u64 {
        let (start, index) = self.line();
        let begun = self.at > start;
        let kept = match self.lines.get(index) {
            Some(line) if begun => Some(*line),
            _ => None,
        };
        let lost = self.lines.iter().skip(index + usize::from(begun));
        let lost = lost.filter(|(_, is_event)| *is_event).count();
        match kept {
            Some((end, is_event)) => {
                self.bytes.truncate(end);
                self.bytes.drain(..start);
                self.at = self.at.saturating_sub(start);
                self.lines = vec![(self.bytes.len(), is_event)];
                self.told = if is_event { 0 } else { self.told };
            }
            None => *self = Self::default(),
        }
        lost as u64
    }

    /// Into another file a line goes whole.
    fn begin_again(&mut self) {
        self.at = self.line().0;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Takes some bytes, and then fails until it is given more room.
    #[derive(Default)]
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.room.min(bytes.len()).min(3);
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.taken.extend_from_slice(bytes.get(..room).unwrap());
            self.room -= room;
            Ok(room)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LINES: [&[u8]; 4] = [b"{1111}\n", b"{22}\n", b"{3}\n", b"{444}\n"];

    #[test]
    fn what_cannot_be_written_is_kept_and_no_line_is_torn() {
        let all = LINES.concat();
        for room in 0..all.len() {
            let mut to = Narrow::default();
            let mut batch = Batch::default();
            LINES.iter().for_each(|line| batch.push(line));
            to.room = room;
            assert!(batch.write(&mut to).is_err());
            assert_eq!(to.taken.len(), room);
            to.room = usize::MAX;
            batch.write(&mut to).unwrap();
            assert_eq!(to.taken, all, "{room}");
        }
    }

    #[test]
    fn what_is_given_up_is_counted_and_no_line_is_torn() {
        let all = LINES.concat();
        for room in 0..all.len() {
            let mut to = Narrow::default();
            let mut batch = Batch::default();
            LINES.iter().for_each(|line| batch.push(line));
            to.room = room;
            assert!(batch.write(&mut to).is_err());
            let lost = batch.give_up();
            to.room = usize::MAX;
            batch.push(b"{after}\n");
            batch.write(&mut to).unwrap();
            let text = String::from_utf8(to.taken).unwrap();
            let text = text.strip_suffix("{after}\n").unwrap();
            assert!(all.starts_with(text.as_bytes()), "{room}");
            let written = text.split_inclusive('\n').count() as u64;
            assert!(text.is_empty() || text.ends_with('\n'), "{room}");
            assert_eq!(written + lost, 4, "{room}");
        }
    }

    #[test]
    fn another_file_gets_whole_lines() {
        let mut batch = Batch::default();
        LINES.iter().for_each(|line| batch.push(line));
        let mut to = Narrow {
            room: 9,
            ..Narrow::default()
        };
        assert!(batch.write(&mut to).is_err());
        batch.begin_again();
        let mut another = Narrow {
            room: usize::MAX,
            ..Narrow::default()
        };
        batch.write(&mut another).unwrap();
        assert_eq!(another.taken, LINES.concat().split_off(7));
    }

    #[test]
    fn a_notice_is_no_event_and_is_told_once() {
        let mut batch = Batch::default();
        batch.notice(5);
        batch.push(b"{}\n");
        let mut to = Narrow {
            room: 2,
            ..Narrow::default()
        };
        assert!(batch.write(&mut to).is_err());
        assert_eq!((batch.give_up(), batch.told), (1, 5));
        batch.notice(6);
        to.room = usize::MAX;
        batch.write(&mut to).unwrap();
        let text = String::from_utf8(to.taken).unwrap();
        let lost: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|event| event.get("lost").and_then(|lost| lost.as_u64()).unwrap())
            .collect();
        assert_eq!((lost, batch.told), (vec![5, 1], 6));
    }
}
