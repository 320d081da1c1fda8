//! Wildcard patterns: `*` is any text, `?` one character, `${key}` the literal text of a request's
//! value. Compiled once; what has no variable is matched without allocating.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>

mod glob;
mod long;

use std::borrow::Cow;
use std::fmt;

use super::context::Context;
use super::key::Key;
use glob::{Part, matches};

/// A compiled pattern. The first three are what nearly all patterns are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pattern {
    /// `*`.
    Any,
    /// Nothing in it is special.
    Exact(Box<str>),
    /// One `*`, at its end.
    Prefix(Box<str>),
    /// Wildcards, no variable.
    Glob(Box<[Piece]>),
    /// With variables.
    Template(Box<[Piece]>),
}

/// What a pattern is made of. No two texts and no two `*` stand side by side.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(Box<str>),
    /// `?`.
    One,
    /// `*`.
    Any,
    Variable {
        key: Key,
        default: Option<Box<str>>,
    },
}

/// What is special in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    /// `*` and `?` are wildcards.
    pub(super) wildcards: bool,
    /// `${…}` are variables: since version 2012-10-17.
    pub(super) variables: bool,
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong with one of its variables.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        let special = |b: u8| match b {
            b'*' | b'?' => syntax.wildcards,
            b'$' => syntax.variables,
            _ => false,
        };
        Ok(match text.bytes().position(special) {
            None => Self::Exact(text.into()),
            Some(at) if syntax.wildcards && text.as_bytes().get(at..) == Some(b"*") => {
                match text.strip_suffix('*') {
                    Some("") | None => Self::Any,
                    Some(prefix) => Self::Prefix(prefix.into()),
                }
            }
            Some(_) => Self::of(pieces(text, syntax)?),
        })
    }

    fn of(pieces: Vec<Piece>) -> Self {
        match pieces.as_slice() {
            [] => Self::Exact("".into()),
            [Piece::Text(text)] => Self::Exact(text.clone()),
            [Piece::Any] => Self::Any,
            [Piece::Text(text), Piece::Any] => Self::Prefix(text.clone()),
            some if some.iter().any(|p| matches!(p, Piece::Variable { .. })) => {
                Self::Template(pieces.into())
            }
            _ => Self::Glob(pieces.into()),
        }
    }

    /// Whether `text` matches. A variable without a value and default is null, which nothing is like.
    pub(super) fn matches(&self, text: &str, context: &dyn Context) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Glob(pieces) => matches(pieces, text.as_bytes()),
            // Most texts are not worth asking for a variable's value.
            Self::Template(pieces) => {
                text.starts_with(self.literal_prefix())
                    && resolve(pieces, context)
                        .is_some_and(|parts| matches(&parts, text.as_bytes()))
            }
        }
    }

    /// Whether `text`, which is in lower case, is it in some case; for what has no wildcards.
    pub(super) fn matches_ignoring_case(&self, text: &str, context: &dyn Context) -> bool {
        let whole = match self {
            Self::Exact(exact) => Some(Cow::Borrowed(&**exact)),
            Self::Template(pieces) => resolve(pieces, context).map(|parts| {
                let texts = parts.iter().map(|part| match part {
                    Part::Text(text) => String::from_utf8_lossy(text),
                    Part::One => Cow::Borrowed("?"),
                    Part::Any => Cow::Borrowed("*"),
                });
                Cow::Owned(texts.collect())
            }),
            Self::Any | Self::Prefix(_) | Self::Glob(_) => None,
        };
        whole.is_some_and(|whole| whole.to_lowercase() == text)
    }

    /// The literal text that everything it matches begins with.
    pub(super) fn literal_prefix(&self) -> &str {
        match self {
            Self::Any => "",
            Self::Exact(text) | Self::Prefix(text) => text,
            Self::Glob(pieces) | Self::Template(pieces) => match pieces.first() {
                Some(Piece::Text(text)) => text,
                _ => "",
            },
        }
    }

    /// The keys of its variables.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let pieces: &[Piece] = match self {
            Self::Template(pieces) => pieces,
            _ => &[],
        };
        pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(key),
            Piece::Text(_) | Piece::One | Piece::Any => None,
        })
    }

    /// Writes it as a policy has it, so that `syntax` reads it back.
    pub(super) fn write(&self, syntax: Syntax) -> String {
        let mut out = String::new();
        match self {
            Self::Any => out.push('*'),
            Self::Exact(text) => write_text(&mut out, text, syntax),
            Self::Prefix(text) => {
                write_text(&mut out, text, syntax);
                out.push('*');
            }
            Self::Glob(pieces) | Self::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => write_text(&mut out, text, syntax),
                        Piece::One => out.push('?'),
                        Piece::Any => out.push('*'),
                        Piece::Variable { key, default } => {
                            out.push_str("${");
                            out.push_str(key.as_written());
                            if let Some(default) = default {
                                let _ =
                                    fmt::Write::write_fmt(&mut out, format_args!(", '{default}'"));
                            }
                            out.push('}');
                        }
                    }
                }
            }
        }
        out
    }
}

