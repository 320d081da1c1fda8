//! Decisions over several policies (T32, T41, T46).
//!
//! One document a line, its first character saying where it stands. Whatever they say: a Deny that
//! applies anywhere denies, neither order nor repetition decides anything, another Deny and another
//! limit never grant, a service account never exceeds its user, an explanation agrees with the decision.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use portcullis::iam::{
    Decision, Effect, Place, Policies, Policy, PolicyKind, Principal, Request, evaluate, explain,
};
use portcullis_fuzz::Asked;

const ACCOUNT: &str = "123456789012";

/// Policies by where they stand.
#[derive(Clone, Default)]
struct Sheet {
    identity: Vec<Arc<Policy>>,
    groups: Vec<Arc<Policy>>,
    boundary: Option<Arc<Policy>>,
    session: Option<Vec<Arc<Policy>>>,
    service_account: Option<Arc<Policy>>,
    resource: Option<Arc<Policy>>,
}

impl Sheet {
    fn policies(&self) -> Policies<'_> {
        Policies {
            identity: &self.identity,
            groups: &self.groups,
            boundary: self.boundary.as_deref(),
            session: self.session.as_deref(),
            service_account: self.service_account.as_deref(),
            resource: self.resource.as_deref(),
        }
    }

    fn decide(&self, request: &Request<'_>) -> Decision {
        evaluate(&self.policies(), request)
    }
}

static DENY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let text =
        r#"{"Statement":{"Effect":"Deny","Action":"s3:Get*","Resource":"arn:aws:s3:::bucket/*"}}"#;
    Arc::new(Policy::parse(PolicyKind::Identity, "deny", text.as_bytes()).expect("a policy"))
});

fuzz_target!(|data: &[u8]| {
    let mut sheet = Sheet::default();
    for line in data.split(|byte| *byte == b'\n').take(12) {
        let Some((place, json)) = line.split_first() else {
            continue;
        };
        let parse = |kind| Policy::parse(kind, "fuzzed", json).ok().map(Arc::new);
        match place {
            b'i' => sheet.identity.extend(parse(PolicyKind::Identity)),
            b'g' => sheet.groups.extend(parse(PolicyKind::Identity)),
            b'b' => sheet.boundary = parse(PolicyKind::Identity),
            b's' => sheet
                .session
                .get_or_insert_default()
                .extend(parse(PolicyKind::Session)),
            b'a' => sheet.service_account = parse(PolicyKind::Identity),
            b'r' => sheet.resource = parse(PolicyKind::Resource),
            _ => {}
        }
    }
    for principal in principals() {
        for (action, resource) in [
            ("s3:GetObject", "arn:aws:s3:::bucket/home/alice*/k"),
            ("s3:PutBucketPolicy", "arn:aws:s3:::bucket"),
            ("s3:ListAllMyBuckets", "arn:aws:s3:::*"),
        ] {
            holds(
                &sheet,
                &Request {
                    principal: &principal,
                    action,
                    resource,
                    context: &Asked,
                },
            );
        }
    }
});

fn principals() -> [Principal; 4] {
    [
        Principal::Anonymous,
        Principal::Root {
            account: ACCOUNT.into(),
        },
        Principal::User {
            account: ACCOUNT.into(),
            arn: format!("arn:aws:iam::{ACCOUNT}:user/alice").into(),
        },
        Principal::Session {
            account: ACCOUNT.into(),
            role: format!("arn:aws:iam::{ACCOUNT}:role/reader").into(),
            arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/s").into(),
        },
    ]
}

fn is_allow(decision: &Decision) -> bool {
    matches!(decision, Decision::Allow(_))
}

fn holds(sheet: &Sheet, request: &Request<'_>) {
    let kind = |decision: &Decision| std::mem::discriminant(decision);
    let decision = sheet.decide(request);

    let policies = sheet.policies();
    let explanation = explain(&policies, request);
    assert_eq!(explanation.decision, decision);
    let root = matches!(request.principal, Principal::Root { .. });
    let manages = root && request.action == "s3:PutBucketPolicy";
    let denies = explanation.applying().any(|statement| {
        statement.effect == Effect::Deny && !(manages && statement.place == Place::Resource)
    });
    assert_eq!(
        denies,
        matches!(decision, Decision::ExplicitDeny(_)),
        "{explanation:?}"
    );
    let _ = format!("{:?}", explanation.closest(3));

    // Order, repetition, and the index that many statements have, say nothing.
    let mut other = sheet.clone();
    other.identity.reverse();
    std::mem::swap(&mut other.identity, &mut other.groups);
    other.identity.extend(other.identity.clone());
    if let Some(session) = &mut other.session {
        session.reverse();
    }
    assert_eq!(kind(&other.decide(request)), kind(&decision));

    // Another Deny, and another limit, take away.
    let mut denied = sheet.clone();
    denied.groups.push(DENY.clone());
    assert!(is_allow(&decision) || !is_allow(&denied.decide(request)));
    let mut parent = sheet.clone();
    parent.service_account = None;
    assert!(is_allow(&parent.decide(request)) || !is_allow(&decision));
    // A session is within its parent, but for what is given to the session itself.
    parent.session = None;
    let to_session = matches!(request.principal, Principal::Session { .. });
    assert!(to_session || is_allow(&parent.decide(request)) || !is_allow(&decision));
}
