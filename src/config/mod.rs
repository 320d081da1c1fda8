//! What the user wrote becomes what the program needs: opened, resolved and compiled, once.

mod build;
mod error;
pub mod file;
mod identities;
mod reading;
mod secret;
mod upstreams;
mod words;

pub(crate) use build::DISK;
pub use error::Error;
pub use file::File;
pub use identities::PolicyRules;
pub use secret::SecretSource;
pub(crate) use words::ADDRESS;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::audit;
use crate::backend::disk;
use crate::backend::router::{Route, Store};
use crate::identity::Directory;
use crate::proxy::Limits;
use crate::s3::PublicAccessBlock;

/// The default port of S3 gateways.
const DEFAULT_PORT: u16 = 9000;
/// The default port of the admin listener.
const DEFAULT_ADMIN_PORT: u16 = 9001;

/// What the command line and environment say, which outweighs the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--insecure-http`: the data listener without TLS.
    pub insecure_http: bool,
    /// `--insecure-http-anywhere`: also off loopback.
    pub insecure_anywhere: bool,
    /// Root's key from the environment.
    pub root: Option<RootKey>,
    /// Secrets are not read: nothing will be served.
    pub without_secrets: bool,
    /// Nothing that a start opens is looked at either: certificates, authorities, directories.
    pub unopened: bool,
    /// What policies say in vain is warned of.
    pub advised: bool,
}

/// Root's access key.
#[derive(Clone, Debug)]
pub struct RootKey {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: crate::crypto::Secret,
}

/// TLS of the data listener.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The operator's certificate and key; `None` generates both.
    pub files: Option<(PathBuf, PathBuf)>,
    /// Whether TLS 1.2 is refused.
    pub only_1_3: bool,
    /// Authorities of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is let in all the same.
    pub client_may_be_without: bool,
}

/// How logs look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// JSON rather than text.
    pub json: bool,
    /// The filter.
    pub level: String,
}

/// A validated configuration.
#[derive(Debug)]
pub struct Config {
    /// The account that owns every bucket.
    pub account: Arc<str>,
    /// The region that requests are signed for.
    pub region: Arc<str>,
    /// Where generated files and state live.
    pub data: PathBuf,
    /// Where TLS is listened for; plain HTTP with `insecure_http`.
    pub listen: SocketAddr,
    /// Whether that listener is without TLS.
    pub insecure_http: bool,
    /// A plain listener beside it.
    pub http_listen: Option<SocketAddr>,
    /// The admin listener.
    pub admin_listen: SocketAddr,
    /// Names that clients of the admin listener may call it by.
    pub admin_hosts: Vec<String>,
    /// TLS.
    pub tls: Tls,
    /// Domains of virtual-hosted-style addresses.
    pub domains: Vec<String>,
    /// The URL that clients use.
    pub external_url: Option<String>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether they say if their client came by TLS.
    pub forwarded_proto: bool,
    /// Whether Signature Version 2 is taken by the listener at `listen`.
    pub signature_v2: bool,
    /// Whether it is taken by the one at `http_listen`.
    pub http_signature_v2: bool,
    /// Root's key, when it is configured.
    pub root: Option<RootKey>,
    /// The disk backend.
    pub disk: disk::Config,
    /// Upstreams by name.
    pub upstreams: Vec<(String, crate::backend::upstream::Config)>,
    /// Routes, in order.
    pub routes: Vec<Route>,
    /// Users and their keys, without root's.
    pub users: identities::Users,
    /// Whether refused clients are told what is missing or denies.
    pub explain_denials: bool,
    /// What of public access is blocked, whatever buckets say.
    pub public_access_block: PublicAccessBlock,
    /// Limits on clients.
    pub limits: Limits,
    /// The most connections of a listener; by default what the limit of descriptors has room for.
    pub connections: Option<usize>,
    /// How long requests may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// How long readiness is red before the listeners close.
    pub shutdown_delay: Duration,
    /// Threads that answer requests.
    pub threads: usize,
    /// Logs.
    pub logging: Logging,
    /// Audit events.
    pub audit: audit::Config,
    /// Files whose change makes a reload: the configuration, policies, secrets.
    pub watched: Vec<PathBuf>,
    /// How long policies may be.
    pub policy_limits: crate::iam::PolicyLimits,
    /// Whether an identity's policy with an action that there is not is refused.
    pub refuses_unknown_actions: bool,
    /// What its operator should look at, and is no mistake.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and validates `path`; no file is an empty one.
    ///
    /// # Errors
    /// [`Error`] names the file, the line or key, and what would be right.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, Error> {
        let name = path.unwrap_or(Path::new("(defaults)"));
        let text = path.map_or(Ok(String::new()), words::read_text);
        let text = text.map_err(|error| Error::File {
            path: name.to_owned(),
            error,
        })?;
        let (file, mut wrong) = reading::read(name, &text);
        let mut config = None;
        if let Some(file) = file {
            let mut builder = build::Builder::new(name, path, &text);
            config = builder.build(file, overrides);
            wrong.append(&mut builder.wrong);
        }
        match (config, Error::all(wrong)) {
            (Some(config), None) => Ok(config),
            (_, Some(wrong)) => Err(wrong),
            (None, None) => Err(Error::Several(Vec::new())),
        }
    }

    /// Logs what its operator should look at.
    pub fn warn(&self) {
        for what in &self.warnings {
            tracing::warn!("{what}");
        }
    }

    /// Everyone who exists, with root.
    #[must_use]
    pub fn directory(&self, root: &RootKey) -> Directory {
        self.users.directory(root)
    }

    /// Whether a request that comes over plain HTTP, or over TLS, may be signed by Version 2.
    #[must_use]
    pub fn takes_version_two(&self, plain: bool) -> bool {
        match plain && self.http_listen.is_some() && !self.insecure_http {
            true => self.http_signature_v2,
            false => self.signature_v2,
        }
    }

    /// The default data listener.
    #[must_use]
    pub fn default_listen() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()
    }

    /// The default admin listener.
    #[must_use]
    pub fn default_admin_listen() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT).into()
    }

    /// The backends that the file names, for the router: the disk is opened by the caller.
    #[must_use]
    pub fn stores(&self) -> Vec<(String, Store)> {
        let boxed = |(name, config): &(String, _)| {
            (
                name.clone(),
                Store::Upstream(Box::new(crate::backend::upstream::Config::clone(config))),
            )
        };
        self.upstreams.iter().map(boxed).collect()
    }
}
