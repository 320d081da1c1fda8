//! IAM policy documents.
//!
//! The first byte says what the policy is attached to. What is parsed decides in bounded time, the
//! same however its JSON is written and its statements are ordered; a Deny beats it, and without an
//! Allow it grants nothing (T32, T42, T46).

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use portcullis::iam::{
    Decision, Policies, Policy, PolicyKind, PolicyLimits, Principal, Request, evaluate, validate,
};
use portcullis_fuzz::Asked;
use serde_json::Value;

const ACCOUNT: &str = "123456789012";
const DENY_ALL: &str = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;

static DENIES: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let policy = Policy::parse(PolicyKind::Identity, "deny", DENY_ALL.as_bytes());
    Arc::new(policy.expect("a policy"))
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, json)) = data.split_first() else {
        return;
    };
    let kind = match kind % 3 {
        0 => PolicyKind::Identity,
        1 => PolicyKind::Resource,
        _ => PolicyKind::Session,
    };
    let policy = match Policy::parse(kind, "fuzzed", json) {
        Ok(policy) => Arc::new(policy),
        Err(why) => {
            assert!(why.to_string().len() < 1024 + 8 * json.len());
            assert!(!validate(&PolicyLimits::default(), kind, json).is_empty());
            return;
        }
    };
    let _ = validate(&PolicyLimits::default(), kind, json);
    let written = policy.to_json();
    match Policy::parse(kind, "written", written.as_bytes()) {
        Ok(again) => assert_eq!(*policy, again, "{written}"),
        Err(why) => assert!(why.to_string().contains("longer"), "{why}: {written}"),
    }
    let value: Value = serde_json::from_slice(json).expect("it was parsed");
    let printed = parsed(kind, &value);
    let reversed = parsed(kind, &reversed(value.clone()));
    let grants = value["Statement"].as_array().map_or_else(
        || value["Statement"]["Effect"] == "Allow",
        |list| list.iter().any(|statement| statement["Effect"] == "Allow"),
    );
    for (principal, action, resource) in asked() {
        let decide = |policy| decide(kind, policy, &principal, action, &resource);
        let decision = decide(&policy);
        assert!(
            grants || decision != "allow" || is_root(&principal),
            "{action} on {resource}"
        );
        for other in [&printed, &reversed].into_iter().flatten() {
            assert_eq!(decide(other), decision, "{action} on {resource}");
        }
    }
});

fn is_root(principal: &Principal) -> bool {
    matches!(principal, Principal::Root { .. })
}

/// `None` where it has grown beyond what its kind may be.
fn parsed(kind: PolicyKind, value: &Value) -> Option<Arc<Policy>> {
    let policy = Policy::parse(kind, "printed", value.to_string().as_bytes());
    match policy {
        Ok(policy) => Some(Arc::new(policy)),
        Err(why) if why.to_string().contains("longer") => None,
        Err(why) => panic!("{why}: {value}"),
    }
}

fn reversed(mut value: Value) -> Value {
    if let Some(statements) = value.get_mut("Statement").and_then(Value::as_array_mut) {
        statements.reverse();
    }
    value
}

fn asked() -> Vec<(Principal, &'static str, String)> {
    let user = |name: &str| Principal::User {
        account: ACCOUNT.into(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/{name}").into(),
    };
    let root = Principal::Root {
        account: ACCOUNT.into(),
    };
    let stars = format!("arn:aws:s3:::bucket/{}", "a".repeat(1024));
    let mut asked = Vec::new();
    for principal in [user("alice"), user("bob"), root, Principal::Anonymous] {
        for action in ["s3:GetObject", "s3:PutObject", "s3:ListBucket"] {
            for resource in [
                "arn:aws:s3:::bucket",
                "arn:aws:s3:::bucket/home/alice*/k",
                &stars,
            ] {
                asked.push((principal.clone(), action, resource.to_owned()));
            }
        }
    }
    asked
}

fn decide(
    kind: PolicyKind,
    policy: &Arc<Policy>,
    principal: &Principal,
    action: &str,
    resource: &str,
) -> &'static str {
    let request = Request {
        principal,
        action,
        resource,
        context: &Asked,
    };
    let one = std::slice::from_ref(policy);
    let mut policies = match kind {
        PolicyKind::Identity => Policies {
            identity: one,
            ..Policies::default()
        },
        PolicyKind::Resource => Policies {
            resource: Some(policy),
            ..Policies::default()
        },
        PolicyKind::Session => Policies {
            identity: one,
            session: Some(one),
            ..Policies::default()
        },
    };
    let decision = evaluate(&policies, &request);
    let denies = std::slice::from_ref(&*DENIES);
    policies.groups = denies;
    if matches!(principal, Principal::User { .. }) {
        let denied = evaluate(&policies, &request);
        assert!(
            matches!(denied, Decision::ExplicitDeny(_)),
            "an Allow beat a Deny"
        );
    }
    match decision {
        Decision::Allow(_) => "allow",
        Decision::ExplicitDeny(_) => "deny",
        Decision::ImplicitDeny(_) => "implicit",
    }
}
