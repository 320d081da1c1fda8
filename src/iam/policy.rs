//! A policy document: the strict parser, and what it compiles to.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use std::sync::Arc;

use super::condition::Condition;
use super::json::Json;
use super::pattern::Pattern;
use super::principal::{Named, Principals};
use super::statement::{Effect, Rule, Statement};

/// What a policy is attached to, which decides its grammar and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// A user's, a group's, a boundary: no principal, 6,144 characters without white space.
    Identity,
    /// A bucket's: with a principal, 20 KiB.
    Resource,
    /// A session's: no principal, 2,048 characters.
    Session,
}

/// Why a document is not a policy that can be enforced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document.
    #[error("{0}")]
    Document(String),
    /// A statement.
    #[error("statement {statement}, {field}: {reason}")]
    Statement {
        /// Its number from 1, with its Sid where it has one.
        statement: String,
        /// Which element.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// A compiled policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    id: Arc<str>,
    statements: Vec<Statement>,
}

const IDENTITY_LIMIT: usize = 6144;
const RESOURCE_LIMIT: usize = 20 * 1024;
const SESSION_LIMIT: usize = 2048;

impl Policy {
    /// Parses and compiles a document. `id` is how decisions name it.
    ///
    /// # Errors
    /// [`Error`] names the statement, the element and the reason.
    pub fn parse(kind: PolicyKind, id: impl Into<Arc<str>>, json: &[u8]) -> Result<Self, Error> {
        let document = |what: &str| Error::Document(what.to_owned());
        let text =
            std::str::from_utf8(json).map_err(|_| document("the policy is not UTF-8 text"))?;
        let too_long = match kind {
            PolicyKind::Identity => {
                text.chars().filter(|c| !c.is_whitespace()).count() > IDENTITY_LIMIT
            }
            PolicyKind::Resource => text.len() > RESOURCE_LIMIT,
            PolicyKind::Session => text.chars().count() > SESSION_LIMIT,
        };
        if too_long {
            return Err(document("the policy is longer than its kind may be"));
        }
        let json: Json = serde_json::from_str(text)
            .map_err(|why| Error::Document(format!("the policy is not valid JSON: {why}")))?;
        let Json::Object(elements) = &json else {
            return Err(document("a policy is a JSON object"));
        };
        let mut version = None;
        let mut statements = None;
        for (name, value) in elements {
            match (name.as_str(), value) {
                ("Version", Json::String(text)) if text == "2012-10-17" || text == "2008-10-17" => {
                    version = Some(text)
                }
                ("Version", _) => {
                    return Err(document("`Version` is `2012-10-17` or `2008-10-17`"));
                }
                ("Id", Json::String(_)) => {}
                ("Id", _) => return Err(document("`Id` is a text")),
                ("Statement", Json::Array(list)) => {
                    statements = Some(list.iter().collect::<Vec<_>>())
                }
                ("Statement", one @ Json::Object(_)) => statements = Some(vec![one]),
                ("Statement", _) => {
                    return Err(document("`Statement` is an object or a list of them"));
                }
                (other, _) => {
                    return Err(Error::Document(format!(
                        "the element `{other}` is not known"
                    )));
                }
            }
        }
        let statements = statements
            .filter(|list| !list.is_empty())
            .ok_or_else(|| document("there is no `Statement`"))?;
        let variables = version.is_some_and(|version| version == "2012-10-17");
        let mut compiled: Vec<Statement> = Vec::with_capacity(statements.len());
        for (at, json) in statements.into_iter().enumerate() {
            let statement = parse_statement(kind, json, at.saturating_add(1), variables)?;
            let sid = statement.sid.as_ref();
            if sid.is_some() && compiled.iter().any(|known| known.sid.as_ref() == sid) {
                return Err(document("two statements have the same `Sid`"));
            }
            compiled.push(statement);
        }
        Ok(Self {
            id: id.into(),
            statements: compiled,
        })
    }

