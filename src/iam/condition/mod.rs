//! Conditions: an operator, a key, and the values a policy names.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>

mod operator;
mod value;

use time::OffsetDateTime;

use super::context::Context;
use super::key::Key;
pub(super) use operator::{Compare, Operator, Quantifier, Test};
use value::Wanted;

/// A compiled condition. All values are alternatives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) operator: Operator,
    pub(super) key: Key,
    wanted: Wanted,
}

impl Condition {
    /// Compiles `operator: { key: values }`.
    pub(super) fn parse(
        operator: Operator,
        key: &str,
        values: &[std::borrow::Cow<'_, str>],
        variables: bool,
    ) -> Result<Self, String> {
        let key = Key::parse(key)?;
        if values.is_empty() {
            return Err(format!("condition key `{}` has no value", key.as_written()));
        }
        Ok(Self {
            operator,
            wanted: Wanted::parse(operator.test, values, variables)?,
            key,
        })
    }

    /// Whether the request meets it. Total: what cannot be read as the operator's type is like
    /// nothing, and so is a variable without a value.
    pub(super) fn holds(&self, context: &dyn Context) -> bool {
        let found = context.values(&self.key);
        let absent = found.is_absent();
        // AWS: an empty text is a null data set to what asks for all, for any or for none.
        let null = absent || found.is_one_empty_text();
        if let Wanted::Null(wanted) = &self.wanted {
            return wanted.contains(&null);
        }
        let negated = self.operator.negated;
        match (absent, self.operator.if_exists, self.operator.quantifier) {
            (true, true, _) => return true,
            (true, false, Quantifier::None) => return negated,
            (_, _, Quantifier::All) if null => return true,
            (_, _, Quantifier::Any) if null => return false,
            _ => {}
        }
        match self.operator.quantifier {
            Quantifier::None => found.any(|value| self.wanted.has(value, context)) != negated,
            Quantifier::All => !found.any(|value| self.wanted.has(value, context) == negated),
            Quantifier::Any => found.any(|value| self.wanted.has(value, context) != negated),
        }
    }

    /// The keys of the variables in its values.
    pub(super) fn variables(&self) -> impl Iterator<Item = &Key> {
        self.wanted.patterns().flat_map(|pattern| pattern.keys())
    }

    /// Its values, where they are dates, and how they are compared.
    pub(super) fn dates(&self) -> Option<(Compare, &[OffsetDateTime])> {
        match &self.wanted {
            Wanted::Date(compare, dates) => Some((*compare, dates)),
            _ => None,
        }
    }

    /// Its values as a policy has them.
    pub(super) fn write(&self, variables: bool) -> Vec<String> {
        self.wanted.write(variables)
    }
}

#[cfg(test)]
mod tests;
