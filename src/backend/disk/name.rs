//! Keys as paths: each segment of a key is a directory, the last one a file.
//!
//! An object's file ends in `@` and a directory does not, so `a` and `a/b` stand side by side. A
//! segment of [`PIECE`] bytes or more goes on in a directory that ends in `~`. What could be read as
//! one of these, or as a path, is percent-encoded; everything else stays readable. See `FORMAT.md`.
//!
//! Behind [`DEPTH`] directories the rest of a key is one segment, slashes and all: every directory is
//! one to make, sync, list and remove, and a key of a thousand slashes would have a thousand.

use std::fmt::Write as _;

/// The longest piece of a segment that one name holds: percent-encoded it stays below 255 bytes.
pub(super) const PIECE: usize = 80;

/// How many directories deep a segment may begin that has a directory of its own.
pub(super) const DEPTH: usize = 16;

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
    spell(key, DEPTH)
}

/// The path that versions 1 and 2 of the format gave a key.
pub(super) fn earlier_path(key: &str) -> (Vec<String>, String) {
    spell(key, usize::MAX)
}

fn spell(key: &str, depth: usize) -> (Vec<String>, String) {
    let mut directories = Vec::new();
    let mut left = key;
    loop {
        let (segment, behind) = match left.split_once('/') {
            Some((segment, behind)) if directories.len() < depth => (segment, Some(behind)),
            _ => (left, None),
        };
        let mut rest = segment.as_bytes();
        while rest.len() >= PIECE {
            let (piece, after) = rest.split_at(PIECE);
            directories.push(format!("{}~", encode(piece)));
            rest = after;
        }
        match behind {
            Some(behind) => {
                directories.push(encode(rest));
                left = behind;
            }
            None => return (directories, format!("{}@", encode(rest))),
        }
    }
}

/// Where in a tree a directory is: what its entries' names may be depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// How many directories are above its entries.
    depth: usize,
    /// Whether the segment that its entries go on with is a key's last, slashes and all.
    last: bool,
}

impl Level {
    /// The level of the directory `name`, an entry of this level's.
    pub(super) fn below(self, kind: Kind) -> Self {
        let depth = self.depth.saturating_add(1);
        Self {
            depth,
            last: match kind {
                Kind::Directory | Kind::Object => depth >= DEPTH,
                Kind::Piece => self.last,
            },
        }
    }

    /// Whether its entries' names hold all that is left of a key, slashes and all.
    pub(super) fn is_last(self) -> bool {
        self.last
    }

    /// The level below all of these directories.
    pub(super) fn of(directories: &[String]) -> Self {
        let kind = |name: &String| match name.ends_with('~') {
            true => Kind::Piece,
            false => Kind::Directory,
        };
        directories
            .iter()
            .fold(Self::default(), |level, name| level.below(kind(name)))
    }
}

/// The name of the entry of a directory that keys go on in with `bytes`; a directory's end in `/`.
pub(super) fn entry(kind: Kind, bytes: &[u8]) -> String {
    match kind {
        Kind::Object => format!("{}@", encode(bytes)),
        Kind::Piece => format!("{}~", encode(bytes)),
        Kind::Directory => encode(bytes.strip_suffix(b"/").unwrap_or(bytes)),
    }
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
        if is_plain(byte) && !dots {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// Whether a byte stands for itself in a name, unless that is `.` or `..`.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && !matches!(byte, b'/' | b'%' | b'@' | b'~')
}

/// What a directory entry's name means: its kind, and what keys go on with, with a `/` behind a
/// directory's. `None` for one that nobody here wrote.
pub(super) fn decode(level: Level, name: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let (kind, mut bytes) = spelled(name)?;
    match (kind, level.last) {
        (Kind::Directory, true) => return None,
        (_, false) if bytes.contains(&b'/') => return None,
        (Kind::Directory, false) => bytes.push(b'/'),
        (Kind::Object | Kind::Piece, _) => {}
    }
    Some((kind, bytes))
}

/// What versions 1 and 2 of the format read a name as.
pub(super) fn earlier_decode(name: &[u8]) -> Option<(Kind, Vec<u8>)> {
    spelled(name)
}

fn spelled(name: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let (kind, encoded) = match name.split_last()? {
        (b'@', rest) => (Kind::Object, rest),
        (b'~', rest) => (Kind::Piece, rest),
        _ => (Kind::Directory, name),
    };
    let length = |bytes: &[u8]| match kind {
        Kind::Piece => bytes.len() == PIECE,
        Kind::Object | Kind::Directory => bytes.len() < PIECE,
    };
    // Most names are spelled as they are.
    let dots = matches!(encoded, b"." | b"..");
    if !dots && !encoded.is_empty() && encoded.iter().all(|byte| is_plain(*byte)) {
        return length(encoded).then(|| (kind, encoded.to_vec()));
    }
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
    (exact && length(&bytes)).then_some((kind, bytes))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    /// Joins a path back into its key.
    fn key(directories: &[String], file: &str) -> Vec<u8> {
        let mut key = Vec::new();
        let mut level = Level::default();
        for name in directories.iter().map(String::as_str).chain([file]) {
            let (kind, bytes) = decode(level, name.as_bytes()).unwrap();
            assert_eq!(entry(kind, &bytes), name);
            key.extend_from_slice(&bytes);
            level = level.below(kind);
        }
        assert!(directories.len() <= DEPTH + 13, "{}", directories.len());
        key
    }

    #[test]
    fn t69_t77_names_are_harmless_and_exact() {
        let long = "x".repeat(1024);
        let wide = "\u{1f980}".repeat(256);
        let slashes = "/".repeat(1024);
        let deep = "a/".repeat(512);
        let mixed = format!(
            "{}{}",
            "b/".repeat(14),
            format!("{}/", "y".repeat(170)).repeat(5)
        );
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
            &slashes,
            &deep,
            &mixed,
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
                decode(Level::default(), foreign.as_bytes())
                    .is_none_or(|(kind, _)| kind == Kind::Directory && foreign == "lost+found"),
                "{foreign}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back(text in ".{1,300}|[ab/]{1,200}") {
            let (directories, file) = path(&text);
            prop_assert_eq!(key(&directories, &file), text.as_bytes());
        }

        #[test]
        fn two_keys_never_share_a_path(
            a in "[a-c/@~%.]{1,12}|[a/]{18,24}", b in "[a-c/@~%.]{1,12}|[a/]{18,24}",
        ) {
            prop_assert_eq!(path(&a) == path(&b), a == b);
        }
    }
}
