//! Our own credentials at an upstream: as configured, from files that are read again when they
//! change, or from the standard AWS chain (environment, profiles, web identity, ECS, IMDS).
//!
//! Nothing here ever comes from a client.

use super::error::Error;
use crate::crypto::Secret;
use crate::sigv4::{self, CredentialScope, SigningKey};
use arc_swap::ArcSwapOption;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::provider::ProvideCredentials as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use time::{Date, OffsetDateTime};
use tokio::sync::{OnceCell, Semaphore};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long before their end temporary credentials are renewed.
const AHEAD: Duration = Duration::from_secs(300);
/// How long after a renewal that failed, or that brought nothing new, the next one is tried.
const AGAIN: Duration = Duration::from_secs(10);
/// How long the chain may take: IMDS that is not there times out by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum CredentialsSource {
    /// As configured.
    Static {
        /// The access key id.
        access_key_id: String,
        /// The secret key.
        secret_access_key: Secret,
        /// The session token of temporary credentials.
        session_token: Option<Secret>,
    },
    /// One file each, as Kubernetes mounts secrets; surrounding white space does not count. They
    /// are read again when they change.
    Files {
        /// Holds the access key id.
        access_key_id: PathBuf,
        /// Holds the secret key.
        secret_access_key: PathBuf,
        /// Holds the session token of temporary credentials.
        session_token: Option<PathBuf>,
    },
    /// The chain that AWS SDKs and tools follow.
    Chain {
        /// The profile to read instead of `AWS_PROFILE` or `default`.
        profile: Option<String>,
    },
}

/// Credentials as they are now.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) credentials: sigv4::Credentials,
    /// When they stop working, where that is known.
    until: Option<SystemTime>,
    // The day's signing key: four HMACs that need not be done for every request.
    today: ArcSwapOption<Signing>,
}

/// A signing key and what it is good for.
#[derive(Debug)]
pub(super) struct Signing {
    date: Date,
    pub(super) key: SigningKey,
    pub(super) scope: CredentialScope,
}

impl Keys {
    fn new(credentials: sigv4::Credentials, until: Option<SystemTime>) -> Self {
        Self {
            credentials,
            until,
            today: ArcSwapOption::empty(),
        }
    }

    /// The signing key of the day of `now`. `region` is always the same one.
    pub(super) fn signing(&self, now: OffsetDateTime, region: &str) -> Arc<Signing> {
        if let Some(signing) = &*self.today.load()
            && signing.date == now.date()
        {
            return Arc::clone(signing);
        }
        let scope = CredentialScope::at(now, region, "s3");
        let signing = Arc::new(Signing {
            date: now.date(),
            key: SigningKey::derive(&self.credentials.secret, &scope),
            scope,
        });
        self.today.store(Some(Arc::clone(&signing)));
        signing
    }
}

/// Credentials and when to look for others.
#[derive(Debug)]
struct Held {
    keys: Arc<Keys>,
    since: Instant,
    // `None`: never.
    look: Option<Instant>,
    modified: Vec<Option<SystemTime>>,
}

/// Holds current credentials.
#[derive(Debug)]
pub(super) struct Credentials {
    source: CredentialsSource,
    held: ArcSwapOption<Held>,
    chain: OnceCell<DefaultCredentialsChain>,
    // One renewal at a time; whoever finds it taken goes on with what is held, if that still works.
    renewing: Semaphore,
    // How long credentials are left in peace.
    calm: Duration,
}

impl Credentials {
    pub(super) fn new(source: CredentialsSource) -> Self {
        let calm = match &source {
            CredentialsSource::Chain { .. } => AGAIN,
            CredentialsSource::Static { .. } | CredentialsSource::Files { .. } => Duration::ZERO,
        };
        Self {
            calm,
            source,
            held: ArcSwapOption::empty(),
            chain: OnceCell::new(),
            renewing: Semaphore::new(1),
        }
    }

