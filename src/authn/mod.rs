//! Who asks: turns a [`Request`] into a [`Caller`]. Nothing else makes one.
//!
//! A request offers exactly one mechanism, or none. What is offered is what must hold: a signature
//! that fails is refused, never read as anonymous.

mod anonymous;
mod caller;
mod claim;
mod error;
mod header;
mod presigned;
mod signed_headers;
mod verify;
mod version_two;

pub use caller::{Caller, Identity, Mechanism, Proof, Version};
pub use error::Error;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use time::OffsetDateTime;

use crate::identity::Directory;
use crate::s3::{Head, Request};
use crate::sigv4::SigningKey;

/// How many signing keys are remembered: one for each access key in use a day.
const CACHED_KEYS: u64 = 10_000;

/// A signing key is good for a day, and its secret may change under the same id.
const CACHED_FOR: Duration = Duration::from_secs(600);

/// Says who asks. One per state, shared by all requests: a reload starts with an empty cache, so a
/// changed secret is never verified by an old key.
#[derive(Debug)]
pub struct Authenticator {
    region: Arc<str>,
    takes_version_two: bool,
    keys: Cache<(Arc<str>, String), SigningKey>,
}

/// The mechanisms that a request offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Nothing,
    Header,
    Presigned,
    HeaderTwo,
    PresignedTwo,
    Unsupported,
}

impl Authenticator {
    /// An authenticator of signatures for `region`.
    #[must_use]
    pub fn new(region: Arc<str>) -> Self {
        let keys = Cache::builder()
            .max_capacity(CACHED_KEYS)
            .time_to_live(CACHED_FOR)
            .build();
        Self {
            region,
            takes_version_two: false,
            keys,
        }
    }

    /// The same, which takes Signature Version 2 as well where `takes` says so.
    #[must_use]
    pub fn with_version_two(self, takes: bool) -> Self {
        Self {
            takes_version_two: takes,
            ..self
        }
    }

    /// Says who sent `request`, at `now`.
    ///
    /// # Errors
    /// [`Error`] says which check failed.
    pub fn authenticate(
        &self,
        request: &Request,
        directory: &Directory,
        now: OffsetDateTime,
    ) -> Result<Caller, Error> {
        match offer(&request.head)? {
            Offer::Nothing => anonymous::authenticate(request),
            Offer::Unsupported => Err(Error::Unsupported),
            Offer::HeaderTwo | Offer::PresignedTwo if !self.takes_version_two => {
                Err(Error::VersionTwo)
            }
            Offer::HeaderTwo => version_two::of_header(request, directory, now),
            Offer::PresignedTwo => version_two::of_query(request, directory, now),
            Offer::Header => {
                let claim = header::claim(request, now, &self.region)?;
                verify::verify(self, request, directory, &claim)
            }
            Offer::Presigned => {
                let claim = presigned::claim(request, now, &self.region)?;
                verify::verify(self, request, directory, &claim)
            }
        }
    }
}

/// Whether a request that is only supposed would be heard by who takes Signature Version 2 where `takes_two`
/// says so, when it is `signed` in that way or not at all: all that is looked at before a signature.
///
/// # Errors
/// [`Error`] says which check fails.
pub fn hears(
    request: &Request,
    signed: Option<(Version, Mechanism)>,
    takes_two: bool,
) -> Result<(), Error> {
    match signed {
        None => anonymous::authenticate(request).map(drop),
        Some((Version::Two, _)) if !takes_two => Err(Error::VersionTwo),
        Some((Version::Two, _)) => version_two::all_that_matters_is_signed(request),
        Some((Version::Four, Mechanism::Presigned)) => presigned::payload(request).map(drop),
        Some((Version::Four, Mechanism::Header)) => Ok(()),
    }
}

/// How old a signature of Version 4 can be when its request comes.
#[must_use]
pub fn oldest(mechanism: Mechanism) -> time::Duration {
    match mechanism {
        Mechanism::Header => claim::SKEW,
        Mechanism::Presigned => time::Duration::seconds(presigned::MAX_EXPIRES),
    }
}

/// Which mechanism a head offers; two are refused, whichever would hold (T11).
fn offer(head: &Head) -> Result<Offer, Error> {
    let mut authorizations = head.headers().get_all(http::header::AUTHORIZATION).iter();
    let authorization = authorizations.next();
    if authorizations.next().is_some() {
        return Err(Error::TwoMechanisms);
    }
    const V4: [&str; 4] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    ];
    let v4_query = V4.iter().any(|key| head.query.has(key));
    let v2_query = head.query.has("AWSAccessKeyId") || head.query.has("Signature");
    match (authorization, v4_query, v2_query) {
        (None, false, false) => Ok(Offer::Nothing),
        (None, true, false) => Ok(Offer::Presigned),
        (None, false, true) => Ok(Offer::PresignedTwo),
        (Some(value), false, false) => {
            Ok(match value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 ") {
                true => Offer::Header,
                false if value.as_bytes() == b"AWS4-HMAC-SHA256" => Offer::Header,
                false if value.as_bytes().starts_with(b"AWS ") => Offer::HeaderTwo,
                false if header::names_other_mechanism(value.as_bytes()) => Offer::Unsupported,
                false => return Err(Error::NoScheme),
            })
        }
        _ => Err(Error::TwoMechanisms),
    }
}

#[cfg(test)]
mod tests;
