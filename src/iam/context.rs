//! What conditions may ask of a request.

use std::borrow::Cow;
use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::key::Key;

/// A value of a condition key, in the type that the request has it in, so that nothing is written out
/// to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// An IP address.
    Address(IpAddr),
    /// A time; as text, ISO 8601 in UTC.
    Time(OffsetDateTime),
    /// Seconds since 1970; a number as well as a time.
    Epoch(i64),
}

impl<'a> Value<'a> {
    /// What string operators compare.
    #[must_use]
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            other => other.clone().into_text(),
        }
    }

    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Address(address) => Cow::Owned(address.to_string()),
            Self::Time(at) => Cow::Owned(at.format(&Rfc3339).unwrap_or_default()),
            Self::Epoch(seconds) => Cow::Owned(seconds.to_string()),
        }
    }
}

/// A condition key's values in a request. None is as good as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    /// The request has no such key.
    Absent,
    /// One.
    One(Value<'a>),
    /// Any number.
    Many(Vec<Value<'a>>),
    /// Any number of texts.
    Texts(&'a [String]),
}

impl<'a> Values<'a> {
    /// One text.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::One(Value::Text(Cow::Borrowed(text)))
    }

    /// One text that was made for it.
    #[must_use]
    pub fn owned(text: String) -> Self {
        Self::One(Value::Text(Cow::Owned(text)))
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(flag: bool) -> Self {
        Self::text(if flag { "true" } else { "false" })
    }

    /// The text, or absent.
    #[must_use]
    pub fn maybe(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::text)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::One(_) => false,
            Self::Many(values) => values.is_empty(),
            Self::Texts(texts) => texts.is_empty(),
        }
    }

    /// Whether there is one and it says nothing.
    pub(super) fn is_one_empty_text(&self) -> bool {
        let empty = |value: &Value<'_>| matches!(value, Value::Text(text) if text.is_empty());
        match self {
            Self::Absent => false,
            Self::One(value) => empty(value),
            Self::Many(values) => matches!(values.as_slice(), [value] if empty(value)),
            Self::Texts(texts) => matches!(texts, [text] if text.is_empty()),
        }
    }

    /// Whether one passes `test`.
    pub fn any(&self, mut test: impl FnMut(&Value<'_>) -> bool) -> bool {
        match self {
            Self::Absent => false,
            Self::One(value) => test(value),
            Self::Many(values) => values.iter().any(test),
            Self::Texts(texts) => texts
                .iter()
                .any(|text| test(&Value::Text(Cow::Borrowed(text)))),
        }
    }

    /// The value, when there is exactly one.
    #[must_use]
    pub fn single(self) -> Option<Value<'a>> {
        match self {
            Self::Absent => None,
            Self::One(value) => Some(value),
            Self::Many(mut values) if values.len() == 1 => values.pop(),
            Self::Many(_) => None,
            Self::Texts([text]) => Some(Value::Text(Cow::Borrowed(text))),
            Self::Texts(_) => None,
        }
    }
}

/// What conditions may ask of a request. Computed when asked, so that a policy without conditions
/// costs nothing.
pub trait Context {
    /// The key's values.
    fn values(&self, key: &Key) -> Values<'_>;
}
