//! Which certificate authorities an upstream is trusted by.

use super::endpoint::Endpoint;
use super::error::Error;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use std::path::Path;

/// Where systems keep their authorities; `SSL_CERT_FILE` comes before them.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file of authorities that a connector to `endpoint` reads: `ca` and nothing else where it is
/// given, or the system's. It is read here first, because Pingora's connector panics on a file
/// that it cannot read.
pub(super) fn authorities(endpoint: &Endpoint, ca: Option<&Path>) -> Result<String, Error> {
    let bad = |path: &Path, why: &dyn std::fmt::Display| {
        Error::Config(format!(
            "certificate authorities `{}`: {why}",
            path.display()
        ))
    };
    if !endpoint.is_tls() {
        return match ca {
            // Without TLS there is nothing to verify, and nothing to load.
            None => Ok("/dev/null".to_owned()),
            Some(path) => Err(bad(path, &"the endpoint is not https")),
        };
    }
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let system = || SYSTEM.map(std::path::PathBuf::from).into_iter();
    let found = match ca {
        Some(path) => Some(path.to_path_buf()),
        None => named
            .into_iter()
            .chain(system())
            .find(|path| path.is_file()),
    };
    let Some(path) = found else {
        return Err(Error::Config(
            "no certificate authorities found: install `ca-certificates` or set `ca`".to_owned(),
        ));
    };
    let mut store = RootCertStore::empty();
    let sections = <(SectionKind, Vec<u8>)>::pem_file_iter(&path);
    for section in sections.map_err(|error| bad(&path, &error))? {
        let (kind, der) = section.map_err(|error| bad(&path, &error))?;
        if kind != SectionKind::Certificate {
            return Err(bad(&path, &"it holds something that is not a certificate"));
        }
        let added = store.add(CertificateDer::from(der));
        added.map_err(|error| bad(&path, &error))?;
    }
    if store.is_empty() {
        return Err(bad(&path, &"no certificate in it"));
    }
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(bad(&path, &"the path is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn unusable_authorities_are_refused_before_pingora_sees_them() {
        let dir = tempfile::tempdir().unwrap();
        let https = Endpoint::parse("https://localhost:1").unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let good = file("good.pem", &pem);
        assert_eq!(
            authorities(&https, Some(&good)).unwrap(),
            good.to_str().unwrap()
        );
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let with_key = format!("{pem}{}", key.serialize_pem());
        for (name, text) in [
            ("empty.pem", ""),
            ("text.pem", "hello"),
            ("junk.pem", junk),
            ("key.pem", with_key.as_str()),
        ] {
            let path = file(name, text);
            assert!(authorities(&https, Some(&path)).is_err(), "{name}");
        }
        assert!(authorities(&https, Some(&dir.path().join("missing"))).is_err());
        let http = Endpoint::parse("http://localhost:1").unwrap();
        assert!(authorities(&http, Some(&good)).is_err());
        assert_eq!(authorities(&http, None).unwrap(), "/dev/null");
    }
}
