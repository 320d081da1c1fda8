//! Condition keys that the statement's actions do not have, or that no request here has.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

use super::super::super::key::{Key, Name};
use super::super::super::pattern::Pattern;
use super::super::known;
use super::super::view::{Asked, View};
use super::super::{Report, Severity};

/// Whether requests can have the key.
pub(super) fn check(asked: &Asked<'_>, view: &View<'_>, report: &mut Report) -> bool {
    let key = &asked.condition.key;
    let name = key.as_written();
    let so = match asked.holds_without() {
        true => "the condition always holds: the statement applies as if it were not there",
        false => "the condition never holds: the statement never applies",
    };
    // Where no action is known, nothing is known of their keys.
    if !view.takes.is_empty() && !known::is_supplied(key, &view.takes) {
        let (severity, code) = match view.names_actions() && is_of_service(key) {
            true => (Severity::Error, "UNSUPPORTED_ACTION_FOR_CONDITION_KEY"),
            false => (Severity::Warning, "KEY_WITHOUT_ACTION"),
        };
        report.add(
            severity,
            code,
            asked.element,
            format!("no action of the statement has the key `{name}`, so that {so}"),
            "move it to a statement with the actions that have it, or remove it",
        );
        return false;
    }
    check_each(asked, view, report);
    if key.name() == Name::Other {
        // That the statement never applies has been said of its principal.
        if !view.is_anyones() {
            return false;
        }
        let when = known::when(key).map(|when| format!(" AWS has it so: {when}"));
        report.warn(
            "KEY_NEVER_SUPPLIED",
            asked.element,
            format!(
                "no request here has the key `{name}`, so that {so}.{}",
                when.unwrap_or_default()
            ),
            "use a key that requests here have, or remove the condition",
        );
        return false;
    }
    true
}

/// Whether it is a service's own, of which AWS has it an error when an action lacks it: the global ones come with
/// every request.
fn is_of_service(key: &Key) -> bool {
    let prefix = key.as_written().split(':').next().unwrap_or_default();
    !prefix.eq_ignore_ascii_case("aws")
}

/// Of the actions that are named, those that do not have a key that others have.
fn check_each(asked: &Asked<'_>, view: &View<'_>, report: &mut Report) {
    let key = &asked.condition.key;
    let patterns = view.statement.actions.named();
    for (element, pattern) in view.actions.iter().zip(patterns) {
        let takes = known::taken_by(|name| pattern.matches(name));
        let reaches = !takes.is_empty() && view.names_actions();
        if reaches && !known::is_supplied(key, &takes) {
            let so = match asked.holds_without() {
                true => "always holds of it",
                false => "never holds of it",
            };
            report.add(
                match is_of_service(key) {
                    true => Severity::Error,
                    false => Severity::Warning,
                },
                "UNSUPPORTED_ACTION_FOR_CONDITION_KEY",
                element,
                format!(
                    "`{}` does not have the key `{}`: the condition {so}",
                    element.text(),
                    key.as_written()
                ),
                "put it into a statement of its own, without the condition or with a key that it has",
            );
        }
    }
}

/// Variables in values whose keys no request has.
pub(super) fn check_variables(asked: &Asked<'_>, report: &mut Report) {
    for key in asked.condition.variables() {
        let negated = asked.condition.operator.negated;
        let so = match negated {
            true => "is unlike everything",
            false => "is like nothing",
        };
        check_variable(key, asked.element, so, report);
    }
}

/// Variables in resources.
pub(super) fn check_resources(view: &View<'_>, report: &mut Report) {
    let patterns = view.statement.resources.named();
    for (element, pattern) in view.resources.iter().zip(patterns) {
        for key in Pattern::keys(pattern) {
            check_variable(key, element, "is like nothing", report);
        }
    }
}

fn check_variable(key: &Key, element: &super::super::Element<'_>, so: &str, report: &mut Report) {
    if key.name() == Name::Other {
        let name = key.as_written();
        report.warn(
            "VARIABLE_NEVER_SUPPLIED",
            element,
            format!("no request here has `{name}`: without a default, what has the variable {so}"),
            "use a variable that requests here have, or give it a default",
        );
    }
}
