//! What holds of every policy: order means nothing, a Deny never grants, a limit never widens, and a
//! pattern matches what its definition says. Policies are random and small enough to meet the requests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod oracle;
mod texts;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::evaluate::{Decision, Missing};
use super::super::principal::Principal;
use super::{Policy, PolicyKind};
use oracle::{Asked, Draft, Sheet};

const ACCOUNT: &str = "123456789012";
const ALICE: &str = "arn:aws:iam::123456789012:user/alice";
const BOB: &str = "arn:aws:iam::123456789012:user/bob";

/// How many random cases of each: 5,000 in the test command, more on demand.
fn config() -> ProptestConfig {
    let cases = std::env::var("PORTCULLIS_POLICY_CASES").ok();
    ProptestConfig::with_cases(cases.and_then(|n| n.parse().ok()).unwrap_or(5_000))
}

fn draft() -> impl Strategy<Value = Draft> {
    let actions = select(vec![
        "*",
        "s3:*",
        "s3:Get*",
        "S3:get?bject",
        "s3:GetObject",
        "s3:PutObject",
        "s3:*Object",
        "admin:*",
    ]);
    let resources = select(vec![
        "*",
        "arn:aws:s3:::b",
        "arn:aws:s3:::b/*",
        "arn:aws:s3:::b*",
        "arn:aws:s3:::b/k",
        "arn:aws:s3:::b/?",
        "arn:aws:s3:::b/${aws:username}/*",
        "arn:aws:s3:::*/k",
    ]);
    let principals = select(vec!["*", ACCOUNT, ALICE, BOB, "999999999999"]);
    let operators = select(vec![
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIfExists",
        "StringNotEqualsIfExists",
        "ForAllValues:StringEquals",
        "ForAnyValue:StringEquals",
        "ForAnyValue:StringNotEquals",
    ]);
    let names = vec(select(vec!["alice", "bob", "*"]), 1..3);
    let not = || prop::bool::weighted(0.2);
    let condition = option::weighted(0.3, (operators, names));
    let what = (not(), vec(actions, 1..3), not(), vec(resources, 1..3));
    (any::<bool>(), not(), principals, what, condition).prop_map(
        |(allow, not_principal, principal, what, condition)| {
            let (not_action, action, not_resource, resource) = what;
            Draft {
                allow,
                principal: (not_principal, principal),
                action: (not_action, action),
                resource: (not_resource, resource),
                condition,
            }
        },
    )
}

fn sheet() -> impl Strategy<Value = Sheet> {
    let list = || vec(draft(), 1..4);
    let limit = || option::weighted(0.2, list());
    (
        vec(list(), 0..3),
        vec(list(), 0..2),
        limit(),
        option::weighted(0.2, vec(list(), 1..3)),
        limit(),
        option::of(list()),
    )
        .prop_map(
            |(identity, groups, boundary, session, service_account, resource)| Sheet {
                identity,
                groups,
                boundary,
                session,
                service_account,
                resource,
            },
        )
}

fn asked() -> impl Strategy<Value = Asked> {
    let user = |arn: &str| Principal::User {
        account: ACCOUNT.into(),
        arn: arn.into(),
    };
    let root = Principal::Root {
        account: ACCOUNT.into(),
    };
    let principals = vec![
        user(ALICE),
        user(ALICE),
        user(BOB),
        root,
        Principal::Anonymous,
    ];
    let actions = vec!["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetObj"];
    let resources = vec![
        "arn:aws:s3:::b",
        "arn:aws:s3:::b/k",
        "arn:aws:s3:::b/K",
        "arn:aws:s3:::b/alice/x",
        "arn:aws:s3:::b/*/x",
        "arn:aws:s3:::bb/k",
    ];
    let names = vec![
        None,
        Some(vec!["alice"]),
        Some(vec!["bob"]),
        Some(vec!["*"]),
        Some(vec!["alice", "bob"]),
    ];
    (
        select(principals),
        select(actions),
        select(resources),
        select(names),
    )
        .prop_map(|(principal, action, resource, username)| Asked {
            principal,
            action,
            resource,
            username,
        })
}

fn is_allow(decision: &Decision) -> bool {
    matches!(decision, Decision::Allow(_))
}

/// The kind of a decision, whichever statement made it.
fn kind(decision: &Decision) -> std::mem::Discriminant<Decision> {
    std::mem::discriminant(decision)
}

/// Puts a list into another order, which `seeds` decide.
fn shuffle<T>(list: &mut [T], seeds: &[Index]) {
    for (at, seed) in (1..list.len()).zip(seeds) {
        list.swap(at, seed.index(at + 1));
    }
}

