//! What the user wrote: the TOML file, key by key, before anything is opened or checked. What must be there and
//! is not, or is wrong, is `None`: that has been told.
//!
//! `examples/full.toml` documents every key with its default and reason.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::secret::SecretSource;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The account that owns every bucket.
    pub account_id: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// Where generated files and state live.
    pub data: Option<PathBuf>,
    /// The data listener.
    pub listener: Listener,
    /// The admin listener.
    pub admin: Admin,
    /// The root user's access key.
    pub root: Option<Root>,
    /// The bundled disk backend.
    pub disk: Disk,
    /// Remote stores.
    pub upstreams: Vec<Upstream>,
    /// Which bucket is where.
    pub routes: Vec<Route>,
    /// Users.
    pub users: Vec<User>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Policies that users and groups name.
    pub policies: Vec<Policy>,
    /// Decisions.
    pub authorization: Authorization,
    /// What of public access is blocked.
    pub public_access_block: PublicAccessBlock,
    /// Limits on clients.
    pub limits: Limits,
    /// Logs.
    pub logging: Logging,
    /// Audit events.
    pub audit: Audit,
}

/// `[listener]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// Where TLS is listened for.
    pub address: Option<SocketAddr>,
    /// Where plain HTTP is listened for as well.
    pub http_address: Option<SocketAddr>,
    /// Domains under which a bucket may stand in the host name.
    pub virtual_host_domains: Vec<String>,
    /// The URL that clients use, behind a load balancer.
    pub external_url: Option<String>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Whether their `X-Forwarded-Proto` is believed as well.
    pub forwarded_proto: Option<bool>,
    /// Whether Signature Version 2 is taken at `address`.
    pub signature_v2: Option<bool>,
    /// Whether it is taken at `http_address`.
    pub http_signature_v2: Option<bool>,
    /// TLS.
    pub tls: Tls,
}

/// `[listener.tls]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// `1.2` or `1.3`.
    pub minimum_version: Option<String>,
    /// Authorities that client certificates must come from.
    pub client_ca: Option<PathBuf>,
    /// `required` or `optional`.
    pub client_certificates: Option<String>,
}

/// `[admin]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Where health and metrics are listened for.
    pub address: Option<SocketAddr>,
    /// Names that its clients call it by.
    pub hosts: Vec<String>,
}

/// `[root]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The access key id.
    pub access_key: Option<SecretSource>,
    /// The secret.
    pub secret_key: Option<SecretSource>,
}

/// `[disk]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// Where objects live.
    pub path: Option<PathBuf>,
    /// `strict` or `relaxed`.
    pub durability: Option<String>,
    /// About how much memory names and objects may be remembered in, in bytes.
    pub memory_bytes: Option<usize>,
    /// How many bytes a second are read to find damage; 0 for none.
    pub scrub_bytes_per_second: Option<u64>,
}

/// `[[upstreams]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// What routes call it.
    pub name: Option<String>,
    /// `https://…`, `http://…` or `unix:/…`.
    pub endpoint: Option<String>,
    /// The region to sign for.
    pub region: Option<String>,
    /// Its own authority, PEM.
    pub ca: Option<PathBuf>,
    /// Bucket in the path rather than in the host.
    pub path_style: Option<bool>,
    /// What it makes of keys: `normalized` or `exact`.
    pub keys: Option<String>,
    /// How uploads are protected on their way.
    pub payload: Option<String>,
    /// Whether it stores checksums.
    pub checksums: Option<bool>,
    /// The most connections at a time.
    pub max_connections: Option<usize>,
    /// The most of them for one caller.
    pub max_connections_per_caller: Option<usize>,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Our credentials there.
    pub credentials: Option<UpstreamCredentials>,
}

/// `upstreams.timeouts`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect.
    pub connect: Option<String>,
    /// For the next bytes of an answer.
    pub read: Option<String>,
    /// For the next bytes of a body to be taken.
    pub write: Option<String>,
    /// For an answer that is a document.
    pub total: Option<String>,
    /// How long an idle connection is kept.
    pub idle: Option<String>,
}

/// `upstreams.credentials`: a table, or `"chain"`.
#[derive(Debug)]
pub enum UpstreamCredentials {
    /// `"chain"`: the standard AWS chain.
    Named(String),
    /// A key.
    Key(UpstreamKey),
}

/// By hand, since a derived one says of a table only that it is none of the two.
impl<'de> Deserialize<'de> for UpstreamCredentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CredentialsVisitor)
    }
}

