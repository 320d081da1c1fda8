//! Writes an [`Answer`] to the client.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use pingora_timeout::timeout;

use crate::backend::{Body, Download};
use crate::handler::Answer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// How an answer went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Whole: the connection can be used again.
    Whole,
    /// Cut off: the client must see that something is missing.
    Cut,
}

/// Writes head and body; counts the body's bytes in `sent`.
pub(super) async fn write(
    session: &mut ServerSession,
    answer: Answer,
    request_id: &str,
    patience: Duration,
    sent: &mut u64,
) -> Sent {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    if let Ok(id) = HeaderValue::from_str(request_id) {
        parts.headers.insert(REQUEST_ID, id);
    }
    parts
        .headers
        .insert(http::header::SERVER, HeaderValue::from_static("Portcullis"));
    // Taken in as it is: names keep their lower case, and nothing is copied.
    let head = Box::new(ResponseHeader::from(parts));
    if !in_time(patience, session.write_response_header(head)).await {
        return Sent::Cut;
    }
    match body {
        Body::Empty => finish(session, patience).await,
        Body::Whole(bytes) => {
            let length = bytes.len() as u64;
            if !in_time(patience, session.write_response_body(bytes, true)).await {
                return Sent::Cut;
            }
            *sent = sent.saturating_add(length);
            finish(session, patience).await
        }
        Body::Stream(stream) => pump(session, stream, patience, sent).await,
    }
}

/// Whether `writing` succeeds in time: Pingora itself bounds only the writing of bodies, and a client
/// that asks and never reads would hold its answer for ever.
async fn in_time<T, E>(patience: Duration, writing: impl Future<Output = Result<T, E>>) -> bool {
    matches!(timeout(patience, writing).await, Ok(Ok(_)))
}

async fn finish(session: &mut ServerSession, patience: Duration) -> Sent {
    match in_time(patience, session.finish_body()).await {
        true => Sent::Whole,
        false => Sent::Cut,
    }
}

/// Bytes as they come; whatever fails cuts the answer off, so that a short body never looks whole.
async fn pump(
    session: &mut ServerSession,
    mut stream: Box<dyn Download>,
    patience: Duration,
    sent: &mut u64,
) -> Sent {
    loop {
        match stream.next().await {
            Ok(Some(bytes)) => {
                let length = bytes.len() as u64;
                if session.write_response_body(bytes, false).await.is_err() {
                    return Sent::Cut;
                }
                *sent = sent.saturating_add(length);
            }
            Ok(None) => {
                return finish(session, patience).await;
            }
            Err(error) => {
                tracing::warn!(%error, "an answer is cut off");
                let _ = timeout(patience, session.shutdown()).await;
                return Sent::Cut;
            }
        }
    }
}
