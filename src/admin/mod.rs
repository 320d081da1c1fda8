//! The admin listener: health, readiness and metrics, on an address of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_http::ResponseHeader;

use crate::listener::Application;
use crate::metrics::Metrics;

/// The longest head of an admin client's request.
const HEAD: usize = 8192;

/// How long an admin client may take or be idle.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says whether requests can be served, or in one line why not. It never waits for anything.
pub trait Readiness: Send + Sync {
    /// Why requests cannot be served; `None` when they can.
    fn why_not(&self) -> Option<String>;
}

/// The application behind the admin listener.
pub struct Admin {
    readiness: Arc<dyn Readiness>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// `readiness` is what `/readyz` tells.
    #[must_use]
    pub fn new(readiness: Arc<dyn Readiness>, metrics: Arc<Metrics>) -> Self {
        Self { readiness, metrics }
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        if *method != Method::GET && *method != Method::HEAD {
            return (
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "method not allowed\n".to_owned(),
            );
        }
        match path {
            "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.readiness.why_not() {
                None => (StatusCode::OK, TEXT, "ready\n".to_owned()),
                Some(why) => {
                    let why = why.lines().next().unwrap_or_default();
                    let body = format!("not ready: {why}\n");
                    (StatusCode::SERVICE_UNAVAILABLE, TEXT, body)
                }
            },
            "/metrics" => (
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                self.metrics.text(),
            ),
            _ => (StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
        }
    }
}

#[async_trait]
impl HttpServerApp for Admin {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        match tokio::time::timeout(PATIENCE, session.read_request()).await {
            Ok(Ok(true)) => {}
            _ => return None,
        }
        session.set_keepalive(Some(PATIENCE.as_secs()));
        let request = session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        let (status, content_type, text) = self.answer(&method, &path);
        let mut head = ResponseHeader::build(status, Some(3)).ok()?;
        head.insert_header(http::header::CONTENT_TYPE, content_type)
            .ok()?;
        head.insert_header(http::header::CONTENT_LENGTH, text.len())
            .ok()?;
        session.write_response_header(Box::new(head)).await.ok()?;
        if method != Method::HEAD {
            session.write_response_body(text.into(), true).await.ok()?;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

#[async_trait]
impl Application for Admin {
    fn head_bytes(&self) -> usize {
        HEAD
    }

    fn idle_timeout(&self) -> Duration {
        PATIENCE
    }

    async fn turn_away(&self, _session: ServerSession) {}
}
