//! What limits, and what is told of a refusal.

use super::*;
use crate::iam::By;

fn by(policy: &str, statement: usize) -> By {
    By {
        policy: policy.into(),
        statement,
        sid: None,
    }
}

#[test]
fn t32_a_boundary_and_a_service_account_limit() {
    let all = allow("s3:*", "*");
    let reads = policy(
        PolicyKind::Identity,
        "reads",
        &allow("s3:GetObject", "bucket/*"),
    );
    let mut stage = Stage::new(&all);
    assert_eq!(
        stage.permit(&PUT, "/bucket/k", &[]).by(),
        Some(&by("own", 1))
    );
    stage.user.boundary = Some(reads.clone());
    stage.permit(&GET, "/bucket/k", &[]);
    let denied = stage.denied(&PUT, "/bucket/k", &[]);
    assert!(
        denied
            .error
            .reason()
            .unwrap()
            .starts_with("the permission boundary does not allow it: s3:PutObject")
    );
    stage.user.boundary = None;
    stage.limit = Some(reads);
    stage.permit(&GET, "/bucket/k", &[]);
    let denied = stage.denied(&PUT, "/bucket/k", &[]);
    assert!(
        denied
            .error
            .reason()
            .unwrap()
            .starts_with("the service account's policy does not allow it")
    );
    assert_eq!(denied.closest, [by("reads", 1)]);
    // A group's policies grant as the user's own do.
    stage.limit = None;
    stage.user.group_policies = std::mem::take(&mut stage.user.policies);
    stage.permit(&PUT, "/bucket/k", &[]);
}

#[test]
fn root_is_bound_by_its_own_limits_alone() {
    let mut stage = Stage::new(&allow("s3:None", "*"));
    let (request, caller) = stage.signed_by(Owner::Root, &PUT, "/bucket/k", &[]);
    let permit = stage
        .authorizer
        .authorize(request, caller, &stage.policies, stage.now);
    assert_eq!(permit.unwrap_or_else(|why| panic!("{why:?}")).by(), None);
    stage.limit = Some(policy(
        PolicyKind::Identity,
        "reads",
        &allow("s3:GetObject", "bucket/*"),
    ));
    let (request, caller) = stage.signed_by(Owner::Root, &PUT, "/bucket/k", &[]);
    assert!(
        stage
            .authorizer
            .authorize(request, caller, &stage.policies, stage.now)
            .is_err()
    );
}

#[test]
fn denials_say_what_decided() {
    let statements = [
        r#"{"Sid":"Near","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"aws:username":"bob"}}}"#,
        r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}"#,
        r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::elsewhere/*"}"#,
        r#"{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}"#,
    ];
    let mut stage = Stage::new(&statements.join(","));
    let denied = stage.denied(&GET, "/bucket/k", &[]);
    assert_eq!(denied.by, None);
    let near = By {
        sid: Some("Near".into()),
        ..by("own", 1)
    };
    assert_eq!(denied.closest, [near, by("own", 2)]);
    let reason = denied.error.reason().unwrap();
    for word in [
        "no policy",
        "s3:GetObject on arn:aws:s3:::bucket/k",
        "statement 1 (`Near`) of own",
        r#"["bob"]"#,
        r#"["alice"]"#,
    ] {
        assert!(reason.contains(word), "{reason}");
    }
    let denied = stage.denied(&DELETE, "/bucket/k", &[]);
    assert_eq!(
        (denied.by.clone(), denied.closest.len()),
        (Some(by("own", 4)), 0)
    );
    assert_eq!(
        denied.error.reason(),
        Some("statement 4 of own denies s3:DeleteObject on arn:aws:s3:::bucket/k")
    );
    // Clients are told so much and no more.
    assert_eq!(
        denied.error.message(),
        Error::new(ErrorCode::AccessDenied).message()
    );
    stage.authorizer = stage.authorizer.explaining(true);
    let told = stage.denied(&DELETE, "/bucket/k", &[]).error;
    assert_eq!(
        told.message(),
        r#"User: arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:DeleteObject on resource: "arn:aws:s3:::bucket/k" with an explicit deny in statement 4 of own"#
    );
    let told = stage.denied(&GET, "/bucket/k", &[]).error;
    assert!(
        told.message()
            .ends_with("because no policy of the identity or the resource allows it")
    );
    assert_eq!(told.code(), ErrorCode::AccessDenied);
}

#[test]
fn what_cannot_be_known_is_refused_as_it_was_asked() {
    let statement = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Null":{"s3:ExistingObjectTag/a":"false"}}}"#;
    let stage = Stage::new(statement);
    let undecided = stage.undecided(&GET, "/bucket/k", &[]);
    assert_eq!(undecided.request().call.operation(), Operation::GetObject);
    assert!(undecided.caller().proof().is_some());
    let denied = undecided.refuse(Error::new(ErrorCode::ServiceUnavailable));
    assert_eq!(denied.error.code(), ErrorCode::ServiceUnavailable);
    assert_eq!((denied.by.clone(), denied.closest.len()), (None, 0));
    let permit = Stage::new(&allow("s3:*", "*")).permit(&GET, "/bucket/k", &[]);
    assert_eq!(permit.operation(), Operation::GetObject);
    assert!(permit.caller().proof().is_some() && permit.facts().read().is_none());
}

#[test]
fn t44_root_mends_a_policy_that_cannot_be_read() {
    let mut stage = Stage::new(&allow("s3:*", "*"));
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("bucket-policies");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("bucket.json"), "{").unwrap();
    stage.policies = BucketPolicies::open(state.path()).unwrap();
    for (method, target, root_may) in [
        (PUT, "/bucket?policy", true),
        (GET, "/bucket?policy", true),
        (DELETE, "/bucket?policy", true),
        (GET, "/bucket/k", false),
        (GET, "/bucket?policyStatus", false),
    ] {
        let (request, caller) = stage.signed_by(Owner::Root, &method, target, &[]);
        let decided = stage
            .authorizer
            .authorize(request, caller, &stage.policies, stage.now);
        assert_eq!(decided.is_ok(), root_may, "{target}");
        stage.denied(&method, target, &[]);
    }
}
