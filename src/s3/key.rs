//! Object keys: opaque text to policy and storage, checked once where it enters.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>

use std::sync::Arc;

/// The longest key in bytes of UTF-8.
pub const MAX_KEY_LENGTH: usize = 1024;

/// An object's key: 1 to 1,024 bytes of UTF-8 without U+0000. Nothing in it is ever normalised:
/// the key that was authorised is the key that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

/// Why a text is not an object key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidObjectKey {
    /// No byte at all.
    #[error("the object key is empty")]
    Empty,
    /// More than [`MAX_KEY_LENGTH`] bytes.
    #[error("your key is too long")]
    TooLong,
    /// Holds U+0000, which file systems and C programs end a name at.
    #[error("the object key holds a NUL character")]
    Nul,
}

impl ObjectKey {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`InvalidObjectKey`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidObjectKey> {
        match text.as_bytes() {
            [] => Err(InvalidObjectKey::Empty),
            bytes if bytes.len() > MAX_KEY_LENGTH => Err(InvalidObjectKey::TooLong),
            bytes if bytes.contains(&0) => Err(InvalidObjectKey::Nul),
            _ => Ok(Self(Arc::from(text))),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a store that keeps keys as paths of files, or an HTTP server on the way, could take this
    /// key for another with fewer slashes: it begins with one, or has two in a row, backslashes
    /// counted as well. One at the end is the name of a folder, and another key everywhere.
    #[must_use]
    pub fn has_empty_segment(&self) -> bool {
        let mut segments = self.0.split(['/', '\\']);
        segments.next_back();
        segments.any(str::is_empty)
    }

    /// Whether an HTTP server on the way could normalise this key, sent as a path, into another:
    /// a `.` or `..` segment, also between backslashes. Such a key never goes to an
    /// upstream by path (T50).
    #[must_use]
    pub fn has_dot_segment(&self) -> bool {
        self.0
            .split(['/', '\\'])
            .any(|segment| matches!(segment, "." | ".."))
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for good in [
            "a",
            "/",
            "a//b",
            "..",
            "../x",
            "\u{1f980}",
            " ",
            "a\\b",
            &"k".repeat(1024),
        ] {
            assert_eq!(
                ObjectKey::parse(good).map(|k| k.as_str().to_owned()),
                Ok(good.to_owned())
            );
        }
        assert_eq!(ObjectKey::parse(""), Err(InvalidObjectKey::Empty));
        assert_eq!(
            ObjectKey::parse(&"k".repeat(1025)),
            Err(InvalidObjectKey::TooLong)
        );
        assert_eq!(ObjectKey::parse("a\0b"), Err(InvalidObjectKey::Nul));
    }

    #[test]
    fn t103_empty_segments() {
        for (key, empty) in [
            ("/", true),
            ("/a", true),
            ("//a", true),
            ("a//b", true),
            ("a//", true),
            ("a\\/b", true),
            ("\\a", true),
            ("a", false),
            ("a/", false),
            ("a/b/", false),
            ("a\\b", false),
            ("a /b", false),
        ] {
            assert_eq!(
                ObjectKey::parse(key).map(|k| k.has_empty_segment()),
                Ok(empty),
                "{key}"
            );
        }
    }

    #[test]
    fn dot_segments() {
        for (key, dotted) in [
            ("a/../b", true),
            ("..", true),
            (".", true),
            ("a/.", true),
            ("a\\..\\b", true),
            ("a..b", false),
            ("...", false),
            (".a", false),
            ("a//b", false),
            ("a/..b/c", false),
        ] {
            assert_eq!(
                ObjectKey::parse(key).map(|k| k.has_dot_segment()),
                Ok(dotted),
                "{key}"
            );
        }
    }
}
