//! Accepts connections: TLS, then whatever answers HTTP on them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;
use pingora_timeout::{sleep, timeout};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::connection::Connection;
use super::plain;
use super::room::{Entry, Place, Room};
use super::tls::Certificates;
use super::told;
use super::wire::Wire;
use crate::s3::Peer;

/// How long a client may take for its half of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// How long nothing is accepted when the process has no file descriptor left: asking again at once
/// would burn a core.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// How long a connection may take that is told that there is no room for it.
const TURNED_AWAY: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// The two steps of a drain.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Connections end: idle ones at once, others with the answer under way.
    pub connections: ShutdownWatch,
    /// No more are accepted.
    pub accepting: ShutdownWatch,
}

impl Stop {
    /// The next connection; none when no more are accepted.
    pub(super) async fn accept(
        &mut self,
        listener: &TcpListener,
    ) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            tokio::select! {
                accepted = listener.accept() => return Some(accepted),
                changed = self.accepting.changed() => match changed {
                    Ok(()) if !*self.accepting.borrow() => {}
                    _ => return None,
                },
            }
        }
    }
}

/// What TLS asks of clients.
pub struct Tls(TlsAcceptor);

impl Tls {
    /// TLS 1.2 and 1.3, or 1.3 alone; HTTP/2 where the client has it.
    ///
    /// # Errors
    /// When the cryptographic library does not have these versions.
    pub fn new(
        certificates: Arc<Certificates>,
        clients: Option<Arc<dyn ClientCertVerifier>>,
        only_1_3: bool,
    ) -> Result<Self, rustls::Error> {
        let versions: &[_] = match only_1_3 {
            true => &[&TLS13],
            false => &[&TLS12, &TLS13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions)?;
        let builder = match clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(certificates);
        // A client that offers none of these is refused by RFC 7301, so the oldest is among them.
        config.alpn_protocols = [&b"h2"[..], b"http/1.1", b"http/1.0"]
            .map(<[u8]>::to_vec)
            .into();
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Listens on `address`. Nothing is accepted yet.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    // Again, with a longer queue than the standard library's.
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What answers on a listener.
#[async_trait]
pub trait Application: HttpServerApp + Send + Sync + 'static {
    /// The longest head of a request, in bytes.
    fn head_bytes(&self) -> usize;

    /// How long a connection may wait for its next request.
    fn idle_timeout(&self) -> Duration;

    /// How long a request's head may take from its first byte to its last.
    fn header_timeout(&self) -> Duration;

    /// Answers the one request on a connection for which there is no room.
    async fn turn_away(&self, session: ServerSession);

    /// Is told of a request that never came to be one: the protocol's own checks refused it.
    /// Answers the id it is told by.
    fn refused(&self, _peer: &Peer, _why: &str) -> String {
        String::new()
    }
}

/// Stands in for an application where there is no room for a connection.
struct Full<A>(Arc<A>);

#[async_trait]
impl<A: Application> HttpServerApp for Full<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.0.turn_away(session).await;
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }
}

#[async_trait]
impl<A: Application> Application for Full<A> {
    fn head_bytes(&self) -> usize {
        self.0.head_bytes()
    }

    fn header_timeout(&self) -> Duration {
        self.0.header_timeout()
    }

    fn idle_timeout(&self) -> Duration {
        TURNED_AWAY
    }

    async fn turn_away(&self, session: ServerSession) {
        self.0.turn_away(session).await;
    }

    fn refused(&self, peer: &Peer, why: &str) -> String {
        self.0.refused(peer, why)
    }
}

/// Accepts until `stop` says so; connections go on.
///
/// # Errors
/// When the listener cannot be taken into the runtime.
pub async fn accept<A: Application>(
    listener: std::net::TcpListener,
    tls: Option<Arc<Tls>>,
    app: Arc<A>,
    room: Arc<Room>,
    mut stop: Stop,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Some(accepted) = stop.accept(&listener).await else {
            return Ok(());
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                // Whoever is idle may hold the descriptor that is wanted.
                room.make_way();
                sleep(EXHAUSTED).await;
                continue;
            }
        };
        let (app, tls, ends) = (app.clone(), tls.clone(), stop.connections.clone());
        match room.enter(peer.ip()) {
            Entry::Welcome(place) => {
                pingora_runtime::current_handle().spawn(async move {
                    let serving = serve(tcp, peer, tls, &place, app, ends);
                    place.attend(serving).await;
                });
            }
            Entry::Told(place) => {
                let app = Arc::new(Full(app));
                pingora_runtime::current_handle().spawn(async move {
                    let telling = serve(tcp, peer, tls, &place, app, ends);
                    let _ = timeout(TURNED_AWAY, Box::pin(telling)).await;
                });
            }
            Entry::Closed => {}
        }
        if room.is_tight() {
            // Whoever has been told to leave may do so before the next one is let in.
            tokio::task::yield_now().await;
        }
    }
}

/// Serves a connection to its end.
async fn serve<A: Application>(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    place: &Place,
    app: Arc<A>,
    ends: ShutdownWatch,
) {
    // Boxed: what a handshake needs is gone when it is over.
    if let Some(connection) = Box::pin(connect(tcp, peer, tls, place, &*app)).await {
        connection.serve(app, ends).await;
    }
}

/// A connection that HTTP can be spoken on.
async fn connect(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    place: &Place,
    app: &impl Application,
) -> Option<Box<Connection>> {
    let _ = tcp.set_nodelay(true);
    let Some(tls) = tls else {
        let wire = Wire::new(tcp, peer);
        return Some(Box::new(Connection::plain(wire, place.guest())));
    };
    let shaken = async {
        let mut first = [0];
        let read = tcp.peek(&mut first).await?;
        // A handshake begins with 0x16, a method with a letter.
        if read == 1 && first.iter().all(u8::is_ascii_alphabetic) {
            return Ok(Err(tcp));
        }
        tls.0.accept(Wire::new(tcp, peer)).await.map(Ok)
    };
    match timeout(HANDSHAKE, shaken).await {
        Ok(Ok(Ok(stream))) => Some(Box::new(Connection::tls(stream, place.guest()))),
        Ok(Ok(Err(tcp))) => {
            let id = app.refused(&told::peer(peer.ip(), None), plain::WHY);
            // Who listens to it or not: it is over then.
            let _ = timeout(TURNED_AWAY, plain::answer(tcp, &id)).await;
            None
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took too long");
            None
        }
    }
}
