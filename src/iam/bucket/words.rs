//! S3's words for what makes a document no policy. Clients and their users look for them; what exactly
//! is wrong, and where, stands behind them.

use super::super::condition::Operator;
use super::super::json::Json;
use super::super::key::Key;
use super::super::policy::{Error, number};

const NOT_JSON: &str = "Policies must be valid JSON and the first byte must be '{'";

/// Elements of which every statement has one.
const REQUIRED: [[&str; 2]; 4] = [
    ["Effect", "Effect"],
    ["Principal", "NotPrincipal"],
    ["Action", "NotAction"],
    ["Resource", "NotResource"],
];

/// Looks for what S3 has words for and the parser only its own.
pub(super) fn check(text: &str) -> Result<(), Error> {
    if !text.starts_with('{') {
        return Err(Error::Document(NOT_JSON.to_owned()));
    }
    let json = serde_json::from_str::<Json<'_>>(text);
    let json = json.map_err(|why| Error::Document(format!("{NOT_JSON}: {why}")))?;
    document(&json).map_err(Error::Document)
}

/// The same error, behind S3's words for it.
pub(super) fn of(error: &Error) -> Error {
    let words = match error {
        Error::Document(_) => "Invalid policy syntax",
        Error::Statement { field, .. } => match *field {
            "Principal" | "NotPrincipal" => "Invalid principal in policy",
            "Action" | "NotAction" => "Policy has invalid action",
            "Resource" | "NotResource" => "Policy has invalid resource",
            _ => "Invalid policy syntax",
        },
    };
    Error::Document(format!("{words}: {error}"))
}

fn document(json: &Json<'_>) -> Result<(), String> {
    match element(json, "Version") {
        None => {}
        Some(Json::String(text)) if matches!(&**text, "2012-10-17" | "2008-10-17") => {}
        Some(_) => return Err("The policy must contain a valid version string".to_owned()),
    }
    let statements = match element(json, "Statement") {
        None => return Err("Missing required field Statement".to_owned()),
        Some(Json::Array(list)) if list.is_empty() => {
            return Err("Could not parse the policy: Statement is empty!".to_owned());
        }
        Some(Json::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    for (at, one) in statements.iter().enumerate() {
        let sid = element(one, "Sid").and_then(Json::scalar);
        statement(one)
            .map_err(|words| format!("{words}: statement {}", number(at, sid.as_deref())))?;
    }
    Ok(())
}

fn statement(json: &Json<'_>) -> Result<(), String> {
    let Json::Object(_) = json else {
        return Err("Invalid policy syntax".to_owned());
    };
    for [only, except] in REQUIRED {
        if element(json, only).is_none() && element(json, except).is_none() {
            return Err(format!("Missing required field {only}"));
        }
    }
    match element(json, "Effect").and_then(Json::scalar) {
        Some(text) if matches!(&*text, "Allow" | "Deny") => {}
        other => return Err(format!("Invalid effect: {}", other.unwrap_or_default())),
    }
    // What is no object the parser refuses.
    let Some(Json::Object(operators)) = element(json, "Condition") else {
        return Ok(());
    };
    for (name, keys) in operators {
        if Operator::parse(name).is_err() {
            return Err(format!("Invalid Condition type : {name}"));
        }
        let Json::Object(keys) = keys else {
            continue;
        };
        if let Some(why) = keys.iter().find_map(|(key, _)| Key::parse(key).err()) {
            return Err(format!("Policy has an invalid condition key: {why}"));
        }
    }
    Ok(())
}

fn element<'j, 'a>(json: &'j Json<'a>, name: &str) -> Option<&'j Json<'a>> {
    let Json::Object(elements) = json else {
        return None;
    };
    let found = elements.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}
