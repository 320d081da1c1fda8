//! Policies before they are written, and what is decided of them by definition: AWS's evaluation logic
//! as its documentation tells it, slowly, and with nothing shared with the one that is tested.

use super::super::super::context::{Context, Value, Values};
use super::super::super::evaluate::{Decision, Policies, Request, evaluate};
use super::super::super::key::Key;
use super::super::super::principal::Principal;
use super::super::*;
use super::BOB;

/// A statement before it is written.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) allow: bool,
    /// `NotPrincipal`, and whom; of bucket policies only.
    pub(super) principal: (bool, &'static str),
    /// `NotAction`, and which.
    pub(super) action: (bool, Vec<&'static str>),
    /// `NotResource`, and which.
    pub(super) resource: (bool, Vec<&'static str>),
    /// An operator on `aws:username`, and its values.
    pub(super) condition: Option<(&'static str, Vec<&'static str>)>,
}

impl Draft {
    fn json(&self, kind: PolicyKind) -> String {
        let not = |not: bool, name: &str| format!("{}{name}", if not { "Not" } else { "" });
        let effect = if self.allow { "Allow" } else { "Deny" };
        let principal = match kind {
            PolicyKind::Resource => format!(
                r#""{}":{{"AWS":"{}"}},"#,
                not(self.principal.0, "Principal"),
                self.principal.1
            ),
            PolicyKind::Identity | PolicyKind::Session => String::new(),
        };
        let condition = self.condition.as_ref().map(|(operator, values)| {
            format!(r#","Condition":{{"{operator}":{{"aws:username":{values:?}}}}}"#)
        });
        format!(
            r#"{{"Effect":"{effect}",{principal}"{}":{:?},"{}":{:?}{}}}"#,
            not(self.action.0, "Action"),
            self.action.1,
            not(self.resource.0, "Resource"),
            self.resource.1,
            condition.unwrap_or_default()
        )
    }
}

/// A policy of what is drafted; of a statement that takes in nothing where nothing is.
pub(super) fn policy(kind: PolicyKind, drafts: &[Draft]) -> Policy {
    let nothing = Draft {
        allow: true,
        principal: (false, BOB),
        action: (false, vec!["none:Nothing"]),
        resource: (false, vec!["arn:aws:none:::nothing"]),
        condition: None,
    };
    let drafts = match drafts {
        [] => std::slice::from_ref(&nothing),
        drafts => drafts,
    };
    let statements: Vec<_> = drafts.iter().map(|draft| draft.json(kind)).collect();
    let json = format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    );
    Policy::parse(kind, "p", json.as_bytes()).unwrap_or_else(|why| panic!("{json}: {why}"))
}

/// Everything that may be in play, in drafts.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet {
    pub(super) identity: Vec<Vec<Draft>>,
    pub(super) groups: Vec<Vec<Draft>>,
    pub(super) boundary: Option<Vec<Draft>>,
    pub(super) session: Option<Vec<Vec<Draft>>>,
    pub(super) service_account: Option<Vec<Draft>>,
    pub(super) resource: Option<Vec<Draft>>,
}

impl Sheet {
    pub(super) fn decide(&self, asked: &Asked) -> Decision {
        let all = |kind, lists: &[Vec<Draft>]| -> Vec<_> {
            lists.iter().map(|l| Arc::new(policy(kind, l))).collect()
        };
        let one = |kind, list: &Option<Vec<Draft>>| list.as_ref().map(|l| policy(kind, l));
        let identity = all(PolicyKind::Identity, &self.identity);
        let groups = all(PolicyKind::Identity, &self.groups);
        let session = (self.session.as_ref()).map(|lists| all(PolicyKind::Session, lists));
        let boundary = one(PolicyKind::Identity, &self.boundary);
        let service_account = one(PolicyKind::Identity, &self.service_account);
        let resource = one(PolicyKind::Resource, &self.resource);
        let policies = Policies {
            identity: &identity,
            groups: &groups,
            boundary: boundary.as_ref(),
            session: session.as_deref(),
            service_account: service_account.as_ref(),
            resource: resource.as_ref(),
        };
        evaluate(&policies, &asked.request())
    }

    /// Every list of statements there is.
    pub(super) fn lists(&mut self) -> Vec<&mut Vec<Draft>> {
        let many = self.identity.iter_mut().chain(&mut self.groups);
        let many = many.chain(self.session.iter_mut().flatten());
        let limits = self.boundary.iter_mut().chain(&mut self.service_account);
        many.chain(limits).chain(&mut self.resource).collect()
    }
}

/// Who asks what, and what is known of them.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) principal: Principal,
    pub(super) action: &'static str,
    pub(super) resource: &'static str,
    pub(super) username: Option<Vec<&'static str>>,
}

impl Asked {
    fn request(&self) -> Request<'_> {
        Request {
            principal: &self.principal,
            action: self.action,
            resource: self.resource,
            context: self,
        }
    }
}

impl Context for Asked {
    fn values(&self, key: &Key) -> Values<'_> {
        let names = self.username.as_ref().filter(|_| key.is("aws:username"));
        names.map_or(Values::Absent, |names| {
            Values::Many(names.iter().map(|n| Value::Text((*n).into())).collect())
        })
    }
}

/// What `*` and `?` mean, by definition.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        (['*', rest @ ..], text) => {
            naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(pattern, t))
        }
        (['?', rest @ ..], [_, text @ ..]) => naive(rest, text),
        ([c, rest @ ..], [d, text @ ..]) => c == d && naive(rest, text),
        (_, []) => false,
    }
}

