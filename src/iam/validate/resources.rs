//! Resources that no action of their statement is asked on, and that nothing here can be.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/security_iam_service-with-iam.html>

use super::super::action::ActionPattern;
use super::super::arn;
use super::super::reference::{Action, On, describe};
use super::Report;
use super::arns;
use super::cover;
use super::document::Element;
use super::known;
use super::view::View;

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    let wholes: Vec<Whole> = view.resources.iter().map(Whole::of).collect();
    for (element, whole) in view.resources.iter().zip(&wholes) {
        check_s3(element, whole, report);
        arns::check(element, &without_variables(element.text()), report);
        if view.statement.principals.is_some() {
            check_of_bucket(element, whole, report);
        }
        let text = element.text();
        if !view.variables && text.contains("${") {
            report.warn(
                "VARIABLE_UNSUPPORTED_IN_VERSION",
                element,
                format!(
                    "`{text}` has a variable, and this version has none: it is taken as it stands"
                ),
                "set `Version` to `2012-10-17`",
            );
        }
    }
    for (at, by) in cover::superfluous(view.resources.iter().map(Element::text)) {
        if let (Some(element), Some(by)) = (view.resources.get(at), view.resources.get(by)) {
            report.suggest(
                "REDUNDANT_RESOURCE",
                element,
                format!("`{}` is taken in by `{}`", element.text(), by.text()),
                "remove it",
            );
        }
    }
    // Of what is left by `NotAction` and `NotResource` something always fits.
    let named = view.names_actions() && view.names_resources();
    if named && !check_actions(view, &wholes, report) {
        check_unused(view, &wholes, report);
    }
}

/// A bucket's policy is about the bucket and what is in it.
fn check_of_bucket(element: &Element<'_>, whole: &Whole, report: &mut Report) {
    let Some([_, _, service, ..]) = whole.parts() else {
        return;
    };
    if !may_be(service, "s3") {
        report.error(
            "UNSUPPORTED_RESOURCE_ARN_IN_POLICY",
            element,
            format!(
                "`{}` is nothing that a bucket's policy is about",
                element.text()
            ),
            "write `arn:aws:s3:::bucket` or `arn:aws:s3:::bucket/key`",
        );
    }
}

/// Actions that none of the resources are for; whether there are some.
fn check_actions(view: &View<'_>, wholes: &[Whole], report: &mut Report) -> bool {
    let mut found = false;
    for (element, pattern) in view.actions.iter().zip(view.statement.actions.named()) {
        let actions = taken(pattern);
        let fits = |action: &&'static Action| wholes.iter().any(|whole| whole.is_for(action));
        if let (Some(first), false) = (actions.first(), actions.iter().any(fits)) {
            found = true;
            let asked = describe(first.on);
            report.warn(
                "ACTION_WITHOUT_RESOURCE",
                element,
                format!(
                    "no resource of the statement is one that `{}` is asked on",
                    element.text()
                ),
                &format!("it is asked on {asked}; add such a resource or remove the action"),
            );
        }
    }
    found
}

fn taken(pattern: &ActionPattern) -> Vec<&'static Action> {
    known::taken_by(|name| pattern.matches(name))
}

/// Resources that none of the actions are asked on. What is not known may be asked on anything.
fn check_unused(view: &View<'_>, wholes: &[Whole], report: &mut Report) {
    let unknown = |pattern: &ActionPattern| taken(pattern).is_empty();
    if view.statement.actions.named().iter().any(unknown) {
        return;
    }
    for (element, whole) in view.resources.iter().zip(wholes) {
        if !view.takes.iter().any(|action| whole.is_for(action)) {
            report.suggest(
                "RESOURCE_WITHOUT_ACTION",
                element,
                format!(
                    "no action of the statement is asked on `{}`",
                    element.text()
                ),
                "remove it, or add the actions that are meant",
            );
        }
    }
}

