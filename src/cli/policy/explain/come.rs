//! Whether such a request could come and be carried out: what the gateway answers by other reasons than
//! policies, by its own parser, listeners and routes.

use super::super::said::Keys;
use super::play::Play;
use crate::authn::{self, Mechanism, Version};
use crate::authz::sketches;
use crate::backend::router::asks_for;
use crate::config::Config;
use crate::iam::{Name, Principal};
use crate::s3::{Call, Error, Request, Target, is_location};

/// The request that is asked about; `None` where only headers and documents of others speak of the right.
///
/// # Errors
/// What is answered to it whoever asks.
pub(super) fn request(
    config: Option<&Config>,
    play: &Play,
    action: &str,
    resource: &str,
    given: &Keys,
) -> Result<Option<Request>, String> {
    let said = |name: Name| {
        let found = given.iter().find(|(key, _)| key.name() == name);
        found
            .and_then(|(_, values)| values.first())
            .map(String::as_str)
    };
    if said(Name::TlsVersion) == Some("1.2") && config.is_some_and(|config| config.tls.only_1_3) {
        return Err(
            "no request here comes over TLS 1.2: the configuration takes 1.3 alone".to_owned(),
        );
    }
    let two = said(Name::SignatureVersion) == Some(Version::Two.signature_version());
    let link = said(Name::AuthType) == Some(Mechanism::Presigned.auth_type());
    let signed = match &play.principal {
        Principal::Anonymous => None,
        _ => Some((
            if two { Version::Two } else { Version::Four },
            if link {
                Mechanism::Presigned
            } else {
                Mechanism::Header
            },
        )),
    };
    let takes_two = config.is_some_and(|config| {
        let plain = said(Name::SecureTransport) == Some("false");
        config.takes_version_two(plain)
    });
    let heard = |request: Request| {
        authn::hears(&request, signed, takes_two).map_err(Error::from)?;
        Ok(request)
    };
    // One of them is enough.
    let mut refused = None;
    for request in sketches(action, resource, given) {
        match request.and_then(heard) {
            Ok(request) => return Ok(Some(request)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(None), |error| Err(whoever(&error)))
}

fn whoever(error: &Error) -> String {
    let (status, code) = (error.code().status().as_u16(), error.code().as_str());
    format!(
        "no request here is decided by that: it is answered {status} {code}, whoever asks: {}",
        error.message()
    )
}

/// What the request says, as conditions have it of one that came.
pub(super) fn as_conditions_have_it(request: Option<&Request>, given: &mut Keys) {
    let source = match request.map(|request| &request.call) {
        Some(Call::CopyObject(call)) => Some(&call.source),
        Some(Call::UploadPartCopy(call)) => Some(&call.source),
        _ => None,
    };
    // Policies may write it with and without a slash.
    for (key, values) in given.iter_mut() {
        if let (Name::CopySource, Some(from)) = (key.name(), source) {
            *values = ["", "/"]
                .map(|slash| format!("{slash}{}/{}", from.bucket, from.key))
                .to_vec();
        }
    }
}

/// Looks whether a request that may is carried out, as far as that hangs on the configuration.
pub(super) fn is_carried_out(
    config: Option<&Config>,
    request: &Request,
    given: &Keys,
    region: &str,
) -> Result<(), String> {
    let allowed = |error: Error| {
        let (status, code) = (error.code().status().as_u16(), error.code().as_str());
        format!(
            "policies allow it, and it is answered {status} {code} all the same: {}",
            error.message()
        )
    };
    let place = given
        .iter()
        .find(|(key, _)| key.name() == Name::LocationConstraint);
    let place = place.and_then(|(_, values)| values.first());
    if let (Call::CreateBucket(_), Some(place)) = (&request.call, place.filter(|p| *p != region)) {
        let what = if is_location(place) {
            "another region"
        } else {
            "no region"
        };
        return Err(format!(
            "policies allow it, and it is answered 400 all the same: `{place}` is {what}"
        ));
    }
    let Some(config) = config else {
        return Ok(());
    };
    let source = match &request.call {
        Call::CopyObject(call) => Some(&call.source),
        Call::UploadPartCopy(call) => Some(&call.source),
        _ => None,
    };
    let source = source.map(|from| Target::Object(from.bucket.clone(), from.key.clone()));
    for target in [Some(&request.target), source.as_ref()]
        .into_iter()
        .flatten()
    {
        let upstreams = config.upstreams.iter();
        let upstreams = upstreams.map(|(name, config)| (name.as_str(), config));
        asks_for(upstreams, &config.routes, request.call.operation(), target).map_err(allowed)?;
    }
    Ok(())
}
