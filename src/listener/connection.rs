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
use pingora_core::protocols::tls::{SslDigest, TlsRef};
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// A connection whose next request's first byte may have been read.
#[derive(Debug)]
struct Connection {
    stream: Stream,
    first: Option<u8>,
}

impl Connection {
    /// Waits for a request's first byte; `false` when the client is gone.
    async fn begins(&mut self) -> bool {
        let mut byte = [0];
        let read = self.stream.read(&mut byte).await;
        self.first = read.is_ok_and(|read| read == 1).then_some(byte[0]);
        self.first.is_some()
    }
}

/// Answers requests on `stream` until either side has enough; `idle` is how long the client may
/// take to begin the next one.
pub(super) async fn serve<A>(stream: Stream, app: Arc<A>, idle: Duration, shutdown: ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    if stream.selected_alpn_proto() == Some(ALPN::H2) {
        app.process_new(stream, &shutdown).await;
        return;
    }
    let first = None;
    let mut connection = Box::new(Connection { stream, first });
    while let Ok(true) = timeout(idle, connection.begins()).await {
        let mut session = ServerSession::new_http1(connection);
        session.set_keepalive(Some(idle.as_secs()));
        let Some(reused) = app.process_new_http(session, &shutdown).await else {
            return;
        };
        let (stream, _settings) = reused.consume();
        match stream.into_any().downcast::<Connection>() {
            Ok(same) => connection = same,
            Err(_) => return,
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
            return Pin::new(&mut self.stream).poll_read(cx, to);
        };
        to.put_slice(&[first]);
        if to.remaining() > 0 {
            // The rest of the head is most often there. An error comes again with the next read.
            let _ = Pin::new(&mut self.stream).poll_read(cx, to);
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
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Connection {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Nobody asks; the layers' own would be a list for each request.
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl Peek for Connection {}