    /// How decisions name it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Checks that every resource of a bucket's policy is that bucket or in it.
    ///
    /// # Errors
    /// [`Error`] names the statement.
    pub fn check_bucket(&self, bucket_arn: &str) -> Result<(), Error> {
        for (at, statement) in self.statements.iter().enumerate() {
            let inside = |pattern: &Pattern| {
                let whole = pattern.exact() == Some(bucket_arn);
                let behind = pattern.prefix().strip_prefix(bucket_arn);
                whole
                    || behind.is_some_and(|rest| {
                        rest.starts_with('/') || (rest.is_empty() && pattern.exact().is_none())
                    })
            };
            if !statement.resources.patterns().iter().all(inside) {
                return Err(Error::Statement {
                    statement: number(at.saturating_add(1), statement.sid.as_deref()),
                    field: "Resource",
                    reason: "Policy has invalid resource".to_owned(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(super) fn shared_id(&self) -> Arc<str> {
        self.id.clone()
    }
}

fn number(at: usize, sid: Option<&str>) -> String {
    match sid {
        Some(sid) => format!("{at} (`{sid}`)"),
        None => at.to_string(),
    }
}

/// A text, or a list of texts that is not empty.
pub(super) fn strings(json: &Json) -> Result<Vec<String>, String> {
    let not = || "a text or a list of texts is needed".to_owned();
    match json {
        Json::String(text) => Ok(vec![text.clone()]),
        Json::Array(items) if !items.is_empty() => {
            let text = |item: &Json| match item {
                Json::String(text) => Ok(text.clone()),
                _ => Err(not()),
            };
            items.iter().map(text).collect()
        }
        _ => Err(not()),
    }
}

fn parse_statement(
    kind: PolicyKind,
    json: &Json,
    at: usize,
    variables: bool,
) -> Result<Statement, Error> {
    let Json::Object(elements) = json else {
        return Err(Error::Document(format!("statement {at} is not an object")));
    };
    let find = |name: &str| {
        elements
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    let sid: Option<Arc<str>> = match find("Sid") {
        Some(Json::String(text)) => Some(text.as_str().into()),
        _ => None,
    };
    let wrong = |field: &'static str, reason: String| Error::Statement {
        statement: number(at, sid.as_deref()),
        field,
        reason,
    };
    const KNOWN: [&str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    if let Some((other, _)) = elements
        .iter()
        .find(|(name, _)| !KNOWN.contains(&name.as_str()))
    {
        return Err(wrong("element", format!("`{other}` is not known")));
    }
    if find("Sid").is_some() && sid.is_none() {
        return Err(wrong("Sid", "it is not a text".to_owned()));
    }
    let effect = match find("Effect") {
        Some(Json::String(text)) if text == "Allow" => Effect::Allow,
        Some(Json::String(text)) if text == "Deny" => Effect::Deny,
        _ => return Err(wrong("Effect", "it is `Allow` or `Deny`".to_owned())),
    };
    let principals = match (kind, find("Principal"), find("NotPrincipal")) {
        (PolicyKind::Resource, Some(json), None) => Some(Principals::Only(
            Named::parse(json).map_err(|why| wrong("Principal", why))?,
        )),
        (PolicyKind::Resource, None, Some(json)) => Some(Principals::Except(
            Named::parse(json).map_err(|why| wrong("NotPrincipal", why))?,
        )),
        (PolicyKind::Resource, _, _) => {
            return Err(wrong(
                "Principal",
                "give either `Principal` or `NotPrincipal`".to_owned(),
            ));
        }
        (_, None, None) => None,
        (_, _, _) => {
            return Err(wrong(
                "Principal",
                "this kind of policy has no principal".to_owned(),
            ));
        }
    };
    let actions =
        rule(find("Action"), find("NotAction"), action).map_err(|why| wrong("Action", why))?;
    let resources = rule(find("Resource"), find("NotResource"), |text| {
        resource(text, variables)
    })
    .map_err(|why| wrong("Resource", why))?;
    let conditions = match find("Condition") {
        None => Vec::new(),
        Some(json) => conditions(json, variables).map_err(|why| wrong("Condition", why))?,
    };
    Ok(Statement {
        sid: sid.clone(),
        effect,
        principals,
        actions,
        resources,
        conditions,
    })
}

fn rule(
    only: Option<&Json>,
    except: Option<&Json>,
    parse: impl Fn(&str) -> Result<Pattern, String>,
) -> Result<Rule, String> {
    let all = |json: &Json| {
        strings(json)?
            .iter()
            .map(|text| parse(text))
            .collect::<Result<Vec<_>, _>>()
    };
    match (only, except) {
        (Some(json), None) => all(json).map(Rule::Only),
        (None, Some(json)) => all(json).map(Rule::Except),
        _ => Err("give either it or its `Not` form".to_owned()),
    }
}

/// `service:name` with wildcards, or `*`.
fn action(text: &str) -> Result<Pattern, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?' | b'-');
    let well_formed = match text.split_once(':') {
        Some((service, name)) => {
            let service_plain = service
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
            !service.is_empty() && service_plain && !name.is_empty() && name.bytes().all(plain)
        }
        None => text == "*",
    };
    match well_formed {
        true => Pattern::parse(&text.to_ascii_lowercase(), false),
        false => Err(format!("`{text}` is not an action")),
    }
}

/// An ARN with wildcards, or `*`.
fn resource(text: &str, variables: bool) -> Result<Pattern, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let well_formed = match parts.as_slice() {
        ["*"] => true,
        ["arn", partition, service, _, _, resource] => {
            matches!(*partition, "aws" | "*") && !service.is_empty() && !resource.is_empty()
        }
        _ => false,
    };
    match well_formed {
        true => Pattern::parse(text, variables),
        false => Err(format!("`{text}` is not an ARN")),
    }
}

fn conditions(json: &Json, variables: bool) -> Result<Vec<Condition>, String> {
    let Json::Object(operators) = json else {
        return Err("it is not an object".to_owned());
    };
    let mut compiled = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else {
            return Err(format!("`{operator}` is not an object"));
        };
        if keys.is_empty() {
            return Err(format!("`{operator}` names no key"));
        }
        for (key, values) in keys {
            let values = match values {
                Json::Array(items) => items.iter().map(Json::scalar).collect::<Option<Vec<_>>>(),
                one => one.scalar().map(|text| vec![text]),
            };
            let values = values.ok_or_else(|| format!("the values of `{key}` are not texts"))?;
            compiled.push(Condition::parse(operator, key, &values, variables)?);
        }
    }
    Ok(compiled)
}

#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;
