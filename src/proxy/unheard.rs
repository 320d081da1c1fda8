//! Requests that never came to be one: whose head ends too late, or is none.

use pingora_core::protocols::http::ServerSession;
use time::OffsetDateTime;

use super::respond::{self, Sent};
use super::seen::Seen;
use super::{DRAIN_TIMEOUT, Gateway, State, framing};
use crate::handler;
use crate::listener::{TooLarge, linger, peer};
use crate::s3::{Error, ErrorCode};

/// Why there is no request although one began.
pub(super) enum Unheard {
    /// The client went away.
    Gone,
    /// Its head did not end in time.
    Slow,
    /// Its head did not end before we had to.
    CutOff,
    /// What came is no head.
    Wrong(Error),
}

impl Unheard {
    pub(super) fn of(error: &pingora_error::Error) -> Self {
        use pingora_error::ErrorType::{InvalidHTTPHeader, ReadTimedout};
        if let Some(TooLarge(most)) = too_large(error) {
            return Self::Wrong(framing::too_large(*most));
        }
        match error.etype() {
            InvalidHTTPHeader => {
                Self::Wrong(Error::new(ErrorCode::BadRequest).because(error.etype().as_str()))
            }
            ReadTimedout => Self::Slow,
            _ => Self::Gone,
        }
    }
}

impl Gateway {
    /// A head that cannot be read as HTTP, or does not end: whoever is still there is told so, and the
    /// connection ends.
    pub(super) async fn unheard(&self, state: &State, mut session: ServerSession, why: Unheard) {
        let gone = matches!(why, Unheard::Gone);
        let refused = match why {
            Unheard::Gone => Error::new(ErrorCode::BadRequest)
                .because("the connection ended before the head did"),
            Unheard::Slow => {
                Error::new(ErrorCode::RequestTimeout).because("the head did not end in time")
            }
            Unheard::CutOff => Error::new(ErrorCode::ServiceUnavailable)
                .because("cut off: the drain timeout is over"),
            Unheard::Wrong(error) => error,
        };
        // Told whether or not there is a place for the event: nothing is carried out.
        let place = self.audit.reserve().await.ok();
        let mut seen = Seen::new(self.ids.next(), OffsetDateTime::now_utc());
        seen.peer = Some(peer::connection(&session));
        let mut sent = Sent::Cut;
        if !gone {
            let answer = handler::refusal(&refused, "/", &seen.request_id, false);
            seen.status = answer.status.as_u16();
            session.set_keepalive(None);
            let patience = state.limits.body_timeout.min(DRAIN_TIMEOUT);
            let (id, out) = (&seen.request_id, &mut seen.sent);
            sent = respond::write(&mut session, answer, id, patience, out).await;
        }
        seen.error = Some(refused);
        self.record(state, None, &seen, sent, place);
        if let (false, ServerSession::H1(session)) = (gone, session) {
            linger(session.into_inner(), DRAIN_TIMEOUT).await;
        }
    }
}

/// What a connection says of a head that does not end.
fn too_large(error: &pingora_error::Error) -> Option<&TooLarge> {
    let cause = error.cause.as_deref()?;
    let error = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    error.downcast_ref()
}
