//! What an upstream's answer says of an object: an allow-list, everything else stays behind.

use super::answer::Answer;
use super::error::Error;
use super::request::{INTERNAL, KEPT_CHECKSUM};
use super::xml::Element;
use crate::backend::Written;
use crate::s3::time::parse_http_date;
use crate::s3::{
    Checksum, ChecksumAlgorithm, ChecksumType, ContentRange, ETag, ObjectInfo, ObjectMetadata,
    STANDARD_METADATA, StoredChecksum, without_framing,
};
use time::OffsetDateTime;

/// What a GET or HEAD tells; `size` is the whole object's.
pub(super) fn info(answer: &Answer<'_>, size: u64) -> Result<ObjectInfo, Error> {
    let modified = answer.need("last-modified")?;
    let last_modified =
        parse_http_date(modified).ok_or_else(|| Error::garbage("`last-modified` is not a date"))?;
    let checksum = if answer.remote().checksums {
        checksum(answer)?
    } else {
        answer
            .header(KEPT_CHECKSUM)?
            .map(kept_checksum)
            .transpose()?
    };
    Ok(ObjectInfo {
        size,
        etag: ETag::parse(answer.need("etag")?),
        last_modified,
        metadata: metadata(answer.headers()),
        // S3 leaves it out where there are none.
        tag_count: answer.number("x-amz-tagging-count")?.unwrap_or(0),
        checksum,
        parts: answer.number("x-amz-mp-parts-count")?,
        version_id: version_id(answer)?,
    })
}

/// What a write tells. `size` is what was sent.
pub(super) fn written(answer: &Answer<'_>, size: Option<u64>) -> Result<Written, Error> {
    Ok(Written {
        etag: ETag::parse(answer.need("etag")?),
        checksum: None,
        last_modified: OffsetDateTime::now_utc(),
        size,
        version_id: version_id(answer)?,
    })
}

/// The version that an answer is about.
pub(super) fn version_id(answer: &Answer<'_>) -> Result<Option<String>, Error> {
    Ok(answer.header("x-amz-version-id")?.map(str::to_owned))
}

/// Metadata among headers.
pub(super) fn metadata<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> ObjectMetadata {
    let mut metadata = ObjectMetadata::default();
    for (name, value) in headers {
        if let Some(name) = name.strip_prefix("x-amz-meta-") {
            if !name.starts_with(INTERNAL) && !name.is_empty() {
                metadata.user.push((name.to_owned(), text(value)));
            }
        } else if let Some(standard) = STANDARD_METADATA.iter().find(|standard| **standard == name)
        {
            let value = match *standard {
                // Some stores keep the framing of the upload as if it were the object's encoding.
                "content-encoding" => without_framing(&text(value)).into_owned(),
                _ => text(value),
            };
            let known = metadata.standard.iter().any(|(known, _)| known == standard);
            if !value.is_empty() && !known {
                metadata.standard.push((standard, value));
            }
        }
    }
    metadata
}

/// A header's value as text that can stand in a header again: folded lines and whatever else a
/// lax parser let in become spaces (T59).
fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if text.contains(char::is_control) {
        text.replace(char::is_control, " ").trim().to_owned()
    } else {
        text.into_owned()
    }
}

/// The checksum in an answer's headers.
pub(super) fn checksum(answer: &Answer<'_>) -> Result<Option<StoredChecksum>, Error> {
    let kind = answer.header("x-amz-checksum-type")?;
    for algorithm in ChecksumAlgorithm::ALL {
        if let Some(text) = answer.header(algorithm.header())? {
            return stored(algorithm, text, kind).map(Some);
        }
    }
    Ok(None)
}

/// The checksum among an element's children.
pub(super) fn checksum_in(element: &Element) -> Result<Option<StoredChecksum>, Error> {
    let kind = element.get("ChecksumType");
    for algorithm in ChecksumAlgorithm::ALL {
        if let Some(text) = element.get(algorithm.element()) {
            return stored(algorithm, text, kind).map(Some);
        }
    }
    Ok(None)
}

