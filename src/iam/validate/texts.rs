//! What AWS refuses in the text of a statement and the parser lets pass.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html>

use super::super::principal::{CANONICAL, is_canonical};
use super::Report;
use super::document::{self, Element, Shape};
use super::view::View;

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    let statement = view.element;
    if let Some(sid) = statement.member("Sid").filter(|sid| sid.text().is_empty()) {
        report.suggest(
            "EMPTY_SID_VALUE",
            sid,
            "the `Sid` is empty".to_owned(),
            "say what the statement is for, or remove it",
        );
    }
    for name in ["Principal", "NotPrincipal"] {
        let members = statement.member(name).map_or(&[][..], Element::members);
        for (kind, list) in members {
            for one in list.items() {
                check_principal(one, report);
                if kind == "Service" {
                    check_service(one, report);
                }
                if kind == "CanonicalUser" && !is_canonical(one.text()) {
                    report.error(
                        "INVALID_PRINCIPAL_FORMAT",
                        one,
                        format!("`{}` is nobody: {CANONICAL}", one.text()),
                        "name the account, as in `{\"AWS\": \"123456789012\"}`",
                    );
                }
            }
        }
    }
    let operators = statement.member("Condition");
    let operators = operators.map_or(&[][..], Element::members);
    for (_, keys) in operators {
        check_keys(keys, report);
        for (_, values) in keys.members() {
            check_types(values, report);
            check_all_variables(values, view.variables, report);
        }
    }
    for name in ["Resource", "NotResource"] {
        if let Some(list) = statement.member(name) {
            check_all_variables(list, view.variables, report);
        }
    }
}

/// A variable is one in resources and conditions only: a principal of that name is nobody.
fn check_principal(one: &Element<'_>, report: &mut Report) {
    if one.text().contains("${") {
        report.error(
            "VARIABLE_UNSUPPORTED_IN_ELEMENT",
            one,
            format!("`{}` is nobody: a principal has no variables", one.text()),
            "name the principal, or ask for it in a condition on aws:PrincipalArn",
        );
    }
}

/// A service is called as its endpoint is.
fn check_service(one: &Element<'_>, report: &mut Report) {
    let text = one.text();
    let name = ["amazonaws.com", "amazonaws.com.cn", "aws.internal"].iter();
    let mut name = name.filter_map(|domain| text.strip_suffix(domain)?.strip_suffix('.'));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if !name.any(|name| !name.is_empty() && name.bytes().all(plain)) {
        report.error(
            "INVALID_SERVICE_PRINCIPAL_FORMAT",
            one,
            format!("`{text}` is no service"),
            "write it as in `logging.s3.amazonaws.com`",
        );
    }
}

/// Names of keys are the same in any case, so that both must hold.
fn check_keys(keys: &Element<'_>, report: &mut Report) {
    for (at, (name, element)) in keys.members().iter().enumerate() {
        let mut before = keys.members().iter().take(at);
        if let Some((first, _)) = before.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            report.error(
                "DUPLICATE_KEYS_WITH_DIFFERENT_CASE",
                element,
                format!("`{name}` is the key `{first}` again: both conditions must hold"),
                "put the values into one list",
            );
        }
    }
}

/// Values of one key are all texts, or all numbers, or all true or false.
fn check_types(values: &Element<'_>, report: &mut Report) {
    let kind = |element: &Element<'_>| match &element.value {
        Shape::Word(word) if matches!(&**word, "true" | "false") => 1,
        Shape::Word(_) => 2,
        _ => 0,
    };
    let items = values.items();
    if let Some(first) = items.first()
        && items.iter().any(|item| kind(item) != kind(first))
    {
        report.error(
            "INVALID_CONDITION_DATA_TYPE",
            values,
            "its values are of several types of JSON".to_owned(),
            "write all of them in quotes",
        );
    }
}

/// The keys of a text's variables, as they are written.
fn keys(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.split("${").skip(1);
    let inner = inner.filter_map(|text| text.split('}').next());
    inner.map(|text| text.split(',').next().unwrap_or_default())
}

/// The first variable of a document with a space before or behind its key: its statement, from 0, the element that
/// it is in, and the key. AWS does not support it, and does not say what it does.
pub(in crate::iam) fn padded_variable(text: &str) -> Option<(usize, &'static str, String)> {
    let document = document::read(text)?;
    let statements = document.member("Statement")?.items().iter().enumerate();
    let padded = |element: &Element<'_>| {
        let mut keys = element.items().iter().flat_map(|item| keys(item.text()));
        keys.find(|key| *key != key.trim()).map(str::to_owned)
    };
    statements.into_iter().find_map(|(at, statement)| {
        let resources = ["Resource", "NotResource"].into_iter();
        let mut resources = resources.filter_map(|name| Some((name, statement.member(name)?)));
        let operators = statement
            .member("Condition")
            .map_or(&[][..], Element::members);
        let mut values = operators.iter().flat_map(|(_, keys)| keys.members());
        resources
            .find_map(|(name, list)| Some((at, name, padded(list)?)))
            .or_else(|| values.find_map(|(_, list)| Some((at, "Condition", padded(list)?))))
    })
}

fn check_all_variables(values: &Element<'_>, variables: bool, report: &mut Report) {
    for item in values.items().iter().filter(|_| variables) {
        let mut keys = keys(item.text());
        if let Some(key) = keys.find(|key| key.contains(char::is_whitespace)) {
            report.error(
                "UNSUPPORTED_SPACE_IN_VARIABLE",
                item,
                format!("the variable `{key}` has a space, which AWS does not support: PutBucketPolicy refuses it around a key, and a policy of a file is read as if it were not there"),
                &format!("write `${{{}}}`", key.trim()),
            );
        }
    }
}
