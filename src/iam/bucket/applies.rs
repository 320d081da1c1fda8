//! Whether the parts of a statement have anything to do with each other: each action with one of the
//! resources, each condition with each of the actions.
//!
//! A pattern of actions is taken as S3 takes it: it has to do with what one of the actions has to do
//! with that it takes in. `NotAction` is one such pattern: all that it does not name.

use std::sync::LazyLock;

use super::super::action::{ActionPattern, NoContext};
use super::super::key::Key;
use super::super::pattern::Pattern;
use super::super::policy::Error;
use super::super::reference::{Action, GLOBALS, On, RESOURCES, S3_COMMON, SERVICES, nearest};
use super::super::statement::{Rule, Statement};

/// S3's actions, each with its name in lower case.
static ACTIONS: LazyLock<Vec<(String, &'static Action)>> = LazyLock::new(|| {
    let s3 = SERVICES.iter().filter(|(prefix, ..)| *prefix == "s3");
    let actions = s3.flat_map(|(_, actions, _)| *actions);
    actions
        .map(|action| (action.name.to_ascii_lowercase(), action))
        .collect()
});

/// What has nothing to do with the rest of its statement.
#[derive(Debug)]
pub(super) struct Stray {
    words: &'static str,
    what: String,
    /// What may have been meant, as the end of the message.
    meant: String,
}

impl Stray {
    fn new(words: &'static str, what: &str) -> Self {
        Self {
            words,
            what: what.to_owned(),
            meant: String::new(),
        }
    }

    pub(super) fn of_statement(&self, statement: &str) -> Error {
        let Self { words, what, meant } = self;
        Error::Document(format!("{words}: statement {statement}, `{what}`{meant}"))
    }
}

/// Checks a statement of the policy of the bucket with that ARN.
pub(super) fn check(statement: &Statement, bucket_arn: &str) -> Result<(), Stray> {
    let keys = keys(statement)?;
    let reach = Reach::of(&statement.resources, bucket_arn);
    let mut excepted = Vec::new();
    for pattern in statement.actions.named() {
        let taken: Vec<usize> = taken(pattern).collect();
        if taken.is_empty() {
            let words = "Policy has invalid action";
            let text = pattern.as_written();
            let meant = nearest::action(text).filter(|name| name.starts_with("s3:"));
            let meant = meant.map(|name| format!("; did you mean `{name}`?"));
            return Err(Stray {
                meant: meant.unwrap_or_default(),
                ..Stray::new(words, text)
            });
        }
        match &statement.actions {
            Rule::Only(_) => apply(&taken, pattern.as_written(), reach, &keys)?,
            Rule::Except(_) => excepted.extend(taken),
        }
    }
    if matches!(statement.actions, Rule::Except(_)) {
        let rest: Vec<_> = (0..ACTIONS.len())
            .filter(|at| !excepted.contains(at))
            .collect();
        apply(&rest, "NotAction", reach, &keys)?;
    }
    Ok(())
}

/// The places of the actions that a pattern takes in.
fn taken(pattern: &ActionPattern) -> impl Iterator<Item = usize> {
    let named = ACTIONS.iter().enumerate();
    named
        .filter(|(_, (name, _))| pattern.matches(name))
        .map(|(at, _)| at)
}

/// Of these actions one must apply to a resource, and for each key one of those must supply it.
fn apply(actions: &[usize], written: &str, reach: Reach, keys: &[Asked<'_>]) -> Result<(), Stray> {
    let reached = |at: &&usize| ACTIONS.get(**at).is_some_and(|(_, a)| reach.takes(a.on));
    let reached: Vec<_> = actions.iter().filter(reached).collect();
    if reached.is_empty() {
        let words = "Action does not apply to any resource(s) in statement";
        return Err(Stray::new(words, written));
    }
    let stray = |asked: &&Asked<'_>| {
        let supplies = |at: &&usize| asked.supplied_by.get(**at) == Some(&true);
        !reached.iter().any(supplies)
    };
    match keys.iter().find(stray) {
        None => Ok(()),
        Some(asked) => {
            let words =
                "Conditions do not apply to combination of actions and resources in statement";
            let what = format!("{}` with `{written}", asked.key.as_written());
            Err(Stray::new(words, &what))
        }
    }
}

/// What the resources of a statement take in of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    bucket: bool,
    objects: bool,
}