    /// The credentials to sign with now.
    pub(super) async fn get(&self) -> Result<Arc<Keys>, Error> {
        let held = self.held.load();
        if let Some(held) = held.as_ref()
            && held.look.is_none_or(|look| Instant::now() < look)
        {
            return Ok(Arc::clone(&held.keys));
        }
        drop(held);
        self.renew().await
    }

    /// Makes the next request look again: an upstream said that these no longer work. What was got
    /// a moment ago is not asked for again, or an upstream that refuses everything would have us
    /// ask with every request.
    pub(super) fn distrust(&self) {
        if let Some(held) = self.held.load_full()
            && held.look.is_some()
            && held.since.elapsed() >= self.calm
        {
            self.held.store(Some(Arc::new(Held {
                keys: Arc::clone(&held.keys),
                since: held.since,
                look: Some(Instant::now()),
                modified: Vec::new(),
            })));
        }
    }

    async fn renew(&self) -> Result<Arc<Keys>, Error> {
        let before = self.held.load_full();
        let works = |held: &Held| {
            held.keys
                .until
                .is_none_or(|until| SystemTime::now() < until)
        };
        let _turn = match (self.renewing.try_acquire(), &before) {
            (Ok(turn), _) => turn,
            (Err(_), Some(held)) if works(held) => return Ok(Arc::clone(&held.keys)),
            (Err(_), _) => {
                let turn = self.renewing.acquire().await;
                turn.map_err(|_| Error::Credentials("shutting down".to_owned()))?
            }
        };
        // Another may have renewed while we waited for our turn.
        let now = self.held.load_full();
        if let Some(held) = now
            && held.look.is_none_or(|look| Instant::now() < look)
        {
            return Ok(Arc::clone(&held.keys));
        }
        match self.load(before.as_deref()).await {
            Ok(held) => {
                let keys = Arc::clone(&held.keys);
                self.held.store(Some(Arc::new(held)));
                Ok(keys)
            }
            Err(error) => match before {
                // Credentials that still work outlast a source that does not.
                Some(held) if works(&held) => {
                    tracing::warn!(%error, "cannot renew an upstream's credentials");
                    let keys = Arc::clone(&held.keys);
                    self.held.store(Some(Arc::new(Held {
                        keys: Arc::clone(&keys),
                        since: Instant::now(),
                        look: Instant::now().checked_add(AGAIN),
                        modified: Vec::new(),
                    })));
                    Ok(keys)
                }
                _ => Err(error),
            },
        }
    }

    async fn load(&self, before: Option<&Held>) -> Result<Held, Error> {
        match &self.source {
            CredentialsSource::Static {
                access_key_id,
                secret_access_key,
                session_token,
            } => Ok(Held {
                keys: Arc::new(Keys::new(
                    sigv4::Credentials {
                        access_key_id: access_key_id.clone(),
                        secret: secret_access_key.clone(),
                        session_token: session_token.clone(),
                    },
                    None,
                )),
                since: Instant::now(),
                look: None,
                modified: Vec::new(),
            }),
            CredentialsSource::Files {
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let files = [
                    Some(access_key_id),
                    Some(secret_access_key),
                    session_token.as_ref(),
                ];
                let mut modified = Vec::new();
                for file in files.into_iter().flatten() {
                    modified.push(modified_at(file).await);
                }
                let since = Instant::now();
                let look = since.checked_add(LOOK);
                // What could not be looked at may have changed.
                if let Some(before) = before
                    && modified.iter().all(Option::is_some)
                    && before.modified == modified
                {
                    let keys = Arc::clone(&before.keys);
                    return Ok(Held {
                        keys,
                        since,
                        look,
                        modified,
                    });
                }
                let token = match session_token {
                    Some(file) => Some(Secret::new(text_of(file).await?)),
                    None => None,
                };
                let keys = Arc::new(Keys::new(
                    sigv4::Credentials {
                        access_key_id: text_of(access_key_id).await?,
                        secret: Secret::new(text_of(secret_access_key).await?),
                        session_token: token,
                    },
                    None,
                ));
                Ok(Held {
                    keys,
                    since,
                    look,
                    modified,
                })
            }
            CredentialsSource::Chain { profile } => self.ask_chain(profile.as_deref()).await,
        }
    }

