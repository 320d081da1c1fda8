//! Values that mean something else than they look like, or nothing.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use time::OffsetDateTime;

use super::super::super::arn::is_account;
use super::super::super::condition::{Compare, Quantifier, Test};
use super::super::super::key::Name;
use super::super::Report;
use super::super::arns::{check_value, is_region, meant, nearest_region};
use super::super::cover;
use super::super::document::Element;
use super::super::view::{Asked, View};

pub(super) fn check(asked: &Asked<'_>, variables: bool, report: &mut Report) {
    let items = asked.element.items();
    for (at, item) in items.iter().enumerate() {
        check_wildcard(asked, item, report);
        let text = item.text();
        let textual = !matches!(
            asked.condition.operator.test,
            Test::Numeric(_) | Test::Date(_) | Test::Bool | Test::Null
        );
        if !variables && textual && text.contains("${") {
            report.warn(
                "VARIABLE_UNSUPPORTED_IN_VERSION",
                item,
                format!(
                    "`{text}` has a variable, and this version has none: it is taken as it stands"
                ),
                "set `Version` to `2012-10-17`",
            );
        }
        if items.iter().take(at).any(|earlier| earlier.text() == text) {
            report.suggest(
                "REDUNDANT_CONDITION_VALUE",
                item,
                format!("`{text}` is there twice"),
                "remove it",
            );
        }
    }
    check_both(asked, report);
    check_anything(asked, report);
    check_bounds(asked, report);
    for item in items {
        check_network(asked, item, report);
        check_region(asked, item, report);
        check_account(asked, item, report);
        check_endpoint(asked, item, report);
        check_kms_key(asked, item, report);
        if asked.condition.operator.test != Test::Null {
            check_value(item, report);
        }
        check_date(asked, item, report);
    }
    if asked.condition.operator.test == Test::StringLike {
        let texts = || items.iter().map(Element::text);
        for (at, by) in cover::superfluous(texts()) {
            if let (Some(item), Some(by)) = (items.get(at), items.get(by))
                && item.text() != by.text()
            {
                report.suggest(
                    "REDUNDANT_CONDITION_VALUE",
                    item,
                    format!("`{}` is taken in by `{}`", item.text(), by.text()),
                    "remove it",
                );
            }
        }
    }
}

/// Of several bounds one counts: the widest, or none where all must be different.
fn check_bounds(asked: &Asked<'_>, report: &mut Report) {
    let bound = match asked.condition.operator.test {
        Test::Numeric(compare) | Test::Date(compare) => compare != Compare::Equals,
        _ => false,
    };
    if bound && asked.element.items().len() > 1 {
        report.suggest(
            "REDUNDANT_CONDITION_VALUE_NUM",
            asked.element,
            format!(
                "`{}` needs one value: of several the widest counts",
                asked.condition.operator
            ),
            "leave the one that is meant",
        );
    }
}

/// Bits of an address that its network's length leaves out.
fn check_network(asked: &Asked<'_>, item: &Element<'_>, report: &mut Report) {
    if asked.condition.operator.test != Test::IpAddress {
        return;
    }
    if let Ok(network) = item.text().parse::<ipnet::IpNet>()
        && network.addr() != network.network()
    {
        report.suggest(
            "IMPROVE_IP_RANGE",
            item,
            format!("`{}` is the network `{}`", item.text(), network.trunc()),
            &format!("write `{}`", network.trunc()),
        );
    }
}

fn check_region(asked: &Asked<'_>, item: &Element<'_>, report: &mut Report) {
    let text = item.text();
    let literal = !text.contains(['*', '?', '$']);
    let location = asked.condition.key.name() == Name::LocationConstraint;
    let key = location || asked.condition.key.name() == Name::RequestedRegion;
    // The old name of `eu-west-1`.
    let known = is_region(text) || location && text == "EU";
    if !key || asked.condition.operator.test == Test::Null || !literal || known {
        return;
    }
    let message = format!("`{text}` is no region of AWS's");
    match nearest_region(text) {
        Some(_) => report.error("INVALID_REGION", item, message, &meant(text)),
        // A gateway's own region may be called anything.
        None => report.warn(
            "INVALID_REGION",
            item,
            message,
            "write it as in `us-east-1`, unless the gateway's own region is called so",
        ),
    }
}

