//! Condition operators, taken apart into test, negation, quantifier and `IfExists`.

/// What is compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::iam) enum Test {
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
pub(in crate::iam) enum Compare {
    Equals,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Which of a request's values must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::iam) enum Quantifier {
    None,
    /// `ForAllValues:`.
    All,
    /// `ForAnyValue:`.
    Any,
}

/// A whole operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::iam) struct Operator {
    /// Without quantifier and `IfExists`.
    name: &'static str,
    pub(in crate::iam) test: Test,
    pub(in crate::iam) negated: bool,
    pub(in crate::iam) quantifier: Quantifier,
    pub(in crate::iam) if_exists: bool,
}

impl Operator {
    pub(in crate::iam) fn parse(text: &str) -> Result<Self, String> {
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
        let found = NAMES.iter().find(|(known, ..)| *known == name);
        let (name, test, negated) = *found.ok_or_else(|| unknown(text))?;
        if test == Test::Null && (if_exists || quantifier != Quantifier::None) {
            return Err(unknown(text));
        }
        Ok(Self {
            name,
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

/// Every operator's name.
const NAMES: [(&str, Test, bool); 27] = [
    ("StringEquals", Test::StringEquals, false),
    ("StringNotEquals", Test::StringEquals, true),
    (
        "StringEqualsIgnoreCase",
        Test::StringEqualsIgnoreCase,
        false,
    ),
    (
        "StringNotEqualsIgnoreCase",
        Test::StringEqualsIgnoreCase,
        true,
    ),
    ("StringLike", Test::StringLike, false),
    ("StringNotLike", Test::StringLike, true),
    ("NumericEquals", Test::Numeric(Compare::Equals), false),
    ("NumericNotEquals", Test::Numeric(Compare::Equals), true),
    ("NumericLessThan", Test::Numeric(Compare::Less), false),
    (
        "NumericLessThanEquals",
        Test::Numeric(Compare::LessOrEqual),
        false,
    ),
    ("NumericGreaterThan", Test::Numeric(Compare::Greater), false),
    (
        "NumericGreaterThanEquals",
        Test::Numeric(Compare::GreaterOrEqual),
        false,
    ),
    ("DateEquals", Test::Date(Compare::Equals), false),
    ("DateNotEquals", Test::Date(Compare::Equals), true),
    ("DateLessThan", Test::Date(Compare::Less), false),
    (
        "DateLessThanEquals",
        Test::Date(Compare::LessOrEqual),
        false,
    ),
    ("DateGreaterThan", Test::Date(Compare::Greater), false),
    (
        "DateGreaterThanEquals",
        Test::Date(Compare::GreaterOrEqual),
        false,
    ),
    ("Bool", Test::Bool, false),
    ("BinaryEquals", Test::Binary, false),
    ("IpAddress", Test::IpAddress, false),
    ("NotIpAddress", Test::IpAddress, true),
    // AWS: ArnEquals and ArnLike behave alike.
    ("ArnLike", Test::Arn, false),
    ("ArnNotLike", Test::Arn, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("Null", Test::Null, false),
];

impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.quantifier {
            Quantifier::None => "",
            Quantifier::All => "ForAllValues:",
            Quantifier::Any => "ForAnyValue:",
        })?;
        f.write_str(self.name)?;
        f.write_str(if self.if_exists { "IfExists" } else { "" })
    }
}

impl Compare {
    pub(in crate::iam) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equals => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}
