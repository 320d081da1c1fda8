//! What S3 asks of a bucket's policy beyond its grammar, in S3's words.
//!
//! What is put is checked in full. What is stored has passed the checks of its day: it is parsed as IAM
//! parses it, and must stay within its bucket.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>

mod applies;
mod words;

use super::pattern::Pattern;
use super::policy::{Error, Policy, PolicyKind, number};
use super::principal::{CANONICAL, Principals, is_canonical};
use super::statement::Effect;
use super::validate::padded_variable;

impl Policy {
    /// Parses what is put to a bucket as its policy. Messages begin with S3's own words.
    ///
    /// # Errors
    /// [`Error`] names what is wrong, and the statement.
    pub fn parse_for_bucket(id: &str, bucket_arn: &str, text: &str) -> Result<Self, Error> {
        words::check(text)?;
        let policy = Self::parse(PolicyKind::Resource, id, text.as_bytes());
        let policy = policy.map_err(|why| words::of(&why))?;
        policy.check_bucket(bucket_arn)?;
        if policy.has_variables()
            && let Some((at, field, key)) = padded_variable(text)
        {
            let sid = policy
                .statements()
                .get(at)
                .and_then(|one| one.sid.as_deref());
            return Err(words::of(&Error::Statement {
                statement: number(at, sid),
                field,
                reason: format!("the variable `${{{key}}}` has a space, which is not supported"),
            }));
        }
        for (at, statement) in policy.statements().iter().enumerate() {
            // IAM does not support it: it would grant to everyone who is not named, signed or not.
            if statement.effect == Effect::Allow
                && matches!(statement.principals, Some(Principals::Except(_)))
            {
                return Err(Error::Statement {
                    statement: number(at, statement.sid.as_deref()),
                    field: "NotPrincipal",
                    reason: "Allow with NotPrincipal is not allowed".to_owned(),
                });
            }
            // A principal has no variables: one of that name is nobody, whom a Deny would not reach.
            let principals = statement.principals.iter().flat_map(Principals::named);
            let mut texts = principals.map(|named| named.write().1);
            if let Some(text) = texts.find(|text| text.contains("${")) {
                return Err(Error::Document(format!(
                    "Invalid principal in policy: statement {}, `{text}`: a principal has no variables",
                    number(at, statement.sid.as_deref())
                )));
            }
            let principals = statement.principals.iter().flat_map(Principals::named);
            let mut canonical = principals.filter_map(|named| match named.write() {
                ("CanonicalUser", text) => Some(text),
                _ => None,
            });
            if let Some(text) = canonical.find(|text| !is_canonical(text)) {
                return Err(Error::Document(format!(
                    "Invalid principal in policy: statement {}, `{text}`: {CANONICAL}",
                    number(at, statement.sid.as_deref())
                )));
            }
            applies::check(statement, bucket_arn)
                .map_err(|why| why.of_statement(&number(at, statement.sid.as_deref())))?;
        }
        Ok(policy)
    }

    /// The ARN of the bucket that its first resource names, where that names one.
    #[must_use]
    pub fn first_bucket(&self) -> Option<&str> {
        let first = self.statements().first()?;
        let text = first.resources.named().first()?.literal_prefix();
        let name = text.strip_prefix("arn:aws:s3:::")?.split('/').next()?;
        let length = text
            .len()
            .min("arn:aws:s3:::".len().saturating_add(name.len()));
        text.get(..length).filter(|_| !name.is_empty())
    }

    /// Checks that every resource of a bucket's policy is that bucket or in it.
    ///
    /// # Errors
    /// [`Error`] names the statement.
    pub fn check_bucket(&self, bucket_arn: &str) -> Result<(), Error> {
        let inside = |pattern: &Pattern| {
            let exact = matches!(pattern, Pattern::Exact(_));
            let behind = pattern.literal_prefix().strip_prefix(bucket_arn);
            behind.is_some_and(|rest| {
                rest.starts_with('/')
                    || rest.is_empty() && (!exact || pattern.literal_prefix() == bucket_arn)
            })
        };
        for (at, statement) in self.statements().iter().enumerate() {
            if !statement.resources.named().iter().all(inside) {
                return Err(Error::Statement {
                    statement: number(at, statement.sid.as_deref()),
                    field: "Resource",
                    reason: "Policy has invalid resource".to_owned(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
