//! A document that is not a policy: the parser's errors, all of them, and where in the document they are.
//!
//! The parser ends at the first. What it names is taken out of a copy of the document, which is then
//! parsed again, until there is nothing left to name.

use super::super::condition::Operator;
use super::super::json::Json;
use super::super::key::Key;
use super::super::policy::parse;
use super::super::policy::{Error, Policy, PolicyKind, PolicyLimits};
use super::super::reference::nearest::nearest;
use super::Report;
use super::document::{self, Element};
use super::{Finding, Severity};

const FIX: &str = "correct it: a document that is not a policy is refused when it is written";

/// A key that AWS had once, and tells from those that it never had.
const OLD_ARN: &str = "aws:ARN";

/// The most errors that are told of one document.
const MOST: usize = 100;

/// No document is too long here: that has been said before.
const ANY_LENGTH: PolicyLimits = PolicyLimits {
    identity: usize::MAX,
    resource: usize::MAX,
    session: usize::MAX,
};

/// What is left of a document.
pub(super) struct Rest<'a> {
    pub(super) kind: PolicyKind,
    pub(super) document: Element<'a>,
    pub(super) policy: Policy,
    /// The paths of what had an error, of which nothing more is said: statements, or the document.
    pub(super) broken: Vec<String>,
}

/// Parses a document and tells everything for which it is refused; `None` where nothing is left of it.
pub(super) fn read<'a>(
    limits: &PolicyLimits,
    kind: PolicyKind,
    json: &'a [u8],
    report: &mut Report,
) -> Option<Rest<'a>> {
    let Ok(text) = std::str::from_utf8(json) else {
        let error = Error::Document("the policy is not UTF-8 text".to_owned());
        report
            .findings
            .push(told("JSON_SYNTAX_ERROR", &error, None));
        return None;
    };
    if let Err(why) = serde_json::from_str::<Json<'_>>(text) {
        let error = Error::Document(format!("the policy is not valid JSON: {why}"));
        report.findings.push(Finding {
            line: Some(why.line()),
            ..told("JSON_SYNTAX_ERROR", &error, None)
        });
        return None;
    }
    let mut document = document::read(text)?;
    if let Err(error) = limits.check(kind, text) {
        let finding = told("POLICY_SIZE_EXCEEDED", &error, Some(&document));
        report.findings.push(finding);
    }
    let mut broken = Vec::new();
    for _ in 0..MOST {
        let mut text = String::new();
        document.write(&mut text);
        let error = match Policy::parse_within(&ANY_LENGTH, kind, "", text.as_bytes()) {
            Ok(policy) => {
                return Some(Rest {
                    kind,
                    document,
                    policy,
                    broken,
                });
            }
            Err(error) => error,
        };
        // It is there by another name, which has been told.
        let misspelt = |finding: &Finding| finding.fix.contains("did you mean `Statement`");
        if code(&error) == "MISSING_STATEMENT" && report.findings.iter().any(misspelt) {
            return None;
        }
        let at = place(&error, &document);
        report.findings.push(told(code(&error), &error, at));
        report.findings.extend(keys_of_no_operator(&error, at));
        let path = at.map(|element| element.path.clone()).unwrap_or_default();
        let statement = statement(&error).map(|number| format!("Statement[{number}]"));
        broken.push(statement.unwrap_or_default());
        mend(&error, &path, kind, &mut document)?;
    }
    None
}

/// The keys that there are not of an operator that there is not either: with it they leave the document.
fn keys_of_no_operator(error: &Error, at: Option<&Element<'_>>) -> Vec<Finding> {
    let (statement, field) = match error {
        Error::Statement {
            statement,
            field: field @ "Condition",
            reason,
        } if reason.contains("condition operator") => (statement, *field),
        _ => return Vec::new(),
    };
    let keys = at.map_or(&[][..], Element::members).iter();
    let unknown = keys.filter_map(|(key, element)| {
        let error = Error::Statement {
            statement: statement.clone(),
            field,
            reason: Key::parse(key).err()?,
        };
        Some(told(code(&error), &error, Some(element)))
    });
    unknown.collect()
}

