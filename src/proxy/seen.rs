//! What is known of a request so far, for audit and metrics: filled as the line proceeds.

use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;

use super::places::{AtBackend, Place, Share};
use super::signature;
use crate::authn::Caller;
use crate::authz::{Denied, Permit};
use crate::handler::DecidedKey;
use crate::s3::{BucketName, Error, Head, Operation, Peer, Request, Target, xml};

/// What is known of a request.
#[derive(Debug)]
pub(super) struct Seen {
    /// Random, unique: what the client reports and audit is searched by.
    pub(super) request_id: String,
    /// When the head had arrived.
    pub(super) now: OffsetDateTime,
    /// The same, for durations.
    pub(super) started: Instant,
    /// When the request had been authorised.
    pub(super) admitted: Option<Instant>,
    /// Where it came from.
    pub(super) peer: Option<Peer>,
    /// The port that it came to.
    pub(super) port: Option<u16>,
    /// Whether only a head is answered.
    pub(super) head_only: bool,
    /// The operation, once parsed.
    pub(super) operation: Option<Operation>,
    /// What it is about, once parsed.
    pub(super) target: Option<Target>,
    /// The version that is asked for, and the parameters that are the client's own.
    pub(super) version_id: Option<String>,
    pub(super) parameters: Vec<String>,
    /// Why authentication failed.
    pub(super) unauthenticated: Option<&'static str>,
    /// The keys that were decided one by one.
    pub(super) keys: Vec<DecidedKey>,
    /// What was refused.
    pub(super) denied: Option<Box<Denied>>,
    /// What was permitted.
    pub(super) permit: Option<Arc<Permit>>,
    /// What the client was told.
    pub(super) error: Option<Error>,
    /// The status of the answer.
    pub(super) status: u16,
    /// Body bytes received, as framed by the client.
    pub(super) received: u64,
    /// Whether the body could not be read to its end.
    pub(super) body_failed: bool,
    /// Body bytes sent.
    pub(super) sent: u64,
    /// Who has as many requests as one caller may.
    pub(super) crowding: Option<Caller>,
    /// Its place among all requests, until it is over.
    pub(super) place: Option<Place>,
    /// Its place among its caller's.
    pub(super) share: Option<Share>,
    /// Its place among those at its backend, or on the way from one to another.
    pub(super) at: Option<AtBackend>,
}

/// Whether a query parameter means nothing to S3 and is there for whoever reads what was asked, or is passed
/// over: the checksum of a link.
fn is_own(key: &str) -> bool {
    let begins = |with: &str| {
        let beginning = key.get(..with.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
    };
    let passed_over = begins("x-amz-checksum-") || begins("x-amz-sdk-checksum-algorithm");
    passed_over || key.starts_with("x-") && !begins("x-amz-")
}

impl Seen {
    /// Whether it was refused, in whole or in part, or failed. What is not there, or is not as a condition
    /// wants it, is what a client asks for every day.
    pub(super) fn is_worth_a_glance(&self) -> bool {
        let refused = self.keys.iter().any(|key| !key.allowed);
        let failed = self.status >= 400 && !matches!(self.status, 404 | 409 | 412 | 416);
        self.permit.is_none() || failed || refused
    }

    /// Who was authenticated. Where nothing was decided, it may be known all the same who would have asked for
    /// too much.
    pub(super) fn caller(&self) -> Option<&Caller> {
        match (&self.permit, &self.denied) {
            (Some(permit), _) => Some(permit.caller()),
            (None, Some(denied)) => Some(&denied.caller),
            (None, None) => self.crowding.as_ref(),
        }
    }

    /// The limit that was reached.
    pub(super) fn limit(&self) -> Option<&'static str> {
        self.error.as_ref().and_then(Error::limit)
    }

    pub(super) fn new(request_id: String, now: OffsetDateTime) -> Self {
        Self {
            request_id,
            now,
            started: Instant::now(),
            admitted: None,
            peer: None,
            port: None,
            head_only: false,
            operation: None,
            target: None,
            version_id: None,
            parameters: Vec::new(),
            unauthenticated: None,
            keys: Vec::new(),
            denied: None,
            permit: None,
            error: None,
            status: 0,
            received: 0,
            body_failed: false,
            sent: 0,
            crowding: None,
            place: None,
            share: None,
            at: None,
        }
    }

    /// It takes no place from others any more.
    pub(super) fn give_up_places(&mut self) {
        (self.place, self.share, self.at) = (None, None, None);
    }

    /// The head is read.
    pub(super) fn head(&mut self, head: &Head) {
        self.head_only = head.method == http::Method::HEAD;
        let version = head.query.get("versionId");
        self.version_id = version.map(|version| signature::told(version).into_owned());
        let own = head.query.pairs().filter(|(key, _)| is_own(key));
        self.parameters = own
            .map(|(key, value)| signature::told(&format!("{key}={value}")).into_owned())
            .collect();
    }

    /// The request is parsed.
    pub(super) fn parsed(&mut self, request: &Request) {
        let operation = request.call.operation();
        self.operation = Some(operation);
        // SDKs say the operation once more.
        let again = |own: &String| own.strip_prefix("x-id=") == Some(operation.name());
        self.parameters.retain(|own| !again(own));
        // Both names are shared, not copied.
        self.target = Some(request.target.clone());
    }

    /// The bucket.
    pub(super) fn bucket(&self) -> Option<&BucketName> {
        self.target.as_ref()?.bucket()
    }

    /// The key.
    pub(super) fn key(&self) -> Option<&str> {
        match self.target.as_ref()? {
            Target::Service | Target::Bucket(_) => None,
            Target::Object(_, key) => Some(key.as_str()),
        }
    }

    /// What errors name it: the address once it is understood, the decoded `path` before.
    pub(super) fn resource(&self, path: &str) -> String {
        match &self.target {
            Some(Target::Bucket(bucket)) => xml::resource(bucket, None),
            Some(Target::Object(bucket, key)) => xml::resource(bucket, Some(key)),
            Some(Target::Service) | None => percent_encoding::percent_decode_str(path)
                .decode_utf8_lossy()
                .into_owned(),
        }
    }
}
