//! Whether the threads that answer requests get to run, and whether they still find a thread for files:
//! each is asked to do nothing, again and again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use pingora_runtime::Runtime;

/// How often.
const BEAT: Duration = Duration::from_millis(500);

/// How late a thread may be.
const LATE: Duration = Duration::from_secs(5);

/// How many tasks are sent for each thread: they go to one by chance, and the first there stays.
const TRIES: usize = 32;

/// When each thread last did what it was asked.
#[derive(Debug)]
pub(super) struct Pulse {
    since: Instant,
    threads: usize,
    beats: Mutex<HashMap<ThreadId, Arc<Beat>>>,
}

/// When one thread last did, in milliseconds since the start.
#[derive(Debug, Default)]
struct Beat {
    ran: AtomicU64,
    found_another: AtomicU64,
}

impl Pulse {
    /// For so many threads; nothing beats yet.
    pub(super) fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            threads,
            beats: Mutex::default(),
        })
    }

    /// Begins on every thread of `workers`.
    pub(super) fn start(self: &Arc<Self>, workers: &Runtime) {
        for _ in 0..self.threads.saturating_mul(TRIES) {
            workers.get_handle().spawn(begin(self.clone()));
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// This thread's, when nobody beats for it yet.
    fn enter(&self) -> Option<Arc<Beat>> {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let id = std::thread::current().id();
        if beats.contains_key(&id) {
            return None;
        }
        let beat = Arc::new(Beat::default());
        beat.ran.store(self.now(), Ordering::Relaxed);
        beat.found_another.store(self.now(), Ordering::Relaxed);
        beats.insert(id, beat.clone());
        Some(beat)
    }

    /// What does not beat.
    pub(super) fn why_not(&self) -> Option<String> {
        self.late_at(self.now())
    }

    fn late_at(&self, now: u64) -> Option<String> {
        let late = |at: u64| u128::from(now.saturating_sub(at)) > LATE.as_millis();
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = beats.values();
        let stuck = stuck.filter(|beat| late(beat.ran.load(Ordering::Relaxed)));
        let missing = match late(0) {
            true => self.threads.saturating_sub(beats.len()),
            false => 0,
        };
        let stuck = stuck.count().saturating_add(missing);
        if stuck > 0 {
            return Some(format!(
                "{stuck} of {} threads that answer requests do not run",
                self.threads
            ));
        }
        let mut files = beats.values();
        files
            .any(|beat| late(beat.found_another.load(Ordering::Relaxed)))
            .then(|| "no thread is left for work on files".to_owned())
    }
}

async fn begin(pulse: Arc<Pulse>) {
    let Some(beat) = pulse.enter() else { return };
    // A task of its own: where no thread is left for files, this one goes on.
    let (same, mine) = (pulse.clone(), beat.clone());
    tokio::spawn(async move {
        loop {
            if tokio::task::spawn_blocking(|| ()).await.is_ok() {
                mine.found_another.store(same.now(), Ordering::Relaxed);
            }
            tokio::time::sleep(BEAT * 2).await;
        }
    });
    loop {
        beat.ran.store(pulse.now(), Ordering::Relaxed);
        tokio::time::sleep(BEAT).await;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use pingora_runtime::RuntimeBuilder;

    fn wait_until(mut what: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !what() {
            assert!(Instant::now() < deadline, "did not happen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_thread_that_is_held_up_is_missed() {
        let workers = RuntimeBuilder::new(3, "pulse").work_steal(false).build();
        let pulse = Pulse::new(3);
        pulse.start(&workers);
        wait_until(|| pulse.beats.lock().unwrap().len() == 3);
        assert_eq!(pulse.late_at(pulse.now()), None);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        workers.get_handle().spawn(async move {
            let _ = wait.recv();
        });
        wait_until(|| pulse.why_not().is_some());
        let why = pulse.why_not().unwrap();
        assert!(why.contains("1 of 3"), "{why}");
        go.send(()).unwrap();
        wait_until(|| pulse.why_not().is_none());
    }

    #[test]
    fn a_thread_that_never_came_is_missed() {
        let pulse = Pulse::new(1);
        assert_eq!(pulse.late_at(0), None);
        assert!(pulse.late_at(6000).unwrap().contains("1 of 1"));
    }

    #[test]
    fn no_thread_for_files_is_noticed() {
        let pulse = Pulse::new(1);
        let beat = pulse.enter().unwrap();
        assert!(pulse.enter().is_none());
        beat.ran.store(6000, Ordering::Relaxed);
        beat.found_another.store(500, Ordering::Relaxed);
        assert!(pulse.late_at(6000).unwrap().contains("files"));
        beat.found_another.store(5500, Ordering::Relaxed);
        assert_eq!(pulse.late_at(6000), None);
    }
}
