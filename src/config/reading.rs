//! A file as TOML: what of it can be read, every mistake, and the line of a key.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{Error, line_of, syntax};
use super::file::File;

/// More are not told at once.
const MOST: usize = 20;

/// What is read of a file, and what is wrong with the rest of it. `None` where there is no telling what the
/// rest would be.
pub(super) fn read(path: &Path, text: &str) -> (Option<File>, Vec<Error>) {
    let mut left = text.to_owned();
    let mut wrong = Vec::new();
    loop {
        let error = match toml::from_str(&left) {
            Ok(file) => return (Some(file), wrong),
            Err(error) => error,
        };
        // What is missing may be what was left out for being wrong.
        if wrong.is_empty() || !error.message().starts_with("missing field") {
            wrong.push(syntax(path, text, &error));
        }
        let rest = error.span().and_then(|span| without(&left, span.start));
        match rest {
            Some(rest) if wrong.len() < MOST && DeTable::parse(&rest).is_ok() => left = rest,
            _ => return (None, wrong),
        }
    }
}

/// The text without the line of that byte; without its whole section where that is a section's first.
/// Nothing is moved. `None` where there is nothing on that line.
fn without(text: &str, at: usize) -> Option<String> {
    let wrong = line_of(text, at);
    let (mut left, mut within, mut something) = (String::with_capacity(text.len()), false, false);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let begins = line.trim_start().starts_with('[');
        within = number == wrong || within && !begins;
        match within {
            true => {
                something |= number == wrong && !line.trim().is_empty();
                let blank = |c: char| if c == '\n' { c } else { ' ' };
                left.extend(line.chars().map(blank));
            }
            false => left.push_str(line),
        }
        within &= begins || number != wrong;
    }
    something.then_some(left)
}

/// The line on which a key stands, or on which what it would be in begins. Of a list, `name` or `bucket` says
/// which is meant, as in `users.alice.tags`.
pub(super) fn line(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let found = in_table(table.get_ref(), key);
    found.map(|start| line_of(text, start))
}

fn in_table(table: &DeTable<'_>, key: &str) -> Option<usize> {
    table.iter().find_map(|(name, value)| {
        let rest = step(key, name.get_ref())?;
        let deeper = match value.get_ref() {
            DeValue::Table(table) => in_table(table, rest),
            DeValue::Array(list) => list.iter().find_map(|one| {
                let table = one.get_ref().as_table()?;
                let names = table.iter().filter(|(key, _)| {
                    let key: &str = key.get_ref();
                    matches!(key, "name" | "bucket")
                });
                let mut names = names.filter_map(|(_, name)| name.get_ref().as_str());
                let rest = names.find_map(|name| step(rest, name))?;
                in_table(table, rest).or(Some(one.span().start))
            }),
            _ => None,
        };
        deeper.or(Some(name.span().start))
    })
}

/// What is left of a key behind its first part, if that is this.
fn step<'k>(key: &'k str, part: &str) -> Option<&'k str> {
    let rest = key.strip_prefix(part)?;
    match rest.is_empty() {
        true => Some(rest),
        false => rest.strip_prefix('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "region = 'a'\n[listener.tls]\nkey = 'b'\n\n[[users]]\nname = 'a.b'\n[[users]]\nname = 'c'\ntags = { x = 'y' }\n[[routes]]\nbucket = 'logs.*'\n";

    #[test]
    fn keys_have_lines() {
        for (key, at) in [
            ("region", Some(1)),
            ("listener.tls", Some(2)),
            ("listener.tls.key", Some(3)),
            ("listener.tls.client_ca", Some(2)),
            ("users.a.b.policies", Some(5)),
            ("users.c.tags", Some(9)),
            ("users.c.policies", Some(7)),
            ("users.name", Some(5)),
            ("routes.logs.*", Some(10)),
            ("--insecure-http", None),
            ("disk.path", None),
        ] {
            assert_eq!(line(TEXT, key), at, "{key}");
        }
    }

    #[test]
    fn what_is_wrong_is_left_out_and_nothing_else() {
        let told = |text: &str| {
            let (file, wrong) = read(Path::new("c.toml"), text);
            let count = wrong.len();
            let told = Error::all(wrong).map_or_else(String::new, |all| all.to_string());
            (file.is_some(), count, told)
        };
        assert_eq!(told("region = 'a'\n"), (true, 0, String::new()));
        let (read, count, told_of) = told(
            "regoin = 'a'\n[listner]\naddress = 'x'\n[limits]\nrequests = 'many'\nthreads = 2\nsteams = 5",
        );
        assert!(
            read && count == 4 && told_of.starts_with("4 mistakes"),
            "{told_of}"
        );
        let words = ["line 1", "line 2", "line 5", "line 7"];
        for (one, word) in told_of.lines().skip(1).zip(words) {
            assert!(one.contains(word), "{one}");
        }
        // What is no TOML is told once; and a name that was left out is not missing as well.
        for (text, count) in [
            ("region = \n", 1),
            ("a = 1\na = 2\n", 2),
            ("[[users]]\nnmae = 'a'\n", 1),
            ("[[users]]\npolicies = []\n", 1),
        ] {
            let (_, found, told) = told(text);
            assert_eq!(found, count, "{text}: {told}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_much(text in "(\\[+[a-z]{0,9}\\]{0,2}|[a-z]{1,9} = ['0-9a-z\\[\\]{}]{0,5}|\n){0,12}") {
            let _ = read(Path::new("c"), &text);
            let _ = line(&text, "users.a.tags");
        }
    }
}
