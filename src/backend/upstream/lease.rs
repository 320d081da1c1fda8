//! Who owns a connection, and when it goes back.
//!
//! A connection lies idle in the pool of its host, or belongs to one [`Lease`]. It goes back when
//! the lease is given back after an exchange that left nothing on it; however else a lease ends (an
//! error, a reader that gives up, a wait that is cancelled), its connection is closed, so that one
//! with unread bytes is never used again (T57). A lease holds the caller's place among the
//! connections, and frees it when it ends.

use super::config::Config;
use super::counters::{Counters, Gauge};
use super::endpoint::{Endpoint, Peers, Resolver};
use super::error::{Error, short};
use super::pool::Connection;
use super::tls;
use crate::fair::{self, Asker, Turns};
use http::header::TRANSFER_ENCODING;
use http::{Method, StatusCode};
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::http::v1::client::HttpSession;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// So many requests may wait for each connection, or [`QUEUE`] in all where there are few.
const QUEUE_FACTOR: usize = 4;
const QUEUE: usize = 256;

/// The least time for one address of several, where there is so much left.
const LEAST_CONNECT: Duration = Duration::from_secs(1);

/// The connections to one upstream.
pub(super) struct Connections {
    connector: TransportConnector,
    resolver: Resolver,
    turns: Arc<Turns>,
    counters: Arc<Counters>,
    connect_timeout: Duration,
    write_timeout: Duration,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("resolver", &self.resolver)
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}

/// Whether there can be so many connections.
pub(super) fn most(config: &Config) -> Result<(), Error> {
    match config.max_connections {
        1..=Semaphore::MAX_PERMITS => Ok(()),
        other => Err(Error::Config(format!(
            "`{other}` is no number of connections, of which there is at least 1, as in `max_connections = 1024`"
        ))),
    }
}

/// Whether one caller can have so many of them.
pub(super) fn most_per_caller(config: &Config) -> Result<(), Error> {
    let most = config.max_connections;
    match config.max_connections_per_caller {
        Some(each) if each == 0 || each > most => Err(Error::Config(format!(
            "`{each}` is not between 1 and `max_connections`, which is {most}"
        ))),
        _ => Ok(()),
    }
}

impl Connections {
    /// Nothing is connected yet.
    pub(super) fn new(
        config: &Config,
        endpoint: &Endpoint,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        most(config)?;
        most_per_caller(config)?;
        let limit = config.max_connections;
        let each = config.max_connections_per_caller;
        let queue = limit.saturating_mul(QUEUE_FACTOR).max(QUEUE);
        let mut options = ConnectorOptions::new(limit);
        options.ca_file = Some(tls::authorities(endpoint, config.ca.as_deref())?);
        Ok(Self {
            connector: TransportConnector::new(Some(options)),
            resolver: Resolver::new(endpoint.clone(), config)?,
            turns: Turns::new(limit, each, queue),
            counters: Arc::clone(counters),
            connect_timeout: config.timeouts.connect,
            write_timeout: config.timeouts.write,
        })
    }

    /// Waits until `asker` may have a connection.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(super) async fn turn(&self, asker: Asker) -> Result<Turn, Error> {
        let place = self.turns.within(self.connect_timeout, asker).await;
        let place = place.map_err(|crowded| Error::Busy(crowded.to_string()))?;
        Ok(Turn {
            _place: place,
            _gauge: Gauge::new(&self.counters),
        })
    }

    /// A connection of the pool, or a new one, to the endpoint or to `bucket`'s host in front of it.
    pub(super) async fn lease(
        &self,
        bucket: Option<&str>,
        method: &Method,
        turn: Turn,
    ) -> Result<Lease, Error> {
        let peers = self.resolver.peers(bucket).await?;
        let (connection, reused) = match peers.pool.take() {
            Some(connection) => (connection, true),
            None => (self.connect(&peers).await?, false),
        };
        let counter = if reused {
            &self.counters.reuses
        } else {
            &self.counters.connects
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Boxed: it is large, and handed from call to call.
        let mut session = Box::new(HttpSession::new(connection.stream));
        session.write_timeout = Some(self.write_timeout);
        session.read_timeout = None;
        Ok(Lease {
            session,
            reused,
            sent: false,
            to_head: *method == Method::HEAD,
            home: connection.home,
            peers,
            turn,
        })
    }

    /// To any of them, all within the time that one may take: each has its share of what is left, so that
    /// one that says nothing leaves time for the next.
    async fn connect(&self, peers: &Peers) -> Result<Connection, Error> {
        let deadline = Instant::now() + self.connect_timeout;
        let mut last = None;
        let mut others = u32::try_from(peers.count()).unwrap_or(u32::MAX);
        for (index, peer) in peers.in_order() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = (left / others.max(1)).max(LEAST_CONNECT).min(left);
            others = others.saturating_sub(1);
            let connecting = self.connector.new_stream(peer);
            match pingora_timeout::timeout(share, connecting).await {
                Ok(Ok(stream)) => {
                    peers.prefer(index);
                    let home = std::thread::current().id();
                    return Ok(Connection { stream, home });
                }
                Ok(Err(error)) => last = Some(Error::Connect(short(&error.to_string()))),
                Err(_) => last = Some(Error::Timeout("connecting")),
            }
        }
        Err(last.unwrap_or_else(|| Error::Connect("no address".to_owned())))
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn sweep(&self) {
        self.resolver.sweep();
    }
}

/// The right to one connection.
pub(super) struct Turn {
    _place: fair::Turn,
    _gauge: Gauge,
}

/// A connection in use, for one request and its answer.
pub(super) struct Lease {
    pub(super) session: Box<HttpSession>,
    /// Whether it has carried a request before, and so may have died unseen.
    pub(super) reused: bool,
    /// Whether the whole request has been sent.
    pub(super) sent: bool,
    /// Whether the request was a HEAD, to which there is no body.
    pub(super) to_head: bool,
    // The thread that its reactor is of, and where it goes back to.
    home: ThreadId,
    peers: Arc<Peers>,
    turn: Turn,
}

impl Lease {
    /// Closes the connection, and keeps the place for another.
    pub(super) fn close(self) -> Turn {
        self.turn
    }

    /// The answer's status.
    pub(super) fn status(&self) -> Result<StatusCode, Error> {
        let status = self.session.get_status();
        status.ok_or_else(|| Error::garbage("no status"))
    }

    /// The next bytes of the answer's body; `None` at its end.
    pub(super) async fn read(&mut self) -> Result<Option<&[u8]>, Error> {
        let read = self.session.read_body_ref().await;
        read.map_err(|error| Error::broken("reading a body", &error))
    }

    /// Gives the connection back to the pool if its answer was read to its end and nothing came
    /// behind it; closes it otherwise.
    pub(super) async fn give_back(mut self) {
        // Ceph 16 ends the body that it does not send to a HEAD with its last chunk, which would be
        // read before the next answer. So nothing that has no body may speak of one.
        let status = self.session.get_status().map(|status| status.as_u16());
        let bodiless = self.to_head || matches!(status, Some(204 | 304));
        let framed = self.session.get_header(TRANSFER_ENCODING).is_some();
        if !self.sent || !self.session.is_body_done() || (bodiless && framed) {
            return;
        }
        self.session.respect_keepalive();
        let home = self.home;
        if let Some(stream) = self.session.reuse().await {
            self.peers.pool.put(Connection { stream, home });
        }
    }
}
