//! Who asks, and whom a policy names.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use std::sync::Arc;

use super::json::Json;

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
}

/// A policy's `Principal` or `NotPrincipal`.
#[derive(Clone, Debug, PartialEq)]
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
    /// One user, role or session.
    Arn(Box<str>),
    /// A service, federation or canonical user, which nobody is here.
    Other,
}

/// How a policy's principals take in who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    No,
    /// Named through the account, which must itself let the user.
    Account,
    /// Named, alone or among everyone.
    Direct,
}

impl Principals {
    pub(super) fn matches(&self, principal: &Principal) -> Match {
        match self {
            Self::Only(named) => named
                .iter()
                .map(|n| n.matches(principal))
                .max_by_key(|m| *m as u8)
                .unwrap_or(Match::No),
            Self::Except(named) => {
                match named.iter().any(|n| n.matches(principal) == Match::Direct) {
                    true => Match::No,
                    false => Match::Direct,
                }
            }
        }
    }
}

impl Named {
    fn matches(&self, principal: &Principal) -> Match {
        let hit = |hit: bool| if hit { Match::Direct } else { Match::No };
        match (self, principal) {
            (Self::Everyone, _) => Match::Direct,
            (Self::Account(named), Principal::Root { account }) => hit(**named == **account),
            (Self::Account(named), Principal::User { account, .. }) => match **named == **account {
                true => Match::Account,
                false => Match::No,
            },
            (Self::Arn(named), Principal::User { arn, .. }) => hit(**named == **arn),
            (Self::Account(_), Principal::Anonymous) | (Self::Arn(_), _) | (Self::Other, _) => {
                Match::No
            }
        }
    }

    /// Reads the element: `"*"`, or an object of lists by kind.
    pub(super) fn parse(element: &Json) -> Result<Vec<Self>, String> {
        match element {
            Json::String(text) if text == "*" => Ok(vec![Self::Everyone]),
            Json::Object(kinds) if !kinds.is_empty() => {
                let mut named = Vec::new();
                for (kind, values) in kinds {
                    for text in super::policy::strings(values)? {
                        named.push(Self::one(kind, &text)?);
                    }
                }
                Ok(named)
            }
            _ => Err("a principal is `\"*\"` or an object with `AWS`, `Federated`, `Service` or `CanonicalUser`".to_owned()),
        }
    }

    fn one(kind: &str, text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is not a principal");
        match kind {
            "AWS" if text == "*" => Ok(Self::Everyone),
            "AWS" if is_account(text) => Ok(Self::Account(text.into())),
            "AWS" => {
                let parts: Vec<&str> = text.splitn(6, ':').collect();
                match parts.as_slice() {
                    ["arn", "aws", "iam", "", account, "root"] if is_account(account) => {
                        Ok(Self::Account((*account).into()))
                    }
                    ["arn", "aws", "iam", "", account, resource]
                        if is_account(account)
                            && (resource.starts_with("user/") || resource.starts_with("role/"))
                            && !text.contains(['*', '?']) =>
                    {
                        Ok(Self::Arn(text.into()))
                    }
                    ["arn", "aws", "sts", "", account, resource]
                        if is_account(account)
                            && resource.starts_with("assumed-role/")
                            && !text.contains(['*', '?']) =>
                    {
                        Ok(Self::Arn(text.into()))
                    }
                    _ => Err(invalid()),
                }
            }
            "Federated" | "Service" | "CanonicalUser" if !text.is_empty() && text != "*" => {
                Ok(Self::Other)
            }
            "Federated" | "Service" | "CanonicalUser" => Err(invalid()),
            other => Err(format!("a principal's kind `{other}` is not known")),
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}
