//! What readers of text say, in the words of who writes a configuration: no type of the program's, no value.

/// The error of a TOML reader, and whether it names its key by itself.
pub(super) fn plain(message: &str) -> (bool, String) {
    if let Some(unknown) = nearest(message) {
        return (true, unknown);
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return (false, format!("{field} is missing"));
    }
    const INSTEAD: [(&str, &str); 4] = [
        ("socket address", ADDRESS),
        (
            "credentials of an upstream",
            "it is \"chain\" or { access_key = { env = \"…\" }, secret_key = { env = \"…\" } }",
        ),
        (
            "AuditOutput",
            "it is \"stdout\", \"off\" or { file = \"…\" }",
        ),
        ("a secret is given as", SECRET),
    ];
    if let Some((_, instead)) = INSTEAD.iter().find(|(words, _)| message.contains(words)) {
        return (false, (*instead).to_owned());
    }
    const EXPECTED: [(&str, &str); 7] = [
        ("bool", "`true` or `false`"),
        ("u", "a whole number, as in 1000"),
        ("i", "a whole number, as in 1000"),
        ("a string", "a text in quotes, as in \"text\""),
        ("path string", "a path in quotes, as in \"some/file\""),
        ("a sequence", "a list, as in [\"one\", \"two\"]"),
        ("a table with `file` or `env`", SECRET_FORM),
    ];
    let kind = ["invalid type", "invalid value", "invalid length"];
    if !kind.iter().any(|kind| message.starts_with(kind)) {
        // TOML's own grammar.
        return (false, without_values(message));
    }
    let expected = message.rsplit_once("expected ");
    let expected = expected.map_or("", |(_, expected)| expected);
    let expected = expected.lines().next().unwrap_or_default().trim();
    let number = |kind: &str| {
        let width = expected.strip_prefix(kind);
        width.is_some_and(|width| matches!(width, "8" | "16" | "32" | "64" | "size"))
    };
    let known = EXPECTED.iter().find(|(kind, _)| match *kind {
        "u" | "i" => number(kind),
        kind => expected == kind || expected == "a boolean" && kind == "bool",
    });
    let right = known.map_or("something else", |(_, right)| *right);
    (false, format!("it must be {right}"))
}

/// What an address looks like.
pub(crate) const ADDRESS: &str =
    "it is an address and a port, as in \"127.0.0.1:9000\" or, for all addresses, \"0.0.0.0:9000\"";

const SECRET_FORM: &str = "{ file = \"…\" } or { env = \"…\" }";
/// What a secret looks like.
pub(super) const SECRET: &str =
    "a secret is given as { file = \"…\" } or { env = \"…\" }, never in the file itself";

/// Serde says "unknown field `a`, expected one of `b`, `c`".
fn nearest(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    Some(match nearest_of(unknown, known) {
        Some(nearest) => format!("unknown key `{unknown}`; did you mean `{nearest}`?"),
        None => format!("unknown key `{unknown}`"),
    })
}

/// That of the words which is most like one.
pub(super) fn nearest_of<'w>(one: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words.max_by(|a, b| strsim::jaro_winkler(one, a).total_cmp(&strsim::jaro_winkler(one, b)))
}

/// A reader may repeat a value, which may be a secret somebody wrote where a table should be.
fn without_values(message: &str) -> String {
    let Some((kind, rest)) = message.split_once('"') else {
        return message.to_owned();
    };
    match rest.rsplit_once('"') {
        Some((_, expected)) => format!("{}{expected}", kind.trim_end()),
        None => kind.trim_end().to_owned(),
    }
}

/// The text of a file.
///
/// # Errors
/// What to say where it cannot be read, or is no text.
pub(super) fn read_text(path: &std::path::Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let read = error.as_bytes().iter().take(good);
        let line = read.filter(|b| **b == b'\n').count().saturating_add(1);
        format!("line {line} is no text: a file is written in UTF-8")
    })
}
