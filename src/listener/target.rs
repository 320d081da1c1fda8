//! HTTP/2's request targets as their bytes pass on their way to Pingora, whose parser takes a fragment off
//! one and says nothing of it: the key would be another than who stands before us reads (T52). A
//! connection on which one comes ends.
//!
//! Of a header block (RFC 7541) only that much is read: which fields are targets, whether they hold `#`, and
//! how long fields are that later blocks may refer to. What makes no sense here makes none to the parser
//! behind, which ends the connection as well.

use std::collections::VecDeque;

/// What an HTTP/2 client says first, before frames.
const PREFACE: usize = 24;
/// A frame's head (RFC 9113 section 4.1).
const FRAME: usize = 9;
/// As much of fields as may be referred to: the protocol's default, which nothing here changes.
const TABLE: usize = 4096;
/// What a field counts for beside its bytes.
const FIELD: usize = 32;
/// `:path`, as it is and in HPACK's code.
const PATH: [&[u8]; 2] = [b":path", &[0xb9, 0x58, 0xd3, 0x3f]];

/// The lengths of the names in HPACK's static table.
const NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];

/// HPACK's code is canonical: how many symbols there are of each length, in bits. `#` is the first of 12.
const SYMBOLS: [(u32, u32); 21] = [
    (5, 10),
    (6, 26),
    (7, 32),
    (8, 6),
    (10, 5),
    (11, 3),
    (12, 2),
    (13, 6),
    (14, 2),
    (15, 3),
    (19, 3),
    (20, 8),
    (21, 13),
    (22, 26),
    (23, 29),
    (24, 12),
    (25, 4),
    (26, 15),
    (27, 19),
    (28, 29),
    (30, 4),
];

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A target with a fragment.
    #[error("a request target holds a fragment")]
    Fragment,
    /// Fields that cannot be read.
    #[error("a header block cannot be read")]
    Unreadable,
    /// Fields without end.
    #[error("a header block has more fields than a head may have bytes")]
    TooMany,
}

/// What has passed of a connection.
#[derive(Debug)]
pub(super) struct Targets {
    stage: Stage,
    /// The payload of a frame with a piece of a header block.
    piece: Vec<u8>,
    /// The header block that has begun, so many of whose fields are whole, up to there.
    block: Vec<u8>,
    fields: usize,
    whole: usize,
    /// The longest that one may be.
    most: usize,
    /// The most fields of one. A byte can stand for a field, and costs whoever reads it as much as a
    /// field of hundreds.
    most_fields: usize,
    known: Known,
}

#[derive(Debug)]
enum Stage {
    /// So many bytes are of no interest.
    Skip(usize),
    /// So many bytes of a frame's head have come.
    Head([u8; FRAME], usize),
    /// So many bytes of a piece are to come, of a frame of these flags; whether it begins a block.
    Piece(usize, u8, bool),
}

