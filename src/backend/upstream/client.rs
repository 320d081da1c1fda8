//! One request to one upstream: a connection from the pool or a new one, a head that we rendered
//! and signed, a body that streams, an answer's head.
//!
//! Retries happen only where nothing of the request can have been acted upon. Redirects are never
//! followed: they would carry our signature to where the upstream points (T54).

use super::answer::Answer;
use super::counters::{Counters, Gauge};
use super::credentials::{Credentials, Keys};
use super::endpoint::{Endpoint, Peers, Resolver};
use super::error::Error;
use super::exchange::{Failure, Sent, broken, is_read};
use super::framing::{Framing, Trailer};
use super::pool::Connection;
use super::request::{Outgoing, header_name, header_value};
use super::{Config, Payload, Timeouts, tls};
use crate::backend::Upload;
use crate::crypto::sha256;
use crate::s3::{self, time::amz_date};
use crate::sigv4::{self, ChunkSigner, OutgoingPayload, OutgoingRequest};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::ThreadId;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections to try for one request: pooled ones may all have died with their server.
const ATTEMPTS: usize = 3;

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
    connector: TransportConnector,
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
        Ok(Self {
            resolver: Resolver::new(endpoint.clone(), &config)?,
            connector: TransportConnector::new(Some(options)),
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
    pub(super) fn framing(&self, trailer: Option<Trailer>) -> Framing {
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
            Ok((session, peers, home, complete)) => Ok(Answer::new(
                session,
                (peers, home),
                Arc::clone(self),
                (slot, gauge),
                (complete, request.method == Method::HEAD),
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
        let waited = pingora_timeout::timeout(self.timeouts.connect, slots.acquire_owned()).await;
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
    ) -> Result<(Box<HttpSession>, Arc<Peers>, ThreadId, bool), Failure> {
        let host = self.virtual_bucket(request);
        let peers = self.resolver.peers(host).await?;
        let mut attempt = 1;
        loop {
            let keys = self.credentials.get().await?;
            let (head, signer) = self.render(request, body, &keys)?;
            let (mut session, reused, home) = self.connect(&peers).await?;
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
            return Ok((session, peers, home, complete));
        }
    }

    fn virtual_bucket<'r>(&self, request: &Outgoing<'r>) -> Option<&'r str> {
        request.bucket.filter(|_| !self.path_style)
    }

    /// A session on a connection of the pool, or on a new one; whether it has been used before, and
    /// the thread that it belongs to. Boxed: it is large, and handed from call to call.
    async fn connect(&self, peers: &Peers) -> Result<(Box<HttpSession>, bool, ThreadId), Error> {
        if let Some(Connection { stream, home }) = peers.pool.take() {
            self.counters.reuses.fetch_add(1, Ordering::Relaxed);
            return Ok((Box::new(HttpSession::new(stream)), true, home));
        }
        let mut last = None;
        for (index, peer) in peers.in_order() {
            match self.connector.new_stream(peer).await {
                Ok(stream) => {
                    peers.prefer(index);
                    self.counters.connects.fetch_add(1, Ordering::Relaxed);
                    let home = std::thread::current().id();
                    return Ok((Box::new(HttpSession::new(stream)), false, home));
                }
                Err(error) => last = Some(error),
            }
        }
        let reason = last.map(|error| super::error::short(&error.to_string()));
        Err(Error::Connect(reason.unwrap_or_default()))
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn sweep(&self) {
        self.resolver.sweep();
    }

    /// The head that goes onto the wire, signed now.
    fn render(
        &self,
        request: &Outgoing<'_>,
        body: &Sending<'_>,
        keys: &Keys,
    ) -> Result<(Box<RequestHeader>, Option<ChunkSigner>), Failure> {
        let path = request.path(self.path_style);
        let mut headers = self.headers(request)?;
        let (payload, length) = payload(request, body, &mut headers)?;
        let now = OffsetDateTime::now_utc();
        let date = amz_date(now);
        headers.insert(DATE, plain(&date)?);
        headers.insert(CONTENT_SHA256, plain(&payload.text())?);
        let credentials = &keys.credentials;
        if let Some(token) = &credentials.session_token {
            let mut value = header_value("x-amz-security-token", token.expose())?;
            value.set_sensitive(true);
            headers.insert(SECURITY_TOKEN, value);
        }
        let signing = keys.signing(now, &self.region);
        let signable = OutgoingRequest {
            method: &request.method,
            path: &path,
            query: &request.query,
            headers: &headers,
            payload,
        };
        let id = &credentials.access_key_id;
        let (authorization, seed) =
            sigv4::authorize(&signable, id, &signing.key, &signing.scope, &date);
        headers.insert(header::AUTHORIZATION, plain(&authorization)?);
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = request.method.clone();
        parts.uri = Uri::try_from(request.target(&path))
            .map_err(|error| Error::garbage(error.to_string()))?;
        parts.headers = headers;
        let signs = matches!(
            payload,
            OutgoingPayload::SignedChunks | OutgoingPayload::SignedChunksTrailer
        );
        let chunks = || ChunkSigner::new(signing.key.clone(), &date, &signing.scope, seed);
        Ok((Box::new(RequestHeader::from(parts)), signs.then(chunks)))
    }

    /// The host and what was asked for; `host` comes first, as RFC 9110 section 7.2 wants it.
    fn headers(&self, request: &Outgoing<'_>) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::with_capacity(request.headers.len().saturating_add(10));
        let authority = self.endpoint.authority();
        let host = match self.virtual_bucket(request) {
            Some(bucket) => plain(&format!("{bucket}.{authority}"))?,
            None => plain(authority)?,
        };
        headers.insert(header::HOST, host);
        for (name, value) in &request.headers {
            headers.append(header_name(name)?, header_value(name, value)?);
        }
        Ok(headers)
    }

    /// The upstream says that our credentials no longer work.
    pub(super) fn distrust_credentials(&self) {
        self.credentials.distrust();
    }
}

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");

/// What the signature says of the body, and `Content-Length`; `headers` get what announces its
/// framing.
fn payload(
    request: &Outgoing<'_>,
    body: &Sending<'_>,
    headers: &mut HeaderMap,
) -> Result<(OutgoingPayload, Option<u64>), Failure> {
    match body {
        Sending::Nothing => {
            let bodied = request.method == Method::PUT || request.method == Method::POST;
            Ok((OutgoingPayload::Empty, bodied.then_some(0)))
        }
        Sending::Document(document) => {
            let payload = OutgoingPayload::Sha256(sha256(document));
            Ok((payload, Some(document.len() as u64)))
        }
        Sending::Upload(upload, framing) => {
            let length = upload.length();
            if *framing != Framing::Plain {
                let encoding = match headers.get(header::CONTENT_ENCODING) {
                    Some(own) => [b"aws-chunked,", own.as_bytes()].concat(),
                    None => b"aws-chunked".to_vec(),
                };
                let encoding = HeaderValue::from_maybe_shared(Bytes::from(encoding));
                let encoding = encoding.map_err(|error| Error::garbage(error.to_string()))?;
                headers.insert(header::CONTENT_ENCODING, encoding);
                headers.insert(DECODED_LENGTH, HeaderValue::from(length));
            }
            if let Some(algorithm) = framing.trailer() {
                headers.insert(TRAILER, HeaderValue::from_static(algorithm.header()));
            }
            Ok((framing.payload(), Some(framing.encoded_length(length))))
        }
    }
}

/// A value of ours.
fn plain(text: &str) -> Result<HeaderValue, Failure> {
    let value = HeaderValue::from_str(text);
    value.map_err(|error| Error::garbage(error.to_string()).into())
}
