//! Writes an [`Answer`] to the client.

use http::{HeaderName, HeaderValue};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;

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
    if session.write_response_header(head).await.is_err() {
        return Sent::Cut;
    }
    match body {
        Body::Empty => match session.finish_body().await {
            Ok(()) => Sent::Whole,
            Err(_) => Sent::Cut,
        },
        Body::Whole(bytes) => {
            let length = bytes.len() as u64;
            if session.write_response_body(bytes, true).await.is_err() {
                return Sent::Cut;
            }
            *sent = sent.saturating_add(length);
            match session.finish_body().await {
                Ok(()) => Sent::Whole,
                Err(_) => Sent::Cut,
            }
        }
        Body::Stream(stream) => pump(session, stream, sent).await,
    }
}

/// Bytes as they come; whatever fails cuts the answer off, so that a short body never looks whole.
async fn pump(session: &mut ServerSession, mut stream: Box<dyn Download>, sent: &mut u64) -> Sent {
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
                return match session.finish_body().await {
                    Ok(()) => Sent::Whole,
                    Err(_) => Sent::Cut,
                };
            }
            Err(error) => {
                tracing::warn!(%error, "an answer is cut off");
                session.shutdown().await;
                return Sent::Cut;
            }
        }
    }
}
