//! Wildcard patterns: `*` is any text, `?` one character, `${key}` the literal text of a request's
//! value. Compiled once; matched in time linear in text times pattern at worst, never exponential.

use std::borrow::Cow;

use super::evaluate::Context;
use super::key::Key;

/// A compiled pattern: pieces between `*`s, each found leftmost after the one before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    /// At least one; more than one when there is a `*`.
    segments: Vec<Segment>,
    variables: bool,
}

type Segment = Vec<Piece>;

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(Box<str>),
    /// `?`.
    One,
    Variable {
        key: Key,
        default: Option<Box<str>>,
    },
}

impl Pattern {
    /// Compiles `text`; `variables` says whether the policy's version knows them.
    pub(super) fn parse(text: &str, variables: bool) -> Result<Self, String> {
        Self::compile(text, variables, true)
    }

    /// A text in which only variables are special.
    pub(super) fn literal(text: &str, variables: bool) -> Result<Self, String> {
        Self::compile(text, variables, false)
    }

    fn compile(text: &str, variables: bool, wildcards: bool) -> Result<Self, String> {
        let mut segments = vec![Segment::new()];
        let mut plain = String::new();
        let mut rest = text;
        let mut any_variable = false;
        while let Some(c) = rest.chars().next() {
            let after = rest.strip_prefix(c).unwrap_or_default();
            match c {
                '*' if wildcards => {
                    flush(&mut plain, &mut segments);
                    segments.push(Segment::new());
                    rest = after;
                }
                '?' if wildcards => {
                    flush(&mut plain, &mut segments);
                    push(&mut segments, Piece::One);
                    rest = after;
                }
                '$' if variables && after.starts_with('{') => {
                    let (inner, behind) =
                        after
                            .strip_prefix('{')
                            .and_then(|t| t.split_once('}'))
                            .ok_or_else(|| format!("`{text}` has a variable that does not end"))?;
                    match variable(inner)? {
                        Ok(literal) => plain.push_str(literal),
                        Err(piece) => {
                            any_variable = true;
                            flush(&mut plain, &mut segments);
                            push(&mut segments, piece);
                        }
                    }
                    rest = behind;
                }
                other => {
                    plain.push(other);
                    rest = after;
                }
            }
        }
        flush(&mut plain, &mut segments);
        Ok(Self {
            segments,
            variables: any_variable,
        })
    }

    /// Whether `text` matches. A variable without a value and default matches nothing.
    pub(super) fn matches(&self, text: &str, context: &dyn Context) -> bool {
        if !self.variables {
            return matches(&self.segments, text);
        }
        match self.resolve(context) {
            Some(segments) => matches(&segments, text),
            None => false,
        }
    }

    /// Whether every variable has a value.
    pub(super) fn resolvable(&self, context: &dyn Context) -> bool {
        !self.variables || self.resolve(context).is_some()
    }

    /// Replaces variables by their text, in which nothing is special.
    fn resolve(&self, context: &dyn Context) -> Option<Vec<Segment>> {
        let piece = |piece: &Piece| match piece {
            Piece::Variable { key, default } => {
                let values = context.values(key);
                let value = values.as_ref().and_then(|values| values.single());
                let value = value
                    .map(Cow::into_owned)
                    .or_else(|| default.as_ref().map(|d| d.to_string()));
                value.map(|value| Piece::Text(value.into()))
            }
            other => Some(other.clone()),
        };
        self.segments
            .iter()
            .map(|segment| segment.iter().map(piece).collect())
            .collect()
    }

