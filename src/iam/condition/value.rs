//! A policy's value, compiled to its operator's type.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::super::evaluate::Context;
use super::super::pattern::Pattern;
use super::operator::{Compare, Test};

/// A compiled value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(Pattern),
    IgnoreCase(Pattern),
    Number(Compare, f64),
    Date(Compare, OffsetDateTime),
    Bool(bool),
    Binary(Vec<u8>),
    Network(IpNet),
    Arn([Pattern; 6]),
    Null(bool),
}

impl Value {
    pub(super) fn parse(test: Test, text: &str, variables: bool) -> Result<Self, String> {
        match test {
            Test::StringEquals => Pattern::literal(text, variables).map(Self::Text),
            Test::StringLike => Pattern::parse(text, variables).map(Self::Text),
            Test::StringEqualsIgnoreCase => {
                Pattern::literal(&text.to_lowercase(), variables).map(Self::IgnoreCase)
            }
            Test::Numeric(compare) => match number(text) {
                Some(number) => Ok(Self::Number(compare, number)),
                None => Err(format!("`{text}` is not a number")),
            },
            Test::Date(compare) => match date(text) {
                Some(date) => Ok(Self::Date(compare, date)),
                None => Err(format!("`{text}` is not a date")),
            },
            Test::Bool => flag(text)
                .map(Self::Bool)
                .ok_or_else(|| format!("`{text}` is neither `true` nor `false`")),
            Test::Null => flag(text)
                .map(Self::Null)
                .ok_or_else(|| format!("`{text}` is neither `true` nor `false`")),
            Test::Binary => STANDARD
                .decode(text)
                .map(Self::Binary)
                .map_err(|_| format!("`{text}` is not base64")),
            Test::IpAddress => network(text)
                .map(Self::Network)
                .ok_or_else(|| format!("`{text}` is not an address or network")),
            Test::Arn => arn(text, variables).map(Self::Arn),
        }
    }

    /// Whether a request's value is this one.
    pub(super) fn matches(&self, text: &str, context: &dyn Context) -> bool {
        match self {
            Self::Text(pattern) => pattern.matches(text, context),
            Self::IgnoreCase(pattern) => pattern.matches(&text.to_lowercase(), context),
            Self::Number(compare, ours) => number(text)
                .and_then(|theirs| theirs.partial_cmp(ours))
                .is_some_and(|order| compare.holds(order)),
            Self::Date(compare, ours) => {
                date(text).is_some_and(|theirs| compare.holds(theirs.cmp(ours)))
            }
            Self::Bool(ours) => flag(text) == Some(*ours),
            Self::Binary(ours) => STANDARD.decode(text).is_ok_and(|theirs| theirs == *ours),
            Self::Network(ours) => text
                .parse::<IpAddr>()
                .is_ok_and(|theirs| ours.contains(&theirs.to_canonical())),
            Self::Arn(patterns) => {
                let parts: Vec<&str> = text.splitn(6, ':').collect();
                parts.len() == 6
                    && patterns
                        .iter()
                        .zip(parts)
                        .all(|(pattern, part)| pattern.matches(part, context))
            }
            Self::Null(_) => false,
        }
    }

    /// Whether the key's being absent is what a `Null` value asks.
    pub(super) fn is_null(&self, absent: bool) -> bool {
        matches!(self, Self::Null(wanted) if *wanted == absent)
    }

    /// Whether every variable in it has a value.
    pub(super) fn resolvable(&self, context: &dyn Context) -> bool {
        match self {
            Self::Text(pattern) | Self::IgnoreCase(pattern) => pattern.resolvable(context),
            Self::Arn(patterns) => patterns.iter().all(|pattern| pattern.resolvable(context)),
            Self::Number(..)
            | Self::Date(..)
            | Self::Bool(_)
            | Self::Binary(_)
            | Self::Network(_)
            | Self::Null(_) => true,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
    let number = text
        .bytes()
        .all(plain)
        .then(|| text.parse::<f64>().ok())??;
    number.is_finite().then_some(number)
}

fn flag(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// W3C's profile of ISO 8601, or seconds since 1970.
fn date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(seconds) = text.parse::<i64>() {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    if let Ok(date) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(date);
    }
    if let Ok(date) = time::Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Some(date.midnight().assume_utc());
    }
    let minutes = text.strip_suffix('Z')?;
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    time::PrimitiveDateTime::parse(minutes, format)
        .ok()
        .map(time::PrimitiveDateTime::assume_utc)
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok();
    network.or_else(|| {
        text.parse::<IpAddr>()
            .ok()
            .map(|address| IpNet::from(address.to_canonical()))
    })
}

/// Six parts, each a pattern of its own: a `*` does not cross a colon, but in the last.
fn arn(text: &str, variables: bool) -> Result<[Pattern; 6], String> {
    let mut patterns = Vec::new();
    for part in text.splitn(6, ':') {
        patterns.push(Pattern::parse(part, variables)?);
    }
    let not = |_| format!("`{text}` is not an ARN of six parts");
    patterns.try_into().map_err(not)
}
