//! The strict parser. What it does not know it refuses, naming statement and element, so that nothing
//! in a policy is silently ignored.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::action::ActionPattern;
use super::super::arn;
use super::super::condition::{Condition, Operator};
use super::super::json::Json;
use super::super::pattern::{Pattern, Syntax};
use super::super::principal::{Named, Principals};
use super::super::reference::nearest::nearest;
use super::super::statement::{Effect, Rule, Statement};
use super::{Error, PolicyKind, number};

/// Reads a document: whether its version has variables, and its statements.
pub(super) fn document(kind: PolicyKind, text: &str) -> Result<(bool, Vec<Statement>), Error> {
    let json: Json<'_> = serde_json::from_str(text)
        .map_err(|why| Error::Document(format!("the policy is not valid JSON: {why}")))?;
    let (variables, statements) = elements(&json).map_err(Error::Document)?;
    let mut compiled: Vec<Statement> = Vec::with_capacity(statements.len());
    for (at, json) in statements.iter().enumerate() {
        let statement = Reader::of(kind, json, at, variables)?.statement()?;
        let sid = statement.sid.as_ref();
        if sid.is_some() && compiled.iter().any(|known| known.sid.as_ref() == sid) {
            return Err(Error::Document(format!(
                "two statements have the `Sid` `{}`",
                sid.map_or("", |sid| sid)
            )));
        }
        compiled.push(statement);
    }
    Ok((variables, compiled))
}

fn elements<'j, 'a>(json: &'j Json<'a>) -> Result<(bool, &'j [Json<'a>]), String> {
    let Json::Object(elements) = json else {
        return Err("a policy is a JSON object".to_owned());
    };
    let (mut variables, mut statements) = (false, &[][..]);
    for (name, value) in elements {
        match (&**name, value) {
            ("Version", Json::String(text)) if text == "2012-10-17" => variables = true,
            ("Version", Json::String(text)) if text == "2008-10-17" => {}
            ("Version", _) => {
                return Err("`Version` is `2012-10-17` or `2008-10-17`".to_owned());
            }
            ("Id", Json::String(_)) => {}
            ("Id", _) => return Err("`Id` is a text".to_owned()),
            ("Statement", Json::Array(list)) => statements = list.as_slice(),
            ("Statement", one @ Json::Object(_)) => statements = std::slice::from_ref(one),
            ("Statement", _) => {
                return Err("`Statement` is an object or a list of them".to_owned());
            }
            (other, _) => {
                return Err(format!(
                    "the element `{other}` is not known{}",
                    meant(other, &["Version", "Id", "Statement"])
                ));
            }
        }
    }
    match statements.is_empty() {
        false => Ok((variables, statements)),
        true => Err("there is no `Statement`".to_owned()),
    }
}

/// How MinIO writes `Id`, and what to say of it.
pub(in crate::iam) const OF_MINIO: &str = "ID";
pub(in crate::iam) const OF_MINIO_MEANS: &str =
    "write `Id`: `ID` is MinIO's, and AWS has no such element";

