//! What a request costs before its first byte of I/O: parse, verify the signature, decide under
//! fifty statements.

#![expect(clippy::expect_used, reason = "a benchmark ends at the first failure")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use portcullis::authn::Authenticator;
use portcullis::authz::Authorizer;
use portcullis::crypto::{Secret, sha256};
use portcullis::iam::{Policy, PolicyKind};
use portcullis::identity::{AccessKey, BucketPolicies, Directory, Owner, User};
use portcullis::s3::{Addressing, Head, Peer, Request};
use portcullis::sigv4::{Credentials, OutgoingPayload, OutgoingRequest, sign};
use time::OffsetDateTime;

const ID: &str = "AKIABENCHMARKEXAMPLE";
const SECRET: &str = "benchmark-secret-that-opens-nothing-012345";
const PATH: &str = "/bench/some/folder/object.bin";

/// Fifty statements, of which the last one allows.
fn policy() -> Policy {
    let statement = |n: usize| {
        let bucket = if n == 49 {
            "bench".to_owned()
        } else {
            format!("team-{n}")
        };
        format!(
            r#"{{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::{bucket}/*"}}"#
        )
    };
    let statements: Vec<String> = (0..50).map(statement).collect();
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    );
    Policy::parse(PolicyKind::Identity, "fifty", text.as_bytes()).expect("a policy")
}

fn directory() -> Directory {
    let user = User {
        name: "bench".into(),
        arn: "arn:aws:iam::123456789012:user/bench".into(),
        groups: Vec::new(),
        policies: vec![Arc::new(policy())],
        group_policies: Vec::new(),
        boundary: None,
        tags: Vec::new(),
    };
    Directory::new([AccessKey {
        id: ID.into(),
        secret: Secret::new(SECRET.to_owned()),
        owner: Owner::User(Arc::new(user)),
        enabled: true,
        policy: None,
    }])
}

/// A GET with the headers that SDKs send, signed at `now`.
fn headers(now: OffsetDateTime) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:9000"),
        ("accept-encoding", "identity"),
        (
            "user-agent",
            "Boto3/1.42.0 md/Botocore#1.42.0 ua/2.1 os/linux md/arch#x86_64",
        ),
        (
            "amz-sdk-invocation-id",
            "3a1f3c5e-7d2b-4c55-9c0e-0d5f0a1b2c3d",
        ),
        ("amz-sdk-request", "attempt=1"),
        ("x-amz-checksum-mode", "ENABLED"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let request = OutgoingRequest {
        method: &Method::GET,
        path: PATH,
        query: &[],
        headers: &headers,
        payload: OutgoingPayload::Sha256(sha256(b"")),
    };
    let credentials = Credentials {
        access_key_id: ID.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
        session_token: None,
    };
    for (name, value) in sign(&request, &credentials, "us-east-1", "s3", now).headers {
        headers.insert(name, value);
    }
    headers
}

fn head(headers: &HeaderMap) -> Head {
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
        tls_version: Some("1.3"),
    };
    Head::new(
        Method::GET,
        PATH,
        "127.0.0.1:9000".to_owned(),
        headers.clone(),
        peer,
    )
    .expect("a head")
}

fn benchmark(criterion: &mut Criterion) {
    let now = OffsetDateTime::now_utc();
    let headers = headers(now);
    let addressing = Addressing::default();
    let directory = directory();
    let state = std::env::temp_dir().join(format!("portcullis-decide-{}", std::process::id()));
    let policies = Arc::new(BucketPolicies::open(&state).expect("a directory"));
    let authenticator = Authenticator::new("us-east-1".into());
    let authorizer = Authorizer::new("123456789012".into(), "us-east-1".into());
    let request = || Request::parse(head(&headers), &addressing).expect("a request");
    let caller = authenticator
        .authenticate(&request(), &directory, now)
        .expect("a caller");

    criterion.bench_function("parse", |b| {
        let heads = || head(&headers);
        let parse = |head| Request::parse(black_box(head), &addressing);
        b.iter_batched(heads, parse, BatchSize::SmallInput);
    });
    criterion.bench_function("verify", |b| {
        let request = request();
        b.iter(|| {
            authenticator
                .authenticate(black_box(&request), &directory, now)
                .expect("verified")
        });
    });
    criterion.bench_function("decide", |b| {
        let pair = || (request(), caller.clone());
        let decide = |(request, caller)| {
            authorizer
                .authorize(request, caller, &policies, now)
                .expect("allowed")
        };
        b.iter_batched(pair, decide, BatchSize::SmallInput);
    });
    criterion.bench_function("verify and decide", |b| {
        let both = |request: Request| {
            let caller = authenticator
                .authenticate(&request, &directory, now)
                .expect("verified");
            authorizer
                .authorize(request, caller, &policies, now)
                .expect("allowed")
        };
        b.iter_batched(request, both, BatchSize::SmallInput);
    });
    let _ = std::fs::remove_dir_all(state);
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
