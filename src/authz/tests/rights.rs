//! Which rights each operation needs, and that all of them are needed.

use super::*;
use crate::iam::action_supplies;
use crate::s3::Operation;
use crate::s3::operation::TargetKind;
use requirement::requirements;

/// The actions that a request needs, each on its resource.
pub(super) fn needed(
    method: &Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Vec<(String, String)> {
    let stage = Stage::new(&allow("s3:*", "*"));
    let (request, _) = stage.signed(method, target, headers);
    let needed = requirements(&request.call, &request.head).into_iter();
    // `policy explain` refuses what no request asks for.
    let needed = needed.inspect(|r| assert_eq!(check_asked(r.action), Ok(())));
    needed
        .map(|r| {
            (
                r.action.to_owned(),
                r.resource(ACCOUNT, REGION).into_owned(),
            )
        })
        .collect()
}

pub(super) fn on(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
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
