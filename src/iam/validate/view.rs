//! A statement as the checks see it: compiled, and as it stands in the document.

use super::super::condition::Condition;
use super::super::context::{Context, Values};
use super::super::key::Key;
use super::super::policy::Policy;
use super::super::principal::{Named, Principals};
use super::super::reference::Action;
use super::super::statement::{Effect, Rule, Statement};
use super::document::Element;
use super::known;

pub(super) struct View<'d> {
    pub(super) statement: &'d Statement,
    pub(super) element: &'d Element<'d>,
    /// Of `Action` or `NotAction`.
    pub(super) actions: &'d [Element<'d>],
    /// Of `Resource` or `NotResource`.
    pub(super) resources: &'d [Element<'d>],
    pub(super) conditions: Vec<Asked<'d>>,
    /// The actions that exist and that the statement takes in.
    pub(super) takes: Vec<&'static Action>,
    /// Whether the document's version has variables.
    pub(super) variables: bool,
}

/// A condition, and where its key stands.
#[derive(Clone, Copy)]
pub(super) struct Asked<'d> {
    pub(super) condition: &'d Condition,
    pub(super) element: &'d Element<'d>,
}

impl View<'_> {
    pub(super) fn allows(&self) -> bool {
        self.statement.effect == Effect::Allow
    }

    /// Whether somebody who can ask here is one of its principals.
    pub(super) fn is_anyones(&self) -> bool {
        match &self.statement.principals {
            None | Some(Principals::Except(_)) => true,
            Some(Principals::Only(named)) => !named
                .iter()
                .all(|one| matches!(one, Named::Service(_) | Named::Federated(_))),
        }
    }

    /// Whether it has `Action`, not `NotAction`.
    pub(super) fn names_actions(&self) -> bool {
        matches!(self.statement.actions, Rule::Only(_))
    }

    /// Whether it has `Resource`, not `NotResource`.
    pub(super) fn names_resources(&self) -> bool {
        matches!(self.statement.resources, Rule::Only(_))
    }
}

impl Asked<'_> {
    /// Whether a request that does not have the key meets the condition.
    pub(super) fn holds_without(&self) -> bool {
        self.condition.holds(&Nothing)
    }
}

/// A request of which nothing is known.
struct Nothing;

impl Context for Nothing {
    fn values(&self, _key: &Key) -> Values<'_> {
        Values::Absent
    }
}

/// The statements of a document and of the policy that was compiled from it.
pub(super) fn statements<'d>(
    document: &'d Element<'d>,
    policy: &'d Policy,
) -> impl Iterator<Item = View<'d>> {
    let elements = document.member("Statement").map_or(&[][..], Element::items);
    let pairs = elements.iter().zip(policy.statements());
    pairs.map(|(element, statement)| view(element, statement, policy.has_variables()))
}

fn view<'d>(element: &'d Element<'d>, statement: &'d Statement, variables: bool) -> View<'d> {
    let items = |only, except| {
        let list = element.member(only).or_else(|| element.member(except));
        list.map_or(&[][..], Element::items)
    };
    let operators = element
        .member("Condition")
        .map_or(&[][..], Element::members);
    let keys = operators
        .iter()
        .flat_map(|(_, keys)| keys.members())
        .map(|(_, key)| key);
    let conditions = statement.conditions.iter().zip(keys);
    let asked = |(condition, element)| Asked { condition, element };
    View {
        statement,
        element,
        actions: items("Action", "NotAction"),
        resources: items("Resource", "NotResource"),
        conditions: conditions.map(asked).collect(),
        takes: known::taken(statement),
        variables,
    }
}
