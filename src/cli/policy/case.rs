//! One question to the policy engine, as a JSON object: who asks what, what the request says, and every
//! policy in play.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::held::{self, UnknownActions};
use crate::config::PolicyRules;
use crate::iam::{
    Context, Decision, Key, Policies, Policy, PolicyKind, PolicyLimits, Principal, Request, Values,
    evaluate,
};
use crate::s3::PublicAccessBlock;

/// A case as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written<'a> {
    #[serde(borrow)]
    principal: Cow<'a, str>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    identity: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    groups: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    boundary: Option<&'a RawValue>,
    #[serde(borrow, default)]
    session: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    service_account: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(default)]
    context: Option<Facts>,
    /// What whoever wrote it calls it, and expects of it: theirs alone.
    #[serde(default, rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(default, rename = "name")]
    _name: Option<IgnoredAny>,
    #[serde(default, rename = "expect")]
    _expect: Option<IgnoredAny>,
}

/// What the request says, by condition key.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(Vec<(String, Vec<String>)>);

impl Facts {
    /// The keys that it has.
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Sets a key's values, over those that it has.
    pub(super) fn set(&mut self, key: &str, values: Vec<String>) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(key));
        self.0.push((key.to_owned(), values));
    }
}

impl Context for Facts {
    fn values(&self, key: &Key) -> Values<'_> {
        let found = self.0.iter().find(|(known, _)| key.is(known));
        found.map_or(Values::Absent, |(_, values)| Values::Texts(values))
    }
}

/// A case that is compiled.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) principal: Principal,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) context: Facts,
    pub(super) documents: Documents,
}

/// Every policy in play.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents {
    pub(super) identity: Vec<Arc<Policy>>,
    pub(super) groups: Vec<Arc<Policy>>,
    pub(super) boundary: Option<Arc<Policy>>,
    pub(super) session: Option<Vec<Arc<Policy>>>,
    pub(super) service_account: Option<Arc<Policy>>,
    pub(super) resource: Option<Arc<Policy>>,
}

/// What cases are read under.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Whose `root` is.
    pub(super) account: Arc<str>,
    /// How long documents may be.
    pub(super) limits: PolicyLimits,
    /// What becomes of actions that there are not.
    pub(super) unknown: UnknownActions,
    /// What of public access the server blocks.
    pub(super) block: PublicAccessBlock,
}

impl Rules {
    /// Those of a configuration, unless flags say otherwise.
    pub(super) fn of(
        config: Option<&Path>,
        account: Option<&str>,
        unknown: Option<UnknownActions>,
    ) -> Result<Self, String> {
        let rules = PolicyRules::load(config).map_err(|error| error.to_string())?;
        let of_config = match rules.refuses_unknown_actions {
            true => UnknownActions::Refuse,
            false => UnknownActions::Warn,
        };
        Ok(Self {
            account: account.map_or(rules.account, Into::into),
            limits: rules.limits,
            unknown: unknown.unwrap_or(of_config),
            block: rules.public_access_block,
        })
    }
}

impl Case {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong, naming the document.
    pub(super) fn read(rules: &Rules, line: &[u8]) -> Result<Self, String> {
        if !line.starts_with(b"{") {
            return Err("not a case: a JSON object is needed".to_owned());
        }
        let written: Written<'_> = serde_json::from_slice(line)
            .map_err(|why| format!("not a case: {}", held::told(&why)))?;
        let keys = written.context.iter().flat_map(Facts::keys);
        held::case(&written.action, &written.target, keys)?;
        let principal = rules.principal(&written.principal, written.role.as_deref())?;
        Ok(Self {
            documents: Documents {
                identity: rules.all("identity", written.identity.as_deref())?,
                groups: rules.all("groups", written.groups.as_deref())?,
                boundary: rules.one(PolicyKind::Identity, "boundary", written.boundary)?,
                session: match &written.session {
                    None => None,
                    Some(list) => Some(rules.list(PolicyKind::Session, "session", list)?),
                },
                service_account: rules.one(
                    PolicyKind::Identity,
                    "service_account",
                    written.service_account,
                )?,
                resource: rules.one(PolicyKind::Resource, "resource", written.resource)?,
            },
            principal,
            action: written.action.into_owned(),
            target: written.target.into_owned(),
            context: written.context.unwrap_or_default(),
        })
    }

