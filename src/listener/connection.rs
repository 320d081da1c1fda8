//! A connection between requests: it waits for the first byte of the next one with nothing in hand
//! but its TLS state. Sessions, their buffers and their futures exist only while a request does.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp as _};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::accept::Application;
use super::head::Head;
use super::room::{Busy, Guest};
use super::told::{self, Watched};
use super::wire::Wire;
use crate::s3::Peer;

/// What an HTTP/2 client says first (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// How a chunked body ends, and the line before it.
const CHUNKS_END: &[u8; 7] = b"\r\n0\r\n\r\n";

/// Read at once of a client that sends little: the buffer that Pingora offers is as large as a fast one
/// needs, and what is touched of it stays in memory for as long as the upload lasts.
const LITTLE: usize = 16 * 1024;

/// So many reads in a row that were filled are of a client that sends much.
const MUCH: u8 = 16;

/// How many buffers of 4 KiB are thrown away of a head that is too large.
const DISCARDED: usize = 64;

/// How many buffers of 4 KiB are thrown away behind the last answer of a connection.
const LINGERED: usize = 256;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// So many bytes of an HTTP/2 connection are read in one go: most frames are answered by nothing, and
/// thousands of them have room in one read.
const TURN: usize = 32 * 1024;

/// The requests of an HTTP/2 connection, counted.
struct Streams<A> {
    app: Arc<A>,
    guest: Arc<Guest>,
}

#[async_trait]
impl<A: Application> HttpServerApp for Streams<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let _busy = self.guest.begins();
        self.app.process_new_http(session, shutdown).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.app.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.app.server_options()
    }
}

/// A client's connection. The first bytes of what it says next may have been read.
#[derive(Debug)]
pub(super) struct Connection {
    layer: Layer,
    digest: Option<Arc<SslDigest>>,
    first: [u8; PREFACE],
    // What came behind the last request's end: the beginning of the next.
    unread: BytesMut,
    // Where in `first` what was read and not yet given begins and ends.
    waiting: Range<u8>,
    head: Head,
    // Of HTTP/2, which has no head to watch.
    watched: Option<Box<Watched>>,
    // How long a head of HTTP/2 may take, and when the one that has begun, which is told by its number, has
    // taken so long.
    patience: Duration,
    overdue: Option<(u64, Pin<Box<Sleep>>)>,
    // How many reads in a row were filled.
    filled: u8,
    // The last bytes that were read, of HTTP/1.1.
    last: [u8; CHUNKS_END.len()],
    guest: Arc<Guest>,
    // From the end of a request's head to that of its answer.
    busy: Option<Busy>,
    // HTTP/2: others have their turn after so many bytes, of which so many have been read.
    takes_turns: bool,
    taken: usize,
}

/// Whether a chunked body, all of which has come, came with something behind it. Pingora knows and does not
/// say, so it is told by the last bytes: where they are no end of chunks, they are something else, or a client
/// ends its body in an unusual way.
pub fn is_anything_behind_chunks(session: &ServerSession) -> bool {
    let stream = session.stream().map(|stream| stream.as_any());
    let connection = stream.and_then(|stream| stream.downcast_ref::<Connection>());
    connection.is_none_or(|connection| connection.last != *CHUNKS_END)
}

/// Ends a connection whose last answer is written, and for `patience` throws away what is still on its way:
/// one that is closed before it was read takes its last answer with it.
pub async fn linger(stream: Stream, patience: Duration) {
    let Ok(mut connection) = stream.into_any().downcast::<Connection>() else {
        return;
    };
    let throwing_away = async {
        let _ = AsyncWriteExt::shutdown(&mut *connection).await;
        for _ in 0..LINGERED {
            let mut bytes = [0; 4096];
            let mut to = ReadBuf::new(&mut bytes);
            let read = std::future::poll_fn(|cx| connection.poll_wire(cx, &mut to)).await;
            if read.is_err() || to.filled().is_empty() {
                return;
            }
        }
    };
    let _ = timeout(patience, throwing_away).await;
}

/// What bytes pass on their way to the wire.
#[derive(Debug)]
enum Layer {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl Connection {
    /// Without TLS.
    pub(super) fn plain(wire: Wire, guest: &Arc<Guest>) -> Self {
        Self::new(Layer::Plain(wire), None, guest)
    }

    fn new(layer: Layer, digest: Option<Arc<SslDigest>>, guest: &Arc<Guest>) -> Self {
        Self {
            layer,
            digest,
            first: [0; PREFACE],
            unread: BytesMut::new(),
            waiting: 0..0,
            head: Head::default(),
            watched: None,
            patience: Duration::ZERO,
            overdue: None,
            filled: 0,
            last: [0; CHUNKS_END.len()],
            guest: Arc::clone(guest),
            busy: None,
            takes_turns: false,
            taken: 0,
        }
    }

