//! The request's body as Pingora reads it.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::protocols::http::ServerSession;
use pingora_error::ErrorType;

use crate::handler::RequestBody;
use crate::s3::{Error, ErrorCode};

/// A session's request body. Nothing is read before somebody asks, so a refused upload is never
/// sent by a client that waits for `100 Continue`.
pub(super) struct SessionBody<'s> {
    session: &'s mut ServerSession,
    content_length: Option<u64>,
    continues: bool,
    /// Bytes read so far, as framed by the client.
    pub(super) received: u64,
    /// Whether reading it failed: where it ends, and the next request begins, is then not known.
    pub(super) failed: bool,
    /// Since when the body has been read.
    pub(super) started: Option<Instant>,
}

impl<'s> SessionBody<'s> {
    pub(super) fn new(session: &'s mut ServerSession) -> Self {
        let headers = &session.req_header().headers;
        let length = headers.get(http::header::CONTENT_LENGTH);
        let content_length = length
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let continues = headers.contains_key(http::header::EXPECT);
        Self {
            session,
            content_length,
            continues,
            received: 0,
            failed: false,
            started: None,
        }
    }
}

impl SessionBody<'_> {
    fn failed(&mut self, error: &pingora_error::Error) -> Error {
        self.failed = true;
        read_error(error)
    }
}

#[async_trait]
impl RequestBody for SessionBody<'_> {
    fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        self.started.get_or_insert_with(Instant::now);
        if std::mem::take(&mut self.continues)
            && let Err(error) = self.session.write_continue_response().await
        {
            return Err(self.failed(&error));
        }
        loop {
            match self.session.read_request_body().await {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => {
                    self.received = self.received.saturating_add(bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }
}

fn read_error(error: &pingora_error::Error) -> Error {
    match error.etype() {
        ErrorType::ReadTimedout => ErrorCode::RequestTimeout.into(),
        ErrorType::Custom("InvalidChunk") => Error::new(ErrorCode::BadRequest).because(error),
        _ => Error::new(ErrorCode::IncompleteBody).because(error),
    }
}
