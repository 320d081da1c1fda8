//! Everything that a reload swaps: a request sees one state from start to end.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use time::OffsetDateTime;

use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::backend::router::Backends;
use crate::handler::{Context, DecidedKeys};
use crate::identity::{BucketPolicies, Directory};
use crate::s3::Addressing;
use crate::transform;

/// Limits on what a client may do to a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest header section, in bytes.
    pub header_bytes: usize,
    /// How long a header section may take to arrive.
    pub header_timeout: Duration,
    /// How long a body may stall, in either direction.
    pub body_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// Requests that are answered at a time.
    pub requests: usize,
    /// Those of one caller.
    pub requests_per_caller: usize,
    /// Those that backends share: one that holds more than is left of them gets no more.
    pub requests_at_backends: usize,
    /// Streams at a time on one HTTP/2 connection.
    pub streams: u32,
    /// Limits on bodies.
    pub bodies: transform::Limits,
}

impl Default for Limits {
    /// `examples/full.toml` says why.
    fn default() -> Self {
        Self {
            header_bytes: 8192,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            requests: 10_000,
            requests_per_caller: 5_000,
            requests_at_backends: 10_000,
            streams: 100,
            bodies: transform::Limits::default(),
        }
    }
}

/// One immutable state.
#[derive(Debug)]
pub struct State {
    /// The domains under which buckets stand in host names.
    pub addressing: Addressing,
    /// Says who asks.
    pub authenticator: Authenticator,
    /// Says it at the listener of that port instead, where that takes other signatures.
    pub beside: Option<(u16, Authenticator)>,
    /// Says whether they may.
    pub authorizer: Authorizer,
    /// Who exists.
    pub directory: Arc<Directory>,
    /// Bucket policies.
    pub policies: Arc<BucketPolicies>,
    /// Where buckets live.
    pub backends: Arc<Backends>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether their `X-Forwarded-Proto` is believed as well.
    pub forwarded_proto: bool,
    /// The account that owns every bucket.
    pub account: Arc<str>,
    /// The region this gateway says it is.
    pub region: Arc<str>,
    /// Limits on clients.
    pub limits: Limits,
}

impl State {
    /// Who says who asks at the listener of `port`.
    #[must_use]
    pub fn authenticator(&self, port: Option<u16>) -> &Authenticator {
        match &self.beside {
            Some((beside, authenticator)) if port == Some(*beside) => authenticator,
            _ => &self.authenticator,
        }
    }

    /// What handlers need of it, and where they tell of keys that are decided one by one.
    #[must_use]
    pub fn context<'a>(&'a self, now: OffsetDateTime, keys: &'a DecidedKeys) -> Context<'a> {
        Context {
            backends: &self.backends,
            policies: &self.policies,
            authorizer: &self.authorizer,
            region: &self.region,
            account: &self.account,
            limits: &self.limits.bodies,
            now,
            keys,
        }
    }
}
