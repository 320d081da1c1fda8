//! The matcher: text between `*`s is found leftmost after what was found before, so that nothing is
//! ever tried twice. Text is UTF-8; `?` is one character of it.

use std::borrow::Cow;

use super::{Piece, long};

/// A piece whose variables have their values.
#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    Text(Cow<'a, [u8]>),
    One,
    Any,
}

/// A piece as the matcher sees it.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    Text(&'a [u8]),
    One,
    Any,
}

/// What can be matched.
pub(super) trait AsPart {
    fn seen(&self) -> Seen<'_>;
}

impl AsPart for Part<'_> {
    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Text(text) => Seen::Text(text),
            Self::One => Seen::One,
            Self::Any => Seen::Any,
        }
    }
}

impl AsPart for Piece {
    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Text(text) => Seen::Text(text.as_bytes()),
            Self::One => Seen::One,
            Self::Any => Seen::Any,
            // A template's variables are replaced before it is matched: null is like nothing, not
            // even like nothing at all.
            Self::Variable { .. } => Seen::Text(&[0xff]),
        }
    }
}

/// The first segment stands at the start, the last at the end, the others leftmost in between: greedy
/// is exact, since a match further left leaves the most for what follows.
pub(super) fn matches<P: AsPart>(parts: &[P], text: &[u8]) -> bool {
    let mut segments = parts.split(|part| matches!(part.seen(), Seen::Any));
    let first = segments.next().unwrap_or_default();
    let Some(mut rest) = at_start(first, text) else {
        return false;
    };
    let Some(last) = segments.next_back() else {
        return rest.is_empty();
    };
    for segment in segments {
        match find(segment, rest) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    at_end(last, rest)
}

/// What stands behind `segment` where `text` starts with it.
fn at_start<'t, P: AsPart>(segment: &[P], text: &'t [u8]) -> Option<&'t [u8]> {
    let mut rest = text;
    for part in segment {
        rest = match part.seen() {
            Seen::Text(literal) => rest.strip_prefix(literal)?,
            Seen::One => behind_character(rest)?,
            Seen::Any => return None,
        };
    }
    Some(rest)
}

/// What stands behind the leftmost place of `segment` in `text`.
fn find<'t, P: AsPart>(segment: &[P], text: &'t [u8]) -> Option<&'t [u8]> {
    let mut rest = text;
    let Some((first, others)) = segment.split_first() else {
        return Some(text);
    };
    if !others.is_empty() && is_long(segment) {
        return long::find(segment, text);
    }
    loop {
        let behind = match first.seen() {
            Seen::Text(literal) => {
                rest = rest.get(place(literal, rest)?..)?;
                rest.strip_prefix(literal)?
            }
            Seen::One => behind_character(rest)?,
            Seen::Any => return None,
        };
        if let Some(behind) = at_start(others, behind) {
            return Some(behind);
        }
        rest = behind_character(rest)?;
    }
}

/// Where a text stands first. What searches long texts well costs too much to set up for a short one.
fn place(literal: &[u8], text: &[u8]) -> Option<usize> {
    match literal {
        [byte] => memchr::memchr(*byte, text),
        literal => memchr::memmem::find(text, literal),
    }
}

/// Whether trying a segment at every place could take noticeable time.
fn is_long<P: AsPart>(segment: &[P]) -> bool {
    const LONG: usize = 32;
    let mut length: usize = 0;
    segment.iter().any(|part| {
        length = length.saturating_add(match part.seen() {
            Seen::Text(text) => text.len(),
            Seen::One | Seen::Any => 1,
        });
        length > LONG
    })
}

fn at_end<P: AsPart>(segment: &[P], text: &[u8]) -> bool {
    let mut rest = text;
    for part in segment.iter().rev() {
        let before = match part.seen() {
            Seen::Text(literal) => rest.strip_suffix(literal),
            Seen::One => before_character(rest),
            Seen::Any => None,
        };
        match before {
            Some(before) => rest = before,
            None => return false,
        }
    }
    true
}

const fn continues(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn behind_character(text: &[u8]) -> Option<&[u8]> {
    let (first, rest) = text.split_first()?;
    if first.is_ascii() {
        return Some(rest);
    }
    let more = rest.iter().take_while(|byte| continues(**byte)).count();
    rest.get(more..)
}

fn before_character(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    while let Some((last, before)) = rest.split_last() {
        rest = before;
        if !continues(*last) {
            return Some(rest);
        }
    }
    None
}
