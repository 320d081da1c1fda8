//! What a request says, by condition key: the values that a key can have, and which go together. `explain` and
//! `test` are held to the same.

use crate::authn::{self, Mechanism};
use crate::iam::{Key, Name, is_account};
use crate::s3::time::parse_iso8601;

/// Keys with their values.
pub(super) type Keys = Vec<(Key, Vec<String>)>;

const PRINCIPAL_TYPES: [&str; 5] = [
    "Account",
    "Anonymous",
    "AssumedRole",
    "FederatedUser",
    "User",
];

/// A value in the form in which requests have it; none where it says that there is none.
///
/// # Errors
/// Says what it would be, of one that no request can have.
pub(super) fn value(key: &Key, value: &str) -> Result<Vec<String>, String> {
    let wrong = |what: &str| format!("`{}`: `{value}` is not {what}", key.as_written());
    let is = |fine: bool, what: &str| match fine {
        true => Ok(vec![value.to_owned()]),
        false => Err(wrong(what)),
    };
    let number = || value.parse::<i128>().is_ok() && !value.starts_with('+');
    let moment = || parse_iso8601(value).is_some();
    match key.name() {
        Name::SourceIp => match value.parse::<std::net::IpAddr>() {
            Ok(address) => Ok(vec![address.to_canonical().to_string()]),
            Err(_) => Err(wrong("an address such as 192.0.2.7")),
        },
        Name::SecureTransport
        | Name::ObjectCreationOperation
        | Name::PrincipalIsAwsService
        | Name::ViaAwsService => is(matches!(value, "true" | "false"), "`true` or `false`"),
        Name::AuthType => is(
            matches!(value, "REST-HEADER" | "REST-QUERY-STRING"),
            "`REST-HEADER` or `REST-QUERY-STRING`",
        ),
        Name::SignatureVersion => is(
            matches!(value, "AWS4-HMAC-SHA256" | "AWS"),
            "`AWS4-HMAC-SHA256` or `AWS`",
        ),
        // Behind a balancer that ends TLS nobody knows it.
        Name::TlsVersion if value.is_empty() => Ok(Vec::new()),
        Name::TlsVersion => is(matches!(value, "1.2" | "1.3"), "`1.2` or `1.3`"),
        Name::SignatureAge => {
            let most = authn::oldest(Mechanism::Presigned).whole_milliseconds();
            match value.parse::<i128>() {
                Ok(age) if (0..=most).contains(&age) && !value.starts_with('+') => {
                    Ok(vec![age.to_string()])
                }
                _ => Err(wrong("a number of milliseconds, of at most seven days")),
            }
        }
        Name::CurrentTime | Name::ObjectLockRetainUntilDate => {
            is(moment(), "a moment such as 2026-07-01T12:00:00Z")
        }
        Name::EpochTime => is(
            number() && !value.starts_with('-'),
            "a number of seconds since 1970",
        ),
        Name::ObjectLockRemainingRetentionDays => is(number(), "a number"),
        Name::ObjectLockMode => is(
            matches!(value, "GOVERNANCE" | "COMPLIANCE"),
            "`GOVERNANCE` or `COMPLIANCE`",
        ),
        Name::ObjectLockLegalHold => is(matches!(value, "ON" | "OFF"), "`ON` or `OFF`"),
        Name::PrincipalType => {
            let all = format!("one of `{}`", PRINCIPAL_TYPES.join("`, `"));
            is(PRINCIPAL_TYPES.contains(&value), &all)
        }
        Name::PrincipalAccount => is(
            is_account(value) || value == "anonymous",
            "an account, which is 12 digits, or `anonymous`",
        ),
        Name::AwsResourceAccount | Name::ResourceAccount => {
            is(is_account(value), "an account, which is 12 digits")
        }
        _ => Ok(vec![value.to_owned()]),
    }
}

/// Whether a request may have several values of the key.
pub(super) fn may_be_several(name: Name) -> bool {
    matches!(
        name,
        Name::RequestObjectTagKeys | Name::CopySource | Name::Other
    )
}

/// Looks whether one request can say all of it.
///
/// # Errors
/// Says what does not go together.
pub(super) fn agrees(keys: &Keys) -> Result<(), String> {
    let said = |name| {
        let mut found = keys.iter().filter(|(key, _)| key.name() == name);
        let (_, values) = found.next()?;
        Some(values.first().map(String::as_str).unwrap_or_default())
    };
    let plain = said(Name::SecureTransport) == Some("false");
    if plain && said(Name::TlsVersion).is_some_and(|version| !version.is_empty()) {
        return Err("a request over plain HTTP has no `s3:TlsVersion`".to_owned());
    }
    let two = said(Name::SignatureVersion) == Some("AWS");
    let link = said(Name::AuthType) == Some("REST-QUERY-STRING");
    let age = said(Name::SignatureAge).and_then(|age| age.parse::<i128>().ok());
    let oldest = authn::oldest(Mechanism::Header).whole_milliseconds();
    if !link && age.is_some_and(|age| age > oldest) {
        return Err(format!(
            "a signature in a header is at most {oldest} ms old: its `s3:signatureAge` cannot be more"
        ));
    }
    if two && link && said(Name::SignatureAge).is_some() {
        let why = "a link of Signature Version 2 does not say when it was signed";
        return Err(format!("{why}: its `s3:signatureAge` is not given"));
    }
    Ok(())
}

/// Looks whether a request to a gateway of that account and region can say it, which says the same of itself to
/// every request.
///
/// # Errors
/// Says what every request has.
pub(super) fn is_of_gateway(keys: &Keys, account: &str, region: &str) -> Result<(), String> {
    for (key, values) in keys {
        let known = match key.name() {
            Name::RequestedRegion => region,
            Name::AwsResourceAccount | Name::ResourceAccount => account,
            Name::ViaAwsService => "false",
            Name::EpochTime => {
                return Err(format!(
                    "`{}` follows from `aws:CurrentTime`: give that",
                    key.as_written()
                ));
            }
            _ => continue,
        };
        if let Some(other) = values.iter().find(|value| *value != known) {
            return Err(format!(
                "no request here is with `{other}` as `{}`: every one has `{known}`",
                key.as_written()
            ));
        }
    }
    Ok(())
}
