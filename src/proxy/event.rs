//! What is told of a request that has been answered.

use std::borrow::Cow;

use super::claimed::access_key_id;
use super::respond::Sent;
use super::seen::Seen;
use super::signature;
use super::state::State;
use pingora_http::RequestHeader;

use crate::audit::{Event, Key, Statement, bounded};
use crate::authn::{Caller, Identity, Mechanism, Version};
use crate::handler::DecidedKey;
use crate::iam::By;
use crate::metrics::Observation;
use crate::s3::{BucketName, Call, Query, time::iso8601};

/// What is counted.
pub(super) fn observation(seen: &Seen, sent: Sent) -> Observation {
    let total = seen.started.elapsed();
    Observation {
        operation: seen.operation,
        status: seen.status,
        admit: seen
            .admitted
            .map_or(total, |at| at.duration_since(seen.started)),
        total,
        bytes_in: seen.received,
        bytes_out: seen.sent,
        cut: sent == Sent::Cut,
    }
}

/// The audit event.
pub(super) fn of<'a>(
    state: &'a State,
    head: Option<&'a RequestHeader>,
    seen: &'a Seen,
    counted: &Observation,
) -> Event<'a> {
    let (request, by) = match (&seen.permit, &seen.denied) {
        (Some(permit), _) => (Some(permit.request()), permit.by()),
        (None, Some(denied)) => (Some(&denied.request), denied.by.as_ref()),
        (None, None) => (None, None),
    };
    let caller = seen.caller();
    let decision = match (&seen.permit, &seen.denied) {
        (Some(_), _) => "allow",
        (None, Some(denied)) if denied.by.is_some() => "explicit_deny",
        (None, Some(_)) => "implicit_deny",
        (None, None) if seen.unauthenticated.is_some() => "unauthenticated",
        (None, None) if seen.limit().is_some() => "limited",
        (None, None) => "invalid",
    };
    let bucket = seen.bucket();
    Event {
        time: iso8601(seen.now.to_offset(time::UtcOffset::UTC)),
        request_id: &seen.request_id,
        caller: caller.map(|caller| arn(state, caller)),
        authenticated_by: caller.map(mechanism),
        access_key_id: caller
            .and_then(Caller::proof)
            .map(|proof| &*proof.access_key_id),
        claimed_access_key_id: match caller {
            Some(_) => None,
            None => head.and_then(claimed),
        },
        source: seen.peer.as_ref().map(|peer| peer.address.to_string()),
        secure: seen.peer.as_ref().is_some_and(|peer| peer.secure),
        user_agent: head.and_then(agent),
        operation: seen.operation.map(crate::s3::Operation::name),
        bucket: bucket.map(BucketName::as_str),
        key: seen.key().map(signature::told),
        version_id: seen.version_id.as_deref(),
        path: match (&seen.target, head) {
            (None, Some(head)) => Some(signature::told(head.uri.path())),
            _ => None,
        },
        parameters: &seen.parameters,
        resources: request
            .map(|request| further(&request.call))
            .unwrap_or_default(),
        decision,
        policy: by.map(|by| &*by.policy),
        statement: by.map(|by| by.statement),
        sid: by.and_then(|by| by.sid.as_deref()),
        closest: seen.denied.as_ref().map_or_else(Vec::new, |denied| {
            denied.closest.iter().map(statement).collect()
        }),
        keys: seen.keys.iter().map(key).collect(),
        status: seen.status,
        code: match seen.status {
            0 => None,
            _ => seen.error.as_ref().map(|error| error.code().as_str()),
        },
        reason: seen
            .error
            .as_ref()
            .and_then(crate::s3::Error::reason)
            .map(signature::told),
        cut: counted.cut,
        bytes_in: seen.received,
        bytes_out: seen.sent,
        admit_us: u64::try_from(counted.admit.as_micros()).unwrap_or(u64::MAX),
        total_us: u64::try_from(counted.total.as_micros()).unwrap_or(u64::MAX),
        backend: bucket.and_then(|bucket| state.backends.name_of(bucket)),
    }
}

fn key(decided: &DecidedKey) -> Key<'_> {
    let error = match &decided.outcome {
        Some(Err(error)) => Some(error),
        _ => None,
    };
    Key {
        key: signature::told(decided.key.key.as_str()),
        version_id: decided.key.version_id.as_deref().map(signature::told),
        decision: match (decided.allowed, &decided.by) {
            (true, _) => "allow",
            (false, Some(_)) => "explicit_deny",
            (false, None) => "implicit_deny",
        },
        by: decided.by.as_ref().map(statement),
        done: matches!(decided.outcome, Some(Ok(()))),
        code: error.map(|error| error.code().as_str()),
        reason: error
            .and_then(crate::s3::Error::reason)
            .map(signature::told),
    }
}

fn statement(by: &By) -> Statement<'_> {
    Statement {
        policy: &by.policy,
        statement: by.statement,
        sid: by.sid.as_deref(),
    }
}

/// The access key that a head names, whatever else is wrong with it.
pub(super) fn claimed(head: &RequestHeader) -> Option<String> {
    let query = Query::parse(head.uri.query().unwrap_or_default()).unwrap_or_default();
    access_key_id(&head.headers, &query)
}

/// The client's name for itself, bounded.
fn agent(head: &RequestHeader) -> Option<Cow<'_, str>> {
    let value = head.headers.get(http::header::USER_AGENT)?;
    Some(match String::from_utf8_lossy(value.as_bytes()) {
        Cow::Borrowed(text) => signature::told(text),
        Cow::Owned(text) => Cow::Owned(signature::told(&text).into_owned()),
    })
}

fn arn(state: &State, caller: &Caller) -> String {
    match caller.identity() {
        Identity::Anonymous => "anonymous".to_owned(),
        Identity::Root => format!("arn:aws:iam::{}:root", state.account),
        Identity::User(user) => user.arn.to_string(),
    }
}

fn mechanism(caller: &Caller) -> &'static str {
    let proof = caller.proof();
    match proof.map(|proof| (proof.version, proof.mechanism)) {
        Some((Version::Four, Mechanism::Header)) => "header",
        Some((Version::Four, Mechanism::Presigned)) => "presigned",
        Some((Version::Two, Mechanism::Header)) => "header_v2",
        Some((Version::Two, Mechanism::Presigned)) => "presigned_v2",
        None => "none",
    }
}

/// Resources beside the address: a copy's source.
fn further(call: &Call) -> Vec<String> {
    let Some(source) = call.source() else {
        return Vec::new();
    };
    let version = source.version_id.as_deref();
    let version = version.map(|version| format!("?versionId={}", bounded(version)));
    let source = format!(
        "arn:aws:s3:::{}/{}{}",
        source.bucket,
        source.key,
        version.unwrap_or_default()
    );
    vec![signature::told(&source).into_owned()]
}
