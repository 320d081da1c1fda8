//! Names asked for their addresses, in threads of their own: the system's look-up cannot be cut short,
//! and a name server that does not answer must not hold the threads that files need.
//!
//! Each name is asked for once at a time, and whoever needs it meanwhile waits for that answer. A look-up
//! that has taken longer than its patience fails whoever comes, at once, until it ends.

use super::error::{Error, short};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Threads for one upstream's names, while there is any to be asked for.
const THREADS: usize = 2;
/// Names of one upstream that may wait for a thread: in virtual-hosted style each bucket has one.
const QUEUE: usize = 64;
/// How long a name that has no address is not asked for again.
const FAILED: Duration = Duration::from_secs(1);
/// Failures that are remembered.
const MOST_FAILED: usize = 256;

/// Asks the system for a name's addresses, which may take as long as it likes.
type Ask = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// What a look-up came to, or why it came to nothing.
type Found = Result<Vec<SocketAddr>, String>;

/// The look-ups of one upstream.
pub(super) struct Names {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    ask: Box<Ask>,
    // Never held while a name is asked for.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: HashMap<String, Running>,
    failed: HashMap<String, (Instant, String)>,
    waiting: VecDeque<String>,
    threads: usize,
}

struct Running {
    until: Instant,
    found: watch::Sender<Option<Found>>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Names")
            .field("threads", &state.threads)
            .field("waiting", &state.waiting)
            .finish_non_exhaustive()
    }
}

impl Names {
    /// Names of hosts that are asked on `port`, each within `patience`.
    pub(super) fn new(port: u16, patience: Duration) -> Self {
        let ask = move |host: &str| Ok((host, port).to_socket_addrs()?.collect());
        Self::asking(Box::new(ask), patience)
    }

    fn asking(ask: Box<Ask>, patience: Duration) -> Self {
        let state = Mutex::default();
        let shared = Arc::new(Shared { ask, state });
        Self { shared, patience }
    }

    /// The addresses of `host`, of which there is at least one, within `most` at most.
    ///
    /// # Errors
    /// [`Error::Resolve`] when it has none, [`Error::Timeout`] when nobody says so in time, and
    /// [`Error::Busy`] when too many others are asked for.
    pub(super) async fn of(&self, host: &str, most: Duration) -> Result<Vec<SocketAddr>, Error> {
        let now = Instant::now();
        let (until, mut found) = self.join(host, now)?;
        let patience = until.saturating_duration_since(now).min(most);
        let found = pingora_timeout::timeout(patience, found.wait_for(Option::is_some)).await;
        match found {
            Ok(Ok(found)) => match found.as_ref() {
                Some(Ok(addresses)) => Ok(addresses.clone()),
                Some(Err(why)) => Err(Error::Resolve(why.clone())),
                None => Err(Error::Resolve("nothing came".to_owned())),
            },
            Ok(Err(_)) => Err(Error::Resolve("nothing came".to_owned())),
            Err(_) => Err(Error::Timeout("resolving the endpoint")),
        }
    }

    /// Joins the look-up of `host`, or begins one.
    fn join(
        &self,
        host: &str,
        now: Instant,
    ) -> Result<(Instant, watch::Receiver<Option<Found>>), Error> {
        let mut state = self.shared.lock();
        if let Some(running) = state.running.get(host) {
            return match now < running.until {
                true => Ok((running.until, running.found.subscribe())),
                false => Err(Error::Timeout("resolving the endpoint")),
            };
        }
        match state.failed.get(host) {
            Some((until, why)) if now < *until => return Err(Error::Resolve(why.clone())),
            _ => {}
        }
        if state.waiting.len() >= QUEUE {
            return Err(Error::Busy("too many names are asked for".to_owned()));
        }
        if state.threads < THREADS {
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new()
                .name("names".to_owned())
                .spawn(move || shared.work())
                .map_err(|error| Error::Busy(format!("no thread for names: {error}")))?;
            state.threads += 1;
        }
        state.failed.remove(host);
        state.waiting.push_back(host.to_owned());
        let until = now + self.patience;
        let (found, waits) = watch::channel(None);
        let running = Running { until, found };
        state.running.insert(host.to_owned(), running);
        Ok((until, waits))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // Nobody waits any more; what is being asked for cannot be cut short.
        self.shared.lock().waiting.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for what waits until nothing does.
    fn work(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.waiting.pop_front();
                if next.is_none() {
                    state.threads -= 1;
                }
                next
            };
            let Some(host) = next else { return };
            let found = match (self.ask)(&host) {
                Ok(addresses) if addresses.is_empty() => Err(format!("`{host}` has no address")),
                Ok(addresses) => Ok(addresses),
                Err(error) => Err(short(&error.to_string())),
            };
            self.lock().end(&host, found);
        }
    }
}

