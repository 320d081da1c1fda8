//! Upstreams and the routes to them, from the configuration.

use super::build::{Builder, DISK};
use super::file;
use crate::backend::router::{Route, overlaps};
use crate::backend::upstream::{
    self, BucketPattern, CredentialsSource, Endpoint, Keys, Mapping, Payload, Timeouts, Upstream,
};

impl Builder<'_> {
    /// Those that are written; `region` is where they are when they do not say, `None` where it is wrong.
    pub(super) fn upstreams(
        &mut self,
        written: Vec<file::Upstream>,
        region: Option<&str>,
    ) -> Vec<(String, upstream::Config)> {
        let mut upstreams: Vec<(String, upstream::Config)> = Vec::new();
        let name = |upstream: &file::Upstream| upstream.name.clone();
        self.each("upstreams", written, name, |builder, upstream, key| {
            let twice = |name: &str| upstreams.iter().any(|(known, _)| known == name);
            match upstream.name.as_deref() {
                None => {}
                Some("") => builder.tell(key, "the name is empty".to_owned()),
                Some(DISK) => builder.tell(key, "`disk` is the bundled backend's name".to_owned()),
                Some(name) if twice(name) => {
                    builder.tell(key, format!("two backends are called `{name}`"));
                }
                Some(_) => {}
            }
            upstreams.push(builder.upstream(upstream, region, key));
        });
        upstreams
    }

    fn upstream(
        &mut self,
        upstream: file::Upstream,
        region: Option<&str>,
        key: &str,
    ) -> (String, upstream::Config) {
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
        let written = upstream.credentials.as_ref();
        let credentials = written.and_then(|written| self.credentials(key, written));
        let name = upstream.name.unwrap_or_default();
        // Of a default that is wrong, or of what is missing, more is not told.
        let untold = |what: &str| match what {
            "endpoint" => upstream.endpoint.is_none(),
            "region" => upstream.region.is_none() && region.is_none(),
            _ => false,
        };
        let untold = ["endpoint", "region"].map(|what| (what, untold(what)));
        let config = upstream::Config {
            endpoint: upstream.endpoint.unwrap_or_default(),
            region: upstream
                .region
                .or(region.map(str::to_owned))
                .unwrap_or_default(),
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
            name: name.clone(),
        };
        if self.opens {
            // Whether it is needed is not known without an endpoint; that it is not there is.
            if let (Some(ca), Err(_)) = (&config.ca, Endpoint::parse(&config.endpoint)) {
                self.is_file(&format!("{key}.ca"), ca);
            }
            let wrong = Upstream::mistakes(&config).into_iter();
            for (what, why) in wrong.filter(|(what, _)| !untold.contains(&(what, true))) {
                self.tell(&format!("{key}.{what}"), why.into_reason());
            }
        }
        (name, config)
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
        let sources = [
            ("access_key", &written.access_key),
            ("secret_key", &written.secret_key),
            ("session_token", &written.session_token),
        ];
        let given = sources.into_iter();
        let given =
            given.filter_map(|(name, source)| Some((format!("{key}.{name}"), source.as_ref()?)));
        let given: Vec<_> = given.collect();
        // What is missing has been told, and the others are looked at all the same.
        let is_whole = written.access_key.is_some() && written.secret_key.is_some();
        // Files are read again by the backend when they change, without a reload of everything.
        let files = given.iter().map(|(_, source)| source.file(&self.base));
        if let Some(files) = files.collect::<Option<Vec<_>>>() {
            let mut fine = is_whole;
            for ((key, source), path) in given.iter().zip(&files) {
                fine &= match source.check() {
                    Ok(()) => !self.reads_secrets || self.is_file(key, path),
                    Err(what) => {
                        self.tell(key, what);
                        false
                    }
                };
            }
            let mut files = files.into_iter().filter(|_| fine);
            return Some(CredentialsSource::Files {
                access_key_id: files.next()?,
                secret_access_key: files.next()?,
                session_token: files.next(),
            });
        }
        let mut secrets = Vec::new();
        for (key, source) in given {
            let secret = self.secret(&key, source);
            secrets.push(self.keep(secret));
        }
        let secrets = secrets.into_iter().collect::<Option<Vec<_>>>();
        let mut secrets = secrets.filter(|_| is_whole)?.into_iter();
        Some(CredentialsSource::Static {
            access_key_id: secrets.next()?.expose().to_owned(),
            secret_access_key: secrets.next()?,
            session_token: secrets.next(),
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
        let mut routes: Vec<Route> = Vec::new();
        let name = |route: &&file::Route| route.bucket.clone();
        self.each("routes", written, name, |builder, route, key| {
            routes.extend(builder.route(route, upstreams, key));
        });
        let named = upstreams
            .iter()
            .map(|(name, config)| (name.as_str(), config));
        for (at, route) in routes.iter().enumerate() {
            let mut earlier = routes.iter().take(at);
            if let Some(first) = earlier.find(|earlier| earlier.pattern.covers(&route.pattern)) {
                self.warnings.push(format!(
                    "`routes.{}`: no request takes this route to `{}`: the one of `{}` to `{}` stands before it, and \
                     the first that matches decides",
                    route.pattern, route.store, first.pattern, first.store
                ));
            }
        }
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
        key: &str,
    ) -> Option<Route> {
        let mapping = Mapping {
            rename: route.rename.clone(),
            key_prefix: route.key_prefix.clone().unwrap_or_default(),
        };
        let pattern = route.bucket.as_deref().map(BucketPattern::parse);
        let pattern = match pattern.transpose() {
            Ok(pattern) => pattern,
            Err(why) => {
                self.tell(&format!("{key}.bucket"), why.into_reason());
                None
            }
        };
        let store = route.backend.as_deref();
        let upstream = upstreams.iter().find(|(name, _)| Some(&**name) == store);
        let mut checks = Vec::new();
        match (store, upstream) {
            (Some(DISK), None) => checks.push(("backend", mapping.can_be_local(DISK))),
            (Some(store), None) if !self.names("upstreams", store) => {
                let what = format!("there is no backend `{store}`");
                self.tell(&format!("{key}.backend"), what);
            }
            _ => {}
        }
        if store != Some(DISK) {
            let fits = upstream.map_or(Ok(()), |(_, config)| mapping.can_be(config.keys));
            checks.push(("rename", mapping.can_rename(pattern.as_ref())));
            checks.push(("key_prefix", mapping.can_prefix().and(fits)));
        }
        for (name, check) in checks {
            if let Err(why) = check {
                self.tell(&format!("{key}.{name}"), why.into_reason());
            }
        }
        Some(Route {
            pattern: pattern?,
            store: store
                .filter(|store| upstream.is_some() || *store == DISK)?
                .to_owned(),
            mapping,
            shared: route.shared.unwrap_or(false),
        })
    }
}
