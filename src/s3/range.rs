//! `Range` and `Content-Range` arithmetic (RFC 9110 section 14), one range at a time as S3 has it.

/// What a client asks for in `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=first-last`, both included.
    FromTo(u64, u64),
    /// `bytes=first-`.
    From(u64),
    /// `bytes=-length`: the last bytes.
    Suffix(u64),
}

/// The range lies outside the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the requested range is not satisfiable")]
pub struct InvalidRange;

/// The bytes that are answered: `first..=last` of `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte's offset.
    pub first: u64,
    /// The last byte's offset.
    pub last: u64,
    /// The whole object's size.
    pub size: u64,
}

impl ByteRange {
    /// Parses a `Range` header. `None` for what S3 ignores: another unit, several ranges, or a text
    /// that is not a range; the whole object is answered then, as RFC 9110 has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |t: &str| {
            t.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| t.parse::<u64>().ok())?
        };
        match (first, last) {
            ("", last) => Some(Self::Suffix(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The bytes this means in an object of `size` bytes; `None` is all of one that has none, which
    /// are its last ones, however many those would be.
    ///
    /// # Errors
    /// [`InvalidRange`] when there are none.
    pub fn resolve(self, size: u64) -> Result<Option<ContentRange>, InvalidRange> {
        if size == 0 && self.is_of_the_end() {
            return Ok(None);
        }
        let end = size.checked_sub(1).ok_or(InvalidRange)?;
        let (first, last) = match self {
            Self::FromTo(first, last) => (first, last.min(end)),
            Self::From(first) => (first, end),
            Self::Suffix(0) => return Err(InvalidRange),
            Self::Suffix(length) => (size.saturating_sub(length), end),
        };
        if first > end {
            Err(InvalidRange)
        } else {
            Ok(Some(ContentRange { first, last, size }))
        }
    }

    /// Whether it is the last bytes, of which every object has some or has none at all.
    #[must_use]
    pub fn is_of_the_end(self) -> bool {
        matches!(self, Self::Suffix(1..))
    }
}

impl std::fmt::Display for ByteRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FromTo(first, last) => write!(f, "bytes={first}-{last}"),
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Suffix(length) => write!(f, "bytes=-{length}"),
        }
    }
}

impl ContentRange {
    /// How many bytes it spans.
    #[must_use]
    pub fn length(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl std::fmt::Display for ContentRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bytes {}-{}/{}", self.first, self.last, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_resolve() {
        type Expected = Result<Option<(u64, u64)>, InvalidRange>;
        let cases: [(&str, u64, Expected); 19] = [
            ("bytes=0-0", 10, Ok(Some((0, 0)))),
            ("bytes=0-9", 10, Ok(Some((0, 9)))),
            ("bytes=0-99", 10, Ok(Some((0, 9)))),
            ("bytes=9-", 10, Ok(Some((9, 9)))),
            ("bytes=-3", 10, Ok(Some((7, 9)))),
            ("bytes=-30", 10, Ok(Some((0, 9)))),
            ("bytes=10-", 10, Err(InvalidRange)),
            ("bytes=10-12", 10, Err(InvalidRange)),
            ("bytes=-0", 10, Err(InvalidRange)),
            ("bytes=0-0", 0, Err(InvalidRange)),
            ("bytes=0-", 0, Err(InvalidRange)),
            ("bytes=-0", 0, Err(InvalidRange)),
            ("bytes=-5", 0, Ok(None)),
            ("bytes=5-4", 10, Ok(None)),
            ("bytes=0-1,3-4", 10, Ok(None)),
            ("items=0-1", 10, Ok(None)),
            ("bytes=+1-2", 10, Ok(None)),
            ("bytes=-", 10, Ok(None)),
            ("bytes=99999999999999999999-", 10, Ok(None)),
        ];
        for (text, size, expected) in cases {
            let resolved = ByteRange::parse(text).map(|r| r.resolve(size)).transpose();
            let resolved = resolved.map(Option::flatten);
            assert_eq!(
                resolved.map(|r| r.map(|r| (r.first, r.last))),
                expected,
                "{text} of {size}"
            );
        }
    }
}
