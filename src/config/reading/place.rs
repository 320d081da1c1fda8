//! Which key is where, and the text without it. Of a list of tables, `name`, `bucket` or `id` says which is
//! meant, as in `users.alice.tags`, or `#` and which of them it is, as in `users.#2.tags`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::error::line_of;

/// What a table of a list is called.
const NAMES: [&str; 3] = ["name", "bucket", "id"];

fn names<'t>(table: &'t DeTable<'_>) -> impl Iterator<Item = &'t str> {
    NAMES
        .iter()
        .filter_map(|name| table.get(*name)?.get_ref().as_str())
}

/// The line on which a key stands, or on which what it would be in begins.
pub(in crate::config) fn line(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let found = in_table(table.get_ref(), key);
    found.map(|start| line_of(text, start))
}

/// Whether a table of the list `list` has that name, be the rest of it right or wrong.
pub(in crate::config) fn is_written(text: &str, list: &str, name: &str) -> bool {
    let Ok(table) = DeTable::parse(text) else {
        return false;
    };
    let list = table.get_ref().get(list);
    let tables = list.and_then(|list| list.get_ref().as_array());
    let mut tables = tables.into_iter().flat_map(|list| list.iter());
    tables.any(|one| {
        let table = one.get_ref().as_table();
        table.is_some_and(|table| names(table).any(|known| known == name))
    })
}

/// Whether a key that is in no list is written.
pub(in crate::config) fn has(text: &str, key: &str) -> bool {
    let table = DeTable::parse(text);
    let mut table = table.ok().map(Spanned::into_inner);
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let value = table.take().and_then(|mut table| table.remove(part));
        match value.map(Spanned::into_inner) {
            Some(_) if parts.peek().is_none() => return true,
            Some(DeValue::Table(inner)) => table = Some(inner),
            _ => return false,
        }
    }
    false
}

