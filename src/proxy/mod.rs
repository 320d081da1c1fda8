//! Pingora seen from our side: one straight line per request.
//!
//! parse → authenticate → authorize → answer → audit. What one step proves, the next takes; nothing
//! looks back.

mod body;
mod event;
mod framing;
mod ids;
mod respond;
mod seen;
mod state;

pub use state::{Limits, State};

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::apps::{
    HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream,
};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_http::RequestHeader;
use pingora_timeout::timeout;
use time::OffsetDateTime;

use crate::audit::{Audit, Place};
use crate::authz::{Permit, Undecided, Unpermitted};
use crate::handler::{self, Answer};
use crate::listener::peer;
use crate::metrics::Metrics;
use crate::s3::{Error, ErrorCode, Request};
use body::SessionBody;
use ids::RequestIds;
use respond::Sent;
use seen::Seen;

/// HTTP/2's flow-control windows: 64 KiB, the protocol's default, would bound a stream to 64 KiB a
/// round trip.
const H2_WINDOW: u32 = 2 * 1024 * 1024;

/// How much of a refused request's body is read before the connection is closed: enough that the
/// client sees the answer instead of a reset.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How many facts a decision can want: two objects' tags and a document.
const MOST_FACTS: usize = 4;

/// Why the line does not go on as it is.
enum Stop {
    Refused(Error),
    /// Something must be learned first.
    Undecided(Box<Undecided>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Keeps what audit should know of a refusal.
fn stopped(decided: Result<Permit, Unpermitted>, seen: &mut Seen) -> Result<Permit, Stop> {
    decided.map_err(|unpermitted| match unpermitted {
        Unpermitted::Undecided(undecided) => Stop::Undecided(undecided),
        Unpermitted::Denied(denied) => {
            let error = denied.error.clone();
            seen.denied = Some(denied);
            Stop::Refused(error)
        }
    })
}

/// The application behind the data listeners.
#[derive(Debug)]
pub struct Gateway {
    state: Arc<ArcSwap<State>>,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
    ids: RequestIds,
    options: HttpServerOptions,
}

impl Gateway {
    /// A gateway over a state that reloads swap.
    #[must_use]
    pub fn new(state: Arc<ArcSwap<State>>, metrics: Arc<Metrics>, audit: Arc<Audit>) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(state.load().limits.idle_timeout);
        Self {
            state,
            metrics,
            audit,
            ids: RequestIds::new(),
            options,
        }
    }

    /// Answers one request, start to end.
    async fn serve(
        &self,
        state: &State,
        session: &mut ServerSession,
        seen: &mut Seen,
        place: Result<(), Error>,
    ) -> Sent {
        // What could not be told afterwards is not done.
        let outcome = match place {
            Ok(()) => self.line(state, session, seen).await,
            Err(error) => {
                seen.head_only = session.req_header().method == http::Method::HEAD;
                Err(error)
            }
        };
        let refused = outcome.is_err();
        let answer = outcome.unwrap_or_else(|error| {
            let resource = seen.resource(session.req_header().uri.path());
            let answer = handler::refusal(&error, &resource, &seen.request_id, seen.head_only);
            seen.error = Some(error);
            answer
        });
        seen.status = answer.status.as_u16();
        // A body that nobody read stands between this answer and the next request (T48), and behind
        // one that did not end as announced there is none to be found (T47).
        let unread = !session.is_body_done();
        let lost = seen.body_failed
            || (seen.error.as_ref()).is_some_and(|error| error.code() == ErrorCode::IncompleteBody);
        if unread || lost || (refused && seen.operation.is_none()) {
            session.set_keepalive(None);
        }
        let head_only = seen.head_only;
        let mut answer = answer;
        if head_only {
            answer.body = crate::backend::Body::Empty;
        }
        let patience = state.limits.body_timeout;
        let sent =
            respond::write(session, answer, &seen.request_id, patience, &mut seen.sent).await;
        if unread {
            session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
            let _ = session.drain_request_body().await;
        }
        sent
    }

    /// Everything a request passes.
    async fn line(
        &self,
        state: &State,
        session: &mut ServerSession,
        seen: &mut Seen,
    ) -> Result<Answer, Error> {
        let admitted = self.admit(state, session, seen);
        let mut body = SessionBody::new(session, state.limits.body_timeout);
        let permit = match admitted {
            Err(Stop::Undecided(undecided)) => {
                self.resume(state, *undecided, seen, &mut body).await
            }
            Err(Stop::Refused(error)) => Err(error),
            Ok(permit) => Ok(permit),
        };
        seen.admitted = Some(Instant::now());
        let outcome = match &permit {
            Ok(permit) => handler::answer(&state.context(seen.now), permit, &mut body).await,
            Err(error) => Err(error.clone()),
        };
        seen.received = body.received;
        seen.body_failed = body.failed;
        seen.permit = permit.ok();
        outcome
    }

    /// Learns what policies ask for beyond the head until the request is decided. Each round knows one
    /// fact more, and there are only so many.
    async fn resume(
        &self,
        state: &State,
        mut undecided: Undecided,
        seen: &mut Seen,
        body: &mut SessionBody<'_>,
    ) -> Result<Permit, Error> {
        let context = state.context(seen.now);
        for _ in 0..MOST_FACTS {
            if let Err(error) = handler::learn(&context, &mut undecided, body).await {
                seen.denied = Some(undecided.refuse(error.clone()));
                return Err(error);
            }
            let decided = state
                .authorizer
                .resume(undecided, &state.policies, seen.now);
            match stopped(decided, seen) {
                Ok(permit) => return Ok(permit),
                Err(Stop::Refused(error)) => return Err(error),
                Err(Stop::Undecided(next)) => undecided = *next,
            }
        }
        Err(Error::internal("a decision wants facts without end"))
    }

    /// What a request passes before one byte of its body is read.
    fn admit(
        &self,
        state: &State,
        session: &ServerSession,
        seen: &mut Seen,
    ) -> Result<Permit, Stop> {
        let peer = peer::of(session, &state.trusted_proxies)?;
        seen.peer = Some(peer.clone());
        if framing::both_lengths(session) {
            return Err(Error::new(ErrorCode::BadRequest)
                .because("content-length beside transfer-encoding")
                .into());
        }
        let head = framing::head(session, peer, state.limits.header_bytes)?;
        seen.head(&head);
        let request = Request::parse(head, &state.addressing)?;
        seen.parsed(&request);
        let caller = state
            .authenticator
            .authenticate(&request, &state.directory, seen.now);
        let caller = caller.map_err(|error| {
            self.metrics.authentication_failed(error.reason());
            seen.unauthenticated = Some(error.reason());
            Error::from(error)
        })?;
        let authorizer = &state.authorizer;
        let decided = authorizer.authorize(request, caller, &state.policies, seen.now);
        stopped(decided, seen)
    }

    /// One event and one count per request, whatever became of it. Without a place it was not carried
    /// out, and is counted only.
    fn record(
        &self,
        state: &State,
        head: Option<&RequestHeader>,
        seen: &Seen,
        sent: Sent,
        place: Option<Place>,
    ) {
        let counted = event::observation(seen, sent);
        self.metrics.request(&counted);
        if let (true, Some(place)) = (self.audit.is_on(), place) {
            self.audit
                .record(&event::of(state, head, seen, &counted), place);
        }
    }
}

#[async_trait]
impl HttpServerApp for Gateway {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // From the first byte of the head on: a drain waits for what has begun.
        let _in_flight = self.metrics.in_flight();
        let state = self.state.load_full();
        let limits = &state.limits;
        session.set_read_timeout(Some(limits.header_timeout));
        // The head has begun; it must end in time.
        match timeout(limits.header_timeout, session.read_request()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return None,
            Ok(Err(error)) => return self.unreadable(&state, session, &error).await,
        }
        session.set_read_timeout(Some(limits.body_timeout));
        session.set_write_timeout(Some(limits.body_timeout));
        let closes = *shutdown.borrow() || framing::is_single(session.req_header());
        session.set_keepalive((!closes).then_some(limits.idle_timeout.as_secs()));
        let mut seen = Seen::new(self.ids.next(), OffsetDateTime::now_utc());
        // Boxed: an idle connection does not hold what a request needs.
        let (place, reserved) = match self.audit.reserve().await {
            Ok(place) => (Some(place), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let sent = Box::pin(self.serve(&state, &mut session, &mut seen, reserved)).await;
        self.record(&state, Some(session.req_header()), &seen, sent, place);
        if sent == Sent::Cut {
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.initial_window_size(H2_WINDOW);
        options.initial_connection_window_size(H2_WINDOW);
        options.max_header_list_size(64 * 1024);
        options.max_concurrent_streams(256);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

impl Gateway {
    /// A head that cannot be read as HTTP: 400, and the connection ends.
    async fn unreadable(
        &self,
        state: &State,
        mut session: ServerSession,
        error: &pingora_error::Error,
    ) -> Option<ReusedHttpStream> {
        if !matches!(error.etype(), pingora_error::ErrorType::InvalidHTTPHeader) {
            return None;
        }
        let place = self.audit.reserve().await.ok()?;
        let mut seen = Seen::new(self.ids.next(), OffsetDateTime::now_utc());
        let refused = Error::new(ErrorCode::BadRequest).because(error.etype().as_str());
        let answer = handler::refusal(&refused, "/", &seen.request_id, false);
        seen.peer = Some(peer::connection(&session));
        seen.status = answer.status.as_u16();
        seen.error = Some(refused);
        session.set_keepalive(None);
        let patience = state.limits.body_timeout;
        let (id, out) = (&seen.request_id, &mut seen.sent);
        let sent = respond::write(&mut session, answer, id, patience, out).await;
        self.record(state, None, &seen, sent, Some(place));
        None
    }
}
