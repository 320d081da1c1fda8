//! `ForAllValues` and `ForAnyValue`: where they are missing, where they say nothing, and where they
//! take in requests without the key.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>

use super::super::super::condition::{Quantifier, Test};
use super::super::super::key::Key;
use super::super::super::reference::Type;
use super::super::Report;
use super::super::known;
use super::super::view::{Asked, View};

pub(super) fn check(asked: &Asked<'_>, view: &View<'_>, report: &mut Report) {
    let condition = asked.condition;
    let operator = condition.operator;
    let name = condition.key.as_written();
    let kind = known::type_of(&condition.key);
    let many = kind.map(|(kind, _)| matches!(kind, Type::ArrayOfString | Type::ArrayOfArn));
    // A claim of any name may have many values.
    let one = many == Some(false) && !name.split('/').next().is_some_and(is_claim);
    match operator.quantifier {
        Quantifier::None if many == Some(true) && operator.test != Test::Null => report.error(
            "MISSING_QUALIFIER",
            asked.element,
            format!("`{name}` may have many values, and `{operator}` does not say how many must pass"),
            &format!("use `ForAnyValue:{operator}` or `ForAllValues:{operator}`"),
        ),
        Quantifier::All if one && view.allows() => report.security(
            "FORALLVALUES_WITH_SINGLE_VALUED_KEY",
            asked.element,
            format!("`{name}` has one value, and `{operator}` also holds where there is none: the grant takes in requests without the key"),
            "remove `ForAllValues:`",
        ),
        Quantifier::All | Quantifier::Any if one => report.warn(
            "QUALIFIER_WITH_SINGLE_VALUED_KEY",
            asked.element,
            format!("`{name}` has one value, and `{operator}` is for keys with many"),
            "remove the qualifier",
        ),
        Quantifier::All if view.allows() && !is_guarded(asked, view) => report.warn(
            "FORALLVALUES_WITHOUT_NULL_CHECK",
            asked.element,
            format!("`{operator}` also holds where `{name}` is absent: the grant takes in requests without the key"),
            &format!("add `\"Null\": {{\"{name}\": \"false\"}}`"),
        ),
        Quantifier::None | Quantifier::All | Quantifier::Any => {}
    }
}

fn is_claim(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("jwt:")
}

/// Whether another condition of the statement fails where the key is absent.
fn is_guarded(asked: &Asked<'_>, view: &View<'_>) -> bool {
    let key = &asked.condition.key;
    let mut others = view
        .conditions
        .iter()
        .filter(|other| !other.holds_without());
    others.any(|other| other.condition.key == *key || is_one_of(&other.condition.key, key))
}

/// Whether `tag` is a tag of those whose keys `keys` has.
fn is_one_of(tag: &Key, keys: &Key) -> bool {
    let lower = tag.as_written().to_ascii_lowercase();
    [
        ("aws:RequestTag/", "aws:TagKeys"),
        ("s3:RequestObjectTag/", "s3:RequestObjectTagKeys"),
    ]
    .iter()
    .any(|(family, all)| keys.is(all) && lower.starts_with(&family.to_ascii_lowercase()))
}
