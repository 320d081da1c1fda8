//! What buckets say of who may reach them: their policies, and what of public access they block. The
//! gateway's own state, whatever backend holds a bucket.
//!
//! A policy that is there and cannot be read closes its bucket to everyone but root: what it would have
//! denied is not known (T44). What blocks public access and cannot be read blocks all of it.
//!
//! A change is made by whoever has the bucket's turn ([`BucketPolicies::hold`]), so that it and the
//! making and removing of the bucket itself come one after the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::bucket_files::{BucketFiles, Unreadable};
use super::turns::{Turn, Turns};
use crate::iam::{Policy, PolicyKind};
use crate::s3::{BucketName, Error, ErrorCode, PublicAccessBlock};

/// The directory of policies.
const POLICIES: &str = "bucket-policies";

/// The directory of what of public access is blocked.
const BLOCKS: &str = "public-access-blocks";

/// How long a change waits for another of the same bucket.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bucket's policy.
#[derive(Debug)]
pub struct BucketPolicy {
    policy: Policy,
    public: bool,
    document: String,
}

impl BucketPolicy {
    fn new(policy: Policy, document: String) -> Self {
        Self {
            // Once, and not with every request of someone unknown.
            public: policy.is_public(),
            policy,
            document,
        }
    }

    /// Compiled.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether it is public in S3's sense of the word.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// Its text as it was put.
    #[must_use]
    pub fn document(&self) -> &str {
        &self.document
    }
}

/// What a bucket's own file says of public access; `None` where its configuration was deleted, which is
/// not the same as never to have had one.
type Configured = Option<PublicAccessBlock>;

/// Every bucket's policy, and what of public access it blocks.
#[derive(Debug)]
pub struct BucketPolicies {
    policies: Arc<BucketFiles<BucketPolicy>>,
    blocks: Arc<BucketFiles<Configured>>,
    turns: Turns,
}

/// A bucket's turn: what is kept of it changes by nobody else until this is dropped.
#[derive(Debug)]
pub struct Held {
    bucket: BucketName,
    policies: Arc<BucketFiles<BucketPolicy>>,
    blocks: Arc<BucketFiles<Configured>>,
    turn: Arc<Turn>,
}

impl BucketPolicies {
    /// Opens what is in two directories of `state`, creating them, and compiles it.
    ///
    /// # Errors
    /// When a directory cannot be created or read; the error names it.
    pub fn open(state: &Path) -> std::io::Result<Self> {
        let policies = BucketFiles::open(state.join(POLICIES), stored_policy, unknown_actions)?;
        let blocks = BucketFiles::open(state.join(BLOCKS), stored_block, |_| Vec::new())?;
        Ok(Self::new(policies, blocks))
    }

    /// Reads what is in `state` and changes nothing there, for who only asks.
    ///
    /// # Errors
    /// When a directory cannot be read; the error names it.
    pub fn existing(state: &Path) -> std::io::Result<Self> {
        let policies = BucketFiles::existing(state.join(POLICIES), stored_policy, unknown_actions)?;
        let blocks = BucketFiles::existing(state.join(BLOCKS), stored_block, |_| Vec::new())?;
        Ok(Self::new(policies, blocks))
    }

    fn new(policies: BucketFiles<BucketPolicy>, blocks: BucketFiles<Configured>) -> Self {
        Self {
            policies: Arc::new(policies),
            blocks: Arc::new(blocks),
            turns: Turns::default(),
        }
    }

    /// Waits for `bucket`'s turn. Whoever changes what is kept of a bucket, or makes or removes it, looks
    /// whether it is there only now.
    ///
    /// # Errors
    /// `ServiceUnavailable` when the changes before do not end.
    pub async fn hold(&self, bucket: &BucketName) -> Result<Held, Error> {
        let turn = pingora_timeout::timeout(PATIENCE, self.turns.wait(bucket)).await;
        let turn = turn.map_err(|_| {
            Error::new(ErrorCode::ServiceUnavailable)
                .because("another change of the same bucket does not end")
        })?;
        Ok(Held {
            bucket: bucket.clone(),
            policies: self.policies.clone(),
            blocks: self.blocks.clone(),
            turn: Arc::new(turn),
        })
    }

    /// The policy of `bucket`, when it has one.
    ///
    /// # Errors
    /// `AccessDenied` when it has one that cannot be read, `ServiceUnavailable` when that may pass.
    pub fn policy(&self, bucket: &BucketName) -> Result<Option<Arc<BucketPolicy>>, Error> {
        let policy = self.policies.get(bucket);
        policy.map_err(|why| unreadable(why, "policy", bucket))
    }

    /// What of public access `bucket` itself blocks: everything where it was never told anything else,
    /// nothing where its configuration was deleted, everything where that cannot be read.
    #[must_use]
    pub fn public_access_block(&self, bucket: &BucketName) -> PublicAccessBlock {
        match self.blocks.get(bucket) {
            Ok(Some(configured)) => configured.unwrap_or(PublicAccessBlock::NONE),
            Ok(None) | Err(_) => PublicAccessBlock::ALL,
        }
    }

    /// The configuration of `bucket`, which a bucket has until it is deleted.
    ///
    /// # Errors
    /// `AccessDenied` when there is one that cannot be read, `ServiceUnavailable` when that may pass.
    pub fn public_access_configuration(
        &self,
        bucket: &BucketName,
    ) -> Result<Option<PublicAccessBlock>, Error> {
        match self.blocks.get(bucket) {
            Ok(Some(configured)) => Ok(*configured),
            Ok(None) => Ok(Some(PublicAccessBlock::ALL)),
            Err(why) => Err(unreadable(why, "public access block", bucket)),
        }
    }

