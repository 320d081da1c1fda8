//! Why a decision is what it is: for every statement in play what takes the request in and what does
//! not, and which of them came closest to what was asked.
//!
//! Nothing here decides: [`evaluate`] has done so before anybody explains it.

use std::fmt;

use super::condition::Condition;
use super::context::Values;
use super::evaluate::{By, Decision, Missing, Policies, Question, Request, evaluate};
use super::policy::Policy;
use super::principal::{Principal, Through};
use super::statement::{Effect, Statement};

/// Where a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Among the identity's own.
    Identity,
    /// Among its groups'.
    Group,
    /// It is the permission boundary.
    Boundary,
    /// Among the session's.
    Session,
    /// It is the service account's.
    ServiceAccount,
    /// It is the resource's.
    Resource,
}

/// A decision and what led to it.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// The decision.
    pub decision: Decision,
    /// Every statement that has a say, in the order of the policies.
    pub statements: Vec<Considered<'a>>,
}

/// A statement and how it takes the request.
#[derive(Clone, Debug)]
pub struct Considered<'a> {
    /// Where its policy stands.
    pub place: Place,
    /// Which it is.
    pub by: By,
    /// Its effect.
    pub effect: Effect,
    /// Why it does not apply; empty when it does.
    pub failures: Vec<Failure<'a>>,
}

/// Why a statement does not apply.
#[derive(Clone, Copy, Debug)]
pub enum Failure<'a> {
    /// It is not of this action.
    Action,
    /// It is not of this resource.
    Resource,
    /// It is not of who asks.
    Principal,
    /// It names the account, which grants only by the account's own policies.
    OnlyAccount,
    /// A condition is not met.
    Condition(Unmet<'a>),
}

/// A condition that is not met.
#[derive(Clone, Copy)]
pub struct Unmet<'a> {
    condition: &'a Condition,
    variables: bool,
    request: &'a Request<'a>,
}

/// Explains what is decided of `request`.
#[must_use]
pub fn explain<'a>(policies: &Policies<'a>, request: &'a Request<'a>) -> Explanation<'a> {
    let question = Question::new(policies, request);
    let mut statements = Vec::new();
    for (place, policy) in in_play(policies, request.principal) {
        let each = policy.statements().iter().enumerate();
        statements.extend(each.map(|(at, statement)| Considered {
            place,
            by: policy.by(at),
            effect: statement.effect,
            failures: failures(policy, statement, request, &question),
        }));
    }
    Explanation {
        decision: evaluate(policies, request),
        statements,
    }
}

/// The policies that have a say in what `principal` may.
fn in_play<'a>(
    policies: &Policies<'a>,
    principal: &Principal,
) -> impl Iterator<Item = (Place, &'a Policy)> {
    let user = matches!(
        principal,
        Principal::User { .. } | Principal::Session { .. }
    );
    let known = !matches!(principal, Principal::Anonymous);
    let own = policies.identity.iter().map(|p| (Place::Identity, &**p));
    let own = own.chain(policies.groups.iter().map(|p| (Place::Group, &**p)));
    let own = own.chain(policies.boundary.map(|p| (Place::Boundary, p)));
    let session = policies.session.unwrap_or_default().iter();
    let limits = session.map(|p| (Place::Session, &**p));
    let limits = limits.chain(policies.service_account.map(|p| (Place::ServiceAccount, p)));
    let resource = policies.resource.map(|p| (Place::Resource, p));
    own.filter(move |_| user)
        .chain(limits.filter(move |_| known))
        .chain(resource)
}

