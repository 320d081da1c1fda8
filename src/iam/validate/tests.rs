#![expect(clippy::unwrap_used, reason = "tests")]
use time::macros::datetime;

use super::super::policy::{PolicyKind, PolicyLimits};
use super::*;

const IDENTITY: PolicyKind = PolicyKind::Identity;
const RESOURCE: PolicyKind = PolicyKind::Resource;

fn of(kind: PolicyKind, json: &str) -> Vec<Finding> {
    let now = datetime!(2026-07-01 0:00 UTC);
    validate_at(now, &PolicyLimits::default(), kind, json.as_bytes())
}

/// The findings of one statement, as `code path-behind-the-statement`.
fn found(kind: PolicyKind, statement: &str) -> Vec<String> {
    let json = format!(r#"{{"Version":"2012-10-17","Statement":[{{{statement}}}]}}"#);
    let named = |finding: Finding| {
        let behind = finding
            .path
            .strip_prefix("Statement[1]")
            .unwrap()
            .to_owned();
        format!("{} {}", finding.code, behind.trim_start_matches('.'))
            .trim_end()
            .to_owned()
    };
    of(kind, &json).into_iter().map(named).collect()
}

/// Each statement has exactly the findings named.
fn table(kind: PolicyKind, cases: &[(&str, &[&str])]) {
    for (statement, expected) in cases {
        assert_eq!(found(kind, statement), *expected, "{statement}");
    }
}

/// Reads of a bucket under a condition.
fn on_read(effect: &str, condition: &str) -> Vec<String> {
    let statement = format!(
        r#""Effect":"{effect}","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::bucket/*","Condition":{condition}"#
    );
    let mut found = found(IDENTITY, &statement);
    // One of the two may well be without the key.
    found.retain(|code| !code.starts_with("UNSUPPORTED_ACTION_FOR_CONDITION_KEY Action"));
    let short = |text: String| text.replace("Condition.", "");
    found.into_iter().map(short).collect()
}

fn conditions(cases: &[(&str, &str, &[&str])]) {
    for (effect, condition, expected) in cases {
        assert_eq!(
            on_read(effect, condition),
            *expected,
            "{effect} {condition}"
        );
    }
}

mod of_conditions;
mod of_elements;
mod of_names;
mod of_statements;
