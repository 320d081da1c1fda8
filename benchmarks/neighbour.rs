//! The neighbour that the gateway is measured against: a bare Pingora application that passes HTTP
//! through over TLS to one upstream and looks at nothing.
//!
//! `neighbour LISTEN UPSTREAM CERTIFICATE KEY`

#![expect(clippy::expect_used, reason = "a benchmark ends at the first failure")]

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::connectors::http::v1::Connector;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::Service as _;
use pingora_core::services::listening::Service;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_runtime::RuntimeBuilder;

struct Bare {
    connector: Connector,
    peer: HttpPeer,
}

impl Bare {
    async fn pass(&self, session: &mut ServerSession) -> pingora_error::Result<()> {
        let (mut upstream, _reused) = self.connector.get_http_session(&self.peer).await?;
        let head = Box::new(session.req_header().clone());
        upstream.write_request_header(head).await?;
        while let Some(bytes) = session.read_request_body().await? {
            upstream.write_body(&bytes).await?;
        }
        upstream.finish_body().await?;
        upstream.read_response().await?;
        answer(session, &mut upstream).await?;
        self.connector
            .release_http_session(upstream, &self.peer, None)
            .await;
        Ok(())
    }
}

async fn answer(
    session: &mut ServerSession,
    upstream: &mut HttpSession,
) -> pingora_error::Result<()> {
    let head = upstream.resp_header().expect("a head was read").clone();
    session.write_response_header(Box::new(head)).await?;
    while let Some(bytes) = upstream.read_body_bytes().await? {
        session.write_response_body(bytes, false).await?;
    }
    session.finish_body().await
}

#[async_trait]
impl HttpServerApp for Bare {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.read_request().await.ok()? {
            return None;
        }
        session.set_keepalive(Some(60));
        self.pass(&mut session).await.ok()?;
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("LISTEN UPSTREAM CERTIFICATE KEY");
    let (listen, upstream, certificate, key) = (next(), next(), next(), next());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let bare = Bare {
        connector: Connector::new(None),
        peer: HttpPeer::new(upstream, false, String::new()),
    };
    let mut service = Service::new("bare".to_owned(), bare);
    let tls = TlsSettings::intermediate(&certificate, &key).expect("a certificate");
    let buffers = L4BufferSettings::default().write(16 * 1024);
    service.add_listener(ListenerConfig::tcp(listen).l4_buffer(buffers).tls(tls));
    // As the gateway's own threads are.
    let workers = RuntimeBuilder::new(1, "bare").work_steal(false).build();
    let (_open, watch) = tokio::sync::watch::channel(false);
    let serving = workers
        .get_handle()
        .spawn(async move { service.start_service(None, watch, 1).await });
    let rest = tokio::runtime::Builder::new_current_thread().build();
    let _ = rest.expect("a runtime").block_on(serving);
}
