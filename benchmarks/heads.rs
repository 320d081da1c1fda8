//! What the costliest heads cost that anybody may send: parsed, found to be signed by nobody who is
//! known, and answered. Each is as long as a head may be by default, 8 KiB.

#![expect(clippy::expect_used, reason = "a benchmark ends at the first failure")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portcullis::authn::Authenticator;
use portcullis::crypto::Secret;
use portcullis::handler::refusal;
use portcullis::identity::{AccessKey, Directory, Owner};
use portcullis::s3::{Addressing, Error, Head, Peer, Request, time::amz_date};
use time::OffsetDateTime;

const ID: &str = "AKIABENCHMARKEXAMPLE";

/// As long as a head may be, less its fixed lines.
const ROOM: usize = 7_400;

struct Asked {
    method: Method,
    target: String,
    headers: HeaderMap,
}

impl Asked {
    fn new(method: Method, target: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("127.0.0.1:9000"));
        Self {
            method,
            target,
            headers,
        }
    }

    fn header(&mut self, name: &str, value: &str) {
        let name = HeaderName::try_from(name).expect("a name");
        let value = HeaderValue::from_str(value).expect("a value");
        self.headers.append(name, value);
    }

    /// Signed by one who has not the secret.
    fn forged(mut self, now: OffsetDateTime) -> Self {
        let date = amz_date(now);
        self.header("x-amz-date", &date);
        self.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        let mut names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={}",
            credential(now),
            names.join(";"),
            "0".repeat(64)
        );
        self.header("authorization", &authorization);
        self
    }
}

fn credential(now: OffsetDateTime) -> String {
    let date: String = amz_date(now).chars().take(8).collect();
    format!("{ID}/{date}/us-east-1/s3/aws4_request")
}

/// A link that is signed by one who has not the secret.
fn link(now: OffsetDateTime, path: &str, more: &str) -> String {
    format!(
        "{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires=600\
         &X-Amz-SignedHeaders=host&X-Amz-Signature={}{more}",
        credential(now),
        amz_date(now),
        "0".repeat(64)
    )
}

/// As many parts as there is room for.
fn many(room: usize, part: impl Fn(usize) -> String) -> String {
    let mut all = String::new();
    for n in 0.. {
        let part = part(n);
        if all.len() + part.len() > room {
            break;
        }
        let _ = all.write_str(&part);
    }
    all
}

fn cases(now: OffsetDateTime) -> Vec<(&'static str, Asked)> {
    let get = |target: String| Asked::new(Method::GET, target);
    let put = || Asked::new(Method::PUT, "/bucket/key".to_owned());
    let keys = |prefix: &'static str| many(ROOM, |n| format!("&{prefix}{n:x}"));
    let few = |prefix: &'static str| {
        let parts = (0..120).map(|n| format!("&{prefix}{n:x}={}", "v".repeat(40)));
        parts.collect::<String>()
    };
    // One name in every way to write it.
    let spelled = (0_usize..200).map(|n| {
        let letter = |(at, c): (usize, char)| match n >> at & 1 {
            1 => c.to_ascii_uppercase(),
            _ => c,
        };
        let name: String = "xamzacl".chars().enumerate().map(letter).collect();
        let (x, rest) = name.split_at(1);
        let (amz, acl) = rest.split_at(3);
        format!("&{x}-{amz}-{acl}=private")
    });
    let spelled: String = spelled.take(120).collect();
    let mut metadata = put();
    for n in 0..240 {
        metadata.header(&format!("x-amz-meta-{n}"), "1");
    }
    let mut lines = put();
    for n in 0..240 {
        lines.header(&format!("a{n}"), "1");
    }
    let mut escaped = put();
    escaped.header("x-a", &"&".repeat(ROOM - 200));
    let mut unsigned = put().forged(now);
    for n in 0..200 {
        unsigned.header(&format!("x-amz-meta-{n}"), "1");
    }
    vec![
        ("nothing much", get("/bucket/key".to_owned()).forged(now)),
        ("query keys", get(format!("/bucket?{}", keys("")))),
        (
            "query keys of a link",
            get(link(now, "/bucket/key", &keys("a"))),
        ),
        (
            "moved headers",
            get(link(now, "/bucket/key", &few("X-Amz-Meta-"))),
        ),
        (
            "moved headers of a PUT",
            Asked::new(Method::PUT, link(now, "/bucket/key", &few("X-Amz-Meta-"))),
        ),
        (
            "one moved header, spelled",
            Asked::new(Method::PUT, link(now, "/bucket/key", &spelled)),
        ),
        ("metadata", metadata.forged(now)),
        ("signed headers", lines.forged(now)),
        ("unsigned headers", unsigned),
        ("a value to escape", escaped.forged(now)),
        (
            "a path of escapes",
            get(format!("/bucket/{}", "%FE".repeat(ROOM / 3))).forged(now),
        ),
        (
            "a key of escapes",
            get(format!("/bucket/{}", "%01".repeat(1024))).forged(now),
        ),
        (
            "a parameter of escapes",
            get(link(
                now,
                "/bucket/key",
                &format!("&response-content-type={}", "%01".repeat((ROOM - 500) / 3)),
            )),
        ),
        (
            "slashes",
            get(format!("/bucket/{}", "/".repeat(1024))).forged(now),
        ),
    ]
}

fn refused(c: &mut Criterion) {
    let now = OffsetDateTime::now_utc();
    let directory = Directory::new([AccessKey {
        id: ID.into(),
        secret: Secret::new("benchmark-secret-that-opens-nothing-012345".to_owned()),
        owner: Owner::Root,
        enabled: true,
        policy: None,
    }]);
    let authenticator = Authenticator::new("us-east-1".into());
    let addressing = Addressing::new([]);
    let peer = Peer {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        tls_version: Some("1.3"),
    };
    let mut group = c.benchmark_group("refused");
    group.measurement_time(Duration::from_secs(2));
    group.warm_up_time(Duration::from_millis(500));
    group.sample_size(20);
    for (name, asked) in cases(now) {
        let ask = || {
            let headers = asked.headers.clone();
            let host = "127.0.0.1:9000".to_owned();
            let head = Head::new(
                asked.method.clone(),
                &asked.target,
                host,
                headers,
                peer.clone(),
            )?;
            let request = Request::parse(head, &addressing)?;
            let caller = authenticator.authenticate(&request, &directory, now);
            caller.map(drop).map_err(Error::from)
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let error = ask().expect_err("nobody may");
                black_box(refusal(&error, &asked.target, "0123456789ABCDEF", false))
            });
        });
        let error = ask().expect_err("nobody may");
        eprintln!("{name}: {}", error.code().as_str());
    }
    group.finish();
}

criterion_group!(benches, refused);
criterion_main!(benches);