/// A stored checksum's text, with the number of parts behind a composite one.
fn stored(
    algorithm: ChecksumAlgorithm,
    text: &str,
    kind: Option<&str>,
) -> Result<StoredChecksum, Error> {
    let none = || Error::garbage(format!("a {} that is none", algorithm.name()));
    // Base64 has no hyphen, so one marks the number of parts.
    let (digest, parts) = match text.trim().rsplit_once('-') {
        Some((digest, parts)) => (digest, Some(parts.parse().map_err(|_| none())?)),
        None => (text.trim(), None),
    };
    let composite = match kind {
        Some(kind) => kind
            .trim()
            .eq_ignore_ascii_case(ChecksumType::Composite.name()),
        None => parts.is_some(),
    };
    Ok(StoredChecksum {
        checksum: Checksum::parse(algorithm, digest).ok_or_else(none)?,
        kind: if composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        },
        parts,
    })
}

/// What [`KEPT_CHECKSUM`] says of a whole object.
pub(super) fn keep_checksum(checksum: &Checksum) -> String {
    format!("{}:{}", checksum.algorithm.name(), checksum.base64())
}

fn kept_checksum(text: &str) -> Result<StoredChecksum, Error> {
    let kept = text.split_once(':').and_then(|(name, digest)| {
        let algorithm = ChecksumAlgorithm::from_name(name)?;
        Checksum::parse(algorithm, digest)
    });
    let kept = kept.ok_or_else(|| Error::garbage("the checksum that we kept is none"))?;
    Ok(crate::backend::full_object(kept))
}

/// Reads `bytes first-last/size` strictly.
pub(super) fn content_range(text: &str) -> Option<ContentRange> {
    let (span, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok())?
    };
    let (first, last, size) = (number(first)?, number(last)?, number(size)?);
    (first <= last && last < size).then_some(ContentRange { first, last, size })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_what_is_allowed_comes_through() {
        let headers: [(&str, &[u8]); 15] = [
            ("content-type", b"text/plain"),
            ("content-encoding", b"aws-chunked,gzip"),
            ("x-amz-meta-colour", b"red"),
            ("x-amz-meta-name", "caf\u{e9}".as_bytes()),
            ("x-amz-meta-folded", b"a\r\n b\0"),
            ("x-amz-meta-portcullis-checksum", b"CRC32:AAAAAA=="),
            ("x-amz-meta-", b"empty name"),
            ("x-amz-request-id", b"canary"),
            ("x-amz-id-2", b"canary"),
            ("server", b"canary"),
            ("set-cookie", b"canary"),
            ("x-amz-bucket-region", b"canary"),
            ("location", b"http://canary"),
            ("x-rgw-object-type", b"canary"),
            ("content-type", b"second"),
        ];
        let found = metadata(headers.into_iter());
        assert_eq!(
            found.standard,
            [
                ("content-type", "text/plain".to_owned()),
                ("content-encoding", "gzip".to_owned())
            ]
        );
        assert_eq!(
            found.user,
            [
                ("colour".to_owned(), "red".to_owned()),
                ("name".to_owned(), "caf\u{e9}".to_owned()),
                ("folded".to_owned(), "a   b".to_owned()),
            ]
        );
        assert!(!format!("{found:?}").contains("canary"));
    }

    #[test]
    fn content_ranges() {
        for (text, expected) in [
            ("bytes 0-9/10", Some((0, 9, 10))),
            ("bytes 5-5/10", Some((5, 5, 10))),
            ("bytes 0-10/10", None),
            ("bytes 9-0/10", None),
            ("bytes */10", None),
            ("bytes 0-9/*", None),
            ("bytes 0-9", None),
            ("bytes +0-9/10", None),
            ("items 0-9/10", None),
            ("bytes 0-99999999999999999999/10", None),
        ] {
            let found = content_range(text).map(|r| (r.first, r.last, r.size));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn checksums() {
        let crc = ChecksumAlgorithm::Crc32;
        let full = stored(crc, "AAAAAA==", None).unwrap();
        assert_eq!((full.kind, full.parts), (ChecksumType::FullObject, None));
        let parts = stored(crc, "AAAAAA==-3", None).unwrap();
        assert_eq!(
            (parts.kind, parts.parts),
            (ChecksumType::Composite, Some(3))
        );
        assert!(stored(crc, "AAAA", None).is_err());
        assert!(stored(crc, "AAAAAA==-x", None).is_err());
        let text = keep_checksum(&full.checksum);
        assert_eq!(kept_checksum(&text).unwrap(), full);
        assert!(kept_checksum("CRC32:AAAA").is_err());
        assert!(kept_checksum("MD4:AAAAAA==").is_err());
    }
}
