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
    /// A table or something else.
    Either,
}

use Shape::{Either, Table, Tables};

/// Tables and lists of them, with what must be in each.
const SHAPES: [(&str, Shape, &[&str]); 19] = [
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
    // Or a text: only what must be in it is looked at.
    (
        "upstreams.credentials",
        Either,
        &["access_key", "secret_key"],
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
    let mut found = Vec::new();
    find(table, "", &mut found, &|key, name, shape, value| {
        let what = match (shape, value) {
            (Either, _) | (Table(_), DeValue::Table(_)) => return Vec::new(),
            (Tables(_), DeValue::Array(list))
                if list.iter().all(|one| one.get_ref().is_table()) =>
            {
                return Vec::new();
            }
            (Table(example), other) => one_table(key, example, other),
            (Tables(""), DeValue::Table(_)) => {
                format!("there can be several, so it is written `[[{key}]]`, with two brackets")
            }
            (Tables(""), _) => format!("each is a table of its own, under `[[{key}]]`"),
            (Tables(example), _) => format!("it is a list of tables, as in `{example}`"),
        };
        vec![mistake(table, name.start, what)]
    });
    found.into_iter().next()
}

/// Every table that lacks what must be in it, unless `told` has that under a name that is like it.
pub(super) fn missing(table: &DeTable<'_>, told: &[Mistake]) -> Vec<Mistake> {
    let mut found = Vec::new();
    find(table, "", &mut found, &|key, name, shape, value| {
        let needed = SHAPES.iter().find(|(known, ..)| *known == key);
        let needed = needed.map_or(&[][..], |(_, _, needed)| *needed);
        let lacks = |one: &DeTable<'_>, at: usize| {
            let meant = |needed: &str| {
                let like = format!("did you mean `{needed}`?");
                let mut here = told.iter().filter(|m| m.what.ends_with(&like));
                here.any(|m| m.at.and_then(|at| home(table, 0, at)) == Some(at))
            };
            let lacks = needed.iter().copied();
            let lacks = lacks.filter(|needed| !one.contains_key(*needed) && !meant(needed));
            let what: Vec<_> = lacks.map(lacking).collect();
            (!what.is_empty()).then(|| mistake(table, at, what.join("; ")))
        };
        match (shape, value) {
            (Table(_) | Either, DeValue::Table(one)) => {
                lacks(one, name.start).into_iter().collect()
            }
            (Tables(_), DeValue::Array(list)) => list
                .iter()
                .filter_map(|one| lacks(one.get_ref().as_table()?, one.span().start))
                .collect(),
            _ => Vec::new(),
        }
    });
    found
}

/// Where the table begins in which the key at a byte stands.
fn home(table: &DeTable<'_>, begins: usize, at: usize) -> Option<usize> {
    table.iter().find_map(|(name, value)| {
        if name.span().contains(&at) {
            return Some(begins);
        }
        match value.get_ref() {
            DeValue::Table(inner) => home(inner, name.span().start, at),
            DeValue::Array(list) => list
                .iter()
                .find_map(|one| home(one.get_ref().as_table()?, one.span().start, at)),
            _ => None,
        }
    })
}

fn mistake(root: &DeTable<'_>, at: usize, what: String) -> Mistake {
    Mistake {
        at: Some(at),
        key: key_at(root, at).unwrap_or_default(),
        what,
    }
}

/// Asks of every key that is a table or a list of them: the key without names, where it is written, what it
/// should be and what it is.
type Ask<'f> = &'f dyn Fn(&str, Range<usize>, Shape, &DeValue<'_>) -> Vec<Mistake>;

fn find(table: &DeTable<'_>, place: &str, found: &mut Vec<Mistake>, ask: Ask<'_>) {
    for (name, value) in table {
        let key = join(place, name.get_ref());
        let Some((_, shape, _)) = SHAPES.iter().find(|(known, ..)| *known == key) else {
            continue;
        };
        found.extend(ask(&key, name.span(), *shape, value.get_ref()));
        match (shape, value.get_ref()) {
            (Table(_) | Either, DeValue::Table(inner)) => find(inner, &key, found, ask),
            (Tables(_), DeValue::Array(list)) => {
                let tables = list.iter().filter_map(|one| one.get_ref().as_table());
                tables.for_each(|inner| find(inner, &key, found, ask));
            }
            _ => {}
        }
    }
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

fn lacking(needed: &str) -> String {
    let example = EXAMPLES.iter().find(|(known, _)| *known == needed);
    let example = example.map_or("", |(_, example)| *example);
    format!("`{needed}` is missing, as in `{example}`")
}
