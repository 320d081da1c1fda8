//! Users, groups, their keys and policies, from the configuration.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::RootKey;
use super::build::Builder;
use super::error::Error;
use super::file;
use crate::iam::{Policy, PolicyKind, PolicyLimits};
use crate::identity::{AccessKey, Directory, Owner, Tags, User};

/// Everyone but root.
#[derive(Debug, Default)]
pub struct Users {
    keys: Vec<AccessKey>,
    /// Also those without a key.
    users: Vec<Arc<User>>,
    pub(super) limits: PolicyLimits,
    pub(super) refuses_unknown_actions: bool,
}

/// Policies by name; `None` where it is wrong, which is told once.
type Policies = HashMap<String, Option<Arc<Policy>>>;

/// Groups' policies by name.
type Groups<'f> = HashMap<&'f str, Vec<Arc<Policy>>>;

impl Users {
    /// Compiles users, groups and policies: what is wrong is told of all of them.
    pub(super) fn build(builder: &mut Builder<'_>, file: &file::File, account: &str) -> Self {
        let mut all = Self::default();
        if let Some(characters) = file.authorization.identity_policy_characters {
            all.limits.identity = characters;
        }
        let refuses = refuses_unknown_actions(builder, file);
        all.refuses_unknown_actions = builder.keep(refuses).unwrap_or(true);
        let policies = policies(builder, file, &all);
        let groups = groups(builder, file, &policies);
        let mut names = HashSet::new();
        for user in &file.users {
            let key = format!("users.{}", user.name);
            if !names.insert(&user.name) {
                let what = format!("two users are called `{}`", user.name);
                let twice = builder.value("users.name", what);
                builder.wrong.push(twice);
            }
            let record = user_record(builder, user, &policies, &groups, account, &key);
            let Some(record) = builder.keep(record) else {
                continue;
            };
            for written in &user.access_keys {
                let access_key = all.access_key(builder, written, &record, &policies, &key);
                all.keys.extend(builder.keep(access_key));
            }
            all.users.push(record);
        }
        all
    }

    fn access_key(
        &self,
        builder: &mut Builder<'_>,
        written: &file::AccessKey,
        user: &Arc<User>,
        policies: &Policies,
        key: &str,
    ) -> Result<AccessKey, Error> {
        let id: Arc<str> = written.id.as_str().into();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if !(3..=128).contains(&id.len()) || !id.bytes().all(plain) {
            let what = "an access key id is 3 to 128 of letters, digits, `_`, `-` and `.`";
            return Err(builder.value(key, what.to_owned()));
        }
        if self.has_key(&id) {
            return Err(builder.value(key, format!("access key `{id}` is given twice")));
        }
        let place = format!("{key}.access_keys.secret");
        let secret = builder.secret(&place, &written.secret)?;
        if secret.expose().len() < 8 {
            let what = "a secret key has at least 8 characters";
            return Err(builder.value(&place, what.to_owned()));
        }
        let place = format!("{key}.access_keys.policy");
        let limit = written.policy.as_ref();
        let limit = limit.map(|name| named_one(builder, policies, name, &place));
        Ok(AccessKey {
            id,
            secret,
            owner: Owner::User(user.clone()),
            enabled: written.enabled.unwrap_or(true),
            policy: limit.transpose()?.flatten(),
        })
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
    for policy in &file.policies {
        let one = one_policy(builder, policy, all);
        let one = builder.keep(one).map(Arc::new);
        if compiled.insert(policy.name.clone(), one).is_some() {
            let what = format!("two policies are called `{}`", policy.name);
            let twice = builder.value("policies.name", what);
            builder.wrong.push(twice);
        }
    }
    compiled
}

fn one_policy(
    builder: &mut Builder<'_>,
    policy: &file::Policy,
    all: &Users,
) -> Result<Policy, Error> {
    let mut key = format!("policies.{}", policy.name);
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
        _ => return Err(builder.value(&key, "give either `document` or `inline`".to_owned())),
    };
    let name = policy.name.as_str();
    let parsed = Policy::parse_within(&all.limits, PolicyKind::Identity, name, text.as_bytes());
    let parsed = parsed.map_err(|why| builder.value(&key, format!("{place}{why}")))?;
    let unknown = parsed.unknown_actions();
    let unknown: Vec<_> = unknown.iter().map(|why| format!("{place}{why}")).collect();
    match all.refuses_unknown_actions {
        _ if unknown.is_empty() => {}
        true => return Err(builder.value(&key, unknown.join("; "))),
        false => {
            let told = unknown.iter().map(|what| format!("`{key}`: {what}"));
            builder.warnings.extend(told);
        }
    }
    Ok(parsed)
}

