//! Signature Version 4 in the query: presigned URLs.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use time::OffsetDateTime;

use super::claim::{Claim, SKEW, check_scope, is_signature, security_token};
use super::{Error, Mechanism, signed_headers};
use crate::s3::{Head, Payload, Request, time as s3_time};
use crate::sigv4::{ALGORITHM, CredentialScope, InvalidScope};

/// The longest life: seven days.
pub(super) const MAX_EXPIRES: i64 = 604_800;

fn malformed(what: String) -> Error {
    Error::QueryMalformed(what)
}

fn of_credential(mut what: String) -> Error {
    what.insert_str(0, "Error parsing the X-Amz-Credential parameter; ");
    malformed(what)
}

fn parameter<'r>(head: &'r Head, name: &str) -> Result<&'r str, Error> {
    head.query.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        malformed("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.".to_owned())
    })
}

/// The claim of a presigned request.
pub(super) fn claim<'r>(
    request: &'r Request,
    now: OffsetDateTime,
    region: &str,
) -> Result<Claim<'r>, Error> {
    let head = &request.head;
    match parameter(head, "X-Amz-Algorithm")? {
        ALGORITHM => {}
        "AWS4-ECDSA-P256-SHA256" => return Err(Error::Unsupported),
        _ => {
            return Err(malformed(
                "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\""
                    .to_owned(),
            ));
        }
    }
    let wrong = |wrong: InvalidScope| of_credential(wrong.to_string());
    let credential = parameter(head, "X-Amz-Credential")?;
    let (access_key_id, scope) = CredentialScope::parse_credential(credential).map_err(wrong)?;
    let date = parameter(head, "X-Amz-Date")?;
    let unreadable = || {
        malformed(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".to_owned(),
        )
    };
    let signed_at = s3_time::parse_amz_date(date).ok_or_else(unreadable)?;
    check_scope(&scope, date, region, of_credential).map_err(|error| match error {
        Error::WrongRegion { sent, ours } => of_credential(format!(
            "the region '{}' is wrong; expecting '{ours}'",
            sent.escape_debug()
        )),
        other => other,
    })?;
    in_time(signed_at, expires(parameter(head, "X-Amz-Expires")?)?, now)?;
    let signed_headers = signed_headers::parse(parameter(head, "X-Amz-SignedHeaders")?, malformed)?;
    signed_headers::check(head, &signed_headers)?;
    let signature = parameter(head, "X-Amz-Signature")?;
    if !is_signature(signature) {
        return Err(malformed(
            "X-Amz-Signature is not 64 hexadecimal digits".to_owned(),
        ));
    }
    Ok(Claim {
        access_key_id,
        scope,
        date: date.into(),
        signed_at,
        signed_headers,
        signature,
        security_token: security_token(head),
        mechanism: Mechanism::Presigned,
        payload: payload(request)?,
    })
}

fn expires(text: &str) -> Result<time::Duration, Error> {
    // Digits and a minus only: `+60` is a number to Rust and none to S3.
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    match text.parse::<i64>() {
        _ if !digits => Err(malformed("X-Amz-Expires should be a number".to_owned())),
        Ok(seconds @ 0..=MAX_EXPIRES) => Ok(time::Duration::seconds(seconds)),
        Ok(seconds) if seconds < 0 => {
            Err(malformed("X-Amz-Expires must be non-negative".to_owned()))
        }
        _ => Err(malformed(
            "X-Amz-Expires must be less than a week (in seconds) that is 604800".to_owned(),
        )),
    }
}

fn in_time(
    signed_at: OffsetDateTime,
    life: time::Duration,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if signed_at.saturating_add(life) < now {
        return Err(Error::Expired);
    }
    if signed_at > now.saturating_add(SKEW) {
        return Err(Error::NotYet);
    }
    Ok(())
}

/// A presigned URL leaves the payload open unless it pins its hash; it cannot sign chunks.
pub(super) fn payload(request: &Request) -> Result<&str, Error> {
    match request.payload {
        Payload::Absent | Payload::Unsigned => Ok("UNSIGNED-PAYLOAD"),
        Payload::Sha256(_) => {
            let text = request.head.header("x-amz-content-sha256").ok().flatten();
            text.ok_or(Error::MissingHeader("x-amz-content-sha256"))
        }
        _ => Err(Error::Payload(
            "a streaming payload does not go with a presigned URL",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t10_lives_are_digits_and_at_most_a_week() {
        for (text, seconds) in [("0", 0), ("60", 60), ("604800", 604_800)] {
            assert_eq!(
                expires(text).ok(),
                Some(time::Duration::seconds(seconds)),
                "{text}"
            );
        }
        for text in [
            "604801", "-1", "+60", " 60", "60 ", "6e1", "60.0", "0x3c", "", "-",
        ] {
            assert!(expires(text).is_err(), "{text}");
        }
        assert!(expires("99999999999999999999").is_err());
    }
}