fn told(code: &'static str, error: &Error, at: Option<&Element<'_>>) -> Finding {
    Finding {
        severity: Severity::Error,
        code,
        path: at.map(|element| element.path.clone()).unwrap_or_default(),
        line: at.map(|element| element.line),
        message: error.to_string(),
        fix: fix(error),
    }
}

/// What PutBucketPolicy says of a statement.
pub(super) fn by_bucket(error: &Error, at: &Element<'_>) -> Finding {
    Finding {
        fix: "correct it: PutBucketPolicy refuses it with MalformedPolicy".to_owned(),
        ..told("MALFORMED_POLICY", error, Some(at))
    }
}

/// What to write instead, where that can be told.
fn fix(error: &Error) -> String {
    const ELEMENTS: [&str; 12] = [
        "Version",
        "Id",
        "Statement",
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    let reason = reason(error);
    let unknown = reason.contains("is not known") && !reason.contains("condition");
    let name = reason.split('`').nth(1).filter(|_| unknown);
    if key(reason).eq_ignore_ascii_case(OLD_ARN) {
        return "write `aws:PrincipalArn`, or `aws:SourceArn`".to_owned();
    }
    match name {
        Some(parse::OF_MINIO) => parse::OF_MINIO_MEANS.to_owned(),
        Some(name) => match nearest(name, ELEMENTS.into_iter()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "remove it".to_owned(),
        },
        None => FIX.to_owned(),
    }
}

fn reason(error: &Error) -> &str {
    match error {
        Error::Document(reason) | Error::Statement { reason, .. } => reason,
    }
}

/// The number of the statement that an error names.
fn statement(error: &Error) -> Option<usize> {
    match error {
        Error::Document(_) => None,
        Error::Statement { statement, .. } => statement.split(' ').next()?.parse().ok(),
    }
}

/// Takes what the error names out of the document, or puts what is right in its place; `None` where it is
/// the document itself.
fn mend(error: &Error, path: &str, kind: PolicyKind, document: &mut Element<'_>) -> Option<()> {
    let (Error::Statement { field, .. }, Some(number)) = (error, statement(error)) else {
        if path.is_empty() || path == "Statement" {
            return None;
        }
        document.remove(path);
        return Some(());
    };
    let at = number.checked_sub(1)?;
    let one = document.statements_mut().get_mut(at)?;
    let field = field.trim_start_matches("Not");
    // Of a list, or of conditions, the rest is looked at again.
    let inner = path
        .strip_prefix(one.path.as_str())
        .and_then(|path| path.strip_prefix('.'))
        .is_some_and(|path| path.contains(['.', '[']));
    if path.len() > one.path.len() {
        one.remove(path);
    }
    let has = |one: &Element<'_>, name: &str| {
        let other = format!("Not{name}");
        one.member(name).is_some() || one.member(&other).is_some()
    };
    match field {
        "Effect" => one.set("Effect", "Deny", ""),
        "Principal" if kind == PolicyKind::Resource && !(inner && has(one, "Principal")) => {
            one.set("Principal", "*", "NotPrincipal");
        }
        "Action" if !(inner && has(one, "Action")) => one.set("Action", "s3:*", "NotAction"),
        "Resource" if !(inner && has(one, "Resource")) => one.set("Resource", "*", "NotResource"),
        "Condition" if !inner => {
            let path = format!("{}.Condition", one.path);
            one.remove(&path);
        }
        _ => {}
    }
    Some(())
}

