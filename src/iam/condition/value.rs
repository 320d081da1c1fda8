//! A policy's values, compiled to their operator's type.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::super::arn;
use super::super::context::{Context, Value};
use super::super::pattern::{Pattern, Syntax};
use super::operator::{Compare, Test};

/// The compiled values of one condition, each an alternative.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    Text(Vec<Pattern>),
    Like(Vec<Pattern>),
    IgnoreCase(Vec<Pattern>),
    Number(Compare, Vec<Number>),
    Date(Compare, Vec<OffsetDateTime>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Network(Vec<IpNet>),
    Arn(Vec<[Pattern; 6]>),
    Null(Vec<bool>),
}

const fn literal(variables: bool) -> Syntax {
    Syntax {
        wildcards: false,
        variables,
    }
}

const fn wild(variables: bool) -> Syntax {
    Syntax {
        wildcards: true,
        variables,
    }
}

impl Wanted {
    pub(super) fn parse(
        test: Test,
        values: &[Cow<'_, str>],
        variables: bool,
    ) -> Result<Self, String> {
        let patterns = |syntax: Syntax| each(values, |text: &str| Pattern::parse(text, syntax));
        Ok(match test {
            Test::StringEquals => Self::Text(patterns(literal(variables))?),
            Test::StringEqualsIgnoreCase => Self::IgnoreCase(patterns(literal(variables))?),
            Test::StringLike => Self::Like(patterns(wild(variables))?),
            Test::Numeric(compare) => Self::Number(compare, read(values, number, "a number")?),
            Test::Date(compare) => Self::Date(compare, read(values, date, "a date")?),
            Test::Bool => Self::Bool(read(values, flag, "`true` or `false`")?),
            Test::Null => Self::Null(read(values, flag, "`true` or `false`")?),
            Test::Binary => Self::Binary(read(values, binary, "base64")?),
            Test::IpAddress => Self::Network(read(values, network, "an address or a network")?),
            Test::Arn => {
                let parse = |text: &str| arn_patterns(text, variables);
                Self::Arn(each(values, parse)?)
            }
        })
    }

    /// Whether a request's value is one of these.
    pub(super) fn has(&self, value: &Value<'_>, context: &dyn Context) -> bool {
        match self {
            Self::Text(patterns) | Self::Like(patterns) => {
                let text = value.as_text();
                patterns.iter().any(|p| p.matches(&text, context))
            }
            Self::IgnoreCase(patterns) => {
                let text = value.as_text().to_lowercase();
                patterns
                    .iter()
                    .any(|p| p.matches_ignoring_case(&text, context))
            }
            Self::Number(compare, wanted) => number_of(value).is_some_and(|theirs| {
                let holds =
                    |ours: &Number| theirs.partial_cmp(ours).is_some_and(|o| compare.holds(o));
                wanted.iter().any(holds)
            }),
            Self::Date(compare, wanted) => date_of(value)
                .is_some_and(|theirs| wanted.iter().any(|ours| compare.holds(theirs.cmp(ours)))),
            Self::Bool(wanted) => {
                flag(&value.as_text()).is_some_and(|theirs| wanted.contains(&theirs))
            }
            Self::Binary(wanted) => {
                binary(&value.as_text()).is_some_and(|theirs| wanted.contains(&theirs))
            }
            Self::Network(wanted) => address_of(value)
                .is_some_and(|theirs| wanted.iter().any(|ours| ours.contains(&theirs))),
            Self::Arn(wanted) => {
                let text = value.as_text();
                arn::parts(&text).is_some_and(|parts| {
                    let same = |ours: &[Pattern; 6]| {
                        let mut pairs = ours.iter().zip(parts);
                        pairs.all(|(pattern, part)| pattern.matches(part, context))
                    };
                    wanted.iter().any(same)
                })
            }
            Self::Null(_) => false,
        }
    }

    /// Its patterns, where it has some.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let (texts, arns): (&[Pattern], &[[Pattern; 6]]) = match self {
            Self::Text(patterns) | Self::Like(patterns) | Self::IgnoreCase(patterns) => {
                (patterns, &[])
            }
            Self::Arn(arns) => (&[], arns),
            _ => (&[], &[]),
        };
        texts.iter().chain(arns.iter().flatten())
    }

    /// As a policy has them.
    pub(super) fn write(&self, variables: bool) -> Vec<String> {
        let patterns = |patterns: &[Pattern], syntax| -> Vec<String> {
            patterns.iter().map(|p| p.write(syntax)).collect()
        };
        match self {
            Self::Text(all) | Self::IgnoreCase(all) => patterns(all, literal(variables)),
            Self::Like(all) => patterns(all, wild(variables)),
            Self::Number(_, all) => all.iter().map(Number::to_string).collect(),
            Self::Date(_, all) => {
                let iso = |at: &OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
                all.iter().map(iso).collect()
            }
            Self::Bool(all) | Self::Null(all) => all.iter().map(bool::to_string).collect(),
            Self::Binary(all) => all.iter().map(|bytes| STANDARD.encode(bytes)).collect(),
            Self::Network(all) => all.iter().map(IpNet::to_string).collect(),
            Self::Arn(all) => {
                let arn = |parts: &[Pattern; 6]| patterns(parts, wild(variables)).join(":");
                all.iter().map(arn).collect()
            }
        }
    }
}