    /// The policies as the engine takes them.
    pub(super) fn policies(&self) -> Policies<'_> {
        self.documents.policies()
    }

    /// The request as the engine takes it.
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            principal: &self.principal,
            action: &self.action,
            resource: &self.target,
            context: &self.context,
        }
    }

    /// Decides it.
    pub(super) fn decide(&self) -> Decision {
        evaluate(&self.policies(), &self.request())
    }
}

impl Documents {
    /// The policies as the engine takes them.
    pub(super) fn policies(&self) -> Policies<'_> {
        Policies {
            identity: &self.identity,
            groups: &self.groups,
            boundary: self.boundary.as_deref(),
            session: self.session.as_deref(),
            service_account: self.service_account.as_deref(),
            resource: self.resource.as_deref(),
        }
    }
}

impl Rules {
    /// Who asks: an ARN, `anonymous` or `root`.
    pub(super) fn principal(&self, text: &str, role: Option<&str>) -> Result<Principal, String> {
        match text {
            "anonymous" => Ok(Principal::Anonymous),
            "root" => Ok(Principal::Root {
                account: self.account.clone(),
            }),
            arn => Principal::parse(arn, role).map_err(|why| format!("principal: {why}")),
        }
    }

    /// Compiles one document. `id` is how decisions name it.
    pub(super) fn compile(
        &self,
        kind: PolicyKind,
        id: &str,
        json: &str,
    ) -> Result<Arc<Policy>, String> {
        let policy = Policy::parse_within(&self.limits, kind, id, json.as_bytes());
        policy.map(Arc::new).map_err(|why| format!("{id}: {why}"))
    }

    /// Compiles one document, as a gateway takes it.
    pub(super) fn compile_held(
        &self,
        kind: PolicyKind,
        id: &str,
        json: &str,
    ) -> Result<Arc<Policy>, String> {
        let policy = self.compile(kind, id, json)?;
        held::document(self.unknown, id, &policy)?;
        Ok(policy)
    }

    /// Compiles the policy of a bucket as PutBucketPolicy takes it: of the bucket that it names first.
    pub(super) fn compile_bucket(&self, id: &str, json: &str) -> Result<Arc<Policy>, String> {
        let policy = self.compile(PolicyKind::Resource, id, json)?;
        let bucket = policy.first_bucket().unwrap_or("arn:aws:s3:::bucket");
        let policy = Policy::parse_for_bucket(id, bucket, json);
        policy.map(Arc::new).map_err(|why| format!("{id}: {why}"))
    }

    fn one(
        &self,
        kind: PolicyKind,
        id: &str,
        json: Option<&RawValue>,
    ) -> Result<Option<Arc<Policy>>, String> {
        let compile = |json: &RawValue| self.compile_held(kind, id, json.get());
        json.map(compile).transpose()
    }

    fn all(&self, id: &str, list: Option<&[&RawValue]>) -> Result<Vec<Arc<Policy>>, String> {
        self.list(PolicyKind::Identity, id, list.unwrap_or_default())
    }

    fn list(
        &self,
        kind: PolicyKind,
        id: &str,
        list: &[&RawValue],
    ) -> Result<Vec<Arc<Policy>>, String> {
        let compile = |(at, json): (usize, &&RawValue)| {
            let id = format!("{id}[{at}]");
            self.compile_held(kind, &id, json.get())
        };
        list.iter().enumerate().map(compile).collect()
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FactsVisitor;
        impl<'de> Visitor<'de> for FactsVisitor {
            type Value = Facts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of texts by condition key")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Facts, A::Error> {
                let mut facts = Facts::default();
                while let Some((key, Texts(values))) = map.next_entry::<String, Texts>()? {
                    let twice = |(known, _): &&(String, _)| known.eq_ignore_ascii_case(&key);
                    if facts.0.iter().any(|known| twice(&known)) {
                        return Err(A::Error::custom(format!(
                            "context key `{key}` is given twice"
                        )));
                    }
                    facts.0.push((key, values));
                }
                Ok(facts)
            }
        }
        deserializer.deserialize_map(FactsVisitor)
    }
}

/// A list of texts, or one.
#[derive(Debug)]
pub(super) struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}
