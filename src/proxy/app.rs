//! What Pingora and the listeners call: a request whose head begins, and one for which there is no room.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{
    HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream,
};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use time::OffsetDateTime;

use super::respond::Sent;
use super::seen::Seen;
use super::unheard::Unheard;
use super::{Gateway, deliver, framing};
use crate::audit::Audit;
use crate::listener::{Application, peer};
use crate::s3::{Error, ErrorCode, Peer};

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
        // Whoever reads the body has a clock that stands still while nobody asks for it.
        session.set_read_timeout(None);
        session.set_write_timeout(Some(limits.body_timeout));
        let closes = *shutdown.borrow() || framing::is_single(session.req_header());
        session.set_keepalive((!closes).then_some(limits.idle_timeout.as_secs()));
        // Who sends the next request before this one is answered is answered in turn. Not behind chunks,
        // whose end two servers could see in two places (T47): there the connection ends.
        session.set_pipelining_enabled(!framing::is_chunked(session.req_header()));
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

    fn header_timeout(&self) -> Duration {
        self.state.load().limits.header_timeout
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
