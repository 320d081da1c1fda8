//! What PutBucketPolicy refuses in a document, all of it: each part of a statement is tried among others that
//! any bucket takes.

use super::super::policy::{Error, Policy};
use super::document::{self, Element};
use super::refused;
use super::{Finding, Severity};

/// What was found in a document, as PutBucketPolicy of the bucket with that ARN has it: of one that it takes
/// nothing is an error, and of one that it refuses everything for which it does.
#[must_use]
pub fn validate_for_bucket(bucket_arn: &str, json: &[u8], mut found: Vec<Finding>) -> Vec<Finding> {
    // As the gateway reads it: what is no text is no policy.
    let Ok(text) = std::str::from_utf8(json) else {
        return found;
    };
    match Policy::parse_for_bucket("", bucket_arn, text) {
        Err(error) => {
            let refused = refusals(bucket_arn, text, &error, &found);
            found.extend(refused);
        }
        Ok(_) => {
            for finding in found.iter_mut().filter(|f| f.severity == Severity::Error) {
                finding.severity = Severity::Warning;
            }
        }
    }
    found
}

/// Every reason besides the errors that were `found`.
fn refusals(bucket_arn: &str, text: &str, error: &Error, found: &[Finding]) -> Vec<Finding> {
    let Some(document) = document::read(text) else {
        return Vec::new();
    };
    let version = document.member("Version").map(written);
    let statements = document.member("Statement").map_or(&[][..], Element::items);
    let mut told = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        let mut one = One {
            bucket_arn,
            version: version.as_deref(),
            number: at,
            statement,
            found,
            told: Vec::new(),
        };
        one.check();
        told.append(&mut one.told);
    }
    let errors = found.iter().any(|f| f.severity == Severity::Error);
    // The whole of it: what is no document, or too long, has no statements to ask about.
    if told.is_empty() && !errors {
        told.push(refused::by_bucket(error, &document));
    }
    told
}

struct One<'a> {
    bucket_arn: &'a str,
    version: Option<&'a str>,
    /// How many statements are before it.
    number: usize,
    statement: &'a Element<'a>,
    /// What has been told already.
    found: &'a [Finding],
    told: Vec<Finding>,
}

fn written(element: &Element<'_>) -> String {
    let mut text = String::new();
    element.write(&mut text);
    text
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

impl One<'_> {
    fn check(&mut self) {
        let statement = self.statement;
        for name in ["Principal", "NotPrincipal"] {
            if let Some(element) = statement.member(name) {
                // With which effect matters.
                let effect = statement.member("Effect").map(Element::text);
                let effect = effect.filter(|text| *text == "Allow").unwrap_or("Deny");
                let part = format!("{}:{}", quoted(name), written(element));
                self.try_part(element, &self.with(effect, Some(&part), None, None, None));
            }
        }
        for name in ["Action", "NotAction"] {
            for element in statement.member(name).map_or(&[][..], Element::items) {
                let part = format!("{}:{}", quoted(name), written(element));
                self.try_part(element, &self.with("Deny", None, Some(&part), None, None));
            }
        }
        for name in ["Resource", "NotResource"] {
            for element in statement.member(name).map_or(&[][..], Element::items) {
                let part = format!("{}:{}", quoted(name), written(element));
                self.try_part(element, &self.with("Deny", None, None, Some(&part), None));
            }
        }
        let operators = statement.member("Condition");
        for (operator, keys) in operators.map_or(&[][..], Element::members) {
            for (key, values) in keys.members() {
                let part = format!(
                    "\"Condition\":{{{}:{{{}:{}}}}}",
                    quoted(operator),
                    quoted(key),
                    written(values)
                );
                self.try_part(values, &self.with("Deny", None, None, None, Some(&part)));
            }
        }
        // Each is well by itself, and they don't go together.
        if self.told.is_empty() && !self.has_error(&statement.path) {
            let whole = self.document(&written(statement));
            self.try_part(statement, &whole);
        }
    }

    /// A statement with that part, and otherwise what any bucket takes.
    fn with(
        &self,
        effect: &str,
        principal: Option<&str>,
        action: Option<&str>,
        resource: Option<&str>,
        condition: Option<&str>,
    ) -> String {
        let arn = self.bucket_arn;
        let everything = format!(r#""Resource":["{arn}","{arn}/*"]"#);
        let parts = [
            Some(format!("\"Effect\":{}", quoted(effect))),
            Some(principal.unwrap_or(r#""Principal":"*""#).to_owned()),
            Some(action.unwrap_or(r#""Action":"s3:*""#).to_owned()),
            Some(resource.map_or(everything, str::to_owned)),
            condition.map(str::to_owned),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        self.document(&format!("{{{}}}", parts.join(",")))
    }

    /// A document with the statement in its place, so that messages have its number.
    fn document(&self, statement: &str) -> String {
        let filler = format!(
            r#"{{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"{}/*"}},"#,
            self.bucket_arn
        );
        let version = self.version.map(|text| format!("\"Version\":{text},"));
        format!(
            "{{{}\"Statement\":[{}{statement}]}}",
            version.unwrap_or_default(),
            filler.repeat(self.number)
        )
    }

    fn try_part(&mut self, at: &Element<'_>, document: &str) {
        let Err(error) = Policy::parse_for_bucket("", self.bucket_arn, document) else {
            return;
        };
        let same = |finding: &Finding| finding.message == error.to_string();
        if !self.has_error(&at.path) && !self.told.iter().any(same) {
            self.tell(&error, at);
        }
    }

    fn tell(&mut self, error: &Error, at: &Element<'_>) {
        self.told.push(refused::by_bucket(error, at));
    }

    /// Whether an error of it has been told.
    fn has_error(&self, path: &str) -> bool {
        let errors = self.found.iter().filter(|f| f.severity == Severity::Error);
        let mut paths = errors.map(|finding| finding.path.as_str());
        paths.any(|at| {
            let behind = at.strip_prefix(path);
            behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }
}
