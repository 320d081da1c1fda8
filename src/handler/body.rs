//! A request's body on its way to a handler: whole for documents, verified as it flows for objects.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::authn::Caller;
use crate::authz::Permit;
use crate::backend::Upload;
use crate::s3::{Checksum, Error, ErrorCode, Request};
use crate::transform::{Limits, Pipeline, UploadPlan, verify_document};

/// A request's body as it arrives, still framed as the client framed it.
#[async_trait]
pub trait RequestBody: Send {
    /// What `Content-Length` says; `None` for a chunked or absent body.
    fn content_length(&self) -> Option<u64>;
    /// The next bytes, never empty; `None` at the end. The first call tells a client that waits for
    /// it to go on (`100 Continue`).
    async fn read(&mut self) -> Result<Option<Bytes>, Error>;
}

/// Reads a small document whole and checks every digest that came with it.
pub(super) async fn document(
    request: &Request,
    caller: &Caller,
    body: &mut dyn RequestBody,
    most: usize,
) -> Result<Bytes, Error> {
    let too_long = || {
        Error::new(ErrorCode::MaxMessageLengthExceeded)
            .detail("MaxMessageLengthBytes", most.to_string())
    };
    let announced = body.content_length();
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_long());
    }
    let mut whole = BytesMut::new();
    while let Some(bytes) = body.read().await? {
        if whole.len().saturating_add(bytes.len()) > most {
            return Err(too_long());
        }
        whole.extend_from_slice(&bytes);
    }
    if announced.is_some_and(|length| length != whole.len() as u64) {
        return Err(ErrorCode::IncompleteBody.into());
    }
    verify_document(request, caller, &whole)?;
    Ok(whole.freeze())
}

/// An object's bytes: decoded and verified as they flow, the last ones held back until every check
/// has passed.
pub(super) struct VerifiedBody<'a> {
    source: &'a mut dyn RequestBody,
    pipeline: Pipeline,
    length: u64,
    ended: bool,
}

impl<'a> VerifiedBody<'a> {
    /// Plans the body's checks from its head; nothing is read yet.
    pub(super) fn new(
        permit: &Permit,
        source: &'a mut dyn RequestBody,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let length = source.content_length();
        let plan = UploadPlan::new(permit.request(), permit.caller(), length, limits)?;
        let (length, pipeline) = (plan.length(), plan.pipeline());
        Ok(Self {
            source,
            pipeline,
            length,
            ended: false,
        })
    }
}

#[async_trait]
impl Upload for VerifiedBody<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(bytes) = self.pipeline.pop() {
                return Ok(Some(bytes));
            }
            if self.ended {
                return Ok(None);
            }
            match self.source.read().await? {
                Some(bytes) => self.pipeline.push(&bytes)?,
                None => {
                    self.pipeline.finish()?;
                    self.ended = true;
                }
            }
        }
    }

    fn checksum(&self) -> Option<Checksum> {
        self.pipeline.checksum()
    }
}
