//! Pingora seen from our side: one straight line per request.
//!
//! parse → authenticate → authorize → answer → audit. What one step proves, the next takes; nothing
//! looks back.

mod body;
mod claimed;
mod event;
mod framing;
mod glance;
mod ids;
mod places;
mod respond;
mod seen;
mod state;

pub use state::{Limits, State};

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::Method;
use pingora_core::apps::{
    HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream,
};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_http::RequestHeader;
use pingora_timeout::{sleep, timeout};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::audit::{Audit, Place};
use crate::authz::{Permit, Standing, Undecided, Unpermitted, still_granted};
use crate::fair::Asker;
use crate::handler::{self, Answer, DecidedKeys, RequestBody};
use crate::listener::{Application, TooLarge, linger, peer};
use crate::metrics::Metrics;
use crate::s3::{Error, ErrorCode, Operation, Peer, Request};
use body::{NoBody, SessionBody};
use glance::Glance;
use ids::RequestIds;
use places::Places;
use respond::Sent;
use seen::Seen;

/// HTTP/2's flow-control window of a stream: 64 KiB, the protocol's default, would bound it to 64 KiB
/// a round trip.
const H2_STREAM: u32 = 256 * 1024;

/// That of a connection, which is what its client can make us hold of bodies that nobody reads yet.
const H2_CONNECTION: u32 = 1024 * 1024;

/// What is handed to a stream before its client takes it.
const H2_SEND: usize = 64 * 1024;

/// Streams that a client has reset and that nobody has looked at yet: beyond these its connection ends.
const H2_RESETS: usize = 32;

/// What HTTP/2 counts for a header beside its bytes, and as many headers as HTTP/1.1 may have.
const H2_HEADERS: u32 = 32 * 256;

