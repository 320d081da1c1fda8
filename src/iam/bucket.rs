//! What S3 asks of a bucket's policy beyond its grammar.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>

use super::pattern::Pattern;
use super::policy::{Error, Policy, number};

impl Policy {
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
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::policy::{Policy, PolicyKind};

    fn policy(statements: &str) -> Policy {
        let json = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
        Policy::parse(PolicyKind::Resource, "p", json.as_bytes()).unwrap()
    }

    #[test]
    fn bucket_policies_stay_in_their_bucket() {
        for (resource, inside) in [
            ("arn:aws:s3:::b", true),
            ("arn:aws:s3:::b/*", true),
            ("arn:aws:s3:::b*", true),
            ("arn:aws:s3:::b/k", true),
            ("arn:aws:s3:::bb/*", false),
            ("arn:aws:s3:::*", false),
            ("*", false),
            ("arn:aws:s3:::a/*", false),
        ] {
            let json = format!(
                r#"{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"{resource}"}}"#
            );
            assert_eq!(
                policy(&json).check_bucket("arn:aws:s3:::b").is_ok(),
                inside,
                "{resource}"
            );
        }
    }
}