    /// Reads again what has changed on disk since it was last read.
    ///
    /// # Errors
    /// When a directory cannot be read; what is known so far stays.
    pub fn refresh(&self) -> std::io::Result<()> {
        let policies = self.policies.refresh();
        policies.and(self.blocks.refresh())
    }
}

impl Held {
    /// Checks, compiles and keeps a policy; durable when it returns. A public one is refused where
    /// `block` says so.
    ///
    /// # Errors
    /// `MalformedPolicy` saying where and why, `AccessDenied` for a public one, or what the file system
    /// says when it cannot be kept.
    pub async fn put(&self, document: &[u8], block: PublicAccessBlock) -> Result<(), Error> {
        let (of, document) = (self.bucket.clone(), document.to_vec());
        // The checks of a long one take a while, in which the reactor has others to serve.
        let policy = tokio::task::spawn_blocking(move || new_policy(&of, document));
        let policy = policy.await.map_err(Error::internal)??;
        if policy.is_public() && block.block_public_policy {
            let message = "Access Denied: public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access";
            return Err(Error::with_message(ErrorCode::AccessDenied, message)
                .because("the policy is public, and public policies are blocked"));
        }
        let text = policy.document().to_owned();
        let turn = self.turn.clone();
        self.policies.put(&self.bucket, text, policy, turn).await
    }

    /// Forgets a policy; durable when it returns. A missing one is no error.
    ///
    /// # Errors
    /// What the file system says when it cannot be removed.
    pub async fn delete(&self) -> Result<(), Error> {
        self.policies.delete(&self.bucket, self.turn.clone()).await
    }

    /// Keeps the bucket's configuration, or that it was deleted; durable when it returns.
    ///
    /// # Errors
    /// What the file system says when it cannot be kept.
    pub async fn configure_public_access(
        &self,
        configured: Option<PublicAccessBlock>,
    ) -> Result<(), Error> {
        let text = serde_json::to_string(&configured.map(Settings::from));
        let text = text.map_err(Error::internal)?;
        let turn = self.turn.clone();
        self.blocks.put(&self.bucket, text, configured, turn).await
    }

    /// Forgets all that the bucket said; durable when it returns.
    ///
    /// # Errors
    /// What the file system says when it cannot be removed: then some of it may be left.
    pub async fn forget(&self) -> Result<(), Error> {
        let (policy, block) = tokio::join!(
            self.delete(),
            self.blocks.delete(&self.bucket, self.turn.clone())
        );
        policy.and(block)
    }

    /// Whether the bucket is surely one of which nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        let policy = matches!(self.policies.get(&self.bucket), Ok(None));
        policy && matches!(self.blocks.get(&self.bucket), Ok(None))
    }
}

/// The four settings as they are kept; `null` is kept where they were deleted.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    block_public_acls: bool,
    ignore_public_acls: bool,
    block_public_policy: bool,
    restrict_public_buckets: bool,
}

impl From<PublicAccessBlock> for Settings {
    fn from(block: PublicAccessBlock) -> Self {
        Self {
            block_public_acls: block.block_public_acls,
            ignore_public_acls: block.ignore_public_acls,
            block_public_policy: block.block_public_policy,
            restrict_public_buckets: block.restrict_public_buckets,
        }
    }
}

impl From<Settings> for PublicAccessBlock {
    fn from(settings: Settings) -> Self {
        Self {
            block_public_acls: settings.block_public_acls,
            ignore_public_acls: settings.ignore_public_acls,
            block_public_policy: settings.block_public_policy,
            restrict_public_buckets: settings.restrict_public_buckets,
        }
    }
}

/// A policy that is put has to pass all that S3 asks of one.
fn new_policy(bucket: &BucketName, document: Vec<u8>) -> Result<BucketPolicy, Error> {
    let text = String::from_utf8(document).map_err(|_| {
        malformed(
            "Policies must be valid JSON and the first byte must be '{': it is not UTF-8 text",
        )
    })?;
    let policy = Policy::parse_for_bucket(&id(bucket), &arn(bucket), &text)
        .map_err(|why| malformed(why.to_string()))?;
    Ok(BucketPolicy::new(policy, text))
}

/// A policy that was put once is read as IAM reads it: what S3 asks of a new one may have grown since.
fn stored_policy(bucket: &BucketName, text: &str) -> Result<BucketPolicy, String> {
    let compile = || {
        let policy = Policy::parse(PolicyKind::Resource, id(bucket), text.as_bytes())?;
        policy.check_bucket(&arn(bucket))?;
        Ok(policy)
    };
    let policy = compile().map_err(|why: crate::iam::Error| why.to_string())?;
    Ok(BucketPolicy::new(policy, text.to_owned()))
}

/// Actions that there are not: a policy that was edited in its file may have some, and a Deny of one denies
/// nothing.
fn unknown_actions(stored: &BucketPolicy) -> Vec<String> {
    let unknown = stored.policy().unknown_actions();
    unknown.iter().map(ToString::to_string).collect()
}

fn stored_block(_bucket: &BucketName, text: &str) -> Result<Configured, String> {
    let settings: Option<Settings> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(settings.map(PublicAccessBlock::from))
}

fn id(bucket: &BucketName) -> String {
    format!("bucket:{bucket}")
}

fn arn(bucket: &BucketName) -> String {
    format!("arn:aws:s3:::{bucket}")
}

fn unreadable(why: Unreadable, what: &str, bucket: &BucketName) -> Error {
    let code = match why {
        Unreadable::Broken => ErrorCode::AccessDenied,
        Unreadable::Unavailable => ErrorCode::ServiceUnavailable,
    };
    Error::new(code).because(format_args!(
        "the {what} of bucket `{bucket}` cannot be read"
    ))
}

fn malformed(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::with_message(ErrorCode::MalformedPolicy, why)
}

#[cfg(test)]
mod tests;
