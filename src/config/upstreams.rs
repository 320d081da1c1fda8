//! Upstreams and the routes to them, from the configuration.

use super::build::{Builder, DISK};
use super::error::Error;
use super::file;
use crate::backend::router::Route;
use crate::backend::upstream::{
    self, BucketPattern, CredentialsSource, Keys, Mapping, Payload, Timeouts,
};

impl Builder<'_> {
    pub(super) fn upstreams(
        &mut self,
        written: Vec<file::Upstream>,
        region: &str,
    ) -> Vec<(String, upstream::Config)> {
        let mut upstreams = Vec::new();
        for upstream in written {
            let upstream = self.upstream(upstream, region);
            upstreams.extend(self.keep(upstream));
        }
        upstreams
    }

    fn upstream(
        &mut self,
        upstream: file::Upstream,
        region: &str,
    ) -> Result<(String, upstream::Config), Error> {
        let key = format!("upstreams.{}", upstream.name);
        if upstream.name == DISK {
            return Err(self.value(&key, "`disk` is the bundled backend's name".to_owned()));
        }
        let payload = match upstream.payload.as_deref() {
            None | Some("auto") => Payload::Auto,
            Some("unsigned") => Payload::Unsigned,
            Some("signed-chunks") => Payload::SignedChunks,
            Some("checksum-trailer") => Payload::ChecksumTrailer,
            Some(other) => {
                let what = format!(
                    "`{other}` is none of `auto`, `unsigned`, `signed-chunks`, `checksum-trailer`"
                );
                return Err(self.value(&format!("{key}.payload"), what));
            }
        };
        let keys = match upstream.keys.as_deref() {
            None | Some("normalized") => Keys::Normalized,
            Some("trimmed") => Keys::Trimmed,
            Some("exact") => Keys::Exact,
            Some(other) => {
                let what = format!("`{other}` is none of `normalized`, `trimmed`, `exact`");
                return Err(self.value(&format!("{key}.keys"), what));
            }
        };
        let ca = upstream.ca.as_ref().map(|path| self.base.join(path));
        self.watched.extend(ca.clone());
        let config = upstream::Config {
            endpoint: upstream.endpoint,
            region: upstream.region.unwrap_or_else(|| region.to_owned()),
            ca,
            path_style: upstream.path_style.unwrap_or(true),
            payload,
            keys,
            checksums: upstream.checksums.unwrap_or(false),
            credentials: self.credentials(&key, &upstream.credentials)?,
            timeouts: self.timeouts(&key, &upstream.timeouts)?,
            max_connections: upstream.max_connections.unwrap_or(1024),
            max_connections_per_caller: upstream.max_connections_per_caller,
            name: upstream.name.clone(),
        };
        Ok((upstream.name, config))
    }

    fn credentials(
        &mut self,
        key: &str,
        written: &file::UpstreamCredentials,
    ) -> Result<CredentialsSource, Error> {
        let key = format!("{key}.credentials");
        let written = match written {
            file::UpstreamCredentials::Named(name) if name == "chain" => {
                return Ok(CredentialsSource::Chain { profile: None });
            }
            file::UpstreamCredentials::Named(_) => {
                return Err(self.value(
                    &key,
                    "give `\"chain\"` or a table of `access_key` and `secret_key`".to_owned(),
                ));
            }
            file::UpstreamCredentials::Key(written) => written,
        };
        let token = written.session_token.as_ref();
        // Files are read again by the backend when they change, without a reload of everything.
        let files = (
            written.access_key.file(&self.base),
            written.secret_key.file(&self.base),
            token.map(|t| t.file(&self.base)),
        );
        if let (Some(access_key_id), Some(secret_access_key), None | Some(Some(_))) = &files {
            for path in [access_key_id, secret_access_key] {
                self.is_file(&key, path)?;
            }
            return Ok(CredentialsSource::Files {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret_access_key.clone(),
                session_token: files.2.flatten(),
            });
        }
        let access_key_id = self.secret(&key, &written.access_key)?.expose().to_owned();
        let secret_access_key = self.secret(&key, &written.secret_key)?;
        let session_token = token.map(|token| self.secret(&key, token)).transpose()?;
        Ok(CredentialsSource::Static {
            access_key_id,
            secret_access_key,
            session_token,
        })
    }

    fn timeouts(&self, key: &str, written: &file::Timeouts) -> Result<Timeouts, Error> {
        let default = Timeouts::default();
        let one = |name: &str, text: &Option<String>, default| {
            self.duration(&format!("{key}.timeouts.{name}"), text.as_deref(), default)
        };
        Ok(Timeouts {
            connect: one("connect", &written.connect, default.connect)?,
            read: one("read", &written.read, default.read)?,
            write: one("write", &written.write, default.write)?,
            total: one("total", &written.total, default.total)?,
            idle: one("idle", &written.idle, default.idle)?,
        })
    }

    /// Routes to `upstreams` and to the disk.
    pub(super) fn routes(&mut self, written: &[file::Route], upstreams: &[String]) -> Vec<Route> {
        let mut routes = Vec::new();
        for route in written {
            let route = self.route(route, upstreams);
            routes.extend(self.keep(route));
        }
        routes
    }

    fn route(&self, route: &file::Route, upstreams: &[String]) -> Result<Route, Error> {
        let key = format!("routes.{}", route.bucket);
        let pattern = BucketPattern::parse(&route.bucket);
        let pattern = pattern.map_err(|why| self.value(&key, why.to_string()))?;
        let store = route.backend.clone();
        if store != DISK && !upstreams.contains(&store) {
            let what = format!("there is no backend `{store}`");
            return Err(self.value(&format!("{key}.backend"), what));
        }
        Ok(Route {
            pattern,
            store,
            mapping: Mapping {
                rename: route.rename.clone(),
                key_prefix: route.key_prefix.clone().unwrap_or_default(),
            },
            shared: route.shared.unwrap_or(false),
        })
    }
}