    /// The text when nothing in it is special.
    pub(super) fn exact(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [segment] => match segment.as_slice() {
                [] => Some(""),
                [Piece::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The literal text it begins with.
    pub(super) fn prefix(&self) -> &str {
        match self.segments.first().and_then(|segment| segment.first()) {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }
}

/// `${*}`, `${?}` and `${$}` are those characters; the rest is a key, with or without a default.
fn variable(inner: &str) -> Result<Result<&str, Piece>, String> {
    if matches!(inner, "*" | "?" | "$") {
        return Ok(Ok(inner));
    }
    let (key, default) = match inner.split_once(',') {
        None => (inner.trim(), None),
        Some((key, default)) => {
            let default = default.trim();
            let quoted = default
                .strip_prefix('\'')
                .and_then(|d| d.strip_suffix('\''));
            (
                key.trim(),
                Some(
                    quoted
                        .ok_or_else(|| {
                            format!("the default in `${{{inner}}}` is not in single quotes")
                        })?
                        .into(),
                ),
            )
        }
    };
    Ok(Err(Piece::Variable {
        key: Key::parse(key)?,
        default,
    }))
}

fn flush(plain: &mut String, segments: &mut [Segment]) {
    if !plain.is_empty()
        && let Some(segment) = segments.last_mut()
    {
        segment.push(Piece::Text(std::mem::take(plain).into()));
    }
}

fn push(segments: &mut [Segment], piece: Piece) {
    if let Some(segment) = segments.last_mut() {
        segment.push(piece);
    }
}

/// First segment at the start, last at the end, the others leftmost in between: greedy is exact,
/// since a match further left leaves the most for what follows.
fn matches(segments: &[Segment], text: &str) -> bool {
    let Some((first, others)) = segments.split_first() else {
        return false;
    };
    let Some(rest) = at_start(first, text) else {
        return false;
    };
    let Some((last, middle)) = others.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for segment in middle {
        match find(segment, rest) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    at_end(last, rest)
}

/// What stands behind `segment` where `text` starts with it.
fn at_start<'t>(segment: &Segment, text: &'t str) -> Option<&'t str> {
    let mut rest = text;
    for piece in segment {
        rest = match piece {
            Piece::Text(literal) => rest.strip_prefix(&**literal)?,
            Piece::One => {
                let mut characters = rest.chars();
                characters.next()?;
                characters.as_str()
            }
            Piece::Variable { .. } => return None,
        };
    }
    Some(rest)
}

/// What stands behind the leftmost place of `segment` in `text`.
fn find<'t>(segment: &Segment, text: &'t str) -> Option<&'t str> {
    if let [Piece::Text(literal)] = segment.as_slice() {
        return text.split_once(&**literal).map(|(_, behind)| behind);
    }
    let mut rest = text;
    loop {
        if let Some(behind) = at_start(segment, rest) {
            return Some(behind);
        }
        let mut characters = rest.chars();
        characters.next()?;
        rest = characters.as_str();
    }
}

fn at_end(segment: &Segment, text: &str) -> bool {
    let mut rest = text;
    for piece in segment.iter().rev() {
        let before = match piece {
            Piece::Text(literal) => rest.strip_suffix(&**literal),
            Piece::One => {
                let mut characters = rest.chars();
                characters.next_back().map(|_| characters.as_str())
            }
            Piece::Variable { .. } => None,
        };
        match before {
            Some(before) => rest = before,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::evaluate::Values;
    use super::*;

    struct Alice;

    impl Context for Alice {
        fn values(&self, key: &Key) -> Option<Values<'_>> {
            (key.as_str() == "aws:username").then(|| Values::One("a*?".into()))
        }
    }

    #[test]
    fn t34_t38_patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "a\u{1f980}c", true),
            ("*b*c", "abcbc", true),
            ("*b*d", "abcbc", false),
            ("**", "x", true),
            ("a*b*c", "a1b2b3c", true),
            ("public/*", "public/../private", true),
            ("B", "b", false),
            ("home/${aws:username}/*", "home/a*?/x", true),
            ("home/${aws:username}/*", "home/abc/x", false),
            ("${*}", "*", true),
            ("${*}", "x", false),
            ("${?}${$}", "?$", true),
            ("${aws:userid, 'none'}", "none", true),
            ("${aws:userid}", "", false),
            ("?*?", "ab", true),
            ("?*?", "a", false),
            ("*??", "a", false),
        ] {
            assert_eq!(
                Pattern::parse(pattern, true).unwrap().matches(text, &Alice),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(
            Pattern::parse("${aws:username}", false)
                .unwrap()
                .matches("${aws:username}", &Alice)
        );
        for bad in ["${aws:nonsense}", "${aws:username", "${aws:username, none}"] {
            assert!(Pattern::parse(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn t46_many_stars_stay_cheap() {
        let pattern = Pattern::parse(&format!("{}b", "*a".repeat(256)), false).unwrap();
        let text = "a".repeat(1024);
        let start = std::time::Instant::now();
        for _ in 0..100 {
            assert!(!pattern.matches(&text, &Alice));
        }
        assert!(
            start.elapsed().as_millis() < 1000,
            "a match must stay far below 1 ms"
        );
    }
}