/// Where variables exist their escapes do; where they don't, no special character is ever text.
fn write_text(out: &mut String, text: &str, syntax: Syntax) {
    for c in text.chars() {
        match c {
            '*' | '?' if syntax.wildcards && syntax.variables => {
                out.extend(["${", c.encode_utf8(&mut [0; 4]), "}"]);
            }
            '$' if syntax.variables => out.push_str("${$}"),
            other => out.push(other),
        }
    }
}

fn pieces(text: &str, syntax: Syntax) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.strip_prefix(c).unwrap_or_default();
        match c {
            '*' if syntax.wildcards => {
                flush(&mut plain, &mut pieces);
                if pieces.last() != Some(&Piece::Any) {
                    pieces.push(Piece::Any);
                }
                rest = after;
            }
            '?' if syntax.wildcards => {
                flush(&mut plain, &mut pieces);
                pieces.push(Piece::One);
                rest = after;
            }
            '$' if syntax.variables && after.starts_with('{') => {
                let (inner, behind) =
                    split_variable(rest).ok_or_else(|| match rest.contains('}') {
                        true => format!("`{text}` has a variable whose quote does not end"),
                        false => format!("`{text}` has a variable that does not end"),
                    })?;
                match variable(inner).map_err(|why| format!("`{text}`: {why}"))? {
                    Ok(literal) => plain.push_str(literal),
                    Err(piece) => {
                        flush(&mut plain, &mut pieces);
                        pieces.push(piece);
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
    flush(&mut plain, &mut pieces);
    Ok(pieces)
}

fn flush(plain: &mut String, pieces: &mut Vec<Piece>) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain).into()));
    }
}

/// What stands in the `${…}` that `text` begins with, and what behind it. In a default's quotes a brace
/// is text.
pub(super) fn split_variable(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("${")?;
    let mut quoted = false;
    let end = inside.bytes().position(|byte| {
        quoted ^= byte == b'\'';
        byte == b'}' && !quoted
    })?;
    Some((inside.get(..end)?, inside.get(end.saturating_add(1)..)?))
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
            let quoted = quoted
                .ok_or_else(|| format!("the default in `${{{inner}}}` is not in single quotes"))?;
            (key.trim(), Some(quoted.into()))
        }
    };
    Ok(Err(Piece::Variable {
        key: Key::parse(key)?,
        default,
    }))
}

/// Replaces variables by their text, in which nothing is special (T38). A key with several values
/// has no one text.
fn resolve<'p>(pieces: &'p [Piece], context: &'p dyn Context) -> Option<Vec<Part<'p>>> {
    let part = |piece: &'p Piece| {
        Some(match piece {
            Piece::Text(text) => Part::Text(Cow::Borrowed(text.as_bytes())),
            Piece::One => Part::One,
            Piece::Any => Part::Any,
            Piece::Variable { key, default } => {
                let value = context.values(key).single();
                let text = match (value, default) {
                    (Some(value), _) => value.into_text(),
                    (None, Some(default)) => Cow::Borrowed(&**default),
                    (None, None) => return None,
                };
                Part::Text(match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                })
            }
        })
    };
    pieces.iter().map(part).collect()
}

#[cfg(test)]
mod tests;
