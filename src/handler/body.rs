//! A request's body on its way to a handler: whole for documents, verified as it flows for objects.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::Context;
use crate::authn::Caller;
use crate::authz::Permit;
use crate::backend::Upload;
use crate::fair::{Asker, Turns};
use crate::s3::{Checksum, Error, ErrorCode, Request};
use crate::transform::{Limits, Pipeline, Unverified, UploadPlan, verify_document};

/// A request's body as it arrives, still framed as the client framed it.
#[async_trait]
pub trait RequestBody: Send {
    /// What `Content-Length` says; `None` for a chunked or absent body.
    fn content_length(&self) -> Option<u64>;
    /// The next bytes, never empty; `None` at the end. The first call tells a client that waits for
    /// it to go on (`100 Continue`).
    async fn read(&mut self) -> Result<Option<Bytes>, Error>;
}

/// A longer document is parsed on a thread of its own: the one that answers requests has others waiting.
const LONG: usize = 64 * 1024;

/// How many long documents are parsed at a time.
const PARSED: usize = 2;

/// A request's document, counted among what uploads hold until it is gone.
pub(super) struct Whole {
    bytes: Bytes,
    // Of one that has no byte, nobody's.
    held: Option<(Asker, Unverified)>,
}

impl std::ops::Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Whole {
    /// What `parse` makes of it.
    pub(super) async fn read<T: Send + 'static>(
        self,
        parse: fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        static TURNS: LazyLock<Arc<Turns>> = LazyLock::new(|| Turns::new(PARSED, None, usize::MAX));
        let Self { bytes, held } = self;
        let (asker, held) = match held {
            Some(held) if bytes.len() > LONG => held,
            _ => return parse(&bytes),
        };
        let crowded = |crowded| Error::new(ErrorCode::SlowDown).because(crowded);
        let turn = TURNS.wait(asker).await.map_err(crowded)?;
        let parsing = tokio::task::spawn_blocking(move || {
            let parsed = parse(&bytes);
            drop((turn, held));
            parsed
        });
        parsing.await.map_err(Error::internal)?
    }
}

/// Reads a small document whole and checks every digest that came with it.
pub(super) async fn document(
    context: &Context<'_>,
    request: &Request,
    caller: &Caller,
    body: &mut dyn RequestBody,
    most: usize,
) -> Result<Whole, Error> {
    let too_long = || {
        Error::new(ErrorCode::MaxMessageLengthExceeded)
            .detail("MaxMessageLengthBytes", most.to_string())
    };
    let announced = body.content_length();
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_long());
    }
    let nothing = || {
        let asker = Asker::of(caller.identity(), request.head.peer.address);
        let held = Unverified::document(context.limits.unverified, asker);
        (asker, held)
    };
    // Most requests have no body, and need no count of it.
    let mut held = None;
    let mut whole = BytesMut::new();
    while let Some(bytes) = body.read().await? {
        if whole.len().saturating_add(bytes.len()) > most {
            return Err(too_long());
        }
        let (_, counted) = held.get_or_insert_with(nothing);
        counted.hold(bytes.len())?;
        whole.extend_from_slice(&bytes);
    }
    if announced.is_some_and(|length| length != whole.len() as u64) {
        return Err(ErrorCode::IncompleteBody.into());
    }
    verify_document(request, &whole)?;
    Ok(Whole {
        bytes: whole.freeze(),
        held,
    })
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
