//! What a request needs besides the action that it is asked by, of one that is only supposed: by the same
//! tables as of those that came. And which actions requests here ask for at all.

use super::requirement::{COMPARES, CREATES_BUCKET, DELETES, Row, WRITES, asks, kms_arn};
use crate::iam::{Key, Name};
use crate::s3::Operation;

/// A right that what a request says needs besides its action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implied {
    /// The action, as AWS writes it.
    pub action: &'static str,
    /// The ARN.
    pub resource: String,
    /// The condition key whose value asks for it.
    pub because: String,
}

/// The key of a customer's, as a header names it.
const KMS_KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";

/// What a request for `action` on `resource` that says what is `given` needs as well, in the order in which
/// requests are decided.
#[must_use]
pub fn implied(
    action: &str,
    resource: &str,
    given: &[(Key, Vec<String>)],
    account: &str,
    region: &str,
) -> Vec<Implied> {
    let mut needed = Vec::new();
    let writes = action == "s3:PutObject";
    for (key, values) in given.iter().filter(|_| writes) {
        let source = values.first().filter(|_| key.name() == Name::CopySource);
        if let Some(source) = source {
            needed.push(Implied {
                action: "s3:GetObject",
                resource: format!("arn:aws:s3:::{}", source.trim_start_matches('/')),
                because: key.as_written().to_owned(),
            });
        }
    }
    let table = match action {
        "s3:CreateBucket" => &CREATES_BUCKET[..],
        "s3:PutObject" => &WRITES[..],
        "s3:DeleteObject" | "s3:DeleteObjectVersion" => &[COMPARES][..],
        _ => &[],
    };
    for (headers, action) in table {
        let asking = given.iter().find(|(key, values)| {
            let value = values.first().map(String::as_str).unwrap_or_default();
            headers
                .iter()
                .any(|name| is_of(key, name) && asks(name, value))
        });
        if let Some((key, _)) = asking {
            needed.push(Implied {
                action,
                resource: resource.to_owned(),
                because: key.as_written().to_owned(),
            });
        }
    }
    let kms_key = given.iter().find(|(key, _)| writes && key.is(KMS_KEY));
    if let Some((key, values)) = kms_key {
        let id = values.first().map(String::as_str).unwrap_or_default();
        needed.push(Implied {
            action: "kms:GenerateDataKey",
            resource: kms_arn(id, account, region).into_owned(),
            because: key.as_written().to_owned(),
        });
    }
    needed
}

/// Whether `key` is what conditions call the header.
fn is_of(key: &Key, header: &str) -> bool {
    match header {
        "x-amz-tagging" => matches!(
            key.name(),
            Name::RequestObjectTag | Name::RequestObjectTagKeys
        ),
        // Conditions call the lock's headers without their prefix.
        header => {
            let bare = header.strip_prefix("x-amz-object-lock-");
            let named = bare.map(|rest| format!("s3:object-lock-{rest}"));
            key.is(&named.unwrap_or_else(|| format!("s3:{header}")))
        }
    }
}

/// Actions that a version or a document asks for, of which no row of the operations speaks.
const OF_VERSIONS: [&str; 7] = [
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionTagging",
    "s3:PutObjectVersionTagging",
    "kms:GenerateDataKey",
];

/// Looks whether some request here is decided by `action`.
///
/// # Errors
/// Says why none is: the operation is not answered, or another service would answer it.
pub fn check_asked(action: &str) -> Result<(), String> {
    let rows = || Operation::ALL.iter().map(|operation| operation.row());
    let answered = rows().filter(|row| row.implemented);
    let mut answered = answered.flat_map(|row| row.actions);
    let tables: [&[Row]; 3] = [&CREATES_BUCKET, &WRITES, &DELETES];
    let mut by_header = tables.iter().flat_map(|table| table.iter());
    if answered.any(|known| *known == action)
        || by_header.any(|(_, known)| *known == action)
        || OF_VERSIONS.contains(&action)
    {
        return Ok(());
    }
    let refused = rows().filter(|row| row.actions.contains(&action));
    let refused: Vec<_> = refused.map(|row| row.name).collect();
    Err(match refused.as_slice() {
        [] if action.starts_with("s3:") => format!(
            "no request here is decided by `{action}`: no operation that is answered asks for it"
        ),
        [] => format!("no request here is decided by `{action}`: only S3's requests are answered"),
        names => format!(
            "no request here is decided by `{action}`: {} is answered 501 NotImplemented, whoever asks",
            names.join(" and ")
        ),
    })
}
