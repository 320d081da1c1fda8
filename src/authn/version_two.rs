//! Signature Version 2 in the `Authorization` header and in the query, where a listener takes it.

use time::OffsetDateTime;

use super::claim::SKEW;
use super::error::Mismatch;
use super::verify::{NOBODYS_SECRET, shown};
use super::{Caller, Error, Identity, Mechanism, Proof, Version};
use crate::crypto::constant_time_eq;
use crate::identity::{Directory, Owner};
use crate::s3::head::text;
use crate::s3::{Head, Payload, Request, Target, time as s3_time};
use crate::sigv4::version_two::{Parts, is_signed, signature, string_to_sign};

/// What a request claims.
struct Claim<'r> {
    access_key_id: &'r str,
    signature: &'r str,
    /// What stands for the date in what is signed.
    date: &'r str,
    signed_at: OffsetDateTime,
    mechanism: Mechanism,
}

/// The caller of a request that is signed so in its header.
pub(super) fn of_header(
    request: &Request,
    directory: &Directory,
    now: OffsetDateTime,
) -> Result<Caller, Error> {
    let head = &request.head;
    let authorization = head.headers().get(http::header::AUTHORIZATION);
    let credential = authorization
        .and_then(text)
        .and_then(|value| value.strip_prefix("AWS "));
    let parts = credential.and_then(|text| text.trim().rsplit_once(':'));
    let Some((access_key_id, signature)) = parts.filter(|(id, _)| !id.is_empty()) else {
        return Err(Error::VersionTwoMalformed);
    };
    let header = |name| head.header(name).map_err(|_| Error::NoDate);
    let (date, said) = match header("x-amz-date")? {
        Some(amz) => ("", amz),
        None => header("date")?
            .map(|date| (date, date))
            .ok_or(Error::NoDate)?,
    };
    let signed_at = date_of(said).ok_or(Error::NoDate)?;
    if (now - signed_at).abs() > SKEW {
        return Err(Error::Skewed);
    }
    let claim = Claim {
        access_key_id,
        signature,
        date,
        signed_at,
        mechanism: Mechanism::Header,
    };
    verify(request, directory, &claim)
}

/// The caller of a link that is signed so.
pub(super) fn of_query(
    request: &Request,
    directory: &Directory,
    now: OffsetDateTime,
) -> Result<Caller, Error> {
    let query = &request.head.query;
    let parameter = |name| query.get(name).filter(|text| !text.is_empty());
    let (Some(access_key_id), Some(signature), Some(expires)) = (
        parameter("AWSAccessKeyId"),
        parameter("Signature"),
        parameter("Expires"),
    ) else {
        return Err(Error::VersionTwoParameters);
    };
    let digits = expires.bytes().all(|b| b.is_ascii_digit());
    let seconds = expires.parse::<i64>().ok().filter(|_| digits);
    let Some(seconds) = seconds else {
        return Err(Error::VersionTwoParameters);
    };
    if now.unix_timestamp() > seconds {
        return Err(Error::Expired);
    }
    let claim = Claim {
        access_key_id,
        signature,
        date: expires,
        // When is not said: for conditions it is of 1970.
        signed_at: OffsetDateTime::UNIX_EPOCH,
        mechanism: Mechanism::Presigned,
    };
    verify(request, directory, &claim)
}

/// A date of HTTP, of mail in universal time, or of Version 4.
fn date_of(text: &str) -> Option<OffsetDateTime> {
    let mail =
        |text: &str| s3_time::parse_http_date(&format!("{} GMT", text.strip_suffix(" +0000")?));
    s3_time::parse_http_date(text)
        .or_else(|| mail(text))
        .or_else(|| s3_time::parse_amz_date(text))
}