    /// After a TLS handshake.
    pub(super) fn tls(stream: TlsStream<Wire>, guest: &Arc<Guest>) -> Self {
        let tls = stream.get_ref().1;
        let suite = tls.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str());
        let version = match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let digest = SslDigest::new(suite.unwrap_or_default(), version, None, None, Vec::new());
        Self::new(Layer::Tls(Box::new(stream)), Some(Arc::new(digest)), guest)
    }

    /// Waits for the first `length` bytes; `false` when the client is gone.
    async fn begins(&mut self, length: u8, head: Head) -> bool {
        let mut first = [0; PREFACE];
        let Some(to) = first.get_mut(..usize::from(length)) else {
            return false;
        };
        let read = self.read_exact(to).await.is_ok();
        self.first = first;
        self.waiting = 0..if read { length } else { 0 };
        self.head = head;
        read
    }

    /// Answers requests until either side has enough or `ends` says so.
    pub(super) async fn serve<A: Application>(self: Box<Self>, app: Arc<A>, ends: ShutdownWatch) {
        let mut connection = self;
        if connection.selected_alpn_proto() == Some(ALPN::H2) {
            connection.takes_turns = true;
            // All of it: Pingora would wait for the rest without end.
            let preface = connection.begins(24, Head::default());
            let begun = timeout(app.header_timeout(), preface).await;
            let peer = connection.peer();
            if begun.is_err() {
                app.refused(&peer, "HTTP/2: its preface did not come in time");
            }
            if let Ok(true) = begun {
                // The preface comes once more, to whoever reads now.
                connection.watched = Some(Box::new(Watched::new(&app, peer)));
                connection.patience = app.header_timeout();
                let guest = Arc::clone(&connection.guest);
                let app = Arc::new(Streams { app, guest });
                app.process_new(connection, &ends).await;
            }
            return;
        }
        let mut ending = ends.clone();
        loop {
            let idle = app.idle_timeout();
            let head = Head::begins(app.head_bytes());
            let begun = tokio::select! {
                biased;
                begun = timeout(idle, connection.begins(1, head)) => begun.unwrap_or(false),
                _ = ending.wait_for(|ends| *ends) => false,
            };
            if !begun {
                let _ = timeout(GOODBYE, connection.shutdown()).await;
                return;
            }
            let mut session = ServerSession::new_http1(connection);
            session.set_keepalive(Some(idle.as_secs()));
            let Some(reused) = app.process_new_http(session, &ends).await else {
                return;
            };
            let (stream, settings) = reused.consume();
            let unread = settings.and_then(|mut settings| settings.take_user_context());
            let unread = unread.and_then(|unread| unread.downcast::<BytesMut>().ok());
            match stream.into_any().downcast::<Self>() {
                Ok(same) => {
                    connection = same;
                    connection.busy = None;
                    connection.unread = unread.map(|unread| *unread).unwrap_or_default();
                }
                Err(_) => return,
            }
        }
    }

    /// The other end, as the connection alone tells it.
    fn peer(&self) -> Peer {
        let socket = self.wire().socket();
        let address = socket.peer_addr.get().and_then(Option::as_ref);
        let address = address.and_then(|address| address.as_inet());
        let address = address.map_or(IpAddr::from([127, 0, 0, 1]), SocketAddr::ip);
        let tls = self.digest.as_ref().map(|digest| match &*digest.version {
            "TLSv1.3" => "1.3",
            _ => "1.2",
        });
        told::peer(address, tls)
    }

