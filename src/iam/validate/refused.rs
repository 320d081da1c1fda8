//! A document that is not a policy: the parser's error, and where in the document it is.

use super::super::json::Json;
use super::super::policy::Error;
use super::document::{self, Element};
use super::{Finding, Severity};

const FIX: &str = "correct it: a document that is not a policy is refused when it is written";

pub(super) fn finding(error: &Error, json: &[u8]) -> Finding {
    let text = std::str::from_utf8(json).unwrap_or_default();
    let parsed = serde_json::from_str::<Json<'_>>(text);
    let (code, path, line) = match (error, &parsed) {
        (_, Err(why)) => ("JSON_SYNTAX_ERROR", String::new(), Some(why.line())),
        (error, Ok(_)) => {
            let document = document::read(text);
            let at = document.as_ref().and_then(|root| place(error, root));
            let path = at.map(|element| element.path.clone()).unwrap_or_default();
            (code(error), path, at.map(|element| element.line))
        }
    };
    Finding {
        severity: Severity::Error,
        code,
        path,
        line,
        message: error.to_string(),
        fix: FIX.to_owned(),
    }
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Document(why) if why.starts_with("the policy is longer") => "POLICY_SIZE_EXCEEDED",
        Error::Document(why) if why.contains("`Version`") => "INVALID_VERSION",
        Error::Document(why) if why.contains("`Statement`") => "MISSING_STATEMENT",
        Error::Document(why) if why.contains("`Sid`") => "UNIQUE_SIDS_REQUIRED",
        Error::Document(_) => "INVALID_POLICY_ELEMENT",
        Error::Statement { field, .. } => match *field {
            "Sid" => "UNSUPPORTED_SID",
            "Effect" => "INVALID_EFFECT",
            "Principal" | "NotPrincipal" => "INVALID_PRINCIPAL_FORMAT",
            "Action" | "NotAction" => "INVALID_ACTION",
            "Resource" | "NotResource" => "INVALID_ARN_RESOURCE",
            "Condition" => "INVALID_CONDITION",
            _ => "INVALID_POLICY_ELEMENT",
        },
    }
}

/// The innermost element that the error names.
fn place<'e, 'a>(error: &Error, root: &'e Element<'a>) -> Option<&'e Element<'a>> {
    let (within, reason) = match error {
        Error::Document(reason) => (root, reason),
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
