//! Condition operators, taken apart into test, negation, quantifier and `IfExists`.

/// What is compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Compare),
    Date(Compare),
    Bool,
    Binary,
    IpAddress,
    Arn,
    Null,
}

/// How numbers and dates compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equals,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Which of a request's values must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    None,
    /// `ForAllValues:`.
    All,
    /// `ForAnyValue:`.
    Any,
}

/// A whole operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) test: Test,
    pub(super) negated: bool,
    pub(super) quantifier: Quantifier,
    pub(super) if_exists: bool,
}

impl Operator {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (quantifier, rest) = match text.split_once(':') {
            None => (Quantifier::None, text),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(_) => return Err(unknown(text)),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let (test, negated) = test(name).ok_or_else(|| unknown(text))?;
        if test == Test::Null && (if_exists || quantifier != Quantifier::None) {
            return Err(unknown(text));
        }
        Ok(Self {
            test,
            negated,
            quantifier,
            if_exists,
        })
    }
}

fn unknown(text: &str) -> String {
    format!("condition operator `{text}` is not known")
}

fn test(name: &str) -> Option<(Test, bool)> {
    Some(match name {
        "StringEquals" => (Test::StringEquals, false),
        "StringNotEquals" => (Test::StringEquals, true),
        "StringEqualsIgnoreCase" => (Test::StringEqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Test::StringEqualsIgnoreCase, true),
        "StringLike" => (Test::StringLike, false),
        "StringNotLike" => (Test::StringLike, true),
        "NumericEquals" => (Test::Numeric(Compare::Equals), false),
        "NumericNotEquals" => (Test::Numeric(Compare::Equals), true),
        "NumericLessThan" => (Test::Numeric(Compare::Less), false),
        "NumericLessThanEquals" => (Test::Numeric(Compare::LessOrEqual), false),
        "NumericGreaterThan" => (Test::Numeric(Compare::Greater), false),
        "NumericGreaterThanEquals" => (Test::Numeric(Compare::GreaterOrEqual), false),
        "DateEquals" => (Test::Date(Compare::Equals), false),
        "DateNotEquals" => (Test::Date(Compare::Equals), true),
        "DateLessThan" => (Test::Date(Compare::Less), false),
        "DateLessThanEquals" => (Test::Date(Compare::LessOrEqual), false),
        "DateGreaterThan" => (Test::Date(Compare::Greater), false),
        "DateGreaterThanEquals" => (Test::Date(Compare::GreaterOrEqual), false),
        "Bool" => (Test::Bool, false),
        "BinaryEquals" => (Test::Binary, false),
        "IpAddress" => (Test::IpAddress, false),
        "NotIpAddress" => (Test::IpAddress, true),
        // AWS: ArnEquals and ArnLike behave alike.
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "Null" => (Test::Null, false),
        _ => return None,
    })
}

impl Compare {
    pub(super) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equals => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}
