//! Which rights headers ask for, and of which object, version and side of a copy each is.

use super::rights::{needed, on};
use super::*;
use crate::s3::Call;
use requirement::requirements;

#[test]
fn t40_headers_need_actions_of_their_own() {
    let more = |method: &Method, target: &str, headers: &[(&str, &str)]| {
        let bare = needed(method, target, &[]);
        let all = needed(method, target, headers);
        assert_eq!(all.get(..bare.len()), Some(&*bare));
        all.get(bare.len()..).unwrap_or_default().to_vec()
    };
    let put_acl: &[_] = &[("PutObjectAcl", "bucket/k")];
    for (header, value, expected) in [
        ("x-amz-acl", "private", put_acl),
        ("x-amz-tagging", "a=b", &[("PutObjectTagging", "bucket/k")]),
        (
            "x-amz-tagging",
            "false",
            &[("PutObjectTagging", "bucket/k")],
        ),
        ("x-amz-tagging", "", &[("PutObjectTagging", "bucket/k")]),
    ] {
        for (method, target) in [(PUT, "/bucket/k"), (POST, "/bucket/k?uploads")] {
            assert_eq!(
                more(&method, target, &[(header, value)]),
                on(expected),
                "{header}"
            );
        }
    }
    let compares = on(&[("GetObject", "bucket/k")]);
    for (method, target) in [
        (PUT, "/bucket/k"),
        (POST, "/bucket/k?uploadId=u"),
        (DELETE, "/bucket/k"),
    ] {
        assert_eq!(
            more(&method, target, &[("if-match", "\"e\"")]),
            compares,
            "{target}"
        );
        // Any object at all is compared with nothing.
        assert_eq!(more(&method, target, &[("if-match", "*")]), [], "{target}");
    }
    assert_eq!(
        more(
            &PUT,
            "/bucket",
            &[("x-amz-object-ownership", "BucketOwnerEnforced")]
        ),
        on(&[("PutBucketOwnershipControls", "bucket")])
    );
    assert_eq!(
        more(&PUT, "/bucket", &[("x-amz-acl", "private")]),
        on(&[("PutBucketAcl", "bucket")])
    );
    assert_eq!(
        more(
            &PUT,
            "/bucket",
            &[("x-amz-bucket-object-lock-enabled", "false")]
        ),
        []
    );
    assert_eq!(more(&GET, "/bucket/k", &[("x-amz-acl", "private")]), []);
}

/// Headers that are refused by name before anybody is asked: what they need once they are not.
#[test]
fn t40_headers_that_are_not_answered_need_their_actions_too() {
    let call = |operation: &str| {
        let stage = Stage::new(&allow("s3:*", "*"));
        let (method, target) = match operation {
            "put" => (PUT, "/bucket/k"),
            "create" => (PUT, "/bucket"),
            _ => (DELETE, "/bucket/k"),
        };
        stage.signed(&method, target, &[]).0.call
    };
    let needed = |operation: &str, header: &str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_bytes(header.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
        let (call, head) = (call(operation), head(&PUT, "/bucket/k", headers));
        let all = requirements(&call, &head);
        let told = |r: &requirement::Requirement<'_>| {
            format!("{} {}", r.action, r.resource(ACCOUNT, REGION))
        };
        all.iter().skip(1).map(told).collect::<Vec<_>>()
    };
    let object = "arn:aws:s3:::bucket/k";
    for (operation, header, value, expected) in [
        (
            "put",
            "x-amz-object-lock-mode",
            "GOVERNANCE",
            vec![format!("s3:PutObjectRetention {object}")],
        ),
        (
            "put",
            "x-amz-object-lock-retain-until-date",
            "2027-01-01T00:00:00Z",
            vec![format!("s3:PutObjectRetention {object}")],
        ),
        (
            "put",
            "x-amz-object-lock-legal-hold",
            "ON",
            vec![format!("s3:PutObjectLegalHold {object}")],
        ),
        (
            "put",
            "x-amz-grant-read",
            "id=x",
            vec![format!("s3:PutObjectAcl {object}")],
        ),
        (
            "put",
            "x-amz-grant-full-control",
            "id=x",
            vec![format!("s3:PutObjectAcl {object}")],
        ),
        (
            "delete",
            "x-amz-bypass-governance-retention",
            "true",
            vec![format!("s3:BypassGovernanceRetention {object}")],
        ),
        (
            "delete",
            "x-amz-bypass-governance-retention",
            "false",
            vec![],
        ),
        (
            "create",
            "x-amz-bucket-object-lock-enabled",
            "true",
            vec![
                "s3:PutBucketObjectLockConfiguration arn:aws:s3:::bucket".to_owned(),
                "s3:PutBucketVersioning arn:aws:s3:::bucket".to_owned(),
            ],
        ),
        (
            "put",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "1234",
            vec!["kms:GenerateDataKey arn:aws:kms:us-east-1:123456789012:key/1234".to_owned()],
        ),
        (
            "put",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "alias/x",
            vec!["kms:GenerateDataKey arn:aws:kms:us-east-1:123456789012:alias/x".to_owned()],
        ),
        (
            "put",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "arn:aws:kms:a:1:key/b",
            vec!["kms:GenerateDataKey arn:aws:kms:a:1:key/b".to_owned()],
        ),
        (
            "delete",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "1234",
            vec![],
        ),
    ] {
        assert_eq!(
            needed(operation, header, value),
            expected,
            "{operation} {header}: {value}"
        );
    }
    // A header that cannot be read asks for what it might.
    let mut headers = HeaderMap::new();
    headers.append(
        "x-amz-bypass-governance-retention",
        HeaderValue::from_static("false"),
    );
    headers.append(
        "x-amz-bypass-governance-retention",
        HeaderValue::from_static("false"),
    );
    let (call, head) = (call("delete"), head(&DELETE, "/bucket/k", headers));
    assert_eq!(requirements(&call, &head).len(), 2);
}