fn in_table(table: &DeTable<'_>, key: &str) -> Option<usize> {
    table.iter().find_map(|(name, value)| {
        let rest = step(key, name.get_ref())?;
        let deeper = match value.get_ref() {
            DeValue::Table(table) => in_table(table, rest),
            DeValue::Array(list) => list.iter().zip(1..).find_map(|(one, nth)| {
                let table = one.get_ref().as_table()?;
                let rest = match rest.starts_with('#') {
                    true => step(rest, &format!("#{nth}")),
                    false => names(table).find_map(|name| step(rest, name)),
                }?;
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

/// The innermost key at a byte.
pub(super) fn key_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    let mut best = None;
    look(table, "", at, &mut best);
    best.map(|(_, key)| key)
}

fn look(table: &DeTable<'_>, within: &str, at: usize, best: &mut Option<(usize, String)>) {
    let mut consider = |span: Range<usize>, key: &str| {
        let closer = best
            .as_ref()
            .is_none_or(|(length, _)| span.len() <= *length);
        if span.contains(&at) && closer {
            *best = Some((span.len(), key.to_owned()));
        }
    };
    let mut inner = Vec::new();
    for (name, value) in table {
        let key = join(within, name.get_ref());
        consider(name.span(), &key);
        consider(value.span(), &key);
        match value.get_ref() {
            DeValue::Table(table) => inner.push((table, key)),
            DeValue::Array(list) => {
                for one in list.iter() {
                    let table = one.get_ref().as_table();
                    let called = table.and_then(|table| names(table).next());
                    let key = called.map_or_else(|| key.clone(), |name| join(&key, name));
                    consider(one.span(), &key);
                    inner.extend(table.map(|table| (table, key)));
                }
            }
            _ => {}
        }
    }
    for (table, key) in inner {
        look(table, &key, at, best);
    }
}

pub(super) fn join(within: &str, name: &str) -> String {
    match within {
        "" => name.to_owned(),
        within => format!("{within}.{name}"),
    }
}

/// The text without the innermost value around a byte and its key; where the rest would be no TOML, without the
/// whole statement, and without its whole section where the byte is in a section's head. Nothing is moved.
/// `None` where there is nothing.
pub(super) fn without(text: &str, at: usize) -> Option<String> {
    let table = DeTable::parse(text).ok();
    let table = table.as_ref().map(Spanned::get_ref);
    let statement = table.and_then(|table| statement(table, text, at));
    let inner = table.zip(statement.clone()).map(|(table, mut best)| {
        inner(table, at, &mut best);
        with_comma(text, best)
    });
    let line = line_of(text, at);
    let outer = match statement {
        Some(span) => {
            let last = line_of(text, span.end.saturating_sub(1));
            lines(text, line_of(text, span.start), last)
        }
        None if begins(text, line) => lines(text, line, end_of_section(text, line)),
        None => lines(text, line, line),
    };
    let mut each = inner
        .into_iter()
        .chain([outer])
        .map(|span| blank(text, span));
    each.find(|rest| rest != text && DeTable::parse(rest).is_ok())
}

/// Spaces in the place of those bytes.
fn blank(text: &str, span: Range<usize>) -> String {
    let mut left = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match span.contains(&at) && c != '\n' {
            true => left.extend(std::iter::repeat_n(' ', c.len_utf8())),
            false => left.push(c),
        }
    }
    left
}

/// The bytes of those lines.
fn lines(text: &str, first: usize, last: usize) -> Range<usize> {
    let ends = text.split_inclusive('\n').scan(0_usize, |end, line| {
        *end = end.saturating_add(line.len());
        Some(*end)
    });
    let ends: Vec<_> = ends.collect();
    let end = |line: usize| ends.get(line.saturating_sub(1)).copied();
    let start = first
        .checked_sub(1)
        .filter(|before| *before > 0)
        .and_then(end);
    start.unwrap_or(0)..end(last).unwrap_or(text.len())
}

/// With the comma behind it, or the one before it.
fn with_comma(text: &str, span: Range<usize>) -> Range<usize> {
    let behind = text.get(span.end..).unwrap_or_default();
    if behind.trim_start().starts_with(',') {
        let comma = behind.find(',').unwrap_or(0);
        return span.start..span.end.saturating_add(comma).saturating_add(1);
    }
    let before = text.get(..span.start).unwrap_or_default().trim_end();
    match before.strip_suffix(',') {
        Some(before) => before.len()..span.end,
        None => span,
    }
}

/// Narrows a statement to the innermost value around a byte, with its key where it has one.
fn inner(table: &DeTable<'_>, at: usize, best: &mut Range<usize>) {
    let mut consider = |span: Range<usize>| {
        if span.contains(&at) && best.start <= span.start && span.end <= best.end {
            *best = span;
        }
    };
    let mut tables = Vec::new();
    for (name, value) in table {
        consider(name.span().start..value.span().end);
        match value.get_ref() {
            DeValue::Table(table) => tables.push(table),
            DeValue::Array(list) => {
                for one in list.iter() {
                    consider(one.span());
                    tables.extend(one.get_ref().as_table());
                }
            }
            _ => {}
        }
    }
    for table in tables {
        inner(table, at, best);
    }
}

/// From the key to the end of the value of the statement around a byte, however deep in it that is.
fn statement(table: &DeTable<'_>, text: &str, at: usize) -> Option<Range<usize>> {
    let starts = |value: &Spanned<DeValue<'_>>, with: char| {
        let rest = text.get(value.span().start..);
        rest.is_some_and(|rest| rest.starts_with(with))
    };
    table
        .iter()
        .find_map(|(name, value)| match value.get_ref() {
            DeValue::Table(inner) if !starts(value, '{') => statement(inner, text, at),
            DeValue::Array(list)
                if list
                    .first()
                    .is_some_and(|one| one.get_ref().is_table() && starts(one, '[')) =>
            {
                let mut tables = list.iter().filter_map(|one| one.get_ref().as_table());
                tables.find_map(|inner| statement(inner, text, at))
            }
            _ => {
                let whole = name.span().start..value.span().end;
                whole.contains(&at).then_some(whole)
            }
        })
}

/// Whether a section begins on that line.
fn begins(text: &str, line: usize) -> bool {
    let line = text.lines().nth(line.saturating_sub(1));
    line.is_some_and(|line| line.trim_start().starts_with('['))
}

/// The last line of the section that begins on that line.
fn end_of_section(text: &str, first: usize) -> usize {
    let lines = text.lines().count();
    let mut behind = first.saturating_add(1)..=lines;
    behind
        .find(|line| begins(text, *line))
        .map_or(lines, |next| next.saturating_sub(1))
}

/// Whether no section begins between the two lines.
pub(super) fn same_section(text: &str, line: usize, other: usize) -> bool {
    let (first, last) = (line.min(other), line.max(other));
    !(first.saturating_add(1)..=last).any(|line| begins(text, line))
}
