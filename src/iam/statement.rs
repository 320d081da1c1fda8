//! A statement: whom, what, on what, when.

use std::sync::Arc;

use super::condition::Condition;
use super::evaluate::{Context, Request};
use super::pattern::Pattern;
use super::principal::{Match, Principals};

/// `Effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule {
    Only(Vec<Pattern>),
    Except(Vec<Pattern>),
}

impl Rule {
    fn takes(&self, text: &str, context: &dyn Context) -> bool {
        let named = |patterns: &[Pattern]| {
            patterns.iter().any(|p| match p.exact() {
                Some(exact) => exact == text,
                None => p.matches(text, context),
            })
        };
        match self {
            Self::Only(patterns) => named(patterns),
            // A variable without a value names nothing; what is excepted is then not known either.
            Self::Except(patterns) => {
                patterns.iter().all(|p| p.resolvable(context)) && !named(patterns)
            }
        }
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        match self {
            Self::Only(patterns) | Self::Except(patterns) => patterns,
        }
    }
}

/// A compiled statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) sid: Option<Arc<str>>,
    pub(super) effect: Effect,
    pub(super) principals: Option<Principals>,
    /// In lower case.
    pub(super) actions: Rule,
    pub(super) resources: Rule,
    pub(super) conditions: Vec<Condition>,
}

impl Statement {
    /// Whether, and through whom, the statement applies. `action` is in lower case.
    pub(super) fn applies(&self, request: &Request<'_>, action: &str) -> Match {
        let principal = match &self.principals {
            None => Match::Direct,
            Some(principals) => principals.matches(request.principal),
        };
        let applies = principal != Match::No
            && self.actions.takes(action, request.context)
            && self.resources.takes(request.resource, request.context)
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(request.context));
        if applies { principal } else { Match::No }
    }
}
