//! Signature Version 4 in the `Authorization` header.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>

use std::borrow::Cow;

use http::HeaderValue;
use time::OffsetDateTime;

use super::claim::{Claim, SKEW, check_scope, is_signature, security_token};
use super::{Error, Mechanism, signed_headers};
use crate::s3::{Head, Operation, Payload, Request, time as s3_time};
use crate::sigv4::{ALGORITHM, CredentialScope, InvalidScope};

/// Whether an `Authorization` header names a signature of AWS's that is not supported.
pub(super) fn names_other_mechanism(value: &[u8]) -> bool {
    const KNOWN: [&[u8]; 1] = [b"AWS4-"];
    KNOWN.iter().any(|scheme| {
        value
            .get(..scheme.len())
            .is_some_and(|v| v.eq_ignore_ascii_case(scheme))
    })
}

fn malformed(what: String) -> Error {
    Error::HeaderMalformed(what)
}

/// The claim of a header-signed request.
pub(super) fn claim<'r>(
    request: &'r Request,
    now: OffsetDateTime,
    region: &str,
) -> Result<Claim<'r>, Error> {
    let head = &request.head;
    let authorization = head
        .headers()
        .get(http::header::AUTHORIZATION)
        .map(HeaderValue::to_str);
    let Some(Ok(authorization)) = authorization else {
        return Err(malformed("the header is not text".to_owned()));
    };
    let fields = Fields::parse(authorization)?;
    let wrong = |wrong: InvalidScope| malformed(wrong.to_string());
    let (access_key_id, scope) =
        CredentialScope::parse_credential(fields.credential).map_err(wrong)?;
    let (date, signed_at) = date(head)?;
    check_scope(&scope, &date, region, malformed)?;
    if (now - signed_at).abs() > SKEW {
        return Err(Error::Skewed);
    }
    let payload = payload(request)?;
    let signed_headers = signed_headers::parse(fields.signed_headers, malformed)?;
    signed_headers::check(head, &signed_headers)?;
    if !is_signature(fields.signature) {
        return Err(malformed(
            "the Signature is not 64 hexadecimal digits".to_owned(),
        ));
    }
    Ok(Claim {
        access_key_id,
        scope,
        date,
        signed_at,
        signed_headers,
        signature: fields.signature,
        security_token: security_token(head),
        mechanism: Mechanism::Header,
        payload,
    })
}

/// `x-amz-date`, or the `Date` header where that is missing. What is signed is the basic form.
///
/// <https://docs.aws.amazon.com/general/latest/gr/sigv4-date-handling.html>
fn date(head: &Head) -> Result<(Cow<'_, str>, OffsetDateTime), Error> {
    let header = |name| head.header(name).map_err(|_| Error::NoDate);
    if let Some(text) = header("x-amz-date")? {
        let at = s3_time::parse_amz_date(text).ok_or(Error::NoDate)?;
        return Ok((text.into(), at));
    }
    let text = header("date")?.ok_or(Error::NoDate)?;
    let at = s3_time::parse_amz_date(text).or_else(|| s3_time::parse_http_date(text));
    let at = at.ok_or(Error::NoDate)?;
    Ok((s3_time::amz_date(at).into(), at))
}

/// The payload mode of a header-signed request: always named, and streaming only for uploads.
fn payload(request: &Request) -> Result<&str, Error> {
    let missing = Error::MissingHeader("x-amz-content-sha256");
    let Ok(Some(text)) = request.head.header("x-amz-content-sha256") else {
        return Err(missing);
    };
    let uploads = matches!(
        request.call.operation(),
        Operation::PutObject | Operation::UploadPart
    );
    match request.payload {
        Payload::Absent => Err(missing),
        payload if payload.is_chunked() && !uploads => Err(Error::Payload(
            "a streaming payload goes with PutObject and UploadPart only",
        )),
        _ => Ok(text),
    }
}

/// The three fields, each once, in any order.
struct Fields<'h> {
    credential: &'h str,
    signed_headers: &'h str,
    signature: &'h str,
}

impl<'h> Fields<'h> {
    fn parse(authorization: &'h str) -> Result<Self, Error> {
        let rest = authorization.strip_prefix(ALGORITHM).unwrap_or_default();
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        let missing = || {
            malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.".to_owned())
        };
        for field in rest.split(',').filter(|_| !rest.trim().is_empty()) {
            // What it holds may be half of a secret, so it is not repeated.
            let (name, value) = field
                .trim()
                .split_once('=')
                .ok_or_else(|| malformed("an authorization component is malformed.".to_owned()))?;
            let slot = match name.trim_end() {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(missing()),
            };
            if slot.replace(value.trim_start()).is_some() {
                return Err(Error::TwoMechanisms);
            }
        }
        Ok(Self {
            credential: credential.ok_or_else(missing)?,
            signed_headers: signed_headers.ok_or_else(missing)?,
            signature: signature.ok_or_else(missing)?,
        })
    }
}
