//! A request's head, up to the typed call: routing, addresses, queries.
//!
//! Whatever is parsed means exactly one thing: every query key is a word of the operation that was
//! chosen, no more demanding operation was asked for, and bucket and key are those of the path,
//! which is decoded once (T50, T51, T52).

#![no_main]

use std::borrow::Cow;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use portcullis::s3::operation::{Row, TargetKind};
use portcullis::s3::{
    Addressing, BucketName, Call, Head, MAX_TAGS, ObjectKey, Operation, Request, TagSet, Target,
};
use portcullis::sigv4::encode_path;
use portcullis_fuzz::{Parts, peer};

const DOMAIN: &str = ".s3.example.com";

static ADDRESSING: LazyLock<Addressing> =
    LazyLock::new(|| Addressing::new([DOMAIN.trim_start_matches('.').to_owned()]));

fuzz_target!(|data: &[u8]| {
    let Some(parts) = Parts::read(data) else {
        return;
    };
    let Some(head) = parts.head() else { return };
    let Ok(request) = Request::parse(head, &ADDRESSING) else {
        return;
    };
    let operation = request.call.operation();
    let row = operation.row();
    assert!(row.implemented);
    assert_eq!(row.method, parts.method);
    assert_eq!(row.target, kind(&request.target));
    means_what_it_says(&parts, row);
    names_what_it_addresses(&parts, &request);
    is_within_bounds(&request.call);
    assert!(
        !request
            .head
            .headers()
            .keys()
            .any(|name| name.as_str().starts_with("x_amz_")),
        "a look-alike passed"
    );
});

fn kind(target: &Target) -> TargetKind {
    match target {
        Target::Service => TargetKind::Service,
        Target::Bucket(_) => TargetKind::Bucket,
        Target::Object(..) => TargetKind::Object,
    }
}

/// The query's keys and values, decoded without the gateway's own parser.
fn pairs(target: &str) -> Vec<(String, String)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text)
            .decode_utf8()
            .map(Cow::into_owned)
            .expect("it was parsed")
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn means_what_it_says(parts: &Parts, row: &Row) {
    let pairs = pairs(&parts.target);
    let has = |key: &str| pairs.iter().any(|(name, _)| name == key);
    let presigned = has("X-Amz-Signature");
    for (at, (name, _)) in pairs.iter().enumerate() {
        let amz = name.to_ascii_lowercase().starts_with("x-amz-");
        let signs = ["AWSAccessKeyId", "Expires", "Signature"].contains(&name.as_str())
            || Head::is_signature_parameter(name)
            || (presigned && amz);
        let a_clients_own = name.starts_with("x-") && !amz;
        // What is no word of any operation's, however it is spelt, asks for nothing of an object.
        let reads = matches!(row.operation, Operation::GetObject | Operation::HeadObject);
        let words = |row: &Row| [row.sub_resource, row.parameters].concat();
        let mut all = Operation::ALL.iter().flat_map(|other| words(other.row()));
        let nothing = reads && !amz && !all.any(|word| word.eq_ignore_ascii_case(name));
        // Nor does it when it comes twice; everything else comes once.
        let twice = pairs[..at].iter().any(|(other, _)| other == name);
        assert!(
            !twice || !signs && (a_clients_own || nothing),
            "`{name}` twice"
        );
        let word = row.sub_resource.contains(&name.as_str());
        let parameter = row.parameters.contains(&name.as_str());
        assert!(
            word || parameter || signs || a_clients_own || nothing,
            "`{name}` became {}",
            row.name
        );
    }
    assert!(row.sub_resource.iter().all(|key| has(key)));
    let sent = |name: &str| {
        parts.headers.contains_key(name)
            || (presigned && pairs.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)))
    };
    let demands = |row: &Row| (row.sub_resource.len(), row.header.is_some());
    for other in Operation::ALL.iter().map(|operation| operation.row()) {
        let fits = other.method == row.method
            && other.target == row.target
            && other.sub_resource.iter().all(|key| has(key))
            && other.header.is_none_or(sent);
        assert!(
            !fits || demands(other) <= demands(row),
            "{} became {}",
            other.name,
            row.name
        );
    }
    let copies = matches!(
        row.operation,
        Operation::CopyObject | Operation::UploadPartCopy
    );
    assert_eq!(copies, sent("x-amz-copy-source"), "{}", row.name);
}

fn names_what_it_addresses(parts: &Parts, request: &Request) {
    let head = &request.head;
    let raw = parts
        .target
        .split_once('?')
        .map_or(parts.target.as_str(), |(path, _)| path);
    let decoded = percent_decode_str(raw)
        .decode_utf8()
        .expect("it was parsed");
    assert_eq!(head.path, decoded);
    let host = head
        .host
        .rsplit_once(':')
        .map_or(head.host.as_str(), |(name, _)| name);
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let virtual_bucket = host.strip_suffix(DOMAIN);
    let (bucket, key) = named(&request.call);
    let path = match (virtual_bucket, bucket, key) {
        (None, None, None) => "/".to_owned(),
        (None, Some(bucket), None) => format!("/{bucket}"),
        (None, Some(bucket), Some(key)) => format!("/{bucket}/{key}"),
        (Some(_), Some(_), None) => "/".to_owned(),
        (Some(_), Some(_), Some(key)) => format!("/{key}"),
        (_, bucket, key) => panic!("{bucket:?} {key:?} of {head:?}"),
    };
    if let Some(of_host) = virtual_bucket {
        assert_eq!(bucket.map(BucketName::as_str), Some(of_host));
    }
    let same = head.path == path || (key.is_none() && head.path == format!("{path}/"));
    assert!(same, "{:?} names {path:?}", head.path);
    if let Some(bucket) = bucket {
        assert!(
            !bucket.as_str().contains(['/', '\\', '\0', '%']) && !bucket.as_str().contains("..")
        );
    }
    if let Some(key) = key {
        assert!((1..=1024).contains(&key.as_str().len()) && !key.as_str().contains('\0'));
    }
    // What is rendered from it is read as the same again.
    let mut rendered = Vec::new();
    encode_path(&path, &mut rendered);
    let rendered = String::from_utf8(rendered).expect("ASCII");
    let (method, headers) = (head.method.clone(), head.headers().clone());
    let again = Head::new(method, &rendered, head.host.clone(), headers, peer());
    let again = again.and_then(|head| ADDRESSING.target(&head.host, &head.path));
    assert_eq!(again.ok().as_ref(), Some(&request.target));
}

