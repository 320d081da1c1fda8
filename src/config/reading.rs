//! A file as TOML: what of it can be read, every mistake, and the line of a key.

mod place;
mod shape;

use std::path::Path;

use toml::de::DeTable;

use super::error::{Error, line_of};
use super::file::File;
use super::words;
pub(super) use place::{has, is_written, line};

/// More are not told at once.
const MOST: usize = 100;

/// What is wrong at one place.
#[derive(Debug)]
struct Mistake {
    /// The byte where it is.
    at: Option<usize>,
    /// The key; empty where there is none.
    key: String,
    what: String,
    /// Whether it is that something is not there.
    missing: bool,
}

/// What is read of a file, and what is wrong with the rest of it. `None` where there is no telling what the
/// rest would be.
pub(super) fn read(path: &Path, text: &str) -> (Option<File>, Vec<Error>) {
    let mut left = text.to_owned();
    let mut wrong = Vec::new();
    let mut lines: Vec<usize> = Vec::new();
    loop {
        let mistake = match one(&left) {
            Ok(file) => return (Some(file), wrong),
            Err(mistake) => mistake,
        };
        let line = line_of(text, mistake.at.unwrap_or(0));
        // What is missing may be what was left out for being wrong.
        let left_out = || {
            lines
                .iter()
                .any(|told| place::same_section(text, line, *told))
        };
        if !(mistake.missing && left_out()) {
            lines.push(line);
            let key = match mistake.key.as_str() {
                "" => String::new(),
                key => format!("`{key}`: "),
            };
            wrong.push(Error::Syntax {
                path: path.to_owned(),
                line,
                what: format!("{key}{}", mistake.what),
            });
        }
        let rest = mistake.at.and_then(|at| place::without(&left, at));
        match rest {
            Some(rest) if wrong.len() < MOST && DeTable::parse(&rest).is_ok() => left = rest,
            _ => return (None, wrong),
        }
    }
}

/// The file, or the first thing that is wrong with it.
fn one(text: &str) -> Result<File, Mistake> {
    let table = DeTable::parse(text).map_err(|error| grammar(text, &error))?;
    let table = table.get_ref();
    if let Some(mistake) = shape::wrong(table) {
        return Err(mistake);
    }
    toml::from_str(text).map_err(|error| {
        let missing = error.message().starts_with("missing field");
        // All that is missing at once, with what would be right.
        if let Some(mistake) = missing.then(|| shape::missing(table)).flatten() {
            return mistake;
        }
        let at = error.span().map(|span| span.start);
        let key = at.and_then(|at| place::key_at(table, at));
        let (names_key, what) = words::plain(error.message());
        Mistake {
            at,
            key: key.filter(|_| !names_key).unwrap_or_default(),
            what,
            missing,
        }
    })
}

/// What is no TOML.
fn grammar(text: &str, error: &toml::de::Error) -> Mistake {
    let at = error.span().map(|span| span.start);
    let line = line_of(text, at.unwrap_or(0));
    let line = text.lines().nth(line.saturating_sub(1));
    let key = line.and_then(|line| line.split_once('='));
    let key = key.map_or("", |(key, _)| key.trim());
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    Mistake {
        at,
        key: match key.bytes().all(plain) {
            true => key.to_owned(),
            false => String::new(),
        },
        what: error.message().to_owned(),
        missing: false,
    }
}

#[cfg(test)]
mod tests;
