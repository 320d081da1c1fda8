//! What is learned before a decision: tags of what is there, and documents.

use super::*;
use crate::s3::{ETag, TagSet};

const TEAM: &str = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/team":"${aws:PrincipalTag/team}"}}}"#;

fn tags(text: &str) -> TagSet {
    TagSet::from_query(text).unwrap()
}

fn learn(undecided: &mut Undecided, text: &str) {
    let Wanted::ExistingTags(object) = &undecided.wanted else {
        panic!("{undecided:?}");
    };
    undecided
        .facts
        .tags(object, tags(text), Some(ETag("e".to_owned())));
}

#[test]
fn t40_tags_of_what_is_there_are_learned_first() {
    let stage = Stage::new(TEAM);
    for (text, allowed) in [
        ("team=blue", true),
        ("Team=blue", true),
        ("team=red", false),
        ("", false),
        ("Team=blue&team=red", false),
    ] {
        let mut undecided = stage.undecided(&GET, "/bucket/key?versionId=v", &[]);
        let Wanted::ExistingTags(object) = &undecided.wanted else {
            panic!("{undecided:?}");
        };
        assert_eq!(
            (object.bucket.as_str(), object.key.as_str()),
            ("bucket", "key")
        );
        assert_eq!(object.version_id.as_deref(), Some("v"));
        learn(&mut undecided, text);
        let decided = stage.resume(undecided);
        assert_eq!(decided.is_ok(), allowed, "{text}: {decided:?}");
    }
    // What is written has no tags yet, and a bucket none at all.
    for (method, target) in [
        (PUT, "/bucket/key"),
        (DELETE, "/bucket/key"),
        (GET, "/bucket"),
    ] {
        stage.denied(&method, target, &[]);
    }
    for (method, query) in [(GET, "tagging"), (PUT, "tagging"), (DELETE, "tagging")] {
        stage.undecided(&method, &format!("/bucket/key?{query}"), &[]);
    }
    // What tags decided is bound to what had them.
    let mut undecided = stage.undecided(&GET, "/bucket/key", &[]);
    learn(&mut undecided, "team=blue");
    let permit = stage
        .resume(undecided)
        .unwrap_or_else(|why| panic!("{why:?}"));
    let (bucket, key) = (
        crate::s3::BucketName::parse("bucket").unwrap(),
        crate::s3::ObjectKey::parse("key").unwrap(),
    );
    let etag = ETag("e".to_owned());
    assert_eq!(
        permit.facts().decided_for(&bucket, &key, None),
        Some(Some(&etag))
    );
    assert_eq!(permit.facts().decided_for(&bucket, &key, Some("v")), None);
    // Another object's tags are not this one's.
    let mut undecided = stage.undecided(&GET, "/bucket/key", &[]);
    let mut other = stage.undecided(&GET, "/bucket/other", &[]);
    learn(&mut other, "team=blue");
    undecided.facts = other.facts.clone();
    assert!(matches!(
        stage.resume(undecided),
        Err(Unpermitted::Undecided(_))
    ));
}

#[test]
fn t40_a_copy_wants_the_tags_of_its_source() {
    let stage = Stage::new(&format!("{TEAM},{}", allow("s3:PutObject", "bucket/to")));
    let mut undecided = stage.undecided(&PUT, "/bucket/to", &[COPY]);
    learn(&mut undecided, "team=blue");
    let permit = stage
        .resume(undecided)
        .unwrap_or_else(|why| panic!("{why:?}"));
    let Wanted::ExistingTags(object) = stage.undecided(&PUT, "/bucket/to", &[COPY]).wanted else {
        panic!("not its tags");
    };
    assert_eq!(object.key.as_str(), "from");
    // What has been learned of the source is known when it is asked whether its tags may come along.
    assert!(
        !stage
            .authorizer
            .may_copy_tags(&permit, permit.facts(), &stage.policies, stage.now)
            .unwrap_or(false)
    );
    let stage = Stage::new(&format!(
        "{TEAM},{},{}",
        allow("s3:PutObject", "bucket/to"),
        allow("s3:PutObjectTagging", "bucket/to")
    ));
    let mut undecided = stage.undecided(&PUT, "/bucket/to", &[COPY]);
    learn(&mut undecided, "team=blue");
    let permit = stage
        .resume(undecided)
        .unwrap_or_else(|why| panic!("{why:?}"));
    assert!(
        stage
            .authorizer
            .may_copy_tags(&permit, permit.facts(), &stage.policies, stage.now)
            .unwrap_or(false)
    );
}

#[test]
fn t40_the_tags_of_a_source_may_decide_whether_they_come_along() {
    let tagging = r#"{"Effect":"Allow","Action":"s3:GetObjectTagging","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/team":"blue"}}}"#;
    let stage = Stage::new(&format!(
        "{tagging},{}",
        allow("s3:*Object\",\"s3:PutObjectTagging", "*")
            .replace(r#""Action":"#, r#""Action":["#)
            .replace(r#","Resource""#, r#"],"Resource""#)
    ));
    let permit = stage.permit(&PUT, "/bucket/to", &[COPY]);
    let ask = |facts: &Facts| {
        stage
            .authorizer
            .may_copy_tags(&permit, facts, &stage.policies, stage.now)
    };
    let Err(Wanted::ExistingTags(source)) = ask(permit.facts()) else {
        panic!("nothing is wanted");
    };
    for (text, may) in [("team=blue", true), ("team=red", false)] {
        let mut facts = permit.facts().clone();
        facts.tags(&source, tags(text), None);
        assert_eq!(ask(&facts).ok(), Some(may), "{text}");
    }
}

#[test]
fn t40_documents_are_learned_first_where_they_decide() {
    let asks = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":"team"},"StringEquals":{"s3:RequestObjectTag/team":"blue"}}}"#;
    let stage = Stage::new(asks);
    for (text, allowed) in [
        ("team=blue", true),
        ("team=red", false),
        ("team=blue&x=y", false),
        ("", false),
    ] {
        let mut undecided = stage.undecided(&PUT, "/bucket/key?tagging", &[]);
        assert!(matches!(undecided.wanted, Wanted::Document));
        undecided.facts.document(Document::Tags(tags(text)));
        let decided = stage.resume(undecided);
        assert_eq!(decided.is_ok(), allowed, "{text}");
        if let Ok(permit) = decided {
            assert!(matches!(permit.facts().read(), Some(Document::Tags(_))));
        }
    }
    let place = r#"{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"*","Condition":{"StringEquals":{"s3:LocationConstraint":"eu-west-1"}}}"#;
    let stage = Stage::new(place);
    for (location, allowed) in [
        (Some("eu-west-1"), true),
        (Some("us-east-1"), false),
        (None, false),
    ] {
        let mut undecided = stage.undecided(&PUT, "/bucket", &[]);
        undecided
            .facts
            .document(Document::Location(location.map(str::to_owned)));
        assert_eq!(stage.resume(undecided).is_ok(), allowed, "{location:?}");
    }
    // A document of the other kind says nothing of it.
    let mut undecided = stage.undecided(&PUT, "/bucket", &[]);
    undecided.facts.document(Document::Tags(tags("a=b")));
    assert!(matches!(
        stage.resume(undecided),
        Err(Unpermitted::Undecided(_))
    ));
    // Nothing is wanted where nothing asks.
    Stage::new(&allow("s3:*", "*")).permit(&PUT, "/bucket/key?tagging", &[]);
}
