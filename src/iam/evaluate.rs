//! The decision: AWS's evaluation logic for one account. Total: it has no error and does no I/O.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

use std::borrow::Cow;
use std::sync::Arc;

use super::key::Key;
use super::policy::Policy;
use super::principal::{Match, Principal};
use super::statement::Effect;

/// A condition key's values in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    /// One.
    One(Cow<'a, str>),
    /// Any number.
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Values<'a> {
    /// All of them.
    pub(super) fn as_slice(&self) -> &[Cow<'a, str>] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    /// The value, when there is exactly one.
    pub(super) fn single(&self) -> Option<Cow<'a, str>> {
        match self.as_slice() {
            [value] => Some(value.clone()),
            _ => None,
        }
    }
}

/// What conditions may ask of a request. Computed when asked, so that a policy without conditions
/// costs nothing.
pub trait Context {
    /// The key's values; `None` when the request has none.
    fn values(&self, key: &Key) -> Option<Values<'_>>;
}

/// What is decided.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// As in `s3:GetObject`.
    pub action: &'a str,
    /// The ARN.
    pub resource: &'a str,
    /// What conditions may ask.
    pub context: &'a dyn Context,
}

/// The policies in play.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// The user's own.
    pub identity: &'a [Arc<Policy>],
    /// The user's groups'.
    pub groups: &'a [Arc<Policy>],
    /// The permission boundary.
    pub boundary: Option<&'a Policy>,
    /// The session's.
    pub session: Option<&'a [Arc<Policy>]>,
    /// The service account's.
    pub service_account: Option<&'a Policy>,
    /// The bucket's.
    pub resource: Option<&'a Policy>,
}

/// The statement that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The policy's id.
    pub policy: Arc<str>,
    /// The statement, from 1.
    pub statement: usize,
    /// Its Sid.
    pub sid: Option<Arc<str>>,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by a statement; by none for root.
    Allow(Option<By>),
    /// Denied by a statement.
    ExplicitDeny(By),
    /// Allowed by nothing.
    ImplicitDeny,
}

/// What one policy says.
#[derive(Default)]
struct Verdict {
    deny: Option<By>,
    /// Allowed, and through whom.
    allow: Option<(By, Match)>,
}

/// Decides.
#[must_use]
pub fn evaluate(policies: &Policies<'_>, request: &Request<'_>) -> Decision {
    let action = lower(request.action);
    let of = |policy: &Policy| verdict(policy, request, &action);

    let resource = policies.resource.map(of).unwrap_or_default();
    if let Some(by) = resource.deny {
        return Decision::ExplicitDeny(by);
    }
    let granted = match request.principal {
        Principal::Root { .. } => Ok(Decision::Allow(resource.allow.map(|(by, _)| by))),
        Principal::Anonymous => Ok(allowed(resource.allow.map(|(by, _)| by))),
        Principal::User { .. } => to_user(policies, resource.allow, of),
    };
    // Limits take from what is granted, to whomever, and never add to it.
    match granted.and_then(|granted| limits(policies, of).map(|()| granted)) {
        Ok(decision) | Err(decision) => decision,
    }
}

fn allowed(by: Option<By>) -> Decision {
    by.map_or(Decision::ImplicitDeny, |by| Decision::Allow(Some(by)))
}

/// What identity policies, within the boundary, and the bucket's policy grant to a user.
fn to_user(
    policies: &Policies<'_>,
    resource: Option<(By, Match)>,
    of: impl Fn(&Policy) -> Verdict,
) -> Result<Decision, Decision> {
    let mut identity: Option<By> = None;
    for policy in policies.identity.iter().chain(policies.groups) {
        let verdict = of(policy);
        if let Some(by) = verdict.deny {
            return Err(Decision::ExplicitDeny(by));
        }
        identity = identity.or(verdict.allow.map(|(by, _)| by));
    }
    // A bucket policy that names the user grants by itself, beside identity policies and beyond the
    // boundary; one that names the account leaves it to the account's own policies.
    let direct = resource
        .filter(|(_, through)| *through == Match::Direct)
        .map(|(by, _)| by);
    if let Some(boundary) = policies.boundary {
        let verdict = of(boundary);
        if let Some(by) = verdict.deny {
            return Err(Decision::ExplicitDeny(by));
        }
        identity = identity.filter(|_| verdict.allow.is_some());
    }
    Ok(allowed(identity.or(direct)))
}

/// The session's policies and the service account's: each must allow, and none deny.
fn limits(policies: &Policies<'_>, of: impl Fn(&Policy) -> Verdict) -> Result<(), Decision> {
    let session = policies
        .session
        .map(|session| session.iter().map(|policy| &**policy).collect::<Vec<_>>());
    let service_account = policies.service_account.map(|policy| vec![policy]);
    for limit in session.into_iter().chain(service_account) {
        let verdicts: Vec<_> = limit.into_iter().map(&of).collect();
        if let Some(by) = verdicts.iter().find_map(|v| v.deny.clone()) {
            return Err(Decision::ExplicitDeny(by));
        }
        if verdicts.iter().all(|v| v.allow.is_none()) {
            return Err(Decision::ImplicitDeny);
        }
    }
    Ok(())
}

/// Action names are case-insensitive; those of the gateway's own table have capitals.
fn lower(action: &str) -> Cow<'_, str> {
    Cow::Owned(action.to_ascii_lowercase())
}

fn verdict(policy: &Policy, request: &Request<'_>, action: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for (at, statement) in policy.statements().iter().enumerate() {
        // Nothing can be won by another Allow once one has been found directly.
        if statement.effect == Effect::Allow && matches!(verdict.allow, Some((_, Match::Direct))) {
            continue;
        }
        let through = statement.applies(request, action);
        if through == Match::No {
            continue;
        }
        let by = By {
            policy: policy.shared_id(),
            statement: at.saturating_add(1),
            sid: statement.sid.clone(),
        };
        match statement.effect {
            Effect::Deny => {
                verdict.deny = Some(by);
                return verdict;
            }
            Effect::Allow => verdict.allow = Some((by, through)),
        }
    }
    verdict
}
