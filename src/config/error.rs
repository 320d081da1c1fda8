//! What is wrong with a configuration: file, line, key and what would be right.

use std::path::{Path, PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("`{}`: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("`{}` line {line}: {what}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What.
        what: String,
    },
    /// A value makes no sense.
    #[error("`{}`{}: `{key}`: {what}", path.display(), at(*line))]
    Value {
        /// Which file.
        path: PathBuf,
        /// Where, from 1, if it is written there.
        line: Option<usize>,
        /// Which key.
        key: String,
        /// What.
        what: String,
    },
    /// More than one thing is wrong.
    #[error("{}", one_by_one(.0))]
    Several(Vec<Error>),
}

impl Error {
    /// All of them, from the first line to the last; `None` where there are none.
    pub(super) fn all(mut of: Vec<Self>) -> Option<Self> {
        of.sort_by_key(Self::line);
        match of.len() {
            0 | 1 => of.pop(),
            _ => Some(Self::Several(of)),
        }
    }

    /// Where it is, the end for what is on no line.
    fn line(&self) -> usize {
        match self {
            Self::Syntax { line, .. } => *line,
            Self::Value { line, .. } => line.unwrap_or(usize::MAX),
            Self::File { .. } | Self::Several(_) => usize::MAX,
        }
    }
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" line {line}"))
}

fn one_by_one(errors: &[Error]) -> String {
    let each: Vec<String> = errors.iter().map(ToString::to_string).collect();
    format!("{} mistakes:\n{}", errors.len(), each.join("\n"))
}

/// Turns the TOML reader's error into ours: the line, and for an unknown key the nearest known one.
pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let what = nearest(error.message()).unwrap_or_else(|| plain(&without_values(error.message())));
    let key = text
        .lines()
        .nth(line.saturating_sub(1))
        .and_then(|line| line.split_once('='))
        .map(|(key, _)| key.trim())
        .filter(|key| {
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
    let what = match key {
        Some(key) if !what.contains(&format!("`{key}`")) && !what.starts_with("unknown") => {
            format!("`{key}`: {what}")
        }
        _ => what,
    };
    Error::Syntax {
        path: path.to_owned(),
        line,
        what,
    }
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, start: usize) -> usize {
    let before = text.bytes().take(start);
    before.filter(|b| *b == b'\n').count().saturating_add(1)
}

/// What the TOML reader says, in the words of who writes the file.
fn plain(message: &str) -> String {
    const INSTEAD: [(&str, &str); 3] = [
        (
            "socket address",
            "it is an address and a port, as in \"127.0.0.1:9000\" or, for all addresses, \"0.0.0.0:9000\"",
        ),
        (
            "UpstreamCredentials",
            "it is \"chain\" or { access_key = { env = \"…\" }, secret_key = { env = \"…\" } }",
        ),
        (
            "AuditOutput",
            "it is \"stdout\", \"off\" or { file = \"…\" }",
        ),
    ];
    if let Some((_, instead)) = INSTEAD.iter().find(|(words, _)| message.contains(words)) {
        return (*instead).to_owned();
    }
    const EXPECTED: [(&str, &str); 6] = [
        ("bool", "`true` or `false`"),
        ("u", "a whole number, as in 1000"),
        ("i", "a whole number, as in 1000"),
        ("a string", "a text in quotes, as in \"text\""),
        ("path string", "a path in quotes, as in \"some/file\""),
        ("a sequence", "a list, as in [\"one\", \"two\"]"),
    ];
    let Some((_, expected)) = message.rsplit_once("expected ") else {
        return message.to_owned();
    };
    let expected = expected.lines().next().unwrap_or_default().trim();
    let number = |kind: &str| {
        let width = expected.strip_prefix(kind);
        width.is_some_and(|width| matches!(width, "8" | "16" | "32" | "64" | "size"))
    };
    let known = EXPECTED.iter().find(|(kind, _)| match *kind {
        "u" | "i" => number(kind),
        kind => expected == kind || expected == "a boolean" && kind == "bool",
    });
    match known {
        Some((_, right)) => format!("it must be {right}"),
        None => message.to_owned(),
    }
}

/// Serde says "unknown field `a`, expected one of `b`, `c`".
fn nearest(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    let nearest = known.max_by(|a, b| {
        strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b))
    });
    match nearest {
        Some(nearest) => Some(format!(
            "unknown key `{unknown}`; did you mean `{nearest}`?"
        )),
        None => Some(format!("unknown key `{unknown}`")),
    }
}

/// Serde repeats a value of the wrong type, which may be a secret somebody wrote where a table
/// should be: `invalid type: string "hunter2", expected …`.
fn without_values(message: &str) -> String {
    let Some((kind, rest)) = message.split_once('"') else {
        return message.to_owned();
    };
    match rest.rsplit_once('"') {
        // A message of ours quotes what should be written, and no value.
        _ if kind.contains('{') => message.to_owned(),
        Some((_, expected)) => format!("{}{expected}", kind.trim_end()),
        None => kind.trim_end().to_owned(),
    }
}
