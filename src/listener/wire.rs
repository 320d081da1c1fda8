//! A TCP connection whose buffers exist only while there is something in them: thousands of idle
//! clients cost what they are, not what a busy one needs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use pingora_core::protocols::l4::socket;
use pingora_core::protocols::{SocketDigest, UniqueIDType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Read at once while a client sends much: TLS alone would ask for a record in pieces of 4 KiB.
const AHEAD: usize = 64 * 1024;

/// What TLS asks for; who asks for less, looks for something.
const RECORD: usize = 4 * 1024;

/// A read of this many bytes or more means that there is more.
const MUCH: usize = 16 * 1024;

/// Gathered before it is sent: an answer's head and its small body leave together.
const GATHER: usize = 16 * 1024;

/// A connection's bytes, below TLS.
#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpStream,
    // Read before it was asked for.
    ahead: BytesMut,
    busy: bool,
    // Written and not yet sent, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    socket: Arc<SocketDigest>,
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, peer: SocketAddr) -> Self {
        let socket = SocketDigest::from_raw_fd(tcp.as_raw_fd());
        let _ = socket.peer_addr.set(Some(socket::SocketAddr::Inet(peer)));
        Self {
            tcp,
            ahead: BytesMut::new(),
            busy: false,
            out: Vec::new(),
            sent: 0,
            socket: Arc::new(socket),
        }
    }

    /// What identifies it among open connections.
    pub(super) fn id(&self) -> UniqueIDType {
        self.tcp.as_raw_fd()
    }

    /// The addresses of both ends.
    pub(super) fn socket(&self) -> &Arc<SocketDigest> {
        &self.socket
    }

    /// Fills `ahead`, which is empty.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.tcp.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    self.ahead = BytesMut::new();
                    return Poll::Pending;
                }
            }
            self.ahead.reserve(AHEAD);
            match self.tcp.try_read_buf(&mut self.ahead) {
                Ok(read) => {
                    self.busy = read >= MUCH;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends what was gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut self.tcp).poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sent.saturating_add(sent);
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether `more` bytes still fit behind what was gathered.
    fn fits(&self, more: usize) -> bool {
        self.out.len().saturating_add(more) <= GATHER
    }

    fn gather(&mut self, data: &[u8]) {
        if self.out.capacity() == 0 {
            self.out.reserve_exact(GATHER);
        }
        self.out.extend_from_slice(data);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            let room = to.remaining();
            if !self.busy || room >= MUCH {
                ready!(Pin::new(&mut self.tcp).poll_read(cx, to))?;
                // It was filled: a whole upload may stand behind it.
                self.busy = to.remaining() == 0 && room >= RECORD;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_ahead(cx))?;
        }
        let take = self.ahead.len().min(to.remaining());
        to.put_slice(self.ahead.get(..take).unwrap_or_default());
        self.ahead.advance(take);
        if self.ahead.is_empty() && !self.busy {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.fits(data.len()) {
            ready!(self.poll_send(cx))?;
            if data.len() >= GATHER {
                return Pin::new(&mut self.tcp).poll_write(cx, data);
            }
        }
        self.gather(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = data.iter().map(|slice| slice.len()).sum();
        if !self.fits(length) {
            ready!(self.poll_send(cx))?;
            if length >= GATHER {
                return Pin::new(&mut self.tcp).poll_write_vectored(cx, data);
            }
        }
        for slice in data {
            self.gather(slice);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        self.out = Vec::new();
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// The last words of a TLS session that failed are written and never flushed: they go out if they can
/// go at once.
impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let _ = self.tcp.try_write(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{AHEAD, GATHER, Wire};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (other, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (tcp, peer) = accepted.unwrap();
        (Wire::new(tcp, peer), other.unwrap())
    }

    #[tokio::test]
    async fn last_words_are_sent() {
        let (mut wire, mut other) = pair().await;
        wire.write_all(b"alert").await.unwrap();
        drop(wire);
        let mut heard = Vec::new();
        other.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"alert");
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 7 % 251) as u8).collect()
    }

    /// Reads of any size see every byte, in order, and nothing is held once they have.
    #[tokio::test]
    async fn what_comes_in_is_what_was_sent() {
        let (mut wire, mut other) = pair().await;
        let sent = bytes(3 * AHEAD + 1234);
        let expected = sent.clone();
        let sending = tokio::spawn(async move {
            other.write_all(&sent).await.unwrap();
            other
        });
        let mut seen: Vec<u8> = Vec::new();
        for size in [1, 5, 4096, 100, 4096, 16 * 1024, AHEAD, 4096]
            .iter()
            .cycle()
        {
            let mut to = vec![0; *size];
            let read = wire.read(&mut to).await.unwrap();
            seen.extend(to.iter().take(read));
            if seen.len() >= expected.len() {
                break;
            }
        }
        assert!(seen == expected);
        let other = sending.await.unwrap();
        // A reader that waits holds no buffer.
        let waiting = async { wire.read(&mut [0; 16]).await.map(drop) };
        let patience = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(patience, waiting).await.is_err());
        assert_eq!(wire.ahead.capacity(), 0);
        drop(other);
        assert_eq!(wire.read(&mut [0; 16]).await.unwrap(), 0);
    }

    /// Writes of any size arrive in order once flushed, and nothing is held then.
    #[tokio::test]
    async fn what_goes_out_is_what_was_written() {
        let (mut wire, mut other) = pair().await;
        let mut expected = Vec::new();
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            other.read_to_end(&mut all).await.unwrap();
            all
        });
        for (n, size) in [1, 500, GATHER - 501, 1, GATHER, 7, 5 * GATHER, 3]
            .iter()
            .enumerate()
        {
            let piece = bytes(size + n);
            wire.write_all(&piece).await.unwrap();
            expected.extend(piece);
        }
        let pieces = [bytes(10), bytes(2 * GATHER)];
        let slices = pieces.each_ref().map(|s| std::io::IoSlice::new(s));
        let written = wire.write_vectored(&slices).await.unwrap();
        expected.extend(pieces.concat().iter().take(written));
        wire.flush().await.unwrap();
        assert_eq!(wire.out.capacity(), 0);
        wire.shutdown().await.unwrap();
        assert!(reading.await.unwrap() == expected);
    }
}
