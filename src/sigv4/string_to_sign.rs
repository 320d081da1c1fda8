//! The credential scope and the string to sign.

use time::OffsetDateTime;

use super::{ALGORITHM, CanonicalRequest};
use crate::crypto::SHA256_LENGTH;
use crate::s3::time::amz_date;

/// A scope's last part.
const TERMINATOR: &str = "aws4_request";

/// What a signing key is good for: one day, one region, one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialScope {
    /// `YYYYMMDD`.
    pub date: String,
    /// As in `us-east-1`.
    pub region: String,
    /// As in `s3`.
    pub service: String,
}

/// What keeps a text from being a credential, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// It has not five parts.
    #[error(
        "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."
    )]
    Parts,
    /// It ends with another word.
    #[error("incorrect terminal \"{0}\". This endpoint uses \"aws4_request\".")]
    Terminal(String),
    /// Its date is none.
    #[error(
        "incorrect date format \"{0}\". This date in the credential must be in the format \"yyyyMMdd\"."
    )]
    Date(String),
}

impl CredentialScope {
    /// Splits a `Credential` into the access key id and the scope. The access key id may hold
    /// slashes; the scope's four parts may not.
    ///
    /// # Errors
    /// [`InvalidScope`].
    pub fn parse_credential(credential: &str) -> Result<(&str, Self), InvalidScope> {
        let mut parts = credential.rsplitn(5, '/');
        let (terminator, service, region) = (parts.next(), parts.next(), parts.next());
        let (date, access_key_id) = (parts.next(), parts.next());
        let (Some(id), Some(date), Some(region), Some(service), Some(terminator)) =
            (access_key_id, date, region, service, terminator)
        else {
            return Err(InvalidScope::Parts);
        };
        if id.is_empty() {
            return Err(InvalidScope::Parts);
        }
        if terminator != TERMINATOR {
            return Err(InvalidScope::Terminal(shown(terminator)));
        }
        if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidScope::Date(shown(date)));
        }
        let scope = Self {
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        };
        Ok((id, scope))
    }

    /// Appends `date/region/service/aws4_request`.
    pub(super) fn write(&self, to: &mut String) {
        for part in [&self.date, &self.region, &self.service] {
            to.push_str(part);
            to.push('/');
        }
        to.push_str(TERMINATOR);
    }

    /// The scope of a request signed at `at`.
    #[must_use]
    pub fn at(at: OffsetDateTime, region: &str, service: &str) -> Self {
        let mut date = amz_date(at);
        date.truncate(8);
        Self {
            date,
            region: region.to_owned(),
            service: service.to_owned(),
        }
    }
}

/// A part of a credential as it may be shown: bounded, on one line.
fn shown(part: &str) -> String {
    let short: String = part.chars().take(32).collect();
    short.escape_debug().to_string()
}

impl std::fmt::Display for CredentialScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(48);
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// The text that the signing key signs.
#[derive(Clone, Debug)]
pub struct StringToSign(String);

impl StringToSign {
    /// `amz_date` is the request's `x-amz-date`, as sent.
    #[must_use]
    pub fn new(amz_date: &str, scope: &CredentialScope, request: &CanonicalRequest) -> Self {
        let mut text = String::with_capacity(160);
        for part in [ALGORITHM, "\n", amz_date, "\n"] {
            text.push_str(part);
        }
        scope.write(&mut text);
        text.push('\n');
        let mut digits = [0; 2 * SHA256_LENGTH];
        if hex::encode_to_slice(request.digest(), &mut digits).is_ok() {
            text.extend(digits.map(char::from));
        }
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let good = CredentialScope::parse_credential("AK/ID/20261124/us-east-1/s3/aws4_request");
        assert_eq!(
            good.map(|(id, scope)| (id, scope.to_string())),
            Ok(("AK/ID", "20261124/us-east-1/s3/aws4_request".to_owned()))
        );
        for bad in [
            "",
            "AKID",
            "AKID/20261124/us-east-1/s3",
            "AKID/20261124/us-east-1/s3/aws4",
            "/20261124/us-east-1/s3/aws4_request",
            "AKID/2026112/us-east-1/s3/aws4_request",
            "AKID/2026112x/us-east-1/s3/aws4_request",
        ] {
            assert!(CredentialScope::parse_credential(bad).is_err(), "{bad}");
        }
    }
}