proptest! {
    #![proptest_config(config())]

    /// T32: the decision is the one that AWS's documentation gives.
    #[test]
    fn t32_decisions_are_the_oracles(sheet in sheet(), asked in asked()) {
        let decision = sheet.decide(&asked);
        prop_assert_eq!(is_allow(&decision), oracle::allows(&sheet, &asked), "{:?}", decision);
    }

    /// T32: neither the order of statements nor that of policies decides anything.
    #[test]
    fn t32_order_means_nothing(sheet in sheet(), asked in asked(), seeds in vec(any::<Index>(), 12)) {
        let mut other = sheet.clone();
        for list in other.lists() {
            shuffle(list, &seeds);
        }
        shuffle(&mut other.identity, &seeds);
        shuffle(&mut other.groups, &seeds);
        if let Some(session) = &mut other.session {
            shuffle(session, &seeds);
        }
        std::mem::swap(&mut other.identity, &mut other.groups);
        prop_assert_eq!(kind(&sheet.decide(&asked)), kind(&other.decide(&asked)));
    }

    /// T32: a Deny takes away, wherever it is added; said twice it says the same.
    #[test]
    fn t32_a_deny_never_grants(sheet in sheet(), asked in asked(), mut deny in draft(), at in any::<Index>(), place in any::<Index>()) {
        deny.allow = false;
        let mut other = sheet.clone();
        other.resource.get_or_insert_default();
        let mut lists = other.lists();
        let list = lists.swap_remove(place.index(lists.len()));
        list.insert(at.index(list.len() + 1), deny.clone());
        let before = sheet.decide(&asked);
        let after = other.decide(&asked);
        prop_assert!(is_allow(&before) || !is_allow(&after), "{:?} became {:?}", before, after);
        let mut lists = other.lists();
        lists.swap_remove(place.index(lists.len())).push(deny);
        prop_assert_eq!(kind(&after), kind(&other.decide(&asked)));
    }

    /// T32: without one of its Allows nothing more is allowed.
    #[test]
    fn t32_taking_an_allow_away_never_grants(sheet in sheet(), asked in asked(), at in any::<Index>()) {
        let mut other = sheet.clone();
        let allows: Vec<(usize, usize)> = {
            let lists = other.lists();
            let places = |(l, list): (usize, &&mut Vec<Draft>)| {
                let found = list.iter().enumerate().filter(|(_, draft)| draft.allow);
                found.map(|(s, _)| (l, s)).collect::<Vec<_>>()
            };
            lists.iter().enumerate().flat_map(places).collect()
        };
        if allows.is_empty() {
            return Ok(());
        }
        let (list, statement) = *at.get(&allows);
        other.lists().swap_remove(list).remove(statement);
        let (before, after) = (sheet.decide(&asked), other.decide(&asked));
        prop_assert!(is_allow(&before) || !is_allow(&after), "{:?} became {:?}", before, after);
    }

    /// T32: what limits never widens, root's own rights included.
    #[test]
    fn t32_a_limit_never_widens(sheet in sheet(), asked in asked(), limit in vec(draft(), 1..4), which in 0..3) {
        let mut bare = sheet;
        (bare.boundary, bare.session, bare.service_account) = (None, None, None);
        let mut limited = bare.clone();
        match which {
            0 => limited.boundary = Some(limit),
            1 => limited.session = Some(vec![limit]),
            _ => limited.service_account = Some(limit),
        }
        prop_assert!(is_allow(&bare.decide(&asked)) || !is_allow(&limited.decide(&asked)));
        // One that allows nothing leaves nothing; of a boundary and a session what a bucket gives to
        // the user or to everyone, and to nobody that is nobody's.
        let mut shut = bare.clone();
        match which {
            1 => shut.session = Some(vec![Vec::new()]),
            _ => shut.service_account = Some(Vec::new()),
        }
        let beyond = which == 1 && shut.resource.is_some();
        let anonymous = asked.principal == Principal::Anonymous;
        prop_assert!(beyond || anonymous || !is_allow(&shut.decide(&asked)));
    }

    /// What is written of a policy is that policy.
    #[test]
    fn parse_after_print_is_identity(mut sheet in sheet()) {
        let kind = |at: usize, last: usize| match at == last {
            true => PolicyKind::Resource,
            false => PolicyKind::Identity,
        };
        sheet.resource.get_or_insert_default();
        let lists = sheet.lists();
        let last = lists.len() - 1;
        for (at, list) in lists.into_iter().enumerate() {
            let policy = oracle::policy(kind(at, last), list);
            let again = Policy::parse(kind(at, last), "again", policy.to_json().as_bytes()).unwrap();
            prop_assert_eq!(&policy, &again, "{}", policy.to_json());
        }
    }

    /// T32: no policy, no right; but root's.
    #[test]
    fn t32_no_policy_denies(asked in asked()) {
        let decision = Sheet::default().decide(&asked);
        match asked.principal {
            Principal::Root { .. } => prop_assert_eq!(decision, Decision::Allow(None)),
            _ => prop_assert_eq!(decision, Decision::ImplicitDeny(Missing::Grant)),
        }
    }
}
