//! The request's body as Pingora reads it.

use std::pin::pin;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::protocols::http::ServerSession;
use pingora_error::ErrorType;
use pingora_timeout::{sleep, timeout};

use crate::authz::still_granted;
use crate::handler::RequestBody;
use crate::s3::{Error, ErrorCode};

/// The slowest that a client may be, in bytes a second, on top of its patience: one that sends a byte
/// whenever it is about to time out holds a connection, a file and a place at the upstream (T88).
const SLOWEST: u64 = 4 << 10;

/// Into how many ticks a client's patience is cut.
const TICKS: u32 = 16;

/// How long an answer takes before it is looked whether anybody waits for it.
const LOOK: Duration = Duration::from_millis(50);

/// A session's request body. Nothing is read before somebody asks, so a refused upload is never
/// sent by a client that waits for `100 Continue`.
pub(super) struct SessionBody<'s> {
    session: &'s mut ServerSession,
    content_length: Option<u64>,
    continues: bool,
    // How long one read may take.
    patience: Duration,
    // Time spent waiting for the client.
    waited: Duration,
    /// Bytes read so far, as framed by the client.
    pub(super) received: u64,
    /// Whether reading it failed: where it ends, and the next request begins, is then not known.
    pub(super) failed: bool,
    /// Since when the body has been read.
    pub(super) started: Option<Instant>,
}

impl<'s> SessionBody<'s> {
    pub(super) fn new(session: &'s mut ServerSession, patience: Duration) -> Self {
        let headers = &session.req_header().headers;
        let length = headers.get(http::header::CONTENT_LENGTH);
        let content_length = length
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let continues = headers.contains_key(http::header::EXPECT);
        Self {
            session,
            content_length,
            continues,
            patience,
            waited: Duration::ZERO,
            received: 0,
            failed: false,
            started: None,
        }
    }
}

/// A body of which there is none.
pub(super) struct NoBody;

#[async_trait]
impl RequestBody for NoBody {
    fn content_length(&self) -> Option<u64> {
        None
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }
}

impl SessionBody<'_> {
    /// Whether all of it has come, or there is none.
    pub(super) fn is_over(&mut self) -> bool {
        self.session.is_body_done()
    }

    /// What `work` comes to, unless the client resets its stream or closes its connection before.
    /// What `changes` something may have been begun by a thread or an upstream, which goes on without us.
    pub(super) async fn unless_gone<T>(
        &mut self,
        work: impl Future<Output = Result<T, Error>>,
        changes: bool,
    ) -> Result<T, Error> {
        let why = match changes {
            true => {
                "the client left before there was an answer; whether it was carried out is not known"
            }
            false => "the client left before there was an answer",
        };
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = is_gone(self.session) => Err(Error::new(ErrorCode::BadRequest).because(why)),
        }
    }

    fn failed(&mut self, error: &pingora_error::Error) -> Error {
        self.failed = true;
        read_error(error)
    }

    /// The next bytes, which may be none.
    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = match self.read_in_time().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Err(self.failed(&error)),
            None => return Err(self.too_slow()),
        };
        let length = piece.as_ref().map_or(0, Bytes::len) as u64;
        self.received = self.received.saturating_add(length);
        let earned = Duration::from_secs(self.received / SLOWEST);
        if piece.is_some() && self.waited > self.patience.saturating_add(earned) {
            return Err(self.too_slow());
        }
        Ok(piece)
    }

    /// What is read next; `None` where the client takes too long for it. Our own clock, since Pingora's is
    /// HTTP/1's only, and in ticks: while whoever reads does something else and asks for nothing, as when a
    /// disk takes its time, no more than one of them passes.
    async fn read_in_time(&mut self) -> Option<pingora_error::Result<Option<Bytes>>> {
        let (tick, mut waited) = (self.patience / TICKS, Duration::ZERO);
        let mut reading = pin!(self.session.read_request_body());
        let read = loop {
            let before = Instant::now();
            let read = timeout(tick, reading.as_mut()).await;
            waited = waited.saturating_add(before.elapsed().min(tick));
            match read {
                Ok(read) => break Some(read),
                Err(_) if waited >= self.patience => break None,
                Err(_) => {}
            }
        };
        self.waited = self.waited.saturating_add(waited);
        read
    }

    fn too_slow(&mut self) -> Error {
        self.failed = true;
        ErrorCode::RequestTimeout.into()
    }
}