/// Access Analyzer's name for it.
fn code(error: &Error) -> &'static str {
    let reason = reason(error);
    let has = |words: &str| reason.contains(words);
    match error {
        Error::Document(_) if has("`Version` is") => "INVALID_VERSION",
        Error::Document(_) if has("there is no `Statement`") => "MISSING_STATEMENT",
        Error::Document(_) if has("the `Sid`") => "UNIQUE_SIDS_REQUIRED",
        Error::Document(_)
            if has("is not an object")
                || has("is an object")
                || has("JSON object")
                || has("is a text") =>
        {
            "DATA_TYPE_MISMATCH"
        }
        Error::Document(_) => "INVALID_POLICY_ELEMENT",
        Error::Statement { field, .. } => match field.trim_start_matches("Not") {
            _ if has("in single quotes") || has("whose quote does not end") => {
                "MISSING_QUOTE_IN_VARIABLE"
            }
            _ if has("variable that does not end") => "MISSING_BRACE_IN_VARIABLE",
            _ if has("condition key `` is not") => "EMPTY_VARIABLE",
            _ if has("${") && key(reason).contains(char::is_whitespace) => {
                "UNSUPPORTED_SPACE_IN_VARIABLE"
            }
            "Sid" => "UNSUPPORTED_SID",
            "Effect" if has("it is missing") => "MISSING_EFFECT",
            "Effect" => "INVALID_EFFECT",
            "Principal" if has("has no principal") => "UNSUPPORTED_PRINCIPAL",
            "Principal" if has("either") => "MISSING_PRINCIPAL",
            "Principal" if has("kind") => "INVALID_PRINCIPAL_KEY",
            "Principal" if has("*` is not a principal") || has("?` is not") => {
                "UNSUPPORTED_WILDCARD_IN_PRINCIPAL"
            }
            // The ids of a user and of a role that are gone.
            "Principal" if has("`AIDA") => "INVALID_USER_REFERENCE",
            "Principal" if has("`AROA") => "INVALID_ROLE_REFERENCE",
            "Principal" => "INVALID_PRINCIPAL_FORMAT",
            "Action" | "Resource" if has("both are there") => "UNSUPPORTED_ELEMENT_COMBINATION",
            "Action" if has("either") => "MISSING_ACTION",
            "Action" if has("list is empty") => "EMPTY_ARRAY_ACTION",
            "Action" | "Resource" if has("is needed") => "DATA_TYPE_MISMATCH",
            "Action" if has("wildcard in its service") => "WILDCARD_IN_SERVICE_NAME",
            "Action" => "INVALID_ACTION",
            "Resource" if has("either") => "MISSING_RESOURCE",
            "Resource" if has("list is empty") => "EMPTY_ARRAY_RESOURCE",
            "Resource" if has("partition") => "INVALID_PARTITION",
            "Resource" if !has("`arn:") => "INVALID_ARN_PREFIX",
            "Resource" => "INVALID_ARN_RESOURCE",
            "Condition" => of_condition(reason),
            _ => "INVALID_POLICY_ELEMENT",
        },
    }
}

/// The condition key that an error is about.
fn key(reason: &str) -> &str {
    let key = reason.split("condition key `").nth(1).unwrap_or_default();
    key.split('`').next().unwrap_or_default()
}

