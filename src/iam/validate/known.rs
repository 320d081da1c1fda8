//! What the reference knows of actions and keys, asked by name in any case.

use std::sync::LazyLock;

use super::super::key::Key;
use super::super::reference::{Action, GLOBALS, RESOURCES, S3_COMMON, SERVICES, Type};
use super::super::statement::{Rule, Statement};

/// Every action, by its name in lower case.
static ACTIONS: LazyLock<Vec<(String, &'static Action)>> = LazyLock::new(|| {
    let actions = SERVICES.iter().flat_map(|(_, actions, _)| *actions);
    actions
        .map(|action| (action.name.to_ascii_lowercase(), action))
        .collect()
});

/// Global keys that only those actions supply that name them.
const NAMED: [&str; 3] = ["aws:RequestTag/", "aws:ResourceTag/", "aws:TagKeys"];

/// Keys of the caller's session, which come with every request of it.
const OF_SESSIONS: [&str; 3] = ["aws:groups", "jwt:", "ldap:"];

/// The actions of a service; none of one that this gateway does not answer for.
pub(super) fn actions(service: &str) -> Option<&'static [Action]> {
    let known = SERVICES
        .iter()
        .find(|(prefix, ..)| prefix.eq_ignore_ascii_case(service));
    let actions = known.map(|(_, actions, _)| *actions);
    actions.filter(|actions| !actions.is_empty())
}

/// Services of AWS's whose prefix is nearly that of one that is answered here.
const SIMILAR: [&str; 12] = [
    "aps", "dms", "ds", "es", "fms", "rds", "ram", "ses", "sms", "sns", "sqs", "ssm",
];

/// The service that was meant by a prefix that is none: one letter is wrong, missing or too many.
pub(super) fn meant_service(prefix: &str) -> Option<&'static str> {
    let lower = prefix.to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !lower.bytes().all(plain) || actions(&lower).is_some() || SIMILAR.contains(&lower.as_str()) {
        return None;
    }
    let answered = ["iam", "kms", "s3", "s3-object-lambda", "s3express", "sts"];
    answered
        .into_iter()
        .find(|known| strsim::damerau_levenshtein(known, &lower) == 1)
}

/// The actions that a statement takes in.
pub(super) fn taken(statement: &Statement) -> Vec<&'static Action> {
    let named = statement.actions.named();
    let only = matches!(statement.actions, Rule::Only(_));
    taken_by(|name| named.iter().any(|pattern| pattern.matches(name)) == only)
}

/// The actions whose name in lower case passes.
pub(super) fn taken_by(takes: impl Fn(&str) -> bool) -> Vec<&'static Action> {
    let actions = ACTIONS.iter().filter(|(name, _)| takes(name));
    actions.map(|(_, action)| *action).collect()
}

/// The service of an action's name.
pub(super) fn service(action: &str) -> &str {
    action
        .split_once(':')
        .map_or(action, |(service, _)| service)
}

/// Whether a table's name is that of `key`: itself, or its family.
fn names(table: &str, key: &str) -> bool {
    match table.ends_with(['/', ':']) {
        true => {
            let head = key.get(..table.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(table))
        }
        false => table.eq_ignore_ascii_case(key),
    }
}

/// A key's type, and whether its values are what whoever names it wants: of tags and claims.
pub(super) fn type_of(key: &Key) -> Option<(Type, bool)> {
    let services = SERVICES.iter().flat_map(|(.., keys)| *keys).copied();
    let globals = GLOBALS.iter().map(|(name, kind, _)| (*name, *kind));
    let named = services
        .chain(globals)
        .filter(|(name, _)| names(name, key.as_written()));
    let longest = named.max_by_key(|(name, _)| name.len());
    longest.map(|(name, kind)| (kind, name.ends_with(['/', ':'])))
}

/// When requests have a global key.
pub(super) fn when(key: &Key) -> Option<&'static str> {
    let globals = GLOBALS.iter();
    let mut named = globals.filter(|(name, ..)| names(name, key.as_written()));
    named.next().map(|(.., when)| *when)
}

/// Whether requests for one of `actions` can have the key, on AWS.
pub(super) fn is_supplied(key: &Key, actions: &[&'static Action]) -> bool {
    let key = key.as_written();
    let globals = GLOBALS.iter().map(|(name, ..)| *name);
    let everywhere = globals.filter(|name| !NAMED.contains(name));
    let mut everywhere = everywhere.chain(OF_SESSIONS);
    everywhere.any(|name| names(name, key))
        || is_claim(key)
        || actions.iter().any(|action| supplies(action, key))
}

/// Whether an issuer names it, as in `accounts.google.com:sub`.
fn is_claim(key: &str) -> bool {
    let service = service(key);
    service.contains('.') || service.contains('/')
}

fn supplies(action: &Action, key: &str) -> bool {
    let service = service(action.name);
    let resources = RESOURCES.iter().filter(|(prefix, _)| *prefix == service);
    let resources = resources.flat_map(|(_, on)| *on);
    let asked = resources.filter(|(on, _)| action.on.contains(on));
    let common = if service == "s3" { S3_COMMON } else { &[] };
    let mut keys = asked
        .flat_map(|(_, keys)| *keys)
        .chain(action.keys)
        .chain(common);
    keys.any(|name| names(name, key))
}
