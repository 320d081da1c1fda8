//! Bucket policies: the gateway's own state, one file a bucket, whatever backend holds the bucket.
//!
//! A policy is compiled when it is written or read, never when a request asks. One that is there and
//! cannot be read closes its bucket to everyone but root: what it would have denied is not known
//! (T44). Other gateways may share the directory: [`BucketPolicies::refresh`] picks up their changes.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::iam::{Policy, PolicyKind};
use crate::s3::{BucketName, Error, ErrorCode};

/// What is known of a bucket's policy.
#[derive(Clone, Debug)]
enum Stored {
    /// Compiled, with the text as it was put.
    Policy {
        policy: Arc<Policy>,
        document: Arc<str>,
        changed: Option<SystemTime>,
    },
    /// There, and not readable as a policy.
    Broken { changed: Option<SystemTime> },
}

type Snapshot = HashMap<BucketName, Stored>;

/// Every bucket's policy.
#[derive(Debug)]
pub struct BucketPolicies {
    directory: PathBuf,
    snapshot: ArcSwap<Snapshot>,
    // Held while the directory and the snapshot change together; never across an await.
    writing: Mutex<()>,
}

/// The file name's ending.
const ENDING: &str = ".json";

impl BucketPolicies {
    /// Opens `directory`, creating it, and compiles what it holds.
    ///
    /// # Errors
    /// When the directory cannot be created or read.
    pub fn open(directory: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let policies = Self {
            directory,
            snapshot: ArcSwap::default(),
            writing: Mutex::new(()),
        };
        policies.refresh()?;
        Ok(policies)
    }

    /// The compiled policy of `bucket`, when it has one.
    ///
    /// # Errors
    /// `AccessDenied` when it has one that cannot be read.
    pub fn policy(&self, bucket: &BucketName) -> Result<Option<Arc<Policy>>, Error> {
        match self.snapshot.load().get(bucket) {
            None => Ok(None),
            Some(Stored::Policy { policy, .. }) => Ok(Some(policy.clone())),
            Some(Stored::Broken { .. }) => Err(unreadable(bucket)),
        }
    }

    /// The policy's text as it was put.
    ///
    /// # Errors
    /// `AccessDenied` when there is one that cannot be read.
    pub fn document(&self, bucket: &BucketName) -> Result<Option<String>, Error> {
        match self.snapshot.load().get(bucket) {
            None => Ok(None),
            Some(Stored::Policy { document, .. }) => Ok(Some(document.to_string())),
            Some(Stored::Broken { .. }) => Err(unreadable(bucket)),
        }
    }

    /// Checks, compiles and keeps a policy; durable when it returns.
    ///
    /// # Errors
    /// `MalformedPolicy` saying where and why, or `InternalError` when it cannot be kept.
    pub async fn put(self: &Arc<Self>, bucket: &BucketName, document: &[u8]) -> Result<(), Error> {
        let text =
            std::str::from_utf8(document).map_err(|_| malformed("the policy is not UTF-8 text"))?;
        let policy = compile(bucket, text).map_err(|why| malformed(why.to_string()))?;
        let (this, bucket, text) = (self.clone(), bucket.clone(), Arc::<str>::from(text));
        blocking(move || {
            let _held = this.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let path = this.path(&bucket);
            this.write(&path, text.as_bytes())?;
            let stored = Stored::Policy {
                policy: Arc::new(policy),
                document: text,
                changed: changed(&path),
            };
            this.swap(|policies| {
                policies.insert(bucket, stored);
            });
            Ok(())
        })
        .await
    }

    /// Forgets a policy; durable when it returns. A missing one is no error.
    ///
    /// # Errors
    /// `InternalError` when it cannot be removed.
    pub async fn delete(self: &Arc<Self>, bucket: &BucketName) -> Result<(), Error> {
        if !self.snapshot.load().contains_key(bucket) {
            return Ok(());
        }
        let (this, bucket) = (self.clone(), bucket.clone());
        blocking(move || {
            let _held = this.writing.lock().unwrap_or_else(PoisonError::into_inner);
            match std::fs::remove_file(this.path(&bucket)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            sync_directory(&this.directory)?;
            this.swap(|policies| {
                policies.remove(&bucket);
            });
            Ok(())
        })
        .await
    }

    /// Reads again what has changed on disk since it was last read.
    ///
    /// # Errors
    /// When the directory cannot be read; the policies known so far stay.
    pub fn refresh(&self) -> std::io::Result<()> {
        let _held = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.snapshot.load_full();
        let mut found = Snapshot::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .and_then(|n| n.strip_suffix(ENDING));
            let Some(Ok(bucket)) = name.map(BucketName::parse) else {
                continue;
            };
            let stored = match known.get(&bucket) {
                Some(stored) if stored.changed() == changed(&path) => stored.clone(),
                _ => read(&bucket, &path),
            };
            found.insert(bucket, stored);
        }
        self.snapshot.store(Arc::new(found));
        Ok(())
    }

    fn path(&self, bucket: &BucketName) -> PathBuf {
        self.directory.join(format!("{bucket}{ENDING}"))
    }

    /// Whole or not at all: a temporary file, synced, renamed, and its directory synced.
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let temporary = path.with_extension("tmp");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_directory(&self.directory)
    }

    fn swap(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut policies = Snapshot::clone(&self.snapshot.load());
        change(&mut policies);
        self.snapshot.store(Arc::new(policies));
    }
}

impl Stored {
    fn changed(&self) -> Option<SystemTime> {
        match self {
            Self::Policy { changed, .. } | Self::Broken { changed } => *changed,
        }
    }
}

fn compile(bucket: &BucketName, text: &str) -> Result<Policy, crate::iam::Error> {
    let policy = Policy::parse(
        PolicyKind::Resource,
        format!("bucket:{bucket}"),
        text.as_bytes(),
    )?;
    policy.check_bucket(&format!("arn:aws:s3:::{bucket}"))?;
    Ok(policy)
}

fn read(bucket: &BucketName, path: &Path) -> Stored {
    let changed = changed(path);
    let compiled = std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| Ok((compile(bucket, &text).map_err(|why| why.to_string())?, text)));
    match compiled {
        Ok((policy, text)) => Stored::Policy {
            policy: Arc::new(policy),
            document: text.into(),
            changed,
        },
        Err(why) => {
            tracing::error!(%bucket, %why, "a bucket policy cannot be read: the bucket is closed to all but root");
            Stored::Broken { changed }
        }
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn sync_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

fn unreadable(bucket: &BucketName) -> Error {
    Error::new(ErrorCode::AccessDenied).because(format_args!(
        "the policy of bucket `{bucket}` cannot be read"
    ))
}

fn malformed(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::with_message(ErrorCode::MalformedPolicy, why)
}

async fn blocking(
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::internal(error)),
        Err(error) => Err(Error::internal(error)),
    }
}
