//! Nobody says who they are: a [`Caller`] of its own, with what bucket policies grant to everyone.

use super::claim::security_token;
use super::{Caller, Error};
use crate::s3::{Call, Payload, Request};

/// The anonymous caller, for a request that offers nothing.
pub(super) fn authenticate(request: &Request) -> Result<Caller, Error> {
    if matches!(
        request.payload,
        Payload::SignedChunks | Payload::SignedChunksTrailer
    ) {
        return Err(Error::Anonymous(
            "a signed streaming payload needs a signed request",
        ));
    }
    if security_token(&request.head).is_some() {
        return Err(Error::Anonymous("a security token needs a signed request"));
    }
    // A link that decides what type a browser takes an object for would be a script on our origin.
    let overrides = match &request.call {
        Call::GetObject(call) | Call::HeadObject(call) => !call.overrides.is_empty(),
        _ => false,
    };
    if overrides {
        return Err(Error::Anonymous(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    Ok(Caller::anonymous())
}
