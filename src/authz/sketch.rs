//! The head of a request that is only supposed: what would come for an action on a resource and that says what
//! is given, read by the parser that reads those that came.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::requirement::{CREATES_BUCKET, WRITES};
use crate::iam::{Key, Name, Supplied};
use crate::s3::operation::{Row, TargetKind};
use crate::s3::{Addressing, Error, ErrorCode, Head, Operation, Peer, Request, TagSet};
use crate::sigv4::{encode, encode_path};

/// Keys with their values.
type Given = [(Key, Vec<String>)];

/// The requests that `action` on `resource` is asked by, of each operation; none where that is a right of which
/// only headers and documents of other requests speak. An error is what the gateway answers to it whoever asks.
#[must_use]
pub fn sketches(action: &str, resource: &str, given: &Given) -> Vec<Result<Request, Error>> {
    let rows = rows(action, given).into_iter();
    rows.map(|row| sketch(row, action, resource, given))
        .collect()
}

fn sketch(row: &Row, action: &str, resource: &str, given: &Given) -> Result<Request, Error> {
    let supplied = Supplied::by(action);
    let given: Vec<_> = given
        .iter()
        .filter(|(key, _)| supplied.has(key.name()))
        .collect();
    let first = |name: Name| {
        let found = given.iter().find(|(key, _)| key.name() == name);
        found
            .and_then(|(_, values)| values.first())
            .map(String::as_str)
    };
    let place = resource.strip_prefix("arn:aws:s3:::").unwrap_or_default();
    let place = if row.target == TargetKind::Service {
        ""
    } else {
        place
    };
    let mut path = vec![b'/'];
    encode_path(place, &mut path);
    let mut target = String::from_utf8_lossy(&path).into_owned();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for word in row.sub_resource {
        let value = match *word {
            "list-type" => "2",
            "partNumber" => "1",
            "uploadId" | "id" => "x",
            _ => "",
        };
        pairs.push((word, value));
    }
    for (name, parameter) in [
        (Name::Prefix, "prefix"),
        (Name::Delimiter, "delimiter"),
        (Name::MaxKeys, "max-keys"),
    ] {
        pairs.extend(first(name).map(|value| (parameter, value)));
    }
    if is_of_version(action) {
        pairs.push(("versionId", first(Name::VersionId).unwrap_or("null")));
    }
    for (at, (name, value)) in pairs.iter().enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.push_str(&encode(value));
    }
    let mut headers = HeaderMap::new();
    for (key, values) in &given {
        if let (Some(name), Some(value)) = (header_of(key), values.first()) {
            set(&mut headers, &name, value)?;
        }
    }
    let tags = tags(&given)?;
    if WRITES_OBJECTS.contains(&row.operation) && !tags.is_empty() {
        set(&mut headers, "x-amz-tagging", &tags.to_query())?;
        // Without it a copy has its source's.
        if row.operation == Operation::CopyObject {
            set(&mut headers, "x-amz-tagging-directive", "REPLACE")?;
        }
    }
    let peer = Peer {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        tls_version: None,
    };
    let head = Head::new(
        row.method.clone(),
        &target,
        "localhost".to_owned(),
        headers,
        peer,
    )?;
    // A bucket is never in the host here.
    Request::parse(head, &Addressing::default())
}

/// Operations whose headers say what an object is.
const WRITES_OBJECTS: [Operation; 3] = [
    Operation::PutObject,
    Operation::CopyObject,
    Operation::CreateMultipartUpload,
];

/// Whether an action is asked for a version of an object only.
pub(super) fn is_of_version(action: &str) -> bool {
    action.contains("ObjectVersion")
}

/// The operations that the action is asked by, as far as what is said leaves a choice.
fn rows(action: &str, given: &Given) -> Vec<&'static Row> {
    let said = |name: Name| {
        let found = given.iter().find(|(key, _)| key.name() == name);
        found
            .and_then(|(_, values)| values.first())
            .map(String::as_str)
    };
    let makes = said(Name::ObjectCreationOperation) != Some("false");
    let operation = match (action, said(Name::CopySource)) {
        ("s3:PutObject", Some(_)) if makes => Operation::CopyObject,
        ("s3:PutObject", Some(_)) => Operation::UploadPartCopy,
        ("s3:PutObject", None) if makes => Operation::PutObject,
        ("s3:PutObject", None) => Operation::CreateMultipartUpload,
        ("s3:ListBucket", _) => Operation::ListObjectsV2,
        ("s3:DeleteObject" | "s3:DeleteObjectVersion", _) => Operation::DeleteObject,
        (action, _) => {
            let plain = action.replacen("ObjectVersion", "Object", 1);
            let all = Operation::ALL.iter().map(|operation| operation.row());
            let asked = all.filter(|row| row.implemented && row.actions.contains(&plain.as_str()));
            let asked: Vec<_> = asked.collect();
            return match asked.is_empty() {
                false => asked,
                true => carrier(action).map(Operation::row).into_iter().collect(),
            };
        }
    };
    vec![operation.row()]
}

/// The operation whose header asks for the action.
fn carrier(action: &str) -> Option<Operation> {
    let asks = |rows: &[super::requirement::Row]| rows.iter().any(|(_, named)| *named == action);
    match () {
        () if asks(&CREATES_BUCKET) => Some(Operation::CreateBucket),
        () if asks(&WRITES) => Some(Operation::PutObject),
        () => None,
    }
}

/// The header that a key stands for.
fn header_of(key: &Key) -> Option<Cow<'static, str>> {
    match key.name() {
        Name::UserAgent => Some("user-agent".into()),
        Name::Referer => Some("referer".into()),
        Name::IfMatch => Some("if-match".into()),
        Name::IfNoneMatch => Some("if-none-match".into()),
        // The days are those until the date.
        Name::ObjectLockRemainingRetentionDays => {
            Some("x-amz-object-lock-retain-until-date".into())
        }
        Name::ObjectLockLegalHold | Name::ObjectLockMode | Name::ObjectLockRetainUntilDate => {
            let lower = key.as_written().to_ascii_lowercase();
            Some(lower.replacen("s3:", "x-amz-", 1).into())
        }
        _ => {
            let lower = key.as_written().to_ascii_lowercase();
            let header = lower.strip_prefix("s3:")?;
            header
                .starts_with("x-amz-")
                .then(|| header.to_owned().into())
        }
    }
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Error> {
    let wrong = |_| {
        let message = format!("`{value}` cannot stand in a header");
        Error::with_message(ErrorCode::InvalidArgument, message)
    };
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(wrong)?;
    if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
        headers.insert(name, value);
    }
    Ok(())
}

/// The tags that a request says.
fn tags(given: &[&(Key, Vec<String>)]) -> Result<TagSet, Error> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for (key, values) in given {
        let value = values.first().map(String::as_str).unwrap_or_default();
        if let (Name::RequestObjectTag, Some(tag)) = (key.name(), key.tag()) {
            tags.push((tag.to_owned(), value.to_owned()));
        }
    }
    let named = given
        .iter()
        .filter(|(key, _)| key.name() == Name::RequestObjectTagKeys);
    for tag in named.flat_map(|(_, values)| values) {
        if !tags.iter().any(|(known, _)| known == tag) {
            tags.push((tag.clone(), String::new()));
        }
    }
    TagSet::new(tags)
}
