#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::context::{Value, Values};
use super::*;

/// `aws:username` has the values of the case.
struct Case(Option<Vec<&'static str>>);

impl Context for Case {
    fn values(&self, _key: &Key) -> Values<'_> {
        let text = |text: &&'static str| Value::Text((*text).into());
        self.0.as_ref().map_or(Values::Absent, |texts| {
            Values::Many(texts.iter().map(text).collect())
        })
    }
}

fn holds(operator: &str, key: &str, values: &[&str], found: Option<&[&'static str]>) -> bool {
    let values: Vec<_> = values.iter().map(|v| (*v).into()).collect();
    Condition::parse(Operator::parse(operator).unwrap(), key, &values, true)
        .unwrap()
        .holds(&Case(found.map(<[_]>::to_vec)))
}

#[test]
fn t35_truth_table_of_absence_and_quantifiers() {
    let none: Option<&[&'static str]> = None;
    let table: [(&str, [bool; 5]); 12] = [
        // absent, empty, ["a"], ["a","b"], ["b","c"]; the policy names "a".
        ("StringEquals", [false, false, true, true, false]),
        ("StringNotEquals", [true, true, false, false, true]),
        ("StringEqualsIfExists", [true, true, true, true, false]),
        ("StringNotEqualsIfExists", [true, true, false, false, true]),
        (
            "ForAllValues:StringEquals",
            [true, true, true, false, false],
        ),
        (
            "ForAnyValue:StringEquals",
            [false, false, true, true, false],
        ),
        (
            "ForAllValues:StringNotEquals",
            [true, true, false, false, true],
        ),
        (
            "ForAnyValue:StringNotEquals",
            [false, false, false, true, true],
        ),
        ("ForAllValues:StringLike", [true, true, true, false, false]),
        (
            "ForAnyValue:StringLikeIfExists",
            [true, true, true, true, false],
        ),
        ("StringLike", [false, false, true, true, false]),
        ("StringNotLike", [true, true, false, false, true]),
    ];
    for (operator, expected) in table {
        let found: [Option<&[&'static str]>; 5] = [
            none,
            Some(&[]),
            Some(&["a"]),
            Some(&["a", "b"]),
            Some(&["b", "c"]),
        ];
        let got = found.map(|found| holds(operator, "aws:username", &["a"], found));
        assert_eq!(got, expected, "{operator}");
    }
    for (value, absent, present) in [("true", true, false), ("false", false, true)] {
        assert_eq!(holds("Null", "aws:username", &[value], none), absent);
        assert_eq!(
            holds("Null", "aws:username", &[value], Some(&["a"])),
            present
        );
    }
}

#[test]
fn typed_operators() {
    for (operator, key, value, found, expected) in [
        (
            "IpAddress",
            "aws:SourceIp",
            "192.0.2.0/24",
            "192.0.2.9",
            true,
        ),
        (
            "IpAddress",
            "aws:SourceIp",
            "192.0.2.0/24",
            "192.0.3.9",
            false,
        ),
        ("IpAddress", "aws:SourceIp", "192.0.2.9", "192.0.2.9", true),
        (
            "IpAddress",
            "aws:SourceIp",
            "192.0.2.0/24",
            "::ffff:192.0.2.9",
            true,
        ),
        (
            "IpAddress",
            "aws:SourceIp",
            "2001:db8::/32",
            "2001:db8::1",
            true,
        ),
        (
            "NotIpAddress",
            "aws:SourceIp",
            "192.0.2.0/24",
            "192.0.3.9",
            true,
        ),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "junk", false),
        ("NumericLessThanEquals", "s3:max-keys", "10", "10", true),
        ("NumericLessThan", "s3:max-keys", "10", "10", false),
        ("NumericGreaterThan", "s3:max-keys", "10", "10.5", true),
        ("NumericEquals", "s3:max-keys", "10", "x", false),
        (
            "DateLessThan",
            "aws:CurrentTime",
            "2026-11-24T00:00:00Z",
            "2026-11-23T23:59:59Z",
            true,
        ),
        (
            "DateGreaterThan",
            "aws:CurrentTime",
            "1700000000",
            "2026-11-23T23:59:59Z",
            true,
        ),
        (
            "DateLessThan",
            "aws:CurrentTime",
            "2020-01-01",
            "2026-11-23T23:59:59Z",
            false,
        ),
        ("Bool", "aws:SecureTransport", "true", "true", true),
        ("Bool", "aws:SecureTransport", "True", "false", false),
        (
            "StringEqualsIgnoreCase",
            "aws:username",
            "ALICE",
            "alice",
            true,
        ),
        ("StringEquals", "aws:username", "ALICE", "alice", false),
        ("StringEquals", "aws:username", "a*", "ab", false),
        ("StringLike", "aws:username", "a*", "ab", true),
        (
            "ArnLike",
            "aws:PrincipalArn",
            "arn:aws:iam::*:user/a*",
            "arn:aws:iam::123456789012:user/alice",
            true,
        ),
        (
            "ArnLike",
            "aws:PrincipalArn",
            "arn:*:*:*:*:user/b*",
            "arn:aws:iam::123456789012:user/alice",
            false,
        ),
        (
            "ArnNotEquals",
            "aws:PrincipalArn",
            "arn:aws:iam::1:user/b",
            "arn:aws:iam::1:user/a",
            true,
        ),
    ] {
        let found: &'static str = Box::leak(found.to_owned().into_boxed_str());
        assert_eq!(
            holds(operator, key, &[value], Some(&[found])),
            expected,
            "{operator} {value} {found}"
        );
    }
    for (operator, key, value) in [
        ("IpAddress", "aws:SourceIp", "192.0.2.0/33"),
        ("IpAddress", "aws:SourceIp", "junk"),
        ("NumericEquals", "s3:max-keys", "x"),
        ("DateEquals", "aws:CurrentTime", "yesterday"),
        ("Bool", "aws:SecureTransport", "maybe"),
        ("StringSimilar", "aws:username", "a"),
        ("ForSomeValues:StringEquals", "aws:username", "a"),
        ("StringEquals", "aws:nonsense", "a"),
        ("ArnLike", "aws:PrincipalArn", "arn:*"),
        ("NullIfExists", "aws:username", "true"),
        ("StringEquals", "s3:ExistingObjectTag/", "a"),
        ("StringEquals", "s3:ExistingObjectTag", "a"),
        ("stringequals", "aws:username", "a"),
    ] {
        let parsed = Operator::parse(operator)
            .and_then(|operator| Condition::parse(operator, key, &[value.into()], true));
        assert!(parsed.is_err(), "{operator} {key} {value}");
    }
}