#[async_trait]
impl RequestBody for SessionBody<'_> {
    fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        self.started.get_or_insert_with(Instant::now);
        if std::mem::take(&mut self.continues)
            && let Err(error) = self.session.write_continue_response().await
        {
            return Err(self.failed(&error));
        }
        loop {
            match self.piece().await? {
                Some(bytes) if bytes.is_empty() => {}
                piece => {
                    // Before anything is made of what was waited for (T109).
                    still_granted()?;
                    return Ok(piece);
                }
            }
        }
    }
}

/// Until the client is gone. HTTP/1 says so by the end of what it sends, which costs a look: most answers
/// are there before. What comes instead is the next request, and is kept; where none may come, nothing is
/// looked for.
async fn is_gone(session: &mut ServerSession) {
    match session {
        ServerSession::H2(session) => drop(session.idle().await),
        ServerSession::H1(session) if session.pipelining_enabled() => {
            sleep(LOOK).await;
            drop(session.read_body_or_idle(true).await);
        }
        _ => std::future::pending().await,
    }
}

fn read_error(error: &pingora_error::Error) -> Error {
    match error.etype() {
        ErrorType::ReadTimedout => ErrorCode::RequestTimeout.into(),
        ErrorType::Custom("InvalidChunk") => Error::new(ErrorCode::BadRequest).because(error),
        _ => Error::new(ErrorCode::IncompleteBody).because(error),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

    const PATIENCE: Duration = Duration::from_millis(200);
    const STALL: Duration = Duration::from_millis(500);

    /// An upload whose head has come.
    async fn upload() -> (DuplexStream, ServerSession) {
        let (mut client, server) = duplex(1 << 16);
        let mut session = ServerSession::new_http1(Box::new(server));
        client
            .write_all(b"PUT /a HTTP/1.1\r\nhost: b\r\ncontent-length: 8\r\n\r\n")
            .await
            .unwrap();
        assert!(session.read_request().await.unwrap());
        session.set_read_timeout(None);
        (client, session)
    }

    /// Bytes are asked for; then whoever asked does something else, which takes longer than the client may.
    async fn stalled(
        reading: &mut (impl Future<Output = Result<Option<Bytes>, Error>> + Unpin),
    ) -> Option<Result<Option<Bytes>, Error>> {
        let read = timeout(PATIENCE / 4, reading).await;
        tokio::time::sleep(STALL).await;
        read.ok()
    }

    #[tokio::test]
    async fn t88_time_in_which_nobody_asks_is_not_the_client_s() {
        for early in [true, false] {
            let (mut client, mut session) = upload().await;
            let mut body = SessionBody::new(&mut session, PATIENCE);
            let mut reading = body.read();
            assert!(stalled(&mut reading).await.is_none());
            // It comes before somebody asks again, or just after.
            if early {
                client.write_all(b"12345678").await.unwrap();
            }
            let sends = async {
                if !early {
                    tokio::task::yield_now().await;
                    client.write_all(b"12345678").await.unwrap();
                }
            };
            let (read, ()) = tokio::join!(reading, sends);
            assert_eq!(read.unwrap().unwrap(), "12345678", "early: {early}");
        }
    }

    #[tokio::test]
    async fn t88_time_in_which_somebody_asks_is() {
        let (_client, mut session) = upload().await;
        let mut body = SessionBody::new(&mut session, PATIENCE);
        let code = body.read().await.unwrap_err().code();
        assert_eq!(code, ErrorCode::RequestTimeout);
        assert!(body.failed);
    }
}
