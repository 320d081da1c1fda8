//! An upstream's definition.

use super::credentials::CredentialsSource;
use super::mapping::Keys;
use std::path::PathBuf;
use std::time::Duration;

/// How uploaded bytes are protected on their way to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// What works everywhere: `UNSIGNED-PAYLOAD` over https and Unix sockets, signed chunks over
    /// http; with `checksums`, a checksum trailer.
    #[default]
    Auto,
    /// `UNSIGNED-PAYLOAD`: the least work. AWS takes it over https only. With `checksums`, an upload
    /// whose client gives a checksum at its end has it in an unsigned trailer.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: every 64 KiB signed; with `checksums`, a client's
    /// checksum in a signed trailer.
    SignedChunks,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER` over https, `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`
    /// otherwise: a checksum behind the body. AWS, MinIO since 2023, Ceph since 18.2.
    ChecksumTrailer,
}

/// How long an upstream may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To resolve, to connect with TLS, or to wait for a free connection, each.
    pub connect: Duration,
    /// From the end of a request to its answer's head, and between two pieces of a body.
    pub read: Duration,
    /// For one piece of a body to be taken.
    pub write: Duration,
    /// For an answer that is a document, head and all, of operations that an upstream may think
    /// about (completing an upload, copies).
    pub total: Duration,
    /// How long an idle connection is kept.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            total: Duration::from_secs(300),
            // Shorter than servers' own (AWS 20 s, nginx and Ceph 65 s and more), so that the pool
            // seldom holds what its server is about to close.
            idle: Duration::from_secs(15),
        }
    }
}

/// The definition of an upstream.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name, for logs and metrics; clients never see it.
    pub name: String,
    /// `https://host[:port]`, `http://host[:port]` or `unix:/path`.
    pub endpoint: String,
    /// The region to sign for.
    pub region: String,
    /// A PEM file of the only authorities to trust it by; `None` is the system's.
    pub ca: Option<PathBuf>,
    /// `https://host/bucket/key` rather than `https://bucket.host/key`. Addresses and sockets are
    /// always asked so.
    pub path_style: bool,
    /// How uploads are protected on their way.
    pub payload: Payload,
    /// What it makes of keys.
    pub keys: Keys,
    /// Whether it stores and returns `x-amz-checksum-*`. Where it does not, a checksum that a client
    /// gives in a header is kept in internal metadata; one in a trailer comes too late for that.
    pub checksums: bool,
    /// Where our credentials come from.
    pub credentials: CredentialsSource,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// The most connections at a time.
    pub max_connections: usize,
    /// The most of them for one caller; `None` leaves a quarter of them to others.
    pub max_connections_per_caller: Option<usize>,
}
