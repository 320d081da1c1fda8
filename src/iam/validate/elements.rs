//! The document as a whole, and whom its statements name.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>

use super::super::arn;
use super::super::policy::Policy;
use super::super::principal::{Named, Principals};
use super::super::statement::{Effect, Statement};
use super::Report;
use super::cover;
use super::document::Element;
use super::view::View;

/// `Version`, and statements that are there twice.
pub(super) fn check(document: &Element<'_>, policy: &Policy, report: &mut Report) {
    if document.member("Version").is_none() {
        report.warn(
            "MISSING_VERSION",
            document,
            "there is no `Version`, so that it is 2008-10-17, which has no variables".to_owned(),
            "add `\"Version\": \"2012-10-17\"`",
        );
    }
    let elements = document.member("Statement").map_or(&[][..], Element::items);
    let statements = policy.statements();
    for (at, (element, statement)) in elements.iter().zip(statements).enumerate() {
        let before = statements.iter().take(at);
        let first = before
            .enumerate()
            .find(|(_, other)| says_same(other, statement));
        if let Some((first, _)) = first {
            let number = first.saturating_add(1);
            report.suggest(
                "REDUNDANT_STATEMENT",
                element,
                format!("it says what statement {number} says"),
                "remove it",
            );
        } else if let Some(wider) = wider(elements, statements, at) {
            report.suggest(
                "REDUNDANT_STATEMENT",
                element,
                format!("all that it says, statement {wider} says too"),
                "remove it",
            );
        }
    }
}

/// The number of a statement that takes in all that the one at `at` does, and more.
fn wider(elements: &[Element<'_>], statements: &[Statement], at: usize) -> Option<usize> {
    let (one, own) = (statements.get(at)?, elements.get(at)?);
    let list = |element: &Element<'_>, name: &str| -> Option<Vec<String>> {
        let texts = element.member(name)?.items().iter();
        let lower = |text: &str| match name {
            "Action" => text.to_ascii_lowercase(),
            _ => text.to_owned(),
        };
        Some(texts.map(|item| lower(item.text())).collect())
    };
    let covers = |narrow: &Element<'_>, wide: &Element<'_>, name: &str| {
        let (Some(narrow), Some(wide)) = (list(narrow, name), list(wide, name)) else {
            return false;
        };
        let taken = |text: &String| {
            wide.contains(text) || wide.iter().any(|wider| cover::covers(wider, text))
        };
        narrow.iter().all(taken)
    };
    let within = |(element, one): (&Element<'_>, &Statement),
                  (wide, other): (&Element<'_>, &Statement)| {
        one.effect == other.effect
            && one.principals == other.principals
            && (other.conditions.is_empty() || one.conditions == other.conditions)
            && covers(element, wide, "Action")
            && covers(element, wide, "Resource")
    };
    let mut pairs = elements.iter().zip(statements).enumerate();
    // Of two that say the same in other words one stays.
    let found = pairs.find(|(number, pair)| {
        *number != at && within((own, one), *pair) && (*number < at || !within(*pair, (own, one)))
    });
    found.map(|(number, _)| number.saturating_add(1))
}

fn says_same(one: &Statement, other: &Statement) -> bool {
    one.effect == other.effect
        && one.principals == other.principals
        && one.actions == other.actions
        && one.resources == other.resources
        && one.conditions == other.conditions
}

/// A document that is nearly as long as its kind may be.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub(super) fn check_length(
    document: &Element<'_>,
    (length, limit, unit): (usize, usize, &str),
    report: &mut Report,
) {
    if length.saturating_mul(10) > limit.saturating_mul(9) {
        report.suggest(
            "POLICY_SIZE_NEAR_LIMIT",
            document,
            format!("it has {length} of at most {limit} {unit}"),
            "split it, or merge statements that differ in one element",
        );
    }
}

/// Those whom nobody can be, and those whom a Deny means to leave alone.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
pub(super) fn check_principals(view: &View<'_>, report: &mut Report) {
    let members = view
        .element
        .member("Principal")
        .map_or(&[][..], Element::members);
    for (kind, list) in members {
        let why = match &**kind {
            "Service" => "services of AWS don't ask here",
            "Federated" => "who signs in with a provider asks as a role's session",
            _ => continue,
        };
        for one in list.items() {
            let name = one.text();
            report.warn(
                "PRINCIPAL_NEVER_ASKS",
                one,
                format!("nobody here is `{name}`: {why}"),
                "name users, roles or accounts, or leave it out here",
            );
        }
    }
    if let (Effect::Deny, Some(Principals::Except(named)), Some(element)) = (
        view.statement.effect,
        &view.statement.principals,
        view.element.member("NotPrincipal"),
    ) {
        check_excepted(named, element, report);
    }
}

fn check_excepted(named: &[Named], element: &Element<'_>, report: &mut Report) {
    let mut missing: Vec<String> = Vec::new();
    for one in named {
        let (Named::User(text) | Named::Role(text) | Named::Session(text)) = one else {
            continue;
        };
        let Some([.., account, resource]) = arn::parts(text) else {
            continue;
        };
        if !named.contains(&Named::Account(account.into())) {
            missing.push(format!("arn:aws:iam::{account}:root"));
        }
        let role = resource.split('/').nth(1).unwrap_or_default();
        let is_role = |other: &Named| match other {
            Named::Role(arn) => arn.rsplit('/').next() == Some(role),
            _ => false,
        };
        if matches!(one, Named::Session(_)) && !named.iter().any(is_role) {
            missing.push(format!("arn:aws:iam::{account}:role/{role}"));
        }
    }
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        let missing = missing.join("`, `");
        report.warn(
            "DENY_WITH_NOT_PRINCIPAL",
            element,
            format!("at AWS those that it excepts may be denied too unless `{missing}` is excepted; here they are not"),
            &format!("add `{missing}`, or deny `*` with a condition on aws:PrincipalArn"),
        );
    }
}
