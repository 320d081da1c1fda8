//! What decisions cost: time in the middle and at the edge, growth, allocations.
//!
//! Prints one line of JSON by name; `table.py` puts it beside what it may be. The yardstick, in the same
//! run, is one HMAC-SHA-256 of a string to sign: what verifying a signature takes at the very least.

#![expect(clippy::expect_used, reason = "a benchmark ends at the first failure")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::crypto::hmac_sha256;
use portcullis::iam::{
    Context, Decision, Key, Name, Policies, Policy, PolicyKind, Principal, Request, Value, Values,
    evaluate,
};
use time::OffsetDateTime;

const ACCOUNT: &str = "123456789012";

/// A request's facts in their types, as the gateway has them.
struct Facts {
    now: OffsetDateTime,
}

impl Context for Facts {
    fn values(&self, key: &Key) -> Values<'_> {
        match key.name() {
            Name::SourceIp => Values::One(Value::Address([10, 1, 2, 3].into())),
            Name::SecureTransport => Values::flag(true),
            Name::CurrentTime => Values::One(Value::Time(self.now)),
            Name::UserName => Values::text("alice"),
            Name::PrincipalTag => Values::text("blue"),
            Name::Prefix => Values::text("home/alice/"),
            _ => Values::Absent,
        }
    }
}

/// Conditions as policies have them, each met by the request.
const CONDITIONS: [&str; 5] = [
    r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
    r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}"#,
    r#"{"StringEquals":{"aws:PrincipalTag/team":["red","blue"]}}"#,
    r#"{"StringLike":{"s3:prefix":"home/${aws:username}/*"}}"#,
    r#"{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#,
];

fn statement(n: usize, of: usize) -> String {
    // Half have conditions; the last one allows what is asked.
    let condition = match n.is_multiple_of(2) {
        true => format!(
            r#","Condition":{}"#,
            CONDITIONS.get(n / 2 % 5).expect("one of five")
        ),
        false => String::new(),
    };
    let (effect, resource) = match n {
        n if n + 1 == of => ("Allow", "bench/home/${aws:username}/*".to_owned()),
        n if n.is_multiple_of(7) => ("Deny", format!("bench/closed-{n}/*")),
        n if n.is_multiple_of(3) => ("Allow", format!("bench/team-{n}/*")),
        n => ("Allow", format!("team-{n}/*")),
    };
    format!(
        r#"{{"Effect":"{effect}","Action":["s3:GetObject","s3:Put*"],"Resource":"arn:aws:s3:::{resource}"{condition}}}"#
    )
}

/// `policies` policies of `each` statements.
fn attached(policies: usize, each: usize) -> Vec<Arc<Policy>> {
    let of = policies * each;
    let policy = |p: usize| {
        let statements: Vec<_> = (p * each..(p + 1) * each)
            .map(|n| statement(n, of))
            .collect();
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            statements.join(",")
        );
        let policy = Policy::parse(PolicyKind::Identity, format!("p{p}"), text.as_bytes());
        Arc::new(policy.expect("a policy"))
    };
    (0..policies).map(policy).collect()
}

fn alice() -> Principal {
    Principal::User {
        account: ACCOUNT.into(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/alice").into(),
    }
}

fn decide(identity: &[Arc<Policy>], principal: &Principal, resource: &str) -> Decision {
    let facts = Facts {
        now: OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
    };
    let policies = Policies {
        identity,
        ..Policies::default()
    };
    evaluate(
        black_box(&policies),
        &Request {
            principal,
            action: "s3:GetObject",
            resource: black_box(resource),
            context: &facts,
        },
    )
}

/// Nanoseconds of one run: in the middle, and of ninety-nine in a hundred.
fn time(mut run: impl FnMut()) -> (f64, f64) {
    // So many at a time that reading the clock costs little of it, so few that an edge shows.
    const AT_A_TIME: u32 = 16;
    for _ in 0..2_000 {
        run();
    }
    let mut samples: Vec<f64> = (0..20_000)
        .map(|_| {
            let started = Instant::now();
            (0..AT_A_TIME).for_each(|_| run());
            started.elapsed().as_nanos() as f64 / f64::from(AT_A_TIME)
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    let at = |share: usize| *samples.get(samples.len() * share / 100).expect("a sample");
    (at(50), at(99))
}

fn tell(name: &str, value: f64) {
    println!(r#"{{"{name}": {value:.1}}}"#);
}

fn main() {
    let alice = alice();
    let resource = "arn:aws:s3:::bench/home/alice/some/object.bin";
    let allows = |decision: &Decision| matches!(decision, Decision::Allow(_));

    let (yardstick, _) = time(|| {
        black_box(hmac_sha256(black_box(&[7; 32]), black_box(&[b'x'; 140])));
    });
    tell("hmac", yardstick);

    let fifty = attached(10, 5);
    assert!(allows(&decide(&fifty, &alice, resource)));
    let run = || {
        black_box(decide(&fifty, &alice, resource));
    };
    let (median, edge) = time(run);
    tell("decision", median);
    tell("decision p99", edge);
    let counted = allocation_counter::measure(run);
    tell("allocations", counted.count_total as f64);
    let literal = decide(&fifty, &alice, "arn:aws:s3:::team-49/x");
    assert!(!allows(&literal));
    let counted = allocation_counter::measure(|| {
        black_box(decide(&fifty, &alice, "arn:aws:s3:::bench/team-9/x"));
    });
    tell("allocations without variables", counted.count_total as f64);

    let thousand = attached(40, 25);
    assert!(allows(&decide(&thousand, &alice, resource)));
    let (median, _) = time(|| {
        black_box(decide(&thousand, &alice, resource));
    });
    tell("thousand", median);

    // Of another 100,000 users, each with a policy of their own.
    let (before, _) = time(run);
    let others: Vec<_> = (0..100_000).map(|_| attached(1, 1)).collect();
    let (after, _) = time(run);
    black_box(&others);
    tell("growth", 100.0 * (after / before - 1.0));

    let stars = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/{}b"}}}}"#,
        "*a".repeat(256)
    );
    let stars = Policy::parse(PolicyKind::Identity, "stars", stars.as_bytes());
    let stars = [Arc::new(stars.expect("a policy"))];
    let key = format!("arn:aws:s3:::b/{}", "a".repeat(1024));
    let (median, _) = time(|| {
        black_box(decide(&stars, &alice, &key));
    });
    tell("stars", median);
}
