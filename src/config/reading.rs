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
}

/// What is read of a file, and what is wrong with the rest of it. `None` where there is no telling what the
/// rest would be.
pub(super) fn read(path: &Path, text: &str) -> (Option<File>, Vec<Error>) {
    let mut left = text.to_owned();
    let mut wrong: Vec<Mistake> = Vec::new();
    // The lines that are no TOML, and the text without them.
    let (mut garbled, mut grammatical) = (Vec::new(), None);
    let file = loop {
        let mistake = match one(&left) {
            Ok(file) => break Some(file),
            Err(mistake) => mistake,
        };
        let line = line_of(text, mistake.at.unwrap_or(0));
        match DeTable::parse(&left).is_ok() {
            true => grammatical = grammatical.or_else(|| Some(left.clone())),
            false => garbled.push(line),
        }
        let rest = mistake.at.and_then(|at| place::without(&left, at));
        wrong.push(mistake);
        match rest {
            Some(rest) if wrong.len() < MOST && DeTable::parse(&rest).is_ok() => left = rest,
            _ => break None,
        }
    };
    let grammatical = grammatical.as_deref().unwrap_or(&left);
    if let Ok(table) = DeTable::parse(grammatical) {
        let mut missing = shape::missing(table.get_ref(), &wrong);
        // What is missing may be what is no TOML.
        let may_be = |m: &Mistake| {
            let line = line_of(text, m.at.unwrap_or(0));
            let mut garbled = garbled.iter();
            garbled.any(|told| place::same_section(text, line, *told))
        };
        missing.retain(|mistake| !may_be(mistake));
        wrong.append(&mut missing);
    }
    wrong.sort_by_key(|mistake| mistake.at);
    let told = wrong.iter().map(|mistake| tell(path, text, mistake));
    (file, told.collect())
}

fn tell(path: &Path, text: &str, mistake: &Mistake) -> Error {
    let key = match mistake.key.as_str() {
        "" => String::new(),
        key => format!("`{key}`: "),
    };
    Error::Syntax {
        path: path.to_owned(),
        line: line_of(text, mistake.at.unwrap_or(0)),
        what: format!("{key}{}", mistake.what),
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
        let at = error.span().map(|span| span.start);
        let key = at.and_then(|at| place::key_at(table, at));
        let (names_key, what) = words::plain(error.message());
        Mistake {
            at,
            key: key.filter(|_| !names_key).unwrap_or_default(),
            what,
        }
    })
}

/// What is no TOML.
fn grammar(text: &str, error: &toml::de::Error) -> Mistake {
    let at = error.span().map(|span| span.start);
    let line = line_of(text, at.unwrap_or(0));
    let line = text.lines().nth(line.saturating_sub(1));
    let line = line.map_or("", str::trim);
    let key = match line.strip_prefix('[') {
        Some(section) => section.split(']').next().unwrap_or_default(),
        None => line.split_once('=').map_or("", |(key, _)| key),
    };
    let key = key.trim_matches(['[', ' ', '\t']);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    Mistake {
        at,
        key: match key.bytes().all(plain) {
            true => key.to_owned(),
            false => String::new(),
        },
        what: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
