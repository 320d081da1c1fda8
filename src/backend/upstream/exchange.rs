//! What happens on a connection once a head has been sent: the body goes out while an answer is
//! watched for, and the answer's head comes in.

use super::client::{Client, Sending};
use super::error::Error;
use super::framing::Framer;
use super::request::Outgoing;
use crate::backend::Upload;
use crate::s3;
use crate::sigv4::ChunkSigner;
use http::Method;
use pingora_core::protocols::http::v1::client::HttpSession;
use std::time::Duration;

/// Interim answers before it is a flood (T58).
const MAX_INTERIM: usize = 16;
/// How long an answer may take to be found behind a write that failed: it has been sent by then.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl Client {
    /// Sends the body and says whether there was an answer before its end.
    pub(super) async fn send_body(
        &self,
        session: &mut HttpSession,
        body: &mut Sending<'_>,
        signer: Option<ChunkSigner>,
    ) -> Result<Sent, Failure> {
        match body {
            Sending::Nothing => Ok(Sent::All),
            Sending::Document(document) => {
                let sent = match session.write_body(document).await {
                    Ok(_) => session.finish_body().await.map(drop),
                    Err(error) => Err(error),
                };
                match sent {
                    Ok(()) => Ok(Sent::All),
                    Err(error) => self.after_failure(session, &error).await,
                }
            }
            Sending::Upload(upload, framing) => {
                let framer = Framer::new(*framing, upload.length(), signer);
                self.pump(session, &mut **upload, framer).await
            }
        }
    }

    /// Sends an upload while watching for an answer that does not wait for its end.
    async fn pump(
        &self,
        session: &mut HttpSession,
        upload: &mut dyn Upload,
        mut framer: Framer,
    ) -> Result<Sent, Failure> {
        let mut wire = Vec::new();
        let mut interim = 0;
        loop {
            let next = if framer.is_whole() {
                // The upstream has everything and may answer; what is left is to hear the end.
                upload.next().await
            } else {
                let mut next = upload.next();
                loop {
                    // Reading an answer's head can be cancelled and taken up again; what the client
                    // sends is waited for once.
                    tokio::select! {
                        biased;
                        head = session.read_response() => {
                            head.map_err(|error| broken("sending a body", &error))?;
                            if is_final(session) {
                                return Ok(Sent::Answered);
                            }
                            interim += 1;
                            check_interim(interim)?;
                        }
                        next = &mut next => break next,
                    }
                }
            };
            // An upload that fails is dropped with its connection: the upstream has not seen its
            // last byte, and cannot take it for whole.
            let Some(data) = next.map_err(Failure::Client)? else {
                break;
            };
            framer.push(data, &mut wire)?;
            for piece in wire.drain(..) {
                if let Err(error) = session.write_body(&piece).await {
                    return self.after_failure(session, &error).await;
                }
            }
        }
        let last = framer.finish(upload.checksum().as_ref())?;
        let sent = match last {
            Some(last) => session.write_body(&last).await.map(drop),
            None => Ok(()),
        };
        let sent = match sent {
            Ok(()) => session.finish_body().await.map(drop),
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => Ok(Sent::All),
            Err(error) => self.after_failure(session, &error).await,
        }
    }

    /// An upstream that refuses an upload may close before it has read it; what it said is then
    /// still there to be read.
    async fn after_failure(
        &self,
        session: &mut HttpSession,
        error: &pingora_error::BError,
    ) -> Result<Sent, Failure> {
        match self.read_head(session, AFTER_FAILURE).await {
            Ok(()) => Ok(Sent::Answered),
            Err(_) => Err(broken("sending a body", error).into()),
        }
    }

    /// Reads heads until a final one, all within `patience`.
    pub(super) async fn read_head(
        &self,
        session: &mut HttpSession,
        patience: Duration,
    ) -> Result<(), HeadFailure> {
        let reading = async {
            let mut interim = 0;
            loop {
                session
                    .read_response()
                    .await
                    .map_err(HeadFailure::Connection)?;
                if is_final(session) {
                    return Ok(());
                }
                interim += 1;
                check_interim(interim).map_err(HeadFailure::Other)?;
            }
        };
        pingora_timeout::timeout(patience, reading)
            .await
            .unwrap_or(Err(HeadFailure::Other(Error::Timeout(
                "waiting for an answer",
            ))))
    }
}

/// Whose fault it is that there is no answer.
pub(super) enum Failure {
    /// The connection's, the upstream's or ours.
    Ours(Error),
    /// The client's, or the upload's.
    Client(s3::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<s3::Error> for Failure {
    fn from(error: s3::Error) -> Self {
        Self::Client(error)
    }
}

/// Why there is no head.
pub(super) enum HeadFailure {
    Connection(pingora_error::BError),
    Other(Error),
}

impl HeadFailure {
    /// Whether the connection ended as a pooled one does that its server had closed.
    pub(super) fn is_stale(&self) -> bool {
        use pingora_error::ErrorType::{ConnectionClosed, ReadError};
        matches!(self, Self::Connection(error) if matches!(error.etype(), ConnectionClosed | ReadError))
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Connection(error) => broken("waiting for an answer", &error),
            Self::Other(error) => error,
        }
    }
}

/// How far a request got before its answer.
pub(super) enum Sent {
    All,
    Answered,
}

/// Whether the request changes nothing, and may be sent again.
pub(super) fn is_read(request: &Outgoing<'_>) -> bool {
    request.method == Method::GET || request.method == Method::HEAD
}

/// Whether the head that was read is the last one. `101` is: nothing was to be switched.
fn is_final(session: &HttpSession) -> bool {
    let status = session.get_status().map(|status| status.as_u16());
    !matches!(status, Some(100 | 102..=199))
}

fn check_interim(count: usize) -> Result<(), Error> {
    if count > MAX_INTERIM {
        Err(Error::garbage("too many interim answers"))
    } else {
        Ok(())
    }
}

/// What Pingora's error means.
pub(super) fn broken(doing: &'static str, error: &pingora_error::BError) -> Error {
    use pingora_error::ErrorType as T;
    match error.etype() {
        T::ReadTimedout | T::WriteTimedout | T::ConnectTimedout | T::TLSHandshakeTimedout => {
            Error::Timeout(doing)
        }
        T::InvalidHTTPHeader => Error::garbage("not an HTTP head"),
        _ => Error::broken(doing, error),
    }
}
