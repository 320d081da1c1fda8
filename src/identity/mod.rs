//! Who exists: users, groups, access keys and their policies, as one immutable snapshot; and what
//! buckets say of who may reach them.

mod bucket_files;
mod bucket_policies;
mod turns;

pub use bucket_policies::{BucketPolicies, BucketPolicy, Held};

use std::collections::HashMap;
use std::sync::Arc;

use crate::crypto::Secret;
use crate::iam::Policy;

/// Names and values of tags.
pub type Tags = Vec<(Arc<str>, Arc<str>)>;

/// A user.
#[derive(Debug)]
pub struct User {
    /// The friendly name.
    pub name: Arc<str>,
    /// `arn:aws:iam::<account>:user/<name>`.
    pub arn: Arc<str>,
    /// The names of the groups the user is in, for audit.
    pub groups: Vec<Arc<str>>,
    /// The user's own policies.
    pub policies: Vec<Arc<Policy>>,
    /// The policies of the user's groups.
    pub group_policies: Vec<Arc<Policy>>,
    /// The permission boundary: what the user's and the groups' policies grant beyond it is not granted.
    pub boundary: Option<Arc<Policy>>,
    /// Tags, by name.
    pub tags: Tags,
}

/// Whose an access key is.
#[derive(Clone, Debug)]
pub enum Owner {
    /// The account's root user.
    Root,
    /// A user.
    User(Arc<User>),
}

/// An access key.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The public half, as in `AKIA…`.
    pub id: Arc<str>,
    /// The secret half.
    pub secret: Secret,
    /// Whose it is.
    pub owner: Owner,
    /// Whether it may be used.
    pub enabled: bool,
    /// What a service account's key may at most: nothing beyond it, whoever grants it.
    pub policy: Option<Arc<Policy>>,
}

/// Everyone who exists. One immutable value; a change makes a new one.
#[derive(Debug, Default)]
pub struct Directory {
    keys: HashMap<Arc<str>, AccessKey>,
}

impl Directory {
    /// A directory of these keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = AccessKey>) -> Self {
        Self {
            keys: keys.into_iter().map(|key| (key.id.clone(), key)).collect(),
        }
    }

    /// The access key of that id.
    #[must_use]
    pub fn access_key(&self, id: &str) -> Option<&AccessKey> {
        self.keys.get(id)
    }
}