pub(super) fn naively(pattern: &str, text: &str) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    naive(&chars(pattern), &chars(text))
}

/// Whether the draft takes the request in, its principal aside.
fn takes(draft: &Draft, asked: &Asked) -> bool {
    let action = asked.action.to_lowercase();
    let (not, actions) = &draft.action;
    let named = actions.iter().any(|a| naively(&a.to_lowercase(), &action));
    named != *not && takes_resource(draft, asked) && meets(draft, asked)
}

fn takes_resource(draft: &Draft, asked: &Asked) -> bool {
    let name = match asked.username.as_deref() {
        Some([one]) => Some(*one),
        _ => None,
    };
    let (not, resources) = &draft.resource;
    let mut named = false;
    for resource in resources {
        match (resource.split_once("${aws:username}"), name) {
            (None, _) => named |= naively(resource, asked.resource),
            // A variable without a value is like nothing: it neither names nor excepts.
            (Some(_), None) => {}
            (Some((before, after)), Some(name)) => {
                let rest = asked.resource.strip_prefix(before);
                let rest = rest.and_then(|rest| rest.strip_prefix(name));
                named |= rest.is_some_and(|rest| naively(after, rest));
            }
        }
    }
    named != *not
}

fn meets(draft: &Draft, asked: &Asked) -> bool {
    let Some((operator, values)) = &draft.condition else {
        return true;
    };
    let found = asked.username.as_deref();
    let any = found.is_some_and(|found| found.iter().any(|f| values.contains(f)));
    match *operator {
        "StringEquals" | "ForAnyValue:StringEquals" => any,
        "StringEqualsIfExists" => found.is_none() || any,
        "StringNotEquals" | "StringNotEqualsIfExists" => !any,
        "ForAllValues:StringEquals" => {
            found.is_none_or(|found| found.iter().all(|f| values.contains(f)))
        }
        "ForAnyValue:StringNotEquals" => {
            found.is_some_and(|found| found.iter().any(|f| !values.contains(f)))
        }
        other => panic!("{other}"),
    }
}

/// Whether a bucket policy's draft is of who asks: by name, or through the account.
fn is_of(draft: &Draft, asked: &Asked) -> (bool, bool) {
    let (arn, account) = match &asked.principal {
        Principal::Anonymous => ("", ""),
        Principal::Root { account } => ("", &**account),
        Principal::User { account, arn } | Principal::Session { account, arn, .. } => {
            (&**arn, &**account)
        }
    };
    let (not, named) = draft.principal;
    let root = matches!(asked.principal, Principal::Root { .. });
    let through = named == account;
    let direct = named == "*" || named == arn || (through && root);
    if not {
        (!direct, false)
    } else {
        (direct, through)
    }
}

/// Whether the request is allowed.
pub(super) fn allows(sheet: &Sheet, asked: &Asked) -> bool {
    let all = |lists: &[Vec<Draft>]| lists.concat();
    let user = matches!(asked.principal, Principal::User { .. });
    let root = matches!(asked.principal, Principal::Root { .. });
    let identity = [all(&sheet.identity), all(&sheet.groups)].concat();
    let resource = sheet.resource.clone().unwrap_or_default();
    let session = sheet.session.as_deref().map(all);
    let limits = [session, sheet.service_account.clone()];

    let hit = |drafts: &[Draft], allow: bool| {
        let of = |draft: &&Draft| draft.allow == allow && takes(draft, asked);
        drafts.iter().any(|draft| of(&draft))
    };
    let resource_hit = |allow: bool, account_too: bool| {
        let of = |draft: &&Draft| draft.allow == allow && takes(draft, asked);
        (resource.iter().filter(of)).any(|draft| {
            let (direct, through) = is_of(draft, asked);
            // All but some are denied, and whoever has a boundary whether they are of these or not.
            let bounded = draft.principal.0 && !allow && user && sheet.boundary.is_some();
            direct || bounded || (account_too && through)
        })
    };
    let boundary = sheet.boundary.as_deref().filter(|_| user);
    let anonymous = matches!(asked.principal, Principal::Anonymous);
    let denied = resource_hit(false, true)
        || (user && hit(&identity, false))
        || boundary.is_some_and(|boundary| hit(boundary, false))
        || (!anonymous && limits.iter().flatten().any(|limit| hit(limit, false)));
    let everyone = |drafts: &[Draft]| {
        let of = |draft: &&Draft| draft.allow && takes(draft, asked);
        let mut all = drafts.iter().filter(of);
        // All but some are everyone to who is none of them, and all but everyone are nobody.
        all.any(|draft| match draft.principal.0 {
            true => is_of(draft, asked).0,
            false => draft.principal.1 == "*",
        })
    };
    let [session, service_account] = &limits;
    let within = |limit: &Option<Vec<Draft>>| limit.as_ref().is_none_or(|l| hit(l, true));
    // A user's own grants end at the boundary and at the session's policies, what a bucket gives to
    // the user at the latter, and what it gives to everyone at neither.
    let granted = root && within(session)
        || resource_hit(true, false)
            && (anonymous || within(session) || (user && everyone(&resource)))
        || (user
            && hit(&identity, true)
            && boundary.is_none_or(|b| hit(b, true))
            && within(session));
    granted && !denied && (anonymous || within(service_account))
}
