//! The Service Authorization Reference as data: which actions there are, what each is asked on, and
//! which condition keys a request for it can have.
//!
//! Names are written as AWS writes them and mean the same in any case. A key that ends in `/` or `:`
//! stands for every key that begins with it, and the longest such one holds: what follows names a tag,
//! a pair of an encryption context, a measurement of an enclave, a claim.

mod global;
mod iam;
mod kms;
pub(in crate::iam) mod nearest;
mod others;
pub(in crate::iam) mod regions;
mod s3;
mod sts;

/// An action, as a policy names it.
#[derive(Debug)]
pub(in crate::iam) struct Action {
    /// Its name, behind the prefix of its service.
    pub name: &'static str,
    /// What it is asked on: never empty.
    pub on: &'static [On],
    /// Keys that a request for it supplies, besides those of [`GLOBALS`], of [`RESOURCES`] and of
    /// [`S3_COMMON`]. Global keys are named where only some actions supply them.
    pub keys: &'static [&'static str],
}

/// What an action is asked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::iam) enum On {
    /// No resource: the statement says `*`.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
    /// An access point, or an object behind one.
    AccessPoint,
    /// A batch operations job.
    Job,
    /// A resource that no other variant names: access grants, a multi-region or Object Lambda access
    /// point, Storage Lens, an identity provider, a certificate, a session, an alias.
    Other,
    /// A user of IAM.
    User,
    /// A role of IAM.
    Role,
    /// A group of IAM.
    Group,
    /// A managed policy of IAM.
    Policy,
    /// A key of KMS.
    Key,
}

/// What the value of a condition key is, and with it the operators that fit. No key here is binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::iam) enum Type {
    /// A text.
    String,
    /// A number.
    Numeric,
    /// A moment.
    Date,
    /// A moment that is a number as well: seconds since 1970.
    Epoch,
    /// True or false.
    Bool,
    /// An address.
    Ip,
    /// An ARN.
    Arn,
    /// Any number of texts.
    ArrayOfString,
    /// Any number of ARNs.
    ArrayOfArn,
}

/// Every service: its prefix, its actions, and the condition keys that carry its prefix. Some have keys
/// only.
#[expect(clippy::type_complexity, reason = "one table, read in one place")]
pub(in crate::iam) static SERVICES: &[(&str, &[Action], &[(&str, Type)])] = &[
    ("admin", others::ADMIN, &[]),
    ("aws", &[], others::AWS_KEYS),
    ("iam", iam::IAM, iam::IAM_KEYS),
    ("jwt", &[], others::JWT_KEYS),
    ("kms", kms::KMS, kms::KMS_KEYS),
    ("ldap", &[], others::LDAP_KEYS),
    ("s3", s3::ACTIONS, s3::KEYS),
    (
        "s3-object-lambda",
        others::OBJECT_LAMBDA,
        others::OBJECT_LAMBDA_KEYS,
    ),
    ("s3express", others::S3_EXPRESS, others::S3_EXPRESS_KEYS),
    ("saml", &[], others::SAML_KEYS),
    ("sts", sts::STS, sts::STS_KEYS),
    ("svc", &[], others::SVC_KEYS),
];

/// Keys that a resource supplies to every action asked on it, by the prefix of the service.
#[expect(clippy::type_complexity, reason = "one table, read in one place")]
pub(in crate::iam) static RESOURCES: &[(&str, &[(On, &[&str])])] = &[
    ("iam", iam::IAM_RESOURCES),
    ("kms", kms::KMS_RESOURCES),
    ("s3", s3::RESOURCES),
    ("sts", sts::STS_RESOURCES),
];

/// Keys that every request to S3 supplies.
pub(in crate::iam) static S3_COMMON: &[&str] = s3::COMMON;

/// Keys of no one service: name, type, and when a request has it.
pub(in crate::iam) static GLOBALS: &[(&str, Type, &str)] = global::KEYS;

/// Whether requests for `action` have the key that is written so. Keys that begin with `aws:` they all
/// have, as far as there is a value.
pub(in crate::iam) fn supplies(action: &Action, key: &str) -> bool {
    if key.starts_with("aws:") {
        return true;
    }
    let of_s3 = action.name.starts_with("s3:");
    action.keys.contains(&key) || (of_s3 && S3_COMMON.contains(&key))
}

/// How a message names what an action is asked on.
pub(in crate::iam) fn describe(on: &[On]) -> &'static str {
    match on.first() {
        Some(On::Service) | None => "no one resource, so that it needs `*`",
        Some(On::Bucket) => "a bucket, as in `arn:aws:s3:::bucket`",
        Some(On::Object) => "an object, as in `arn:aws:s3:::bucket/*`",
        Some(On::AccessPoint) => "an access point",
        Some(On::Job) => "a job of batch operations",
        Some(On::Other) => "a resource of its own kind",
        Some(On::User) => "a user, as in `arn:aws:iam::123456789012:user/name`",
        Some(On::Role) => "a role, as in `arn:aws:iam::123456789012:role/name`",
        Some(On::Group) => "a group, as in `arn:aws:iam::123456789012:group/name`",
        Some(On::Policy) => "a policy, as in `arn:aws:iam::123456789012:policy/name`",
        Some(On::Key) => "a key, as in `arn:aws:kms:region:123456789012:key/id`",
    }
}

