//! Actions that don't exist, that nothing here answers, and that are listed twice.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html>
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>

use super::super::action::ActionPattern;
use super::super::reference::{Action, On, nearest};
use super::Report;
use super::cover;
use super::document::Element;
use super::known;
use super::view::View;

/// Actions that there are not, or of which nothing is answered here.
pub(super) fn check_names(view: &View<'_>, report: &mut Report) {
    for (element, pattern) in view.actions.iter().zip(view.statement.actions.named()) {
        check_one(element, pattern, report);
    }
}

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    check_names(view, report);
    for (element, pattern) in view.actions.iter().zip(view.statement.actions.named()) {
        if view.statement.principals.is_some() {
            check_of_bucket(element, pattern, report);
        }
    }
    let lower = |element: &Element<'_>| element.text().to_ascii_lowercase();
    let patterns: Vec<String> = view.actions.iter().map(lower).collect();
    for (at, by) in cover::superfluous(patterns.iter().map(String::as_str)) {
        if let (Some(element), Some(by)) = (view.actions.get(at), view.actions.get(by)) {
            report.suggest(
                "REDUNDANT_ACTION",
                element,
                format!("`{}` is taken in by `{}`", element.text(), by.text()),
                "remove it",
            );
        }
    }
}

/// A bucket is what has a policy here: of its actions, and of those on what is in it.
fn check_of_bucket(element: &Element<'_>, pattern: &ActionPattern, report: &mut Report) {
    let taken = known::taken_by(|name| pattern.matches(name));
    let fits = |action: &&Action| {
        let on = action.on.iter();
        known::service(action.name) == "s3"
            && on.clone().any(|on| matches!(on, On::Bucket | On::Object))
    };
    if !taken.is_empty() && !taken.iter().any(fits) {
        report.error(
            "UNSUPPORTED_ACTION_IN_POLICY",
            element,
            format!(
                "`{}` is asked on no bucket, and on no object",
                element.text()
            ),
            "put it into the policy of a user, a group or a role",
        );
    }
}

fn check_one(element: &Element<'_>, pattern: &ActionPattern, report: &mut Report) {
    let text = element.text();
    let service = known::service(text);
    if service == "*" {
        return;
    }
    if let Some(meant) = known::meant_service(service) {
        let message = format!("there is no service `{service}`");
        let fix = format!("did you mean `{meant}`?");
        report.error("INVALID_SERVICE_IN_ACTION", element, message, &fix);
        return;
    }
    if known::actions(service).is_none() {
        let message =
            format!("no action of `{service}` is answered here, so that it has no effect");
        let fix = "leave it out here, or correct the service's prefix";
        report.error("SERVICE_NOT_ANSWERED", element, message, fix);
        return;
    }
    if !known::taken_by(|name| pattern.matches(name)).is_empty() {
        return;
    }
    let wild = text.contains(['*', '?']);
    let message = match wild {
        true => format!("no action of `{service}` is like `{text}`"),
        false => format!("there is no action `{text}`"),
    };
    let fix = match nearest::action(text) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "correct or remove it".to_owned(),
    };
    report.error("INVALID_ACTION", element, message, &fix);
}