fn each<T>(
    values: &[Cow<'_, str>],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    values.iter().map(|text| parse(text)).collect()
}

fn read<T>(
    values: &[Cow<'_, str>],
    parse: impl Fn(&str) -> Option<T>,
    what: &str,
) -> Result<Vec<T>, String> {
    each(values, |text| {
        parse(text).ok_or_else(|| format!("`{text}` is not {what}"))
    })
}

/// A number: a whole one exactly, since identifiers and sizes go beyond what a float tells apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "beside a fraction, which has none to spare"
    )]
    fn float(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(ours), Self::Whole(theirs)) => Some(ours.cmp(theirs)),
            _ => self.float().partial_cmp(&other.float()),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Float(float) => float.fmt(f),
        }
    }
}

fn number_of(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Text(text) => number(text),
        Value::Epoch(seconds) => Some(Number::Whole(i128::from(*seconds))),
        Value::Address(_) | Value::Time(_) => None,
    }
}

fn number(text: &str) -> Option<Number> {
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
    if !text.bytes().all(plain) {
        return None;
    }
    if let Ok(whole) = text.parse::<i128>() {
        return Some(Number::Whole(whole));
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    Some(Number::Float(float))
}

fn flag(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn date_of(value: &Value<'_>) -> Option<OffsetDateTime> {
    match value {
        Value::Text(text) => date(text),
        Value::Time(at) => Some(*at),
        Value::Epoch(seconds) => OffsetDateTime::from_unix_timestamp(*seconds).ok(),
        Value::Address(_) => None,
    }
}

/// W3C's profile of ISO 8601 (<https://www.w3.org/TR/NOTE-datetime>), four digits of which are a year;
/// or seconds since 1970.
fn date(text: &str) -> Option<OffsetDateTime> {
    let year = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(seconds) = text.parse::<i64>().ok().filter(|_| !year) {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    if let Ok(date) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(date);
    }
    let minutes = format_description!(
        "[year]-[month]-[day]T[hour]:[minute][offset_hour sign:mandatory]:[offset_minute]"
    );
    let utc = text.strip_suffix('Z').map(|t| format!("{t}+00:00"));
    if let Ok(date) = OffsetDateTime::parse(utc.as_deref().unwrap_or(text), minutes) {
        return Some(date);
    }
    let day = match text.len() {
        4 => Cow::Owned(format!("{text}-01-01")),
        7 => Cow::Owned(format!("{text}-01")),
        _ => Cow::Borrowed(text),
    };
    let day = time::Date::parse(&day, format_description!("[year]-[month]-[day]")).ok()?;
    Some(day.midnight().assume_utc())
}

fn address_of(value: &Value<'_>) -> Option<IpAddr> {
    let address = match value {
        Value::Address(address) => Some(*address),
        Value::Text(text) => text.parse::<IpAddr>().ok(),
        Value::Time(_) | Value::Epoch(_) => None,
    };
    address.map(|address| address.to_canonical())
}

/// An IPv4 network that is written as a part of IPv6 (`::ffff:192.0.2.0/120`) is that IPv4 network,
/// as addresses are.
fn network(text: &str) -> Option<IpNet> {
    let Ok(network) = text.parse::<IpNet>() else {
        let address = text.parse::<IpAddr>().ok()?;
        return Some(IpNet::from(address.to_canonical()));
    };
    match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(v4), length @ 96..) if network.addr().is_ipv6() => {
            IpNet::new(IpAddr::V4(v4), length.saturating_sub(96)).ok()
        }
        _ => Some(network),
    }
}

/// Six parts, each a pattern of its own: a `*` does not cross a colon, but in the last.
fn arn_patterns(text: &str, variables: bool) -> Result<[Pattern; 6], String> {
    let not = || format!("`{text}` is not an ARN of six parts");
    let parts = match text {
        "*" => ["*"; 6],
        text => arn::pattern_parts(text, variables).ok_or_else(not)?,
    };
    let mut patterns = Vec::with_capacity(6);
    for part in parts {
        patterns.push(Pattern::parse(part, wild(variables))?);
    }
    patterns.try_into().map_err(|_| not())
}