    /// Whether a head of HTTP/2 that has begun has had its time. Whoever asks is woken when it has.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let overdue = self.overdue.as_mut();
        let is_overdue = overdue.is_some_and(|(_, at)| at.as_mut().poll(cx).is_ready());
        if let (true, Some(watched)) = (is_overdue, &mut self.watched) {
            watched.is_too_slow();
        }
        is_overdue
    }

    /// Keeps the last of `read` in mind.
    fn remember(&mut self, read: &[u8]) {
        let (_, end) = read.split_at(read.len().saturating_sub(self.last.len()));
        self.last.rotate_left(end.len());
        let before = self.last.len().saturating_sub(end.len());
        if let Some(last) = self.last.get_mut(before..) {
            last.copy_from_slice(end);
        }
    }

    /// Lets `read` pass to HTTP/2's parser, or to that of an HTTP/1.1 body.
    fn looked_at(&mut self, read: usize, to: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        self.taken = self.taken.saturating_add(read);
        let read = to.filled().get(before..).unwrap_or_default();
        let Some(watched) = &mut self.watched else {
            self.remember(read);
            return Ok(());
        };
        if let Err(refused) = watched.comes(read) {
            to.set_filled(before);
            return Err(io::Error::other(refused));
        }
        // Each has its own time, also where one ends and the next begins in one read.
        let head = watched.head();
        if self.overdue.as_ref().map(|(of, _)| *of) != head {
            let at = || Box::pin(tokio::time::sleep(self.patience));
            self.overdue = head.map(|head| (head, at()));
        }
        Ok(())
    }

    fn wire(&self) -> &Wire {
        match &self.layer {
            Layer::Plain(wire) => wire,
            Layer::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Throws away what has come and will not be looked at, within reason: a connection that is closed
    /// before it was read takes its last answer with it.
    fn discard(&mut self, cx: &mut Context<'_>) {
        for _ in 0..DISCARDED {
            let mut bytes = [0; 4096];
            let mut to = ReadBuf::new(&mut bytes);
            match self.poll_wire(cx, &mut to) {
                Poll::Ready(Ok(())) if !to.filled().is_empty() => {}
                _ => return,
            }
        }
    }

    /// The next bytes: those that were read too early, then those on the wire.
    fn poll_wire(&mut self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return self.inner().poll_read(cx, to);
        }
        let now = self.unread.len().min(to.remaining());
        to.put_slice(&self.unread.split_to(now));
        Poll::Ready(Ok(()))
    }

    fn inner(&mut self) -> Pin<&mut dyn Duplex> {
        match &mut self.layer {
            Layer::Plain(wire) => Pin::new(wire),
            Layer::Tls(tls) => Pin::new(&mut **tls),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if to.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Err(error) = self.head.goes_on() {
            self.discard(cx);
            return Poll::Ready(Err(error));
        }
        if self.is_overdue(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.takes_turns && self.taken >= TURN {
            self.taken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = to.filled().len();
        if self.waiting.is_empty() && (self.filled == MUCH || to.remaining() <= LITTLE) {
            ready!(self.poll_wire(cx, to))?;
            if to.filled().len() < before + LITTLE {
                self.filled = 0;
            }
        } else if self.waiting.is_empty() {
            // Beside the buffer, of which nothing is touched before there is something to put there.
            let mut bytes = [0; LITTLE];
            let mut little = ReadBuf::new(&mut bytes);
            ready!(self.poll_wire(cx, &mut little))?;
            let read = little.filled();
            self.filled = if read.len() == LITTLE {
                self.filled + 1
            } else {
                0
            };
            to.put_slice(read);
        } else {
            let (from, end) = (
                usize::from(self.waiting.start),
                usize::from(self.waiting.end),
            );
            let waiting = self.first.get(from..end).unwrap_or_default();
            let (now, _) = waiting.split_at(waiting.len().min(to.remaining()));
            to.put_slice(now);
            self.waiting.start = self
                .waiting
                .end
                .min(u8::try_from(from + now.len()).unwrap_or(self.waiting.end));
            if self.waiting.is_empty() && to.remaining() > 0 {
                // The rest of the head is most often there. An error comes again with the next read.
                let _ = self.poll_wire(cx, to);
            }
        }
        if self.head.is_over() {
            let read = to.filled().len() - before;
            return Poll::Ready(self.looked_at(read, to, before));
        }
        if let Some(read) = to.filled_mut().get_mut(before..) {
            let passed = self.head.check(read);
            self.remember(read.get(..passed).unwrap_or_default());
            to.set_filled(before + passed);
        }
        if self.head.is_over() {
            self.busy = Some(self.guest.begins());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.inner().poll_write(cx, data))?;
        if let (Some(watched), Some(written)) = (&mut self.watched, data.get(..written)) {
            watched.goes(written);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.inner().poll_write_vectored(cx, data))?;
        if let Some(watched) = &mut self.watched {
            let mut left = written;
            for slice in data {
                let now = slice.len().min(left);
                watched.goes(slice.get(..now).unwrap_or_default());
                left -= now;
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.wire().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // The other end may be gone already.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.wire().id()
    }
}

impl Ssl for Connection {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.digest.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match &self.layer {
            Layer::Plain(_) => None,
            Layer::Tls(tls) => match tls.get_ref().1.alpn_protocol() {
                Some(b"h2") => Some(ALPN::H2),
                _ => Some(ALPN::H1),
            },
        }
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.wire().socket().clone())
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl Peek for Connection {}
