//! Keys, operators, qualifiers and values.

use super::*;

#[test]
#[rustfmt::skip]
fn keys_that_actions_have() {
    conditions(&[
        ("Allow", r#"{"StringEquals":{"s3:ExistingObjectTag/team":"a"}}"#, &[]),
        ("Allow", r#"{"StringEquals":{"S3:existingobjecttag/team":"a"}}"#, &[]),
        ("Allow", r#"{"Bool":{"aws:SecureTransport":"true"},"NumericLessThan":{"s3:signatureAge":"600"}}"#, &[]),
        ("Allow", r#"{"StringLike":{"s3:prefix":"a/*"}}"#, &["UNSUPPORTED_ACTION_FOR_CONDITION_KEY StringLike.s3:prefix"]),
        ("Deny", r#"{"StringNotEquals":{"s3:prefix":"a/"}}"#, &["UNSUPPORTED_ACTION_FOR_CONDITION_KEY StringNotEquals.s3:prefix"]),
        ("Allow", r#"{"StringEquals":{"aws:RequestTag/team":"a"}}"#, &["KEY_WITHOUT_ACTION StringEquals.aws:RequestTag/team"]),
        ("Allow", r#"{"StringEquals":{"aws:SourceVpc":"vpc-0a1b2c3d"}}"#, &["KEY_NEVER_SUPPLIED StringEquals.aws:SourceVpc"]),
        ("Allow", r#"{"StringEquals":{"accounts.google.com:sub":"1"}}"#, &["KEY_NEVER_SUPPLIED StringEquals.accounts.google.com:sub"]),
        ("Allow", r#"{"StringEquals":{"aws:username":"${aws:SourceVpc}"}}"#, &["VARIABLE_NEVER_SUPPLIED StringEquals.aws:username"]),
    ]);
    table(IDENTITY, &[
        (r#""Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket","Condition":{"StringLike":{"s3:prefix":"a/*"}}"#, &[]),
        (r#""Effect":"Allow","Action":"s3:List*","Resource":"*","Condition":{"StringLike":{"s3:prefix":"a/*"}}"#, &[]),
        (r#""Effect":"Deny","NotAction":"s3:ListBucket*","Resource":"*","Condition":{"StringLike":{"s3:prefix":"a/*"}}"#, &["KEY_WITHOUT_ACTION Condition.StringLike.s3:prefix"]),
        (r#""Effect":"Deny","NotAction":"s3:Get*","Resource":"*","Condition":{"StringLike":{"s3:prefix":"a/*"}}"#, &[]),
        // Of what is not known nothing is said.
        (r#""Effect":"Allow","Action":"ec2:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"a"}}"#, &["SERVICE_NOT_ANSWERED Action"]),
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/${aws:SourceVpc}""#, &["VARIABLE_NEVER_SUPPLIED Resource"]),
    ]);
}

#[test]
fn what_becomes_of_the_statement_is_said() {
    let message = |operator: &str, value: &str, key: &str| {
        let json = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":"s3:GetObject","Resource":"*","Condition":{{"{operator}":{{"{key}":"{value}"}}}}}}}}"#
        );
        of(IDENTITY, &json).first().unwrap().message.clone()
    };
    for key in ["s3:prefix", "aws:SourceVpc"] {
        for (operator, value, so) in [
            ("StringEquals", "a", "never holds"),
            ("StringNotEquals", "a", "always holds"),
            ("StringEqualsIfExists", "a", "always holds"),
            ("ForAllValues:StringEquals", "a", "always holds"),
            ("ForAnyValue:StringNotEquals", "a", "never holds"),
            ("Null", "true", "always holds"),
            ("Null", "false", "never holds"),
        ] {
            let message = message(operator, value, key);
            assert!(message.contains(so), "{operator} {value}: {message}");
        }
    }
    let vpc = message("StringEquals", "vpc-0a1b2c3d", "aws:SourceVpc");
    assert!(vpc.contains("came through a VPC endpoint"), "{vpc}");
}

#[test]
#[rustfmt::skip]
fn operators_fit_their_keys() {
    let mismatch = |operator: &str, key: &str| format!("TYPE_MISMATCH {operator}.{key}");
    for (operator, key, value, fits) in [
        ("StringLike", "aws:UserAgent", "a*", true),
        ("NumericEquals", "aws:UserAgent", "1", false),
        ("ArnLike", "aws:UserAgent", "*", false),
        ("BinaryEquals", "aws:UserAgent", "YQ==", false),
        ("NumericLessThan", "s3:TlsVersion", "1.2", true),
        ("StringEquals", "s3:TlsVersion", "1.2", false),
        ("DateLessThan", "aws:CurrentTime", "2030-01-01T00:00:00Z", true),
        ("StringEquals", "aws:CurrentTime", "2030-01-01T00:00:00Z", false),
        ("NumericLessThan", "aws:CurrentTime", "1", false),
        ("NumericLessThan", "aws:EpochTime", "1", true),
        ("DateLessThan", "aws:EpochTime", "2030-01-01T00:00:00Z", true),
        ("Bool", "aws:SecureTransport", "true", true),
        ("StringEquals", "aws:SecureTransport", "true", false),
        ("IpAddress", "aws:SourceIp", "192.0.2.1", true),
        ("StringEquals", "aws:SourceIp", "192.0.2.1", false),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/r", true),
        ("NumericEquals", "aws:PrincipalArn", "1", false),
        ("Null", "aws:SecureTransport", "false", true),
        // A tag may be anything.
        ("NumericLessThan", "aws:PrincipalTag/level", "3", true),
        ("Bool", "aws:PrincipalTag/is-on", "true", true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#);
        let expected: Vec<_> = (!fits).then(|| mismatch(operator, key)).into_iter().collect();
        assert_eq!(on_read("Deny", &condition), expected, "{condition}");
    }
    conditions(&[
        ("Allow", r#"{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/r"}}"#, &["ARN_OPERATOR_RECOMMENDED StringEquals.aws:PrincipalArn"]),
    ]);
}

#[test]
#[rustfmt::skip]
fn qualifiers() {
    let guarded = r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]},"Null":{"s3:RequestObjectTagKeys":"false"}}"#;
    let by_tag = r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]},"StringEquals":{"s3:RequestObjectTag/a":"1"}}"#;
    let unguarded = r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]},"Null":{"s3:RequestObjectTagKeys":"true"}}"#;
    conditions(&[
        ("Allow", guarded, &[]),
        ("Allow", by_tag, &[]),
        ("Allow", unguarded, &["FORALLVALUES_WITHOUT_NULL_CHECK ForAllValues:StringEquals.s3:RequestObjectTagKeys"]),
        ("Deny", unguarded, &[]),
        ("Allow", r#"{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":"a"}}"#, &[]),
        ("Allow", r#"{"StringEquals":{"s3:RequestObjectTagKeys":"a"}}"#, &["MISSING_QUALIFIER StringEquals.s3:RequestObjectTagKeys"]),
        ("Allow", r#"{"Null":{"s3:RequestObjectTagKeys":"true"}}"#, &[]),
        ("Allow", r#"{"ForAllValues:StringEquals":{"aws:username":"a"}}"#, &["FORALLVALUES_WITH_SINGLE_VALUED_KEY ForAllValues:StringEquals.aws:username"]),
        ("Deny", r#"{"ForAllValues:StringEquals":{"aws:username":"a"}}"#, &["QUALIFIER_WITH_SINGLE_VALUED_KEY ForAllValues:StringEquals.aws:username"]),
        ("Allow", r#"{"ForAnyValue:StringEquals":{"aws:username":"a"}}"#, &["QUALIFIER_WITH_SINGLE_VALUED_KEY ForAnyValue:StringEquals.aws:username"]),
        ("Allow", r#"{"StringEquals":{"aws:username":"a"}}"#, &[]),
    ]);
}

#[test]
#[rustfmt::skip]
fn values() {
    conditions(&[
        ("Allow", r#"{"StringEquals":{"aws:username":["a","b*"]}}"#, &["WILDCARD_WITHOUT_LIKE_OPERATOR StringEquals.aws:username[2]"]),
        ("Allow", r#"{"StringNotEqualsIgnoreCase":{"aws:username":"b?"}}"#, &["WILDCARD_WITHOUT_LIKE_OPERATOR StringNotEqualsIgnoreCase.aws:username"]),
        ("Allow", r#"{"StringLike":{"aws:username":"b*"}}"#, &[]),
        ("Allow", r#"{"StringEquals":{"aws:username":"a${*}"}}"#, &[]),
        ("Allow", r#"{"StringEquals":{"aws:username":"${aws:userid, '*'}"}}"#, &[]),
        ("Allow", r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/r"}}"#, &[]),
        ("Allow", r#"{"StringEquals":{"s3:if-none-match":"*"}}"#, &[]),
        ("Allow", r#"{"Null":{"aws:username":["true","false"]}}"#, &["INVALID_CONDITION_MULTIPLE_BOOLEAN Null.aws:username"]),
        ("Allow", r#"{"Bool":{"aws:SecureTransport":[true,false]}}"#, &["INVALID_CONDITION_MULTIPLE_BOOLEAN Bool.aws:SecureTransport"]),
        ("Allow", r#"{"Bool":{"aws:SecureTransport":true},"Null":{"aws:username":"true"}}"#, &[]),
        ("Allow", r#"{"StringEquals":{"aws:username":["a","b","a"]}}"#, &["REDUNDANT_CONDITION_VALUE StringEquals.aws:username[3]"]),
    ]);
}

#[test]
#[rustfmt::skip]
fn dates() {
    let past = |operator: &str| format!("DATE_IN_THE_PAST {operator}.aws:CurrentTime");
    for (operator, values, said) in [
        ("DateLessThan", r#""2026-06-30T00:00:00Z""#, true),
        ("DateLessThan", r#""2026-07-02T00:00:00Z""#, false),
        ("DateLessThanEquals", r#"["2026-06-30T00:00:00Z","2026-07-02T00:00:00Z"]"#, false),
        ("DateGreaterThan", r#""2026-06-30T00:00:00Z""#, true),
        ("DateGreaterThanEquals", r#"["2026-06-30T00:00:00Z","2026-07-02T00:00:00Z"]"#, true),
        ("DateGreaterThan", r#""2026-07-02T00:00:00Z""#, false),
        ("DateEquals", r#""2026-06-30T00:00:00Z""#, true),
        ("DateNotEquals", r#""2026-06-30T00:00:00Z""#, true),
        ("DateNotEquals", r#""2026-07-02T00:00:00Z""#, false),
    ] {
        let condition = format!(r#"{{"{operator}":{{"aws:CurrentTime":{values}}}}}"#);
        let expected: Vec<_> = said.then(|| past(operator)).into_iter().collect();
        let mut found = on_read("Allow", &condition);
        found.retain(|code| !code.starts_with("REDUNDANT_CONDITION_VALUE_NUM"));
        assert_eq!(found, expected, "{condition}");
    }
    // A time that has begun and has not ended.
    let open = r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}"#;
    conditions(&[("Allow", open, &[])]);
    // Without a clock nothing is past.
    let json = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2000-01-01"}}}}"#;
    assert_eq!(validate(&PolicyLimits::default(), IDENTITY, json.as_bytes()), []);
}

/// What AWS names, each by its name and with its weight.
#[test]
#[rustfmt::skip]
fn names_and_weights_are_aws_s() {
    let weight = |action: &str, resource: &str, condition: &str| {
        let json = format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":"{action}","Resource":"{resource}","Condition":{condition}}}}}"#);
        let found = of(IDENTITY, &json);
        found.iter().map(|f| format!("{} {}", f.severity.as_str(), f.code)).collect::<Vec<_>>()
    };
    let objects = "arn:aws:s3:::bucket/*";
    for (action, resource, condition, expected) in [
        ("s3:PutObject", objects, r#"{"StringLike":{"aws:username":"*"}}"#, &["suggestion EQUIVALENT_TO_NULL_FALSE"][..]),
        ("s3:PutObject", objects, r#"{"StringNotLike":{"aws:username":["*"]}}"#, &["suggestion EQUIVALENT_TO_NULL_TRUE"]),
        ("s3:PutObject", objects, r#"{"StringLikeIfExists":{"aws:username":"*"}}"#, &[]),
        ("s3:PutObject", objects, r#"{"StringEquals":{"aws:RequestedRegion":"us-esat-1"}}"#, &["error INVALID_REGION"]),
        ("s3:PutObject", objects, r#"{"StringEquals":{"aws:RequestedRegion":"home"}}"#, &["warning INVALID_REGION"]),
        ("s3:CreateBucket", "arn:aws:s3:::bucket", r#"{"StringEquals":{"s3:LocationConstraint":["EU","eu-wset-1"]}}"#, &["error INVALID_REGION"]),
        ("s3:PutObject", objects, r#"{"StringEquals":{"aws:ARN":"x"}}"#, &["error UNSUPPORTED_GLOBAL_CONDITION_KEY"]),
        ("s3:PutObject", objects, r#"{"StringEquals":{"aws:userid":"${aws: username}"}}"#, &["error UNSUPPORTED_SPACE_IN_VARIABLE"]),
        ("s3:PutObject", objects, r#"{"StringEquals":{"aws:userid":"${aws:username, 'x}"}}"#, &["error MISSING_QUOTE_IN_VARIABLE"]),
        ("s3:PutObject", "arn:aws:s3:::bucket/${aws: username}/*", "{}", &["error UNSUPPORTED_SPACE_IN_VARIABLE"]),
        ("s3:PutObject", "arn:aws:s3:::bucket/${aws:username, 'x}/*", "{}", &["error MISSING_QUOTE_IN_VARIABLE"]),
        ("s3:PutObject", "arn:aws:s3:::bucket/${aws:username/*", "{}", &["error MISSING_BRACE_IN_VARIABLE"]),
        ("s3:PutObject", objects, r#"{"Bool":{"aws:SecureTransport":["true","false"]}}"#, &["error INVALID_CONDITION_MULTIPLE_BOOLEAN"]),
        ("s3:PutObject", objects, r#"{"StringEquals":{"s3:RequestObjectTagKeys":"a"}}"#, &["error MISSING_QUALIFIER"]),
        ("s3:PutObject", "arn:aws:s3::123456789012:bucket/*", "{}", &["error ARN_ACCOUNT_NOT_ALLOWED"]),
        ("s3:PutObject", "arn:aws:s3:us-east-1::bucket/*", "{}", &["error ARN_REGION_NOT_ALLOWED"]),
    ] {
        assert_eq!(weight(action, resource, condition), expected, "{resource} {condition}");
    }
}
