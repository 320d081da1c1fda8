//! One request, every right that it needs, decided one after the other.

use time::OffsetDateTime;

use super::Authorizer;
use super::context::RequestContext;
use super::facts::{Facts, Lacking, Wanted};
use super::public_access::IS_BLOCKED;
use super::requirement::{Requirement, manages_policy, requirements};
use crate::authn::{Caller, Identity};
use crate::fair::Asker;
use crate::iam::{self, By, Decision};
use crate::identity::{BucketPolicies, BucketPolicy};
use crate::s3::{Error, ErrorCode, Request};

/// What is decided, and everything that is known of it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    pub(super) facts: &'a Facts,
    pub(super) policies: &'a BucketPolicies,
    pub(super) now: OffsetDateTime,
}

impl Asked<'_> {
    /// On whose behalf it is asked.
    pub(super) fn asker(&self) -> Asker {
        super::asker(self.request, self.caller)
    }
}

/// Why nothing is granted.
pub(super) enum Refused {
    /// By a statement, or for want of one.
    Denied(Denial),
    /// Something must be known first.
    Wanted(Wanted),
}

/// A refusal, and what it rests on.
pub(super) struct Denial {
    /// The statement that denies.
    pub(super) by: Option<By>,
    /// Where none does: the statements that came closest to allowing.
    pub(super) closest: Vec<By>,
    pub(super) error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Denied(Denial {
            by: None,
            closest: Vec::new(),
            error,
        })
    }
}

/// How many of the closest statements are told.
const CLOSEST: usize = 3;

impl Authorizer {
    /// Decides every right; answers the last statement that allowed one.
    pub(super) fn decide(&self, asked: &Asked<'_>) -> Result<Option<By>, Refused> {
        self.expected_owner(asked.request)?;
        self.some_hope(asked.request, asked.caller, asked.policies)?;
        let mut allowed = None;
        for requirement in requirements(&asked.request.call, &asked.request.head) {
            if let Some(by) = self.verdict(asked, &requirement)? {
                allowed = Some(by);
            }
        }
        Ok(allowed)
    }

    /// Decides one right; `Ok(None)` is root's.
    pub(super) fn verdict(
        &self,
        asked: &Asked<'_>,
        requirement: &Requirement<'_>,
    ) -> Result<Option<By>, Refused> {
        let caller = asked.caller;
        // Root must be able to mend a bucket policy that locks everyone out, or cannot be read.
        let mends =
            matches!(caller.identity(), Identity::Root) && manages_policy(requirement.action);
        let stored = match requirement.bucket {
            Some(bucket) if !mends => asked.policies.policy(bucket)?,
            _ => None,
        };
        let lacking = Lacking::default();
        let context = RequestContext {
            asked,
            requirement,
            supplied: iam::Supplied::by(requirement.action),
            account: &self.account,
            region: &self.region,
            lacking: &lacking,
        };
        let (identity, groups, boundary): (&[_], &[_], _) = match caller.identity() {
            Identity::User(user) => (
                &user.policies,
                &user.group_policies,
                user.boundary.as_deref(),
            ),
            Identity::Root | Identity::Anonymous => (&[], &[], None),
        };
        let in_play = iam::Policies {
            identity,
            groups,
            boundary,
            session: None,
            service_account: caller.limit(),
            resource: stored.as_deref().map(BucketPolicy::policy),
        };
        let request = iam::Request {
            principal: &context.principal(),
            action: requirement.action,
            resource: &requirement.resource(&self.account, &self.region),
            context: &context,
        };
        let decision = iam::evaluate(&in_play, &request);
        if let Some(name) = lacking.unreadable() {
            let message = "a header is repeated or is not text";
            let error = Error::with_message(ErrorCode::InvalidArgument, message);
            return Err(error.detail("ArgumentName", name).into());
        }
        if let Some(wanted) = lacking.wanted(requirement.existing_object(), || asked.asker()) {
            return Err(Refused::Wanted(wanted));
        }
        match decision {
            Decision::Allow(by) => match requirement.bucket.zip(stored.as_deref()) {
                Some((bucket, policy))
                    if self.is_blocked(request.principal, asked.policies, bucket, policy) =>
                {
                    let denied = Error::new(ErrorCode::AccessDenied);
                    Err(denied.because(IS_BLOCKED).into())
                }
                _ => Ok(by),
            },
            denied => Err(Refused::Denied(self.denial(denied, &in_play, &request))),
        }
    }

    /// What is told of a refusal: everything to whoever reads the audit, to the client no more than
    /// configuration allows.
    fn denial(
        &self,
        decision: Decision,
        policies: &iam::Policies<'_>,
        request: &iam::Request<'_>,
    ) -> Denial {
        let asked = format!("{} on {}", request.action, request.resource);
        let (by, closest, reason, told) = match decision {
            Decision::ExplicitDeny(by) => {
                let reason = format!("{by} denies {asked}");
                let told = format!("with an explicit deny in {by}");
                (Some(by), Vec::new(), reason, told)
            }
            Decision::ImplicitDeny(missing) => {
                let explanation = iam::explain(policies, request);
                let closest = explanation.closest(CLOSEST);
                let mut reason = format!("{missing}: {asked}");
                if let Some(first) = closest.first() {
                    let failures = first.failures.iter().map(ToString::to_string);
                    let failures = failures.collect::<Vec<_>>().join("; ");
                    reason = format!("{reason}; closest: {}, but {failures}", first.by);
                }
                let closest = closest.into_iter().map(|c| c.by.clone()).collect();
                (None, closest, reason, format!("because {missing}"))
            }
            Decision::Allow(_) => (None, Vec::new(), String::new(), String::new()),
        };
        let error = match self.explains {
            true => Error::with_message(
                ErrorCode::AccessDenied,
                format!(
                    "{} is not authorized to perform: {} on resource: \"{}\" {told}",
                    who(request.principal),
                    request.action,
                    request.resource
                ),
            ),
            false => Error::new(ErrorCode::AccessDenied),
        };
        Denial {
            by,
            closest,
            error: error.because(reason),
        }
    }

    /// `x-amz-expected-bucket-owner` must name this account.
    fn expected_owner(&self, request: &Request) -> Result<(), Error> {
        for name in [
            "x-amz-expected-bucket-owner",
            "x-amz-source-expected-bucket-owner",
        ] {
            let owner = request.head.header(name)?;
            if owner.is_some_and(|owner| owner != &*self.account) {
                return Err(Error::new(ErrorCode::AccessDenied)
                    .because("the bucket's owner is another account"));
            }
        }
        Ok(())
    }
}

fn who(principal: &iam::Principal) -> String {
    match principal {
        iam::Principal::Anonymous => "Anonymous".to_owned(),
        iam::Principal::Root { account } => format!("User: arn:aws:iam::{account}:root"),
        iam::Principal::User { arn, .. } | iam::Principal::Session { arn, .. } => {
            format!("User: {arn}")
        }
    }
}
