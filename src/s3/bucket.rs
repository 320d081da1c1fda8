//! Bucket names, checked once where they enter.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>

use std::sync::Arc;

/// A general purpose bucket's name: 3 to 63 of `a-z 0-9 . -`, so never a path or a separator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Arc<str>);

/// Why a text is not a bucket name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the specified bucket is not valid")]
pub struct InvalidBucketName;

impl BucketName {
    /// Checks `text` against AWS's naming rules.
    ///
    /// # Errors
    /// [`InvalidBucketName`] for anything that AWS would refuse to create.
    pub fn parse(text: &str) -> Result<Self, InvalidBucketName> {
        let edge = |b: Option<&u8>| matches!(b, Some(b'a'..=b'z' | b'0'..=b'9'));
        let bytes = text.as_bytes();
        let inner = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        let plain = (3..=63).contains(&bytes.len())
            && bytes.iter().all(inner)
            && edge(bytes.first())
            && edge(bytes.last())
            && !text.contains("..")
            && text.parse::<std::net::Ipv4Addr>().is_err()
            && !RESERVED_PREFIXES.iter().any(|p| text.starts_with(p))
            && !RESERVED_SUFFIXES.iter().any(|s| text.ends_with(s));
        if plain {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidBucketName)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Prefixes that AWS keeps for itself.
const RESERVED_PREFIXES: [&str; 2] = ["xn--", "sthree-"];
/// Suffixes that AWS keeps for itself: access point aliases, directory and table buckets.
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl std::fmt::Display for BucketName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["abc", "a-b", "my.bucket.name", "0ab", &"a".repeat(63)] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "ab",
            long.as_str(),
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "192.168.0.1",
            "..",
            "a/b",
            "a\0b",
            "xn--abc",
            "abc-s3alias",
            "abc--x-s3",
            "ab\u{e9}",
            "a%2fb",
            "abc ",
            ".portcullis",
        ] {
            assert_eq!(BucketName::parse(bad), Err(InvalidBucketName), "{bad}");
        }
    }
}
