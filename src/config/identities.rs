//! Users, groups, their keys and policies, from the configuration.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::RootKey;
use super::build::{Builder, public_access_block};
use super::error::Error;
use super::{file, reading, words};
use crate::iam::{Policy, PolicyKind, PolicyLimits, refusals, said_in_vain};
use crate::identity::{AccessKey, Directory, Owner, Tags, User};
use crate::s3::PublicAccessBlock;

/// Everyone but root.
#[derive(Debug, Default)]
pub struct Users {
    keys: Vec<AccessKey>,
    /// Also those without a key.
    users: Vec<Arc<User>>,
    pub(super) limits: PolicyLimits,
    pub(super) refuses_unknown_actions: bool,
}

/// What policies are held to, read of a configuration whose other mistakes do not matter.
#[derive(Clone, Debug)]
pub struct PolicyRules {
    /// The account that `root` is the root of.
    pub account: Arc<str>,
    /// How long policies may be.
    pub limits: PolicyLimits,
    /// Whether an identity's policy with an action that there is not is refused.
    pub refuses_unknown_actions: bool,
    /// What of public access the server blocks.
    pub public_access_block: PublicAccessBlock,
}

impl PolicyRules {
    /// Those of a configuration; the defaults where there is none.
    ///
    /// # Errors
    /// [`Error`] where it cannot be read, or what is asked of it is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let name = path.unwrap_or(Path::new("(defaults)"));
        let text = path.map_or(Ok(String::new()), words::read_text);
        let text = text.map_err(|error| Error::File {
            path: name.to_owned(),
            error,
        })?;
        let (file, wrong) = reading::read(name, &text);
        let Some(file) = file.filter(|_| wrong.is_empty()) else {
            return Err(Error::all(wrong).unwrap_or(Error::Several(Vec::new())));
        };
        let builder = Builder::new(name, path, &text);
        Ok(Self {
            account: builder.account(&file)?.into(),
            limits: limits(&file),
            refuses_unknown_actions: refuses_unknown_actions(&builder, &file)?,
            public_access_block: public_access_block(&file.public_access_block),
        })
    }
}

fn limits(file: &file::File) -> PolicyLimits {
    let mut limits = PolicyLimits::default();
    if let Some(characters) = file.authorization.identity_policy_characters {
        limits.identity = characters;
    }
    limits
}

/// Policies by name; `None` where it is wrong, which is told once.
type Policies = HashMap<String, Option<Arc<Policy>>>;

/// Groups' policies by name.
type Groups<'f> = HashMap<&'f str, Vec<Arc<Policy>>>;

impl Users {
    /// Compiles users, groups and policies: what is wrong is told of all of them.
    pub(super) fn build(builder: &mut Builder<'_>, file: &file::File, account: &str) -> Self {
        let mut all = Self {
            limits: limits(file),
            ..Self::default()
        };
        let refuses = refuses_unknown_actions(builder, file);
        all.refuses_unknown_actions = builder.keep(refuses).unwrap_or(true);
        let policies = policies(builder, file, &all);
        let groups = groups(builder, file, &policies);
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        let name = |user: &&file::User| user.name.clone();
        builder.each("users", &file.users, name, |builder, user, key| {
            if let Some(name) = user.name.as_deref().filter(|name| !names.insert(*name)) {
                builder.tell(key, format!("two users are called `{name}`"));
            }
            let record = user_record(builder, user, &policies, &groups, account, key);
            let id = |written: &&file::AccessKey| written.id.clone();
            let keys = format!("{key}.access_keys");
            builder.each(&keys, &user.access_keys, id, |builder, written, key| {
                if let Some(id) = written.id.as_deref().filter(|id| !ids.insert(*id)) {
                    builder.tell(key, format!("access key `{id}` is given twice"));
                }
                let access_key = access_key(builder, written, &record, &policies, key);
                all.keys.extend(access_key);
            });
            all.users.push(record);
        });
        all
    }

    /// These and root.
    pub(super) fn directory(&self, root: &RootKey) -> Directory {
        let root = AccessKey {
            id: root.id.as_str().into(),
            secret: root.secret.clone(),
            owner: Owner::Root,
            enabled: true,
            policy: None,
        };
        Directory::new(self.keys.iter().cloned().chain([root]))
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.iter().find(|user| *user.name == *name)
    }

