//! Actions that don't exist, that nothing here answers, and that are listed twice.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html>
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>

use super::super::action::ActionPattern;
use super::super::reference::Action;
use super::Report;
use super::cover;
use super::document::Element;
use super::known;
use super::view::View;

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    for (element, pattern) in view.actions.iter().zip(view.statement.actions.named()) {
        check_one(element, pattern, view.names_actions(), report);
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

fn check_one(element: &Element<'_>, pattern: &ActionPattern, only: bool, report: &mut Report) {
    let text = element.text();
    let service = known::service(text);
    if service == "*" {
        return;
    }
    let Some(actions) = known::actions(service) else {
        let message =
            format!("no action of `{service}` is answered here, so that it has no effect");
        let fix = "leave it out here, or correct the service's prefix";
        match only {
            true => report.warn("SERVICE_NOT_ANSWERED", element, message, fix),
            false => report.suggest("SERVICE_NOT_ANSWERED", element, message, fix),
        }
        return;
    };
    if !known::taken_by(|name| pattern.matches(name)).is_empty() {
        return;
    }
    let wild = text.contains(['*', '?']);
    let message = match wild {
        true => format!("no action of `{service}` is like `{text}`"),
        false => format!("there is no action `{text}`"),
    };
    let fix = match nearest(text, actions).filter(|_| !wild) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "correct or remove it".to_owned(),
    };
    report.warn("INVALID_ACTION", element, message, &fix);
}

/// The action that is spelt most alike.
fn nearest(text: &str, actions: &'static [Action]) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let alike = |name: &str| strsim::jaro_winkler(&text, &name.to_ascii_lowercase());
    let names = actions.iter().map(|action| action.name);
    names.max_by(|a, b| alike(a).total_cmp(&alike(b)))
}
