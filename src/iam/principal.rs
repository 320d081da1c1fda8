//! Who asks, and whom a policy names.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>

use std::sync::Arc;

use super::arn::{self, is_account};
use super::json::Json;
use super::statement::same;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody said who they are.
    Anonymous,
    /// The account's root user.
    Root {
        /// The account, 12 digits.
        account: Arc<str>,
    },
    /// A user.
    User {
        /// The account, 12 digits.
        account: Arc<str>,
        /// `arn:aws:iam::<account>:user/<name>`.
        arn: Arc<str>,
    },
    /// A session of a role.
    Session {
        /// The account, 12 digits.
        account: Arc<str>,
        /// `arn:aws:iam::<account>:role/<path and name>`.
        role: Arc<str>,
        /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`.
        arn: Arc<str>,
    },
}

impl Principal {
    /// The account that whoever asks belongs to.
    #[must_use]
    pub fn account(&self) -> Option<&Arc<str>> {
        match self {
            Self::Anonymous => None,
            Self::Root { account } | Self::User { account, .. } | Self::Session { account, .. } => {
                Some(account)
            }
        }
    }

    /// Reads the ARN of a user, or of a role's session whose role is `role` or the one that the
    /// session's ARN names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, role: Option<&str>) -> Result<Self, String> {
        let not = || format!("`{text}` is not the ARN of a user or of a role's session");
        let [_, _, _, _, account, resource] = arn::parts(text).ok_or_else(not)?;
        match (Named::one("AWS", text).map_err(|_| not())?, role) {
            (Named::User(arn), None) if is_account(account) => Ok(Self::User {
                account: account.into(),
                arn: arn.into(),
            }),
            (Named::Session(arn), role) => {
                let of_arn = || match resource.strip_prefix("assumed-role/") {
                    Some(names) => {
                        let role = names.split('/').next().unwrap_or_default();
                        format!("arn:aws:iam::{account}:role/{role}")
                    }
                    // A federated user's session has no role.
                    None => text.to_owned(),
                };
                Ok(Self::Session {
                    account: account.into(),
                    role: role.map_or_else(of_arn, str::to_owned).into(),
                    arn: arn.into(),
                })
            }
            _ => Err(not()),
        }
    }
}

/// A policy's `Principal` or `NotPrincipal`.
#[derive(Clone, Debug)]
pub(super) enum Principals {
    Only(Vec<Named>),
    Except(Vec<Named>),
}

/// One that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// `*`: everyone, signed or not.
    Everyone,
    /// An account: whoever it lets.
    Account(Box<str>),
    /// A user's ARN.
    User(Box<str>),
    /// A role's: its sessions.
    Role(Box<str>),
    /// The ARN of one session of a role.
    Session(Box<str>),
    /// An account by its canonical user: the SHA-256 of its id here.
    Canonical(Box<str>),
    /// A service, which never asks here.
    Service(Box<str>),
    /// An identity provider: what it issues becomes a session before it asks.
    Federated(Box<str>),
}

/// How a policy's principals take in who asks; what comes later grants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Through {
    Nobody,
    /// Through the account, which must itself let whoever asks.
    Account,
    /// A session, through its role: within what limits the session.
    Role,
    /// The user: beyond identity policies and boundary, within a session's policies.
    User,
    /// The session itself, or everyone: beyond what limits it.
    Direct,
}

impl PartialEq for Principals {
    /// Whether they name the same, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Only(ours), Self::Only(theirs)) | (Self::Except(ours), Self::Except(theirs)) => {
                same(ours, theirs)
            }
            _ => false,
        }
    }
}

impl Principals {
    pub(super) fn matches(&self, principal: &Principal) -> Through {
        let strongest = |named: &[Named]| {
            let each = named.iter().map(|n| n.matches(principal));
            each.max().unwrap_or(Through::Nobody)
        };
        match self {
            Self::Only(named) => strongest(named),
            // An account among those excepted is its root, not everyone in it.
            Self::Except(named) => match strongest(named) {
                Through::Nobody | Through::Account => Through::Direct,
                Through::Role | Through::User | Through::Direct => Through::Nobody,
            },
        }
    }

    pub(super) fn named(&self) -> &[Named] {
        match self {
            Self::Only(named) | Self::Except(named) => named,
        }
    }
}

/// What a canonical user is.
pub(super) const CANONICAL: &str = "a canonical user is 64 hexadecimal digits";

/// Whether it is written as the id of a canonical user is.
pub(super) fn is_canonical(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Named {
    fn matches(&self, principal: &Principal) -> Through {
        let when = |hit: bool, through| if hit { through } else { Through::Nobody };
        // The account is its root, and for everyone else a word to the account.
        let account = |is: &dyn Fn(&str) -> bool| match principal {
            Principal::Anonymous => Through::Nobody,
            Principal::Root { account } => when(is(account), Through::Direct),
            Principal::User { account, .. } | Principal::Session { account, .. } => {
                when(is(account), Through::Account)
            }
        };
        match (self, principal) {
            (Self::Everyone, _) => Through::Direct,
            (Self::Account(named), _) => account(&|id| id == &**named),
            (Self::Canonical(named), _) => {
                account(&|id| hex::encode(crate::crypto::sha256(id.as_bytes())) == **named)
            }
            (Self::User(named), Principal::User { arn, .. }) => {
                when(**named == **arn, Through::User)
            }
            (Self::Role(named), Principal::Session { role, .. }) => {
                when(**named == **role, Through::Role)
            }
            (Self::Session(named), Principal::Session { arn, .. }) => {
                when(**named == **arn, Through::Direct)
            }
            (Self::User(_) | Self::Role(_) | Self::Session(_), _)
            | (Self::Service(_) | Self::Federated(_), _) => Through::Nobody,
        }
    }

    /// Reads the element: `"*"`, or an object of lists by kind.
    pub(super) fn parse(element: &Json<'_>) -> Result<Vec<Self>, String> {
        match element {
            Json::String(text) if text == "*" => Ok(vec![Self::Everyone]),
            Json::Object(kinds) if !kinds.is_empty() => {
                let mut named = Vec::new();
                for (kind, values) in kinds {
                    for text in values.strings()? {
                        named.push(Self::one(kind, text)?);
                    }
                }
                Ok(named)
            }
            _ => Err("a principal is `\"*\"` or an object with `AWS`, `Federated`, `Service` or `CanonicalUser`".to_owned()),
        }
    }

    fn one(kind: &str, text: &str) -> Result<Self, String> {
        match kind {
            "AWS" if text == "*" => Ok(Self::Everyone),
            "AWS" if is_account(text) => Ok(Self::Account(text.into())),
            "AWS" => Self::by_arn(text).ok_or_else(|| format!("`{text}` is not a principal")),
            "Federated" | "Service" | "CanonicalUser"
                if text.is_empty() || text.contains(['*', '?']) =>
            {
                Err(format!("`{text}` is not a principal"))
            }
            "Federated" => Ok(Self::Federated(text.into())),
            "Service" => Ok(Self::Service(text.into())),
            "CanonicalUser" => Ok(Self::Canonical(text.into())),
            other => Err(format!("a principal's kind `{other}` is not known")),
        }
    }

    /// A user, a role, a session or an account's root. None is a pattern.
    fn by_arn(text: &str) -> Option<Self> {
        let ["arn", "aws", service, "", account, resource] = arn::parts(text)? else {
            return None;
        };
        let (kind, name) = resource.split_once('/').unwrap_or((resource, ""));
        // The identity by which a CDN of AWS's reads a bucket: nobody's here.
        if (service, account, kind) == ("iam", "cloudfront", "user") && !name.is_empty() {
            return Some(Self::User(text.into()));
        }
        if !is_account(account) || text.contains(['*', '?']) {
            return None;
        }
        match (service, kind) {
            ("iam", "root") if name.is_empty() => Some(Self::Account(account.into())),
            ("iam", "user") if !name.is_empty() => Some(Self::User(text.into())),
            ("iam", "role") if !name.is_empty() => Some(Self::Role(text.into())),
            // Sessions that no role has: nothing issues them here.
            ("sts", "federated-user") if !name.is_empty() => Some(Self::Session(text.into())),
            ("sts", "assumed-role") if name.split('/').filter(|n| !n.is_empty()).count() == 2 => {
                Some(Self::Session(text.into()))
            }
            _ => None,
        }
    }

    /// Its kind and text, as a policy has them.
    pub(super) fn write(&self) -> (&'static str, &str) {
        match self {
            Self::Everyone => ("AWS", "*"),
            Self::Account(text) | Self::User(text) | Self::Role(text) | Self::Session(text) => {
                ("AWS", text)
            }
            Self::Canonical(text) => ("CanonicalUser", text),
            Self::Service(text) => ("Service", text),
            Self::Federated(text) => ("Federated", text),
        }
    }
}