struct CredentialsVisitor;

impl<'de> Visitor<'de> for CredentialsVisitor {
    type Value = UpstreamCredentials;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("credentials of an upstream")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<UpstreamCredentials, E> {
        Ok(UpstreamCredentials::Named(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<UpstreamCredentials, A::Error> {
        let key = UpstreamKey::deserialize(MapAccessDeserializer::new(table))?;
        Ok(UpstreamCredentials::Key(key))
    }
}

/// An upstream's key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamKey {
    /// The access key id.
    pub access_key: Option<SecretSource>,
    /// The secret.
    pub secret_key: Option<SecretSource>,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretSource>,
}

/// `[[routes]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// A bucket, or a pattern with `*`.
    pub bucket: Option<String>,
    /// The backend's name; `disk` is the bundled one.
    pub backend: Option<String>,
    /// The bucket's name there.
    pub rename: Option<String>,
    /// What stands before every key there.
    pub key_prefix: Option<String>,
    /// Whether other routes may lead to the same keys.
    pub shared: Option<bool>,
}

/// `[[users]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The friendly name.
    pub name: Option<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Access keys.
    #[serde(default)]
    pub access_keys: Vec<AccessKey>,
    /// Policies.
    #[serde(default)]
    pub policies: Vec<String>,
    /// The policy that is the permission boundary.
    pub boundary: Option<String>,
    /// Tags, as `aws:PrincipalTag/…` has them.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A user's access key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// The public half.
    pub id: Option<String>,
    /// The secret half.
    pub secret: Option<SecretSource>,
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// The policy that limits it further: it is a service account's.
    pub policy: Option<String>,
}

/// `[[groups]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The friendly name.
    pub name: Option<String>,
    /// Policies.
    #[serde(default)]
    pub policies: Vec<String>,
}

/// `[[policies]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What users and groups call it.
    pub name: Option<String>,
    /// A file of JSON.
    pub document: Option<PathBuf>,
    /// The JSON itself.
    pub inline: Option<String>,
}

/// `[authorization]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// Whether refused clients are told what is missing.
    pub explain_denials: Option<bool>,
    /// The longest policy of an identity, in characters without white space.
    pub identity_policy_characters: Option<usize>,
    /// What becomes of a policy with an action that there is not: `refuse` or `warn`.
    pub unknown_actions: Option<String>,
}

/// `[public_access_block]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublicAccessBlock {
    /// Requests that bring a public ACL are refused.
    pub block_public_acls: Option<bool>,
    /// Public ACLs grant nothing.
    pub ignore_public_acls: Option<bool>,
    /// A public bucket policy is refused when it is put.
    pub block_public_policy: Option<bool>,
    /// What a public bucket policy grants reaches nobody outside of the account.
    pub restrict_public_buckets: Option<bool>,
}

/// `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest header section, in bytes.
    pub header_bytes: Option<usize>,
    /// The largest upload, in bytes.
    pub upload_bytes: Option<u64>,
    /// How long a header section may take.
    pub header_timeout: Option<String>,
    /// How long a body may stall.
    pub body_timeout: Option<String>,
    /// How long a connection may be idle.
    pub idle_timeout: Option<String>,
    /// How long requests may go on after SIGTERM.
    pub drain_timeout: Option<String>,
    /// How long readiness is red before the listeners close.
    pub shutdown_delay: Option<String>,
    /// The most connections of a listener.
    pub connections: Option<usize>,
    /// The most requests at a time.
    pub requests: Option<usize>,
    /// The most requests of one caller at a time.
    pub requests_per_caller: Option<usize>,
    /// The most streams of an HTTP/2 connection.
    pub streams: Option<u32>,
    /// The most bytes of signed chunks that are held until they are verified.
    pub unverified_bytes: Option<usize>,
    /// The most bytes of long answers that wait to be sent.
    pub answer_bytes: Option<usize>,
    /// Threads that answer requests.
    pub threads: Option<usize>,
}

/// `[logging]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// `human` or `json`.
    pub format: Option<String>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives.
    pub level: Option<String>,
}

/// `[audit]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// `"stdout"`, `"off"` or `{ file = "…" }`.
    pub output: Option<AuditOutput>,
    /// `drop` or `block`.
    pub when_full: Option<String>,
}

/// Where audit events go.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum AuditOutput {
    /// `"stdout"` or `"off"`.
    Named(String),
    /// `{ file = "…" }`.
    Table(BTreeMap<String, PathBuf>),
}
