//! What is wrong with a configuration: file, line, key and what would be right.

use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("`{}`: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: String,
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

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, start: usize) -> usize {
    let before = text.bytes().take(start);
    before.filter(|b| *b == b'\n').count().saturating_add(1)
}
