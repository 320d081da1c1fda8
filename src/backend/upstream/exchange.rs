//! One exchange over a connection: a head and a body go out while an answer is watched for, and the
//! head of the final answer comes in.

use super::error::Error;
use super::framing::{Framer, Framing};
use super::lease::Lease;
use crate::backend::Upload;
use crate::s3;
use crate::sigv4::ChunkSigner;
use bytes::Bytes;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;
use std::time::Duration;

/// Interim answers before it is a flood (T58).
const MAX_INTERIM: usize = 16;
/// How long an answer may take to be found behind a write that failed: it has been sent by then.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A body to send.
pub(super) enum Sending<'u> {
    /// None, and no `Content-Length` either unless the method wants one.
    Nothing,
    /// A document of ours.
    Document(Bytes),
    /// What a client uploads.
    Upload(&'u mut dyn Upload, Framing),
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The head did not get through: nothing was acted upon.
    Unsent(Error),
    /// The connection ended before an answer, as a pooled one does that its server had closed.
    Stale(Error),
    /// Anything else that is the connection's fault, the upstream's or ours.
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

/// Sends a request and reads heads until the final one. `patience` is how long that may take from
/// the end of the request on.
pub(super) async fn exchange(
    lease: &mut Lease,
    head: Box<RequestHeader>,
    body: &mut Sending<'_>,
    signer: Option<ChunkSigner>,
    patience: Duration,
) -> Result<(), Failure> {
    let session = &mut lease.session;
    if let Err(error) = session.write_request_header(head).await {
        let error = Error::broken("sending the request", &error);
        return Err(Failure::Unsent(error));
    }
    match send_body(session, body, signer).await? {
        Sent::All => {
            read_head(session, patience).await?;
            lease.sent = true;
        }
        Sent::Answered => {}
    }
    Ok(())
}

/// How far a request got before its answer.
enum Sent {
    All,
    Answered,
}

async fn send_body(
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
            all_or_answered(session, sent).await
        }
        Sending::Upload(upload, framing) => {
            let framer = Framer::new(*framing, upload.length(), signer);
            pump(session, &mut **upload, framer).await
        }
    }
}

/// Sends an upload while watching for an answer that does not wait for its end.
async fn pump(
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
                        head.map_err(|error| Error::broken("sending a body", &error))?;
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
                return all_or_answered(session, Err(error)).await;
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
    all_or_answered(session, sent).await
}

/// An upstream that refuses an upload may close before it has read it; what it said is then still
/// there to be read.
async fn all_or_answered(
    session: &mut HttpSession,
    sent: Result<(), pingora_error::BError>,
) -> Result<Sent, Failure> {
    let Err(error) = sent else {
        return Ok(Sent::All);
    };
    match read_head(session, AFTER_FAILURE).await {
        Ok(()) => Ok(Sent::Answered),
        Err(_) => Err(Error::broken("sending a body", &error).into()),
    }
}

/// Reads heads until a final one, all within `patience`.
async fn read_head(session: &mut HttpSession, patience: Duration) -> Result<(), Failure> {
    let reading = async {
        let mut interim = 0;
        loop {
            let read = session.read_response().await;
            read.map_err(|error| no_head(&error))?;
            if is_final(session) {
                return Ok(());
            }
            interim += 1;
            check_interim(interim)?;
        }
    };
    let read = pingora_timeout::timeout(patience, reading).await;
    read.unwrap_or(Err(Error::Timeout("waiting for an answer").into()))
}

fn no_head(error: &pingora_error::BError) -> Failure {
    use pingora_error::ErrorType::{ConnectionClosed, ReadError};
    let stale = matches!(error.etype(), ConnectionClosed | ReadError);
    let error = Error::broken("waiting for an answer", error);
    if stale {
        Failure::Stale(error)
    } else {
        Failure::Ours(error)
    }
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
