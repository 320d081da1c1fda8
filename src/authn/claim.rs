//! What a request claims of its signature, before any of it is believed.

use std::borrow::Cow;

use time::OffsetDateTime;

use super::{Error, Mechanism};
use crate::s3::Head;
use crate::sigv4::CredentialScope;

/// How far a request's time may be from ours, both ways.
pub(super) const SKEW: time::Duration = time::Duration::minutes(15);

/// A claim: well-formed, in time and in scope, and not yet proved.
#[derive(Debug)]
pub(super) struct Claim<'r> {
    pub(super) access_key_id: &'r str,
    pub(super) scope: CredentialScope,
    /// `x-amz-date` as sent, or the same form of the `Date` that stands for it.
    pub(super) date: Cow<'r, str>,
    pub(super) signed_at: OffsetDateTime,
    pub(super) signed_headers: Vec<&'r str>,
    pub(super) signature: &'r str,
    pub(super) security_token: Option<&'r str>,
    pub(super) mechanism: Mechanism,
    /// What stands for the payload in the canonical request.
    pub(super) payload: &'r str,
}

/// The security token that came along, in the query or in a header, whichever the mechanism: one that
/// was looked for in its own place only would pass unseen in the other (T13).
pub(super) fn security_token(head: &Head) -> Option<&str> {
    let header = head.headers().get("x-amz-security-token");
    let header = header.map(|value| value.to_str().unwrap_or_default());
    head.query.get("X-Amz-Security-Token").or(header)
}

/// A signature is 64 digits of lower-case hexadecimal.
pub(super) fn is_signature(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

/// Checks a scope against the request's date, our region and the service S3. `malformed` is the
/// mechanism's own word for what is wrong.
pub(super) fn check_scope(
    scope: &CredentialScope,
    date: &str,
    region: &str,
    malformed: fn(String) -> Error,
) -> Result<(), Error> {
    if !date.starts_with(&scope.date) {
        return Err(malformed(format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
            scope.date,
            date.get(..8).unwrap_or_default(),
        )));
    }
    if scope.service != "s3" {
        return Err(malformed(format!(
            "incorrect service \"{}\". This endpoint belongs to \"s3\".",
            scope
                .service
                .chars()
                .take(32)
                .collect::<String>()
                .escape_debug()
        )));
    }
    if scope.region != region {
        return Err(Error::WrongRegion {
            sent: scope.region.clone(),
            ours: region.to_owned(),
        });
    }
    Ok(())
}
