//! What cases are held to, so that what they prove is of requests and policies that there can be.
//!
//! Tables are held to what requests here can have, as `explain` is. What `decide` is given may be of any service and say anything
//! by any key: there of the case only what is malformed is refused, and what is no name of S3's or nearly one.

use clap::ValueEnum;

use super::said;
use crate::iam::{
    Key, Name, Policy, Supplied, check_resource, is_account, known_action, mistaken_action,
};
use crate::s3::{BucketName, ObjectKey};

/// What an action that there is not is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum UnknownActions {
    Refuse,
    Warn,
}

/// An account's id.
pub(super) fn account(text: &str) -> Result<String, String> {
    match is_account(text) {
        true => Ok(text.to_owned()),
        false => Err("an account is 12 digits, as in 123456789012".to_owned()),
    }
}

/// A document's actions, as a gateway is held to them.
pub(super) fn document(unknown: UnknownActions, id: &str, policy: &Policy) -> Result<(), String> {
    let told = policy.unknown_actions();
    let told: Vec<_> = told.iter().map(|why| format!("{id}: {why}")).collect();
    match (told.is_empty(), unknown) {
        (true, _) => Ok(()),
        (false, UnknownActions::Refuse) => Err(told.join("; ")),
        (false, UnknownActions::Warn) => {
            for why in told {
                super::super::complain(&format!("warning: {why}"));
            }
            Ok(())
        }
    }
}

/// A case of `decide`.
pub(super) fn case<'k>(
    action: &str,
    target: &str,
    mut keys: impl Iterator<Item = &'k str>,
) -> Result<(), String> {
    if let Some(why) = mistaken_action(action) {
        return Err(format!("action: {why}"));
    }
    is_target(target)?;
    keys.try_for_each(|key| {
        let service = key.split_once(':').map(|(service, _)| service);
        let ours = service.is_none_or(|service| {
            ["aws", "s3"]
                .iter()
                .any(|one| one.eq_ignore_ascii_case(service))
        });
        match Key::parse(key) {
            Err(why) if ours => Err(why),
            _ => Ok(()),
        }
    })
}

/// `*`, or an ARN; its service.
fn is_target(text: &str) -> Result<&str, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, service, _, _, resource]
            if partition.starts_with("aws") && !service.is_empty() && !resource.is_empty() =>
        {
            Ok(service)
        }
        _ if text == "*" => Ok("*"),
        _ => Err(format!(
            "target: `{text}` is not an ARN, as in arn:aws:s3:::bucket/key"
        )),
    }
}

/// A row of a table. An action may be asked on what it is never asked on, to see that nothing allows it.
pub(super) fn row(action: &str, target: &str) -> Result<(), String> {
    let action = known_action(action)?;
    let service = is_target(target)?;
    if !["*", "s3", "iam", "kms", "sts"].contains(&service) {
        return Err(format!(
            "target: `{target}` is nothing here: no resource of `{service}` is asked about"
        ));
    }
    if matches!(target, "*" | "arn:aws:s3:::*") {
        return check_resource(action, "*");
    }
    let Some(place) = target.split(':').nth(5).filter(|_| service == "s3") else {
        return Ok(());
    };
    let (bucket, key) = match place.split_once('/') {
        Some((bucket, key)) => (bucket, Some(key)),
        None => (place, None),
    };
    if BucketName::parse(bucket).is_err() {
        return Err(format!(
            "target: `{target}` names no bucket that there can be"
        ));
    }
    match key.map(ObjectKey::parse) {
        Some(Err(_)) => {
            Err("target: its key is longer than 1,024 bytes, or no key at all".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether requests for the action have the key, as far as it is one of those that requests here have.
pub(super) fn has(action: &str, key: &Key) -> bool {
    let of_s3 = key.as_written().to_ascii_lowercase().starts_with("s3:");
    let known = known_action(action).unwrap_or_default();
    !of_s3 || key.name() == Name::Other || Supplied::by(known).has(key.name())
}

/// Values that a key of a request can have, in the form in which requests have them.
pub(super) fn values(key: &Key, values: &[String]) -> Result<Vec<String>, String> {
    let several = values.len() > 1 && !said::may_be_several(key.name());
    match several {
        true => Err(format!("`{}` has one value in a request", key.as_written())),
        false => {
            // What else it may be is the parser's to say, where there is a request to parse.
            let count =
                |value: &String| key.name() != Name::MaxKeys || value.parse::<u32>().is_ok();
            if let Some(value) = values.iter().find(|value| !count(value)) {
                let key = key.as_written();
                return Err(format!("`{key}`: `{value}` is not a number"));
            }
            // Versions that are refused before any policy is asked: a table shows that it would refuse them too.
            let old =
                |value: &str| key.name() == Name::TlsVersion && matches!(value, "1.0" | "1.1");
            let said = values.iter().map(|value| match old(value) {
                true => Ok(vec![value.clone()]),
                false => said::value(key, value),
            });
            Ok(said.collect::<Result<Vec<_>, _>>()?.concat())
        }
    }
}

/// What is wrong with a case or a table that is no such JSON, in the words of who writes it.
pub(super) fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (what, place) = match text.rsplit_once(" at line ") {
        Some((what, place)) => (
            what,
            format!(" (line {})", place.replace(" column", ", column")),
        ),
        None => (text.as_str(), String::new()),
    };
    let plain = |kind: &str| match kind {
        kind if kind.contains("sequence") => "a list".to_owned(),
        kind if kind.contains("struct") || kind.contains("map") => "an object".to_owned(),
        kind if kind.contains("unit") || kind.contains("null") => "`null`".to_owned(),
        kind if kind.contains("by condition key") => "an object".to_owned(),
        kind => kind
            .replace("borrowed string", "text")
            .replace("string", "text"),
    };
    let what = match what.split_once(' ') {
        Some(("missing", name)) => format!("{} is missing", name.trim_start_matches("field ")),
        Some(("duplicate", name)) => {
            format!("{} is there twice", name.trim_start_matches("field "))
        }
        Some(("unknown", rest)) => {
            let rest = rest
                .trim_start_matches("field ")
                .trim_start_matches("variant ");
            let (name, known) = rest.split_once(", expected ").unwrap_or((rest, ""));
            format!(
                "{name} is not known; there is {}",
                known.trim_start_matches("one of ")
            )
        }
        Some(("invalid", rest)) if rest.starts_with("type: ") => {
            let rest = rest.trim_start_matches("type: ");
            let (found, needed) = rest.split_once(", expected ").unwrap_or((rest, ""));
            format!("{} is needed, and {} is there", plain(needed), plain(found))
        }
        Some(("data", _)) => {
            "a document, the name of a file beside the table, or a list of them is needed"
                .to_owned()
        }
        Some(("EOF", _)) => "it ends too early".to_owned(),
        _ => what.to_owned(),
    };
    format!("{what}{place}")
}
