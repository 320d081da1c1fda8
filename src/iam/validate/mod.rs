//! What is a policy by its grammar and still hardly what was meant: the checks of IAM Access Analyzer
//! that concern S3, and those that only a gateway can make, which knows what its requests have.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html>

mod actions;
mod arns;
mod bucket;
mod conditions;
mod cover;
mod document;
mod elements;
mod grants;
mod known;
mod refused;
mod resources;
mod texts;
mod view;

use time::OffsetDateTime;

use super::policy::{PolicyKind, PolicyLimits};
pub use bucket::validate_for_bucket;
use document::Element;
pub(super) use texts::padded_variable;
use view::View;

/// How bad a finding is, as Access Analyzer ranks them.
///
/// <https://docs.aws.amazon.com/access-analyzer/latest/APIReference/API_ValidatePolicyFinding.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is not a policy: it would be refused.
    Error,
    /// It grants more than is likely to be meant.
    SecurityWarning,
    /// It does something else than is likely to be meant.
    Warning,
    /// It does what it says, and could say it better.
    Suggestion,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::SecurityWarning => "security-warning",
            Self::Warning => "warning",
            Self::Suggestion => "suggestion",
        }
    }
}

/// Something that a policy's author should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its name: Access Analyzer's, where it has the same check.
    pub code: &'static str,
    /// Which element, as in `Statement[2].Condition.StringEquals.s3:prefix`; numbers are from 1.
    pub path: String,
    /// On which line of the document, from 1, that element begins.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// Looks a document over, in the order of its lines. Of what is refused every error is told, and of a
/// statement that has one nothing else but the actions that there are not.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-policy-validation.html>
#[must_use]
pub fn validate(limits: &PolicyLimits, kind: PolicyKind, json: &[u8]) -> Vec<Finding> {
    look_over(limits, kind, json, None)
}

/// As [`validate`], and says which dates are past at `now`.
#[must_use]
pub fn validate_at(
    now: OffsetDateTime,
    limits: &PolicyLimits,
    kind: PolicyKind,
    json: &[u8],
) -> Vec<Finding> {
    look_over(limits, kind, json, Some(now))
}

impl Finding {
    /// Whether it is of an action that there is not, which a gateway may be told to take.
    #[must_use]
    pub fn is_of_unknown_action(&self) -> bool {
        matches!(
            self.code,
            "INVALID_ACTION" | "INVALID_SERVICE_IN_ACTION" | "SERVICE_NOT_ANSWERED"
        )
    }

    /// Whether it is of a part of a policy that has no effect, or another than it looks like: AWS's Access
    /// Analyzer calls it an error, or no request can meet it.
    fn is_in_vain(&self) -> bool {
        self.severity == Severity::Error
            || matches!(
                self.code,
                "ACTION_WITHOUT_RESOURCE"
                    | "KEY_WITHOUT_ACTION"
                    | "RESOURCE_NEVER_MATCHES"
                    | "UNSUPPORTED_ACTION_FOR_CONDITION_KEY"
            )
    }
}

/// What a policy that is taken says in vain, each with its place: not what actions there are not.
#[must_use]
pub fn said_in_vain(limits: &PolicyLimits, kind: PolicyKind, json: &[u8]) -> Vec<String> {
    let findings = validate(limits, kind, json).into_iter();
    let vain = findings.filter(|found| found.is_in_vain() && !found.is_of_unknown_action());
    vain.map(|found| format!("{}: {}", found.path, found.message))
        .collect()
}

/// Every error for which a document is no policy, in the parser's words; and, of what is right of it, the
/// actions that there are not.
#[must_use]
pub fn refusals(
    limits: &PolicyLimits,
    kind: PolicyKind,
    json: &[u8],
) -> (Vec<String>, Vec<String>) {
    let mut report = Report::default();
    let rest = refused::read(limits, kind, json, &mut report);
    let told = report.findings.into_iter().map(|finding| finding.message);
    let unknown = rest
        .map(|rest| rest.policy.unknown_actions())
        .unwrap_or_default();
    (
        told.collect(),
        unknown.iter().map(ToString::to_string).collect(),
    )
}

fn look_over(
    limits: &PolicyLimits,
    kind: PolicyKind,
    json: &[u8],
    now: Option<OffsetDateTime>,
) -> Vec<Finding> {
    let mut report = Report::default();
    if let Some(rest) = refused::read(limits, kind, json, &mut report) {
        look_at(limits, &rest, json, now, &mut report);
    }
    let mut findings = report.findings;
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// What a document does that is one, or the rest of one.
fn look_at(
    limits: &PolicyLimits,
    rest: &refused::Rest<'_>,
    json: &[u8],
    now: Option<OffsetDateTime>,
    report: &mut Report,
) {
    let refused::Rest {
        document,
        policy,
        broken,
        ..
    } = rest;
    if broken.is_empty() {
        let text = std::str::from_utf8(json).unwrap_or_default();
        elements::check(document, policy, report);
        elements::check_length(document, limits.measure(rest.kind, text), report);
        grants::check_public(document, policy, report);
    }
    for view in view::statements(document, policy) {
        match broken.contains(&view.element.path) {
            false => check_statement(&view, now, report),
            // Whether there are its actions is known whatever else is wrong.
            true => actions::check_names(&view, report),
        }
    }
}

fn check_statement(view: &View<'_>, now: Option<OffsetDateTime>, report: &mut Report) {
    texts::check(view, report);
    elements::check_principals(view, report);
    grants::check(view, report);
    actions::check(view, report);
    resources::check(view, report);
    conditions::check(view, now, report);
}

/// What was found.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn error(&mut self, code: &'static str, at: &Element<'_>, message: String, fix: &str) {
        self.add(Severity::Error, code, at, message, fix);
    }

    fn security(&mut self, code: &'static str, at: &Element<'_>, message: String, fix: &str) {
        self.add(Severity::SecurityWarning, code, at, message, fix);
    }

    fn warn(&mut self, code: &'static str, at: &Element<'_>, message: String, fix: &str) {
        self.add(Severity::Warning, code, at, message, fix);
    }

    fn suggest(&mut self, code: &'static str, at: &Element<'_>, message: String, fix: &str) {
        self.add(Severity::Suggestion, code, at, message, fix);
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: &Element<'_>,
        message: String,
        fix: &str,
    ) {
        self.findings.push(Finding {
            severity,
            code,
            path: at.path.clone(),
            line: Some(at.line),
            message,
            fix: fix.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests;
