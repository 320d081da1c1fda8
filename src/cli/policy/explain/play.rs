//! Who asks, and every policy in play: from the configuration, the data directory and files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::case::{Documents, Rules};
use super::Explain;
use crate::authn::Identity;
use crate::authz::Authorizer;
use crate::config::Config;
use crate::iam::{Key, Policy, PolicyKind, Principal};
use crate::identity::{BucketPolicies, Owner, User};
use crate::s3::{BucketName, ErrorCode, PublicAccessBlock};

/// Who asks, and what is in play.
#[derive(Clone)]
pub(super) struct Play {
    /// `None` for a role's session.
    pub(super) identity: Option<Identity>,
    pub(super) principal: Principal,
    pub(super) documents: Documents,
    pub(super) block: PublicAccessBlock,
    /// Why the bucket's policy, which cannot be read, keeps everyone out.
    pub(super) closed: Option<String>,
    pub(super) notes: Vec<String>,
    /// The bucket that is asked about.
    bucket: Option<BucketName>,
    /// What is kept of buckets.
    stored: Option<Arc<BucketPolicies>>,
}

/// What of public access the server blocks; without a configuration, all.
pub(super) fn blocked_by_server(config: Option<&Config>) -> PublicAccessBlock {
    config.map_or(PublicAccessBlock::ALL, |config| config.public_access_block)
}

/// Puts everything together.
pub(super) fn in_play(
    rules: &Rules,
    config: Option<&Config>,
    arguments: &Explain,
    resource: &str,
    authorizer: &Authorizer,
) -> Result<Play, String> {
    let mut documents = Documents::default();
    let (principal, identity) = who(rules, config, arguments, &mut documents)?;
    let mut play = Play {
        identity,
        principal,
        documents,
        block: PublicAccessBlock::ALL,
        closed: None,
        notes: config.map_or_else(Vec::new, |config| config.warnings.clone()),
        bucket: None,
        stored: None,
    };
    let bucket = bucket_of(resource)?;
    if let Some(state) = state(config, arguments, &mut play.notes)? {
        // Asking must not create a state that is not there.
        let stored = BucketPolicies::existing(&state).map_err(|error| error.to_string())?;
        play.stored = Some(Arc::new(stored));
    }
    if let Some(bucket) = &bucket {
        play.of_data(bucket, authorizer, arguments.bucket_policy.is_none())?;
    }
    of_files(rules, config, arguments, bucket.as_ref(), &mut play)?;
    play.bucket = bucket;
    Ok(play)
}

fn who(
    rules: &Rules,
    config: Option<&Config>,
    arguments: &Explain,
    documents: &mut Documents,
) -> Result<(Principal, Option<Identity>), String> {
    if let (Some(id), Some(config)) = (&arguments.access_key, config) {
        let key = config.users.key(id);
        let key = key.ok_or_else(|| format!("the configuration has no access key `{id}`"))?;
        if !key.enabled {
            return Err(format!(
                "access key `{id}` is disabled: whatever it signs is refused"
            ));
        }
        documents.service_account.clone_from(&key.policy);
        return match &key.owner {
            Owner::Root => Ok((rules.principal("root", None)?, Some(Identity::Root))),
            Owner::User(user) => Ok(as_user(rules, user, documents)),
        };
    }
    let text = arguments.principal.as_deref().unwrap_or_default();
    let principal = rules.principal(text, arguments.role.as_deref())?;
    let identity = match &principal {
        Principal::Anonymous => Some(Identity::Anonymous),
        Principal::Root { .. } => Some(Identity::Root),
        Principal::Session { .. } => None,
        Principal::User { arn, .. } => {
            let name = arn.rsplit('/').next().unwrap_or_default();
            let Some(config) = config else {
                return Ok((principal.clone(), Some(Identity::User(supposed(name, arn)))));
            };
            let user = config.users.user(name).filter(|user| user.arn == *arn);
            let user = user.ok_or_else(|| format!("the configuration has no user `{arn}`"))?;
            return Ok(as_user(rules, user, documents));
        }
    };
    Ok((principal, identity))
}

fn as_user(
    rules: &Rules,
    user: &Arc<User>,
    documents: &mut Documents,
) -> (Principal, Option<Identity>) {
    documents.identity.clone_from(&user.policies);
    documents.groups.clone_from(&user.group_policies);
    documents.boundary.clone_from(&user.boundary);
    let principal = Principal::User {
        account: rules.account.clone(),
        arn: user.arn.clone(),
    };
    (principal, Some(Identity::User(user.clone())))
}

/// A user of no configuration.
fn supposed(name: &str, arn: &Arc<str>) -> Arc<User> {
    Arc::new(User {
        name: name.into(),
        arn: arn.clone(),
        groups: Vec::new(),
        policies: Vec::new(),
        group_policies: Vec::new(),
        boundary: None,
        tags: Vec::new(),
    })
}

/// The bucket of a resource: none of what is on none, and of keys.
fn bucket_of(resource: &str) -> Result<Option<BucketName>, String> {
    let place = resource.strip_prefix("arn:aws:s3:::");
    let bucket = place.and_then(|place| place.split('/').next());
    match bucket {
        None | Some("*") => Ok(None),
        Some(name) => {
            let not = |_| format!("`{resource}`: `{name}` is not the name of a bucket");
            Ok(Some(BucketName::parse(name).map_err(not)?))
        }
    }
}

