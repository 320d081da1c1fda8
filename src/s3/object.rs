//! What is known of a stored object.

use super::{Checksum, ChecksumType};
use ::time::OffsetDateTime;
use std::borrow::Cow;

/// An entity tag without its quotes: the MD5 of a simple object in hexadecimal, or that of the
/// parts' MD5s followed by `-` and their number. Opaque to comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

impl ETag {
    /// The tag as it stands in headers and XML, quoted.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// Takes a tag in, with or without quotes or the weak prefix.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let strong = text.strip_prefix("W/").unwrap_or(text);
        let inner = strong.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        Self(inner.unwrap_or(strong).to_owned())
    }
}

/// Where a website sends who asks for the object. Each object's own: a copy does not take it along.
pub const WEBSITE_REDIRECT: &str = "x-amz-website-redirect-location";

/// Headers beside user metadata that are kept with an object and returned with it.
pub const STANDARD_METADATA: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    WEBSITE_REDIRECT,
];

/// A `Content-Encoding` without `aws-chunked`, which is how a body travels and not what it is. What has
/// none of it is as it was sent.
#[must_use]
pub fn without_framing(value: &str) -> Cow<'_, str> {
    let framing = |coding: &&str| coding.trim().eq_ignore_ascii_case("aws-chunked");
    if !value.split(',').any(|coding| framing(&coding)) {
        return Cow::Borrowed(value);
    }
    let kept: Vec<&str> = value.split(',').filter(|coding| !framing(coding)).collect();
    Cow::Owned(kept.join(",").trim().to_owned())
}

/// What a writer said of an object and every reader is told: standard headers and user metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectMetadata {
    /// Of [`STANDARD_METADATA`], each at most once, `content-encoding` without `aws-chunked`:
    /// lower-case name and text.
    pub standard: Vec<(&'static str, String)>,
    /// `x-amz-meta-*` without the prefix: lower-case name and text, at most 2 KiB together.
    pub user: Vec<(String, String)>,
}

/// A checksum that is kept with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChecksum {
    /// Algorithm and digest.
    pub checksum: Checksum,
    /// Of the object's bytes, or of its parts' checksums.
    pub kind: ChecksumType,
    /// For a composite checksum, the number of parts, which stands behind its text as `-N`.
    pub parts: Option<u16>,
}

/// What HEAD tells of an object.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag.
    pub etag: ETag,
    /// When it was written.
    pub last_modified: OffsetDateTime,
    /// What its writer said of it.
    pub metadata: ObjectMetadata,
    /// How many tags it has, as far as its store tells.
    pub tag_count: usize,
    /// The checksum that was given or computed when it was written.
    pub checksum: Option<StoredChecksum>,
    /// How many parts it was uploaded in, when by multipart upload.
    pub parts: Option<u16>,
    /// The version, where the store keeps versions.
    pub version_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_encodings_are_as_they_were_sent() {
        for same in [
            "gzip",
            "gzip, deflate",
            "gzip,deflate",
            " ,gzip,,br ",
            "x-aws-chunked",
            "",
        ] {
            assert_eq!(without_framing(same), same);
        }
        for (sent, kept) in [
            ("aws-chunked", ""),
            ("AWS-Chunked,gzip", "gzip"),
            ("gzip, aws-chunked", "gzip"),
            ("aws-chunked, gzip, br", "gzip, br"),
            ("gzip,aws-chunked,br", "gzip,br"),
        ] {
            assert_eq!(without_framing(sent), kept, "{sent}");
        }
    }
}