impl Reach {
    /// Variables count as whatever suits.
    fn of(resources: &Rule<Pattern>, bucket_arn: &str) -> Self {
        let (named, except) = match resources {
            Rule::Only(named) => (named, false),
            Rule::Except(named) => (named, true),
        };
        let any = |test: fn(&Pattern, &str) -> bool| named.iter().any(|p| test(p, bucket_arn));
        match except {
            false => Self {
                bucket: any(takes_bucket),
                objects: any(takes_an_object),
            },
            true => Self {
                bucket: !any(takes_surely_the_bucket),
                objects: !any(takes_all_objects),
            },
        }
    }

    fn takes(self, on: &[On]) -> bool {
        on.iter().any(|on| match on {
            On::Bucket => self.bucket,
            On::Object => self.objects,
            _ => false,
        })
    }
}

fn takes_bucket(pattern: &Pattern, bucket_arn: &str) -> bool {
    match pattern {
        Pattern::Template(_) => pattern.literal_prefix() == bucket_arn,
        _ => takes_surely_the_bucket(pattern, bucket_arn),
    }
}

fn takes_surely_the_bucket(pattern: &Pattern, bucket_arn: &str) -> bool {
    !matches!(pattern, Pattern::Template(_)) && pattern.matches(bucket_arn, &NoContext)
}

/// Every pattern here begins with the bucket's ARN.
fn takes_an_object(pattern: &Pattern, bucket_arn: &str) -> bool {
    pattern.literal_prefix().len() > bucket_arn.len() || !matches!(pattern, Pattern::Exact(_))
}

fn takes_all_objects(pattern: &Pattern, bucket_arn: &str) -> bool {
    match pattern {
        Pattern::Any => true,
        Pattern::Prefix(text) => match text.strip_prefix(bucket_arn) {
            Some(rest) => matches!(rest, "" | "/"),
            None => bucket_arn.starts_with(&**text),
        },
        Pattern::Exact(_) | Pattern::Glob(_) | Pattern::Template(_) => false,
    }
}

/// A condition's key, and which actions supply it.
struct Asked<'a> {
    key: &'a Key,
    supplied_by: Vec<bool>,
}

/// The keys of a statement that some actions supply and others don't.
fn keys(statement: &Statement) -> Result<Vec<Asked<'_>>, Stray> {
    let mut asked: Vec<Asked<'_>> = Vec::new();
    for condition in &statement.conditions {
        let key = &condition.key;
        match origin(key) {
            Origin::Everyone => {}
            Origin::OtherService => {
                let words = "Policy has an invalid condition key";
                return Err(Stray::new(words, key.as_written()));
            }
            Origin::S3 if asked.iter().any(|known| known.key == key) => {}
            Origin::S3 => asked.push(Asked {
                key,
                supplied_by: ACTIONS.iter().map(|(_, a)| supplies(a, key)).collect(),
            }),
        }
    }
    Ok(asked)
}

/// Where a key comes from.
enum Origin {
    /// Whoever asks, or the request, whatever is asked.
    Everyone,
    /// Some of S3's actions.
    S3,
    /// Requests of another service.
    OtherService,
}

/// Keys that begin with `aws:` S3 takes with every action. What identity providers say of whoever asks
/// has prefixes of no service that has actions.
fn origin(key: &Key) -> Origin {
    let of_service = |(prefix, actions, _): &&(&str, &[Action], _)| {
        !actions.is_empty() && is_behind(key, prefix, ':')
    };
    let global = GLOBALS.iter().any(|(name, ..)| names(name, key));
    match SERVICES.iter().find(of_service) {
        Some(("s3", ..)) => Origin::S3,
        Some(_) if !global => Origin::OtherService,
        Some(_) | None => Origin::Everyone,
    }
}

fn supplies(action: &Action, key: &Key) -> bool {
    let of_s3 = RESOURCES.iter().filter(|(prefix, _)| *prefix == "s3");
    let resources = of_s3.flat_map(|(_, resources)| *resources);
    let resources = resources.filter(|(on, _)| action.on.contains(on));
    let of_resources = resources.flat_map(|(_, keys)| *keys);
    let mut all = action.keys.iter().chain(S3_COMMON).chain(of_resources);
    all.any(|name| names(name, key))
}

/// Whether a name of the reference is the key's, or that of its family.
fn names(name: &str, key: &Key) -> bool {
    match name.strip_suffix(['/', ':']) {
        Some(family) => is_behind(key, family, name.chars().last().unwrap_or('/')),
        None => key.is(name),
    }
}

fn is_behind(key: &Key, family: &str, separator: char) -> bool {
    let written = key.as_written();
    let (head, tail) = written.split_at_checked(family.len()).unwrap_or_default();
    head.eq_ignore_ascii_case(family) && tail.starts_with(separator)
}
