//! Operators that compare as another type than their key's.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use super::super::super::condition::Test;
use super::super::super::reference::Type;
use super::super::Report;
use super::super::known;
use super::super::view::Asked;

pub(super) fn check(asked: &Asked<'_>, report: &mut Report) {
    let key = &asked.condition.key;
    let operator = asked.condition.operator;
    let Some((kind, of_values)) = known::type_of(key) else {
        return;
    };
    let name = key.as_written();
    match fit(operator.test, kind) {
        Fit::Well => {}
        // What a tag or a claim holds is not known: it may well be a number or an ARN.
        Fit::Badly if of_values => {}
        Fit::Loosely => report.suggest(
            "ARN_OPERATOR_RECOMMENDED",
            asked.element,
            format!("`{name}` is an ARN, and `{operator}` compares it as one text, in which `*` crosses colons"),
            &format!("use `{}`", better(kind, operator.negated)),
        ),
        Fit::Badly => report.warn(
            "TYPE_MISMATCH",
            asked.element,
            format!("`{name}` is {}, and `{operator}` compares something else", describe(kind)),
            &format!("use `{}`", better(kind, operator.negated)),
        ),
    }
}

enum Fit {
    Well,
    /// It works, and another says better what is meant.
    Loosely,
    Badly,
}

fn fit(test: Test, kind: Type) -> Fit {
    let text = matches!(
        test,
        Test::StringEquals | Test::StringEqualsIgnoreCase | Test::StringLike
    );
    let well = match kind {
        Type::String | Type::ArrayOfString => text,
        Type::Numeric => matches!(test, Test::Numeric(_)),
        Type::Date => matches!(test, Test::Date(_)),
        Type::Epoch => matches!(test, Test::Date(_) | Test::Numeric(_)),
        Type::Bool => test == Test::Bool,
        Type::Ip => test == Test::IpAddress,
        Type::Arn | Type::ArrayOfArn => test == Test::Arn,
    };
    let arn = matches!(kind, Type::Arn | Type::ArrayOfArn);
    match well || test == Test::Null {
        true => Fit::Well,
        false if arn && text => Fit::Loosely,
        false => Fit::Badly,
    }
}

fn describe(kind: Type) -> &'static str {
    match kind {
        Type::String => "a text",
        Type::Numeric => "a number",
        Type::Date => "a date",
        Type::Epoch => "a date in seconds",
        Type::Bool => "true or false",
        Type::Ip => "an address",
        Type::Arn => "an ARN",
        Type::ArrayOfString => "a list of texts",
        Type::ArrayOfArn => "a list of ARNs",
    }
}

fn better(kind: Type, negated: bool) -> &'static str {
    match (kind, negated) {
        (Type::String, false) => "StringEquals",
        (Type::String, true) => "StringNotEquals",
        (Type::Numeric, false) => "NumericEquals",
        (Type::Numeric, true) => "NumericNotEquals",
        (Type::Date | Type::Epoch, false) => "DateGreaterThan` or `DateLessThan",
        (Type::Date | Type::Epoch, true) => "DateNotEquals",
        (Type::Bool, false) => "Bool",
        (Type::Bool, true) => "Bool` with the other value, or `BoolIfExists",
        (Type::Ip, false) => "IpAddress",
        (Type::Ip, true) => "NotIpAddress",
        (Type::Arn, false) => "ArnLike",
        (Type::Arn, true) => "ArnNotLike",
        (Type::ArrayOfString, false) => "ForAnyValue:StringEquals",
        (Type::ArrayOfString, true) => "ForAllValues:StringNotEquals",
        (Type::ArrayOfArn, false) => "ForAnyValue:ArnLike",
        (Type::ArrayOfArn, true) => "ForAllValues:ArnNotLike",
    }
}
