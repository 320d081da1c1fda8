//! Which `x-amz-*` headers are understood. One that is not is refused: it may ask for something
//! that nobody would do, such as an ACL or encryption.

use super::super::{Error, ErrorCode, Head, Operation, WEBSITE_REDIRECT};

/// Headers that any operation may carry: signatures, framing, SDK bookkeeping, what parsers read.
const UNDERSTOOD: [&str; 44] = [
    "x-amz-api-version",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-md5",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-sha512",
    "x-amz-checksum-type",
    "x-amz-checksum-xxhash128",
    "x-amz-checksum-xxhash3",
    "x-amz-checksum-xxhash64",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-id-2",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-optional-object-attributes",
    "x-amz-request-id",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-source-expected-bucket-owner",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-client-id",
    "x-amz-invocation-id",
    "x-amz-target",
    "x-amz-retry",
    "x-amz-cf-id",
    TAGGING,
    TAGGING_DIRECTIVE,
    WEBSITE_REDIRECT,
];

const TAGGING: &str = "x-amz-tagging";
const TAGGING_DIRECTIVE: &str = "x-amz-tagging-directive";

/// Operations that make an object as a client describes it.
const MAKES: &[Operation] = &[
    Operation::PutObject,
    Operation::CopyObject,
    Operation::CreateMultipartUpload,
];

/// Headers that these operations alone act upon.
const ONLY_FOR: [(&str, &[Operation]); 3] = [
    (WEBSITE_REDIRECT, MAKES),
    (TAGGING, MAKES),
    (TAGGING_DIRECTIVE, &[Operation::CopyObject]),
];

const FLAG: &[&str] = &["true", "false", "True", "False"];

/// Headers that ask for something this gateway does not do, with the values that ask for what is
/// done anyway.
const ONLY_AS: [(&str, &[&str]); 5] = [
    ("x-amz-acl", &["private", "bucket-owner-full-control"]),
    // At AWS too a policy that shuts its author out is taken with and without it.
    ("x-amz-confirm-remove-self-bucket-access", FLAG),
    ("x-amz-bucket-object-lock-enabled", &["false", "False"]),
    ("x-amz-object-ownership", &["BucketOwnerEnforced"]),
    ("x-amz-storage-class", &["STANDARD"]),
];

/// Values of a header with which some operation is answered: those that it is taken with alone, or one that
/// stands for any; none where it is refused whatever it says.
#[must_use]
pub fn taken_values(name: &str) -> &'static [&'static str] {
    const ANY: &[&str] = &["any"];
    match ONLY_AS.iter().find(|(known, _)| *known == name) {
        Some((_, values)) => values,
        None if name == BYPASS => FLAG,
        None if !name.starts_with("x-amz-") || UNDERSTOOD.contains(&name) => ANY,
        None => &[],
    }
}

/// Refuses a head with an `x-amz-*` header that nobody would act on.
pub(in crate::s3) fn only_known(head: &Head, operation: Operation) -> Result<(), Error> {
    for name in head.amz_names() {
        if name.starts_with("x-amz-meta-") || UNDERSTOOD.contains(&name) || name == BYPASS {
            continue;
        }
        match ONLY_AS.iter().find(|(known, _)| *known == name) {
            Some((known, values)) => {
                let value = head.header(known)?.unwrap_or_default();
                if !values.contains(&value) {
                    return Err(refused(name, value));
                }
            }
            None => return Err(refused(name, "")),
        }
    }
    let copies = matches!(operation, Operation::CopyObject | Operation::UploadPartCopy);
    if head.has_header("x-amz-copy-source") && !copies {
        let message = "You can only specify a copy source header for copy requests.";
        return Err(super::invalid("x-amz-copy-source", "", message));
    }
    for (name, operations) in ONLY_FOR {
        if head.has_header(name) && !operations.contains(&operation) {
            return Err(refused(name, ""));
        }
    }
    no_lock_to_bypass(head, operation)?;
    no_underscores(head)
}

const BYPASS: &str = "x-amz-bypass-governance-retention";

/// No object is locked here. To say that no lock is to be bypassed is to say nothing; to bypass one is a
/// mistake about the bucket, except of who deletes many: tools that empty buckets say it of all of them.
fn no_lock_to_bypass(head: &Head, operation: Operation) -> Result<(), Error> {
    let deletes = matches!(
        operation,
        Operation::DeleteObject | Operation::DeleteObjects
    );
    match head.header(BYPASS)? {
        None => Ok(()),
        Some(_) if !deletes => Err(refused(BYPASS, "")),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(()),
        Some(_) if operation == Operation::DeleteObjects => Ok(()),
        Some(_) => {
            let message = "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.";
            Err(super::invalid(BYPASS, "", message))
        }
    }
}

fn refused(name: &str, value: &str) -> Error {
    if name == "x-amz-storage-class" {
        return ErrorCode::InvalidStorageClass.into();
    }
    let message = format!("The header '{name}' asks for what is not implemented.");
    Error::with_message(ErrorCode::NotImplemented, message)
        .detail("Header", name)
        .because(value)
}

/// `x_amz_acl` is no header of S3's, but some servers behind us read it as one (T53). In a name that a
/// user gives to metadata, an underscore is a letter like any other.
fn no_underscores(head: &Head) -> Result<(), Error> {
    let lookalike = |name: &&http::HeaderName| {
        let name = name.as_str();
        name.contains('_')
            && !name.starts_with("x-amz-meta-")
            && name.replace('_', "-").starts_with("x-amz-")
    };
    match head.headers().keys().find(lookalike) {
        Some(name) => Err(Error::with_message(
            ErrorCode::InvalidArgument,
            "a header's name is not valid",
        )
        .detail("ArgumentName", name.as_str())),
        None => Ok(()),
    }
}
