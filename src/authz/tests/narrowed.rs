//! Grants that are narrowed ask for less and for nothing else.

use super::*;
use crate::s3::call::{CopyObject, UploadPartCopy};
use crate::s3::{ETag, TagSet};

fn tag(text: &str) -> ETag {
    ETag(text.to_owned())
}

fn all() -> Stage {
    Stage::new(&allow("s3:*", "*"))
}

const PART: &str = "/bucket/to?partNumber=2&uploadId=u";

#[test]
fn t44_a_copy_of_one_object_only() {
    for (theirs, ours) in [
        (None, vec![tag("e")]),
        (Some("\"e\""), vec![tag("e")]),
        (Some("*"), vec![tag("e")]),
        (Some("\"f\", \"e\""), vec![tag("e")]),
        // What the client asks for is not there: nothing fits, as before.
        (Some("\"f\""), vec![tag("f")]),
    ] {
        let mut headers = vec![COPY];
        headers.extend(theirs.map(|theirs| ("x-amz-copy-source-if-match", theirs)));
        let permit = all().permit(&PUT, "/bucket/to", &headers);
        let GrantedCall::CopyObject(call) = permit.call() else {
            panic!("{permit:?}");
        };
        let only = Granted::<CopyObject>::only(call, &tag("e"));
        assert_eq!(
            only.source.conditions.if_match.as_ref(),
            Some(&ours),
            "{theirs:?}"
        );
        assert_eq!(
            (only.source.key.as_str(), only.key.as_str()),
            ("from", "to")
        );

        let permit = all().permit(&PUT, PART, &headers);
        let GrantedCall::UploadPartCopy(call) = permit.call() else {
            panic!("{permit:?}");
        };
        let only = Granted::<UploadPartCopy>::only(call, &tag("e"));
        assert_eq!(
            only.source.conditions.if_match.as_ref(),
            Some(&ours),
            "{theirs:?}"
        );
        assert_eq!((only.source.key.as_str(), only.part_number), ("from", 2));
    }
}

#[test]
fn copies_and_reads_are_narrowed() {
    let headers = [COPY, ("x-amz-copy-source-if-none-match", "\"n\"")];
    let permit = all().permit(&PUT, "/bucket/to", &headers);
    let GrantedCall::CopyObject(call) = permit.call() else {
        panic!("{permit:?}");
    };
    assert_eq!(call.tags, None);
    let untagged = Granted::<CopyObject>::without_tags(call);
    assert_eq!(untagged.tags, Some(TagSet::default()));
    assert_eq!(untagged.key.as_str(), "to");

    let source = call.source();
    assert_eq!(source.key.as_str(), "from");
    assert_eq!(source.conditions.if_none_match, Some(vec![tag("n")]));
    let still = source.still(&tag("e"));
    assert_eq!(still.conditions.if_match, Some(vec![tag("e")]));
    assert_eq!(still.conditions.if_none_match, None);
    assert_eq!(source.tagging(Some("v")).version_id.as_deref(), Some("v"));

    let headers = [COPY, ("x-amz-copy-source-range", "bytes=0-9")];
    let permit = all().permit(&PUT, PART, &headers);
    let GrantedCall::UploadPartCopy(call) = permit.call() else {
        panic!("{permit:?}");
    };
    let source = call.source();
    assert!(source.range.is_some() && source.whole().range.is_none());
    assert_eq!(source.whole().key.as_str(), "from");
    let destination = call.destination();
    assert_eq!(
        (destination.upload.key.as_str(), destination.part_number),
        ("to", 2)
    );

    let permit = all().permit(&GET, "/bucket/key?tagging&versionId=v", &[]);
    let GrantedCall::GetObjectTagging(call) = permit.call() else {
        panic!("{permit:?}");
    };
    let head = call.head();
    assert_eq!(
        (head.key.as_str(), head.version_id.as_deref()),
        ("key", Some("v"))
    );
}
