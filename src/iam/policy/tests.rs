#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::context::{Context, Values};
use super::super::evaluate::{Decision, Policies, Request, evaluate};
use super::super::key::Key;
use super::super::principal::Principal;
use super::*;

struct Nothing;

impl Context for Nothing {
    fn values(&self, _key: &Key) -> Values<'_> {
        Values::Absent
    }
}

fn policy(kind: PolicyKind, statements: &str) -> Policy {
    let json = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
    Policy::parse(kind, "p", json.as_bytes()).unwrap()
}

fn alice() -> Principal {
    Principal::User {
        account: "123456789012".into(),
        arn: "arn:aws:iam::123456789012:user/alice".into(),
    }
}

fn decide(
    identity: &[&str],
    bucket: &str,
    principal: &Principal,
    action: &str,
    resource: &str,
) -> &'static str {
    let identity: Vec<_> = identity
        .iter()
        .map(|s| Arc::new(policy(PolicyKind::Identity, s)))
        .collect();
    let bucket = (!bucket.is_empty()).then(|| policy(PolicyKind::Resource, bucket));
    let policies = Policies {
        identity: &identity,
        resource: bucket.as_ref(),
        ..Policies::default()
    };
    match evaluate(
        &policies,
        &Request {
            principal,
            action,
            resource,
            context: &Nothing,
        },
    ) {
        Decision::Allow(_) => "allow",
        Decision::ExplicitDeny(_) => "deny",
        Decision::ImplicitDeny(_) => "implicit",
    }
}

const ALLOW_ALL: &str = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
const ALLOW_GET: &str =
    r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
const DENY_GET: &str = r#"{"Effect":"Deny","Action":"S3:get*","Resource":"*"}"#;
const EVERYONE: &str =
    r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
const ACCOUNT: &str = r#"{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
const NAMED: &str = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
const DENY_ALL: &str = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}"#;
const DENY_OTHERS: &str = r#"{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/alice"},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}"#;

#[test]
fn t32_t33_t34_decision_table() {
    let root = Principal::Root {
        account: "123456789012".into(),
    };
    let bob = Principal::User {
        account: "123456789012".into(),
        arn: "arn:aws:iam::123456789012:user/bob".into(),
    };
    let (get, put, key) = ("s3:GetObject", "s3:PutObject", "arn:aws:s3:::b/k");
    for (identity, bucket, principal, action, resource, expected) in [
        (&[][..], "", &alice(), get, key, "implicit"),
        (&[ALLOW_GET], "", &alice(), get, key, "allow"),
        (&[ALLOW_GET], "", &alice(), put, key, "implicit"),
        (
            &[ALLOW_GET],
            "",
            &alice(),
            get,
            "arn:aws:s3:::b",
            "implicit",
        ),
        (
            &[ALLOW_GET],
            "",
            &alice(),
            get,
            "arn:aws:s3:::b-evil/k",
            "implicit",
        ),
        (&[ALLOW_ALL, DENY_GET], "", &alice(), get, key, "deny"),
        (&[DENY_GET, ALLOW_ALL], "", &alice(), get, key, "deny"),
        (&[ALLOW_ALL], DENY_ALL, &alice(), get, key, "deny"),
        (&[], EVERYONE, &alice(), get, key, "allow"),
        (&[], EVERYONE, &Principal::Anonymous, get, key, "allow"),
        (&[], EVERYONE, &Principal::Anonymous, put, key, "implicit"),
        (&[], NAMED, &Principal::Anonymous, get, key, "implicit"),
        (&[], NAMED, &alice(), get, key, "allow"),
        (&[], NAMED, &bob, get, key, "implicit"),
        (&[], ACCOUNT, &alice(), get, key, "implicit"),
        (&[ALLOW_GET], ACCOUNT, &alice(), get, key, "allow"),
        (&[], "", &root, get, key, "allow"),
        (&[], DENY_ALL, &root, get, key, "deny"),
        (&[ALLOW_ALL], DENY_OTHERS, &alice(), get, key, "allow"),
        (&[ALLOW_ALL], DENY_OTHERS, &bob, get, key, "deny"),
        (&[], DENY_OTHERS, &Principal::Anonymous, get, key, "deny"),
        (
            &[r#"{"Effect":"Allow","NotAction":"s3:Delete*","Resource":"*"}"#],
            "",
            &alice(),
            get,
            key,
            "allow",
        ),
        (
            &[r#"{"Effect":"Allow","NotAction":"s3:get*","Resource":"*"}"#],
            "",
            &alice(),
            get,
            key,
            "implicit",
        ),
        (
            &[r#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::b/*"}"#],
            "",
            &alice(),
            get,
            key,
            "implicit",
        ),
        (
            &[
                r#"{"Effect":"Allow","Action":"s3:?etObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}"#,
            ],
            "",
            &alice(),
            get,
            "arn:aws:s3:::b//x",
            "implicit",
        ),
        (
            &[r#"{"Effect":"Allow","Action":"admin:*","Resource":"*"}"#],
            "",
            &alice(),
            get,
            key,
            "implicit",
        ),
    ] {
        assert_eq!(
            decide(identity, bucket, principal, action, resource),
            expected,
            "{identity:?} {bucket} {principal:?} {action}"
        );
    }
}

#[test]
fn t42_what_is_not_a_policy_is_refused() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::{}"}}}}"#,
        "b".repeat(7000)
    );
    for (json, names) in [
        ("", "JSON"),
        ("[]", "object"),
        ("{}", "Statement"),
        (r#"{"Statement":[]}"#, "Statement"),
        (r#"{"Statement":[{}]} x"#, "JSON"),
        (r#"{"Version":"2012-10-18","Statement":[]}"#, "Version"),
        (
            r#"{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}"#,
            "twice",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#,
            "twice",
        ),
        (
            r#"{"Statement":[{"Effect":"allow","Action":"s3:*","Resource":"*"}]}"#,
            "Effect",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#,
            "Action",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"}]}"#,
            "Action",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":[],"Resource":"*"}]}"#,
            "Action",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3","Resource":"*"}]}"#,
            "Action",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:Get Object","Resource":"*"}]}"#,
            "Action",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*"}]}"#,
            "Resource",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}]}"#,
            "Resource",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}]}"#,
            "Principal",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Extra":1}]}"#,
            "Extra",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:nope":"a"}}}]}"#,
            "aws:nope",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"1.2.3.4/40"}}}]}"#,
            "1.2.3.4/40",
        ),
        (
            r#"{"Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"A","Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#,
            "Sid",
        ),
        (deep.as_str(), "longer"),
        (long.as_str(), "longer"),
    ] {
        let error = Policy::parse(PolicyKind::Identity, "p", json.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(names), "{error} does not name {names}");
    }
    let nested = format!("{}1{}", "[".repeat(2000), "]".repeat(2000));
    let error = Policy::parse(PolicyKind::Identity, "p", nested.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("JSON"), "{error}");
    for principal in [
        r#""alice""#,
        r#"{"AWS":"alice"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:user/*"}"#,
        r#"{"Other":"*"}"#,
        "{}",
        r#"{"AWS":[]}"#,
    ] {
        let json = format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}]}}"#
        );
        assert!(
            Policy::parse(PolicyKind::Resource, "p", json.as_bytes()).is_err(),
            "{principal}"
        );
    }
}
