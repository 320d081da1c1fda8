//! What conditions may ask of whoever asks, and of the gateway: the same of a request that has come and of
//! one that is only supposed.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::authn::Identity;
use crate::iam::{Key, Name, Principal, Value, Values};

/// Who asks, as policies know it.
pub(super) fn principal(identity: &Identity, account: &Arc<str>) -> Principal {
    match identity {
        Identity::Anonymous => Principal::Anonymous,
        Identity::Root => Principal::Root {
            account: account.clone(),
        },
        Identity::User(user) => Principal::User {
            account: account.clone(),
            arn: user.arn.clone(),
        },
    }
}

/// Of the caller.
pub(super) fn of_caller<'a>(
    identity: &'a Identity,
    account: &'a Arc<str>,
    key: &Key,
) -> Values<'a> {
    match (key.name(), identity) {
        (Name::PrincipalAccount, Identity::Anonymous) => Values::text("anonymous"),
        (Name::PrincipalAccount, _) => Values::text(account),
        (Name::PrincipalArn, Identity::Root) => {
            Values::owned(format!("arn:aws:iam::{account}:root"))
        }
        (Name::PrincipalArn, Identity::User(user)) => Values::text(&user.arn),
        (Name::PrincipalType, Identity::Anonymous) => Values::text("Anonymous"),
        (Name::PrincipalType, Identity::Root) => Values::text("Account"),
        (Name::PrincipalType, Identity::User(_)) => Values::text("User"),
        (Name::PrincipalIsAwsService, Identity::Root | Identity::User(_)) => Values::flag(false),
        (Name::UserId, Identity::Anonymous) => Values::text("anonymous"),
        (Name::UserId, Identity::Root) => Values::text(account),
        (Name::UserId | Name::UserName, Identity::User(user)) => Values::text(&user.name),
        (Name::PrincipalTag, Identity::User(user)) => {
            let tags = user.tags.iter();
            tag(tags.map(|(name, value)| (&**name, &**value)), key)
        }
        _ => Values::Absent,
    }
}

/// Of the gateway, and of its clock.
pub(super) fn of_gateway<'a>(
    account: &'a Arc<str>,
    region: &'a str,
    now: OffsetDateTime,
    name: Name,
) -> Values<'a> {
    match name {
        Name::CurrentTime => Values::One(Value::Time(now)),
        Name::EpochTime => Values::One(Value::Epoch(now.unix_timestamp())),
        Name::RequestedRegion => Values::text(region),
        Name::AwsResourceAccount | Name::ResourceAccount => Values::text(account),
        Name::ViaAwsService => Values::flag(false),
        _ => Values::Absent,
    }
}

/// The value of the tag that a key names. Names of keys are the same in any case, those of tags are not:
/// the one that is written so comes first.
pub(super) fn tag<'t>(
    mut tags: impl Iterator<Item = (&'t str, &'t str)> + Clone,
    key: &Key,
) -> Values<'t> {
    let wanted = key.tag().unwrap_or_default();
    let exact = tags.clone().find(|(name, _)| *name == wanted);
    let found = exact.or_else(|| tags.find(|(name, _)| name.eq_ignore_ascii_case(wanted)));
    Values::maybe(found.map(|(_, value)| value))
}