/// As for Version 4, an unknown key costs what a known one costs (T15).
fn verify(request: &Request, directory: &Directory, claim: &Claim<'_>) -> Result<Caller, Error> {
    all_that_matters_is_signed(request)?;
    let head = &request.head;
    let string = signed_text(request, claim, &head.raw_path)?;
    // botocore signs a bucket's path with a slash behind it, whichever way it sends it.
    let other = match &request.target {
        Target::Bucket(_) if head.raw_path != "/" => Some(match head.raw_path.strip_suffix('/') {
            Some(path) => path.to_owned(),
            None => format!("{}/", head.raw_path),
        }),
        _ => None,
    };
    let other = other
        .map(|path| signed_text(request, claim, &path))
        .transpose()?;
    let known = directory
        .access_key(claim.access_key_id)
        .filter(|key| key.enabled);
    let secret = known.map_or(&*NOBODYS_SECRET, |key| &key.secret);
    let expected = signature(secret, &string);
    let matches = constant_time_eq(expected.as_bytes(), claim.signature.as_bytes());
    let matches = matches
        | other.is_some_and(|text| {
            let expected = signature(secret, &text);
            constant_time_eq(expected.as_bytes(), claim.signature.as_bytes())
        });
    let Some(key) = known else {
        return Err(Error::UnknownAccessKey(shown(claim.access_key_id)));
    };
    if !matches {
        return Err(Error::Mismatch(Box::new(Mismatch {
            access_key_id: shown(claim.access_key_id),
            signature: claim.signature.chars().take(128).collect(),
            string_to_sign: string,
            canonical_request: None,
        })));
    }
    // Keys of the configuration are permanent: a token beside one belongs to something else (T13).
    let mut names = amz_names(head);
    if names.any(|name| name.eq_ignore_ascii_case("x-amz-security-token")) {
        return Err(Error::Token);
    }
    let proof = Proof {
        access_key_id: key.id.clone(),
        mechanism: claim.mechanism,
        version: Version::Two,
        signed_at: claim.signed_at,
        chunks: None,
    };
    let identity = match &key.owner {
        Owner::Root => Identity::Root,
        Owner::User(user) => Identity::User(std::sync::Arc::clone(user)),
    };
    Ok(Caller::proved(identity, proof, key.policy.clone()))
}

/// Names of `x-amz-*` headers, and of parameters that stand for one.
fn amz_names(head: &Head) -> impl Iterator<Item = &str> {
    let headers = head.headers().keys().map(http::HeaderName::as_str);
    headers.chain(head.query.pairs().map(|(name, _)| name))
}

/// Whoever changes what is not signed must not make another operation of it: what the query says beyond
/// a listing's parameters is signed, or is no request of this version.
pub(super) fn all_that_matters_is_signed(request: &Request) -> Result<(), Error> {
    if matches!(
        request.payload,
        Payload::SignedChunks | Payload::SignedChunksTrailer
    ) {
        return Err(Error::Payload(
            "signed chunks go with Signature Version 4 only",
        ));
    }
    let row = request.call.operation().row();
    // The two versions of a listing are the same right.
    let open = |word: &&&str| !is_signed(word) && **word != "list-type";
    match row.sub_resource.iter().find(open) {
        Some(word) => Err(Error::VersionTwoOpen(word)),
        None => Ok(()),
    }
}

fn signed_text(request: &Request, claim: &Claim<'_>, raw_path: &str) -> Result<String, Error> {
    let head = &request.head;
    let line = |name| {
        let value = head.header(name).map_err(|_| Error::VersionTwoMalformed)?;
        Ok::<_, Error>(value.map_or("", str::trim))
    };
    let mut headers = Vec::new();
    for (name, value) in head.headers() {
        if name.as_str().starts_with("x-amz-") {
            let value = text(value).ok_or(Error::VersionTwoMalformed)?;
            headers.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    // Those that a presigner has moved into the query are signed as the headers that they were.
    for (name, value) in head.query.pairs() {
        let name = name.to_ascii_lowercase();
        if name.starts_with("x-amz-") {
            // A line end would be another header's beginning in what is signed.
            if value.chars().any(char::is_control) {
                return Err(Error::VersionTwoParameters);
            }
            if head.headers().contains_key(&name) {
                return Err(Error::Unsigned(name));
            }
            headers.push((name, value.to_owned()));
        }
    }
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()));
    let parts = Parts {
        method: &head.method,
        content_md5: line("content-md5")?,
        content_type: line("content-type")?,
        date: claim.date,
        bucket_of_host: bucket_of_host(request),
        raw_path,
    };
    Ok(string_to_sign(parts, headers.collect(), head.query.pairs()))
}

/// The bucket, where it is not in the path.
fn bucket_of_host(request: &Request) -> Option<&str> {
    let path = request.head.path.strip_prefix('/')?;
    match &request.target {
        Target::Service => None,
        Target::Bucket(bucket) => path.is_empty().then(|| bucket.as_str()),
        Target::Object(bucket, key) => (path == key.as_str()).then(|| bucket.as_str()),
    }
}
