//! What is known of an upstream while it is used.

use super::config::{Config, Payload, Timeouts};
use super::counters::Counters;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::error::Error;
use super::framing::{Framing, Trailer};
use std::sync::Arc;

/// One upstream.
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) endpoint: Endpoint,
    pub(super) path_style: bool,
    pub(super) checksums: bool,
    pub(super) timeouts: Timeouts,
    pub(super) credentials: Credentials,
    pub(super) counters: Arc<Counters>,
    payload: Payload,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Whether there can be such a region.
pub(super) fn region(config: &Config) -> Result<(), Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    match !config.region.is_empty() && config.region.bytes().all(plain) {
        true => Ok(()),
        false => Err(Error::Config(format!(
            "`{}` is no region, which is as in `us-east-1`",
            config.region
        ))),
    }
}

impl Remote {
    pub(super) fn new(
        config: Config,
        endpoint: Endpoint,
        counters: Arc<Counters>,
    ) -> Result<Self, Error> {
        region(&config)?;
        Ok(Self {
            path_style: config.path_style || !endpoint.can_be_virtual(),
            endpoint,
            name: config.name,
            region: config.region,
            checksums: config.checksums,
            timeouts: config.timeouts,
            credentials: Credentials::new(config.credentials),
            counters,
            payload: config.payload,
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
}
