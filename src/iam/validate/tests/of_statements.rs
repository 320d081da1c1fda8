//! Actions, resources, principals and grants.

use super::*;

#[test]
#[rustfmt::skip]
fn actions() {
    table(IDENTITY, &[
        (r#""Effect":"Allow","Action":["s3:GetObject","S3:PUTOBJECT"],"Resource":"*""#, &[]),
        (r#""Effect":"Allow","Action":"*","Resource":"*""#, &["PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE Resource"]),
        (r#""Effect":"Allow","Action":["s3:GetObjekt","s3:PutObject"],"Resource":"*""#, &["INVALID_ACTION Action[1]"]),
        (r#""Effect":"Allow","Action":"s3:Fetch*","Resource":"*""#, &["INVALID_ACTION Action"]),
        (r#""Effect":"Deny","NotAction":"s3:GetObjekt","Resource":"*""#, &["INVALID_ACTION NotAction"]),
        (r#""Effect":"Allow","Action":"ec2:*","Resource":"*""#, &["SERVICE_NOT_ANSWERED Action"]),
        (r#""Effect":"Deny","NotAction":["s3:*","ec2:*"],"Resource":"*""#, &["SERVICE_NOT_ANSWERED NotAction[2]"]),
        (r#""Effect":"Allow","Action":["s3:Get*","s3:GetObject"],"Resource":"*""#, &["REDUNDANT_ACTION Action[2]"]),
        (r#""Effect":"Allow","Action":["s3:GetObject","s3:getobject"],"Resource":"*""#, &["REDUNDANT_ACTION Action[2]"]),
        (r#""Effect":"Allow","Action":["s3:GetObject","s3:GetObject*"],"Resource":"*""#, &["REDUNDANT_ACTION Action[1]"]),
    ]);
}

#[test]
fn nearest_names_are_told() {
    let json = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObjekt","Resource":"*"}}"#;
    let findings = of(IDENTITY, json);
    let finding = findings.first().unwrap();
    assert_eq!(finding.fix, "did you mean `s3:GetObject`?");
    assert_eq!(finding.severity, Severity::Error);
}

#[test]
#[rustfmt::skip]
fn resources_and_actions_go_together() {
    table(IDENTITY, &[
        (r#""Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]"#, &[]),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, &[]),
        (r#""Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"arn:aws:s3:::bucket*""#, &[]),
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket""#, &["ACTION_WITHOUT_RESOURCE Action"]),
        (r#""Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"arn:aws:s3:::bucket/*""#, &["ACTION_WITHOUT_RESOURCE Action[2]"]),
        (r#""Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket/${aws:PrincipalTag/team}""#, &["ACTION_WITHOUT_RESOURCE Action"]),
        (r#""Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::${aws:PrincipalTag/team}""#, &[]),
        (r#""Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*""#, &[]),
        (r#""Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"arn:aws:s3:::*""#, &[]),
        (r#""Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"arn:aws:s3:::bucket""#, &["ACTION_WITHOUT_RESOURCE Action"]),
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]"#, &["RESOURCE_WITHOUT_ACTION Resource[1]"]),
        (r#""Effect":"Deny","NotAction":"s3:*","Resource":"arn:aws:s3:::bucket/*""#, &[]),
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:sqs:eu-west-1:123456789012:q","arn:aws:s3:::bucket/*"]"#, &["RESOURCE_WITHOUT_ACTION Resource[1]"]),
        (r#""Effect":"Allow","Action":["s3:GetObject","sqs:*"],"Resource":["arn:aws:sqs:eu-west-1:123456789012:q","arn:aws:s3:::bucket/*"]"#, &["SERVICE_NOT_ANSWERED Action[2]"]),
        (r#""Effect":"Allow","Action":"iam:GetUser","Resource":"arn:aws:iam::123456789012:user/${aws:username}""#, &[]),
        (r#""Effect":"Allow","Action":"iam:GetUser","Resource":"arn:aws:iam::210987654321:*""#, &[]),
        (r#""Effect":"Allow","Action":"iam:GetUser","Resource":"arn:aws:iam::123456789012:role/r""#, &["ACTION_WITHOUT_RESOURCE Action"]),
        (r#""Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::123456789012:role/r""#, &[]),
        (r#""Effect":"Allow","Action":"kms:Decrypt","Resource":"arn:aws:kms:eu-west-1:123456789012:key/k""#, &[]),
        (r#""Effect":"Allow","Action":"admin:ServerInfo","Resource":"arn:aws:s3:::*""#, &[]),
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3""#, &["MISSING_ARN_FIELD Resource"]),
        (r#""Effect":"Deny","Action":"s3:GetObject","NotResource":"arn:aws:s3:::bucket""#, &[]),
    ]);
}

#[test]
#[rustfmt::skip]
fn resources_that_nothing_is() {
    let with = |resource: &str| found(IDENTITY, &format!(r#""Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::*","{resource}"]"#));
    for (resource, expected) in [
        ("arn:aws:s3:eu-west-1::bucket/*", Some("ARN_REGION_NOT_ALLOWED")),
        ("arn:aws:s3::123456789012:bucket/*", Some("ARN_ACCOUNT_NOT_ALLOWED")),
        ("arn:aws:s3:*:*:bucket/*", None),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/ap/object/*", Some("RESOURCE_NEVER_MATCHES")),
        ("arn:aws:s3:::/key", Some("RESOURCE_NEVER_MATCHES")),
        ("arn:aws:s3:::Bucket/*", Some("RESOURCE_NEVER_MATCHES")),
        ("arn:aws:s3:::my_bucket*", Some("RESOURCE_NEVER_MATCHES")),
        ("arn:aws:s3:::bu/*", Some("RESOURCE_NEVER_MATCHES")),
        ("arn:aws:s3:::b*/Key_", None),
        ("arn:aws:s3:::-b*", Some("RESOURCE_NEVER_MATCHES")),
        ("arn:aws:s3:::${aws:PrincipalTag/Team}/*", None),
        ("arn:aws:s3:::data-??/*", None),
    ] {
        let found = with(resource);
        let found = found.iter().find(|code| !code.starts_with("REDUNDANT"));
        let code = found.map(|found| found.split(' ').next().unwrap());
        assert_eq!(code, expected, "{resource}");
    }
    table(IDENTITY, &[
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::bucket/*","arn:aws:s3:::bucket/a"]"#, &["REDUNDANT_RESOURCE Resource[2]"]),
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::bucket/a","arn:aws:s3:::bucket/a"]"#, &["REDUNDANT_RESOURCE Resource[2]"]),
        (r#""Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::bucket/a","arn:aws:s3:::bucket/b"]"#, &[]),
    ]);
}

#[test]
#[rustfmt::skip]
fn principals() {
    table(RESOURCE, &[
        (r#""Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &[]),
        (r#""Effect":"Allow","Principal":{"AWS":"123456789012","Service":["a.amazonaws.com","b.amazonaws.com"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#,
            &["PRINCIPAL_NEVER_ASKS Principal.Service[1]", "PRINCIPAL_NEVER_ASKS Principal.Service[2]"]),
        (r#""Effect":"Deny","Principal":{"Federated":"arn:aws:iam::123456789012:saml-provider/p"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &["PRINCIPAL_NEVER_ASKS Principal.Federated"]),
        // Its condition goes with its principal.
        (r#""Effect":"Allow","Principal":{"Service":"a.amazonaws.com"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}"#,
            &["PRINCIPAL_NEVER_ASKS Principal.Service"]),
        (r#""Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/a"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &["DENY_WITH_NOT_PRINCIPAL NotPrincipal"]),
        (r#""Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::123456789012:user/a","123456789012"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &[]),
        (r#""Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::123456789012:user/a","arn:aws:iam::210987654321:root"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &["DENY_WITH_NOT_PRINCIPAL NotPrincipal"]),
        (r#""Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:sts::123456789012:assumed-role/r/s","123456789012"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &["DENY_WITH_NOT_PRINCIPAL NotPrincipal"]),
        (r#""Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:sts::123456789012:assumed-role/r/s","arn:aws:iam::123456789012:role/path/r","123456789012"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &[]),
    ]);
}

#[test]
#[rustfmt::skip]
fn grants() {
    table(RESOURCE, &[
        (r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &["PUBLIC_GRANT Principal"]),
        (r#""Effect":"Allow","Principal":{"AWS":["*"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &["PUBLIC_GRANT Principal"]),
        (r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, &[]),
        (r#""Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &[]),
        (r#""Effect":"Allow","NotPrincipal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, &["ALLOW_WITH_NOT_PRINCIPAL NotPrincipal"]),
    ]);
    table(IDENTITY, &[
        (r#""Effect":"Allow","NotAction":"iam:*","Resource":"*""#, &["ALLOW_WITH_NOT_ACTION NotAction"]),
        (r#""Effect":"Deny","NotAction":"s3:*","Resource":"*""#, &[]),
        (r#""Effect":"Allow","Action":"s3:GetObject","NotResource":"arn:aws:s3:::bucket/*""#, &["ALLOW_WITH_NOT_RESOURCE NotResource"]),
        (r#""Effect":"Deny","Action":"s3:GetObject","NotResource":"arn:aws:s3:::bucket/*""#, &[]),
        (r#""Effect":"Allow","Action":"iam:PassRole","Resource":"*""#, &["PASS_ROLE_WITH_STAR_IN_RESOURCE Resource"]),
        (r#""Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::123456789012:role/r""#, &[]),
        (r#""Effect":"Deny","Action":"iam:PassRole","Resource":"*""#, &[]),
        (r#""Effect":"Allow","Action":"iam:*","Resource":["*"]"#, &["PASS_ROLE_WITH_STAR_IN_RESOURCE Resource[1]"]),
        (r#""Effect":"Allow","Action":"sts:AssumeRole","Resource":"*""#, &["ASSUME_ROLE_WITH_STAR_IN_RESOURCE Resource"]),
        (r#""Effect":"Allow","Action":"sts:GetCallerIdentity","Resource":"*""#, &[]),
        (r#""Effect":"Allow","Action":"iam:PassRole","NotResource":"arn:aws:iam::123456789012:role/r""#, &["ALLOW_WITH_NOT_RESOURCE NotResource", "PASS_ROLE_WITH_NOT_RESOURCE NotResource"]),
        (r#""Effect":"Allow","Action":"sts:AssumeRole","NotResource":"arn:aws:iam::123456789012:role/r""#, &["ALLOW_WITH_NOT_RESOURCE NotResource", "ASSUME_ROLE_WITH_NOT_RESOURCE NotResource"]),
    ]);
    let role = "arn:aws:iam::123456789012:role/r";
    table(IDENTITY, &[
        (r#""Effect":"Allow","NotAction":"s3:*","Resource":"*""#, &["ALLOW_WITH_NOT_ACTION NotAction", "PASS_ROLE_WITH_NOT_ACTION_AND_STAR_IN_RESOURCE Resource"]),
        (&format!(r#""Effect":"Allow","NotAction":"s3:*","NotResource":"{role}""#),
            &["ALLOW_WITH_NOT_ACTION NotAction", "ALLOW_WITH_NOT_RESOURCE NotResource", "PASS_ROLE_WITH_NOT_ACTION_AND_NOT_RESOURCE NotResource"]),
        (&format!(r#""Effect":"Allow","NotAction":"s3:*","Resource":"{role}""#), &["ALLOW_WITH_NOT_ACTION NotAction"]),
        (&format!(r#""Effect":"Allow","Action":"iam:Pass*","NotResource":"{role}""#),
            &["ALLOW_WITH_NOT_RESOURCE NotResource", "PASS_ROLE_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE NotResource"]),
    ]);
    // A bucket's policy is of what is asked on buckets and objects.
    for (action, refused) in [("s3:*", false), ("*", false), ("s3:GetObject", false), ("iam:GetUser", true), ("s3:ListAllMyBuckets", true)] {
        let found = found(RESOURCE, &format!(r#""Effect":"Deny","Principal":"*","Action":"{action}","Resource":"*""#));
        let told = found.iter().any(|code| code == "UNSUPPORTED_ACTION_IN_POLICY Action");
        assert_eq!(told, refused, "{action} {found:?}");
    }
    for (canonical, refused) in [("abc".to_owned(), true), ("0f".repeat(32), false), ("0g".repeat(32), true)] {
        let statement = format!(r#""Effect":"Deny","Principal":{{"CanonicalUser":"{canonical}"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#);
        let told = found(RESOURCE, &statement).iter().any(|code| code == "INVALID_PRINCIPAL_FORMAT Principal.CanonicalUser");
        assert_eq!(told, refused, "{canonical}");
    }
    // What its condition limits, and what the keys of that condition are, are two questions.
    let limited = r#""Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}"#;
    assert!(!found(IDENTITY, limited).iter().any(|code| code.starts_with("PASS_ROLE")));
}

#[test]
#[rustfmt::skip]
fn parts_of_arns() {
    let get = |action: &str, resource: &str| found(IDENTITY, &format!(r#""Effect":"Deny","Action":"{action}","Resource":"{resource}""#));
    for (action, resource, expected) in [
        ("iam:GetUser", "arn:aws:iam:us-east-1:123456789012:user/a", Some("ARN_REGION_NOT_ALLOWED")),
        ("iam:GetUser", "arn:aws:iam::12345678901:user/a", Some("INVALID_ARN_ACCOUNT")),
        ("iam:GetUser", "arn:aws:iam::*:user/a", None),
        ("iam:GetUser", "arn:aws:iam::${aws:PrincipalAccount}:user/a", None),
        ("kms:Decrypt", "arn:aws:kms::123456789012:key/k", Some("MISSING_ARN_REGION")),
        ("kms:Decrypt", "arn:aws:kms:useast1:123456789012:key/k", Some("INVALID_ARN_REGION")),
        ("kms:Decrypt", "arn:aws:kms:us-esat-1:123456789012:key/k", Some("INVALID_ARN_REGION")),
        ("kms:Decrypt", "arn:aws:kms:us-gov-west-1:123456789012:key/k", None),
        ("s3:GetObject", "arn:aws:S3:::bucket/*", Some("INVALID_ARN_SERVICE_CASE")),
        ("s3:GetObject", "arn:aws:s3:::bucket/*", None),
    ] {
        let found = get(action, resource);
        let code = found.iter().map(|one| one.split(' ').next().unwrap()).find(|code| code.contains("ARN"));
        assert_eq!(code, expected, "{resource}");
    }
}

#[test]
#[rustfmt::skip]
fn what_the_parser_lets_pass() {
    let put = r#""Effect":"Deny","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*""#;
    let on = |condition: &str| format!(r#"{put},"Condition":{condition}"#);
    table(IDENTITY, &[
        (&format!(r#""Sid":"",{put}"#), &["EMPTY_SID_VALUE Sid"]),
        (&on(r#"{"StringEquals":{"aws:username":"a","AWS:UserName":"b"}}"#), &["DUPLICATE_KEYS_WITH_DIFFERENT_CASE Condition.StringEquals.AWS:UserName"]),
        (&on(r#"{"StringEquals":{"aws:username":"a"},"StringLike":{"AWS:UserName":"b"}}"#), &[]),
        (&on(r#"{"NumericEquals":{"s3:signatureAge":["1",2]}}"#), &["INVALID_CONDITION_DATA_TYPE Condition.NumericEquals.s3:signatureAge"]),
        (&on(r#"{"NumericEquals":{"s3:signatureAge":[1,2]}}"#), &[]),
        (&on(r#"{"StringEquals":{"aws:UserAgent":"${ aws:username }"}}"#), &["UNSUPPORTED_SPACE_IN_VARIABLE Condition.StringEquals.aws:UserAgent"]),
        (&on(r#"{"StringEquals":{"aws:UserAgent":"${aws:username, 'x y'}"}}"#), &[]),
        (&on(r#"{"NumericLessThan":{"s3:signatureAge":["5","10"]}}"#), &["REDUNDANT_CONDITION_VALUE_NUM Condition.NumericLessThan.s3:signatureAge"]),
        (&on(r#"{"NumericEquals":{"s3:signatureAge":["5","10"]}}"#), &[]),
        (&on(r#"{"StringLike":{"aws:UserAgent":["a*","ab*"]}}"#), &["REDUNDANT_CONDITION_VALUE Condition.StringLike.aws:UserAgent[2]"]),
        (&on(r#"{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","198.51.100.7/24"]}}"#), &["IMPROVE_IP_RANGE Condition.IpAddress.aws:SourceIp[2]"]),
        (&on(r#"{"StringEquals":{"aws:RequestedRegion":["us-east-1","useast1"]}}"#), &["INVALID_REGION Condition.StringEquals.aws:RequestedRegion[2]"]),
        (&on(r#"{"StringLike":{"aws:RequestedRegion":"us-*"}}"#), &[]),
        (&on(r#"{"DateEquals":{"aws:TokenIssueTime":"20260701"}}"#), &["KEY_NEVER_SUPPLIED Condition.DateEquals.aws:TokenIssueTime", "INVALID_DATE_VALUE Condition.DateEquals.aws:TokenIssueTime"]),
        (r#""Effect":"Allow","Action":["s3:ListBucket","s3:GetObject"],"Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],"Condition":{"StringLike":{"s3:prefix":"a/*"}}"#,
            &["UNSUPPORTED_ACTION_FOR_CONDITION_KEY Action[2]"]),
    ]);
    table(RESOURCE, &[
        (r#""Effect":"Deny","Principal":{"AWS":"arn:aws:iam::123456789012:user/${aws:username}"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#,
            &["VARIABLE_UNSUPPORTED_IN_ELEMENT Principal.AWS"]),
    ]);
}
