//! One request to one upstream: a connection from the pool or a new one, a head that we rendered
//! and signed, a body that streams, an answer's head.
//!
//! Retries happen only where nothing of the request can have been acted upon. Redirects are never
//! followed: they would carry our signature to where the upstream points (T54).

use super::answer::Answer;
use super::counters::{Counters, Gauge};
use super::credentials::Credentials;
use super::endpoint::{Endpoint, Peers, Resolver};
use super::error::Error;
use super::framing::{Framer, Framing};
use super::request::{Outgoing, header_name, header_value};
use super::{Config, Payload, Timeouts, tls};
use crate::backend::Upload;
use crate::crypto::sha256;
use crate::s3;
use crate::sigv4::{self, ChunkSigner, OutgoingPayload, OutgoingRequest};
use bytes::Bytes;
use http::Method;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::v1::Connector;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections to try for one request: pooled ones may all have died with their server.
const ATTEMPTS: usize = 3;
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

/// A connected upstream.
pub(super) struct Client {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) endpoint: Endpoint,
    pub(super) checksums: bool,
    pub(super) timeouts: Timeouts,
    pub(super) counters: Arc<Counters>,
    pub(super) connector: Connector,
    payload: Payload,
    path_style: bool,
    credentials: Credentials,
    resolver: Resolver,
    slots: Arc<Semaphore>,
    limit: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Tells definitions apart in Pingora's pool.
static NEXT_GROUP: AtomicU64 = AtomicU64::new(1);

