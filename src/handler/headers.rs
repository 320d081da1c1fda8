//! An object's head in an answer.

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use super::{Answer, http_date};
use crate::backend::{Object, Written};
use crate::s3::call::ReadObject;
use crate::s3::{ObjectInfo, StoredChecksum};

/// The answer to a read, without its body.
pub(super) fn of_object(object: &Object, call: &ReadObject) -> Answer {
    let mut answer = Answer::empty(StatusCode::OK);
    let info = &object.info;
    let length = match object.range {
        Some(range) => {
            answer.status = StatusCode::PARTIAL_CONTENT;
            answer.set(CONTENT_RANGE, &range.to_string());
            range.length()
        }
        None => info.size,
    };
    answer
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    answer
        .headers
        .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer
        .headers
        .insert(LAST_MODIFIED, http_date(info.last_modified));
    // Whoever may write an object here does not decide what a browser takes it for: its type does.
    answer
        .headers
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer.set(ETAG, &info.etag.quoted());
    metadata(&mut answer, info);
    if let (Some(_), Some(parts)) = (call.part_number, info.parts) {
        let name = HeaderName::from_static("x-amz-mp-parts-count");
        answer.headers.insert(name, HeaderValue::from(parts));
    }
    // The stored checksum is of the whole object: beside a range it would mislead.
    if let (true, None, Some(stored)) = (call.checksum_mode, object.range, &info.checksum) {
        checksum(&mut answer, stored);
    }
    for (name, value) in &call.overrides {
        answer.set(HeaderName::from_static(name), value);
    }
    answer
}

fn metadata(answer: &mut Answer, info: &ObjectInfo) {
    let mut typed = false;
    for (name, value) in &info.metadata.standard {
        let name = HeaderName::from_static(name);
        typed |= name == CONTENT_TYPE;
        answer.set(name, value);
    }
    if !typed {
        let octets = HeaderValue::from_static("binary/octet-stream");
        answer.headers.insert(CONTENT_TYPE, octets);
    }
    for (name, value) in &info.metadata.user {
        if let Ok(name) = HeaderName::try_from(format!("x-amz-meta-{name}")) {
            answer.set(name, value);
        }
    }
    if let Some(version) = &info.version_id {
        answer.set(HeaderName::from_static("x-amz-version-id"), version);
    }
}

/// How many tags there are.
pub(super) fn tag_count(answer: &mut Answer, count: usize) {
    let name = HeaderName::from_static("x-amz-tagging-count");
    answer.headers.insert(name, HeaderValue::from(count));
}

/// The checksum's header, and its type's.
pub(super) fn checksum(answer: &mut Answer, stored: &StoredChecksum) {
    answer.set(
        HeaderName::from_static(stored.checksum.algorithm.header()),
        &checksum_text(stored),
    );
    answer.set(
        HeaderName::from_static("x-amz-checksum-type"),
        stored.kind.name(),
    );
}

/// A stored checksum's text: a composite one has the number of parts behind it.
pub(super) fn checksum_text(stored: &StoredChecksum) -> String {
    match stored.parts {
        Some(parts) => format!("{}-{parts}", stored.checksum.base64()),
        None => stored.checksum.base64(),
    }
}

/// The answer to a write: its tag, version and checksum.
pub(super) fn of_written(written: &Written) -> Answer {
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set(ETAG, &written.etag.quoted());
    if let Some(stored) = &written.checksum {
        checksum(&mut answer, stored);
    }
    if let Some(version) = &written.version_id {
        answer.set(HeaderName::from_static("x-amz-version-id"), version);
    }
    answer
}