/// What may have been meant by an element that there is not, as the end of a message.
fn meant(name: &str, known: &[&'static str]) -> String {
    if name == OF_MINIO {
        return format!("; {OF_MINIO_MEANS}");
    }
    let meant = nearest(name, known.iter().copied());
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

const ELEMENTS: [&str; 9] = [
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

/// Reads one statement.
struct Reader<'j, 'a> {
    kind: PolicyKind,
    elements: &'j [(Cow<'a, str>, Json<'a>)],
    at: usize,
    sid: Option<&'j str>,
    variables: bool,
}

impl<'j, 'a> Reader<'j, 'a> {
    fn of(kind: PolicyKind, json: &'j Json<'a>, at: usize, variables: bool) -> Result<Self, Error> {
        let Json::Object(elements) = json else {
            return Err(Error::Document(format!(
                "statement {} is not an object",
                number(at, None)
            )));
        };
        let mut reader = Self {
            kind,
            elements,
            at,
            sid: None,
            variables,
        };
        match reader.element("Sid") {
            // The console writes an empty one where there is none.
            Some(Json::String(text)) => {
                let sid = Some(&**text).filter(|sid| !sid.is_empty());
                reader.sid = sid;
            }
            Some(_) => return Err(reader.wrong("Sid", "it is not a text".to_owned())),
            None => {}
        }
        Ok(reader)
    }

    fn element(&self, name: &str) -> Option<&'j Json<'a>> {
        let found = self.elements.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    fn wrong(&self, field: &'static str, reason: String) -> Error {
        Error::Statement {
            statement: number(self.at, self.sid),
            field,
            reason,
        }
    }

    fn statement(&self) -> Result<Statement, Error> {
        let known = |(name, _): &&(Cow<'_, str>, _)| !ELEMENTS.contains(&&**name);
        if let Some((other, _)) = self.elements.iter().find(known) {
            let meant = meant(other, &ELEMENTS);
            return Err(self.wrong("element", format!("`{other}` is not known{meant}")));
        }
        let plain = |sid: &str| sid.bytes().all(|b| b.is_ascii_alphanumeric());
        if self.kind != PolicyKind::Resource && !self.sid.is_none_or(plain) {
            let why = "it has other characters than letters and digits";
            return Err(self.wrong("Sid", why.to_owned()));
        }
        let effect = match self.element("Effect") {
            Some(Json::String(text)) if text == "Allow" => Effect::Allow,
            Some(Json::String(text)) if text == "Deny" => Effect::Deny,
            None => {
                let why = "it is missing, and is `Allow` or `Deny`";
                return Err(self.wrong("Effect", why.to_owned()));
            }
            Some(_) => return Err(self.wrong("Effect", "it is `Allow` or `Deny`".to_owned())),
        };
        Ok(Statement {
            sid: self.sid.map(Arc::from),
            effect,
            principals: self.principals()?,
            actions: self.rule("Action", "NotAction", ActionPattern::parse)?,
            resources: self.rule("Resource", "NotResource", |text| self.resource(text))?,
            conditions: match self.element("Condition") {
                None => Vec::new(),
                Some(json) => {
                    conditions(json, self.variables).map_err(|why| self.wrong("Condition", why))?
                }
            },
        })
    }

    fn principals(&self) -> Result<Option<Principals>, Error> {
        let read = |json, field| Named::parse(json).map_err(|why| self.wrong(field, why));
        match (
            self.kind,
            self.element("Principal"),
            self.element("NotPrincipal"),
        ) {
            (PolicyKind::Resource, Some(json), None) => {
                Ok(Some(Principals::Only(read(json, "Principal")?)))
            }
            (PolicyKind::Resource, None, Some(json)) => {
                Ok(Some(Principals::Except(read(json, "NotPrincipal")?)))
            }
            (PolicyKind::Resource, _, _) => {
                let why = "give either `Principal` or `NotPrincipal`";
                Err(self.wrong("Principal", why.to_owned()))
            }
            (_, None, None) => Ok(None),
            (_, _, _) => {
                let why = "this kind of policy has no principal";
                Err(self.wrong("Principal", why.to_owned()))
            }
        }
    }

    fn rule<T>(
        &self,
        only: &'static str,
        except: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Rule<T>, Error> {
        let all = |json: &Json<'_>, field| {
            let texts = json.strings().map_err(|why| self.wrong(field, why))?;
            let parsed = texts.into_iter().map(&parse).collect::<Result<Vec<_>, _>>();
            parsed.map_err(|why| self.wrong(field, why))
        };
        match (self.element(only), self.element(except)) {
            (Some(json), None) => all(json, only).map(Rule::Only),
            (None, Some(json)) => all(json, except).map(Rule::Except),
            (None, None) => Err(self.wrong(only, format!("give either `{only}` or `{except}`"))),
            (Some(_), Some(_)) => Err(self.wrong(
                only,
                format!("both are there: give either `{only}` or `{except}`"),
            )),
        }
    }

    /// An ARN with wildcards, or `*`. One that is cut off stands for all that begins so, but in a
    /// session's policy and a bucket's.
    fn resource(&self, text: &str) -> Result<Pattern, String> {
        let not = || format!("`{text}` is not an ARN");
        let syntax = Syntax {
            wildcards: true,
            variables: self.variables,
        };
        if text == "*" {
            return Pattern::parse(text, syntax);
        }
        let whole = match arn::pattern_parts(text, self.variables) {
            Some(_) => Cow::Borrowed(text),
            None if self.kind == PolicyKind::Identity && text.split(':').count() >= 3 => {
                let missing = 6_usize.saturating_sub(text.split(':').count());
                Cow::Owned(format!("{text}{}", ":*".repeat(missing)))
            }
            None => return Err(not()),
        };
        match arn::pattern_parts(&whole, self.variables) {
            Some(["arn", partition, service, _, _, resource])
                if !service.is_empty() && !service.contains(['*', '?']) && !resource.is_empty() =>
            {
                match partition {
                    "aws" | "*" => Pattern::parse(&whole, syntax),
                    other => Err(format!(
                        "`{text}` is of the partition `{other}`, and everything here is of `aws`"
                    )),
                }
            }
            _ => Err(not()),
        }
    }
}

pub(in crate::iam) fn conditions(
    json: &Json<'_>,
    variables: bool,
) -> Result<Vec<Condition>, String> {
    let Json::Object(operators) = json else {
        return Err("it is not an object".to_owned());
    };
    let mut compiled = Vec::new();
    for (name, keys) in operators {
        let operator = Operator::parse(name)?;
        let Json::Object(keys) = keys else {
            return Err(format!("`{name}` is not an object"));
        };
        if keys.is_empty() {
            return Err(format!("`{name}` names no key"));
        }
        for (key, values) in keys {
            let texts = match values {
                Json::Array(items) => items.iter().map(Json::scalar).collect::<Option<Vec<_>>>(),
                one => one.scalar().map(|text| vec![text]),
            };
            let texts = texts.ok_or_else(|| format!("the values of `{key}` are not texts"))?;
            compiled.push(Condition::parse(operator, key, &texts, variables)?);
        }
    }
    Ok(compiled)
}
