//! Keys as paths: each segment of a key is a directory, the last one a file.
//!
//! An object's file ends in `@` and a directory does not, so `a` and `a/b` stand side by side. A
//! segment of [`PIECE`] bytes or more goes on in a directory that ends in `~`. What could be read as
//! one of these, or as a path, is percent-encoded; everything else stays readable. See `FORMAT.md`.

use std::fmt::Write as _;

/// The longest piece of a segment that one name holds: percent-encoded it stays below 255 bytes.
pub(super) const PIECE: usize = 80;

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An object: its key ends here.
    Object,
    /// A segment, behind which a `/` follows.
    Directory,
    /// The first [`PIECE`] bytes of a longer segment.
    Piece,
}

/// The path of `key` below a bucket's `objects`: directories, and the object's file name.
pub(super) fn path(key: &str) -> (Vec<String>, String) {
    let mut directories = Vec::new();
    let mut segments = key.split('/').peekable();
    let mut file = String::new();
    while let Some(segment) = segments.next() {
        let mut rest = segment.as_bytes();
        while rest.len() >= PIECE {
            let (piece, behind) = rest.split_at(PIECE);
            directories.push(format!("{}~", encode(piece)));
            rest = behind;
        }
        match segments.peek() {
            Some(_) => directories.push(encode(rest)),
            None => file = format!("{}@", encode(rest)),
        }
    }
    (directories, file)
}

fn encode(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "%".to_owned();
    }
    // Bytes beyond ASCII are encoded too: a piece may end within a character, and some file systems
    // would normalise two keys into one.
    let dots = matches!(bytes, b"." | b"..");
    let mut name = String::with_capacity(bytes.len());
    for &byte in bytes {
        let plain = (0x20..0x7f).contains(&byte) && !matches!(byte, b'/' | b'%' | b'@' | b'~');
        if plain && !dots {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// What a directory entry's name means; `None` for one that nobody here wrote.
pub(super) fn decode(name: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let (kind, encoded) = match name.split_last()? {
        (b'@', rest) => (Kind::Object, rest),
        (b'~', rest) => (Kind::Piece, rest),
        _ => (Kind::Directory, name),
    };
    let mut bytes = Vec::with_capacity(encoded.len());
    if encoded != b"%" {
        let mut rest = encoded.iter();
        while let Some(&byte) = rest.next() {
            if byte == b'%' {
                let digits = [*rest.next()?, *rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
            } else {
                bytes.push(byte);
            }
        }
    }
    // Only the one name that is written for these bytes is theirs.
    let exact = encode(&bytes).as_bytes() == encoded;
    let length = match kind {
        Kind::Piece => bytes.len() == PIECE,
        Kind::Object | Kind::Directory => bytes.len() < PIECE,
    };
    (exact && length).then_some((kind, bytes))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    /// Joins a path back into its key.
    fn key(directories: &[String], file: &str) -> Vec<u8> {
        let mut key = Vec::new();
        for name in directories.iter().map(String::as_str).chain([file]) {
            let (kind, bytes) = decode(name.as_bytes()).unwrap();
            key.extend_from_slice(&bytes);
            if kind == Kind::Directory {
                key.push(b'/');
            }
        }
        key
    }

    #[test]
    fn t69_t77_names_are_harmless_and_exact() {
        let long = "x".repeat(1024);
        let wide = "\u{1f980}".repeat(256);
        for text in [
            "a",
            "a/b",
            "a/",
            "/",
            "//",
            "/a",
            "..",
            ".",
            "../../etc/passwd",
            "a/./b",
            "a@",
            "a~",
            "a%2F",
            "%",
            "a\\b",
            "\u{1}",
            "e\u{301}",
            "\u{e9}",
            &long,
            &wide,
        ] {
            let (directories, file) = path(text);
            for name in directories.iter().chain([&file]) {
                assert!(
                    !name.is_empty()
                        && name.len() <= 255
                        && !name.contains('/')
                        && !matches!(name.as_str(), "." | ".."),
                    "{name}"
                );
            }
            assert_eq!(key(&directories, &file), text.as_bytes(), "{text}");
        }
        for foreign in ["%2", "%zz", "%61@", "a%", "lost+found/", ""] {
            assert!(
                decode(foreign.as_bytes())
                    .is_none_or(|(kind, _)| kind == Kind::Directory && foreign == "lost+found"),
                "{foreign}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back(text in ".{1,300}") {
            let (directories, file) = path(&text);
            prop_assert_eq!(key(&directories, &file), text.as_bytes());
        }

        #[test]
        fn two_keys_never_share_a_path(a in "[a-c/@~%.]{1,12}", b in "[a-c/@~%.]{1,12}") {
            prop_assert_eq!(path(&a) == path(&b), a == b);
        }
    }
}
