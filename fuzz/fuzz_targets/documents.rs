//! The XML documents of clients: DeleteObjects, CompleteMultipartUpload, CreateBucket,
//! PutObjectTagging.
//!
//! What is read is within S3's limits and, written again, is read as the same; nothing that defines
//! an entity is ever read (T56). Any key survives its way through a document.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::s3::xml::{
    Delete, DeleteKey, MAX_DELETE_KEYS, MAX_PARTS, Writer, is_character, read_complete,
    read_delete, read_location, read_tagging, tagging,
};
use portcullis::s3::xml::{public_access_block, read_public_access_block};
use portcullis::s3::{ETag, MAX_TAGS, ObjectKey, TagSet};

fuzz_target!(|data: &[u8]| {
    let mut read = 0;
    if let Ok(delete) = read_delete(data) {
        read += 1;
        assert!((1..=MAX_DELETE_KEYS).contains(&delete.keys.len()));
        assert_eq!(read_delete(written(&delete).as_bytes()).ok(), Some(delete));
    }
    if let Ok(parts) = read_complete(data) {
        read += 1;
        assert!((1..=MAX_PARTS).contains(&parts.len()));
        let numbers: Vec<u16> = parts.iter().map(|part| part.part_number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(numbers.iter().all(|number| (1..=10_000).contains(number)));
        let mut xml = Writer::new("CompleteMultipartUpload");
        for part in &parts {
            xml.open("Part");
            xml.number("PartNumber", part.part_number);
            xml.text("ETag", &part.etag.quoted());
            if let Some(checksum) = &part.checksum {
                xml.text(checksum.algorithm.element(), &checksum.base64());
            }
            xml.close("Part");
        }
        let again = read_complete(xml.finish("CompleteMultipartUpload").as_bytes());
        assert_eq!(again.ok(), Some(parts));
    }
    if let Ok(block) = read_public_access_block(data) {
        read += 1;
        let again = read_public_access_block(public_access_block(block).as_bytes());
        assert_eq!(again.ok(), Some(block));
    }
    if let Ok(location) = read_location(data) {
        read += 1;
        if let Some(region) = location {
            assert!(!region.is_empty() && region.trim() == region);
            let mut xml = Writer::new("CreateBucketConfiguration");
            xml.text("LocationConstraint", &region);
            let again = read_location(xml.finish("CreateBucketConfiguration").as_bytes());
            assert_eq!(again.ok().flatten(), Some(region));
        }
    }
    if let Ok(tags) = read_tagging(data) {
        read += 1;
        assert!(tags.len() <= MAX_TAGS);
        let again = read_tagging(tagging(&tags).as_bytes());
        assert_eq!(again.ok().as_ref(), Some(&tags));
        assert_eq!(TagSet::from_query(&tags.to_query()).ok(), Some(tags));
    }
    assert!(read <= 1, "one document is read as two");
    let declares = declares(String::from_utf8_lossy(data).into_owned());
    assert!(read == 0 || !declares, "a document type was read");
    if let Some(key) = std::str::from_utf8(data)
        .ok()
        .filter(|text| text.chars().all(is_character))
        .and_then(|text| ObjectKey::parse(text).ok())
    {
        let keys = vec![DeleteKey {
            key,
            version_id: None,
            if_match: None,
        }];
        let delete = Delete { keys, quiet: true };
        assert_eq!(read_delete(written(&delete).as_bytes()).ok(), Some(delete));
    }
});

/// Whether something is declared in front of the root, XML's own declaration and comments aside.
fn declares(mut text: String) -> bool {
    for (from, to) in [("<?xml", "?>"), ("<!--", "-->")] {
        while let Some(start) = text.find(from) {
            let Some(length) = text[start..].find(to) else {
                break;
            };
            text.replace_range(start..start + length + to.len(), "");
        }
    }
    let root = text.match_indices('<').find(|(at, _)| {
        let next = text[at + 1..].chars().next();
        next.is_some_and(char::is_alphabetic)
    });
    root.is_some_and(|(at, _)| text[..at].contains("<!"))
}

fn written(delete: &Delete) -> String {
    let mut xml = Writer::new("Delete");
    for key in &delete.keys {
        xml.open("Object");
        xml.text("Key", key.key.as_str());
        xml.maybe("VersionId", key.version_id.as_deref());
        xml.maybe("ETag", key.if_match.as_ref().map(ETag::quoted).as_deref());
        xml.close("Object");
    }
    xml.flag("Quiet", delete.quiet);
    xml.finish("Delete")
}
