//! Condition keys: which there are, and which of them this gateway supplies.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

/// A condition key in lower case: key names are case-insensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Box<str>);

/// Keys that requests supply, in lower case. One that ends in `/` has a tag's name behind it.
const SUPPLIED: [&str; 40] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:securetransport",
    "aws:sourceip",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "s3:authtype",
    "s3:delimiter",
    "s3:if-match",
    "s3:if-none-match",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:prefix",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
    "s3:object-lock-mode",
];

/// Keys that exist and that nothing here supplies, by prefix, with the reason.
const NOT_SUPPLIED: [(&str, &str); 8] = [
    ("s3:existingobjecttag/", "object tags are not kept yet"),
    ("s3:requestobjecttag", "object tags are not kept yet"),
    ("aws:resourcetag/", "resource tags are not kept yet"),
    ("aws:principaltag/", "principal tags are not kept yet"),
    ("aws:requesttag/", "tags are not kept yet"),
    ("aws:tagkeys", "tags are not kept yet"),
    (
        "aws:multifactorauth",
        "there is no multi-factor authentication",
    ),
    ("aws:sourcevpc", "there are no VPC endpoints here"),
];

impl Key {
    /// Takes a key in.
    ///
    /// # Errors
    /// What is wrong with it: not known, or not supplied by this gateway.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if SUPPLIED.contains(&lower.as_str()) {
            return Ok(Self(lower.into()));
        }
        let known = NOT_SUPPLIED
            .iter()
            .find(|(prefix, _)| lower.starts_with(prefix));
        Err(match known {
            Some((_, why)) => format!("condition key `{text}` is not enforced: {why}"),
            None => format!("condition key `{text}` is not known"),
        })
    }

    /// The key in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
