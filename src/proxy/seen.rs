//! What is known of a request so far, for audit and metrics: filled as the line proceeds.

use std::time::Instant;

use time::OffsetDateTime;

use crate::authz::{Denied, Permit};
use crate::s3::{Error, Head, Operation, Peer, Request, Target, xml};

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
    /// The client's name for itself.
    pub(super) user_agent: Option<String>,
    /// What it is about, as errors name it.
    pub(super) resource: String,
    /// Whether only a head is answered.
    pub(super) head_only: bool,
    /// The operation, once parsed.
    pub(super) operation: Option<Operation>,
    /// The bucket, once parsed.
    pub(super) bucket: Option<String>,
    /// The key, once parsed.
    pub(super) key: Option<String>,
    /// Why authentication failed.
    pub(super) unauthenticated: Option<&'static str>,
    /// What was refused.
    pub(super) denied: Option<Box<Denied>>,
    /// What was permitted.
    pub(super) permit: Option<Permit>,
    /// What the client was told.
    pub(super) error: Option<Error>,
    /// The status of the answer.
    pub(super) status: u16,
    /// Body bytes received, as framed by the client.
    pub(super) received: u64,
    /// Body bytes sent.
    pub(super) sent: u64,
}

impl Seen {
    pub(super) fn new(request_id: String, now: OffsetDateTime) -> Self {
        Self {
            request_id,
            now,
            started: Instant::now(),
            admitted: None,
            peer: None,
            user_agent: None,
            resource: String::new(),
            head_only: false,
            operation: None,
            bucket: None,
            key: None,
            unauthenticated: None,
            denied: None,
            permit: None,
            error: None,
            status: 0,
            received: 0,
            sent: 0,
        }
    }

    /// The head is read.
    pub(super) fn head(&mut self, head: &Head) {
        self.head_only = head.method == http::Method::HEAD;
        self.resource.clone_from(&head.path);
        let agent = head.headers.get(http::header::USER_AGENT);
        self.user_agent = agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    }

    /// The request is parsed.
    pub(super) fn parsed(&mut self, request: &Request) {
        self.operation = Some(request.call.operation());
        match &request.target {
            Target::Service => {}
            Target::Bucket(bucket) => {
                self.resource = xml::resource(bucket, None);
                self.bucket = Some(bucket.to_string());
            }
            Target::Object(bucket, key) => {
                self.resource = xml::resource(bucket, Some(key));
                self.bucket = Some(bucket.to_string());
                self.key = Some(key.to_string());
            }
        }
    }
}
