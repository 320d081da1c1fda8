//! Listings and their continuation tokens.

use super::super::call::{ListMultipartUploads, ListObjects};
use super::super::{BucketName, Error, Head};
use super::{invalid, number, url_encoded};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The longest page.
const MAX_KEYS: u32 = 1000;

/// A continuation token's first byte: its version. What follows is the key to go on behind.
const TOKEN_VERSION: u8 = 1;

/// The opaque continuation token that goes on behind `key`.
#[must_use]
pub fn write_token(key: &str) -> String {
    let mut bytes = vec![TOKEN_VERSION];
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key that a continuation token goes on behind.
pub(in crate::s3) fn read_token(token: &str) -> Result<String, Error> {
    let key = || {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let key = bytes.strip_prefix(&[TOKEN_VERSION])?;
        String::from_utf8(key.to_vec()).ok()
    };
    let wrong = "The continuation token provided is incorrect";
    key().ok_or_else(|| invalid("continuation-token", token, wrong))
}

fn text(head: &Head, name: &str) -> Option<String> {
    head.query
        .get(name)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

pub(super) fn objects(head: &Head, bucket: &BucketName) -> Result<ListObjects, Error> {
    let marker = text(head, "marker");
    Ok(ListObjects {
        bucket: bucket.clone(),
        prefix: text(head, "prefix").unwrap_or_default(),
        delimiter: text(head, "delimiter"),
        max_keys: number(head, "max-keys", MAX_KEYS, MAX_KEYS)?,
        after: marker.clone(),
        start: marker,
        continuation_token: None,
        url_encoded: url_encoded(head)?,
        fetch_owner: true,
    })
}

pub(super) fn objects_v2(head: &Head, bucket: &BucketName) -> Result<ListObjects, Error> {
    if let Some(other) = head.query.get("list-type").filter(|value| *value != "2") {
        return Err(invalid(
            "list-type",
            other,
            "Invalid List Type specified in Request",
        ));
    }
    let continuation_token = head.query.get("continuation-token").map(str::to_owned);
    let start = text(head, "start-after");
    let after = match &continuation_token {
        Some(token) => Some(read_token(token)?),
        None => start.clone(),
    };
    let fetch_owner = match head.query.get("fetch-owner") {
        None | Some("false" | "") => false,
        Some("true") => true,
        Some(other) => {
            return Err(invalid(
                "fetch-owner",
                other,
                "fetch-owner must be true or false",
            ));
        }
    };
    let list = objects(head, bucket)?;
    Ok(ListObjects {
        after,
        start,
        continuation_token,
        fetch_owner,
        ..list
    })
}

/// A listing of versions, of a bucket that has one of each key, called `null`.
pub(super) fn versions(head: &Head, bucket: &BucketName) -> Result<ListObjects, Error> {
    let key_marker = text(head, "key-marker");
    match (key_marker.as_ref(), text(head, "version-id-marker")) {
        (_, None) | (Some(_), Some(_)) => {}
        (None, Some(marker)) => {
            let message = "A version-id marker cannot be specified without a key marker.";
            return Err(invalid("version-id-marker", &marker, message));
        }
    }
    Ok(ListObjects {
        after: key_marker.clone(),
        start: key_marker,
        ..objects(head, bucket)?
    })
}

pub(super) fn uploads(head: &Head, bucket: &BucketName) -> Result<ListMultipartUploads, Error> {
    let key_marker = text(head, "key-marker");
    // S3 ignores an upload-id-marker without a key-marker.
    let upload_id_marker = key_marker
        .as_ref()
        .and_then(|_| text(head, "upload-id-marker"));
    Ok(ListMultipartUploads {
        bucket: bucket.clone(),
        prefix: text(head, "prefix").unwrap_or_default(),
        delimiter: text(head, "delimiter"),
        max_uploads: number(head, "max-uploads", MAX_KEYS, MAX_KEYS)?,
        key_marker,
        upload_id_marker,
        url_encoded: url_encoded(head)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for key in ["a", "a/b", "\u{1f980}", ""] {
            assert_eq!(read_token(&write_token(key)).ok().as_deref(), Some(key));
        }
        for bad in ["", "a", "AA", "not a token", "%%%", "Av__"] {
            assert!(read_token(bad).is_err(), "{bad}");
        }
    }
}
