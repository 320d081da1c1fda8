//! Whether one pattern takes in all that another does.

use super::super::context::{Context, Values};
use super::super::key::Key;
use super::super::pattern::{Pattern, Syntax};

/// What stands for a pattern's `*`: nothing, and texts that no other pattern has, of several lengths.
const INSTEAD: [usize; 4] = [0, 1, 2, 99];

/// In a list of patterns, those that another of the list makes superfluous, and which that is: of two
/// that are equal, the later one.
pub(super) fn superfluous<'p>(patterns: impl Iterator<Item = &'p str>) -> Vec<(usize, usize)> {
    let all: Vec<Prepared<'_>> = patterns.map(Prepared::of).collect();
    let superfluous = |(at, one): (usize, &Prepared<'_>)| {
        let covers = |(other, wider): &(usize, &Prepared<'_>)| {
            *other != at && wider.covers(one) && (*other < at || !one.covers(wider))
        };
        let (other, _) = all.iter().enumerate().find(covers)?;
        Some((at, other))
    };
    all.iter().enumerate().filter_map(superfluous).collect()
}

/// Whether `wider` takes in all that `narrower` does.
pub(super) fn covers(wider: &str, narrower: &str) -> bool {
    Prepared::of(wider).covers(&Prepared::of(narrower))
}

/// A pattern, and texts that it stands for. Variables are texts like others.
struct Prepared<'p> {
    text: &'p str,
    /// Where it has wildcards, and no escapes: those are rare, and not worth their own reading.
    pattern: Option<Pattern>,
    instances: [String; 4],
}

impl<'p> Prepared<'p> {
    fn of(text: &'p str) -> Self {
        let syntax = Syntax {
            wildcards: true,
            variables: false,
        };
        let wild = text.contains(['*', '?']) && !has_escapes(text);
        let instance = |length| {
            let text = text.replace('?', "\u{2}");
            text.replace('*', &"\u{1}".repeat(length))
        };
        Self {
            text,
            pattern: wild.then(|| Pattern::parse(text, syntax).ok()).flatten(),
            instances: INSTEAD.map(instance),
        }
    }

    /// Whether it takes in all that the other does.
    fn covers(&self, other: &Self) -> bool {
        let matches = |pattern: &Pattern| {
            let mut instances = other.instances.iter();
            instances.all(|text| pattern.matches(text, &Nothing))
        };
        self.text == other.text
            || !has_escapes(other.text) && self.pattern.as_ref().is_some_and(matches)
    }
}

fn has_escapes(text: &str) -> bool {
    text.contains("${*}") || text.contains("${?}")
}

struct Nothing;

impl Context for Nothing {
    fn values(&self, _key: &Key) -> Values<'_> {
        Values::Absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_narrower_ones() {
        for (wider, narrower, expected) in [
            ("*", "a*", true),
            ("a*", "a*", true),
            ("a*", "ab*c", true),
            ("a*", "a", true),
            ("a", "a*", false),
            ("a?", "a*", false),
            ("a??", "a*", false),
            ("a*", "a?", true),
            ("a?", "a?", true),
            ("a?", "ab", true),
            ("ab", "a?", false),
            ("a*b", "a*", false),
            ("b/*", "b", false),
            ("b*", "b/*", true),
            ("h/*", "h/${aws:username}/*", true),
            ("h/${aws:username}/*", "h/*", false),
            ("h/*", "h/${*}", false),
        ] {
            let covers = Prepared::of(wider).covers(&Prepared::of(narrower));
            assert_eq!(covers, expected, "{wider} {narrower}");
        }
        let found = superfluous(["a", "b*", "a", "bc", "b*"].into_iter());
        assert_eq!(found, [(2, 0), (3, 1), (4, 1)]);
    }
}
