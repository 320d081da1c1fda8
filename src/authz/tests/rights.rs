//! Which rights a request needs: of its operation, of its headers, of its versions.

use super::*;
use crate::iam::action_supplies;
use crate::s3::call::DeleteObject;
use crate::s3::operation::TargetKind;
use crate::s3::xml::DeleteKey;
use crate::s3::{BucketName, Call, ETag, ObjectKey, Operation};
use requirement::requirements;

/// The actions that a request needs, each on its resource.
fn needed(method: &Method, target: &str, headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let stage = Stage::new(&allow("s3:*", "*"));
    let (request, _) = stage.signed(method, target, headers);
    let needed = requirements(&request.call, &request.head).into_iter();
    needed
        .map(|r| {
            (
                r.action.to_owned(),
                r.resource(ACCOUNT, REGION).into_owned(),
            )
        })
        .collect()
}

fn on(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let arn = |place: &str| format!("arn:aws:s3:::{place}");
    pairs
        .iter()
        .map(|(action, place)| (format!("s3:{action}"), arn(place)))
        .collect()
}

#[test]
fn t40_every_operation_needs_its_action() {
    for (method, target, headers, expected) in [
        (GET, "/", &[][..], &[("ListAllMyBuckets", "*")][..]),
        (PUT, "/bucket", &[], &[("CreateBucket", "bucket")]),
        (DELETE, "/bucket", &[], &[("DeleteBucket", "bucket")]),
        (Method::HEAD, "/bucket", &[], &[("ListBucket", "bucket")]),
        (
            GET,
            "/bucket?location",
            &[],
            &[("GetBucketLocation", "bucket")],
        ),
        (GET, "/bucket?policy", &[], &[("GetBucketPolicy", "bucket")]),
        (PUT, "/bucket?policy", &[], &[("PutBucketPolicy", "bucket")]),
        (
            DELETE,
            "/bucket?policy",
            &[],
            &[("DeleteBucketPolicy", "bucket")],
        ),
        (
            GET,
            "/bucket?policyStatus",
            &[],
            &[("GetBucketPolicyStatus", "bucket")],
        ),
        (
            GET,
            "/bucket?publicAccessBlock",
            &[],
            &[("GetBucketPublicAccessBlock", "bucket")],
        ),
        (
            PUT,
            "/bucket?publicAccessBlock",
            &[],
            &[("PutBucketPublicAccessBlock", "bucket")],
        ),
        (
            DELETE,
            "/bucket?publicAccessBlock",
            &[],
            &[("PutBucketPublicAccessBlock", "bucket")],
        ),
        (GET, "/bucket", &[], &[("ListBucket", "bucket")]),
        (GET, "/bucket?list-type=2", &[], &[("ListBucket", "bucket")]),
        (
            GET,
            "/bucket?uploads",
            &[],
            &[("ListBucketMultipartUploads", "bucket")],
        ),
        (POST, "/bucket?delete", &[], &[]),
        (GET, "/bucket/k", &[], &[("GetObject", "bucket/k")]),
        (
            Method::HEAD,
            "/bucket/k?versionId=v",
            &[],
            &[("GetObjectVersion", "bucket/k")],
        ),
        (PUT, "/bucket/k", &[], &[("PutObject", "bucket/k")]),
        (DELETE, "/bucket/k", &[], &[("DeleteObject", "bucket/k")]),
        (
            DELETE,
            "/bucket/k?versionId=v",
            &[],
            &[("DeleteObjectVersion", "bucket/k")],
        ),
        (
            PUT,
            "/bucket/k",
            &[COPY],
            &[("GetObject", "bucket/from"), ("PutObject", "bucket/k")],
        ),
        (
            PUT,
            "/bucket/k",
            &[("x-amz-copy-source", "/bucket/from?versionId=v")],
            &[
                ("GetObjectVersion", "bucket/from"),
                ("PutObject", "bucket/k"),
            ],
        ),
        (POST, "/bucket/k?uploads", &[], &[("PutObject", "bucket/k")]),
        (
            PUT,
            "/bucket/k?partNumber=1&uploadId=u",
            &[],
            &[("PutObject", "bucket/k")],
        ),
        (
            PUT,
            "/bucket/k?partNumber=1&uploadId=u",
            &[COPY],
            &[("GetObject", "bucket/from"), ("PutObject", "bucket/k")],
        ),
        (
            POST,
            "/bucket/k?uploadId=u",
            &[],
            &[("PutObject", "bucket/k")],
        ),
        (
            DELETE,
            "/bucket/k?uploadId=u",
            &[],
            &[("AbortMultipartUpload", "bucket/k")],
        ),
        (
            GET,
            "/bucket/k?uploadId=u",
            &[],
            &[("ListMultipartUploadParts", "bucket/k")],
        ),
        (
            GET,
            "/bucket/k?tagging",
            &[],
            &[("GetObjectTagging", "bucket/k")],
        ),
        (
            GET,
            "/bucket/k?tagging&versionId=v",
            &[],
            &[("GetObjectVersionTagging", "bucket/k")],
        ),
        (
            PUT,
            "/bucket/k?tagging",
            &[],
            &[("PutObjectTagging", "bucket/k")],
        ),
        (
            PUT,
            "/bucket/k?tagging&versionId=v",
            &[],
            &[("PutObjectVersionTagging", "bucket/k")],
        ),
        (
            DELETE,
            "/bucket/k?tagging",
            &[],
            &[("DeleteObjectTagging", "bucket/k")],
        ),
        (
            DELETE,
            "/bucket/k?tagging&versionId=v",
            &[],
            &[("DeleteObjectVersionTagging", "bucket/k")],
        ),
    ] {
        assert_eq!(
            needed(&method, target, headers),
            on(expected),
            "{method} {target}"
        );
    }
}

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

