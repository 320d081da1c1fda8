//! An upstream's answer: its head, and one of three ends: drained and the connection given back, a
//! bounded document, or a download. Dropped instead, it closes its connection, so that a
//! connection with unread bytes is never used again (T57).

use super::client::Client;
use super::counters::Gauge;
use super::download::Stream;
use super::endpoint::Peers;
use super::error::{About, Error, refusal, spoils_credentials};
use super::exchange::broken;
use super::pool::Connection;
use super::xml::{Element, MAX_DOCUMENT, MAX_ERROR};
use crate::backend::Body;
use crate::s3;
use bytes::Bytes;
use http::StatusCode;
use pingora_core::protocols::http::v1::client::HttpSession;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::ThreadId;
use tokio::sync::OwnedSemaphorePermit;

/// Bodies up to this many bytes are read at once: the connection is free sooner, and an upstream
/// that breaks off is found out while there can still be a proper error.
const AT_ONCE: u64 = 64 << 10;

/// A final answer's head, and the connection that its body comes on.
pub(super) struct Answer {
    session: Box<HttpSession>,
    // Where the connection goes back to.
    origin: (Arc<Peers>, ThreadId),
    client: Arc<Client>,
    _held: (OwnedSemaphorePermit, Gauge),
    // Whether the whole request was sent before the answer came.
    complete: bool,
    // Whether the request was a HEAD.
    to_head: bool,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({})", self.status())
    }
}

impl Answer {
    pub(super) fn new(
        session: Box<HttpSession>,
        origin: (Arc<Peers>, ThreadId),
        client: Arc<Client>,
        held: (OwnedSemaphorePermit, Gauge),
        (complete, to_head): (bool, bool),
    ) -> Self {
        let mut answer = Self {
            session,
            origin,
            client,
            _held: held,
            complete,
            to_head,
        };
        answer.session.read_timeout = Some(answer.client.timeouts.read);
        answer
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    pub(super) fn status(&self) -> StatusCode {
        self.session.get_status().unwrap_or_default()
    }

    /// Every header.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.session.resp_header().map(|head| &head.headers);
        let all = headers.into_iter().flat_map(http::HeaderMap::iter);
        all.map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// A header's text, `None` where it is absent or not text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let value = self.session.get_header(name)?;
        std::str::from_utf8(value.as_bytes()).ok().map(str::trim)
    }

    /// A header that must be there.
    pub(super) fn need(&self, name: &'static str) -> Result<&str, Error> {
        self.header(name)
            .ok_or_else(|| Error::garbage(format!("no `{name}`")))
    }

    /// `Content-Length`, where the body is framed by it.
    pub(super) fn content_length(&self) -> Option<u64> {
        // Pingora has reconciled repeated ones and dropped it beside `Transfer-Encoding`.
        let text = self.header("content-length")?;
        let first = text.split(',').next()?.trim();
        first.parse().ok()
    }

    /// Goes on with a 2xx, or turns anything else into the client's error.
    pub(super) async fn expect(self, about: About) -> Result<Self, s3::Error> {
        if !self.status().is_success() {
            return Err(self.refused(about).await);
        }
        if !self.complete {
            let error = Error::garbage("a success before the request was complete");
            return Err(error.into());
        }
        Ok(self)
    }