    /// A user's access key.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&AccessKey> {
        self.keys.iter().find(|key| *key.id == *id)
    }

    /// Whether an access key of that id is a user's.
    #[must_use]
    pub fn has_key(&self, id: &str) -> bool {
        self.keys.iter().any(|key| &*key.id == id)
    }
}

/// `None` where it is wrong, which is told.
fn access_key(
    builder: &mut Builder<'_>,
    written: &file::AccessKey,
    user: &Arc<User>,
    policies: &Policies,
    key: &str,
) -> Option<AccessKey> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let id = written.id.as_deref();
    if id.is_some_and(|id| !(3..=128).contains(&id.len()) || !id.bytes().all(plain)) {
        let what = "an access key id is 3 to 128 of letters, digits, `_`, `-` and `.`";
        builder.tell(key, what.to_owned());
    }
    let place = format!("{key}.secret");
    let secret = written.secret.as_ref();
    let secret = secret.map(|secret| builder.secret(&place, secret));
    let secret = secret.and_then(|secret| builder.keep(secret));
    if secret
        .as_ref()
        .is_some_and(|secret| secret.expose().len() < 8)
    {
        let what = "a secret key has at least 8 characters";
        builder.tell(&place, what.to_owned());
    }
    let place = format!("{key}.policy");
    let limit = written.policy.as_ref();
    let limit = limit.and_then(|name| named_one(builder, policies, name, &place));
    Some(AccessKey {
        id: id?.into(),
        secret: secret?,
        owner: Owner::User(user.clone()),
        enabled: written.enabled.unwrap_or(true),
        policy: limit,
    })
}

fn refuses_unknown_actions(builder: &Builder<'_>, file: &file::File) -> Result<bool, Error> {
    match file.authorization.unknown_actions.as_deref() {
        None | Some("refuse") => Ok(true),
        Some("warn") => Ok(false),
        Some(other) => {
            let what = format!("`{other}` is neither `refuse` nor `warn`");
            Err(builder.value("authorization.unknown_actions", what))
        }
    }
}

fn policies(builder: &mut Builder<'_>, file: &file::File, all: &Users) -> Policies {
    let mut compiled = HashMap::new();
    let name = |policy: &&file::Policy| policy.name.clone();
    builder.each("policies", &file.policies, name, |builder, policy, key| {
        has_name(builder, key, policy.name.as_deref());
        let one = one_policy(builder, policy, all, key).map(Arc::new);
        let Some(name) = &policy.name else { return };
        if compiled.insert(name.clone(), one).is_some() {
            builder.tell(key, format!("two policies are called `{name}`"));
        }
    });
    compiled
}

fn has_name(builder: &mut Builder<'_>, key: &str, name: Option<&str>) {
    if name == Some("") {
        builder.tell(key, "the name is empty".to_owned());
    }
}

/// `None` where it is wrong, which is told.
fn one_policy(
    builder: &mut Builder<'_>,
    policy: &file::Policy,
    all: &Users,
    key: &str,
) -> Option<Policy> {
    let mut key = key.to_owned();
    let (text, place) = match (&policy.document, &policy.inline) {
        (Some(path), None) => {
            key.push_str(".document");
            let place = builder.base.join(path).display().to_string();
            (builder.read(&key, path)?, format!("`{place}`: "))
        }
        (None, Some(text)) => {
            key.push_str(".inline");
            (text.clone(), String::new())
        }
        (None, None) | (Some(_), Some(_)) => {
            builder.tell(&key, "give either `document` or `inline`".to_owned());
            return None;
        }
    };
    let name = policy.name.as_deref().unwrap_or_default();
    let parsed = Policy::parse_within(&all.limits, PolicyKind::Identity, name, text.as_bytes());
    let (refused, unknown) = match &parsed {
        Ok(policy) => {
            let unknown = policy.unknown_actions();
            (
                Vec::new(),
                unknown.iter().map(ToString::to_string).collect(),
            )
        }
        Err(why) => {
            let (mut refused, unknown) =
                refusals(&all.limits, PolicyKind::Identity, text.as_bytes());
            // What is no policy is told, whatever is found wrong of it: a Deny must not get lost in silence.
            if refused.is_empty() {
                refused.push(why.to_string());
            }
            (refused, unknown)
        }
    };
    if builder.advises && parsed.is_ok() {
        let kind = PolicyKind::Identity;
        for why in said_in_vain(&all.limits, kind, text.as_bytes()) {
            builder.warnings.push(format!("`{key}`: {place}{why}"));
        }
    }
    for why in refused {
        builder.tell(&key, format!("{place}{why}"));
    }
    for why in unknown {
        match all.refuses_unknown_actions {
            true => builder.tell(&key, format!("{place}{why}")),
            false => builder.warnings.push(format!("`{key}`: {place}{why}")),
        }
    }
    parsed.ok()
}

