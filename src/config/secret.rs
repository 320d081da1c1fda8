//! Secrets stand in files or in the environment, never in the configuration itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::crypto::Secret;

/// `{ file = "…" }` or `{ env = "…" }`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum SecretSource {
    /// A file whose text, without white space around it, is the secret.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl SecretSource {
    /// Reads the secret; relative files are relative to `base`.
    ///
    /// # Errors
    /// A text that names the file or variable.
    pub fn read(&self, base: &Path) -> Result<Secret, String> {
        let text = match self {
            Self::File(path) => {
                let path = base.join(path);
                std::fs::read_to_string(&path)
                    .map_err(|error| format!("`{}`: {error}", path.display()))?
            }
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("environment variable `{name}` is not set"))?,
        };
        match text.trim() {
            "" => Err(format!("{self} is empty")),
            text => Ok(Secret::new(text.to_owned())),
        }
    }

    /// The file, when it is one.
    #[must_use]
    pub fn file(&self, base: &Path) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(base.join(path)),
            Self::Env(_) => None,
        }
    }
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Env(name) => write!(f, "environment variable `{name}`"),
        }
    }
}