impl Targets {
    /// Of a connection whose heads have at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            stage: Stage::Skip(PREFACE),
            piece: Vec::new(),
            block: Vec::new(),
            fields: 0,
            whole: 0,
            // A byte takes up to 30 bits in HPACK's code.
            most: most.saturating_mul(4).saturating_add(65_536),
            most_fields: most,
            known: Known {
                most: TABLE,
                ..Known::default()
            },
        }
    }

    /// Whether a header block has begun and not ended.
    pub(super) fn is_within_a_head(&self) -> bool {
        !self.block.is_empty() || matches!(self.stage, Stage::Piece(..))
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// [`Refused`] says why nothing more may pass.
    pub(super) fn watch(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        while !bytes.is_empty() {
            let wanted = match &self.stage {
                Stage::Skip(left) | Stage::Piece(left, ..) => *left,
                Stage::Head(_, come) => FRAME.saturating_sub(*come),
            };
            let (now, rest) = bytes.split_at(bytes.len().min(wanted));
            bytes = rest;
            let left = wanted.saturating_sub(now.len());
            self.stage = match std::mem::replace(&mut self.stage, Stage::Skip(0)) {
                Stage::Skip(_) if left == 0 => Stage::Head([0; FRAME], 0),
                Stage::Skip(_) => Stage::Skip(left),
                Stage::Head(mut head, come) => {
                    for (to, from) in head.iter_mut().skip(come).zip(now) {
                        *to = *from;
                    }
                    match left {
                        0 => begin(head),
                        _ => Stage::Head(head, come.saturating_add(now.len())),
                    }
                }
                Stage::Piece(_, flags, first) => {
                    self.piece.extend_from_slice(now);
                    match left {
                        0 => {
                            self.end(flags, first)?;
                            Stage::Head([0; FRAME], 0)
                        }
                        _ => Stage::Piece(left, flags, first),
                    }
                }
            };
        }
        Ok(())
    }

    /// A piece of a header block is there.
    fn end(&mut self, flags: u8, first: bool) -> Result<(), Refused> {
        const END: u8 = 0x4;
        const PADDED: u8 = 0x8;
        const PRIORITY: u8 = 0x20;
        let mut piece = self.piece.as_slice();
        if first && flags & PADDED != 0 {
            let (padding, rest) = piece.split_first().ok_or(Refused::Unreadable)?;
            let length = rest.len().checked_sub(usize::from(*padding));
            piece = rest
                .get(..length.ok_or(Refused::Unreadable)?)
                .unwrap_or_default();
        }
        if first && flags & PRIORITY != 0 {
            piece = piece.get(5..).ok_or(Refused::Unreadable)?;
        }
        if self.block.len().saturating_add(piece.len()) > self.most {
            return Err(Refused::Unreadable);
        }
        self.block.extend_from_slice(piece);
        self.piece = Vec::new();
        self.count()?;
        if flags & END != 0 {
            let block = std::mem::take(&mut self.block);
            (self.fields, self.whole) = (0, 0);
            self.known.read(&block)?;
        }
        Ok(())
    }

    /// Counts the fields that have become whole, before the parser behind is given the frame.
    fn count(&mut self) -> Result<(), Refused> {
        loop {
            let mut rest = Rest(self.block.get(self.whole..).unwrap_or_default());
            if rest.skip().is_err() {
                return Ok(());
            }
            self.whole = self.block.len().saturating_sub(rest.0.len());
            self.fields = self.fields.saturating_add(1);
            if self.fields > self.most_fields {
                return Err(Refused::TooMany);
            }
        }
    }
}

/// What follows a frame's head.
fn begin(head: [u8; FRAME]) -> Stage {
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    let [a, b, c, kind, flags, ..] = head;
    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    match (kind, length) {
        (_, 0) if kind != HEADERS && kind != CONTINUATION => Stage::Head([0; FRAME], 0),
        (HEADERS, _) => Stage::Piece(length, flags, true),
        (CONTINUATION, _) => Stage::Piece(length, flags, false),
        _ => Stage::Skip(length),
    }
}

/// A field that later blocks may refer to.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    name: usize,
    size: usize,
    is_target: bool,
    has_fragment: bool,
}

/// The fields that may be referred to, the latest first.
#[derive(Debug, Default)]
struct Known {
    fields: VecDeque<Field>,
    size: usize,
    most: usize,
}

impl Known {
    fn read(&mut self, block: &[u8]) -> Result<(), Refused> {
        let mut rest = Rest(block);
        while let Some(first) = rest.0.first().copied() {
            if first & 0x80 != 0 {
                let field = self.field(rest.number(7)?)?;
                if field.is_target && field.has_fragment {
                    return Err(Refused::Fragment);
                }
            } else if first & 0xe0 == 0x20 {
                self.most = rest.number(5)?;
                if self.most > TABLE {
                    return Err(Refused::Unreadable);
                }
                self.fit();
            } else {
                let kept = first & 0x40 != 0;
                let field = self.literal(&mut rest, if kept { 6 } else { 4 })?;
                if kept {
                    self.size = self.size.saturating_add(field.size);
                    self.fields.push_front(field);
                    self.fit();
                }
            }
        }
        Ok(())
    }