/// Of an S3 ARN, what nothing here can be like.
fn check_s3(element: &Element<'_>, whole: &Whole, report: &mut Report) {
    let Some([_, _, "s3", region, account, resource]) = whole.parts() else {
        return;
    };
    let text = element.text();
    let never = |what: &str| format!("nothing here is `{text}`: {what}");
    let fix = "write `arn:aws:s3:::bucket` or `arn:aws:s3:::bucket/key`";
    let bucket = resource.split('/').next().unwrap_or_default();
    if ["accesspoint", "job", "storage-lens", "access-grants"].contains(&bucket)
        && !region.is_empty()
    {
        let message = never("there are no access points, jobs or configurations of that kind");
        report.warn("RESOURCE_NEVER_MATCHES", element, message, fix);
    } else if can_not_be_empty(region) {
        let message = never("the ARN of a bucket or an object has no region");
        report.error("ARN_REGION_NOT_ALLOWED", element, message, fix);
    } else if can_not_be_empty(account) {
        let message = never("the ARN of a bucket or an object has no account");
        report.error("ARN_ACCOUNT_NOT_ALLOWED", element, message, fix);
    } else if bucket.is_empty() {
        let message = never("it names no bucket");
        report.warn("RESOURCE_NEVER_MATCHES", element, message, fix);
    } else if !may_be_bucket(bucket) {
        let message =
            never("a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens");
        report.warn(
            "RESOURCE_NEVER_MATCHES",
            element,
            message,
            "correct the bucket's name",
        );
    }
}

fn can_not_be_empty(pattern: &str) -> bool {
    pattern.contains(|c| c != '*')
}

/// Whether some bucket's name is like the pattern, by what stands in it literally.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
fn may_be_bucket(pattern: &str) -> bool {
    let wild = pattern.contains(['*', VARIABLE]);
    let least = pattern
        .chars()
        .filter(|c| !matches!(*c, '*' | VARIABLE))
        .count();
    let of_name = |c: char| {
        c.is_ascii_lowercase()
            || c.is_ascii_digit()
            || matches!(c, '.' | '-' | '*' | '?' | VARIABLE)
    };
    let edge = |c: Option<char>| c.is_some_and(|c| !matches!(c, '.' | '-'));
    pattern.chars().all(of_name)
        && least <= 63
        && (wild || least >= 3)
        && edge(pattern.chars().next())
        && edge(pattern.chars().next_back())
        && !pattern.contains("..")
}

/// What stands for a variable.
const VARIABLE: char = '\u{1}';

/// A resource's ARN in full, its variables made one character each.
struct Whole(String);

impl Whole {
    fn of(element: &Element<'_>) -> Self {
        let mut text = without_variables(element.text());
        let missing = 6_usize.saturating_sub(text.split(':').count());
        if text != "*" {
            text.push_str(&":*".repeat(missing));
        }
        Self(text)
    }

    /// None of `*`.
    fn parts(&self) -> Option<[&str; 6]> {
        arn::parts(&self.0)
    }

    /// Whether the action can be asked on something that is like it.
    fn is_for(&self, action: &Action) -> bool {
        let service = known::service(action.name);
        let Some([_, _, of, region, account, resource]) = self.parts() else {
            return true;
        };
        if service == "admin" {
            return true;
        }
        action.on.iter().any(|on| match on {
            On::Bucket => may_be(of, service) && !resource.contains('/'),
            On::Object => may_be(of, service) && resource.contains(['/', '*', '?', VARIABLE]),
            On::Service => may_be(of, service) && resource == "*",
            On::AccessPoint | On::Job => {
                may_be(of, service) && [region, account].iter().any(|part| !part.is_empty())
            }
            On::Other => true,
            On::User => may_be(of, "iam") && may_begin(resource, "user/"),
            On::Role => may_be(of, "iam") && may_begin(resource, "role/"),
            On::Group => may_be(of, "iam") && may_begin(resource, "group/"),
            On::Policy => may_be(of, "iam") && may_begin(resource, "policy/"),
            On::Key => may_be(of, "kms"),
        })
    }
}

/// Whether a part that is one word can be it.
fn may_be(pattern: &str, word: &str) -> bool {
    pattern.contains(['*', '?', VARIABLE]) || pattern == word
}

/// Whether what begins with `start` can be like the pattern.
fn may_begin(pattern: &str, start: &str) -> bool {
    let literal = pattern
        .split(['*', '?', VARIABLE])
        .next()
        .unwrap_or_default();
    literal.starts_with(start) || (literal.len() < pattern.len() && start.starts_with(literal))
}

/// What stands in a text besides its variables, each of which becomes one character.
fn without_variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let Some((_, after)) = behind.split_once('}') else {
            break;
        };
        out.push_str(before);
        out.push(VARIABLE);
        rest = after;
    }
    out.push_str(rest);
    out
}
