//! One request to one upstream: a head that we rendered and signed, a body that streams, an answer's
//! head.
//!
//! Retries happen only where nothing of the request can have been acted upon. Redirects are never
//! followed: they would carry our signature to where the upstream points (T54).

use super::answer::Answer;
use super::credentials::Keys;
use super::error::Error;
use super::exchange::{Failure, Sending, exchange};
use super::framing::Framing;
use super::lease::{Connections, Lease};
use super::remote::Remote;
use super::request::{Outgoing, header_name, header_value};
use crate::authz::still_granted;
use crate::crypto::sha256;
use crate::fair::Asker;
use crate::s3::{self, time::amz_date};
use crate::sigv4::{self, ChunkSigner, OutgoingPayload, OutgoingRequest};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use pingora_http::RequestHeader;
use std::sync::atomic::Ordering;
use std::time::Duration;
use time::OffsetDateTime;

/// Connections to try for one request: pooled ones may all have died with their server.
const ATTEMPTS: usize = 3;

/// An upstream, asked on somebody's behalf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'c> {
    remote: &'c Remote,
    connections: &'c Connections,
    asker: Asker,
}

impl std::ops::Deref for Client<'_> {
    type Target = Remote;

    fn deref(&self) -> &Remote {
        self.remote
    }
}

impl<'c> Client<'c> {
    pub(super) fn new(remote: &'c Remote, connections: &'c Connections, asker: Asker) -> Self {
        Self {
            remote,
            connections,
            asker,
        }
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn sweep(self) {
        self.connections.sweep();
    }

    /// Sends a request and answers the head of the final answer, whatever its status.
    pub(super) async fn send(
        self,
        request: &Outgoing<'_>,
        body: Sending<'_>,
    ) -> Result<Answer<'c>, s3::Error> {
        let patience = self.timeouts.read;
        self.send_patiently(request, body, patience).await
    }

    /// The same for what an upstream may think about: `patience` is how long it may take from the
    /// end of the request to the answer's head.
    pub(super) async fn send_patiently(
        self,
        request: &Outgoing<'_>,
        mut body: Sending<'_>,
        patience: Duration,
    ) -> Result<Answer<'c>, s3::Error> {
        let lease = self.attempt(request, &mut body, patience).await;
        match lease.and_then(|lease| Ok(Answer::new(lease, self.remote)?)) {
            Ok(answer) => Ok(answer),
            Err(Failure::Client(error)) => Err(error),
            Err(Failure::Unsent(error) | Failure::Stale(error) | Failure::Ours(error)) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                let reason = format!("upstream `{}`: {error}", self.name);
                Err(s3::Error::from(error).because(reason))
            }
        }
    }

    async fn attempt(
        &self,
        request: &Outgoing<'_>,
        body: &mut Sending<'_>,
        patience: Duration,
    ) -> Result<Lease, Failure> {
        let host = self.virtual_bucket(request);
        let mut turn = self.connections.turn(self.asker).await?;
        still_granted().map_err(Failure::Client)?;
        let mut attempt = 1;
        loop {
            let keys = self.credentials.get().await?;
            let (head, signer) = self.render(request, body, &keys)?;
            let lease = self.connections.lease(host, &request.method, turn);
            let mut lease = lease.await?;
            let again = lease.reused && attempt < ATTEMPTS;
            attempt += 1;
            match exchange(&mut lease, head, body, signer, patience).await {
                Ok(()) => return Ok(lease),
                Err(Failure::Unsent(_)) if again => {}
                // Reading again is harmless, and a pooled connection may have died unseen.
                Err(Failure::Stale(_)) if again && request.is_read() => {}
                Err(failure) => return Err(failure),
            }
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            turn = lease.close();
        }
    }

    fn virtual_bucket<'r>(&self, request: &Outgoing<'r>) -> Option<&'r str> {
        request.bucket.filter(|_| !self.path_style)
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