    fn literal(&self, rest: &mut Rest<'_>, bits: u8) -> Result<Field, Refused> {
        let (name, is_target) = match rest.number(bits)? {
            0 => {
                let name = rest.text()?;
                (name.length, PATH.contains(&name.raw))
            }
            index => {
                let field = self.field(index)?;
                (field.name, field.is_target)
            }
        };
        let value = rest.text()?;
        if is_target && value.has_fragment {
            return Err(Refused::Fragment);
        }
        Ok(Field {
            name,
            size: name.saturating_add(value.length).saturating_add(FIELD),
            is_target,
            has_fragment: value.has_fragment,
        })
    }

    /// The field of that number: those of the standard first.
    fn field(&self, index: usize) -> Result<Field, Refused> {
        let at = index.checked_sub(1).ok_or(Refused::Unreadable)?;
        if let Some(name) = NAMES.get(at) {
            return Ok(Field {
                name: usize::from(*name),
                is_target: matches!(index, 4 | 5),
                ..Field::default()
            });
        }
        let field = self.fields.get(at.saturating_sub(NAMES.len()));
        field.copied().ok_or(Refused::Unreadable)
    }

    fn fit(&mut self) {
        while self.size > self.most {
            let Some(field) = self.fields.pop_back() else {
                return;
            };
            self.size = self.size.saturating_sub(field.size);
        }
    }
}

/// What is known of a text.
struct Text<'b> {
    raw: &'b [u8],
    length: usize,
    has_fragment: bool,
}

/// What is left of a block.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    /// A field, or a change of what may be referred to.
    fn skip(&mut self) -> Result<(), Refused> {
        let first = self.0.first().copied().ok_or(Refused::Unreadable)?;
        let bits = match first {
            _ if first & 0x80 != 0 => 7,
            _ if first & 0x40 != 0 => 6,
            _ if first & 0x20 != 0 => 5,
            _ => 4,
        };
        let index = self.number(bits)?;
        let is_literal = matches!(bits, 4 | 6);
        for _ in 0..usize::from(is_literal) + usize::from(is_literal && index == 0) {
            let length = self.number(7)?;
            let (_, rest) = (self.0.split_at_checked(length)).ok_or(Refused::Unreadable)?;
            self.0 = rest;
        }
        Ok(())
    }

    /// A number whose first bits are the last of a byte (RFC 7541 section 5.1).
    fn number(&mut self, bits: u8) -> Result<usize, Refused> {
        let (first, mut rest) = self.0.split_first().ok_or(Refused::Unreadable)?;
        let most = (1_usize << bits).saturating_sub(1);
        let mut number = usize::from(*first) & most;
        if number == most {
            for shift in (0..).step_by(7) {
                let (byte, behind) = rest.split_first().ok_or(Refused::Unreadable)?;
                rest = behind;
                // More than any block has bytes.
                if shift > 28 {
                    return Err(Refused::Unreadable);
                }
                number = number.saturating_add(usize::from(byte & 0x7f) << shift);
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        self.0 = rest;
        Ok(number)
    }

    /// A text (RFC 7541 section 5.2).
    fn text(&mut self) -> Result<Text<'b>, Refused> {
        let coded = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.number(7)?;
        let (raw, rest) = (self.0.split_at_checked(length)).ok_or(Refused::Unreadable)?;
        self.0 = rest;
        Ok(match coded {
            true => {
                let (length, has_fragment) = symbols(raw);
                Text {
                    raw,
                    length,
                    has_fragment,
                }
            }
            false => Text {
                raw,
                length: raw.len(),
                has_fragment: memchr::memchr(b'#', raw).is_some(),
            },
        })
    }
}

