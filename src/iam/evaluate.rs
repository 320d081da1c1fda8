//! The decision: AWS's evaluation logic for one account. Total: it has no error and does no I/O.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html>

use std::sync::Arc;

use super::action::Lowered;
use super::context::Context;
use super::policy::Policy;
use super::principal::{Principal, Through};
use super::statement::Effect;

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

/// A request as statements are asked about it.
pub(super) struct Question<'a> {
    pub(super) request: &'a Request<'a>,
    action: Lowered,
    /// Whether a permission boundary limits who asks.
    pub(super) bounded: bool,
}

impl<'a> Question<'a> {
    pub(super) fn new(policies: &Policies<'_>, request: &'a Request<'a>) -> Self {
        let limitable = match request.principal {
            Principal::Anonymous | Principal::Root { .. } => false,
            Principal::User { .. } | Principal::Session { .. } => true,
        };
        Self {
            request,
            action: Lowered::new(request.action),
            bounded: limitable && policies.boundary.is_some(),
        }
    }

    /// The action in lower case.
    pub(super) fn action(&self) -> &str {
        self.action.as_str()
    }
}

/// The policies in play.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// The user's or the role's own.
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

/// Where an Allow is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// In every policy that could grant: those of the identity and the resource.
    Grant,
    /// In the permission boundary.
    Boundary,
    /// In the session's policies.
    Session,
    /// In the service account's policy.
    ServiceAccount,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Grant => "no policy of the identity or the resource allows it",
            Self::Boundary => "the permission boundary does not allow it",
            Self::Session => "no policy of the session allows it",
            Self::ServiceAccount => "the service account's policy does not allow it",
        })
    }
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by a statement; by none for root.
    Allow(Option<By>),
    /// Denied by a statement.
    ExplicitDeny(By),
    /// Not allowed.
    ImplicitDeny(Missing),
}

/// What managing a bucket's policy takes: root may, whatever that policy says.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-iam-policies.html>
const MANAGES: [&str; 3] = [
    "s3:deletebucketpolicy",
    "s3:getbucketpolicy",
    "s3:putbucketpolicy",
];

/// A statement of one of the policies in play.
#[derive(Clone, Copy)]
struct Found<'a> {
    policy: &'a Policy,
    at: usize,
}

impl Found<'_> {
    fn by(self) -> By {
        self.policy.by(self.at)
    }
}

/// An Allow, and through whom it reaches whoever asks.
type Grant<'a> = Option<(Found<'a>, Through)>;

/// Decides.
#[must_use]
pub fn evaluate(policies: &Policies<'_>, request: &Request<'_>) -> Decision {
    match decide(policies, request) {
        Ok(granted) => Decision::Allow(granted.map(Found::by)),
        Err(Refused::Denied(found)) => Decision::ExplicitDeny(found.by()),
        Err(Refused::Nothing(missing)) => Decision::ImplicitDeny(missing),
    }
}

enum Refused<'a> {
    Denied(Found<'a>),
    Nothing(Missing),
}

fn decide<'p>(
    policies: &Policies<'p>,
    request: &Request<'_>,
) -> Result<Option<Found<'p>>, Refused<'p>> {
    let question = Question::new(policies, request);
    let of = |policy: &'p Policy| verdict(policy, &question);
    let all = |policies: &'p [Arc<Policy>]| {
        policies.iter().try_fold(None, |grant: Grant<'p>, policy| {
            Ok(stronger(grant, of(policy)?))
        })
    };
    let resource = |policies: &Policies<'p>| policies.resource.map_or(Ok(None), of);

    match request.principal {
        Principal::Anonymous => {
            let granted = resource(policies)?;
            return match granted {
                Some((found, _)) => Ok(Some(found)),
                None => Err(Refused::Nothing(Missing::Grant)),
            };
        }
        Principal::Root { .. } => {
            let granted = match MANAGES.contains(&question.action()) {
                true => None,
                false => resource(policies)?,
            };
            let session = policies.session.map(all).transpose()?;
            let service_account = policies.service_account.map(of).transpose()?;
            limit(session, Missing::Session)?;
            limit(service_account, Missing::ServiceAccount)?;
            return Ok(granted.map(|(found, _)| found));
        }
        Principal::User { .. } | Principal::Session { .. } => {}
    }
    // Every policy is asked before one is believed: a Deny anywhere wins.
    let identity = stronger(all(policies.identity)?, all(policies.groups)?);
    let boundary = policies.boundary.map(of).transpose()?;
    let session = policies.session.map(all).transpose()?;
    let service_account = policies.service_account.map(of).transpose()?;
    let resource = resource(policies)?;

    let through = resource.map_or(Through::Nobody, |(_, through)| through);
    let by_resource = resource.map(|(found, _)| found);
    let by_identity = identity.map(|(found, _)| found);
    let granted = match through {
        // The session itself, or everyone: nothing but a Deny takes that away.
        Through::Direct => by_resource,
        // The user: a session of theirs may still be limited.
        Through::User => {
            limit(session, Missing::Session)?;
            by_resource
        }
        // The role, beside its own policies; or the account, which leaves it to them.
        Through::Role | Through::Account | Through::Nobody => {
            let by_role = by_resource.filter(|_| through == Through::Role);
            let granted = by_identity.or(by_role);
            if granted.is_none() {
                return Err(Refused::Nothing(Missing::Grant));
            }
            limit(boundary, Missing::Boundary)?;
            limit(session, Missing::Session)?;
            granted
        }
    };
    limit(service_account, Missing::ServiceAccount)?;
    Ok(granted)
}

/// A policy that limits must itself allow, where there is one.
fn limit<'p>(limit: Option<Grant<'p>>, missing: Missing) -> Result<(), Refused<'p>> {
    match limit {
        Some(None) => Err(Refused::Nothing(missing)),
        Some(Some(_)) | None => Ok(()),
    }
}

/// Of two grants the one that reaches further; of equals the first.
fn stronger<'p>(one: Grant<'p>, other: Grant<'p>) -> Grant<'p> {
    match (&one, &other) {
        (Some((_, a)), Some((_, b))) if b > a => other,
        (None, _) => other,
        (Some(_), _) => one,
    }
}

/// What one policy says: the Deny that applies, or the Allow that reaches furthest.
fn verdict<'p>(policy: &'p Policy, question: &Question<'_>) -> Result<Grant<'p>, Refused<'p>> {
    let mut grant: Grant<'p> = None;
    let mut look = |at: usize| {
        let Some(statement) = policy.statements().get(at) else {
            return Ok(());
        };
        // Nothing can be won by another Allow once one reaches everyone.
        let won = matches!(grant, Some((_, Through::Direct)));
        if won && statement.effect == Effect::Allow {
            return Ok(());
        }
        let through = statement.applies(question);
        if through == Through::Nobody {
            return Ok(());
        }
        let found = Found { policy, at };
        match statement.effect {
            Effect::Deny => return Err(Refused::Denied(found)),
            Effect::Allow => grant = stronger(grant, Some((found, through))),
        }
        Ok(())
    };
    match policy.index() {
        Some(index) => index
            .candidates(question.request.resource)
            .try_for_each(&mut look)?,
        None => (0..policy.statements().len()).try_for_each(&mut look)?,
    }
    Ok(grant)
}
