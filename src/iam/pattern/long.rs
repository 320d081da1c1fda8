//! Finds a long segment with `?` in it: where trying it at every place could take length times length,
//! all places are tried at once, a bit for each (Shift-And; Baeza-Yates and Gonnet, 1992).

use std::collections::HashMap;

use super::glob::{AsPart, Seen};

/// What stands behind the leftmost place of `segment` in `text`.
pub(super) fn find<'t, P: AsPart>(segment: &[P], text: &'t [u8]) -> Option<&'t [u8]> {
    let wanted = characters(segment)?;
    let text = std::str::from_utf8(text).ok()?;
    let last = wanted.len().checked_sub(1)?;
    let mut reached = Bits::new(wanted.len());
    // Which characters of the segment each character of the text can be.
    let mut fits: HashMap<char, Bits> = HashMap::new();
    for (at, c) in text.char_indices() {
        let fit = fits.entry(c).or_insert_with(|| Bits::of(&wanted, c));
        reached.step(fit);
        if reached.has(last) {
            return text.as_bytes().get(at.saturating_add(c.len_utf8())..);
        }
    }
    None
}

/// One by one; `None` for a `?`.
fn characters<P: AsPart>(segment: &[P]) -> Option<Vec<Option<char>>> {
    let mut all = Vec::new();
    for part in segment {
        match part.seen() {
            Seen::Text(text) => all.extend(std::str::from_utf8(text).ok()?.chars().map(Some)),
            Seen::One => all.push(None),
            Seen::Any => return None,
        }
    }
    Some(all)
}

/// A bit for each character of the segment.
struct Bits(Vec<u64>);

impl Bits {
    fn new(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    /// Where `c` can stand.
    fn of(wanted: &[Option<char>], c: char) -> Self {
        let word = |chunk: &[Option<char>]| {
            let bit = |(at, one): (u32, &Option<char>)| {
                u64::from(one.is_none_or(|one| one == c)).wrapping_shl(at)
            };
            (0..).zip(chunk).map(bit).fold(0, |word, bit| word | bit)
        };
        Self(wanted.chunks(64).map(word).collect())
    }

    /// One character further: a place may begin with it, and those that have begun must go on.
    fn step(&mut self, fits: &Self) {
        let mut carry = 1;
        for (word, fit) in self.0.iter_mut().zip(&fits.0) {
            let over = *word >> 63;
            *word = (*word << 1 | carry) & fit;
            carry = over;
        }
    }

    fn has(&self, at: usize) -> bool {
        let word = self.0.get(at / 64);
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}