    /// The error of an answer that is not a success.
    pub(super) async fn refused(self, about: About) -> s3::Error {
        let status = self.status();
        let client = Arc::clone(&self.client);
        // Ceph and MinIO name the code of a HEAD's error in a header.
        let hint = self.header("x-minio-error-code").map(str::to_owned);
        let document = self.document(MAX_ERROR).await.ok();
        let root = document.and_then(|document| Element::parse(&document).ok());
        let root = root.filter(|root| root.name() == "Error");
        let code = root
            .as_ref()
            .and_then(|root| root.get("Code"))
            .or(hint.as_deref());
        let message = root.as_ref().and_then(|root| root.get("Message"));
        if status.is_server_error() {
            client.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        if spoils_credentials(code) {
            client.distrust_credentials();
        }
        refusal(&client.name, about, status, code, message)
    }

    /// Reads the rest of the answer, which is of no interest, and gives the connection back.
    pub(super) async fn finish(self) -> Result<(), s3::Error> {
        self.document(MAX_ERROR).await?;
        Ok(())
    }

    /// Reads the body whole, up to `limit` bytes, and gives the connection back.
    pub(super) async fn document(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let total = self.client.timeouts.total;
        let reading = async {
            let mut document = Vec::new();
            loop {
                let read = self.session.read_body_ref().await;
                let piece = read.map_err(|error| broken("reading an answer", &error))?;
                let Some(piece) = piece else {
                    return Ok(document);
                };
                if document.len().saturating_add(piece.len()) > limit {
                    return Err(Error::garbage("the document is too large"));
                }
                document.extend_from_slice(piece);
            }
        };
        let read = pingora_timeout::timeout(total, reading).await;
        let document = read.map_err(|_| Error::Timeout("reading an answer"))??;
        self.give_back().await;
        Ok(document)
    }

    /// Reads the document of a success; an `Error` in it is one all the same, as S3 answers when a
    /// long operation fails after its head has gone out (T58).
    pub(super) async fn xml(self, about: About) -> Result<Element, s3::Error> {
        let client = Arc::clone(&self.client);
        let document = self.document(MAX_DOCUMENT).await?;
        let root = Element::parse(&document).map_err(|error| {
            client.counters.failures.fetch_add(1, Ordering::Relaxed);
            s3::Error::from(error)
        })?;
        if root.name() == "Error" {
            // It stands for a failure of the server's unless its code says otherwise.
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let (code, message) = (root.get("Code"), root.get("Message"));
            return Err(refusal(&client.name, about, status, code, message));
        }
        Ok(root)
    }

    /// Turns the body, which must be of exactly `length` bytes, into a download.
    pub(super) async fn body(mut self, length: u64) -> Result<Body, s3::Error> {
        if self.content_length() != Some(length) {
            let error = Error::garbage("the body's length is not the range's");
            return Err(error.into());
        }
        if length > AT_ONCE {
            return Ok(Body::Stream(Box::new(Stream::new(self, length))));
        }
        if length == 0 {
            self.give_back().await;
            return Ok(Body::Empty);
        }
        let total = self.client.timeouts.total;
        let whole = pingora_timeout::timeout(total, self.whole(length)).await;
        let whole = whole.map_err(|_| Error::Timeout("reading a body that drips"))??;
        self.give_back().await;
        Ok(Body::Whole(whole))
    }

    async fn whole(&mut self, length: u64) -> Result<Bytes, Error> {
        let mut whole = bytes::BytesMut::new();
        let mut left = length;
        while left > 0 {
            let Some(piece) = self.read().await? else {
                return Err(Error::garbage("the body is too short"));
            };
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| Error::garbage("the body is too long"))?;
            if left == 0 && whole.is_empty() {
                return Ok(piece);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The next bytes of the body.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        let read = self.session.read_body_ref().await;
        let piece = read.map_err(|error| broken("reading a body", &error))?;
        Ok(piece.map(Bytes::copy_from_slice))
    }

    /// Gives the connection back to the pool if its answer was read to its end and nothing came
    /// behind it; closes it otherwise.
    pub(super) async fn give_back(mut self) {
        // Ceph 16 ends the body that it does not send to a HEAD with its last chunk, which would be
        // read before the next answer. So nothing that has no body may speak of one.
        let bodiless = self.to_head || matches!(self.status().as_u16(), 204 | 304);
        let framed = self.session.get_header("transfer-encoding").is_some();
        if !self.complete || !self.session.is_body_done() || (bodiless && framed) {
            return;
        }
        self.session.respect_keepalive();
        let (peers, home) = self.origin;
        if let Some(stream) = self.session.reuse().await {
            peers.pool.put(Connection { stream, home });
        }
    }
}
