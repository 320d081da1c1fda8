//! Names that there are not, or that nothing here can have: of services, accounts, networks, keys and principals.

use super::*;

/// Each statement has that finding, of that severity, at that place.
fn has(kind: PolicyKind, cases: &[(&str, Severity, &str)]) {
    for (statement, severity, expected) in cases {
        let json = format!(r#"{{"Version":"2012-10-17","Statement":[{{{statement}}}]}}"#);
        let findings = of(kind, &json);
        let told = findings.iter().any(|finding| {
            let place = finding.path.strip_prefix("Statement[1]").unwrap_or("");
            let named = format!("{} {}", finding.code, place.trim_start_matches('.'));
            finding.severity == *severity && named.trim_end() == *expected
        });
        assert!(told, "{statement}: {findings:?}");
    }
}

#[test]
#[rustfmt::skip]
fn of_identities() {
    let error = Severity::Error;
    has(IDENTITY, &[
        (r#""Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s4:::bucket/*""#, error, "INVALID_SERVICE Resource"),
        (r#""Effect":"Deny","Action":"s4:GetObject","Resource":"*""#, error, "INVALID_SERVICE_IN_ACTION Action"),
        (r#""Effect":"Deny","Action":"stss:AssumeRole","Resource":"*""#, error, "INVALID_SERVICE_IN_ACTION Action"),
        (r#""Effect":"Deny","Action":"sqs:SendMessage","Resource":"*""#, error, "SERVICE_NOT_ANSWERED Action"),
        (r#""Effect":"Deny","Action":"iam:GetUser","Resource":"arn:aws:iam:::user/a""#, error, "MISSING_ARN_ACCOUNT Resource"),
        (r#""Effect":"Deny","Action":"iam:GetUser","Resource":"arn:aws:iam::12:user/a""#, error, "INVALID_ARN_ACCOUNT Resource"),
        (r#""Effect":"Deny","Resource":"*""#, error, "MISSING_ACTION"),
        (r#""Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::${""#, error, "MISSING_BRACE_IN_VARIABLE Resource"),
        (r#""Effect":"Deny","Action":"s3:*","Resource":"arn:aws::::bucket/*""#, error, "INVALID_ARN_RESOURCE Resource"),
    ]);
}

#[test]
#[rustfmt::skip]
fn of_resources() {
    let error = Severity::Error;
    has(RESOURCE, &[
        (r#""Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, error, "MISSING_PRINCIPAL"),
        (r#""Effect":"Deny","Principal":{"Who":"a"},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, error, "INVALID_PRINCIPAL_KEY Principal.Who"),
        (r#""Effect":"Deny","Principal":{"AWS":"arn:aws:iam::123456789012:user/*"},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, error, "UNSUPPORTED_WILDCARD_IN_PRINCIPAL Principal.AWS"),
        (r#""Effect":"Deny","Principal":{"AWS":"AIDAJQABLZS4A3QDU576Q"},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, error, "INVALID_USER_REFERENCE Principal.AWS"),
        (r#""Effect":"Deny","Principal":{"AWS":"AROAJQABLZS4A3QDU576Q"},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, error, "INVALID_ROLE_REFERENCE Principal.AWS"),
        (r#""Effect":"Deny","Principal":{"Service":"logging"},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, error, "INVALID_SERVICE_PRINCIPAL_FORMAT Principal.Service"),
        (r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:sqs:us-east-1:123456789012:q""#, error, "UNSUPPORTED_RESOURCE_ARN_IN_POLICY Resource"),
    ]);
    for service in ["logging.s3.amazonaws.com", "s3.amazonaws.com.cn", "a.aws.internal"] {
        let statement = format!(r#""Effect":"Deny","Principal":{{"Service":"{service}"}},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#);
        let codes = found(RESOURCE, &statement);
        assert!(!codes.iter().any(|code| code.starts_with("INVALID")), "{codes:?}");
    }
}

#[test]
#[rustfmt::skip]
fn in_conditions() {
    let key = "s3:x-amz-server-side-encryption-aws-kms-key-id";
    for (condition, code) in [
        (r#"{"StringEquals":{"aws:PrincipalAccount":"12"}}"#.to_owned(), Some("INVALID_ARN_ACCOUNT")),
        (r#"{"StringEquals":{"aws:PrincipalAccount":["123456789012","anonymous"]}}"#.to_owned(), None),
        (r#"{"StringLike":{"aws:PrincipalAccount":"12*"}}"#.to_owned(), None),
        (r#"{"StringEquals":{"s3:ResourceAccount":"anonymous"}}"#.to_owned(), Some("INVALID_ARN_ACCOUNT")),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::12:user/a"}}"#.to_owned(), Some("INVALID_ARN_ACCOUNT")),
        (r#"{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::12:user/a"}}"#.to_owned(), Some("INVALID_ARN_ACCOUNT")),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a"}}"#.to_owned(), None),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iaam::*:user/a"}}"#.to_owned(), Some("INVALID_SERVICE")),
        (r#"{"StringEquals":{"aws:SourceVpc":"vpc-12"}}"#.to_owned(), Some("INVALID_VPC_FORMAT")),
        (r#"{"StringEquals":{"aws:SourceVpc":"vpc-0a1b2c3d"}}"#.to_owned(), None),
        (r#"{"StringEquals":{"aws:SourceVpce":"vpc-0a1b2c3d"}}"#.to_owned(), Some("INVALID_VPCE_FORMAT")),
        (r#"{"Null":{"aws:SourceVpce":"true"}}"#.to_owned(), None),
        (format!(r#"{{"StringEquals":{{"{key}":"alias/k"}}}}"#), Some("INVALID_KMS_KEY_VALUE")),
        (format!(r#"{{"StringEquals":{{"{key}":"arn:aws:kms:us-east-1:123456789012:key/1"}}}}"#), None),
    ] {
        let told = on_read("Deny", &condition);
        let told: Vec<_> = told.iter().filter_map(|found| found.split(' ').next()).collect();
        match code {
            Some(code) => assert!(told.contains(&code), "{condition}: {told:?}"),
            None => assert!(!told.iter().any(|found| found.starts_with("INVALID")), "{condition}: {told:?}"),
        }
    }
}
