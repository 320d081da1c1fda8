//! Actions that a policy names and that there are not. Nothing asks for them, so that a Deny of one denies
//! nothing and a `NotAction` of one excepts nothing: whoever wrote it meant another.

use std::sync::LazyLock;

use super::action::ActionPattern;
use super::policy::{Error, Policy, number};
use super::reference::{self, On, SERVICES, describe};
use super::statement::Rule;

/// Every action, in lower case and in order.
static ACTIONS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let actions = SERVICES.iter().flat_map(|(_, actions, _)| *actions);
    let mut names: Vec<_> = actions
        .map(|action| action.name.to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    names
});

impl Policy {
    /// What is wrong with each of its actions, and patterns of them, that takes in none there is.
    #[must_use]
    pub fn unknown_actions(&self) -> Vec<Error> {
        let statements = self.statements().iter().enumerate();
        let of_statement = |(at, statement): (usize, &super::statement::Statement)| {
            let field = match &statement.actions {
                Rule::Only(_) => "Action",
                Rule::Except(_) => "NotAction",
            };
            let statement_number = number(at, statement.sid.as_deref());
            let unknown = statement.actions.named().iter().filter(|p| is_unknown(p));
            let tell = |pattern: &ActionPattern| Error::Statement {
                statement: statement_number.clone(),
                field,
                reason: reason(pattern.as_written()),
            };
            unknown.map(tell).collect::<Vec<_>>()
        };
        statements.flat_map(of_statement).collect()
    }
}

/// An action, as AWS writes it.
///
/// # Errors
/// When there is none of that name, with what may have been meant.
pub fn known_action(text: &str) -> Result<&'static str, String> {
    let mut all = SERVICES.iter().flat_map(|(_, actions, _)| *actions);
    let found = all.find(|action| action.name.eq_ignore_ascii_case(text));
    found.map(|action| action.name).ok_or_else(|| reason(text))
}

/// Looks whether requests here ask for `action` on `resource`: S3's on a bucket, an object in it, or
/// everything.
///
/// # Errors
/// Says on what it is asked.
pub fn check_resource(action: &str, resource: &str) -> Result<(), String> {
    let mut all = SERVICES.iter().flat_map(|(_, actions, _)| *actions);
    let Some(known) = all.find(|known| known.name == action) else {
        return Err(reason(action));
    };
    let behind = resource.strip_prefix("arn:aws:s3:::").unwrap_or_default();
    let fits = |on: &On| match on {
        On::Bucket => !behind.is_empty() && !behind.contains(['/', '*']),
        On::Object => {
            let parts = behind.split_once('/');
            parts.is_some_and(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        }
        On::Service => matches!(resource, "*" | "arn:aws:s3:::*"),
        On::AccessPoint | On::Job => false,
        On::Other => !action.starts_with("s3:"),
        On::User | On::Role | On::Group | On::Policy => resource.starts_with("arn:aws:iam:"),
        On::Key => resource.starts_with("arn:aws:kms:"),
    };
    match known.on.iter().any(fits) {
        true => Ok(()),
        false => Err(format!(
            "`{action}` is never asked on `{resource}` here: it is asked on {}",
            describe(known.on)
        )),
    }
}

fn is_unknown(pattern: &ActionPattern) -> bool {
    let text = pattern.as_written();
    match text.contains(['*', '?']) {
        true => {
            text != "*" && text != "*:*" && !ACTIONS.iter().any(|action| pattern.matches(action))
        }
        false => !is_action(text),
    }
}

fn is_action(text: &str) -> bool {
    ACTIONS.binary_search(&text.to_ascii_lowercase()).is_ok()
}

/// Whether it was meant for an action of a service that is answered here.
fn is_mistaken(text: &str) -> bool {
    is_answered(text) || reference::nearest::action(text).is_some()
}

fn is_answered(text: &str) -> bool {
    let service = text.split(':').next().unwrap_or_default();
    SERVICES
        .iter()
        .any(|(prefix, actions, _)| prefix.eq_ignore_ascii_case(service) && !actions.is_empty())
}

/// What is wrong with what is no action, or one that there is not of a service that is answered here.
#[must_use]
pub fn mistaken_action(text: &str) -> Option<String> {
    if is_action(text) {
        return None;
    }
    let of_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let well_formed = text.split_once(':').is_some_and(|(service, name)| {
        let plain = |part: &str| !part.is_empty() && part.bytes().all(of_name);
        plain(service) && plain(name)
    });
    match well_formed {
        false => Some(format!("`{text}` is not an action, as in s3:GetObject")),
        true => is_mistaken(text).then(|| reason(text)),
    }
}

/// What is wrong with an action that is none.
pub(super) fn reason(text: &str) -> String {
    let service = text.split(':').next().unwrap_or_default();
    let answered = is_answered(text);
    match (reference::nearest::action(text), answered) {
        (Some(name), _) => format!("there is no action `{text}`; did you mean `{name}`?"),
        (None, true) if text.contains(['*', '?']) => format!("no action is like `{text}`"),
        (None, true) => format!("there is no action `{text}`"),
        (None, false) => format!("no action of `{service}` is answered here: `{text}`"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::super::policy::PolicyKind;
    use super::*;

    fn of(actions: &str) -> Vec<String> {
        let json = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{{"Sid":"S","Effect":"Deny",{actions},"Resource":"*"}}]}}"#
        );
        let policy = Policy::parse(PolicyKind::Identity, "p", json.as_bytes()).unwrap();
        let told = policy.unknown_actions();
        told.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_is_told_with_what_was_meant() {
        let told = of(
            r#""Action":["s3:DeleteObjetc","s3:DELETEOBJECT","s3:Foo","s3:Fetch*","ec2:*","s3:Get*","*:*","sts:*"]"#,
        );
        assert_eq!(
            told,
            [
                "statement 2 (`S`), Action: there is no action `s3:DeleteObjetc`; did you mean `s3:DeleteObject`?",
                "statement 2 (`S`), Action: there is no action `s3:Foo`",
                "statement 2 (`S`), Action: no action is like `s3:Fetch*`",
                "statement 2 (`S`), Action: no action of `ec2` is answered here: `ec2:*`",
            ]
        );
        let told = of(r#""NotAction":"s3:ListObjects""#);
        assert_eq!(
            told,
            [
                "statement 2 (`S`), NotAction: there is no action `s3:ListObjects`; did you mean `s3:ListBucket`?"
            ]
        );
        assert!(of(r#""NotAction":["s3:GetObject","iam:*"]"#).is_empty());
    }
}