/// How much of a refused request's body is read before the connection is closed: enough that the
/// client sees the answer instead of a reset.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer may go on when it is cut off, so that one that is being refused is heard.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
    places: Arc<Places>,
    glance: Glance,
    // Whether what is under way is cut off.
    cut: watch::Sender<bool>,
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
            places: Places::new(),
            glance: Glance::default(),
            cut: watch::Sender::new(false),
            options,
        }
    }

    /// Cuts off what is under way, once the process can wait no longer. Each is told of as what it came to.
    pub fn cut_off(&self) {
        self.cut.send_replace(true);
    }

    /// Until it is cut off.
    async fn is_cut_off(&self) {
        // Its sender lives as long as this does.
        let _ = self.cut.subscribe().wait_for(|cut| *cut).await;
    }

    /// What `work` comes to, unless it is cut off before.
    async fn unless_cut_off<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = self.is_cut_off() => Err(Error::new(ErrorCode::ServiceUnavailable)
                .because("cut off: the drain timeout is over")),
        }
    }

    /// Answers one request, start to end.
    async fn serve(
        &self,
        state: &Arc<State>,
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
        let delivered = deliver(state, session, seen, outcome);
        let patience = async {
            self.is_cut_off().await;
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            sent = delivered => sent,
            () = patience => Sent::Cut,
        }
    }

    /// Everything a request passes.
    async fn line(
        &self,
        state: &Arc<State>,
        session: &mut ServerSession,
        seen: &mut Seen,
    ) -> Result<Answer, Error> {
        let admitted = self.admit(state, session, seen);
        let mut body = SessionBody::new(session, state.limits.body_timeout);
        let permit = match admitted {
            Err(Stop::Undecided(undecided)) => {
                let resumed = self.resume(state, *undecided, seen, &mut body);
                self.unless_cut_off(resumed).await
            }
            Err(Stop::Refused(error)) => Err(error),
            Ok(permit) => Ok(permit),
        };
        seen.admitted = Some(Instant::now());
        let permit = permit.map(Arc::new);
        let outcome = match &permit {
            Ok(permit) => {
                let standing = self.standing(state, permit, seen);
                let keys = DecidedKeys::default();
                let context = state.context(seen.now, &keys);
                let reads = matches!(permit.request().head.method, Method::GET | Method::HEAD);
                let outcome = match reads && body.is_over() {
                    true => {
                        let mut none = NoBody;
                        let work = standing.during(answer(&context, permit, reads, &mut none));
                        // What nobody waits for any more is not begun.
                        self.unless_cut_off(body.unless_gone(work)).await
                    }
                    false => {
                        let work = answer(&context, permit, reads, &mut body);
                        self.unless_cut_off(standing.during(work)).await
                    }
                };
                seen.keys = keys.take();
                outcome
            }
            Err(error) => Err(error.clone()),
        };
        seen.received = body.received;
        seen.body_failed = body.failed;
        seen.permit = permit.ok();
        outcome
    }

    /// How to ask for what was permitted again: of the state that there is then. The request stays the one
    /// that it was when it came, its age among what conditions know: time takes nothing away from it.
    fn standing(&self, state: &Arc<State>, permit: &Arc<Permit>, seen: &Seen) -> Standing {
        let (states, then) = (Arc::clone(&self.state), Arc::clone(state));
        let (permit, came) = (Arc::clone(permit), seen.now);
        Standing::new(seen.started, move || {
            let state = states.load();
            // Its keys are decided one by one, by who may what as it was when it came.
            if permit.operation() == Operation::DeleteObjects && !Arc::ptr_eq(&state, &then) {
                return Err(Error::new(ErrorCode::ServiceUnavailable)
                    .because("the configuration has changed while the request came"));
            }
            let request = permit.request();
            let caller = state
                .authenticator
                .authenticate(request, &state.directory, came)?;
            state
                .authorizer
                .again(&permit, &caller, &state.policies, came)
        })
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
        let keys = DecidedKeys::default();
        let context = state.context(seen.now, &keys);
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
        let peer = peer::of(session, &state.trusted_proxies, state.forwarded_proto)?;
        seen.peer = Some(peer.clone());
        if framing::both_lengths(session) {
            return Err(Error::new(ErrorCode::BadRequest)
                .because("content-length beside transfer-encoding")
                .into());
        }
        let head = framing::head(session, peer, state.limits.header_bytes)?;
        seen.head(&head);
        // Behind what makes sure that the next request's beginning is known: this one's connection may
        // go on.
        seen.place = self.places.take(state.limits.requests);
        if seen.place.is_none() {
            return Err(Error::limited("requests").into());
        }
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
        let asker = Asker::of(caller.identity(), request.head.peer.address);
        seen.share = self.places.share(asker, state.limits.requests_per_caller);
        if seen.share.is_none() {
            seen.crowding = Some(caller);
            return Err(Error::limited("requests_per_caller").into());
        }
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
        if let Some(limit) = seen.limit() {
            self.metrics.limited(limit);
        }
        match place {
            Some(place) if self.audit.is_on() => {
                self.audit
                    .record(&event::of(state, head, seen, &counted), place);
            }
            Some(_) if seen.is_worth_a_glance() => {
                self.glance.tell(&event::of(state, head, seen, &counted));
            }
            _ => {}
        }
    }

    /// Says how many refusals the log has left out, where it is what tells them.
    pub fn tell_left_out(&self) {
        self.glance.left_out();
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
        let patience = self.state.load().limits.header_timeout;
        session.set_read_timeout(Some(patience));
        // The head has begun; it must end in time.
        let read = tokio::select! {
            biased;
            read = timeout(patience, session.read_request()) => match read {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) => Err(Unheard::Gone),
                Ok(Err(error)) => Err(Unheard::of(&error)),
                Err(_) => Err(Unheard::Slow),
            },
            () = self.is_cut_off() => Err(Unheard::CutOff),
        };
        if let Err(unheard) = read {
            let state = self.state.load_full();
            self.unheard(&state, session, unheard).await;
            return None;
        }
        let mut seen = Seen::new(self.ids.next(), OffsetDateTime::now_utc());
        let (place, reserved) = match self.audit.reserve().await {
            Ok(place) => (Some(place), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // Only now, when nothing is waited for any more, is it what decides (T109).
        let state = self.state.load_full();
        let limits = &state.limits;
        session.set_read_timeout(Some(limits.body_timeout));
        session.set_write_timeout(Some(limits.body_timeout));
        let closes = *shutdown.borrow() || framing::is_single(session.req_header());
        session.set_keepalive((!closes).then_some(limits.idle_timeout.as_secs()));
        // Who sends the next request before this one is answered is answered in turn. Not behind chunks,
        // whose end two servers could see in two places (T47): there the connection ends.
        let chunked = session
            .req_header()
            .headers
            .contains_key(http::header::TRANSFER_ENCODING);
        session.set_pipelining_enabled(!chunked);
        // Boxed: an idle connection does not hold what a request needs.
        let sent = Box::pin(self.serve(&state, &mut session, &mut seen, reserved)).await;
        self.record(&state, Some(session.req_header()), &seen, sent, place);
        if sent == Sent::Cut {
            return None;
        }
        let mut settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        let (stream, next) = reusable.into_parts();
        // What has come of the next request passes whatever the first bytes of a request pass.
        if let Some(next) = next {
            settings.set_user_context(Box::new(next));
        }
        Some(ReusedHttpStream::new(stream, Some(settings)))
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        let limits = &self.state.load().limits;
        options.initial_window_size(H2_STREAM);
        options.initial_connection_window_size(H2_CONNECTION);
        // A head that is longer by less is told so in S3's words.
        let head = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        options.max_header_list_size(head.saturating_add(H2_HEADERS));
        options.max_concurrent_streams(limits.streams);
        options.max_send_buffer_size(H2_SEND);
        options.max_pending_accept_reset_streams(H2_RESETS);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

#[async_trait]
impl Application for Gateway {
    fn head_bytes(&self) -> usize {
        self.state.load().limits.header_bytes
    }

    fn idle_timeout(&self) -> Duration {
        self.state.load().limits.idle_timeout
    }

    async fn turn_away(&self, mut session: ServerSession) {
        let state = self.state.load_full();
        let unheard = match session.read_request().await {
            Ok(true) => None,
            Ok(false) => Some(Unheard::Gone),
            Err(error) => Some(Unheard::of(&error)),
        };
        if let Some(unheard) = unheard {
            self.unheard(&state, session, unheard).await;
            return;
        }
        let mut seen = Seen::new(self.ids.next(), OffsetDateTime::now_utc());
        seen.head_only = session.req_header().method == http::Method::HEAD;
        seen.peer = Some(peer::connection(&session));
        session.set_keepalive(None);
        // Told whether or not there is a place for the event: it is counted either way.
        let place = self.audit.reserve().await.ok();
        let refused = Err(Error::limited("connections"));
        let sent = deliver(&state, &mut session, &mut seen, refused).await;
        self.record(&state, Some(session.req_header()), &seen, sent, place);
        let _ = session.finish().await;
    }

    fn refused(&self, peer: &Peer, why: &str) -> String {
        let mut seen = Seen::new(self.ids.next(), OffsetDateTime::now_utc());
        seen.peer = Some(peer.clone());
        seen.error = Some(Error::new(ErrorCode::BadRequest).because(why));
        let place = Some(Audit::unreserved());
        self.record(&self.state.load_full(), None, &seen, Sent::Cut, place);
        seen.request_id
    }
}

/// Why there is no request although one began.
enum Unheard {
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
    fn of(error: &pingora_error::Error) -> Self {
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
    async fn unheard(&self, state: &State, mut session: ServerSession, why: Unheard) {
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

/// Carries out what was permitted. What it takes to begin, and for a read to have something to tell, may
/// have been waited for.
async fn answer(
    context: &handler::Context<'_>,
    permit: &Permit,
    reads: bool,
    body: &mut dyn RequestBody,
) -> Result<Answer, Error> {
    still_granted()?;
    let answer = handler::answer(context, permit, body).await?;
    if reads {
        still_granted()?;
    }
    Ok(answer)
}

/// What a connection says of a head that does not end.
fn too_large(error: &pingora_error::Error) -> Option<&TooLarge> {
    let cause = error.cause.as_deref()?;
    let error = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    error.downcast_ref()
}

/// Answers what became of a request. A connection whose next request's beginning is not known is not
/// used again.
async fn deliver(
    state: &State,
    session: &mut ServerSession,
    seen: &mut Seen,
    outcome: Result<Answer, Error>,
) -> Sent {
    let mut answer = outcome.unwrap_or_else(|error| {
        let resource = seen.resource(session.req_header().uri.path());
        let answer = handler::refusal(&error, &resource, &seen.request_id, seen.head_only);
        seen.error = Some(error);
        answer
    });
    seen.status = answer.status.as_u16();
    // A body that nobody read stands between this answer and the next request (T48), and behind one
    // that did not end as announced there is none to be found (T47). To connect again is what costs
    // most, so who is only told to come later keeps the connection.
    let unread = !session.is_body_done();
    let code = seen.error.as_ref().map(Error::code);
    let lost = seen.body_failed || code == Some(ErrorCode::IncompleteBody);
    let unknown = seen.operation.is_none() && code.is_some_and(|code| code != ErrorCode::SlowDown);
    if unread || lost || unknown {
        session.set_keepalive(None);
    }
    if seen.head_only {
        answer.body = crate::backend::Body::Empty;
    }
    let patience = state.limits.body_timeout;
    let sent = respond::write(session, answer, &seen.request_id, patience, &mut seen.sent).await;
    if unread {
        // Its answer is written: what is thrown away takes no place from others.
        (seen.place, seen.share) = (None, None);
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        let _ = session.drain_request_body().await;
    }
    sent
}
