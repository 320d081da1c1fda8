//! Where an upstream is: its endpoint, its addresses, and the peer that Pingora connects to.
//!
//! Names are resolved before, in `names`, and cached here, because `HttpPeer::new` would block the
//! reactor and panic on failure.

use super::config::{Config, Timeouts};
use super::error::Error;
use super::names::Names;
use super::pool::Pool;
use pingora_core::upstreams::peer::HttpPeer;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long an address is used before its name is asked again. S3's own names live for seconds.
const FRESH: Duration = Duration::from_secs(10);
/// How long an address is remembered for when its name cannot be asked.
const STALE: Duration = Duration::from_secs(600);
/// How long a fresh one is waited for where an older one is remembered.
const REFRESH: Duration = Duration::from_secs(1);

/// An endpoint: scheme, host and port, or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    at: At,
    /// What `Host` says in path style.
    authority: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `https://host[:port]`, `http://host[:port]` or `unix:/absolute/path`.
    ///
    /// # Errors
    /// [`Error::Config`] for anything else: user information, a path, a query, another scheme.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Config(format!("endpoint `{text}`: {why}"));
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // 107 bytes is what a Unix socket's address holds.
            if !path.starts_with('/') || path.len() > 107 || path.contains('\0') {
                return Err(bad("a Unix socket is `unix:` and an absolute path"));
            }
            let at = At::Unix(PathBuf::from(path));
            let authority = "localhost".to_owned();
            return Ok(Self { at, authority });
        }
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(bad("an endpoint is `https://…`, `http://…` or `unix:/…`")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(authority).ok_or_else(|| bad("not a host and a port"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let literal = bare.parse::<IpAddr>().is_ok();
        let named = !host.is_empty()
            && host.len() <= 253
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            && !host.starts_with('.')
            && !host.contains("..");
        // Resolvers read `127.1` and `0x7f000001` as addresses.
        let last = bare.trim_end_matches('.').rsplit('.').next();
        let last = last.map(|last| last.strip_prefix("0x").unwrap_or(last));
        let numeric = last.is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
            || bare.to_ascii_lowercase().starts_with("0x") && !bare.contains('.');
        if !literal && (!named || numeric) {
            return Err(bad("not a host name or address"));
        }
        let default = if tls { 443 } else { 80 };
        let port = port.unwrap_or(default);
        let shown = host.to_ascii_lowercase();
        Ok(Self {
            authority: with_port(&shown, port, default),
            at: At::Tcp {
                host: bare.to_ascii_lowercase(),
                port,
                tls,
            },
        })
    }

    /// Whether bytes to it are under TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.at, At::Tcp { tls: true, .. })
    }

    /// Whether it is a socket of this machine's file system.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self.at, At::Unix(_))
    }

    /// Whether a bucket's name can stand in front of the host: not of an address or a socket.
    #[must_use]
    pub fn can_be_virtual(&self) -> bool {
        match &self.at {
            At::Tcp { host, .. } => host.parse::<IpAddr>().is_err(),
            At::Unix(_) => false,
        }
    }

    /// Whether it is Amazon's own, which insists on a location constraint that names the region.
    #[must_use]
    pub(super) fn is_amazon(&self) -> bool {
        let domains = [".amazonaws.com", ".amazonaws.com.cn"];
        matches!(&self.at, At::Tcp { host, .. } if domains.iter().any(|d| host.ends_with(d)))
    }

    /// What is the same for endpoints behind which the same buckets are, as far as they tell: Amazon's
    /// buckets are the same in every region, and TLS or not is all the same.
    #[must_use]
    pub fn store(&self) -> String {
        match &self.at {
            _ if self.is_amazon() => "amazonaws.com".to_owned(),
            At::Tcp { host, port, .. } => {
                let port = if *port == 80 { 443 } else { *port };
                let host = host.trim_end_matches('.');
                // One address has many spellings, and all loopback is this machine.
                let host = match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
                    Ok(address) if address.is_loopback() => "localhost".to_owned(),
                    Ok(address) => address.to_string(),
                    Err(_) => host.to_owned(),
                };
                format!("{host}:{port}")
            }
            At::Unix(path) => path.components().collect::<PathBuf>().display().to_string(),
        }
    }

    /// `Host` in path style.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|port| digits && *port != 0)
    };
    if authority.starts_with('[') {
        let (host, rest) = authority.split_at_checked(authority.find(']')?.checked_add(1)?)?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(number(port)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host, Some(number(port)?))),
        None => Some((authority, None)),
    }
}

