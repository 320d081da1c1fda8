//! A whole gateway at the end of a connection in memory, and its answers read strictly.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora_core::apps::ServerApp as _;
use portcullis::audit::{Audit, Config};
use portcullis::authz::Authorizer;
use portcullis::backend::router::Backends;
use portcullis::identity::BucketPolicies;
use portcullis::metrics::Metrics;
use portcullis::proxy::{Gateway, Limits, State};
use portcullis::s3::{Addressing, PublicAccessBlock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

const ACCOUNT: &str = "123456789012";

/// The one runtime: everything of an input runs on the fuzzer's own thread.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    });
    &RUNTIME
}

/// A gateway that is spoken to in bytes.
#[derive(Debug)]
pub struct Wire {
    gateway: Arc<Gateway>,
    shutdown: watch::Sender<bool>,
}

impl Wire {
    /// A gateway in front of `backends`, which knows the one access key, with these bucket policies.
    #[must_use]
    pub fn new(backends: Backends, policies: &[(&str, &str)]) -> Self {
        let directory =
            std::env::temp_dir().join(format!("portcullis-fuzz-{}", std::process::id()));
        // What a bucket's policy grants is to be reached: nothing of public access is blocked.
        for (bucket, policy) in policies {
            for (kind, text) in [
                ("bucket-policies", *policy),
                ("public-access-blocks", "null"),
            ] {
                let kind = directory.join(kind);
                std::fs::create_dir_all(&kind).expect("a directory");
                std::fs::write(kind.join(format!("{bucket}.json")), text).expect("a file");
            }
        }
        let opened = BucketPolicies::open(&directory).expect("the policies");
        std::fs::remove_dir_all(&directory).expect("the directory goes");
        let second = Duration::from_secs(1);
        let state = State {
            addressing: Addressing::new(["s3.example.com".to_owned()]),
            authenticator: crate::authenticator(),
            beside: None,
            authorizer: Authorizer::new(ACCOUNT.into(), crate::REGION.into())
                .blocking(PublicAccessBlock::NONE),
            directory: Arc::new(crate::directory()),
            policies: Arc::new(opened),
            backends: Arc::new(backends),
            trusted_proxies: "127.0.0.0/8".parse().into_iter().collect(),
            forwarded_proto: false,
            account: ACCOUNT.into(),
            region: crate::REGION.into(),
            limits: Limits {
                header_timeout: second,
                body_timeout: second,
                idle_timeout: second,
                ..Limits::default()
            },
        };
        let state = Arc::new(ArcSwap::from_pointee(state));
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let audit = Arc::new(Audit::open(&Config::default(), metrics.audit()).expect("no audit"));
        Self {
            gateway: Arc::new(Gateway::new(state, metrics, audit)),
            shutdown: watch::Sender::new(false),
        }
    }

    /// Sends `input` on a connection of its own, ends it, and answers all that came back.
    pub async fn say(&self, input: &[u8]) -> Vec<u8> {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (mut from, mut to) = tokio::io::split(client);
        let shutdown = self.shutdown.subscribe();
        let serve = self.gateway.process_new(Box::new(server), &shutdown);
        let send = async {
            // The gateway may have hung up.
            let _ = to.write_all(input).await;
            let _ = to.shutdown().await;
        };
        let mut heard = Vec::new();
        let hear = from.read_to_end(&mut heard);
        let (_, (), read) = tokio::join!(serve, send, hear);
        read.expect("what is in memory can be read");
        heard
    }
}

/// One final answer of the gateway.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names and values of the headers.
    pub headers: Vec<(String, String)>,
    /// The body: less than was promised where the answer was cut off or goes to a HEAD.
    pub body: Vec<u8>,
    /// Whether the body is all that was promised.
    pub whole: bool,
}

/// Reads `heard`, which must be answers and nothing else. What is answered to a HEAD has no body,
/// whatever its length says: `bodiless` tells it by what stands behind the head.
///
/// # Panics
/// When it is not: a header has been split, or an answer has come out of another's body.
#[must_use]
pub fn answers(heard: &[u8], bodiless: impl Fn(&[u8]) -> bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut rest = heard;
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", rest.escape_ascii()));
        let (head, body) = (&rest[..end], &rest[end + 4..]);
        let mut lines = head.split(|byte| *byte == b'\n').map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let clean = line.iter().all(|byte| *byte >= b' ' || *byte == b'\t');
            assert!(clean, "a control character: {}", head.escape_ascii());
            String::from_utf8_lossy(line).into_owned()
        });
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|s| s.get(..3));
        let status = status.and_then(|status| status.parse::<u16>().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {first:?}"));
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?}"));
                let name = name.to_ascii_lowercase();
                assert!(known(&name), "nobody sets the header `{name}`");
                (name, value.to_owned())
            })
            .collect();
        if status < 200 {
            rest = body;
            continue;
        }
        let lengths: Vec<_> = headers
            .iter()
            .filter(|(n, _)| n == "content-length")
            .collect();
        assert!(lengths.len() < 2, "two lengths: {}", head.escape_ascii());
        let promised: usize = lengths
            .first()
            .map_or(0, |(_, v)| v.parse().expect("a length"));
        let length = match bodiless(body) {
            true => 0,
            false => promised.min(body.len()),
        };
        let (body, behind) = body.split_at(length);
        answers.push(Answer {
            status,
            headers,
            body: body.to_vec(),
            whole: length == promised,
        });
        rest = behind;
    }
    answers
}

/// The headers that an answer may have.
fn known(name: &str) -> bool {
    const KNOWN: [&str; 27] = [
        "accept-ranges",
        "cache-control",
        "connection",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "location",
        "retry-after",
        "server",
        "x-amz-access-point-alias",
        "x-amz-bucket-region",
        "x-amz-checksum-type",
        "x-amz-copy-source-version-id",
        "x-amz-delete-marker",
        "x-amz-mp-parts-count",
        "x-amz-request-id",
        "x-amz-storage-class",
        "x-amz-tagging-count",
        "x-amz-version-id",
        "x-content-type-options",
    ];
    let open = ["x-amz-meta-", "x-amz-checksum-"];
    KNOWN.contains(&name) || open.iter().any(|prefix| name.starts_with(prefix))
}
