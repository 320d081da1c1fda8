//! Finds the statements that a resource could concern, without looking at the others: by the literal
//! text that their resources begin with.

use super::pattern::Pattern;
use super::statement::{Rule, Statement};

/// Fewer statements than this are looked at one by one.
const FEW: usize = 4;

/// Statements by what their resources begin with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Index {
    /// Sorted by prefix, each once.
    entries: Box<[Entry]>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    prefix: Box<str>,
    /// The longest other prefix that this one begins with.
    shorter: Option<usize>,
    /// Which statements have it, ascending.
    statements: Vec<usize>,
}

impl Index {
    /// Of `statements`, unless they are few.
    pub(super) fn of(statements: &[Statement]) -> Option<Self> {
        if statements.len() < FEW {
            return None;
        }
        let mut places: Vec<(&str, usize)> = Vec::new();
        for (at, statement) in statements.iter().enumerate() {
            match &statement.resources {
                Rule::Only(patterns) => {
                    let prefixes = patterns.iter().map(Pattern::literal_prefix);
                    places.extend(prefixes.map(|prefix| (prefix, at)));
                }
                // What is excepted says nothing of what is taken in.
                Rule::Except(_) => places.push(("", at)),
            }
        }
        places.sort_unstable();
        places.dedup();
        Some(Self {
            entries: entries(&places).into(),
        })
    }

    /// Every statement that could concern `resource`; one may come more than once, in no order.
    pub(super) fn candidates<'i>(&'i self, resource: &'i str) -> impl Iterator<Item = usize> + 'i {
        // All prefixes of a text are prefixes of the greatest entry that is not above it.
        let above = self
            .entries
            .partition_point(|entry| *entry.prefix <= *resource);
        let greatest = above.checked_sub(1).and_then(|at| self.entries.get(at));
        let shorter = |entry: &&'i Entry| self.entries.get(entry.shorter?);
        std::iter::successors(greatest, shorter)
            .filter(|entry| resource.starts_with(&*entry.prefix))
            .flat_map(|entry| entry.statements.iter().copied())
    }
}

/// Gathers sorted places by prefix, and finds for each prefix the longest shorter one.
fn entries(places: &[(&str, usize)]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    // Those that the entry before begins with, and it itself: what comes next begins with some of them.
    let mut open: Vec<usize> = Vec::new();
    for (prefix, statement) in places {
        if let Some(entry) = entries.last_mut().filter(|entry| *entry.prefix == **prefix) {
            entry.statements.push(*statement);
            continue;
        }
        let begins = |at: &usize| {
            entries
                .get(*at)
                .is_some_and(|e| prefix.starts_with(&*e.prefix))
        };
        while open.last().is_some_and(|at| !begins(at)) {
            open.pop();
        }
        let entry = Entry {
            prefix: (*prefix).into(),
            shorter: open.last().copied(),
            statements: vec![*statement],
        };
        open.push(entries.len());
        entries.push(entry);
    }
    entries
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever begins with a statement's prefix finds it, and nothing else does.
        #[test]
        fn candidates_are_those_whose_prefix_fits(
            prefixes in proptest::collection::vec("[ab]{0,4}", 1..20),
            resource in "[ab]{0,6}",
        ) {
            let mut places: Vec<_> = prefixes.iter().enumerate().map(|(at, p)| (p.as_str(), at)).collect();
            places.sort_unstable();
            let index = Index { entries: entries(&places).into() };
            let mut found: Vec<_> = index.candidates(&resource).collect();
            found.sort_unstable();
            let fits = |(at, prefix): (usize, &String)| resource.starts_with(prefix.as_str()).then_some(at);
            let expected: Vec<_> = prefixes.iter().enumerate().filter_map(fits).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn few_statements_have_none() {
        assert_eq!(Index::of(&[]), None);
        let one = super::super::policy::Policy::parse(
            super::super::policy::PolicyKind::Identity,
            "p",
            br#"{"Statement":{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}}"#,
        );
        let statement = one.unwrap().statements().first().unwrap().clone();
        let index = Index::of(&vec![statement; FEW]).unwrap();
        let found: Vec<_> = index.candidates("arn:aws:s3:::other").collect();
        assert_eq!(found, (0..FEW).collect::<Vec<_>>());
    }
}
