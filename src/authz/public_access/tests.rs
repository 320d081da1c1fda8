#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::authn::Authenticator;
use crate::authz::Unpermitted;
use crate::identity::Directory;
use crate::s3::{Addressing, Head, Peer};
use http::{HeaderMap, Method};
use time::OffsetDateTime;

const ACCOUNT: &str = "123456789012";
const RESTRICT: PublicAccessBlock = PublicAccessBlock {
    restrict_public_buckets: true,
    ..PublicAccessBlock::NONE
};
const BUT_RESTRICT: PublicAccessBlock = PublicAccessBlock {
    restrict_public_buckets: false,
    ..PublicAccessBlock::ALL
};
const PUBLIC: &str = r#"{"Statement":[
    {"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::bucket/*"},
    {"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/shut"}]}"#;
/// Not public in S3's sense, although it asks for no signature.
const NEAR: &str = r#"{"Statement":
    {"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::bucket/*",
     "Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}}"#;

fn bucket() -> BucketName {
    BucketName::parse("bucket").unwrap()
}

fn authorizer(server: PublicAccessBlock) -> Authorizer {
    Authorizer::new(ACCOUNT.into(), "us-east-1".into()).blocking(server)
}

/// A request that nobody signed: `Ok`, or whether a statement denied it, and why.
fn anonymous(
    authorizer: &Authorizer,
    policies: &BucketPolicies,
    method: Method,
    target: &str,
) -> Result<(), (bool, String)> {
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
        tls_version: Some("1.3"),
    };
    let head = Head::new(
        method,
        target,
        "localhost".to_owned(),
        HeaderMap::new(),
        peer,
    )
    .unwrap();
    let request = Request::parse(head, &Addressing::default()).unwrap();
    let now = OffsetDateTime::now_utc();
    let caller = Authenticator::new("us-east-1".into())
        .authenticate(&request, &Directory::default(), now)
        .unwrap();
    let permit = authorizer.authorize(request, caller, policies, now);
    permit.map(|_| ()).map_err(|unpermitted| {
        let Unpermitted::Denied(denied) = unpermitted else {
            panic!("{unpermitted:?}");
        };
        let reason = denied.error.reason().unwrap_or_default().to_owned();
        assert_eq!(denied.error.code(), ErrorCode::AccessDenied);
        (denied.by.is_some(), reason)
    })
}

#[tokio::test]
async fn t45_the_server_or_the_bucket_restricts() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    let (none, all) = (PublicAccessBlock::NONE, PublicAccessBlock::ALL);
    for (policy, public) in [(PUBLIC, true), (NEAR, false)] {
        policies
            .hold(&bucket())
            .await
            .unwrap()
            .put(policy.as_bytes(), none)
            .await
            .unwrap();
        for server in [none, all, RESTRICT, BUT_RESTRICT] {
            for own in [
                Some(none),
                Some(all),
                Some(RESTRICT),
                Some(BUT_RESTRICT),
                None,
            ] {
                policies
                    .hold(&bucket())
                    .await
                    .unwrap()
                    .configure_public_access(own)
                    .await
                    .unwrap();
                let own = own.unwrap_or(none);
                let restricted = server.restrict_public_buckets || own.restrict_public_buckets;
                let expected = match public && restricted {
                    true => Err((false, IS_BLOCKED.to_owned())),
                    false => Ok(()),
                };
                let authorizer = authorizer(server);
                for (method, target) in [
                    (Method::GET, "/bucket/key"),
                    (Method::DELETE, "/bucket/key"),
                    (Method::POST, "/bucket?delete"),
                ] {
                    let decided = anonymous(&authorizer, &policies, method, target);
                    assert_eq!(decided, expected, "{target} {server:?} {own:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn t45_what_is_new_or_cannot_be_read_restricts() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .put(PUBLIC.as_bytes(), PublicAccessBlock::NONE)
        .await
        .unwrap();
    let open = authorizer(PublicAccessBlock::NONE);
    let get = |policies| anonymous(&open, policies, Method::GET, "/bucket/key");
    let blocked = Err((false, IS_BLOCKED.to_owned()));
    assert_eq!(get(&policies), blocked);
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .configure_public_access(None)
        .await
        .unwrap();
    assert_eq!(get(&policies), Ok(()));
    std::fs::write(state.path().join("public-access-blocks/bucket.json"), "{").unwrap();
    assert_eq!(get(&BucketPolicies::open(state.path()).unwrap()), blocked);
    // An authorizer that was told nothing blocks everything.
    let new = Authorizer::new(ACCOUNT.into(), "us-east-1".into());
    assert_eq!(
        new.public_access_block(&policies, &bucket()),
        PublicAccessBlock::ALL
    );
    assert_eq!(
        anonymous(&new, &policies, Method::GET, "/bucket/key"),
        blocked
    );
}

#[tokio::test]
async fn t45_a_deny_is_told_as_one() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .put(PUBLIC.as_bytes(), PublicAccessBlock::NONE)
        .await
        .unwrap();
    for server in [PublicAccessBlock::ALL, PublicAccessBlock::NONE] {
        let shut = anonymous(&authorizer(server), &policies, Method::GET, "/bucket/shut");
        assert_eq!(
            shut,
            Err((
                true,
                "statement 2 of bucket:bucket denies s3:GetObject on arn:aws:s3:::bucket/shut"
                    .to_owned()
            ))
        );
    }
    // What nothing allows is no matter of public access.
    let list = anonymous(
        &authorizer(PublicAccessBlock::ALL),
        &policies,
        Method::GET,
        "/bucket",
    );
    let Err((false, why)) = list else {
        panic!("{list:?}");
    };
    assert!(
        why.ends_with("allows it: s3:ListBucket on arn:aws:s3:::bucket"),
        "{why}"
    );
}

#[tokio::test]
async fn who_is_of_the_account_is_not_of_the_public() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .put(PUBLIC.as_bytes(), PublicAccessBlock::NONE)
        .await
        .unwrap();
    let policy = policies.policy(&bucket()).unwrap().unwrap();
    let authorizer = authorizer(PublicAccessBlock::ALL);
    let user = |account: &str| Principal::User {
        account: account.into(),
        arn: format!("arn:aws:iam::{account}:user/alice").into(),
    };
    let root = Principal::Root {
        account: ACCOUNT.into(),
    };
    for (principal, blocked) in [
        (Principal::Anonymous, true),
        (user(ACCOUNT), false),
        (root, false),
        (user("999999999999"), true),
    ] {
        let is = authorizer.is_blocked(&principal, &policies, &bucket(), &policy);
        assert_eq!(is, blocked, "{principal:?}");
    }
}
