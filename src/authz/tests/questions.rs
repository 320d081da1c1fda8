//! What is asked of a permit later: keys of a deletion, and what a read may tell.

use super::*;
use crate::s3::call::DeleteObject;
use crate::s3::xml::DeleteKey;
use crate::s3::{BucketName, Call, ETag, ObjectKey};

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
    let (granted, by) = decide(&key("mine/a")).unwrap();
    assert!(by.is_some());
    let DeleteObject {
        bucket, key: name, ..
    } = &*granted;
    assert_eq!((bucket.as_str(), name.as_str()), ("bucket", "mine/a"));
    assert_eq!(
        decide(&key("theirs/a")).unwrap_err().error.code(),
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
