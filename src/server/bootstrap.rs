//! What a first start makes and later ones reuse: root's credentials, the certificate authority, and
//! the block that clients need.

use std::fs::TryLockError;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use time::OffsetDateTime;

use super::script::{quoted, script};
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
    data: PathBuf,
    /// Where is listened, with the port that was found where none was asked for.
    listen: SocketAddr,
    /// Whether nothing can be written to `data`: what is there is used as it is.
    read_only: bool,
    // Held as long as the process lives: two of them would write each other's files. There may be none
    // where nothing can be written.
    _lock: Option<std::fs::File>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct RootFile {
    access_key: String,
    secret_key: String,
}

impl Bootstrap {
    /// Makes what is missing. The directory is this process's before a byte of it is written.
    pub(super) fn prepare(config: &Config, listen: SocketAddr) -> Result<Self, Error> {
        let wrong = |error: std::io::Error| Error::Bootstrap(error.to_string());
        files::make_directory(&config.data, 0o700).map_err(wrong)?;
        let (lock, read_only) = take_lock(&config.data)?;
        match read_only {
            true => everything_is_there(config)?,
            false => {
                files::sweep(&config.data);
                files::make_private_directory(&config.data.join("state")).map_err(wrong)?;
            }
        }
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
            false if read_only => Some(Authority::at(&config.data.join("tls"))),
            false => Some(authority(config, &config.data)?),
        };
        Ok(Self {
            root,
            authority,
            data: config.data.clone(),
            listen,
            read_only,
            _lock: lock,
        })
    }

    pub(super) fn root(&self) -> &RootKey {
        &self.root
    }

    /// Makes the generated certificate anew where `config` has other names, or it is about to end.
    pub(super) fn renew(&self, config: &Config) -> Result<(), Error> {
        match (&self.authority, &config.tls.files) {
            (Some(_), None) if !self.read_only => renew(config, &self.data, here(config)),
            _ => Ok(()),
        }
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

    /// Writes `env.sh` and says where it is; the last line says `ready`. Secrets are in that file and nowhere
    /// in what is printed, which often ends in a log.
    pub(super) fn announce(&self, config: &Config) {
        let path = self.write_script(config);
        write_out(&format!(
            "\nPortcullis {} listens on {}. What clients need is in a file of yours alone:\n\n\
             \x20   source {}\n\nready\n",
            env!("CARGO_PKG_VERSION"),
            self.listen,
            quoted(
                &std::path::absolute(&path)
                    .unwrap_or(path)
                    .display()
                    .to_string()
            ),
        ));
    }

    /// Writes `env.sh`: what clients need.
    pub(super) fn write_script(&self, config: &Config) -> PathBuf {
        let authority = self.authority.as_ref().map(|authority| {
            std::path::absolute(&authority.ca).unwrap_or_else(|_| authority.ca.clone())
        });
        let script = script(&self.variables(config), authority.as_deref());
        let path = self.data.join("env.sh");
        let written = match self.read_only {
            true => is_already(&path, &script),
            false => files::write(&path, script.as_bytes(), 0o600).map(drop),
        };
        if let Err(error) = written {
            tracing::error!(%error, path = %path.display(), "cannot be written");
        }
        path
    }

    /// Says by which names others can reach a gateway that listens everywhere, and what to set for more.
    pub(super) fn tell_names(&self, config: &Config) {
        if let (Some(_), true, Ok(here)) = (
            &self.authority,
            config.listen.ip().is_unspecified(),
            everywhere(),
        ) {
            tracing::info!(
                names = names(config, here).join(" "),
                "the generated certificate is for these; set `listener.external_url` or \
                 `listener.virtual_host_domains` for other names, or `listener.tls.certificate`"
            );
        }
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
            .unwrap_or_else(|| format!("{scheme}://{}", reachable(self.listen)));
        vec![
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", self.root.id.clone()),
            (
                "AWS_SECRET_ACCESS_KEY",
                self.root.secret.expose().to_owned(),
            ),
            ("AWS_REGION", config.region.to_string()),
            // The older command line reads only this one.
            ("AWS_DEFAULT_REGION", config.region.to_string()),
        ]
    }
}

/// Takes the lock of the data directory, and says whether nothing can be written to it: then it is shared
/// by all who read.
fn take_lock(data: &Path) -> Result<(Option<std::fs::File>, bool), Error> {
    let path = data.join("lock");
    let wrong = |error: &std::io::Error| Error::Bootstrap(files::named(&path, error).to_string());
    let in_use = || Error::InUse(data.to_path_buf());
    match files::lock(&path) {
        Ok(lock) => return Ok((Some(lock.ok_or_else(in_use)?), false)),
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {}
        Err(error) => return Err(Error::Bootstrap(error.to_string())),
    }
    let lock = match std::fs::File::open(&path) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(wrong(&error)),
    };
    match lock.as_ref().map_or(Ok(()), std::fs::File::try_lock_shared) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use()),
        Err(TryLockError::Error(error)) => return Err(wrong(&error)),
    }
    tracing::warn!(
        path = %data.display(),
        "the file system is read-only: what earlier starts made is used, and nothing is written or renewed"
    );
    Ok((lock, true))
}

