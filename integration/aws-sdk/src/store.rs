//! The client as its users make it.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Credentials, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::check::{During, Failure};

/// A client, and the bucket it works in.
pub(crate) struct Store {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    config: aws_config::SdkConfig,
    payloads: Payloads,
}

impl Store {
    pub(crate) async fn from_environment() -> Result<Self, Failure> {
        let mut trust = TrustStore::empty();
        if let Ok(file) = std::env::var("AWS_CA_BUNDLE") {
            trust = trust.with_pem_certificate(std::fs::read(file).during("read AWS_CA_BUNDLE")?);
        }
        let tls = TlsContext::builder().with_trust_store(trust).build();
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.during("trust AWS_CA_BUNDLE")?)
            .build_https();
        // A retry would hide an answer that is not S3's.
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .load()
            .await;
        let payloads = Payloads::default();
        let client = aws_sdk_s3::config::Builder::from(&config).interceptor(payloads.clone());
        let since = SystemTime::UNIX_EPOCH.elapsed().during("read the clock")?;
        Ok(Self {
            client: Client::from_conf(client.build()),
            bucket: format!("sdk-{:x}-{:x}", since.as_nanos(), std::process::id()),
            config,
            payloads,
        })
    }

    /// The same client for someone else.
    pub(crate) fn client_of(&self, key: &str, secret: &str) -> Client {
        let credentials = Credentials::new(key, secret, None, None, "given");
        let config = aws_sdk_s3::config::Builder::from(&self.config);
        Client::from_conf(config.credentials_provider(credentials).build())
    }

    /// The payload mode of the last request that was sent.
    pub(crate) fn last_payload(&self) -> String {
        self.payloads
            .0
            .lock()
            .map(|p| p.clone())
            .unwrap_or_default()
    }

    /// Whether requests go over TLS.
    pub(crate) fn secure(&self) -> bool {
        let endpoint = self.config.endpoint_url();
        endpoint.is_some_and(|url| url.starts_with("https:"))
    }
}

/// Remembers how the SDK framed and signed a body, so that a test of one way is not of another.
#[derive(Clone, Debug, Default)]
struct Payloads(Arc<Mutex<String>>);

impl Intercept for Payloads {
    fn name(&self) -> &'static str {
        "payloads"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mode = context.request().headers().get("x-amz-content-sha256");
        if let Ok(mut last) = self.0.lock() {
            *last = mode.unwrap_or_default().to_owned();
        }
        Ok(())
    }
}