impl State {
    fn end(&mut self, host: &str, found: Found) {
        if let Err(why) = &found {
            if self.failed.len() >= MOST_FAILED {
                self.failed.clear();
            }
            let until = Instant::now() + FAILED;
            self.failed.insert(host.to_owned(), (until, why.clone()));
        }
        if let Some(running) = self.running.remove(host) {
            running.found.send_replace(Some(found));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    /// Names that are answered when the test says so, and what was asked for.
    fn held(patience: Duration) -> (Arc<Names>, mpsc::Sender<Found>, Arc<Mutex<Vec<String>>>) {
        let (answer, answers) = mpsc::channel::<Found>();
        let (answers, asked) = (Mutex::new(answers), Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&asked);
        let ask = move |host: &str| {
            heard.lock().unwrap().push(host.to_owned());
            let answer = answers.lock().unwrap().recv();
            answer.map_err(io::Error::other)?.map_err(io::Error::other)
        };
        let names = Names::asking(Box::new(ask), patience);
        (Arc::new(names), answer, asked)
    }

    fn address() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 80))
    }

    /// What all of them come to who ask at once.
    async fn all_of(
        names: &Arc<Names>,
        hosts: impl Iterator<Item = String>,
    ) -> Vec<Result<Vec<SocketAddr>, Error>> {
        let mut all = tokio::task::JoinSet::new();
        for host in hosts {
            let names = Arc::clone(names);
            all.spawn(async move { names.of(&host, LONG).await });
        }
        all.join_all().await
    }

    async fn until(is: impl Fn() -> bool) {
        let wait = async {
            while !is() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, wait).await.unwrap();
    }

    #[tokio::test]
    async fn all_wait_for_one_look_up() {
        let (names, answer, asked) = held(LONG);
        let all = all_of(&names, (0..600).map(|_| "one".to_owned()));
        let say = async {
            until(|| !asked.lock().unwrap().is_empty()).await;
            answer.send(Ok(vec![address()])).unwrap();
        };
        let (found, ()) = tokio::join!(all, say);
        let right = |found: &Result<_, _>| found.as_ref().ok() == Some(&vec![address()]);
        assert!(found.len() == 600 && found.iter().all(right));
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_name_server_that_does_not_answer_holds_few_threads_and_fails_at_once() {
        let (names, answer, asked) = held(SHORT);
        let found = all_of(&names, (0..200).map(|n| format!("bucket-{n}"))).await;
        let busy = |found: &&Result<_, _>| matches!(found, Err(Error::Busy(_)));
        let late = |found: &&Result<_, _>| matches!(found, Err(Error::Timeout(_)));
        let (busy, late) = (
            found.iter().filter(busy).count(),
            found.iter().filter(late).count(),
        );
        assert_eq!(busy + late, 200);
        assert!((QUEUE..=QUEUE + THREADS).contains(&late), "{late}");
        assert_eq!(names.shared.lock().threads, THREADS);
        // It is not waited for a second time, however patient who comes is.
        let host = asked.lock().unwrap().first().cloned().unwrap();
        let again = names.join(&host, Instant::now()).map(|_| ());
        assert!(matches!(again, Err(Error::Timeout(_))));
        assert!(asked.lock().unwrap().len() <= THREADS);
        // Once it ends, so do the threads.
        drop(answer);
        until(|| names.shared.lock().threads == 0).await;
        assert!(names.shared.lock().running.is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_while() {
        let (names, answer, asked) = held(LONG);
        answer.send(Err("no such name".to_owned())).unwrap();
        let error = names.of("none", LONG).await.unwrap_err();
        assert!(error.to_string().contains("no such name"), "{error}");
        let (until, _) = names.shared.lock().failed.get("none").cloned().unwrap();
        let again = names.join("none", until - FAILED).map(|_| ());
        assert!(matches!(again, Err(Error::Resolve(_))));
        assert_eq!(asked.lock().unwrap().len(), 1);
        answer.send(Ok(vec![address()])).unwrap();
        let (_, mut found) = names.join("none", until).unwrap();
        let found = found.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(found, Some(Ok(vec![address()])));
        // No address is none.
        answer.send(Ok(Vec::new())).unwrap();
        let empty = names.of("empty", LONG).await;
        assert!(matches!(empty, Err(Error::Resolve(_))));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_asked_for() {
        let (names, answer, asked) = held(SHORT);
        all_of(&names, (0..9).map(|n| format!("bucket-{n}"))).await;
        until(|| !asked.lock().unwrap().is_empty()).await;
        let shared = Arc::clone(&names.shared);
        drop(names);
        drop(answer);
        until(|| shared.lock().threads == 0).await;
        assert!(asked.lock().unwrap().len() <= THREADS);
    }
}
