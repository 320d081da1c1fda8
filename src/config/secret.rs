//! Secrets stand in files or in the environment, never in the configuration itself.

use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::words::{SECRET, read_text};
use crate::crypto::Secret;

/// `{ file = "…" }` or `{ env = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file whose text, without white space around it, is the secret.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Written by hand, since derived errors repeat the value: here it may be a secret that somebody
/// wrote where its source should stand.
impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SecretSource;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table with `file` or `env`")
    }

    fn visit_str<E: serde::de::Error>(self, _secret: &str) -> Result<SecretSource, E> {
        Err(E::custom(SECRET))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<SecretSource, A::Error> {
        let wrong = || A::Error::custom(SECRET);
        let (key, value) = table.next_entry::<String, String>()?.ok_or_else(wrong)?;
        if table.next_key::<String>()?.is_some() {
            return Err(wrong());
        }
        match key.as_str() {
            "file" => Ok(SecretSource::File(value.into())),
            "env" => Ok(SecretSource::Env(value)),
            _ => Err(wrong()),
        }
    }
}

impl SecretSource {
    /// Whether there can be such a file or variable.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::File(path) if path.as_os_str().is_empty() => Err("the path is empty".to_owned()),
            Self::Env(name) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(format!("`{name}` is no name of an environment variable"))
            }
            Self::File(_) | Self::Env(_) => Ok(()),
        }
    }

    /// Reads the secret; relative files are relative to `base`.
    ///
    /// # Errors
    /// A text that names the file or variable.
    pub fn read(&self, base: &Path) -> Result<Secret, String> {
        let text = match self {
            Self::File(path) => {
                let path = base.join(path);
                read_text(&path).map_err(|why| format!("`{}`: {why}", path.display()))?
            }
            Self::Env(name) => std::env::var(name).map_err(|why| match why {
                std::env::VarError::NotPresent => {
                    format!("environment variable `{name}` is not set")
                }
                std::env::VarError::NotUnicode(_) => {
                    format!("environment variable `{name}` is no text")
                }
            })?,
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
