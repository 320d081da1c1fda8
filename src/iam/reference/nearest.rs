//! What somebody may have meant who wrote a name that there is not.

use super::{GLOBALS, SERVICES};

/// Operations of S3's API that are asked for under another action's name.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
#[rustfmt::skip]
const OPERATIONS: &[(&str, &str)] = &[
    ("s3:CompleteMultipartUpload", "s3:PutObject"),
    ("s3:CopyObject", "s3:PutObject"),
    ("s3:CreateMultipartUpload", "s3:PutObject"),
    ("s3:DeleteBucketCors", "s3:PutBucketCORS"),
    ("s3:DeleteBucketEncryption", "s3:PutEncryptionConfiguration"),
    ("s3:DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
    ("s3:DeleteBucketReplication", "s3:PutReplicationConfiguration"),
    ("s3:DeleteBucketTagging", "s3:PutBucketTagging"),
    ("s3:DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    ("s3:GetBucketEncryption", "s3:GetEncryptionConfiguration"),
    ("s3:GetBucketLifecycle", "s3:GetLifecycleConfiguration"),
    ("s3:GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
    ("s3:GetBucketReplication", "s3:GetReplicationConfiguration"),
    ("s3:GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration"),
    ("s3:GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    ("s3:HeadBucket", "s3:ListBucket"),
    ("s3:HeadObject", "s3:GetObject"),
    ("s3:ListBuckets", "s3:ListAllMyBuckets"),
    ("s3:ListMultipartUploads", "s3:ListBucketMultipartUploads"),
    ("s3:ListObjects", "s3:ListBucket"),
    ("s3:ListObjectsV2", "s3:ListBucket"),
    ("s3:ListObjectVersions", "s3:ListBucketVersions"),
    ("s3:ListParts", "s3:ListMultipartUploadParts"),
    ("s3:PutBucketEncryption", "s3:PutEncryptionConfiguration"),
    ("s3:PutBucketLifecycle", "s3:PutLifecycleConfiguration"),
    ("s3:PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
    ("s3:PutBucketReplication", "s3:PutReplicationConfiguration"),
    ("s3:PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration"),
    ("s3:PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    ("s3:SelectObjectContent", "s3:GetObject"),
    ("s3:UploadPart", "s3:PutObject"),
    ("s3:UploadPartCopy", "s3:PutObject"),
];

/// The longest text that is compared with names.
const LONGEST: usize = 128;

/// The action that was meant by a name that is none: the one that an operation of that name asks for,
/// or the nearest. None where nothing is near, and none for patterns, which stand for many.
pub(in crate::iam) fn action(text: &str) -> Option<&'static str> {
    if text.contains(['*', '?']) {
        return None;
    }
    let operations = OPERATIONS.iter();
    let mut same = operations.filter(|(name, _)| name.eq_ignore_ascii_case(text));
    let names = SERVICES.iter().flat_map(|(_, actions, _)| *actions);
    let asked = same.next().map(|(_, action)| *action);
    asked
        .or_else(|| begun(text))
        .or_else(|| nearest(text, names.map(|action| action.name)))
}

/// The action whose last word somebody did not write to its end, as in `s3:PutObj`.
fn begun(text: &str) -> Option<&'static str> {
    // A verb alone begins many.
    text.split_once(':').filter(|(_, name)| name.len() >= 6)?;
    let actions = SERVICES.iter().flat_map(|(_, actions, _)| *actions);
    let ended = actions.map(|action| action.name).filter(|full| {
        let (head, rest) = full.split_at_checked(text.len()).unwrap_or_default();
        head.eq_ignore_ascii_case(text) && rest.bytes().all(|b| b.is_ascii_lowercase())
    });
    ended.min_by_key(|full| full.len())
}

/// The condition key that was meant by a name that is none, with the tag or claim that it names.
pub(in crate::iam) fn key(text: &str) -> Option<String> {
    let (head, member) = match text.split_once('/') {
        Some((_, member)) => (text.strip_suffix(member).unwrap_or(text), member),
        None => (text, ""),
    };
    let services = SERVICES.iter().flat_map(|(.., keys)| *keys);
    let names = services.map(|(name, _)| *name);
    let names = names.chain(GLOBALS.iter().map(|(name, ..)| *name));
    let same = names.filter(|name| name.ends_with('/') != member.is_empty());
    nearest(head, same).map(|name| format!("{name}{member}"))
}

/// The name that the fewest changes lead to, and of more than one in four characters none does.
pub(in crate::iam) fn nearest<'n>(
    text: &str,
    names: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    // No name is nearly as long, and a policy may be: who writes it does not choose how long this takes.
    if text.len() > LONGEST {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let most = text.chars().count() / 4;
    let distances = names.map(|name| {
        (
            strsim::osa_distance(&text, &name.to_ascii_lowercase()),
            name,
        )
    });
    let least = distances.min_by_key(|(distance, _)| *distance);
    least
        .filter(|(distance, _)| *distance <= most)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        for (text, expected) in [
            ("s3:DeleteObjetc", Some("s3:DeleteObject")),
            ("s3:deleteobjects", Some("s3:DeleteObject")),
            ("s3:GetObjekt", Some("s3:GetObject")),
            ("s4:GetObject", Some("s3:GetObject")),
            ("s3:ListBuckets", Some("s3:ListAllMyBuckets")),
            ("s3:headobject", Some("s3:GetObject")),
            ("iam:PasRole", Some("iam:PassRole")),
            ("s3:PutObj", Some("s3:PutObject")),
            (
                "s3:PutBucketLifecycle",
                Some("s3:PutLifecycleConfiguration"),
            ),
            ("s3:Put", None),
            ("s3:Foo", None),
            ("s3:Nope", None),
            ("ec2:RunInstances", None),
            ("s3:GetObjekt*", None),
        ] {
            assert_eq!(action(text), expected, "{text}");
        }
        for (text, expected) in [
            ("s3:prefx", Some("s3:prefix")),
            ("aws:SourceIP4", Some("aws:SourceIp")),
            ("aws:PrincipleTag/Team", Some("aws:PrincipalTag/Team")),
            ("s3:x", None),
        ] {
            assert_eq!(key(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn operations_are_no_actions_and_lead_to_some() {
        let all = || SERVICES.iter().flat_map(|(_, actions, _)| *actions);
        for (name, asked) in OPERATIONS {
            let is = |text: &str| all().any(|action| action.name.eq_ignore_ascii_case(text));
            assert!(!is(name), "{name}");
            assert!(is(asked), "{asked}");
        }
    }
}
