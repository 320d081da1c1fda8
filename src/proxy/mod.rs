//! Pingora seen from our side: one straight line per request.
//!
//! parse → authenticate → authorize → answer → audit. What one step proves, the next takes; nothing
//! looks back.

mod app;
mod body;
mod claimed;
mod event;
mod framing;
mod glance;
mod ids;
mod places;
mod respond;
mod seen;
mod signature;
mod state;
mod unheard;

pub use state::{Limits, State};

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::Method;
use pingora_core::apps::HttpServerOptions;
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use pingora_timeout::sleep;
use tokio::sync::watch;

use crate::audit::{Audit, Place};
use crate::authn::{Caller, Identity};
use crate::authz::{Permit, Standing, Undecided, Unpermitted, still_granted};
use crate::fair::Asker;
use crate::handler::{self, Answer, DecidedKeys, RequestBody};
use crate::listener::{is_anything_behind_chunks, peer};
use crate::metrics::Metrics;
use crate::s3::{BucketName, Error, ErrorCode, Operation, Request};
use body::{NoBody, SessionBody};
use glance::Glance;
use ids::RequestIds;
use places::Places;
use respond::Sent;
use seen::Seen;

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
    // Refusals that are being told.
    refusals: Arc<Places>,
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
            refusals: Places::new(),
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

    /// What `work` comes to; `None` where it is cut off before.
    async fn unless_cut_off<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            outcome = work => Some(outcome),
            () = self.is_cut_off() => None,
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
        if let Err(error) = &outcome
            && !self.refuses(state, session, seen)
        {
            seen.error = Some(error.clone());
            return Sent::Cut;
        }
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

    /// Whether a refusal is told. It takes no place from requests that are answered while it waits to be
    /// read; those that wait are bounded as well, of each network too.
    fn refuses(&self, state: &State, session: &ServerSession, seen: &mut Seen) -> bool {
        seen.give_up_places();
        // What was refused before that was looked at, or since it cannot be told, is somebody's all the same.
        let address = match &seen.peer {
            Some(peer) => peer.address,
            None => {
                peer::of(session, &state.trusted_proxies, state.forwarded_proto)
                    .unwrap_or_else(|_| peer::connection(session))
                    .address
            }
        };
        let asker = Asker::of(&Identity::Anonymous, address);
        let limits = &state.limits;
        seen.place = self.refusals.take(limits.requests);
        seen.share = self.refusals.share(asker, limits.requests_per_caller);
        seen.place.is_some() && seen.share.is_some()
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
                let resumed = self.unless_cut_off(resumed).await;
                resumed.unwrap_or_else(|| Err(cut_off(false)))
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
                // Long work that nothing has come of before its end.
                let copies = matches!(
                    permit.operation(),
                    Operation::CopyObject | Operation::UploadPartCopy
                );
                let outcome = match (reads || copies) && body.is_over() {
                    true => {
                        let mut none = NoBody;
                        let work = standing.during(answer(&context, permit, reads, &mut none));
                        // What nobody waits for any more is not begun.
                        self.unless_cut_off(body.unless_gone(work, copies)).await
                    }
                    false => {
                        let work = answer(&context, permit, reads, &mut body);
                        self.unless_cut_off(standing.during(work)).await
                    }
                };
                seen.keys = keys.take();
                // Before its body has come to its end, nothing is kept of it.
                let may_be_done = !reads && body.is_over();
                outcome.unwrap_or_else(|| Err(cut_off(may_be_done)))
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
        let (permit, came, port) = (Arc::clone(permit), seen.now, seen.port);
        Standing::new(seen.started, move || {
            let state = states.load();
            // Its keys are decided one by one, by who may what as it was when it came.
            if permit.operation() == Operation::DeleteObjects && !Arc::ptr_eq(&state, &then) {
                return Err(Error::new(ErrorCode::ServiceUnavailable)
                    .because("the configuration has changed while the request came"));
            }
            let request = permit.request();
            let caller = state.authenticator(port);
            let caller = caller.authenticate(request, &state.directory, came)?;
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
        seen.port = peer::port(session);
        let caller =
            state
                .authenticator(seen.port)
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
        if !self.finds_room(state, &request, seen) {
            seen.crowding = Some(caller);
            return Err(Error::limited("requests_per_backend").into());
        }
        let authorizer = &state.authorizer;
        let decided = authorizer.authorize(request, caller, &state.policies, seen.now);
        stopped(decided, seen)
    }

    /// Takes places at the backends that a request is going to wait for, where there are several: one that
    /// does not answer is not everybody's wait.
    fn finds_room(&self, state: &State, request: &Request, seen: &mut Seen) -> bool {
        if !state.backends.are_several() {
            return true;
        }
        // What all of them are asked is no single one's fault, and is bounded beside them.
        let of = |bucket: Option<&BucketName>| match bucket {
            Some(bucket) => state.backends.name_of(bucket),
            None => Some(""),
        };
        let to = of(request.target.bucket());
        let source = request.call.source().map(|source| &source.bucket);
        let from = source.and_then(|bucket| of(Some(bucket)));
        let backend = match (from, to) {
            // Which of them it waits for is not known before: it must not take the place of what waits for one.
            (Some(from), Some(to)) if from != to => Cow::Owned(format!("{from} to {to}")),
            (_, Some(to)) => Cow::Borrowed(to),
            (_, None) => return true,
        };
        seen.at = (self.places).at(&backend, state.limits.requests_at_backends);
        seen.at.is_some()
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
                let message = seen.error.as_ref().map(Error::message);
                let known = seen.caller().and_then(Caller::proof).is_some();
                self.glance
                    .tell(known, || event::of(state, head, seen, &counted), message);
            }
            _ => {}
        }
    }

    /// Says how many refusals the log has left out, where it is what tells them.
    pub fn tell_left_out(&self) {
        self.glance.left_out();
    }
}

/// Why a request that was under way is not, when it is the end. What a thread or an upstream has begun to
/// keep goes on without us.
fn cut_off(may_be_done: bool) -> Error {
    let error = Error::new(ErrorCode::ServiceUnavailable);
    match may_be_done {
        true => error
            .because("cut off: the drain timeout is over; whether it was carried out is not known"),
        false => error.because("cut off: the drain timeout is over"),
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
    // What was read together with the end of chunks is not answered, and the client is told so; but where it
    // ends like one itself, it is not told from theirs, and the connection ends without a word.
    let chunked = framing::is_chunked(session.req_header());
    let behind = chunked && !unread && is_anything_behind_chunks(session);
    if unread || lost || unknown || behind {
        session.set_keepalive(None);
    }
    if seen.head_only {
        answer.body = crate::backend::Body::Empty;
    }
    let patience = match seen.error {
        None => state.limits.body_timeout,
        Some(_) => state.limits.body_timeout.min(DRAIN_TIMEOUT),
    };
    let sent = respond::write(session, answer, &seen.request_id, patience, &mut seen.sent).await;
    if unread {
        // Its answer is written: what is thrown away takes no place from others.
        seen.give_up_places();
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        let _ = session.drain_request_body().await;
    }
    sent
}