    async fn ask_chain(&self, profile: Option<&str>) -> Result<Held, Error> {
        let chain = self
            .chain
            .get_or_init(|| async {
                let builder = DefaultCredentialsChain::builder();
                let builder = match profile {
                    Some(profile) => builder.profile_name(profile),
                    None => builder,
                };
                builder.build().await
            })
            .await;
        let provided = tokio::time::timeout(PATIENCE, chain.provide_credentials()).await;
        let provided = provided.map_err(|_| Error::Timeout("asking the AWS credential chain"))?;
        // The chain's own errors name files and addresses, never secrets.
        let provided = provided.map_err(|error| {
            let source = std::error::Error::source(&error);
            Error::Credentials(match source {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            })
        })?;
        let until = provided.expiry();
        let left = until.map(|until| {
            let left = until.duration_since(SystemTime::now()).unwrap_or_default();
            left.saturating_sub(AHEAD).max(AGAIN)
        });
        Ok(Held {
            keys: Arc::new(Keys::new(
                sigv4::Credentials {
                    access_key_id: provided.access_key_id().to_owned(),
                    secret: Secret::new(provided.secret_access_key().to_owned()),
                    session_token: provided.session_token().map(|t| Secret::new(t.to_owned())),
                },
                until,
            )),
            since: Instant::now(),
            // Keys of a profile file have no end, but the file may change.
            look: Instant::now().checked_add(left.unwrap_or(AHEAD)),
            modified: Vec::new(),
        })
    }
}

async fn modified_at(file: &Path) -> Option<SystemTime> {
    tokio::fs::metadata(file).await.ok()?.modified().ok()
}

async fn text_of(file: &Path) -> Result<String, Error> {
    let name = file.display();
    let text = tokio::fs::read_to_string(file)
        .await
        .map_err(|error| Error::Credentials(format!("`{name}`: {error}")))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::Credentials(format!("`{name}` is empty")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn files_are_read_again_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let (id, secret) = (dir.path().join("id"), dir.path().join("secret"));
        std::fs::write(&id, "AKIA1\n").unwrap();
        std::fs::write(&secret, " canary1 \n").unwrap();
        let credentials = Credentials::new(CredentialsSource::Files {
            access_key_id: id.clone(),
            secret_access_key: secret.clone(),
            session_token: None,
        });
        let keys = credentials.get().await.unwrap();
        assert_eq!(keys.credentials.access_key_id, "AKIA1");
        assert_eq!(keys.credentials.secret.expose(), "canary1");
        assert!(!format!("{credentials:?}").contains("canary"));

        std::fs::write(&id, "AKIA2").unwrap();
        std::fs::write(&secret, "canary2").unwrap();
        // Not looked at again yet, unless an upstream refuses them.
        assert_eq!(
            credentials.get().await.unwrap().credentials.access_key_id,
            "AKIA1"
        );
        credentials.distrust();
        assert_eq!(
            credentials.get().await.unwrap().credentials.access_key_id,
            "AKIA2"
        );

        // A source that fails leaves what works in place.
        std::fs::remove_file(&secret).unwrap();
        credentials.distrust();
        assert_eq!(
            credentials.get().await.unwrap().credentials.access_key_id,
            "AKIA2"
        );
    }

    #[tokio::test]
    async fn no_credentials_are_an_error() {
        let missing = PathBuf::from("/nonexistent/portcullis");
        let credentials = Credentials::new(CredentialsSource::Files {
            access_key_id: missing.clone(),
            secret_access_key: missing,
            session_token: None,
        });
        assert!(matches!(
            credentials.get().await,
            Err(Error::Credentials(_))
        ));
    }
}