/// Whether a value is taken as it stands, and not as a pattern or a question whether there is one.
fn is_literal(asked: &Asked<'_>, text: &str) -> bool {
    asked.condition.operator.test != Test::Null && !text.contains(['*', '?', '$'])
}

/// Accounts are 12 digits. Who does not sign has another word, here as in AWS's logs.
fn check_account(asked: &Asked<'_>, item: &Element<'_>, report: &mut Report) {
    let (key, text) = (&asked.condition.key, item.text());
    let accounts = [
        "aws:PrincipalAccount",
        "aws:ResourceAccount",
        "aws:SourceAccount",
        "aws:SourceOwner",
        "s3:ResourceAccount",
    ];
    let of_account = accounts.iter().any(|name| key.is(name));
    let nobody = key.is("aws:PrincipalAccount") && text == "anonymous";
    if of_account && is_literal(asked, text) && !is_account(text) && !nobody {
        report.error(
            "INVALID_ARN_ACCOUNT",
            item,
            format!("`{text}` is not an account"),
            "an account is 12 digits",
        );
    }
}

/// Networks and their endpoints have ids of 8 or 17 digits of hexadecimal.
fn check_endpoint(asked: &Asked<'_>, item: &Element<'_>, report: &mut Report) {
    let (key, text) = (&asked.condition.key, item.text());
    for (name, prefix, code) in [
        ("aws:SourceVpc", "vpc-", "INVALID_VPC_FORMAT"),
        ("aws:SourceVpce", "vpce-", "INVALID_VPCE_FORMAT"),
    ] {
        let id = text
            .strip_prefix(prefix)
            .filter(|id| matches!(id.len(), 8 | 17) && id.bytes().all(|b| b.is_ascii_hexdigit()));
        if key.is(name) && is_literal(asked, text) && id.is_none() {
            report.error(
                code,
                item,
                format!("`{text}` is none: it is `{prefix}` and 8 or 17 hexadecimal digits"),
                &format!("write it as in `{prefix}0a1b2c3d`"),
            );
        }
    }
}

/// A key is compared by its ARN, whatever a request calls it.
fn check_kms_key(asked: &Asked<'_>, item: &Element<'_>, report: &mut Report) {
    let of_key = asked.condition.key.name() == Name::ServerSideEncryptionKeyId;
    let text = item.text();
    if of_key && is_literal(asked, text) && !text.contains(":kms:") {
        report.error(
            "INVALID_KMS_KEY_VALUE",
            item,
            format!("`{text}` is not the ARN of a key, by which AWS compares it"),
            "write it as in `arn:aws:kms:us-east-1:123456789012:key/1234abcd`",
        );
    }
}

/// Digits alone are seconds since 1970, but four of them a year.
fn check_date(asked: &Asked<'_>, item: &Element<'_>, report: &mut Report) {
    let text = item.text();
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let date = matches!(asked.condition.operator.test, Test::Date(_));
    if date && digits && (5..=8).contains(&text.len()) {
        report.warn(
            "INVALID_DATE_VALUE",
            item,
            format!("`{text}` is a moment in 1970 or 1971: digits alone are seconds since 1970"),
            "write it as in `2026-07-01T00:00:00Z`",
        );
    }
}

/// A wildcard where none is one.
fn check_wildcard(asked: &Asked<'_>, item: &Element<'_>, report: &mut Report) {
    let operator = asked.condition.operator;
    let literal = matches!(
        operator.test,
        Test::StringEquals | Test::StringEqualsIgnoreCase
    );
    // The one value that the header If-None-Match may have.
    let none_match = asked.condition.key.name() == Name::IfNoneMatch;
    if literal && !none_match && has_wildcard(item.text()) {
        let like = match operator.negated {
            true => "StringNotLike",
            false => "StringLike",
        };
        report.warn(
            "WILDCARD_WITHOUT_LIKE_OPERATOR",
            item,
            format!(
                "`{operator}` takes the wildcard in `{}` as it stands",
                item.text()
            ),
            &format!("did you mean `{like}`?"),
        );
    }
}