fn of_condition(reason: &str) -> &'static str {
    let has = |words: &str| reason.contains(words);
    match () {
        () if has("condition operator `Null") && has("IfExists") => "NULL_WITH_IF_EXISTS",
        () if has("condition operator") && has(":Null") => "NULL_WITH_QUALIFIER",
        () if has("condition operator") => "INVALID_CONDITION_OPERATOR",
        () if has("names nothing behind") => "MISSING_TAG_KEY_IN_CONDITION",
        () if key(reason).eq_ignore_ascii_case(OLD_ARN) => "UNSUPPORTED_GLOBAL_CONDITION_KEY",
        () if has("condition key `aws:") && has("not known") => "INVALID_GLOBAL_CONDITION_KEY",
        () if has("condition key") && has("not known") => match key(reason).contains(':') {
            true => "INVALID_SERVICE_CONDITION_KEY",
            false => "INVALID_CONDITION_KEY_FORMAT",
        },
        () if has("names no key") => "EMPTY_OBJECT_CONDITION",
        () if has("has no value") => "EMPTY_ARRAY_CONDITION",
        () if has("are not texts") || has("is not an object") => "DATA_TYPE_MISMATCH",
        () if has("`${") && has(" is not ") => "INVALID_OPERATOR_FOR_VARIABLE",
        () if has("is not a number") => "TYPE_MISMATCH_NUMBER",
        () if has("is not a date") => "TYPE_MISMATCH_DATE",
        () if has("is not an address") => "TYPE_MISMATCH_IP_RANGE",
        () if has("is not an ARN") => "TYPE_MISMATCH_ARN",
        () if has("true") => "TYPE_MISMATCH_BOOLEAN",
        () => "TYPE_MISMATCH",
    }
}

/// The innermost element that the error names.
fn place<'e, 'a>(error: &Error, root: &'e Element<'a>) -> Option<&'e Element<'a>> {
    let (within, reason) = match error {
        Error::Document(reason) => (root, reason),
        Error::Statement {
            field: "Condition", ..
        } => {
            let at = statement(error)?.checked_sub(1)?;
            let one = root.member("Statement")?.items().get(at)?;
            let variables = root
                .member("Version")
                .is_some_and(|v| v.text() == "2012-10-17");
            let condition = one.member("Condition")?;
            return Some(in_condition(condition, variables).unwrap_or(condition));
        }
        Error::Statement {
            statement,
            field,
            reason,
        } => {
            let number = statement.split(' ').next()?.parse::<usize>().ok()?;
            let statements = root.member("Statement")?.items();
            let statement = statements.get(number.checked_sub(1)?)?;
            let other = format!("Not{field}");
            let within = statement.member(field);
            let within = within.or_else(|| statement.member(&other));
            (within.unwrap_or(statement), reason)
        }
    };
    let quoted = reason.split('`').skip(1).step_by(2);
    let mut named = quoted.filter_map(|name| find(within, name));
    Some(named.next().unwrap_or(within))
}

/// Which operator, key or value of a condition is refused: each is tried alone, in the parser's order.
fn in_condition<'e, 'a>(condition: &'e Element<'a>, variables: bool) -> Option<&'e Element<'a>> {
    let refused = |operator: &str, key: &str, values: &Element<'_>| {
        let name = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let mut text = format!("{{{}:{{{}:", name(operator), name(key));
        values.write(&mut text);
        text.push_str("}}");
        let json = serde_json::from_str::<Json<'_>>(&text);
        json.is_ok_and(|json| parse::conditions(&json, variables).is_err())
    };
    for (operator, keys) in condition.members() {
        if keys.members().is_empty() || Operator::parse(operator).is_err() {
            return Some(keys);
        }
        for (key, values) in keys.members() {
            if refused(operator, key, values) {
                let mut items = values.items().iter();
                let item = items.find(|item| refused(operator, key, item));
                return Some(item.filter(|_| Key::parse(key).is_ok()).unwrap_or(values));
            }
        }
    }
    None
}

/// The last member that is called `name`, or text that is it.
fn find<'e, 'a>(within: &'e Element<'a>, name: &str) -> Option<&'e Element<'a>> {
    let members = within.members().iter().rev();
    let items = match within.members() {
        [] => within.items(),
        _ => &[],
    };
    let inside = items.iter().filter(|item| !std::ptr::eq(*item, within));
    let mut found = members.map(|(key, element)| match key == name {
        true => Some(element),
        false => find(element, name),
    });
    let found = found.find_map(|element| element);
    found
        .or_else(|| inside.rev().find_map(|item| find(item, name)))
        .or_else(|| (within.text() == name && !name.is_empty()).then_some(within))
}