/// Whether requests for `action` have `key`; `None` where there is no such action.
#[cfg(test)]
pub(crate) fn action_supplies(action: &str, key: &str) -> Option<bool> {
    let all = SERVICES.iter().flat_map(|(_, actions, _)| *actions);
    let found = all.into_iter().find(|known| known.name == action)?;
    Some(found.keys.contains(&key))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::{Action, GLOBALS, On, RESOURCES, S3_COMMON, SERVICES};

    /// Whether names are in order and each is there once, in lower case.
    fn ordered<'a>(names: impl Iterator<Item = &'a str>) -> bool {
        let lower: Vec<_> = names.map(str::to_ascii_lowercase).collect();
        lower.is_sorted_by(|a, b| a < b)
    }

    fn known(key: &str) -> bool {
        GLOBALS.iter().any(|(name, ..)| *name == key)
            || SERVICES
                .iter()
                .any(|(.., keys)| keys.iter().any(|(name, _)| *name == key))
    }

    fn action(name: &str) -> &'static Action {
        SERVICES
            .iter()
            .flat_map(|(_, actions, _)| *actions)
            .find(|action| action.name == name)
            .unwrap()
    }

    #[test]
    fn names_are_in_order_and_unique() {
        assert!(ordered(SERVICES.iter().map(|(prefix, ..)| *prefix)));
        assert!(ordered(RESOURCES.iter().map(|(prefix, _)| *prefix)));
        assert!(ordered(GLOBALS.iter().map(|(name, ..)| *name)));
        for (prefix, actions, keys) in SERVICES {
            assert!(
                ordered(actions.iter().map(|action| action.name)),
                "{prefix}"
            );
            assert!(ordered(keys.iter().map(|(name, _)| *name)), "{prefix}");
            for action in *actions {
                assert!(ordered(action.keys.iter().copied()), "{}", action.name);
            }
        }
    }

    #[test]
    fn names_begin_with_the_prefix_of_their_service() {
        for (prefix, actions, keys) in SERVICES {
            let names = actions.iter().map(|action| action.name);
            for name in names.chain(keys.iter().map(|(name, _)| *name)) {
                assert!(
                    name.strip_prefix(prefix)
                        .is_some_and(|rest| rest.starts_with(':')),
                    "{name} of {prefix}"
                );
            }
        }
    }

    #[test]
    fn keys_that_are_supplied_exist() {
        for (_, actions, _) in SERVICES {
            for action in *actions {
                for key in action.keys {
                    assert!(known(key), "{key} of {}", action.name);
                }
            }
        }
        for (prefix, resources) in RESOURCES {
            for key in resources.iter().flat_map(|(_, keys)| *keys) {
                assert!(known(key), "{key} of resources of {prefix}");
            }
        }
        assert!(S3_COMMON.iter().all(|key| known(key)));
    }

    #[test]
    fn keys_are_one_service_s_or_global() {
        for (_, _, keys) in SERVICES {
            for (name, _) in *keys {
                let global = |(other, ..): &(&str, _, _)| other.eq_ignore_ascii_case(name);
                assert!(!GLOBALS.iter().any(global), "{name}");
            }
        }
    }

    #[test]
    fn common_keys_are_not_repeated() {
        for (_, actions, _) in SERVICES {
            for action in *actions {
                assert!(!action.on.is_empty(), "{}", action.name);
                let repeated = action.keys.iter().find(|key| S3_COMMON.contains(key));
                assert_eq!(repeated, None, "{}", action.name);
            }
        }
    }

    #[test]
    fn actions_have_what_the_reference_says() {
        assert_eq!(action("s3:ListAllMyBuckets").on, [On::Service]);
        assert_eq!(action("s3:GetObject").on, [On::Object, On::AccessPoint]);
        assert_eq!(action("s3:GetBucketPolicyStatus").on, [On::Bucket]);
        assert_eq!(action("iam:PassRole").on, [On::Role]);
        assert_eq!(action("kms:GenerateDataKey").on, [On::Key]);
        for list in ["s3:ListBucket", "s3:ListBucketVersions"] {
            for key in ["s3:delimiter", "s3:max-keys", "s3:prefix"] {
                assert!(action(list).keys.contains(&key), "{key} of {list}");
            }
        }
        assert!(!action("s3:GetObject").keys.contains(&"s3:VersionId"));
        assert!(action("s3:GetObjectVersion").keys.contains(&"s3:VersionId"));
        assert!(action("s3:DeleteObject").keys.contains(&"s3:if-match"));
    }
}
