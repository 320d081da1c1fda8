//! As much of HPACK (RFC 7541) as is looked at: where fields end, which are targets, whether those hold `#`,
//! and how long fields are that later blocks may refer to.

use std::collections::VecDeque;

use super::Refused;

/// As much of fields as may be referred to: the protocol's default, which nothing here changes.
const TABLE: usize = 4096;
/// What a field counts for beside its bytes.
const FIELD: usize = 32;
/// `:path`, as it is and in HPACK's code.
pub(super) const PATH: [&[u8]; 2] = [b":path", &[0xb9, 0x58, 0xd3, 0x3f]];

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
pub(super) struct Known {
    fields: VecDeque<Field>,
    size: usize,
    most: usize,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            most: TABLE,
            ..Self::default()
        }
    }

    pub(super) fn read(&mut self, block: &[u8]) -> Result<(), Refused> {
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
pub(super) struct Rest<'b>(pub(super) &'b [u8]);

impl<'b> Rest<'b> {
    /// A field, or a change of what may be referred to.
    pub(super) fn skip(&mut self) -> Result<(), Refused> {
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
