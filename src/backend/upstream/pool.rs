//! Connections that wait for their next request.
//!
//! Pingora's own pool watches each of them with a task, which costs a small request a tenth of its
//! time. Here they only lie: one is looked at when it is taken, and those that lie for too long are
//! closed when others come back, or by the health check.

use pingora_core::protocols::Stream;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::task::coop::unconstrained;

/// The idle connections to one host.
#[derive(Debug)]
pub(super) struct Pool {
    keep: Duration,
    // In the order in which they came back. Never held across an await.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection without a request.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// The thread whose reactor watches it; any other would be woken through that one.
    pub(super) home: ThreadId,
}

impl Pool {
    /// Keeps a connection for `keep`.
    pub(super) fn new(keep: Duration) -> Self {
        let idle = Mutex::default();
        Self { keep, idle }
    }

    /// The connection that came back last, one of this thread's own if there is any.
    pub(super) fn take(&self) -> Option<Connection> {
        let here = std::thread::current().id();
        loop {
            let mut idle = self.lock();
            let own = idle.iter().rposition(|idle| idle.connection.home == here);
            let at = own.or_else(|| idle.len().checked_sub(1))?;
            let mut found = idle.remove(at);
            drop(idle);
            if found.since.elapsed() < self.keep && is_quiet(&mut found.connection.stream) {
                return Some(found.connection);
            }
        }
    }

    /// Takes a connection back whose answer was read to its end.
    pub(super) fn put(&self, connection: Connection) {
        let since = Instant::now();
        let mut idle = self.lock();
        let old = idle.first().is_some_and(|old| self.is_over(old));
        idle.push(Idle { connection, since });
        if old {
            drop(idle);
            self.sweep();
        }
    }

    /// Closes what has lain for too long, or was closed by the other end.
    pub(super) fn sweep(&self) {
        let stale = |idle: &mut Idle| self.is_over(idle) || !is_quiet(&mut idle.connection.stream);
        let closed: Vec<Idle> = self.lock().extract_if(.., stale).collect();
        // Closing takes system calls; the lock is not held for them.
        drop(closed);
    }

    fn is_over(&self, idle: &Idle) -> bool {
        idle.since.elapsed() >= self.keep
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing came on it: neither its end, nor bytes that nobody asked for (T57).
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    // Whatever the task has used up of its turn: nothing to read must mean that.
    let read = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut byte));
    let mut cx = Context::from_waker(Waker::noop());
    pin!(unconstrained(read)).poll(&mut cx).is_pending()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    fn connection() -> (Connection, UnixStream) {
        let (stream, other) = UnixStream::pair().unwrap();
        let home = std::thread::current().id();
        let stream: Stream = Box::new(stream);
        (Connection { stream, home }, other)
    }

    /// T57: a connection on which something came, or that ended, is not used again.
    #[tokio::test]
    async fn only_quiet_connections_are_taken() {
        let pool = Pool::new(Duration::from_secs(60));
        assert!(pool.take().is_none());
        let (quiet, _open) = connection();
        let (ended, other) = connection();
        let (loud, mut talker) = connection();
        for connection in [quiet, ended, loud] {
            pool.put(connection);
        }
        drop(other);
        talker.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
    }

    #[tokio::test]
    async fn connections_are_kept_for_a_while_only() {
        let pool = Pool::new(Duration::from_millis(30));
        let (old, _old) = connection();
        pool.put(old);
        tokio::time::sleep(Duration::from_millis(60)).await;
        let (young, _young) = connection();
        pool.put(young);
        assert_eq!(pool.lock().len(), 1);
        assert!(pool.take().is_some());
    }

    #[tokio::test]
    async fn a_threads_own_connection_comes_first() {
        let pool = Pool::new(Duration::from_secs(60));
        let (own, _own) = connection();
        let (mut foreign, _foreign) = connection();
        let id = std::thread::spawn(|| std::thread::current().id());
        foreign.home = id.join().unwrap();
        let here = own.home;
        pool.put(own);
        pool.put(foreign);
        assert_eq!(pool.take().map(|c| c.home), Some(here));
        assert!(pool.take().is_some_and(|c| c.home != here));
    }
}
