//! Which keys are tables, and which of theirs must be there: looked at before anything is read of them, since
//! the reader would take a list for a table and name its own types.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Mistake;
use super::place::{join, key_at};

/// What a key is.
#[derive(Clone, Copy)]
enum Shape {
    /// A table, written as its own section or, as here, in one line.
    Table(&'static str),
    /// A list of tables.
    Tables(&'static str),
}

use Shape::{Table, Tables};

/// Tables and lists of them, with what must be in each.
const SHAPES: [(&str, Shape, &[&str]); 18] = [
    ("listener", Table(""), &[]),
    ("listener.tls", Table(""), &[]),
    ("admin", Table(""), &[]),
    ("root", Table(""), &["access_key", "secret_key"]),
    ("disk", Table(""), &[]),
    ("authorization", Table(""), &[]),
    ("public_access_block", Table(""), &[]),
    ("limits", Table(""), &[]),
    ("logging", Table(""), &[]),
    ("audit", Table(""), &[]),
    (
        "upstreams",
        Tables(""),
        &["name", "endpoint", "credentials"],
    ),
    (
        "upstreams.timeouts",
        Table("timeouts = { connect = \"5s\" }"),
        &[],
    ),
    ("routes", Tables(""), &["bucket", "backend"]),
    ("users", Tables(""), &["name"]),
    ("users.tags", Table("tags = { team = \"blue\" }"), &[]),
    (
        "users.access_keys",
        Tables(
            "access_keys = [{ id = \"AKIAALICE0000EXAMPLE\", secret = { file = \"alice.key\" } }]",
        ),
        &["id", "secret"],
    ),
    ("groups", Tables(""), &["name"]),
    ("policies", Tables(""), &["name"]),
];

/// What is right, for keys that must be there.
const EXAMPLES: [(&str, &str); 9] = [
    ("name", "name = \"some-name\""),
    ("endpoint", "endpoint = \"https://ceph.internal:7480\""),
    (
        "credentials",
        "credentials = { access_key = { env = \"ACCESS_KEY\" }, secret_key = { env = \"SECRET_KEY\" } }",
    ),
    ("bucket", "bucket = \"archive\""),
    ("backend", "backend = \"disk\""),
    ("id", "id = \"AKIAALICE0000EXAMPLE\""),
    ("secret", "secret = { file = \"alice.key\" }"),
    ("access_key", "access_key = { env = \"ACCESS_KEY\" }"),
    ("secret_key", "secret_key = { env = \"SECRET_KEY\" }"),
];

/// The first key that is not the table, or the list of tables, that it should be.
pub(super) fn wrong(table: &DeTable<'_>) -> Option<Mistake> {
    find(table, "", &|key, name, shape, value| {
        let what = match (shape, value) {
            (Table(_), DeValue::Table(_)) => return None,
            (Tables(_), DeValue::Array(list))
                if list.iter().all(|one| one.get_ref().is_table()) =>
            {
                return None;
            }
            (Table(example), other) => one_table(key, example, other),
            (Tables(""), DeValue::Table(_)) => {
                format!("there can be several, so it is written `[[{key}]]`, with two brackets")
            }
            (Tables(""), _) => format!("each is a table of its own, under `[[{key}]]`"),
            (Tables(example), _) => format!("it is a list of tables, as in `{example}`"),
        };
        Some(mistake(table, name.start, what, false))
    })
}

/// The first table that lacks what must be in it.
pub(super) fn missing(table: &DeTable<'_>) -> Option<Mistake> {
    find(table, "", &|key, name, _, value| {
        let (_, _, needed) = SHAPES.iter().find(|(known, ..)| *known == key)?;
        let lacks = |one: &DeTable<'_>, at: usize| {
            let what = lacking(one, needed);
            (!what.is_empty()).then(|| mistake(table, at, what, true))
        };
        match value {
            DeValue::Table(one) => lacks(one, name.start),
            DeValue::Array(list) => list
                .iter()
                .find_map(|one| lacks(one.get_ref().as_table()?, one.span().start)),
            _ => None,
        }
    })
}

fn mistake(root: &DeTable<'_>, at: usize, what: String, missing: bool) -> Mistake {
    Mistake {
        at: Some(at),
        key: key_at(root, at).unwrap_or_default(),
        what,
        missing,
    }
}

/// Asks of every key that is a table or a list of them: the key without names, where it is written, what it
/// should be and what it is.
type Ask<'f> = &'f dyn Fn(&str, Range<usize>, Shape, &DeValue<'_>) -> Option<Mistake>;

fn find(table: &DeTable<'_>, place: &str, ask: Ask<'_>) -> Option<Mistake> {
    table.iter().find_map(|(name, value)| {
        let key = join(place, name.get_ref());
        let (_, shape, _) = SHAPES.iter().find(|(known, ..)| *known == key)?;
        let found = ask(&key, name.span(), *shape, value.get_ref());
        found.or_else(|| match value.get_ref() {
            DeValue::Table(inner) => find(inner, &key, ask),
            DeValue::Array(list) => list
                .iter()
                .find_map(|one| find(one.get_ref().as_table()?, &key, ask)),
            _ => None,
        })
    })
}

fn one_table(key: &str, example: &str, is: &DeValue<'_>) -> String {
    match (example, is) {
        ("", DeValue::Array(_)) => {
            format!("there is one only, so it is written `[{key}]`, with one bracket")
        }
        ("", _) => format!("it is a table, which begins with `[{key}]`"),
        (example, _) => format!("it is a table, as in `{example}`"),
    }
}

fn lacking(table: &DeTable<'_>, needed: &[&str]) -> String {
    let lacks = needed.iter().filter(|needed| !table.contains_key(**needed));
    let each = lacks.map(|needed| {
        let example = EXAMPLES.iter().find(|(known, _)| known == needed);
        let example = example.map_or("", |(_, example)| *example);
        format!("`{needed}` is missing, as in `{example}`")
    });
    each.collect::<Vec<_>>().join("; ")
}