/// How many symbols of HPACK's code these bytes are, and whether `#` is among them. What is no symbol is
/// the padding at the end, or ends the connection behind.
fn symbols(raw: &[u8]) -> (usize, bool) {
    let (mut count, mut has_fragment) = (0_usize, false);
    // Bits that are not yet a symbol, and how many.
    let (mut bits, mut have) = (0_u64, 0_u32);
    for byte in raw {
        bits = bits << 8 | u64::from(*byte);
        have += 8;
        while let Some((length, fragment)) = symbol(bits, have) {
            count += 1;
            has_fragment |= fragment;
            have -= length;
            bits &= (1_u64 << have) - 1;
        }
        if have > 48 {
            break;
        }
    }
    (count, has_fragment)
}

/// The length of the symbol that begins `have` bits, where it is whole, and whether it is `#`.
fn symbol(bits: u64, have: u32) -> Option<(u32, bool)> {
    let (mut first, mut before) = (0_u64, 0_u32);
    for (length, count) in SYMBOLS {
        if length > have {
            return None;
        }
        first <<= length - before;
        before = length;
        let code = bits >> (have - length);
        if code < first + u64::from(count) {
            return Some((length, length == 12 && code == first));
        }
        first += u64::from(count);
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    /// What is said of frames that come in pieces of any size.
    fn said(frames: &[Vec<u8>]) -> Result<(), Refused> {
        let mut all = vec![0; PREFACE];
        frames.iter().for_each(|frame| all.extend(frame));
        let of = |size: usize| {
            let mut targets = Targets::new(8192);
            let mut pieces = all.chunks(size);
            pieces.try_for_each(|piece| targets.watch(piece))
        };
        let whole = of(all.len());
        for size in [1, 2, 7, 100] {
            assert_eq!(of(size), whole, "by {size}");
        }
        whole
    }

    fn plain(text: &[u8]) -> Vec<u8> {
        let mut all = vec![u8::try_from(text.len()).unwrap()];
        all.extend_from_slice(text);
        all
    }

    fn literal(first: u8, texts: &[&[u8]]) -> Vec<u8> {
        let mut all = vec![first];
        texts.iter().for_each(|text| all.extend(plain(text)));
        all
    }

    #[test]
    fn t89_fields_are_counted_before_they_are_read() {
        const FIELDS: usize = 8192;
        let indexed = |count: usize| vec![0x82; count];
        assert_eq!(said(&[frame(1, 4, &indexed(FIELDS))]), Ok(()));
        assert_eq!(
            said(&[frame(1, 4, &indexed(FIELDS + 1))]),
            Err(Refused::TooMany)
        );
        // Before the block ends, and whatever the pieces are.
        let literals: Vec<u8> = (0..FIELDS)
            .flat_map(|_| literal(0, &[b"a", b"b"]))
            .collect();
        for size in [7, 500, 9000] {
            let mut frames = vec![frame(1, 0, &[])];
            frames.extend(literals.chunks(size).map(|piece| frame(9, 0, piece)));
            assert_eq!(said(&frames), Ok(()), "by {size}");
            frames.push(frame(9, 0, &[0x82]));
            assert_eq!(said(&frames), Err(Refused::TooMany), "by {size}");
        }
        // Each block anew.
        assert_eq!(
            said(&[frame(1, 4, &indexed(5000)), frame(1, 4, &indexed(5000))]),
            Ok(())
        );
    }

    #[test]
    fn t52_targets_have_no_fragment() {
        let fragment = Err(Refused::Fragment);
        for (block, expected) in [
            (literal(0x04, &[b"/a"]), Ok(())),
            (literal(0x04, &[b"/a#b"]), fragment),
            (literal(0x05, &[b"#"]), fragment),
            (literal(0x14, &[b"/a#b"]), fragment),
            (literal(0x44, &[b"/a#b"]), fragment),
            (literal(0x00, &[b":path", b"/a#b"]), fragment),
            (literal(0x40, &[b":path", b"/a#b"]), fragment),
            // Other fields may.
            (literal(0x00, &[b"x-a", b"/a#b"]), Ok(())),
            (
                literal(0x0f, &[])
                    .into_iter()
                    .chain([0x2b])
                    .chain(plain(b"a#b"))
                    .collect(),
                Ok(()),
            ),
            // In HPACK's code: `/a#b` and `/a`.
            (vec![0x04, 0x84, 0x60, 0x7f, 0xf5, 0x1f], fragment),
            (vec![0x04, 0x82, 0x60, 0x7f], Ok(())),
            (
                [&[0x00, 0x84][..], PATH[1], &plain(b"/#")].concat(),
                fragment,
            ),
            // Nonsense.
            (vec![0x80], Err(Refused::Unreadable)),
            (vec![0xbe], Err(Refused::Unreadable)),
            (vec![0x04, 0x7f], Err(Refused::Unreadable)),
            (
                vec![0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Err(Refused::Unreadable),
            ),
        ] {
            assert_eq!(said(&[frame(1, 0x4, &block)]), expected, "{block:x?}");
            // Behind others, padded, with a priority, and in two pieces.
            let data = frame(0, 1, b"\x00\x00\x05\x01\x04\x00\x00\x00\x01\x04\x02/#");
            assert_eq!(
                said(&[data, frame(4, 0, &[]), frame(1, 0x4, &block)]),
                expected
            );
            let padded = [&[3, 0, 0, 0, 0, 9][..], &block, b"/##"].concat();
            assert_eq!(said(&[frame(1, 0x4 | 0x8 | 0x20, &padded)]), expected);
            let (one, two) = block.split_at(block.len() / 2);
            assert_eq!(said(&[frame(1, 0, one), frame(9, 0x4, two)]), expected);
        }
    }

    #[test]
    fn t52_targets_that_are_referred_to() {
        // A field whose value has `#` under another name, and `:path` behind it.
        let first = [literal(0x40, &[b"x", b"#"]), literal(0x44, &[b"/k"])].concat();
        let block = |bytes: &[u8]| frame(1, 0x4, bytes);
        // 62 is the latest: `:path`, whose name another value takes.
        assert_eq!(said(&[block(&first), block(&[0xbe, 0xbf])]), Ok(()));
        let takes = |first: u8, rest: &[u8]| [&[first][..], rest].concat();
        assert_eq!(
            said(&[block(&first), block(&takes(0x7e, &plain(b"/#")))]),
            Err(Refused::Fragment)
        );
        assert_eq!(
            said(&[
                block(&first),
                block(&takes(0x7f, &[&[0][..], &plain(b"/#")].concat()))
            ]),
            Ok(())
        );
        // What was thrown out is not there to be referred to.
        assert_eq!(
            said(&[block(&first), block(&[0x20]), block(&[0xbe])]),
            Err(Refused::Unreadable)
        );
        let long = vec![b'a'; 120];
        let fills: Vec<u8> = (0..40)
            .flat_map(|_| literal(0x40, &[b"y", &long]))
            .collect();
        // 4096 have room for 26 of 153 bytes.
        assert_eq!(
            said(&[block(&first), block(&fills), block(&[0xbe + 25])]),
            Ok(())
        );
        assert_eq!(
            said(&[block(&first), block(&fills), block(&[0xbe + 26])]),
            Err(Refused::Unreadable)
        );
    }

    proptest::proptest! {
        /// No bytes panic, and none are read in two ways.
        #[test]
        fn t52_any_bytes(frames in proptest::collection::vec((0_u8..11, proptest::num::u8::ANY, proptest::collection::vec(proptest::num::u8::ANY, 0..60)), 0..6)) {
            let frames: Vec<_> = frames.iter().map(|(kind, flags, payload)| frame(*kind, *flags, payload)).collect();
            let _ = said(&frames);
        }
    }
}