fn failures<'a>(
    policy: &Policy,
    statement: &'a Statement,
    request: &'a Request<'a>,
    question: &Question<'_>,
) -> Vec<Failure<'a>> {
    let mut failures = Vec::new();
    if !statement.takes_action(question) {
        failures.push(Failure::Action);
    }
    if !statement.takes_resource(question) {
        failures.push(Failure::Resource);
    }
    match (statement.takes_principal(question), statement.effect) {
        (Through::Nobody, _) => failures.push(Failure::Principal),
        (Through::Account, Effect::Allow) => failures.push(Failure::OnlyAccount),
        _ => {}
    }
    let unmet = statement.conditions.iter();
    let unmet = unmet.filter(|condition| !condition.holds(request.context));
    failures.extend(unmet.map(|condition| {
        Failure::Condition(Unmet {
            condition,
            variables: policy.has_variables(),
            request,
        })
    }));
    failures
}

impl Explanation<'_> {
    /// For what is not allowed and not denied: the Allows that came closest, at most `most`, the
    /// closest first. Those of another action on another resource are not close.
    #[must_use]
    pub fn closest(&self, most: usize) -> Vec<&Considered<'_>> {
        let Decision::ImplicitDeny(missing) = &self.decision else {
            return Vec::new();
        };
        let could_help = |considered: &&Considered<'_>| {
            considered.effect == Effect::Allow && considered.place.helps(*missing)
        };
        let mut close: Vec<_> = self.statements.iter().filter(could_help).collect();
        close.retain(|considered| considered.distance() < FAR);
        close.sort_by_key(|considered| considered.distance());
        close.truncate(most);
        close
    }

    /// The statements that apply.
    pub fn applying(&self) -> impl Iterator<Item = &Considered<'_>> {
        self.statements.iter().filter(|s| s.failures.is_empty())
    }
}

/// Another action on another resource.
const FAR: usize = 200;

impl Considered<'_> {
    /// How far it is from applying: a condition is nearer than a principal, that than a resource or an
    /// action.
    fn distance(&self) -> usize {
        let each = self.failures.iter().map(|failure| match failure {
            Failure::Condition(_) => 1,
            Failure::Principal | Failure::OnlyAccount => 20,
            Failure::Resource | Failure::Action => FAR / 2,
        });
        each.sum()
    }
}

impl Place {
    /// Whether an Allow that stands here is what was missing.
    fn helps(self, missing: Missing) -> bool {
        match missing {
            Missing::Grant => matches!(self, Self::Identity | Self::Group | Self::Resource),
            Missing::Boundary => self == Self::Boundary,
            Missing::Session => self == Self::Session,
            Missing::ServiceAccount => self == Self::ServiceAccount,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity policy",
            Self::Group => "group policy",
            Self::Boundary => "permission boundary",
            Self::Session => "session policy",
            Self::ServiceAccount => "service account policy",
            Self::Resource => "resource policy",
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.statement)?;
        if let Some(sid) = &self.sid {
            write!(f, " (`{sid}`)")?;
        }
        write!(f, " of {}", self.policy)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action => f.write_str("it is not of this action"),
            Self::Resource => f.write_str("it is not of this resource"),
            Self::Principal => f.write_str("it is not of this principal"),
            Self::OnlyAccount => {
                f.write_str("it names the account, so that the account's own policies must allow")
            }
            Self::Condition(unmet) => fmt::Display::fmt(unmet, f),
        }
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition { operator, key, .. } = self.condition;
        let wanted = self.condition.write(self.variables);
        write!(f, "{operator} {} {wanted:?}: ", key.as_written())?;
        let values = self.request.context.values(key);
        match &values {
            values if values.is_absent() => f.write_str("the request has no such key")?,
            Values::Absent => {}
            _ => {
                let mut found = Vec::new();
                values.any(|value| {
                    found.push(value.as_text().into_owned());
                    false
                });
                write!(f, "the request has {found:?}")?;
            }
        }
        for variable in self.condition.variables() {
            let values = self.request.context.values(variable);
            match values.single() {
                Some(value) => {
                    write!(
                        f,
                        ", ${{{}}} is {:?}",
                        variable.as_written(),
                        value.as_text()
                    )?;
                }
                None => write!(f, ", ${{{}}} has no value", variable.as_written())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
