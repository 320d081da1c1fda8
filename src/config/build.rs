//! Validates a file and resolves it.

mod files;
mod listener;
mod logging;
mod running;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Error;
use super::identities::Users;
use super::reading;
use super::secret::SecretSource;
use super::{Config, Logging, Overrides, RootKey, Tls, file};
use crate::audit;
use crate::backend::disk::{self, Durability};
use crate::crypto::Secret;
use crate::iam::is_account;
use crate::proxy::Limits;
use crate::s3::PublicAccessBlock;
use crate::transform;

/// What the disk backend may remember names and objects in: 256 MiB.
const DISK_MEMORY: usize = 256 * 1024 * 1024;

/// How many bytes a second the disk backend reads to find damage: 2 MiB.
const DISK_SCRUB: u64 = 2 * 1024 * 1024;

/// Less would have it read directories anew for every page.
const LEAST_DISK_MEMORY: usize = 1024 * 1024;

/// The name of the bundled backend in routes.
pub(crate) const DISK: &str = "disk";

/// Builds a [`Config`] and remembers which files it read.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    name: &'a Path,
    text: &'a str,
    pub(super) base: PathBuf,
    pub(super) watched: Vec<PathBuf>,
    /// What its operator should look at, and is no mistake.
    pub(super) warnings: Vec<String>,
    /// The mistakes so far.
    pub(super) wrong: Vec<Error>,
    /// The tables of lists that are looked at: their keys, and where each stands.
    within: Vec<(String, String)>,
    /// Whether secrets are read: not to explain policies.
    pub(super) reads_secrets: bool,
    /// Whether is looked at what a start opens.
    pub(super) opens: bool,
    /// Whether is told what policies say in vain.
    pub(super) advises: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(name: &'a Path, path: Option<&Path>, text: &'a str) -> Self {
        let base = path
            .and_then(Path::parent)
            .map(Path::to_owned)
            .unwrap_or_default();
        Self {
            name,
            text,
            base,
            watched: path.map(Path::to_owned).into_iter().collect(),
            warnings: Vec::new(),
            wrong: Vec::new(),
            within: Vec::new(),
            reads_secrets: true,
            opens: true,
            advises: false,
        }
    }

    /// An error at `key`.
    pub(super) fn value(&self, key: &str, what: String) -> Error {
        let inner = self.within.iter().rev();
        let place = inner.filter_map(|(shown, place)| Some((key.strip_prefix(shown)?, place)));
        let place = place.map(|(rest, place)| format!("{place}{rest}")).next();
        Error::Value {
            path: self.name.to_owned(),
            line: reading::line(self.text, place.as_deref().unwrap_or(key)),
            key: key.to_owned(),
            what,
        }
    }

    /// Looks at the tables of a list, each with its key: what is told of one is told at its own line, also where
    /// another has its name.
    pub(super) fn each<T>(
        &mut self,
        list: &str,
        tables: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> Option<String>,
        mut look: impl FnMut(&mut Self, T, &str),
    ) {
        let above = self.within.last();
        let above = above.and_then(|(shown, place)| Some((list.strip_prefix(shown)?, place)));
        let above = above.map_or_else(|| list.to_owned(), |(rest, place)| format!("{place}{rest}"));
        for (table, nth) in tables.into_iter().zip(1..) {
            let key = match name(&table).filter(|name| !name.is_empty()) {
                Some(name) => format!("{list}.{name}"),
                None => format!("{list}.#{nth}"),
            };
            self.within.push((key.clone(), format!("{above}.#{nth}")));
            look(self, table, &key);
            self.within.pop();
        }
    }

    /// A mistake at `key`.
    pub(super) fn tell(&mut self, key: &str, what: String) {
        let wrong = self.value(key, what);
        self.wrong.push(wrong);
    }

    /// Whether a table of the list `list` has that name: where there is nothing of it, that is told already.
    pub(super) fn names(&self, list: &str, name: &str) -> bool {
        reading::is_written(self.text, list, name)
    }

    /// Whether the file has that key.
    fn is_written(&self, key: &str) -> bool {
        reading::has(self.text, key)
    }

    /// What was read, unless that was a mistake, which is told with all others.
    pub(super) fn keep<T>(&mut self, read: Result<T, Error>) -> Option<T> {
        read.map_err(|error| self.wrong.push(error)).ok()
    }

    /// A secret that the configuration names.
    pub(super) fn secret(&mut self, key: &str, source: &SecretSource) -> Result<Secret, Error> {
        source.check().map_err(|what| self.value(key, what))?;
        if !self.reads_secrets {
            return Ok(Secret::new("not read, and nothing is served".to_owned()));
        }
        self.watched.extend(source.file(&self.base));
        source
            .read(&self.base)
            .map_err(|what| self.value(key, what))
    }

    pub(super) fn duration(
        &self,
        key: &str,
        text: Option<&str>,
        default: Duration,
    ) -> Result<Duration, Error> {
        let Some(text) = text else { return Ok(default) };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
        let scale = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 0,
        };
        match number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(scale))
        {
            Some(millis @ 1..=86_400_000) => Ok(Duration::from_millis(millis)),
            _ => Err(self.value(
                key,
                format!("`{text}` is not a time such as `500ms`, `30s` or `5m`, up to a day"),
            )),
        }
    }

    /// A [`Self::duration`] that may also be none at all.
    fn delay(&self, key: &str, text: Option<&str>, default: Duration) -> Result<Duration, Error> {
        match text {
            Some("0s" | "0ms") => Ok(Duration::ZERO),
            text => self.duration(key, text, default),
        }
    }

    /// All of it; `None` where there are mistakes.
    pub(super) fn build(&mut self, file: file::File, overrides: &Overrides) -> Option<Config> {
        self.reads_secrets = !overrides.without_secrets;
        self.opens = !overrides.unopened;
        self.advises = overrides.advised;
        let account = self.account(&file);
        let account = self.keep(account);
        let region = self.region(&file);
        let region = self.keep(region);
        let data = self.data(&file, overrides);
        let users = Users::build(self, &file, account.as_deref().unwrap_or_default());
        let root = self.root(&file, overrides, &users);
        let (listen, admin_listen) = self.listening(&file, overrides);
        let tls = self.tls(&file.listener.tls);
        let domains = self.domains(&file.listener);
        let trusted_proxies = self.proxies(&file.listener.trusted_proxies);
        let forwarded_proto = self.forwarded_proto(&file.listener);
        let forwarded_proto = self.keep(forwarded_proto);
        let disk = self.disk(&file.disk, &data);
        let upstreams = self.upstreams(file.upstreams, region.as_deref());
        let routes = self.routes(&file.routes, &upstreams);
        let limits = self.limits(&file.limits);
        let (connections, drain_timeout, shutdown_delay, threads) = self.running(&file.limits);
        let logging = self.logging(&file.logging);
        let output = self.audit(file.audit.output.as_ref(), &data);
        let when_full = self.when_full(file.audit.when_full.as_deref());
        let when_full = self.keep(when_full);
        let admin_hosts = self.admin_hosts(file.admin.hosts);
        let config = Config {
            listen,
            insecure_http: overrides.insecure_http,
            http_listen: file.listener.http_address,
            admin_listen,
            admin_hosts,
            tls,
            domains,
            external_url: file.listener.external_url,
            trusted_proxies,
            forwarded_proto: forwarded_proto?,
            signature_v2: file.listener.signature_v2.unwrap_or(false),
            http_signature_v2: file.listener.http_signature_v2.unwrap_or(false),
            root,
            disk,
            upstreams,
            routes,
            explain_denials: file.authorization.explain_denials.unwrap_or(false),
            public_access_block: public_access_block(&file.public_access_block),
            limits,
            connections,
            drain_timeout,
            shutdown_delay,
            threads,
            logging,
            audit: audit::Config {
                output,
                when_full: when_full?,
            },
            account: account?.into(),
            region: region?.into(),
            policy_limits: users.limits,
            refuses_unknown_actions: users.refuses_unknown_actions,
            users,
            data,
            watched: std::mem::take(&mut self.watched),
            warnings: std::mem::take(&mut self.warnings),
        };
        self.wrong.is_empty().then_some(config)
    }

    pub(super) fn account(&self, file: &file::File) -> Result<String, Error> {
        let account = file.account_id.as_deref().unwrap_or("123456789012");
        match is_account(account) {
            true => Ok(account.to_owned()),
            false => Err(self.value("account_id", format!("`{account}` is not 12 digits"))),
        }
    }

    fn region(&self, file: &file::File) -> Result<String, Error> {
        let region = file.region.as_deref().unwrap_or("us-east-1");
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match !region.is_empty() && region.bytes().all(plain) {
            true => Ok(region.to_owned()),
            false => Err(self.value("region", format!("`{region}` is not of a-z, 0-9 and `-`"))),
        }
    }

    fn data(&mut self, file: &file::File, overrides: &Overrides) -> PathBuf {
        let data = match (&overrides.data, &file.data) {
            (Some(data), _) => data.clone(),
            (None, Some(data)) => match self.path("data", data) {
                Some(data) => data,
                None => return self.base.clone(),
            },
            (None, None) => self.base.join("portcullis-data"),
        };
        if self.opens {
            self.is_directory("data", &data);
        }
        data
    }

    fn root(&mut self, file: &file::File, overrides: &Overrides, users: &Users) -> Option<RootKey> {
        let root = match (&overrides.root, &file.root) {
            (Some(root), _) => root.clone(),
            (None, Some(root)) => {
                let mut read = |key, source: &Option<SecretSource>| {
                    let secret = self.secret(key, source.as_ref()?);
                    self.keep(secret)
                };
                let id = read("root.access_key", &root.access_key);
                let secret = read("root.secret_key", &root.secret_key);
                RootKey {
                    id: id?.expose().to_owned(),
                    secret: secret?,
                }
            }
            (None, None) => return None,
        };
        if root.secret.expose().len() < 8 || root.id.len() < 3 {
            let what = "the access key has at least 3 characters and the secret key 8";
            self.tell("root", what.to_owned());
        }
        const SAMPLES: [&str; 5] = [
            "minioadmin",
            "rustfsadmin",
            "password",
            "admin123",
            "changeme",
        ];
        if SAMPLES.contains(&root.secret.expose()) {
            let what = "this is a well-known sample and no secret";
            self.tell("root.secret_key", what.to_owned());
        }
        if users.has_key(&root.id) {
            let what = "this is a user's access key as well";
            self.tell("root.access_key", what.to_owned());
        }
        Some(root)
    }

    fn disk(&mut self, written: &file::Disk, data: &Path) -> disk::Config {
        let durability = match written.durability.as_deref() {
            None | Some("strict") => Durability::Strict,
            Some("relaxed") => Durability::Relaxed,
            Some(other) => {
                let what = format!("`{other}` is neither `strict` nor `relaxed`");
                self.tell("disk.durability", what);
                Durability::Strict
            }
        };
        let path = match &written.path {
            None => data.join("objects"),
            Some(path) => self.path("disk.path", path).unwrap_or_default(),
        };
        if self.opens && written.path.is_some() {
            self.is_directory("disk.path", &path);
            self.apart("disk.path", &path, data);
        }
        let memory = written.memory_bytes.unwrap_or(DISK_MEMORY);
        if memory < LEAST_DISK_MEMORY {
            let what = format!("`{memory}` is less than {LEAST_DISK_MEMORY}");
            self.tell("disk.memory_bytes", what);
        }
        disk::Config {
            path,
            durability,
            memory,
            scrub: written.scrub_bytes_per_second.unwrap_or(DISK_SCRUB),
        }
    }
}

/// All is blocked that nobody has opened.
pub(super) fn public_access_block(written: &file::PublicAccessBlock) -> PublicAccessBlock {
    PublicAccessBlock {
        block_public_acls: written.block_public_acls.unwrap_or(true),
        ignore_public_acls: written.ignore_public_acls.unwrap_or(true),
        block_public_policy: written.block_public_policy.unwrap_or(true),
        restrict_public_buckets: written.restrict_public_buckets.unwrap_or(true),
    }
}