fn groups<'f>(builder: &mut Builder<'_>, file: &'f file::File, policies: &Policies) -> Groups<'f> {
    let mut groups = HashMap::new();
    for group in &file.groups {
        let key = format!("groups.{}.policies", group.name);
        let policies = named(builder, policies, &group.policies, &key);
        let policies = builder.keep(policies).unwrap_or_default();
        if groups.insert(group.name.as_str(), policies).is_some() {
            let what = format!("two groups are called `{}`", group.name);
            let twice = builder.value("groups.name", what);
            builder.wrong.push(twice);
        }
    }
    groups
}

fn named(
    builder: &Builder<'_>,
    policies: &Policies,
    names: &[String],
    key: &str,
) -> Result<Vec<Arc<Policy>>, Error> {
    let find = |name: &String| named_one(builder, policies, name, key).transpose();
    names.iter().filter_map(find).collect()
}

/// The policy of that name; `None` where that is told already.
fn named_one(
    builder: &Builder<'_>,
    policies: &Policies,
    name: &str,
    key: &str,
) -> Result<Option<Arc<Policy>>, Error> {
    let missing = || builder.value(key, format!("there is no policy `{name}`"));
    policies.get(name).cloned().ok_or_else(missing)
}

/// AWS's limits on tags of users: 50 of them, of 1 to 128 and at most 256 characters, names unique in
/// whatever case.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html>
fn tags(
    builder: &Builder<'_>,
    written: &BTreeMap<String, String>,
    key: &str,
) -> Result<Tags, Error> {
    let key = format!("{key}.tags");
    let mut tags = Tags::new();
    for (name, value) in written {
        let plain = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        let fits = (1..=128).contains(&name.chars().count()) && value.chars().count() <= 256;
        if !fits || !name.chars().chain(value.chars()).all(plain) || written.len() > 50 {
            let rule = "up to 50 tags of 1 to 128 characters, their values of at most 256: letters, digits, space and `_.:/=+-@`";
            return Err(builder.value(&key, format!("`{name}` = `{value}`: {rule}")));
        }
        if tags
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            return Err(builder.value(&key, format!("two tags are called `{name}`")));
        }
        tags.push((name.as_str().into(), value.as_str().into()));
    }
    Ok(tags)
}

fn user_record(
    builder: &Builder<'_>,
    user: &file::User,
    policies: &Policies,
    groups: &Groups<'_>,
    account: &str,
    key: &str,
) -> Result<Arc<User>, Error> {
    // IAM's own rule for friendly names: what stands in an ARN must not be a pattern or a path.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    if !(1..=64).contains(&user.name.len()) || !user.name.bytes().all(plain) {
        return Err(builder.value(
            key,
            "a user name is 1 to 64 of letters, digits and `+=,.@_-`".to_owned(),
        ));
    }
    let mut group_policies = Vec::new();
    for group in &user.groups {
        let missing = || {
            builder.value(
                &format!("{key}.groups"),
                format!("there is no group `{group}`"),
            )
        };
        group_policies.extend(
            groups
                .get(group.as_str())
                .ok_or_else(missing)?
                .iter()
                .cloned(),
        );
    }
    Ok(Arc::new(User {
        name: user.name.as_str().into(),
        arn: format!("arn:aws:iam::{account}:user/{}", user.name).into(),
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
        )?,
        group_policies,
        boundary: match &user.boundary {
            None => None,
            Some(name) => named_one(builder, policies, name, &format!("{key}.boundary"))?,
        },
        tags: tags(builder, &user.tags, key)?,
    }))
}
