//! An upstream's answer: its head, and one of three ends: drained and the connection given back, a
//! bounded document, or a download. Dropped instead, it closes its connection.

use super::download::Stream;
use super::error::{About, Error, refusal, spoils_credentials};
use super::lease::Lease;
use super::remote::Remote;
use super::xml::{Element, MAX_DOCUMENT, MAX_ERROR};
use crate::backend::Body;
use crate::s3::time::{http_date, parse_http_date};
use crate::s3::{self, ETag};
use bytes::Bytes;
use http::StatusCode;
use std::sync::atomic::Ordering;
use time::OffsetDateTime;

/// Bodies up to this many bytes are read at once: the connection is free sooner, and an upstream
/// that breaks off is found out while there can still be a proper error.
const AT_ONCE: u64 = 64 << 10;

/// A final answer's head, and the connection that its body comes on.
pub(super) struct Answer<'c> {
    lease: Lease,
    remote: &'c Remote,
    status: StatusCode,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}

impl<'c> Answer<'c> {
    /// The answer whose head has been read.
    pub(super) fn new(mut lease: Lease, remote: &'c Remote) -> Result<Self, Error> {
        let status = lease.status()?;
        lease.session.read_timeout = Some(remote.timeouts.read);
        Ok(Self {
            lease,
            remote,
            status,
        })
    }

