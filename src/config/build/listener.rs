//! Where clients are listened for, and what is believed of them.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{Builder, Config, Error, Overrides, file};

/// A listener: its key, its address, and whether the command line says so.
type Listening<'k> = (&'k str, SocketAddr, bool);

impl Builder<'_> {
    /// Where clients are listened for, and administrators.
    pub(super) fn listening(
        &mut self,
        file: &file::File,
        overrides: &Overrides,
    ) -> (SocketAddr, SocketAddr) {
        let listen = overrides.listen.or(file.listener.address);
        let listen = listen.unwrap_or_else(Config::default_listen);
        let beside = file.listener.http_address;
        if self.opens {
            self.plain_http(listen, beside, overrides);
        }
        if beside.is_none() && file.listener.http_signature_v2 == Some(true) {
            let what = "there is no `http_address`, which it is for; where TLS is listened for it is `signature_v2`";
            self.tell("listener.http_signature_v2", what.to_owned());
        }
        let [two, plain_two] = [file.listener.signature_v2, file.listener.http_signature_v2]
            .map(|takes| takes.unwrap_or(false));
        // They are told apart by their ports.
        if two != plain_two && beside.is_some_and(|beside| beside.port() == listen.port()) {
            let what = "it is not as `signature_v2` is, and both listeners have one port: give one of them another";
            self.tell("listener.http_signature_v2", what.to_owned());
        }
        let admin = overrides.admin_listen.or(file.admin.address);
        let admin = admin.unwrap_or_else(Config::default_admin_listen);
        let mut all = vec![("listener.address", listen, overrides.listen.is_some())];
        all.extend(beside.map(|address| ("listener.http_address", address, false)));
        all.push(("admin.address", admin, overrides.admin_listen.is_some()));
        self.different(&all);
        (listen, admin)
    }

    /// Two listeners cannot have one port of one address, nor of all addresses and one of them.
    fn different(&mut self, listeners: &[Listening<'_>]) {
        let meet = |one: &SocketAddr, other: &SocketAddr| {
            let any = one.ip().is_unspecified() || other.ip().is_unspecified();
            let same_port = one.port() == other.port() && one.port() != 0;
            same_port && (any || one.ip() == other.ip())
        };
        for (at, second) in listeners.iter().enumerate() {
            let before = listeners.iter().take(at);
            let taken = before.filter(|first| meet(&first.1, &second.1));
            for first in taken.collect::<Vec<_>>() {
                // The one that is written, rather than a default.
                let written = |one: &Listening<'_>| !one.2 && self.is_written(one.0);
                let (wrong, other) = match written(first) && !written(second) {
                    true => (first, second),
                    false => (second, first),
                };
                let flag = match (wrong.2, wrong.0) {
                    (true, "admin.address") => "--admin-listen",
                    (true, _) => "--listen",
                    (false, key) => key,
                };
                let what = format!(
                    "`{}` has the port of `{}`, which is `{}`: give one of them another",
                    wrong.1, other.0, other.1
                );
                self.tell(flag, what);
            }
        }
    }

    /// Plain HTTP shows everything to whoever is on the wire: off loopback it must be asked for twice.
    fn plain_http(
        &mut self,
        listen: SocketAddr,
        beside: Option<SocketAddr>,
        overrides: &Overrides,
    ) {
        let main = overrides.insecure_http;
        let main = main.then_some(("--insecure-http", listen));
        let beside = beside.map(|address| ("listener.http_address", address));
        if overrides.insecure_anywhere && main.is_none() && beside.is_none() {
            let what = "`--insecure-http-anywhere` does nothing: neither `--insecure-http` nor `listener.http_address` is there";
            self.warnings.push(what.to_owned());
        }
        for (key, address) in main.into_iter().chain(beside) {
            if !address.ip().is_loopback() && !overrides.insecure_anywhere {
                self.tell(key, format!("`{address}` is not a loopback address; plain HTTP there needs --insecure-http-anywhere"));
            }
        }
    }

    /// Virtual-host domains; the host of the external URL serves path style in any case.
    pub(super) fn domains(&mut self, listener: &file::Listener) -> Vec<String> {
        if let Some(url) = &listener.external_url
            && let Err(why) = is_origin(url)
        {
            let what = format!("`{url}` {why}; it is written as in `https://s3.example.com`");
            self.tell("listener.external_url", what);
        }
        let key = "listener.virtual_host_domains";
        for domain in &listener.virtual_host_domains {
            if !is_domain(domain) {
                let what =
                    format!("`{domain}` is not a domain name, which is as in `s3.example.com`");
                self.tell(key, what);
            }
        }
        listener.virtual_host_domains.clone()
    }

    /// Names of the admin listener.
    pub(super) fn admin_hosts(&mut self, hosts: Vec<String>) -> Vec<String> {
        for host in &hosts {
            let literal = host.parse::<IpAddr>().is_ok();
            if !literal && !is_domain(&host.replace('_', "-")) {
                let what = format!("`{host}` is not a name as in `portcullis-admin.internal`");
                self.tell("admin.hosts", what);
            }
        }
        hosts
    }

    pub(super) fn proxies(&mut self, networks: &[String]) -> Vec<IpNet> {
        let key = "listener.trusted_proxies";
        let mut proxies = Vec::new();
        for text in networks {
            let net = text.parse::<IpNet>();
            let net = net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            match net {
                Err(_) => self.tell(
                    key,
                    format!("`{text}` is not a network such as `10.0.0.0/8`"),
                ),
                Ok(net) if net.prefix_len() == 0 => {
                    self.tell(key, format!("`{text}` would believe everyone"));
                }
                Ok(net) => proxies.push(net),
            }
        }
        let together = IpNet::aggregate(&proxies);
        if let Some(all) = together.iter().find(|net| net.prefix_len() == 0) {
            self.tell(
                key,
                format!("together they are `{all}` and would believe everyone"),
            );
        }
        proxies
    }

    pub(super) fn forwarded_proto(&self, listener: &file::Listener) -> Result<bool, Error> {
        match listener.forwarded_proto {
            Some(true) if listener.trusted_proxies.is_empty() => Err(self.value(
                "listener.forwarded_proto",
                "it needs `trusted_proxies`, which say whose word is believed".to_owned(),
            )),
            written => Ok(written.unwrap_or(false)),
        }
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err()
}

/// Whether a URL is a scheme, a host and perhaps a port: what clients put a bucket behind.
fn is_origin(url: &str) -> Result<(), &'static str> {
    let not = "is not an http or https URL";
    let uri = url.parse::<http::Uri>().map_err(|_| not)?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri
        .authority()
        .filter(|authority| scheme && !authority.host().is_empty());
    let authority = authority.ok_or(not)?;
    let port = authority.as_str().strip_prefix(authority.host());
    match port {
        None => Err("has a user in it"),
        Some("") => Ok(()),
        Some(_) if authority.port_u16().is_none_or(|port| port == 0) => {
            Err("has a port that is not between 1 and 65535")
        }
        Some(_) => Ok(()),
    }?;
    match matches!(uri.path(), "" | "/") && uri.query().is_none() && !url.contains('#') {
        true => Ok(()),
        false => Err("has more than a scheme, a host and a port"),
    }
}
