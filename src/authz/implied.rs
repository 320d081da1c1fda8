//! What a request needs besides the action that it is asked by, of one that is only supposed: by the same
//! tables as of those that came. And which actions requests here ask for at all.

use super::requirement::{
    COMPARES, CREATES_BUCKET, DELETES, Row, WRITES, asks, copied_tags, kms_arn, source,
};
use crate::iam::{Key, Name};
use crate::s3::{Call, Operation, taken_values};

/// A right that what a request says needs besides its action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implied {
    /// The action, as AWS writes it.
    pub action: &'static str,
    /// The ARN.
    pub resource: String,
    /// The version that it is asked of.
    pub version_id: Option<String>,
    /// The condition key whose value asks for it.
    pub because: String,
}

/// The key of a customer's, as a header names it.
const KMS_KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";

/// What a request for `action` on `resource` that says what is `given` needs as well, in the order in which
/// requests are decided. `call` is that request, where it is one.
#[must_use]
pub fn implied(
    call: Option<&Call>,
    action: &str,
    resource: &str,
    given: &[(Key, Vec<String>)],
    account: &str,
    region: &str,
) -> Vec<Implied> {
    let mut needed = Vec::new();
    let writes = action == "s3:PutObject";
    let from = match call {
        Some(Call::CopyObject(copy)) => Some(&copy.source),
        Some(Call::UploadPartCopy(copy)) => Some(&copy.source),
        _ => None,
    };
    if let Some(read) = from.map(source) {
        needed.push(Implied {
            action: read.action,
            resource: read.resource(account, region).into_owned(),
            version_id: read.version_id.map(str::to_owned),
            because: "s3:x-amz-copy-source".to_owned(),
        });
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
                version_id: None,
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
            version_id: None,
            because: key.as_written().to_owned(),
        });
    }
    needed
}

/// What a copy needs besides, where its source has tags: it takes them along.
#[must_use]
pub fn implied_by_tags(call: Option<&Call>, account: &str, region: &str) -> Vec<Implied> {
    let copy = match call {
        Some(Call::CopyObject(copy)) if copy.tags.is_none() => copy,
        _ => return Vec::new(),
    };
    let needed = copied_tags(copy).into_iter().map(|right| Implied {
        action: right.action,
        resource: right.resource(account, region).into_owned(),
        version_id: right.version_id.map(str::to_owned),
        because: "s3:x-amz-copy-source".to_owned(),
    });
    needed.collect()
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

/// Actions that a version asks for, of which no row of the operations speaks.
const OF_VERSIONS: [&str; 6] = [
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionTagging",
    "s3:PutObjectVersionTagging",
];

/// Whether one of the headers is taken in a way that asks for something: others are answered 501, whoever asks.
fn may_ask(headers: &[&str]) -> bool {
    let asks = |name: &&str| taken_values(name).iter().any(|value| asks(name, value));
    headers.iter().any(asks)
}

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
        || by_header.any(|(headers, known)| *known == action && may_ask(headers))
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
