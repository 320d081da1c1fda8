//! A connection between requests: it waits for the first byte of the next one with nothing in hand
//! but its TLS state. Sessions, their buffers and their futures exist only while a request does.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, ServerApp as _};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::wire::Wire;

/// What an HTTP/2 client says first (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A client's connection. The first bytes of what it says next may have been read.
#[derive(Debug)]
pub(super) struct Connection {
    layer: Layer,
    digest: Option<Arc<SslDigest>>,
    first: [u8; PREFACE],
    // Where in `first` what was read and not yet given begins and ends.
    waiting: Range<u8>,
    line: RequestLine,
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
    pub(super) fn plain(wire: Wire) -> Self {
        Self {
            layer: Layer::Plain(wire),
            digest: None,
            first: [0; PREFACE],
            waiting: 0..0,
            line: RequestLine::default(),
        }
    }

    /// After a TLS handshake.
    pub(super) fn tls(stream: TlsStream<Wire>) -> Self {
        let tls = stream.get_ref().1;
        let suite = tls.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str());
        let version = match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let digest = SslDigest::new(suite.unwrap_or_default(), version, None, None, Vec::new());
        Self {
            layer: Layer::Tls(Box::new(stream)),
            digest: Some(Arc::new(digest)),
            first: [0; PREFACE],
            waiting: 0..0,
            line: RequestLine::default(),
        }
    }

    /// Waits for the first `length` bytes; `false` when the client is gone.
    async fn begins(&mut self, length: u8) -> bool {
        let mut first = [0; PREFACE];
        let Some(to) = first.get_mut(..usize::from(length)) else {
            return false;
        };
        let read = self.read_exact(to).await.is_ok();
        self.first = first;
        self.waiting = 0..if read { length } else { 0 };
        self.line = RequestLine::default();
        read
    }

    /// Answers requests until either side has enough or `ends` says so; `idle` is how long the
    /// client may take to begin the next one.
    pub(super) async fn serve<A>(self: Box<Self>, app: Arc<A>, idle: Duration, ends: ShutdownWatch)
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let mut connection = self;
        if connection.selected_alpn_proto() == Some(ALPN::H2) {
            // All of it: Pingora would wait for the rest without end.
            if let Ok(true) = timeout(idle, connection.begins(24)).await {
                app.process_new(connection, &ends).await;
            }
            return;
        }
        let mut ending = ends.clone();
        loop {
            let begun = tokio::select! {
                biased;
                begun = timeout(idle, connection.begins(1)) => begun.unwrap_or(false),
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
            let (stream, _settings) = reused.consume();
            match stream.into_any().downcast::<Self>() {
                Ok(same) => connection = same,
                Err(_) => return,
            }
        }
    }

    fn wire(&self) -> &Wire {
        match &self.layer {
            Layer::Plain(wire) => wire,
            Layer::Tls(tls) => tls.get_ref().0,
        }
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
        let before = to.filled().len();
        if self.waiting.is_empty() {
            ready!(self.inner().poll_read(cx, to))?;
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
                let _ = self.inner().poll_read(cx, to);
            }
        }
        if let Some(read) = to.filled_mut().get_mut(before..) {
            self.line.check(read);
        }
        Poll::Ready(Ok(()))
    }
}

/// The request line as it passes: Pingora repairs one with a space or a carriage return too many into
/// another target, and who stands before or behind us may repair it differently (T47).
#[derive(Debug, Default)]
struct RequestLine {
    over: bool,
    spaces: u8,
    returned: bool,
}

impl RequestLine {
    /// Makes what is one too many a `#`, which no target has and every parser here refuses.
    fn check(&mut self, bytes: &mut [u8]) {
        if self.over {
            return;
        }
        for byte in bytes {
            let returned = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' => {
                    self.over = true;
                    return;
                }
                _ if returned => *byte = b'#',
                b' ' if self.spaces == 2 => *byte = b'#',
                b' ' => self.spaces += 1,
                _ => {}
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(cx, data)
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

#[cfg(test)]
mod tests {
    use super::RequestLine;

    #[test]
    fn t47_a_request_line_has_two_spaces_and_one_end() {
        for (line, checked) in [
            (
                "GET /a%20b HTTP/1.1\r\nhost: a  b\r\r\n",
                "GET /a%20b HTTP/1.1\r\nhost: a  b\r\r\n",
            ),
            ("GET /a b HTTP/1.1\r\n", "GET /a b#HTTP/1.1\r\n"),
            (
                "GET /k HTTP/1.1 HTTP/1.1\r\n",
                "GET /k HTTP/1.1#HTTP/1.1\r\n",
            ),
            ("GET /a\rb HTTP/1.1\r\n", "GET /a\r# HTTP/1.1\r\n"),
            ("GET /a HTTP/1.1\r\r\n", "GET /a HTTP/1.1\r#\n"),
        ] {
            for size in [1, 3, 100] {
                let mut state = RequestLine::default();
                let mut bytes = line.as_bytes().to_vec();
                bytes.chunks_mut(size).for_each(|piece| state.check(piece));
                assert_eq!(String::from_utf8_lossy(&bytes), checked);
            }
        }
    }
}