impl Client {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(&config.endpoint)?;
        if config.region.is_empty() {
            return Err(Error::Config("the region is empty".to_owned()));
        }
        let limit = config.max_connections;
        if limit == 0 || limit > Semaphore::MAX_PERMITS {
            return Err(Error::Config(
                "`max_connections` is out of range".to_owned(),
            ));
        }
        let mut options = ConnectorOptions::new(limit);
        options.ca_file = Some(tls::authorities(&endpoint, config.ca.as_deref())?);
        let group = NEXT_GROUP.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            resolver: Resolver::new(endpoint.clone(), &config, group)?,
            connector: Connector::new(Some(options)),
            credentials: Credentials::new(config.credentials),
            path_style: config.path_style || !endpoint.can_be_virtual(),
            endpoint,
            name: config.name,
            region: config.region,
            checksums: config.checksums,
            timeouts: config.timeouts,
            payload: config.payload,
            counters: Arc::default(),
            slots: Arc::new(Semaphore::new(limit)),
            limit,
        })
    }

    /// How an upload's body is framed when its checksum can go into a trailer, or cannot.
    pub(super) fn framing(&self, trailer: Option<s3::ChecksumAlgorithm>) -> Framing {
        let tls = self.endpoint.is_tls();
        // A Unix socket cannot be listened to on the way, but not every server takes an unsigned
        // trailer without TLS.
        let confidential = tls || (self.endpoint.is_unix() && trailer.is_none());
        Framing::choose(self.payload, confidential, self.checksums, trailer)
    }

    /// Sends a request and answers the head of the final answer, whatever its status.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: &Outgoing<'_>,
        body: Sending<'_>,
    ) -> Result<Answer, s3::Error> {
        self.send_patiently(request, body, self.timeouts.read).await
    }

    /// The same for what an upstream may think about: `patience` is how long it may take from the
    /// end of the request to the answer's head.
    pub(super) async fn send_patiently(
        self: &Arc<Self>,
        request: &Outgoing<'_>,
        mut body: Sending<'_>,
        patience: Duration,
    ) -> Result<Answer, s3::Error> {
        let slot = self.slot().await?;
        let gauge = Gauge::new(&self.counters);
        let outcome = self.attempt(request, &mut body, patience).await;
        match outcome {
            Ok((session, peers, index, complete)) => Ok(Answer::new(
                session,
                (peers, index),
                Arc::clone(self),
                (slot, gauge),
                complete,
            )),
            Err(Failure::Ours(error)) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                let reason = format!("upstream `{}`: {error}", self.name);
                Err(s3::Error::from(error).because(reason))
            }
            Err(Failure::Client(error)) => Err(error),
        }
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, Error> {
        let slots = Arc::clone(&self.slots);
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            return Ok(slot);
        }
        let waited = tokio::time::timeout(self.timeouts.connect, slots.acquire_owned()).await;
        match waited {
            Ok(Ok(slot)) => Ok(slot),
            _ => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                Err(Error::Busy(self.limit))
            }
        }
    }

    async fn attempt(
        &self,
        request: &Outgoing<'_>,
        body: &mut Sending<'_>,
        patience: Duration,
    ) -> Result<(HttpSession, Arc<Peers>, usize, bool), Failure> {
        let host = self.virtual_bucket(request);
        let peers = self.resolver.peers(host).await?;
        let mut attempt = 1;
        loop {
            let keys = self.credentials.get().await?;
            let (head, signer) = self.render(request, body, &keys.credentials)?;
            let (mut session, reused, index) = self.connect(&peers).await?;
            let again = reused && attempt < ATTEMPTS;
            attempt += 1;
            session.write_timeout = Some(self.timeouts.write);
            session.read_timeout = None;
            if let Err(error) = session.write_request_header(head).await {
                // A head that did not get through was not acted upon.
                if again {
                    self.counters.retries.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                return Err(broken("sending the request", &error).into());
            }
            let complete = match self.send_body(&mut session, body, signer).await? {
                Sent::All => match self.read_head(&mut session, patience).await {
                    Ok(()) => true,
                    // Reading again is harmless, and a pooled connection may have died unseen.
                    Err(error) if again && is_read(request) && error.is_stale() => {
                        self.counters.retries.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Err(error) => return Err(error.into_error().into()),
                },
                Sent::Answered => false,
            };
            return Ok((session, peers, index, complete));
        }
    }

    fn virtual_bucket<'r>(&self, request: &Outgoing<'r>) -> Option<&'r str> {
        request.bucket.filter(|_| !self.path_style)
    }

    async fn connect(&self, peers: &Peers) -> Result<(HttpSession, bool, usize), Error> {
        let mut last = None;
        for (index, peer) in peers.in_order() {
            match self.connector.get_http_session(peer).await {
                Ok((session, reused)) => {
                    let count = if reused {
                        &self.counters.reuses
                    } else {
                        peers.prefer(index);
                        &self.counters.connects
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    return Ok((session, reused, index));
                }
                Err(error) => last = Some(error),
            }
        }
        let reason = last.map(|error| super::error::short(&error.to_string()));
        Err(Error::Connect(reason.unwrap_or_default()))
    }

    /// The head that goes onto the wire, signed now.
    fn render(
        &self,
        request: &Outgoing<'_>,
        body: &Sending<'_>,
        keys: &sigv4::Credentials,
    ) -> Result<(Box<RequestHeader>, Option<ChunkSigner>), Failure> {
        let authority = self.endpoint.authority();
        let host = match self.virtual_bucket(request) {
            Some(bucket) => format!("{bucket}.{authority}"),
            None => authority.to_owned(),
        };
        let path = request.path(self.path_style);
        let target = request.target(&path);
        let invalid = |error: pingora_error::BError| Error::garbage(error.to_string());
        let count = request.headers.len().saturating_add(10);
        let method = request.method.clone();
        let mut head = RequestHeader::build_no_case(method, target.as_bytes(), Some(count))
            .map_err(invalid)?;
        head.insert_header("host", host).map_err(invalid)?;
        for (name, value) in &request.headers {
            let value = header_value(name, value)?;
            head.append_header(header_name(name)?, value)
                .map_err(invalid)?;
        }
        let (payload, length) = match body {
            Sending::Nothing => {
                let bodied = request.method == Method::PUT || request.method == Method::POST;
                (OutgoingPayload::Sha256(sha256(b"")), bodied.then_some(0))
            }
            Sending::Document(document) => {
                let payload = OutgoingPayload::Sha256(sha256(document));
                (payload, Some(document.len() as u64))
            }
            Sending::Upload(upload, framing) => {
                let length = upload.length();
                if *framing != Framing::Plain {
                    let encoding = match head.headers.get("content-encoding") {
                        Some(own) => [b"aws-chunked,", own.as_bytes()].concat(),
                        None => b"aws-chunked".to_vec(),
                    };
                    head.insert_header("content-encoding", encoding)
                        .map_err(invalid)?;
                    head.insert_header("x-amz-decoded-content-length", length)
                        .map_err(invalid)?;
                }
                if let Some(algorithm) = framing.trailer() {
                    head.insert_header("x-amz-trailer", algorithm.header())
                        .map_err(invalid)?;
                }
                (framing.payload(), Some(framing.encoded_length(length)))
            }
        };
        let signed = sigv4::sign(
            &OutgoingRequest {
                method: &request.method,
                path: &path,
                query: &request.query,
                headers: &head.headers,
                payload,
            },
            keys,
            &self.region,
            "s3",
            OffsetDateTime::now_utc(),
        );
        for (name, value) in signed.headers {
            head.insert_header(name, value).map_err(invalid)?;
        }
        if let Some(length) = length {
            head.insert_header("content-length", length)
                .map_err(invalid)?;
        }
        Ok((Box::new(head), Some(signed.chunks)))
    }

    async fn send_body(
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
    async fn read_head(
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
        tokio::time::timeout(patience, reading)
            .await
            .unwrap_or(Err(HeadFailure::Other(Error::Timeout(
                "waiting for an answer",
            ))))
    }

    /// The upstream says that our credentials no longer work.
    pub(super) fn distrust_credentials(&self) {
        self.credentials.distrust();
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

enum HeadFailure {
    Connection(pingora_error::BError),
    Other(Error),
}

impl HeadFailure {
    /// Whether the connection ended as a pooled one does that its server had closed.
    fn is_stale(&self) -> bool {
        use pingora_error::ErrorType::{ConnectionClosed, ReadError};
        matches!(self, Self::Connection(error) if matches!(error.etype(), ConnectionClosed | ReadError))
    }

    fn into_error(self) -> Error {
        match self {
            Self::Connection(error) => broken("waiting for an answer", &error),
            Self::Other(error) => error,
        }
    }
}

/// How far a request got before its answer.
enum Sent {
    All,
    Answered,
}

fn is_read(request: &Outgoing<'_>) -> bool {
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