/// Where what is kept of buckets is. A directory that is named must have it; that of a configuration may
/// come with the gateway's first start.
fn state(
    config: Option<&Config>,
    arguments: &Explain,
    notes: &mut Vec<String>,
) -> Result<Option<PathBuf>, String> {
    let named = arguments.data.as_ref();
    let Some(data) = named.or(config.map(|config| &config.data)) else {
        return Ok(None);
    };
    let state = data.join("state");
    let failed = |error: std::io::Error| format!("{}: {error}", state.display());
    match state.try_exists().map_err(failed)? {
        true => Ok(Some(state)),
        false if named.is_some() => Err(format!(
            "{}: it is no data directory of a gateway: it has no `state`",
            data.display()
        )),
        false => {
            notes.push(format!(
                "{} has no `state`: no gateway has run there, and no bucket has a policy",
                data.display()
            ));
            Ok(None)
        }
    }
}

fn of_files(
    rules: &Rules,
    config: Option<&Config>,
    arguments: &Explain,
    bucket: Option<&BucketName>,
    play: &mut Play,
) -> Result<(), String> {
    let refused = config.is_none_or(|config| config.refuses_unknown_actions);
    let mut compile = |kind, path: &PathBuf| {
        let name = path.display().to_string();
        let policy = rules.compile(kind, &name, &read(path)?)?;
        let unknown = policy.unknown_actions();
        let unknown = unknown.iter().map(|why| format!("{name}: {why}"));
        let unknown: Vec<_> = unknown.collect();
        match refused && !unknown.is_empty() {
            true => return Err(unknown.join("\n")),
            false => play.notes.extend(unknown),
        }
        Ok(policy)
    };
    let documents = &mut play.documents;
    for path in &arguments.identity {
        documents
            .identity
            .push(compile(PolicyKind::Identity, path)?);
    }
    for path in &arguments.group {
        documents.groups.push(compile(PolicyKind::Identity, path)?);
    }
    for path in &arguments.session {
        let policy = compile(PolicyKind::Session, path)?;
        documents.session.get_or_insert_default().push(policy);
    }
    if let Some(path) = &arguments.boundary {
        documents.boundary = Some(compile(PolicyKind::Identity, path)?);
    }
    if let Some(path) = &arguments.service_account {
        documents.service_account = Some(compile(PolicyKind::Identity, path)?);
    }
    if let Some(path) = &arguments.bucket_policy {
        let name = path.display().to_string();
        let bucket = bucket.ok_or_else(|| format!("{name}: no bucket is asked about"))?;
        let arn = format!("arn:aws:s3:::{bucket}");
        // As PutBucketPolicy takes it.
        let policy = Policy::parse_for_bucket(&name, &arn, &read(path)?);
        let policy = policy.map_err(|why| format!("{name}: {why}"))?;
        documents.resource = Some(Arc::new(policy));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

impl Play {
    /// The bucket's policy, unless another takes its place, and what of public access it blocks.
    fn of_data(
        &mut self,
        bucket: &BucketName,
        authorizer: &Authorizer,
        with_policy: bool,
    ) -> Result<(), String> {
        let Some(stored) = self.stored.clone() else {
            return Ok(());
        };
        self.block = authorizer.public_access_block(&stored, bucket);
        if !with_policy {
            return Ok(());
        }
        match stored.policy(bucket) {
            Ok(policy) => {
                let unknown = policy
                    .iter()
                    .flat_map(|policy| policy.policy().unknown_actions());
                let notes = unknown.map(|why| format!("the policy of bucket `{bucket}`: {why}"));
                self.notes.extend(notes);
                let policy = policy.map(|policy| Arc::new(policy.policy().clone()));
                self.documents.resource = policy;
                Ok(())
            }
            Err(error) if error.code() == ErrorCode::AccessDenied => {
                let why = "cannot be read, so that it keeps everyone out but root, who can mend it";
                self.closed = Some(format!("the policy of bucket `{bucket}` {why}"));
                Ok(())
            }
            Err(_) => Err(format!(
                "the policy of bucket `{bucket}` cannot be read for the moment"
            )),
        }
    }

    /// The same caller's question about another resource: that of another bucket, or of none.
    pub(super) fn elsewhere(
        &self,
        resource: &str,
        authorizer: &Authorizer,
    ) -> Result<Self, String> {
        let bucket = bucket_of(resource)?;
        let mut play = self.clone();
        if bucket == play.bucket {
            return Ok(play);
        }
        play.documents.resource = None;
        play.closed = None;
        if let Some(bucket) = &bucket {
            play.of_data(bucket, authorizer, true)?;
        }
        play.bucket = bucket;
        Ok(play)
    }

    /// Keys of a role's session, which the gateway does not issue.
    pub(super) fn of_session(&self) -> Vec<(Key, Vec<String>)> {
        let Principal::Session { role, account, .. } = &self.principal else {
            return Vec::new();
        };
        let pairs = [
            ("aws:PrincipalType", "AssumedRole"),
            ("aws:PrincipalArn", role),
            ("aws:PrincipalAccount", account),
        ];
        let pair =
            |(key, value): (&str, &str)| Some((Key::parse(key).ok()?, vec![value.to_owned()]));
        pairs.into_iter().filter_map(pair).collect()
    }
}