/// That all is there that a start would make; the first that is missing is named.
fn everything_is_there(config: &Config) -> Result<(), Error> {
    let mut needed = vec!["state"];
    if config.root.is_none() {
        needed.push("root.json");
    }
    if !config.insecure_http && config.tls.files.is_none() {
        needed.extend(["tls/ca.pem", "tls/server.pem", "tls/server-key.pem"]);
    }
    needed.push("env.sh");
    for name in needed {
        let path = config.data.join(name);
        std::fs::metadata(&path).map_err(|error| {
            let error = match error.kind() {
                ErrorKind::NotFound => {
                    "it is missing, and cannot be made: the file system is read-only".to_owned()
                }
                _ => error.to_string(),
            };
            Error::Bootstrap(format!("`{}`: {error}", path.display()))
        })?;
    }
    Ok(())
}

/// An error, unless a file says this already.
fn is_already(path: &Path, text: &str) -> std::io::Result<()> {
    match std::fs::read(path)? == text.as_bytes() {
        true => Ok(()),
        false => Err(ErrorKind::ReadOnlyFilesystem.into()),
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

/// The generated authority, and a certificate for all that this gateway is called by.
fn authority(config: &Config, data: &Path) -> Result<Authority, Error> {
    let here = here(config).unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of this machine are not known: the certificate lacks them");
        Vec::new()
    });
    ensure(config, data, here)
}

fn ensure(config: &Config, data: &Path, here: Vec<String>) -> Result<Authority, Error> {
    let (names, now) = (names(config, here), OffsetDateTime::now_utc());
    let made = ensure_authority(&data.join("tls"), &names, now);
    made.map_err(|error| Error::Bootstrap(error.to_string()))
}

/// The same for a gateway that runs: what it has is better than one that lacks addresses.
fn renew(config: &Config, data: &Path, here: Result<Vec<String>, Errno>) -> Result<(), Error> {
    match here {
        Ok(here) => ensure(config, data, here).map(drop),
        Err(error) => {
            tracing::warn!(%error, "the addresses of this machine are not known: the certificate stays");
            Ok(())
        }
    }
}

/// What this machine is called by, where that is where is listened.
fn here(config: &Config) -> Result<Vec<String>, Errno> {
    match config.listen.ip().is_unspecified() {
        true => everywhere(),
        false => Ok(Vec::new()),
    }
}

/// What this machine calls itself, and its addresses: whoever listens on all of them is reached by any.
fn everywhere() -> Result<Vec<String>, Errno> {
    let host = rustix::system::uname();
    let host = host.nodename().to_str().unwrap_or_default();
    let label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let host = (!host.is_empty() && host.bytes().all(label)).then(|| host.to_owned());
    let addresses = nix::ifaddrs::getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        let v6 = address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip()));
        v4.or(v6)
    });
    // Those of one link are of no use without its name, which no certificate has.
    let of_link = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let addresses = addresses.filter(|ip| !of_link(ip));
    let addresses = addresses.map(|ip| ip.to_string());
    Ok(host.into_iter().chain(addresses).collect())
}

/// The names a generated certificate is for; `here` are those of this machine.
fn names(config: &Config, here: Vec<String>) -> Vec<String> {
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let ip = config.listen.ip();
    match ip.is_unspecified() {
        true => names.extend(here),
        false => names.push(ip.to_string()),
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::config::Overrides;

    /// While the addresses of the machine are not known, a reload takes none of them from the certificate.
    #[test]
    fn a_reload_that_knows_no_addresses_keeps_the_certificate() {
        let data = tempfile::tempdir().unwrap();
        let overrides = Overrides {
            listen: Some("0.0.0.0:0".parse().unwrap()),
            data: Some(data.path().to_owned()),
            ..Overrides::default()
        };
        let config = Config::load(None, &overrides).unwrap();
        let here = || Ok(vec!["203.0.113.7".to_owned()]);
        let made = ensure(&config, data.path(), here().unwrap()).unwrap();
        let certificate = || std::fs::read(&made.certificate).unwrap();
        let before = certificate();
        renew(&config, data.path(), Err(Errno::EMFILE)).unwrap();
        assert!(certificate() == before, "the certificate lacks addresses");
        renew(&config, data.path(), here()).unwrap();
        assert!(certificate() == before);
        renew(&config, data.path(), Ok(vec!["203.0.113.8".to_owned()])).unwrap();
        assert!(certificate() != before, "other addresses are others");
    }
}
