//! A connection between requests: it waits for the first byte of the next one with nothing in hand
//! but its TLS state. Sessions, their buffers and their futures exist only while a request does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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

/// A client's connection. The first byte of its next request may have been read.
#[derive(Debug)]
pub(super) struct Connection {
    layer: Layer,
    digest: Option<Arc<SslDigest>>,
    first: Option<u8>,
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
            first: None,
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
            first: None,
        }
    }

    /// Waits for a request's first byte; `false` when the client is gone.
    async fn begins(&mut self) -> bool {
        let mut byte = [0];
        let read = self.read(&mut byte).await;
        self.first = read.is_ok_and(|read| read == 1).then_some(byte[0]);
        self.first.is_some()
    }

    /// Answers requests until either side has enough; `idle` is how long the client may take to
    /// begin the next one.
    pub(super) async fn serve<A>(
        self: Box<Self>,
        app: Arc<A>,
        idle: Duration,
        shutdown: ShutdownWatch,
    ) where
        A: HttpServerApp + Send + Sync + 'static,
    {
        if self.selected_alpn_proto() == Some(ALPN::H2) {
            app.process_new(self, &shutdown).await;
            return;
        }
        let mut connection = self;
        while let Ok(true) = timeout(idle, connection.begins()).await {
            let mut session = ServerSession::new_http1(connection);
            session.set_keepalive(Some(idle.as_secs()));
            let Some(reused) = app.process_new_http(session, &shutdown).await else {
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
        let Some(first) = self.first.take() else {
            return self.inner().poll_read(cx, to);
        };
        to.put_slice(&[first]);
        if to.remaining() > 0 {
            // The rest of the head is most often there. An error comes again with the next read.
            let _ = self.inner().poll_read(cx, to);
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