/// Of which object, in which of its versions, and on which side of a copy.
#[test]
fn t40_rights_are_of_their_own_side() {
    type Side<'a> = (&'a str, bool, Option<&'a str>, bool);
    let versioned = ("x-amz-copy-source", "/bucket/from?versionId=v");
    let part = "/bucket/k?partNumber=1&uploadId=u";
    type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], &'a [Side<'a>]);
    let cases: [Case<'_>; 5] = [
        (
            PUT,
            "/bucket/k",
            &[versioned, ("x-amz-acl", "private")],
            &[
                ("s3:GetObjectVersion", true, Some("v"), true),
                ("s3:PutObject", false, None, false),
                ("s3:PutObjectAcl", false, None, false),
            ],
        ),
        (
            PUT,
            part,
            &[versioned],
            &[
                ("s3:GetObjectVersion", true, Some("v"), true),
                ("s3:PutObject", false, None, false),
            ],
        ),
        (
            PUT,
            "/bucket/k",
            &[("if-match", "\"e\""), ("x-amz-tagging", "a=b")],
            &[
                ("s3:PutObject", false, None, false),
                ("s3:PutObjectTagging", false, None, false),
                ("s3:GetObject", false, None, true),
            ],
        ),
        (
            DELETE,
            "/bucket/k?versionId=v",
            &[],
            &[("s3:DeleteObjectVersion", false, Some("v"), false)],
        ),
        (
            PUT,
            "/bucket/k?tagging&versionId=v",
            &[],
            &[("s3:PutObjectVersionTagging", false, Some("v"), true)],
        ),
    ];
    let stage = Stage::new(&allow("s3:*", "*"));
    for (method, target, headers, expected) in cases {
        let (request, _) = stage.signed(&method, target, headers);
        let needed = requirements(&request.call, &request.head);
        let sides: Vec<Side<'_>> = needed
            .iter()
            .map(|r| {
                (
                    r.action,
                    r.is_source,
                    r.version_id,
                    r.existing_object().is_some(),
                )
            })
            .collect();
        assert_eq!(sides, expected, "{target}");
    }
    let (request, _) = stage.signed(&PUT, "/bucket/k", &[versioned]);
    let Call::CopyObject(call) = &request.call else {
        panic!("{request:?}");
    };
    let copied = requirement::copied_tags(call);
    let sides = copied.map(|r| (r.action, r.is_source, r.version_id, r.is_there));
    assert_eq!(
        sides,
        [
            ("s3:GetObjectVersionTagging", true, Some("v"), true),
            ("s3:PutObjectTagging", false, None, false),
        ]
    );
}
