//! Where clients are listened for, and what is believed of them.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::{Builder, Config, Error, Overrides, Tls, file};

impl Builder<'_> {
    /// Where clients are listened for, and administrators.
    pub(super) fn listening(
        &self,
        file: &file::File,
        overrides: &Overrides,
    ) -> Result<(SocketAddr, SocketAddr), Error> {
        let listen = overrides.listen.or(file.listener.address);
        let listen = listen.unwrap_or_else(Config::default_listen);
        self.plain_http(listen, file, overrides)?;
        let admin = overrides.admin_listen.or(file.admin.address);
        let admin = admin.unwrap_or_else(Config::default_admin_listen);
        self.different(&[
            ("listener.address", Some(listen)),
            ("listener.http_address", file.listener.http_address),
            ("admin.address", Some(admin)),
        ])?;
        Ok((listen, admin))
    }

    /// Two listeners cannot have one port of one address, nor of all addresses and one of them.
    fn different(&self, listeners: &[(&str, Option<SocketAddr>)]) -> Result<(), Error> {
        let given = listeners
            .iter()
            .filter_map(|(key, address)| Some((*key, (*address)?)));
        let mut before: Vec<(&str, SocketAddr)> = Vec::new();
        for (key, address) in given {
            let meets = |other: &SocketAddr| {
                let any = address.ip().is_unspecified() || other.ip().is_unspecified();
                let same_port = address.port() == other.port() && address.port() != 0;
                same_port && (any || address.ip() == other.ip())
            };
            if let Some((other, taken)) = before.iter().find(|(_, other)| meets(other)) {
                let what =
                    format!("`{address}` has the port of `{other}`, `{taken}`: give it another");
                return Err(self.value(key, what));
            }
            before.push((key, address));
        }
        Ok(())
    }

    /// Plain HTTP shows everything to whoever is on the wire: off loopback it must be asked for twice.
    fn plain_http(
        &self,
        listen: SocketAddr,
        file: &file::File,
        overrides: &Overrides,
    ) -> Result<(), Error> {
        let main = overrides
            .insecure_http
            .then_some(("--insecure-http", listen));
        let beside = file
            .listener
            .http_address
            .map(|address| ("listener.http_address", address));
        for (key, address) in main.into_iter().chain(beside) {
            if !address.ip().is_loopback() && !overrides.insecure_anywhere {
                return Err(self.value(key, format!("`{address}` is not a loopback address; plain HTTP there needs --insecure-http-anywhere")));
            }
        }
        Ok(())
    }

    pub(super) fn tls(&mut self, tls: &file::Tls) -> Result<Tls, Error> {
        let files = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => {
                Some((self.base.join(certificate), self.base.join(key)))
            }
            (None, None) => None,
            _ => {
                return Err(self.value(
                    "listener.tls",
                    "`certificate` and `key` go together".to_owned(),
                ));
            }
        };
        let only_1_3 = match tls.minimum_version.as_deref() {
            None | Some("1.2") => false,
            Some("1.3") => true,
            Some(other) => {
                return Err(self.value(
                    "listener.tls.minimum_version",
                    format!("`{other}` is neither `1.2` nor `1.3`"),
                ));
            }
        };
        for path in files.iter().flat_map(|(a, b)| [a, b]) {
            self.is_file("listener.tls", path)?;
        }
        let client_ca = tls.client_ca.as_ref().map(|path| self.base.join(path));
        let key = "listener.tls.client_certificates";
        let client_may_be_without = match tls.client_certificates.as_deref() {
            Some(_) if client_ca.is_none() => {
                let what = "it needs `client_ca`, which says where they must come from";
                return Err(self.value(key, what.to_owned()));
            }
            None | Some("required") => false,
            Some("optional") => true,
            Some(other) => {
                let what = format!("`{other}` is neither `required` nor `optional`");
                return Err(self.value(key, what));
            }
        };
        Ok(Tls {
            files,
            only_1_3,
            client_ca,
            client_may_be_without,
        })
    }

    /// Virtual-host domains; the host of the external URL serves path style in any case.
    pub(super) fn domains(&self, listener: &file::Listener) -> Result<Vec<String>, Error> {
        if let Some(url) = &listener.external_url {
            let uri = url.parse::<http::Uri>().ok().filter(|uri| {
                uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
            });
            if uri.is_none() {
                return Err(self.value(
                    "listener.external_url",
                    format!("`{url}` is not an http or https URL"),
                ));
            }
        }
        for domain in &listener.virtual_host_domains {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
            if domain.is_empty()
                || !domain.bytes().all(plain)
                || domain.parse::<std::net::IpAddr>().is_ok()
            {
                return Err(self.value(
                    "listener.virtual_host_domains",
                    format!("`{domain}` is not a domain name"),
                ));
            }
        }
        Ok(listener.virtual_host_domains.clone())
    }

    pub(super) fn proxies(&self, networks: &[String]) -> Result<Vec<IpNet>, Error> {
        let key = "listener.trusted_proxies";
        let parse = |text: &String| {
            let net = text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
            let net = net.map_err(|_| {
                self.value(
                    key,
                    format!("`{text}` is not a network such as `10.0.0.0/8`"),
                )
            })?;
            match net.prefix_len() {
                0 => Err(self.value(key, format!("`{text}` would believe everyone"))),
                _ => Ok(net),
            }
        };
        networks.iter().map(parse).collect()
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
