//! The server's certificate, reloaded without a restart, and the authority that client certificates
//! must come from.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The certificate in use. A reload swaps it; handshakes under way keep theirs.
#[derive(Debug)]
pub struct Certificates {
    current: ArcSwap<CertifiedKey>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("`{path}`: {why}")]
    Pem {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// A file has no private key that can be read.
    #[error("`{path}`: {why}")]
    Key {
        /// Which.
        path: String,
        /// Why, and what to do.
        why: String,
    },
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    #[error("certificate `{certificate}` and key `{key}` cannot be used together: {why}")]
    Pair {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// Why.
        why: String,
    },
}

impl TlsError {
    /// Whether the file of the key is what is wrong.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        !matches!(self, Self::Pem { .. })
    }
}

impl Certificates {
    /// Reads a chain and its key.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            current: ArcSwap::from_pointee(read(certificate, key)?),
        })
    }

    /// Reads them again; on an error the current ones stay.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(certificate, key)?));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = chain(certificate)?;
    let private = private_key(key)?;
    let pair = |why: rustls::Error| TlsError::Pair {
        certificate: certificate.display().to_string(),
        key: key.display().to_string(),
        why: of_pair(&why),
    };
    let certified =
        CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(pair)?;
    Ok(certified)
}

/// What rustls says of a certificate and its key, in an operator's words.
fn of_pair(why: &rustls::Error) -> String {
    match why {
        rustls::Error::InconsistentKeys(_) => {
            "the key does not belong to the certificate: the first certificate in its file must be of this key"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(_) => "the certificate cannot be read".to_owned(),
        rustls::Error::General(_) => {
            "the key is none of RSA (of 2048 bits or more), ECDSA (P-256, P-384, P-521) or Ed25519".to_owned()
        }
        other => other.to_string(),
    }
}

/// The first private key of a file.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls_pki_types::pem::Error;
    let unread = |why: String| TlsError::Key {
        path: path.display().to_string(),
        why,
    };
    let is_encrypted = || {
        let text = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || text.contains("Proc-Type: 4,ENCRYPTED")
    };
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        // The older form has its marks between the lines, and is no base64.
        Error::NoItemsFound | Error::Base64Decode(_) if is_encrypted() => unread(format!(
            "the key is encrypted, and nobody is there to say its passphrase: \
             `openssl pkey -in {} -out plain.pem` writes it without one",
            path.display()
        )),
        Error::NoItemsFound => unread(
            "there is no private key in it: it must have a line `-----BEGIN PRIVATE KEY-----`, or one of \
             RSA or EC"
                .to_owned(),
        ),
        error => unread(error.to_string()),
    })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| pem(path, error))?;
    let chain: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| pem(path, error))?;
    if chain.is_empty() {
        return Err(pem(path, "there is no certificate in it"));
    }
    Ok(chain)
}

fn pem(path: &Path, why: impl std::fmt::Display) -> TlsError {
    TlsError::Pem {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}

/// Verifies a client certificate: it must come from an authority in `ca`. A client without one is refused
/// by the handshake, unless it `may_be_without`.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn client_verifier(
    ca: &Path,
    may_be_without: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(ca)? {
        let unread = |_| pem(ca, "a certificate in it cannot be read");
        roots.add(certificate).map_err(unread)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match may_be_without {
        true => builder.allow_unauthenticated(),
        false => builder,
    };
    let verifier = builder.build().map_err(|error| pem(ca, error))?;
    Ok(verifier)
}