/// Every right must be allowed, and on its own resource.
#[test]
fn t40_all_rights_are_needed() {
    let copy = [
        COPY,
        ("x-amz-tagging", "a=b"),
        ("x-amz-tagging-directive", "REPLACE"),
        ("x-amz-acl", "private"),
    ];
    let rights = [
        allow("s3:GetObject", "bucket/from"),
        allow("s3:PutObject", "bucket/k"),
        allow("s3:PutObjectTagging", "bucket/k"),
        allow("s3:PutObjectAcl", "bucket/k"),
    ];
    Stage::new(&rights.join(",")).permit(&PUT, "/bucket/k", &copy);
    for missing in 0..rights.len() {
        let mut some = rights.to_vec();
        some.remove(missing);
        Stage::new(&some.join(",")).denied(&PUT, "/bucket/k", &copy);
    }
    let owner = ("x-amz-expected-bucket-owner", ACCOUNT);
    Stage::new(&allow("s3:*", "*")).permit(&GET, "/bucket/k", &[owner]);
    for name in [
        "x-amz-expected-bucket-owner",
        "x-amz-source-expected-bucket-owner",
    ] {
        Stage::new(&allow("s3:*", "*")).denied(&GET, "/bucket/k", &[(name, "999999999999")]);
    }
}

/// The table of operations and what is decided agree with AWS's reference.
#[test]
fn t40_the_table_is_the_reference_s() {
    for operation in Operation::ALL {
        let row = operation.row();
        for action in row.actions {
            assert!(
                action_supplies(action, "aws:SourceIp").is_some(),
                "{}: AWS has no {action}",
                row.name
            );
        }
        if !row.implemented || *operation == Operation::DeleteObjects {
            continue;
        }
        let path = match row.target {
            TargetKind::Service => "/",
            TargetKind::Bucket => "/bucket",
            TargetKind::Object => "/bucket/k",
        };
        let value = |key: &&str| match *key {
            "list-type" => "list-type=2".to_owned(),
            "partNumber" => "partNumber=1".to_owned(),
            "uploadId" => "uploadId=u".to_owned(),
            other => other.to_owned(),
        };
        let query: Vec<String> = row.sub_resource.iter().map(value).collect();
        let headers: &[_] = if row.header.is_some() { &[COPY] } else { &[] };
        let needed = needed(&row.method, &format!("{path}?{}", query.join("&")), headers);
        let last = needed.last().map(|(action, _)| action.as_str());
        assert_eq!(last, row.actions.first().copied(), "{}", row.name);
    }
    let stage = Stage::new(&allow("s3:*", "*"));
    for (method, target) in [
        (GET, "/bucket/k"),
        (GET, "/bucket/k?versionId=v"),
        (PUT, "/bucket/k"),
        (DELETE, "/bucket/k"),
        (GET, "/bucket/k?tagging"),
        (PUT, "/bucket/k?tagging"),
        (DELETE, "/bucket/k?tagging&versionId=v"),
        (GET, "/bucket"),
    ] {
        let (request, _) = stage.signed(&method, target, &[]);
        for requirement in requirements(&request.call, &request.head) {
            let tags = action_supplies(requirement.action, "s3:ExistingObjectTag/");
            assert_eq!(
                Some(requirement.existing_object().is_some()),
                tags,
                "{}",
                requirement.action
            );
        }
    }
}

fn key(name: &str) -> DeleteKey {
    DeleteKey {
        key: ObjectKey::parse(name).unwrap(),
        version_id: None,
        if_match: None,
    }
}

