//! A request's head as its bytes pass on their way to Pingora, which buffers a megabyte of one that does
//! not end, and repairs what others may repair differently.

use std::io;

/// A head is longer than it may be, and has not ended. What comes behind is never read: where it would
/// end, and the next request begin, is not known.
#[derive(Debug, thiserror::Error)]
#[error("the header section is longer than {0} bytes")]
pub struct TooLarge(pub usize);

/// What has passed of a request. The default is of one that has no head to watch.
#[derive(Debug, Default)]
pub(super) struct Head {
    stage: Stage,
    /// How long it may be.
    most: usize,
    /// How much has passed.
    passed: usize,
}

#[derive(Debug, Default)]
enum Stage {
    /// Line ends before the request line, which parsers skip.
    Before,
    /// In the request line.
    Line { spaces: u8, returned: bool },
    /// In the lines behind it: how many bytes of one have passed, where more than two are two.
    Fields { length: u8, returned: bool },
    /// Behind the empty line.
    #[default]
    Over,
}

impl Head {
    /// Before the first byte of a request whose head has at most `most` bytes.
    pub(super) fn begins(most: usize) -> Self {
        Self {
            stage: Stage::Before,
            most,
            passed: 0,
        }
    }

    /// Whether all of it has passed.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether more may pass.
    ///
    /// # Errors
    /// [`TooLarge`] once the most has passed and the head has not ended.
    pub(super) fn goes_on(&self) -> io::Result<()> {
        match !self.is_over() && self.passed >= self.most {
            true => Err(io::Error::other(TooLarge(self.most))),
            false => Ok(()),
        }
    }

    /// Looks at the next bytes, and says how many of them may go on: all, or as many as complete the
    /// most that a head may have. In the request line it makes what is one too many a `#`, which no
    /// target has and every parser here refuses: Pingora repairs a line with a space or a carriage
    /// return too many into another target, and who stands before or behind us may repair it
    /// differently (T47).
    pub(super) fn check(&mut self, bytes: &mut [u8]) -> usize {
        if self.is_over() {
            return bytes.len();
        }
        let left = self.most.saturating_sub(self.passed);
        for (at, byte) in bytes.iter_mut().enumerate() {
            if at == left {
                self.passed = self.most;
                return left;
            }
            self.stage.next(byte);
            if matches!(self.stage, Stage::Over) {
                break;
            }
        }
        self.passed = self.passed.saturating_add(bytes.len());
        bytes.len()
    }
}

impl Stage {
    fn next(&mut self, byte: &mut u8) {
        if matches!(self, Self::Before) && !matches!(byte, b'\r' | b'\n') {
            *self = Self::Line {
                spaces: 0,
                returned: false,
            };
        }
        match self {
            Self::Line { spaces, returned } => {
                let returned = std::mem::replace(returned, *byte == b'\r');
                match byte {
                    b'\n' => {
                        *self = Self::Fields {
                            length: 0,
                            returned: false,
                        }
                    }
                    _ if returned => *byte = b'#',
                    b' ' if *spaces == 2 => *byte = b'#',
                    b' ' => *spaces += 1,
                    _ => {}
                }
            }
            Self::Fields { length, returned } => match (*byte, *length, *returned) {
                (b'\n', 0, _) | (b'\n', 1, true) => *self = Self::Over,
                (b'\n', ..) => (*length, *returned) = (0, false),
                _ => (*length, *returned) = (2.min(*length + 1), *byte == b'\r'),
            },
            Self::Before | Self::Over => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    /// What goes on of `text` in pieces of `size`, and whether the head was found too large.
    fn passed(text: &str, size: usize, most: usize) -> (String, bool) {
        let mut head = Head::begins(most);
        let (mut bytes, mut all) = (text.as_bytes().to_vec(), Vec::new());
        for piece in bytes.chunks_mut(size) {
            if head.goes_on().is_err() {
                return (String::from_utf8_lossy(&all).into_owned(), true);
            }
            let length = head.check(piece);
            all.extend(piece.iter().take(length));
        }
        (String::from_utf8_lossy(&all).into_owned(), false)
    }

    #[test]
    fn t47_a_request_line_has_two_spaces_and_one_end() {
        for (line, checked) in [
            (
                "GET /a%20b HTTP/1.1\r\nhost: a  b\r\r\n",
                "GET /a%20b HTTP/1.1\r\nhost: a  b\r\r\n",
            ),
            ("GET /a b HTTP/1.1\r\n", "GET /a b#HTTP/1.1\r\n"),
            (
                "GET /k HTTP/1.1 HTTP/1.1\r\n",
                "GET /k HTTP/1.1#HTTP/1.1\r\n",
            ),
            (
                "\r\n\nGET /k HTTP/1.1 HTTP/1.1\r\n",
                "\r\n\nGET /k HTTP/1.1#HTTP/1.1\r\n",
            ),
            ("GET /a\rb HTTP/1.1\r\n", "GET /a\r# HTTP/1.1\r\n"),
            ("GET /a HTTP/1.1\r\r\n", "GET /a HTTP/1.1\r#\n"),
        ] {
            for size in [1, 3, 100] {
                assert_eq!(passed(line, size, 100), (checked.to_owned(), false));
            }
        }
    }

    #[test]
    fn t94_what_follows_a_head_that_is_too_large_is_never_seen() {
        let next = "GET /next HTTP/1.1\r\n\r\n";
        for (text, most, goes_on) in [
            // Its end is found wherever it stands, and nothing is counted behind it.
            ("GET / HTTP/1.1\r\na: b\r\n\r\n", 24, usize::MAX),
            ("\r\nGET / HTTP/1.1\n\n", 18, usize::MAX),
            ("GET / HTTP/1.1\na: b\n\r\n", 22, usize::MAX),
            // A line of one carriage return is empty, one of two is not.
            ("GET / HTTP/1.1\r\n\r\r\n", 20, 20),
            ("GET / HTTP/1.1\r\na: b\r\n\r\n", 23, 23),
            ("GET / HTTP/1.1\r\na: b\r\n \r\n", 24, 24),
            ("\r\n\r\n\r\n\r\n\r\n", 9, 9),
            ("GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 16, 16),
        ] {
            let all = format!("{text}{next}");
            let goes_on = goes_on.min(all.len());
            for size in [1, 2, 7] {
                let expected = (all.chars().take(goes_on).collect(), goes_on < all.len());
                assert_eq!(passed(&all, size, most), expected, "{text:?} by {size}");
            }
            // All at once: it is found when more is asked for.
            assert_eq!(passed(&all, 1000, most).0.len(), goes_on, "{text:?}");
        }
    }
}