fn groups<'f>(builder: &mut Builder<'_>, file: &'f file::File, policies: &Policies) -> Groups<'f> {
    let mut groups = HashMap::new();
    let name = |group: &&file::Group| group.name.clone();
    builder.each("groups", &file.groups, name, |builder, group, key| {
        has_name(builder, key, group.name.as_deref());
        let place = format!("{key}.policies");
        let policies = named(builder, policies, &group.policies, &place);
        let Some(name) = &group.name else { return };
        if groups.insert(name.as_str(), policies).is_some() {
            builder.tell(key, format!("two groups are called `{name}`"));
        }
    });
    groups
}

fn named(
    builder: &mut Builder<'_>,
    policies: &Policies,
    names: &[String],
    key: &str,
) -> Vec<Arc<Policy>> {
    let mut found = Vec::new();
    for name in names {
        found.extend(named_one(builder, policies, name, key));
    }
    found
}

/// The policy of that name; `None` where there is none, which is told here or was before.
fn named_one(
    builder: &mut Builder<'_>,
    policies: &Policies,
    name: &str,
    key: &str,
) -> Option<Arc<Policy>> {
    let found = policies.get(name);
    if found.is_none() && !builder.names("policies", name) {
        builder.tell(key, format!("there is no policy `{name}`"));
    }
    found.cloned().flatten()
}

/// AWS's limits on tags of users: 50 of them, of 1 to 128 and at most 256 characters, names unique in
/// whatever case.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html>
fn tags(builder: &mut Builder<'_>, written: &BTreeMap<String, String>, key: &str) -> Tags {
    let key = format!("{key}.tags");
    if written.len() > 50 {
        builder.tell(&key, format!("{} are more than 50 tags", written.len()));
    }
    let mut tags = Tags::new();
    for (name, value) in written {
        let plain = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        let fits = (1..=128).contains(&name.chars().count()) && value.chars().count() <= 256;
        if !fits || !name.chars().chain(value.chars()).all(plain) {
            let rule = "a tag has 1 to 128 characters, its value at most 256: letters, digits, space and `_.:/=+-@`";
            builder.tell(&key, format!("`{name}` = `{value}`: {rule}"));
        }
        if tags
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            builder.tell(&key, format!("two tags are called `{name}`"));
        }
        tags.push((name.as_str().into(), value.as_str().into()));
    }
    tags
}

fn user_record(
    builder: &mut Builder<'_>,
    user: &file::User,
    policies: &Policies,
    groups: &Groups<'_>,
    account: &str,
    key: &str,
) -> Arc<User> {
    // IAM's own rule for friendly names: what stands in an ARN must not be a pattern or a path.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    let fits = |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(plain);
    if user.name.as_deref().is_some_and(|name| !fits(name)) {
        let what = "a user name is 1 to 64 of letters, digits and `+=,.@_-`";
        builder.tell(key, what.to_owned());
    }
    let mut group_policies = Vec::new();
    for group in &user.groups {
        match groups.get(group.as_str()) {
            Some(policies) => group_policies.extend(policies.iter().cloned()),
            None if builder.names("groups", group) => {}
            None => builder.tell(
                &format!("{key}.groups"),
                format!("there is no group `{group}`"),
            ),
        }
    }
    let boundary = user.boundary.as_ref();
    let boundary =
        boundary.and_then(|name| named_one(builder, policies, name, &format!("{key}.boundary")));
    let name = user.name.as_deref().unwrap_or_default();
    Arc::new(User {
        name: name.into(),
        arn: format!("arn:aws:iam::{account}:user/{name}").into(),
        groups: user
            .groups
            .iter()
            .map(|group| group.as_str().into())
            .collect(),
        policies: named(
            builder,
            policies,
            &user.policies,
            &format!("{key}.policies"),
        ),
        group_policies,
        boundary,
        tags: tags(builder, &user.tags, key),
    })
}