#[test]
fn t40_deletions_are_decided_one_by_one() {
    let stage = Stage::new(&format!(
        "{},{}",
        allow("s3:DeleteObject", "bucket/mine/*"),
        allow("s3:GetObject", "bucket/mine/known")
    ));
    let permit = stage.permit(&POST, "/bucket?delete", &[]);
    assert_eq!(permit.by(), None);
    let decide = |key: &DeleteKey| {
        stage
            .authorizer
            .decide_delete(&permit, key, &stage.policies, stage.now)
    };
    let granted = decide(&key("mine/a")).unwrap();
    let DeleteObject {
        bucket, key: name, ..
    } = &*granted;
    assert_eq!((bucket.as_str(), name.as_str()), ("bucket", "mine/a"));
    assert_eq!(
        decide(&key("theirs/a")).unwrap_err().code(),
        ErrorCode::AccessDenied
    );
    let version = DeleteKey {
        version_id: Some("v".to_owned()),
        ..key("mine/a")
    };
    assert!(decide(&version).is_err());
    for (name, tag, allowed) in [
        ("mine/a", "e", false),
        ("mine/known", "e", true),
        ("mine/a", "*", true),
    ] {
        let compares = DeleteKey {
            if_match: Some(ETag(tag.to_owned())),
            ..key(name)
        };
        assert_eq!(decide(&compares).is_ok(), allowed, "{name} {tag}");
    }
    let other = Stage::new(&allow("s3:*", "*")).permit(&GET, "/bucket/k", &[]);
    assert!(
        stage
            .authorizer
            .decide_delete(&other, &key("mine/a"), &stage.policies, stage.now)
            .is_err()
    );
    assert!(matches!(permit.request().call, Call::DeleteObjects(_)));
    assert!(BucketName::parse("bucket").is_ok());
}

#[test]
fn t45_what_a_read_may_tell() {
    let may_list = |statements: &str, method: &Method, target: &str, headers: &[(&str, &str)]| {
        let stage = Stage::new(statements);
        let permit = stage.permit(method, target, headers);
        (
            stage
                .authorizer
                .may_list(&permit, &stage.policies, stage.now),
            stage
                .authorizer
                .may_get_tags(&permit, &stage.policies, stage.now),
        )
    };
    let objects = "\"s3:*Object*\"";
    let reads = format!(
        r#"{{"Effect":"Allow","Action":{objects},"NotResource":"arn:aws:s3:::bucket"}},{{"Effect":"Deny","Action":"s3:GetObjectTagging","Resource":"*"}}"#
    );
    assert_eq!(may_list(&reads, &GET, "/bucket/k", &[]), (false, false));
    let lists = format!(
        r#"{reads},{{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket","Condition":{{"StringLike":{{"s3:prefix":"k*"}}}}}}"#
    );
    assert_eq!(may_list(&lists, &GET, "/bucket/k", &[]), (true, false));
    assert_eq!(may_list(&lists, &GET, "/bucket/other", &[]), (false, false));
    let all = allow("s3:*", "*");
    assert_eq!(may_list(&all, &GET, "/bucket/k", &[]), (true, true));
    assert_eq!(
        may_list(&all, &PUT, "/bucket/k?tagging", &[]),
        (true, false)
    );
    assert_eq!(may_list(&all, &PUT, "/bucket/k", &[COPY]), (true, false));
    assert_eq!(
        may_list(&all, &PUT, "/bucket/k?partNumber=1&uploadId=u", &[COPY]),
        (true, false)
    );
    assert_eq!(may_list(&all, &PUT, "/bucket/k", &[]), (false, false));
    // A copy's source is what is looked for.
    let from = format!(
        "{},{}",
        allow("s3:*Object", "bucket/*"),
        r#"{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket","Condition":{"StringEquals":{"s3:prefix":"from"}}}"#
    );
    assert_eq!(may_list(&from, &PUT, "/bucket/k", &[COPY]), (true, false));
    let copies = |statements: &str| {
        let stage = Stage::new(statements);
        let permit = stage.permit(&PUT, "/bucket/k", &[COPY]);
        stage
            .authorizer
            .may_copy_tags(&permit, permit.facts(), &stage.policies, stage.now)
            .unwrap_or(false)
    };
    assert!(copies(&all));
    assert!(!copies(&allow("s3:*Object", "bucket/*")));
    assert!(!copies(&format!(
        "{},{}",
        allow("s3:*Object", "bucket/*"),
        allow("s3:*ObjectTagging", "bucket/k")
    )));
    let stage = Stage::new(&all);
    let permit = stage.permit(&GET, "/bucket/k", &[]);
    assert!(
        !stage
            .authorizer
            .may_copy_tags(&permit, permit.facts(), &stage.policies, stage.now)
            .unwrap_or(false)
    );
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
