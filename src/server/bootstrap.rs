//! What a first start makes and later ones reuse: root's credentials, the certificate authority, and
//! the block that clients need.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;

use super::{Error, write_out};
use crate::config::{Config, RootKey};
use crate::crypto::{Secret, random};
use crate::files;
use crate::listener::{Authority, Certificates, ensure_authority};

/// Generated or given, ready to serve with.
#[derive(Debug)]
pub(super) struct Bootstrap {
    root: RootKey,
    authority: Option<Authority>,
    // Held as long as the process lives: two of them would write each other's files.
    _lock: std::fs::File,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct RootFile {
    access_key: String,
    secret_key: String,
}

impl Bootstrap {
    /// Makes what is missing. The directory is this process's before a byte of it is written.
    pub(super) fn prepare(config: &Config) -> Result<Self, Error> {
        let wrong = |error: std::io::Error| Error::Bootstrap(error.to_string());
        files::make_directory(&config.data, 0o700).map_err(wrong)?;
        let lock = files::lock(&config.data.join("lock")).map_err(wrong)?;
        let lock = lock.ok_or_else(|| Error::InUse(config.data.clone()))?;
        files::sweep(&config.data);
        let root = match &config.root {
            Some(root) => root.clone(),
            None => generated_root(&config.data.join("root.json"))?,
        };
        if config.users.has_key(&root.id) {
            return Err(Error::Bootstrap(format!(
                "root's access key `{}` is a user's as well",
                root.id
            )));
        }
        let authority = match config.insecure_http || config.tls.files.is_some() {
            true => None,
            false => {
                let made = ensure_authority(
                    &config.data.join("tls"),
                    &names(config),
                    OffsetDateTime::now_utc(),
                );
                Some(made.map_err(|error| Error::Bootstrap(error.to_string()))?)
            }
        };
        Ok(Self {
            root,
            authority,
            _lock: lock,
        })
    }

    pub(super) fn root(&self) -> &RootKey {
        &self.root
    }

    /// The certificate's files: the operator's or the generated ones; `None` without TLS.
    pub(super) fn files(&self, config: &Config) -> Option<(PathBuf, PathBuf)> {
        let generated = self
            .authority
            .as_ref()
            .map(|a| (a.certificate.clone(), a.key.clone()));
        config.tls.files.clone().or(generated)
    }

    pub(super) fn certificates(&self, config: &Config) -> Result<Option<Arc<Certificates>>, Error> {
        if config.insecure_http {
            return Ok(None);
        }
        let Some((certificate, key)) = self.files(config) else {
            return Ok(None);
        };
        let loaded = Certificates::load(&certificate, &key);
        Ok(Some(Arc::new(
            loaded.map_err(|error| Error::Bootstrap(error.to_string()))?,
        )))
    }

    /// Writes `env.sh` and prints the block to paste; the last line says `ready`.
    pub(super) fn announce(&self, config: &Config) {
        let variables = self.variables(config);
        let export = |(name, value): &(&str, String)| format!("export {name}={}\n", quoted(value));
        let script: String = variables.iter().map(export).collect();
        let path = config.data.join("env.sh");
        if let Err(error) = files::write(&path, script.as_bytes(), 0o600) {
            tracing::error!(%error, path = %path.display(), "cannot be written");
        }
        write_out(&format!(
            "\nPortcullis {} listens on {}. What clients need, also in {}:\n\n{script}\nready\n",
            env!("CARGO_PKG_VERSION"),
            config.listen,
            path.display(),
        ));
    }

    fn variables(&self, config: &Config) -> Vec<(&'static str, String)> {
        let scheme = if config.insecure_http {
            "http"
        } else {
            "https"
        };
        let url = config
            .external_url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{}", reachable(config.listen)));
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", self.root.id.clone()),
            (
                "AWS_SECRET_ACCESS_KEY",
                self.root.secret.expose().to_owned(),
            ),
            ("AWS_REGION", config.region.to_string()),
            // The older command line reads only this one.
            ("AWS_DEFAULT_REGION", config.region.to_string()),
        ];
        if let Some(authority) = &self.authority {
            let ca = std::path::absolute(&authority.ca).unwrap_or_else(|_| authority.ca.clone());
            variables.push(("AWS_CA_BUNDLE", ca.display().to_string()));
        }
        variables
    }
}

/// The address under which a wildcard listener is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut reachable = listen;
    if listen.ip().is_unspecified() {
        reachable.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    reachable
}

/// The names a generated certificate is for.
fn names(config: &Config) -> Vec<String> {
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let ip = config.listen.ip();
    if !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    let url = config
        .external_url
        .as_deref()
        .and_then(|url| url.parse::<http::Uri>().ok());
    names.extend(url.as_ref().and_then(http::Uri::host).map(str::to_owned));
    for domain in &config.domains {
        names.extend([domain.clone(), format!("*.{domain}")]);
    }
    names.sort();
    names.dedup();
    names
}

/// Single quotes, in which a shell expands nothing.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn generated_root(path: &Path) -> Result<RootKey, Error> {
    let wrong =
        |error: &dyn std::fmt::Display| Error::Bootstrap(format!("`{}`: {error}", path.display()));
    match std::fs::read(path) {
        Ok(bytes) => {
            let mode = std::fs::metadata(path)
                .map_err(|e| wrong(&e))?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(wrong(
                    &"others may read root's credentials; chmod it to 600",
                ));
            }
            // The reader's own message would repeat a value of the file.
            let file: RootFile = serde_json::from_slice(&bytes)
                .map_err(|_| wrong(&"is not what a first start wrote"))?;
            Ok(RootKey {
                id: file.access_key,
                secret: Secret::new(file.secret_key),
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = random::<10>().map_err(|e| wrong(&e))?;
            let secret = random::<20>().map_err(|e| wrong(&e))?;
            // 20 and 40 characters, as AWS's are.
            let file = RootFile {
                access_key: hex::encode_upper(id),
                secret_key: hex::encode(secret),
            };
            let bytes = serde_json::to_vec_pretty(&file).map_err(|e| wrong(&e))?;
            files::write(path, &bytes, 0o600).map_err(|e| wrong(&e))?;
            Ok(RootKey {
                id: file.access_key,
                secret: Secret::new(file.secret_key),
            })
        }
        Err(error) => Err(wrong(&error)),
    }
}
