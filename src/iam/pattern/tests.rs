#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::context::Values;
use super::*;

const WILD: Syntax = Syntax {
    wildcards: true,
    variables: true,
};
const OLD: Syntax = Syntax {
    wildcards: true,
    variables: false,
};

struct Alice;

impl Context for Alice {
    fn values(&self, key: &Key) -> Values<'_> {
        Values::maybe(key.is("aws:username").then_some("a*?"))
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
            Pattern::parse(pattern, WILD).unwrap().matches(text, &Alice),
            expected,
            "{pattern} {text}"
        );
    }
    assert!(
        Pattern::parse("${aws:username}", OLD)
            .unwrap()
            .matches("${aws:username}", &Alice)
    );
    for bad in ["${aws:nonsense}", "${aws:username", "${aws:username, none}"] {
        assert!(Pattern::parse(bad, WILD).is_err(), "{bad}");
    }
}

#[test]
fn t46_no_pattern_takes_long() {
    let text = "a".repeat(1024);
    for pattern in [
        format!("{}b", "*a".repeat(256)),
        format!("{}b", "*a?".repeat(256)),
        format!("*{}b*", "a?".repeat(300)),
        format!("*{}*", "?".repeat(1500)),
        format!("*{}b*", "a".repeat(600)),
    ] {
        let compiled = Pattern::parse(&pattern, OLD).unwrap();
        let start = std::time::Instant::now();
        for _ in 0..100 {
            assert!(!compiled.matches(&text, &Alice));
        }
        assert!(
            start.elapsed().as_millis() < 1000,
            "{pattern}: a match must stay far below 1 ms"
        );
    }
}
