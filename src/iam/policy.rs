//! A policy document: what it compiles to, what it is attached to, and how long it may be.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>

pub(super) mod parse;
mod write;

use std::sync::Arc;

use super::evaluate::By;
use super::index::Index;
use super::statement::Statement;

/// What a policy is attached to, which decides its grammar and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// A user's, a group's, a role's, a boundary, a service account's: no principal.
    Identity,
    /// A bucket's: with a principal.
    Resource,
    /// A session's: no principal, and no incomplete ARN.
    Session,
}

/// The longest documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyLimits {
    /// Characters of an identity's policy, white space not counted.
    pub identity: usize,
    /// Bytes of a bucket's.
    pub resource: usize,
    /// Characters of a session's.
    pub session: usize,
}

impl Default for PolicyLimits {
    /// AWS's quotas: 6,144 of a managed policy, 20 KiB of a bucket's, 2,048 of a session's.
    fn default() -> Self {
        Self {
            identity: 6144,
            resource: 20 * 1024,
            session: 2048,
        }
    }
}

/// Why a document is not a policy that can be enforced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document.
    #[error("{0}")]
    Document(String),
    /// A statement.
    #[error("statement {statement}, {field}: {reason}")]
    Statement {
        /// Its number from 1, with its Sid where it has one.
        statement: String,
        /// Which element.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Policy {
    id: Arc<str>,
    /// Whether its version has variables.
    variables: bool,
    statements: Vec<Statement>,
    index: Option<Index>,
}

impl Policy {
    /// Parses and compiles a document no longer than AWS lets it be. `id` is how decisions name it.
    ///
    /// # Errors
    /// [`Error`] names the statement, the element and the reason.
    pub fn parse(kind: PolicyKind, id: impl Into<Arc<str>>, json: &[u8]) -> Result<Self, Error> {
        Self::parse_within(&PolicyLimits::default(), kind, id, json)
    }

    /// Parses and compiles a document no longer than `limits` let it be.
    ///
    /// # Errors
    /// [`Error`] names the statement, the element and the reason.
    pub fn parse_within(
        limits: &PolicyLimits,
        kind: PolicyKind,
        id: impl Into<Arc<str>>,
        json: &[u8],
    ) -> Result<Self, Error> {
        let text = std::str::from_utf8(json)
            .map_err(|_| Error::Document("the policy is not UTF-8 text".to_owned()))?;
        limits.check(kind, text)?;
        let (variables, statements) = parse::document(kind, text)?;
        Ok(Self {
            id: id.into(),
            variables,
            index: Index::of(&statements),
            statements,
        })
    }

    /// How decisions name it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The document that it was compiled from, in one form: what differed in white space, order of
    /// elements or spelling of values is the same.
    #[must_use]
    pub fn to_json(&self) -> String {
        write::document(self)
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(super) fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    pub(super) fn has_variables(&self) -> bool {
        self.variables
    }

    /// How decisions name the statement at `at`, from 0.
    pub(super) fn by(&self, at: usize) -> By {
        let statement = self.statements.get(at);
        By {
            policy: self.id.clone(),
            statement: at.saturating_add(1),
            sid: statement.and_then(|statement| statement.sid.clone()),
        }
    }
}

impl PartialEq for Policy {
    /// Whether they say the same in the same words, whatever they are called.
    fn eq(&self, other: &Self) -> bool {
        self.statements == other.statements
    }
}

impl PolicyLimits {
    pub(super) fn check(&self, kind: PolicyKind, text: &str) -> Result<(), Error> {
        // Nothing has more characters than bytes.
        if text.len() <= self.of(kind) {
            return Ok(());
        }
        let (length, limit, unit) = self.measure(kind, text);
        match length <= limit {
            true => Ok(()),
            false => Err(Error::Document(format!(
                "the policy is longer than its kind may be: {length} {unit} of at most {limit}"
            ))),
        }
    }

    /// How long a document is, how long it may be, and in what.
    pub(super) fn measure(&self, kind: PolicyKind, text: &str) -> (usize, usize, &'static str) {
        let (length, unit) = match kind {
            PolicyKind::Identity => (
                text.chars().filter(|c| !c.is_whitespace()).count(),
                "characters without white space",
            ),
            PolicyKind::Resource => (text.len(), "bytes"),
            PolicyKind::Session => (text.chars().count(), "characters"),
        };
        (length, self.of(kind), unit)
    }

    fn of(&self, kind: PolicyKind) -> usize {
        match kind {
            PolicyKind::Identity => self.identity,
            PolicyKind::Resource => self.resource,
            PolicyKind::Session => self.session,
        }
    }
}

/// How errors name a statement.
pub(super) fn number(at: usize, sid: Option<&str>) -> String {
    match sid {
        Some(sid) => format!("{} (`{sid}`)", at.saturating_add(1)),
        None => at.saturating_add(1).to_string(),
    }
}

#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;
