//! A statement: whom, what, on what, when.

use std::sync::Arc;

use super::action::ActionPattern;
use super::condition::Condition;
use super::evaluate::{Question, Request};
use super::pattern::Pattern;
use super::principal::{Principals, Through};

/// `Effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `Allow`.
    Allow,
    /// `Deny`.
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule<T> {
    Only(Vec<T>),
    Except(Vec<T>),
}

impl<T> Rule<T> {
    fn takes(&self, matches: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Only(named) => named.iter().any(matches),
            Self::Except(named) => !named.iter().any(matches),
        }
    }

    pub(super) fn named(&self) -> &[T] {
        match self {
            Self::Only(named) | Self::Except(named) => named,
        }
    }
}

/// A compiled statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sid: Option<Arc<str>>,
    pub(super) effect: Effect,
    pub(super) principals: Option<Principals>,
    pub(super) actions: Rule<ActionPattern>,
    pub(super) resources: Rule<Pattern>,
    pub(super) conditions: Vec<Condition>,
}

impl PartialEq for Statement {
    /// Whether they say the same: in whatever order conditions and principals stand.
    fn eq(&self, other: &Self) -> bool {
        (&self.sid, self.effect) == (&other.sid, other.effect)
            && self.principals == other.principals
            && self.actions == other.actions
            && self.resources == other.resources
            && same(&self.conditions, &other.conditions)
    }
}

/// Whether each of the one is of the other.
pub(super) fn same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len()
        && one.iter().all(|of| other.contains(of))
        && other.iter().all(|of| one.contains(of))
}

impl Statement {
    /// Whether, and through whom, the statement applies.
    pub(super) fn applies(&self, question: &Question<'_>) -> Through {
        if !self.takes_action(question) || !self.takes_resource(question) {
            return Through::Nobody;
        }
        let through = self.takes_principal(question);
        let met = |condition: &Condition| condition.holds(question.request.context);
        match through != Through::Nobody && self.conditions.iter().all(met) {
            true => through,
            false => Through::Nobody,
        }
    }

    /// Through whom it takes in who asks. A Deny of all but some takes in everybody who has a
    /// permission boundary, those some too: so AWS has it.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
    pub(super) fn takes_principal(&self, question: &Question<'_>) -> Through {
        match &self.principals {
            None => Through::Direct,
            Some(Principals::Except(_)) if question.bounded && self.effect == Effect::Deny => {
                Through::Direct
            }
            Some(principals) => principals.matches(question.request.principal),
        }
    }

    pub(super) fn takes_action(&self, question: &Question<'_>) -> bool {
        let action = question.action();
        self.actions.takes(|pattern| pattern.matches(action))
    }

    pub(super) fn takes_resource(&self, question: &Question<'_>) -> bool {
        let Request {
            resource, context, ..
        } = question.request;
        self.resources
            .takes(|pattern| pattern.matches(resource, *context))
    }
}