    pub(super) fn remote(&self) -> &'c Remote {
        self.remote
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Every header.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.lease.session.resp_header().map(|head| &head.headers);
        let all = headers.into_iter().flat_map(http::HeaderMap::iter);
        all.map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// A header's text, `None` where it is absent.
    pub(super) fn header(&self, name: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.lease.session.get_header(name) else {
            return Ok(None);
        };
        match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(Error::garbage(format!("`{name}` is not text"))),
        }
    }

    /// A header's text, which must be there and not empty.
    pub(super) fn need(&self, name: &'static str) -> Result<&str, Error> {
        let text = self.header(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Error::garbage(format!("no `{name}`")))
    }

    /// A header's number, `None` where it is absent.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.header(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok();
        let number = number.ok_or_else(|| Error::garbage(format!("`{name}` is not a number")))?;
        Ok(Some(number))
    }

    /// `Content-Length`, where the body is framed by it.
    pub(super) fn content_length(&self) -> Result<Option<u64>, Error> {
        // Pingora has reconciled repeated ones and dropped it beside `Transfer-Encoding`.
        let Some(text) = self.header("content-length")? else {
            return Ok(None);
        };
        let first = text.split(',').next().unwrap_or(text).trim();
        let length = first.parse();
        length
            .map(Some)
            .map_err(|_| Error::garbage("`content-length` is not a number"))
    }

    /// Goes on with a 2xx, or turns anything else into the client's error.
    pub(super) async fn expect(self, about: About) -> Result<Self, s3::Error> {
        if !self.status.is_success() {
            return Err(self.refused(about).await);
        }
        if !self.lease.sent {
            let error = Error::garbage("a success before the request was complete");
            return Err(error.into());
        }
        Ok(self)
    }

    /// The error of an answer that is not a success. How long it wants to be left alone is passed on.
    pub(super) async fn refused(self, about: About) -> s3::Error {
        let patience = self.patience();
        let error = self.refusal(about).await;
        match patience {
            Some(seconds) => error.retry_after(seconds),
            None => error,
        }
    }

    /// The seconds or the time of its `Retry-After`, where that can be read.
    fn patience(&self) -> Option<u64> {
        let text = self.header("retry-after").ok()??;
        let until = |at: OffsetDateTime| {
            (at - OffsetDateTime::now_utc())
                .whole_seconds()
                .max(0)
                .unsigned_abs()
        };
        text.parse()
            .ok()
            .or_else(|| parse_http_date(text).map(until))
    }

    async fn refusal(self, about: About) -> s3::Error {
        let (status, remote) = (self.status, self.remote);
        if status == StatusCode::NOT_MODIFIED {
            return self.not_modified(about).await;
        }
        if status.is_server_error() {
            remote.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        let to_head = self.lease.to_head;
        let document = if to_head {
            // Ceph and MinIO name the code of a HEAD's error in a header.
            let hint = self.header("x-minio-error-code");
            let hint = hint.map(|hint| hint.map(str::to_owned));
            match self.drain().await.and(hint) {
                Ok(hint) => return refusal(&remote.name, about, status, hint.as_deref(), None),
                Err(error) => Err(error),
            }
        } else {
            let document = self.document(MAX_ERROR).await;
            document.and_then(|document| Element::parse(&document)?.named("Error"))
        };
        match document {
            Ok(root) => {
                let code = root.get("Code");
                if spoils_credentials(code) {
                    remote.credentials.distrust();
                }
                refusal(&remote.name, about, status, code, root.get("Message"))
            }
            // What stands between us and the store says 404 of everything while the store is away.
            // That no object is there is S3's to say, in S3's words.
            Err(error) if status == StatusCode::NOT_FOUND && !to_head => {
                remote.counters.failures.fetch_add(1, Ordering::Relaxed);
                let name = &remote.name;
                let reason = format!("upstream `{name}` answered 404 without S3's error: {error}");
                s3::Error::from(error).because(reason)
            }
            Err(error) => {
                let message = error.to_string();
                refusal(&remote.name, about, status, None, Some(&message))
            }
        }
    }

    /// What has not changed is named as it would be in a success: caches go by that.
    async fn not_modified(self, about: About) -> s3::Error {
        let told = || {
            let etag = self.header("etag")?.filter(|text| !text.is_empty());
            let modified = self.header("last-modified")?.and_then(parse_http_date);
            Ok::<_, Error>((etag.map(ETag::parse), modified))
        };
        let told = told();
        let (name, status) = (&self.remote.name, self.status);
        let mut error = refusal(name, about, status, None, None);
        match (told, self.drain().await) {
            (Ok((etag, modified)), Ok(())) => {
                if let Some(etag) = etag {
                    error = error.detail("ETag", etag.quoted());
                }
                if let Some(modified) = modified {
                    error = error.detail("LastModified", http_date(modified));
                }
                error
            }
            (Err(broken), _) | (_, Err(broken)) => broken.into(),
        }
    }

    /// Reads the rest of a success. What it says is of no interest, unless it says that it was none
    /// (T58). Gives the connection back.
    pub(super) async fn finish(self, about: About) -> Result<(), s3::Error> {
        let remote = self.remote;
        let document = self.document(MAX_ERROR).await?;
        if document.is_empty() {
            return Ok(());
        }
        success(remote, about, &document)?;
        Ok(())
    }

    /// Reads the rest of the answer, whatever it says, and gives the connection back.
    pub(super) async fn drain(self) -> Result<(), Error> {
        self.document(MAX_ERROR).await?;
        Ok(())
    }

    /// Reads the body whole, up to `limit` bytes, and gives the connection back.
    async fn document(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let reading = async {
            let mut document = Vec::new();
            while let Some(piece) = self.lease.read().await? {
                if document.len().saturating_add(piece.len()) > limit {
                    return Err(Error::garbage("the document is too large"));
                }
                document.extend_from_slice(piece);
            }
            Ok(document)
        };
        let read = pingora_timeout::timeout(self.remote.timeouts.total, reading).await;
        let document = read.map_err(|_| Error::Timeout("reading an answer"))??;
        self.lease.give_back().await;
        Ok(document)
    }

    /// Reads the document of a success; an `Error` in it is one all the same, as S3 answers when a
    /// long operation fails after its head has gone out (T58).
    pub(super) async fn xml(self, about: About) -> Result<Element, s3::Error> {
        let remote = self.remote;
        let document = self.document(MAX_DOCUMENT).await?;
        success(remote, about, &document)
    }

    /// The document of a success, whose root has this name.
    pub(super) async fn named(
        self,
        about: About,
        root: &'static str,
    ) -> Result<Element, s3::Error> {
        let document = self.expect(about).await?.xml(about).await?;
        Ok(document.named(root)?)
    }

    /// Turns the body, which must be of exactly `length` bytes, into a download.
    pub(super) async fn body(mut self, length: u64) -> Result<Body, s3::Error> {
        if self.content_length()? != Some(length) {
            let error = Error::garbage("the body's length is not the range's");
            return Err(error.into());
        }
        let timeouts = &self.remote.timeouts;
        if length > AT_ONCE {
            let stream = Stream::new(self.lease, length, timeouts.read);
            return Ok(Body::Stream(Box::new(stream)));
        }
        if length == 0 {
            self.give_back().await;
            return Ok(Body::Empty);
        }
        let whole = pingora_timeout::timeout(timeouts.total, self.whole(length)).await;
        let whole = whole.map_err(|_| Error::Timeout("reading a body that drips"))??;
        self.give_back().await;
        Ok(Body::Whole(whole))
    }

    async fn whole(&mut self, length: u64) -> Result<Bytes, Error> {
        let mut whole = bytes::BytesMut::new();
        let mut left = length;
        while left > 0 {
            let Some(piece) = self.lease.read().await? else {
                return Err(Error::garbage("the body is too short"));
            };
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| Error::garbage("the body is too long"))?;
            if left == 0 && whole.is_empty() {
                return Ok(Bytes::copy_from_slice(piece));
            }
            whole.extend_from_slice(piece);
        }
        Ok(whole.freeze())
    }

    /// Gives the connection back, where nothing is left on it.
    pub(super) async fn give_back(self) {
        self.lease.give_back().await;
    }
}

/// The document of a success, unless it says that it was none.
fn success(remote: &Remote, about: About, document: &[u8]) -> Result<Element, s3::Error> {
    let root = Element::parse(document).map_err(|error| {
        remote.counters.failures.fetch_add(1, Ordering::Relaxed);
        s3::Error::from(error)
    })?;
    if root.name() == "Error" {
        // It stands for a failure of the server's unless its code says otherwise.
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let (code, message) = (root.get("Code"), root.get("Message"));
        return Err(refusal(&remote.name, about, status, code, message));
    }
    Ok(root)
}
