//! Upstreams and the routes to them, from the configuration.

use super::build::{Builder, DISK};
use super::file;
use crate::backend::router::{Route, overlaps};
use crate::backend::upstream::{
    self, BucketPattern, CredentialsSource, Endpoint, Keys, Mapping, Payload, Timeouts, Upstream,
};

impl Builder<'_> {
    pub(super) fn upstreams(
        &mut self,
        written: Vec<file::Upstream>,
        region: &str,
    ) -> Vec<(String, upstream::Config)> {
        let mut upstreams: Vec<(String, upstream::Config)> = Vec::new();
        for upstream in written {
            let key = format!("upstreams.{}", upstream.name);
            let twice = upstreams.iter().any(|(name, _)| *name == upstream.name);
            match upstream.name.as_str() {
                "" => self.tell("upstreams.name", "the name is empty".to_owned()),
                DISK => self.tell(&key, "`disk` is the bundled backend's name".to_owned()),
                name if twice => self.tell(&key, format!("two backends are called `{name}`")),
                _ => {}
            }
            upstreams.extend(self.upstream(upstream, region, &key));
        }
        upstreams
    }

    fn upstream(
        &mut self,
        upstream: file::Upstream,
        region: &str,
        key: &str,
    ) -> Option<(String, upstream::Config)> {
        let payload = match upstream.payload.as_deref() {
            None | Some("auto") => Payload::Auto,
            Some("unsigned") => Payload::Unsigned,
            Some("signed-chunks") => Payload::SignedChunks,
            Some("checksum-trailer") => Payload::ChecksumTrailer,
            Some(other) => {
                let what = format!(
                    "`{other}` is none of `auto`, `unsigned`, `signed-chunks`, `checksum-trailer`"
                );
                self.tell(&format!("{key}.payload"), what);
                Payload::Auto
            }
        };
        let keys = match upstream.keys.as_deref() {
            None | Some("normalized") => Keys::Normalized,
            Some("trimmed") => Keys::Trimmed,
            Some("exact") => Keys::Exact,
            Some(other) => {
                let what = format!("`{other}` is none of `normalized`, `trimmed`, `exact`");
                self.tell(&format!("{key}.keys"), what);
                // What it is meant to be is not known: nothing more is said of it.
                Keys::Exact
            }
        };
        let ca = upstream.ca.as_ref();
        let ca = ca.and_then(|path| self.path(&format!("{key}.ca"), path));
        self.watched.extend(ca.clone());
        let credentials = self.credentials(key, &upstream.credentials);
        let config = upstream::Config {
            endpoint: upstream.endpoint,
            region: upstream.region.unwrap_or_else(|| region.to_owned()),
            ca,
            path_style: upstream.path_style.unwrap_or(true),
            payload,
            keys,
            checksums: upstream.checksums.unwrap_or(false),
            // Those that are wrong are told, and nothing is made with them.
            credentials: credentials.unwrap_or(CredentialsSource::Chain { profile: None }),
            timeouts: self.timeouts(key, &upstream.timeouts),
            max_connections: upstream.max_connections.unwrap_or(1024),
            max_connections_per_caller: upstream.max_connections_per_caller,
            name: upstream.name.clone(),
        };
        if self.opens {
            // Whether it is needed is not known without an endpoint; that it is not there is.
            if let (Some(ca), Err(_)) = (&config.ca, Endpoint::parse(&config.endpoint)) {
                self.is_file(&format!("{key}.ca"), ca);
            }
            for (name, why) in Upstream::mistakes(&config) {
                self.tell(&format!("{key}.{name}"), why.into_reason());
            }
        }
        Some((upstream.name, config))
    }

    /// `None` where they are wrong, which is told.
    fn credentials(
        &mut self,
        key: &str,
        written: &file::UpstreamCredentials,
    ) -> Option<CredentialsSource> {
        let key = format!("{key}.credentials");
        let written = match written {
            file::UpstreamCredentials::Named(name) if name == "chain" => {
                return Some(CredentialsSource::Chain { profile: None });
            }
            file::UpstreamCredentials::Named(_) => {
                let what = "give `\"chain\"` or a table of `access_key` and `secret_key`";
                self.tell(&key, what.to_owned());
                return None;
            }
            file::UpstreamCredentials::Key(written) => written,
        };
        let token = written.session_token.as_ref();
        let sources = [&written.access_key, &written.secret_key].into_iter();
        // Files are read again by the backend when they change, without a reload of everything.
        let files = sources.chain(token).map(|source| source.file(&self.base));
        let files = files.collect::<Option<Vec<_>>>();
        if let Some([access_key_id, secret_access_key, token @ ..]) = files.as_deref() {
            let sources = [&written.access_key, &written.secret_key].into_iter();
            let mut fine = true;
            for (source, path) in sources
                .chain(written.session_token.as_ref())
                .zip(files.iter().flatten())
            {
                fine &= match source.check() {
                    Ok(()) => !self.reads_secrets || self.is_file(&key, path),
                    Err(what) => {
                        self.tell(&key, what);
                        false
                    }
                };
            }
            return fine.then(|| CredentialsSource::Files {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret_access_key.clone(),
                session_token: token.first().cloned(),
            });
        }
        let mut read = |name: &str, source| {
            let secret = self.secret(&format!("{key}.{name}"), source);
            self.keep(secret)
        };
        let access_key_id = read("access_key", &written.access_key);
        let secret_access_key = read("secret_key", &written.secret_key);
        let session_token = token.map(|token| read("session_token", token));
        Some(CredentialsSource::Static {
            access_key_id: access_key_id?.expose().to_owned(),
            secret_access_key: secret_access_key?,
            session_token: match session_token {
                None => None,
                Some(token) => Some(token?),
            },
        })
    }

    fn timeouts(&mut self, key: &str, written: &file::Timeouts) -> Timeouts {
        let default = Timeouts::default();
        let mut one = |name: &str, text: &Option<String>, default| {
            let key = format!("{key}.timeouts.{name}");
            let read = self.duration(&key, text.as_deref(), default);
            self.keep(read).unwrap_or(default)
        };
        Timeouts {
            connect: one("connect", &written.connect, default.connect),
            read: one("read", &written.read, default.read),
            write: one("write", &written.write, default.write),
            total: one("total", &written.total, default.total),
            idle: one("idle", &written.idle, default.idle),
        }
    }

    /// Routes to `upstreams` and to the disk.
    pub(super) fn routes(
        &mut self,
        written: &[file::Route],
        upstreams: &[(String, upstream::Config)],
    ) -> Vec<Route> {
        let mut routes = Vec::new();
        for route in written {
            routes.extend(self.route(route, upstreams));
        }
        let named = upstreams
            .iter()
            .map(|(name, config)| (name.as_str(), config));
        // Of an endpoint that makes no sense that is told, and where it leads is not known.
        let known = named.filter(|(_, config)| Endpoint::parse(&config.endpoint).is_ok());
        for (bucket, why) in overlaps(known, &routes).unwrap_or_default() {
            self.tell(&format!("routes.{bucket}"), why);
        }
        routes
    }

    /// `None` where it leads nowhere, which is told.
    fn route(
        &mut self,
        route: &file::Route,
        upstreams: &[(String, upstream::Config)],
    ) -> Option<Route> {
        let key = format!("routes.{}", route.bucket);
        let upstream = upstreams.iter().find(|(name, _)| *name == route.backend);
        if upstream.is_none() && route.backend != DISK {
            if !self.names("upstreams", &route.backend) {
                let what = format!("there is no backend `{}`", route.backend);
                self.tell(&format!("{key}.backend"), what);
            }
            return None;
        }
        let mapping = Mapping {
            rename: route.rename.clone(),
            key_prefix: route.key_prefix.clone().unwrap_or_default(),
        };
        let pattern = BucketPattern::parse(&route.bucket);
        let pattern = pattern
            .map_err(|why| self.tell(&key, why.into_reason()))
            .ok();
        let renamed = pattern
            .as_ref()
            .map_or(Ok(()), |pattern| mapping.can_rename(pattern));
        let checks = match upstream {
            None => vec![("backend", mapping.can_be_local(&route.backend))],
            Some((_, config)) => vec![
                ("rename", renamed),
                (
                    "key_prefix",
                    mapping
                        .can_prefix()
                        .and_then(|()| mapping.can_be(config.keys)),
                ),
            ],
        };
        for (name, check) in checks {
            if let Err(why) = check {
                self.tell(&format!("{key}.{name}"), why.into_reason());
            }
        }
        Some(Route {
            pattern: pattern?,
            store: route.backend.clone(),
            mapping,
            shared: route.shared.unwrap_or(false),
        })
    }
}