/// Bucket and key that a call is about.
fn named(call: &Call) -> (Option<&BucketName>, Option<&ObjectKey>) {
    match call {
        Call::ListBuckets(_) => (None, None),
        Call::CreateBucket(c) => (Some(&c.bucket), None),
        Call::DeleteObjects(c) => (Some(&c.bucket), None),
        Call::DeleteBucket(c)
        | Call::HeadBucket(c)
        | Call::GetBucketLocation(c)
        | Call::GetBucketPolicy(c)
        | Call::PutBucketPolicy(c)
        | Call::DeleteBucketPolicy(c)
        | Call::GetBucketPolicyStatus(c)
        | Call::GetBucketVersioning(c)
        | Call::GetPublicAccessBlock(c)
        | Call::PutPublicAccessBlock(c)
        | Call::DeletePublicAccessBlock(c) => (Some(&c.bucket), None),
        Call::GetConfiguration(c) => (Some(&c.bucket), None),
        Call::ListObjects(c) | Call::ListObjectsV2(c) | Call::ListObjectVersions(c) => {
            (Some(&c.bucket), None)
        }
        Call::ListMultipartUploads(c) => (Some(&c.bucket), None),
        Call::GetObject(c) | Call::HeadObject(c) => (Some(&c.bucket), Some(&c.key)),
        Call::PutObject(c) => (Some(&c.bucket), Some(&c.key)),
        Call::DeleteObject(c) => (Some(&c.bucket), Some(&c.key)),
        Call::CopyObject(c) => (Some(&c.bucket), Some(&c.key)),
        Call::CreateMultipartUpload(c) => (Some(&c.bucket), Some(&c.key)),
        Call::UploadPart(c) => (Some(&c.upload.bucket), Some(&c.upload.key)),
        Call::UploadPartCopy(c) => (Some(&c.upload.bucket), Some(&c.upload.key)),
        Call::CompleteMultipartUpload(c) => (Some(&c.upload.bucket), Some(&c.upload.key)),
        Call::AbortMultipartUpload(c) => (Some(&c.bucket), Some(&c.key)),
        Call::ListParts(c) => (Some(&c.upload.bucket), Some(&c.upload.key)),
        Call::GetObjectAcl(c)
        | Call::GetObjectTagging(c)
        | Call::PutObjectTagging(c)
        | Call::DeleteObjectTagging(c) => (Some(&c.bucket), Some(&c.key)),
    }
}

fn is_within_bounds(call: &Call) {
    match call {
        Call::ListObjects(c) | Call::ListObjectsV2(c) | Call::ListObjectVersions(c) => {
            assert!(c.max_keys <= 1000)
        }
        Call::ListMultipartUploads(c) => assert!(c.max_uploads <= 1000),
        Call::ListParts(c) => assert!(c.max_parts <= 1000 && c.after <= 10_000),
        Call::ListBuckets(c) => assert!(c.max_buckets.is_none_or(|n| (1..=10_000).contains(&n))),
        Call::UploadPart(c) => assert!((1..=10_000).contains(&c.part_number)),
        Call::UploadPartCopy(c) => {
            assert!((1..=10_000).contains(&c.part_number));
            assert!(c.range.is_none_or(|(first, last)| first <= last));
        }
        Call::GetObject(c) | Call::HeadObject(c) => {
            assert!(c.part_number.is_none_or(|n| (1..=10_000).contains(&n)));
            assert!(c.range.is_none() || c.part_number.is_none());
            let injects = |value: &String| value.contains(['\r', '\n', '\0']);
            assert!(!c.overrides.iter().any(|(_, value)| injects(value)), "T59");
        }
        Call::PutObject(c) => {
            let user = c
                .metadata
                .user
                .iter()
                .map(|(name, value)| name.len() + value.len());
            assert!(user.sum::<usize>() <= 2048);
            are_tags(&c.tags);
        }
        Call::CreateMultipartUpload(c) => are_tags(&c.tags),
        Call::CopyObject(c) => c.tags.iter().for_each(are_tags),
        _ => {}
    }
}

/// Within S3's limits, and read again as the same.
fn are_tags(tags: &TagSet) {
    assert!(tags.len() <= MAX_TAGS);
    let header = tags.to_query();
    assert!(header.bytes().all(|byte| byte.is_ascii_graphic()), "T59");
    assert_eq!(TagSet::from_query(&header).ok().as_ref(), Some(tags));
}