fn with_port(host: &str, port: u16, default: u16) -> String {
    if port == default {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

/// The peers of one host, in the resolver's order, and the one that answered last.
#[derive(Debug)]
pub(super) struct Peers {
    peers: Vec<HttpPeer>,
    preferred: AtomicUsize,
    until: Option<Instant>,
    /// Idle connections to any of them.
    pub(super) pool: Arc<Pool>,
}

impl Peers {
    /// The peers to try, the preferred one first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (usize, &HttpPeer)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let all = self.peers.iter().enumerate();
        let before = all.clone().take(first);
        all.skip(first).chain(before)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.peers.len()
    }

    /// Whether their name need not be asked again yet.
    fn are_fresh(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Remembers the peer that a connection could be made to.
    pub(super) fn prefer(&self, index: usize) {
        self.preferred.store(index, Ordering::Relaxed);
    }
}

/// Turns an endpoint, or a bucket's host in front of it, into peers.
#[derive(Debug)]
pub(super) struct Resolver {
    endpoint: Endpoint,
    template: Template,
    // Path style and addresses: the one host there is.
    fixed: Option<Arc<Peers>>,
    names: Option<Names>,
    known: moka::sync::Cache<String, Arc<Peers>>,
}

/// What every peer of one upstream has in common.
#[derive(Debug)]
struct Template {
    timeouts: Timeouts,
}

impl Template {
    fn finish(&self, mut peer: HttpPeer) -> HttpPeer {
        peer.options.connection_timeout = Some(self.timeouts.connect);
        peer.options.total_connection_timeout = Some(self.timeouts.connect);
        peer
    }
}

impl Resolver {
    /// A resolver of the definition's endpoint.
    pub(super) fn new(endpoint: Endpoint, config: &Config) -> Result<Self, Error> {
        let template = Template {
            timeouts: config.timeouts.clone(),
        };
        let fixed = match &endpoint.at {
            At::Unix(path) => {
                let path = path.to_string_lossy();
                let peer = HttpPeer::new_uds(&path, false, String::new())
                    .map_err(|error| Error::Config(error.to_string()))?;
                Some(vec![template.finish(peer)])
            }
            At::Tcp { host, port, tls } => host.parse::<IpAddr>().ok().map(|address| {
                let address = SocketAddr::new(address, *port);
                // The name that the certificate must have: an empty one would switch the check off.
                vec![template.finish(HttpPeer::new(address, *tls, host.clone()))]
            }),
        };
        let peers = |peers| {
            Arc::new(Peers {
                peers,
                preferred: AtomicUsize::new(0),
                until: None,
                pool: Arc::new(Pool::new(config.timeouts.idle)),
            })
        };
        let names = match &endpoint.at {
            At::Tcp { port, .. } => Some(Names::new(*port, config.timeouts.connect)),
            At::Unix(_) => None,
        };
        Ok(Self {
            endpoint,
            template,
            names,
            fixed: fixed.map(peers),
            known: moka::sync::Cache::builder()
                .max_capacity(1024)
                .time_to_live(STALE)
                .build(),
        })
    }

    /// The peers of the endpoint, or of `bucket`'s host in front of it.
    pub(super) async fn peers(&self, bucket: Option<&str>) -> Result<Arc<Peers>, Error> {
        if let Some(fixed) = &self.fixed {
            return Ok(Arc::clone(fixed));
        }
        let (At::Tcp { host, tls, .. }, Some(names)) = (&self.endpoint.at, &self.names) else {
            return Err(Error::Resolve("a socket has no address".to_owned()));
        };
        let host = match bucket {
            Some(bucket) => format!("{bucket}.{host}"),
            None => host.clone(),
        };
        let known = self.known.get(&host);
        if let Some(peers) = known.as_ref().filter(|peers| peers.are_fresh()) {
            return Ok(Arc::clone(peers));
        }
        let most = match known {
            Some(_) => REFRESH,
            None => self.template.timeouts.connect,
        };
        let addresses = match names.of(&host, most).await {
            Ok(addresses) => addresses,
            // An address that was good a while ago is better than none.
            Err(error) => return known.ok_or(error),
        };
        // All who waited for the answer share its peers, and so their connections.
        let peer = |address| {
            self.template
                .finish(HttpPeer::new(address, *tls, host.clone()))
        };
        let entry = self.known.entry_by_ref(&host).and_upsert_with(|entry| {
            let before = entry.map(moka::Entry::into_value);
            if let Some(peers) = before.as_ref().filter(|peers| peers.are_fresh()) {
                return Arc::clone(peers);
            }
            // By name, as clients pool: a connection that still works leads to the same service.
            let pool = before.map(|before| Arc::clone(&before.pool));
            let idle = self.template.timeouts.idle;
            Arc::new(Peers {
                peers: addresses.into_iter().map(peer).collect(),
                preferred: AtomicUsize::new(0),
                until: Instant::now().checked_add(FRESH),
                pool: pool.unwrap_or_else(|| Arc::new(Pool::new(idle))),
            })
        });
        Ok(entry.into_value())
    }
}

impl Resolver {
    /// Closes connections that have been idle for too long.
    pub(super) fn sweep(&self) {
        let known = self.known.iter().map(|(_, peers)| peers);
        for peers in known.chain(self.fixed.clone()) {
            peers.pool.sweep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t104_spellings_of_one_store_are_one() {
        let store = |text: &str| Endpoint::parse(text).map(|e| e.store()).ok();
        for (one, other) in [
            ("http://127.0.0.1:9000", "https://localhost:9000"),
            ("http://[::1]:9000", "http://[0:0:0:0:0:0:0:1]:9000"),
            ("http://[::ffff:192.0.2.1]", "https://192.0.2.1"),
            ("https://s3.example.com.", "https://S3.example.com"),
            ("unix:/run/s", "unix:/run//./s"),
        ] {
            assert!(store(one).is_some());
            assert_eq!(store(one), store(other), "{one} {other}");
        }
        assert_ne!(store("http://127.0.0.1:1"), store("http://127.0.0.1:2"));
        assert_ne!(store("unix:/run/s"), store("unix:/run/t"));
    }

    #[test]
    fn endpoints() {
        let host = |text: &str| Endpoint::parse(text).map(|e| e.authority().to_owned()).ok();
        for (text, authority) in [
            ("https://s3.example.com", Some("s3.example.com")),
            ("https://S3.example.com/", Some("s3.example.com")),
            ("https://s3.example.com:443", Some("s3.example.com")),
            ("https://s3.example.com:9000", Some("s3.example.com:9000")),
            ("https://127.1", None),
            ("https://2130706433:9000", None),
            ("https://0x7f000001", None),
            ("https://0x7f.1", None),
            ("https://node-1", Some("node-1")),
            ("http://127.0.0.1:5000", Some("127.0.0.1:5000")),
            ("http://[::1]:5000", Some("[::1]:5000")),
            ("http://[::1]", Some("[::1]")),
            ("unix:/run/s3.sock", Some("localhost")),
            ("unix:///run/s3.sock", Some("localhost")),
            ("unix:run/s3.sock", None),
            ("ftp://x", None),
            ("s3.example.com", None),
            ("https://user:pw@host", None),
            ("https://host/path", None),
            ("https://host?x", None),
            ("https://host#x", None),
            ("https://", None),
            ("https://host:0", None),
            ("https://host:65536", None),
            ("https://host:+80", None),
            ("https://ho st", None),
            ("https://a..b", None),
            ("http://::1", None),
        ] {
            assert_eq!(host(text).as_deref(), authority, "{text}");
        }
        let tls = |text: &str| Endpoint::parse(text).is_ok_and(|e| e.is_tls());
        assert!(tls("https://a"));
        assert!(!tls("http://a"));
        assert!(!tls("unix:/a"));
        let amazon = |text: &str| Endpoint::parse(text).is_ok_and(|e| e.is_amazon());
        assert!(amazon("https://s3.eu-west-1.amazonaws.com"));
        assert!(!amazon("https://amazonaws.com.evil.example"));
    }
}
