//! The admin listener: health, readiness and metrics, on an address of its own.

use std::net::IpAddr;
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
    hosts: Vec<String>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// `readiness` is what `/readyz` tells; `hosts` are the names that clients may call it by, beside
    /// addresses and `localhost`.
    #[must_use]
    pub fn new(readiness: Arc<dyn Readiness>, metrics: Arc<Metrics>, hosts: Vec<String>) -> Self {
        Self {
            readiness,
            metrics,
            hosts,
        }
    }

    /// Whether a request is meant for this listener. A browser's page from elsewhere can have its own
    /// name lead to an address here, and would read what is answered; under a name of ours it cannot.
    fn is_called(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
        let known = |known: &String| known.eq_ignore_ascii_case(name);
        bare.unwrap_or(name).parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(known)
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
            "/metrics" => match self.metrics.text() {
                Ok(text) => {
                    const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
                    (StatusCode::OK, EXPOSITION, text)
                }
                Err(error) => {
                    tracing::error!(%error, "metrics cannot be told");
                    let body = "metrics cannot be told\n".to_owned();
                    (StatusCode::INTERNAL_SERVER_ERROR, TEXT, body)
                }
            },
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
        let authority = request.uri.authority().map(http::uri::Authority::as_str);
        let hosts = request.headers.get_all(http::header::HOST).iter();
        // What says no host is no browser.
        let called = hosts
            .map(|host| host.to_str().is_ok_and(|host| self.is_called(host)))
            .chain(authority.map(|host| self.is_called(host)))
            .all(|called| called);
        let (status, content_type, text) = match called {
            true => self.answer(&method, &path),
            false => (
                StatusCode::MISDIRECTED_REQUEST,
                "text/plain; charset=utf-8",
                "this host is not known here: name it in `admin.hosts`\n".to_owned(),
            ),
        };
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

    fn header_timeout(&self) -> Duration {
        PATIENCE
    }

    fn idle_timeout(&self) -> Duration {
        PATIENCE
    }

    async fn turn_away(&self, _session: ServerSession) {}
}
