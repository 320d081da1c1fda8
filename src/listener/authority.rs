//! The certificate authority that is made on first start, and the server certificate it signs, for
//! those who bring none. Keys are files of mode 0600.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::files;

/// How long the authority lives.
const CA_LIFE: Duration = Duration::days(3650);

/// How long a server certificate lives: some clients refuse more than 825 days.
const LEAF_LIFE: Duration = Duration::days(397);

/// A server certificate that ends sooner is made anew at start.
const RENEW_BEFORE: Duration = Duration::days(30);

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The authority's certificate, which clients trust.
    pub ca: PathBuf,
    /// The server's certificate chain.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

/// The authority could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file.
    #[error("`{path}`: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The directory; the error names it.
    #[error("{0}")]
    Directory(std::io::Error),
    /// One without the other.
    #[error(
        "`{certificate}` is there without `{key}`: bring the key back, or remove the certificate to have a new authority made, which clients then have to trust anew"
    )]
    WithoutKey {
        /// The authority's certificate.
        certificate: PathBuf,
        /// Its key, which is missing.
        key: PathBuf,
    },
    /// A certificate.
    #[error("the generated certificate authority is not usable: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Makes what is missing under `directory`: authority, and a certificate for `names` (DNS names and
/// addresses).
///
/// # Errors
/// When files cannot be written or the existing authority cannot be read.
pub fn ensure_authority(
    directory: &Path,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Authority, AuthorityError> {
    files::make_private_directory(directory).map_err(AuthorityError::Directory)?;
    files::sweep(directory);
    let files = Authority::at(directory);
    let ca_key = directory.join("ca-key.pem");
    let issuer = match (read(&files.ca)?, read(&ca_key)?) {
        (Some(certificate), Some(key)) => {
            Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key)?)?
        }
        (Some(_), None) => {
            return Err(AuthorityError::WithoutKey {
                certificate: files.ca,
                key: ca_key,
            });
        }
        // A key alone is one whose certificate was not written: nobody trusts it yet.
        (None, _) => make_authority(&files.ca, &ca_key, now)?,
    };
    // What the certificate was made for stands beside it, so that it is made anew when that changes.
    let names_file = directory.join("server-names.txt");
    let wanted = format!("{}\n", names.join("\n"));
    let known = read(&names_file)?.unwrap_or_default();
    let (made_for, until) = known.split_once("until ").unwrap_or_default();
    let until = until
        .trim()
        .parse()
        .ok()
        .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let fresh = made_for == wanted && until.is_some_and(|until| until - now > RENEW_BEFORE);
    let there = read(&files.certificate)?.is_some() && read(&files.key)?.is_some();
    if !(fresh && there) {
        make_leaf(&files, &issuer, names, now)?;
        let until = now.saturating_add(LEAF_LIFE).unix_timestamp();
        write(&names_file, &format!("{wanted}until {until}\n"), 0o644)?;
    }
    Ok(files)
}

impl Authority {
    /// The files of the authority in `directory`, as they are.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self {
            ca: directory.join("ca.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server-key.pem"),
        }
    }
}

fn make_authority(
    certificate: &Path,
    key_file: &Path,
    now: OffsetDateTime,
) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Portcullis local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now.saturating_sub(Duration::hours(1));
    params.not_after = now.saturating_add(CA_LIFE);
    write(key_file, &key.serialize_pem(), 0o600)?;
    write(certificate, &params.self_signed(&key)?.pem(), 0o644)?;
    Ok(Issuer::new(params, key))
}

fn make_leaf(
    files: &Authority,
    issuer: &Issuer<'_, KeyPair>,
    names: &[String],
    now: OffsetDateTime,
) -> Result<(), AuthorityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Portcullis");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now.saturating_sub(Duration::hours(1));
    params.not_after = now.saturating_add(LEAF_LIFE);
    let certificate = params.signed_by(&key, issuer)?;
    write(&files.key, &key.serialize_pem(), 0o600)?;
    write(&files.certificate, &certificate.pem(), 0o644)
}

/// A file's text; `None` only where there surely is no file.
fn read(path: &Path) -> Result<Option<String>, AuthorityError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuthorityError::File {
            path: path.to_owned(),
            error,
        }),
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let written = files::write(path, text.as_bytes(), mode);
    written.map(drop).map_err(|error| AuthorityError::File {
        path: path.to_owned(),
        error,
    })
}