/// Outside of its variables.
fn has_wildcard(text: &str) -> bool {
    let mut parts = text.split("${");
    let first = parts.next().unwrap_or_default();
    let behind = parts.map(|part| part.split_once('}').map_or("", |(_, behind)| behind));
    std::iter::once(first)
        .chain(behind)
        .any(|part| part.contains(['*', '?']))
}

/// A pattern that takes in every value asks whether there is one.
fn check_anything(asked: &Asked<'_>, report: &mut Report) {
    let operator = asked.condition.operator;
    let like = operator.test == Test::StringLike;
    let plain = operator.quantifier == Quantifier::None && !operator.if_exists;
    let mut items = asked.element.items().iter();
    if !like || !plain || !items.any(|item| item.text() == "*") {
        return;
    }
    let key = asked.condition.key.as_written();
    let (code, there, value) = match operator.negated {
        false => ("EQUIVALENT_TO_NULL_FALSE", "is there", "false"),
        true => ("EQUIVALENT_TO_NULL_TRUE", "is absent", "true"),
    };
    report.suggest(
        code,
        asked.element,
        format!("`{operator}` with `*` holds whenever `{key}` {there}, whatever it is"),
        &format!("write `\"Null\": {{\"{key}\": \"{value}\"}}`, or the values that are meant"),
    );
}

/// `true` and `false`: whichever it is.
fn check_both(asked: &Asked<'_>, report: &mut Report) {
    let operator = asked.condition.operator;
    let has = |flag: &str| {
        let mut items = asked.element.items().iter();
        items.any(|item| item.text().eq_ignore_ascii_case(flag))
    };
    if matches!(operator.test, Test::Null | Test::Bool) && has("true") && has("false") {
        let but = match operator.test {
            Test::Null => "",
            _ => " wherever the key is there",
        };
        report.error(
            "INVALID_CONDITION_MULTIPLE_BOOLEAN",
            asked.element,
            format!("`{operator}` with both `true` and `false` holds{but}"),
            "leave the one that is meant, or remove the condition",
        );
    }
}

/// Dates that are past, so that the condition no longer tells one moment from another.
pub(super) fn check_dates(
    asked: &Asked<'_>,
    view: &View<'_>,
    now: OffsetDateTime,
    report: &mut Report,
) {
    let condition = asked.condition;
    if !matches!(condition.key.name(), Name::CurrentTime | Name::EpochTime) {
        return;
    }
    let Some((compare, dates)) = condition.dates() else {
        return;
    };
    let past = |date: &OffsetDateTime| *date < now;
    let holds = match compare {
        Compare::Less | Compare::LessOrEqual | Compare::Equals => {
            dates.iter().all(past).then_some(condition.operator.negated)
        }
        Compare::Greater | Compare::GreaterOrEqual => {
            let since = dates.iter().any(past) && !has_end(asked, view);
            since.then_some(true)
        }
    };
    let so = match holds {
        Some(true) => "always holds by now",
        Some(false) => "never holds any more, and the statement never applies",
        None => return,
    };
    report.suggest(
        "DATE_IN_THE_PAST",
        asked.element,
        format!("the date is past: the condition {so}"),
        "remove what has had its time, or correct the date",
    );
}

/// Whether another condition on time ends what this one begins.
fn has_end(asked: &Asked<'_>, view: &View<'_>) -> bool {
    view.conditions.iter().any(|other| {
        let ends = |(compare, _)| matches!(compare, Compare::Less | Compare::LessOrEqual);
        !std::ptr::eq(other.condition, asked.condition)
            && matches!(
                other.condition.key.name(),
                Name::CurrentTime | Name::EpochTime
            )
            && other.condition.dates().is_some_and(ends)
    })
}
