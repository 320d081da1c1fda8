//! Which bucket, and which keys of it, a bucket of ours is at an upstream.

use super::error::Error;
use crate::s3::{BucketName, ObjectKey};
use std::borrow::Cow;

/// Bucket names that a route takes: a name, or a pattern in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketPattern(String);

impl BucketPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Error::Config`] when no bucket name could ever match it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let possible = if text.contains('*') {
            text.len() <= 63
                && text
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'*'))
        } else {
            BucketName::parse(text).is_ok()
        };
        if possible {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Config(format!("no bucket matches `{text}`")))
        }
    }

    /// The bucket that it names, when it names one only.
    #[must_use]
    pub fn exact(&self) -> Option<BucketName> {
        BucketName::parse(&self.0).ok()
    }

    /// Whether it takes every bucket.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether it surely takes every bucket that `other` takes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let ends = |pattern: &Self| {
            let (before, after) = pattern.0.split_once('*')?;
            (!after.contains('*')).then(|| (before.to_owned(), after.to_owned()))
        };
        match (other.exact(), ends(self)) {
            _ if self == other || self.is_all() => true,
            (Some(bucket), _) => self.matches(&bucket),
            // What `other` begins and ends with is there whatever its `*` stand for.
            (None, Some((before, after))) => {
                other
                    .0
                    .split('*')
                    .next()
                    .is_some_and(|start| start.starts_with(&before))
                    && other
                        .0
                        .split('*')
                        .next_back()
                        .is_some_and(|end| end.ends_with(&after))
            }
            (None, None) => false,
        }
    }

    /// Whether it takes `bucket`.
    #[must_use]
    pub fn matches(&self, bucket: &BucketName) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|p| bucket.as_str().strip_prefix(p)) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            // No `*` at all.
            return rest.is_empty();
        };
        for part in parts {
            // The leftmost place is as good as any: what follows a `*` may start anywhere.
            match rest.split_once(part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl std::fmt::Display for BucketPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an upstream makes of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// It may leave out empty segments, as stores do that keep objects as files: keys that have them
    /// never go there.
    #[default]
    Normalized,
    /// It leaves out the slash at the end as well: keys that end in one never go there either.
    Trimmed,
    /// `a//b`, `/a` and `a` are three keys there, as at AWS.
    Exact,
}

/// What the buckets of one route are at the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The bucket's name at the upstream; only for an exact pattern. `None` keeps the name.
    pub rename: Option<String>,
    /// What stands before every key at the upstream.
    pub key_prefix: String,
}

impl Mapping {
    /// Whether the buckets of a pattern can be called so.
    ///
    /// # Errors
    /// [`Error::Config`] for a rename of more than one bucket, and a name that no store has.
    pub fn can_rename(&self, pattern: Option<&BucketPattern>) -> Result<(), Error> {
        let several = pattern.filter(|pattern| pattern.exact().is_none());
        match (&self.rename, several) {
            (Some(name), Some(pattern)) => Err(Error::Config(format!(
                "`{pattern}` is a pattern, so its buckets cannot all be renamed to `{name}`"
            ))),
            (Some(name), None) if !is_name(name) => Err(Error::Config(format!(
                "`{name}` is not a bucket name, which has 3 to 255 letters, digits, `.`, `-` and `_`"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether keys can begin so.
    ///
    /// # Errors
    /// [`Error::Config`] for a prefix that could leave its place.
    pub fn can_prefix(&self) -> Result<(), Error> {
        let prefix = &self.key_prefix;
        let sound =
            prefix.is_empty() || ObjectKey::parse(prefix).is_ok_and(|p| !p.has_dot_segment());
        match sound && !prefix.starts_with('/') {
            true => Ok(()),
            false => Err(Error::Config(format!(
                "`{prefix}` is not a key prefix, which is as in `tenant-a/`"
            ))),
        }
    }

    /// Whether a store of this process can have it.
    ///
    /// # Errors
    /// [`Error::Config`] for any: it knows buckets by their own names only.
    pub fn can_be_local(&self, store: &str) -> Result<(), Error> {
        match *self == Self::default() {
            true => Ok(()),
            false => Err(Error::Config(format!(
                "backend `{store}` can neither rename buckets nor prefix keys"
            ))),
        }
    }

    /// Whether a store that makes this of keys can have the prefix.
    ///
    /// # Errors
    /// [`Error::Config`] for one that no key could have there.
    pub fn can_be(&self, keys: Keys) -> Result<(), Error> {
        let prefix = &self.key_prefix;
        let empty = ObjectKey::parse(prefix).is_ok_and(|p| p.has_empty_segment());
        match empty && keys != Keys::Exact {
            false => Ok(()),
            true => Err(Error::Config(format!(
                "the key prefix `{prefix}` has an empty segment, which needs `keys = \"exact\"`"
            ))),
        }
    }
}

/// The mappings of every route to one upstream, in the routes' order.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    routes: Vec<(BucketPattern, Mapping)>,
    keys: Keys,
}

impl Mappings {
    /// Takes the routes' mappings in, first match first.
    ///
    /// # Errors
    /// [`Error::Config`] for a rename of a pattern, a name that no store has, or a prefix that
    /// could leave its place.
    pub fn new(mappings: Vec<(BucketPattern, Mapping)>) -> Result<Self, Error> {
        for (pattern, mapping) in &mappings {
            mapping.can_rename(Some(pattern))?;
            mapping.can_prefix()?;
        }
        Ok(Self {
            routes: mappings,
            keys: Keys::default(),
        })
    }

    /// The same at a store that makes this of keys.
    ///
    /// # Errors
    /// [`Error::Config`] for a prefix that no key could have there.
    pub(super) fn keeping(self, keys: Keys) -> Result<Self, Error> {
        for (_, mapping) in &self.routes {
            mapping.can_be(keys)?;
        }
        Ok(Self { keys, ..self })
    }

    /// Where `bucket` is.
    pub(super) fn place<'a>(&'a self, bucket: &'a BucketName) -> Place<'a> {
        let mapping = self
            .routes
            .iter()
            .find(|(pattern, _)| pattern.matches(bucket));
        let mapping = mapping.map(|(_, mapping)| mapping);
        let rename = mapping.and_then(|mapping| mapping.rename.as_deref());
        Place {
            bucket: rename.unwrap_or(bucket.as_str()),
            prefix: mapping.map_or("", |mapping| &mapping.key_prefix),
            keys: self.keys,
        }
    }

    /// The buckets that the routes name, when they name every one that can be there.
    pub(super) fn all_named(&self) -> Option<Vec<BucketName>> {
        let named = self.routes.iter().map(|(pattern, _)| pattern.exact());
        named
            .collect::<Option<Vec<_>>>()
            .filter(|names| !names.is_empty())
    }

    /// The buckets of ours that the upstream's bucket `name` is.
    pub(super) fn ours(&self, name: &str) -> Vec<BucketName> {
        let renamed = self.routes.iter().filter_map(|(pattern, mapping)| {
            let is_it = mapping.rename.as_deref() == Some(name);
            is_it.then(|| pattern.exact())?
        });
        let same = BucketName::parse(name).ok();
        let same = same.filter(|bucket| self.place(bucket).bucket == name);
        renamed.chain(same).collect()
    }
}

/// Names that S3 or its older self allowed, so that none can be a path.
fn is_name(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && !name.contains("..")
}

/// A bucket as it is at the upstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Its name there.
    pub(super) bucket: &'a str,
    /// What stands before its keys there.
    pub(super) prefix: &'a str,
    /// What becomes of keys there.
    pub(super) keys: Keys,
}

impl<'a> Place<'a> {
    /// The key there of our `key`.
    pub(super) fn key<'k>(&self, key: &'k str) -> Cow<'k, str> {
        if self.prefix.is_empty() {
            Cow::Borrowed(key)
        } else {
            Cow::Owned(format!("{}{key}", self.prefix))
        }
    }

    /// Our key of the `key` there; `None` for what is not ours.
    pub(super) fn ours<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(self.prefix).filter(|key| !key.is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn patterns() {
        let bucket = |text: &str| BucketName::parse(text).unwrap();
        for (pattern, name, expected) in [
            ("logs", "logs", true),
            ("logs", "logs2", false),
            ("*", "anything", true),
            ("logs-*", "logs-2026", true),
            ("logs-*", "logs-", false),
            ("logs-*", "log-2026", false),
            ("*-logs", "app-logs", true),
            ("*-logs", "app-logs-x", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*ab", "aab", true),
            ("a*ab", "a1b", false),
            ("*abab", "ababab", true),
        ] {
            let Ok(name) = BucketName::parse(name) else {
                continue;
            };
            assert_eq!(
                BucketPattern::parse(pattern).unwrap().matches(&name),
                expected,
                "{pattern} {name}"
            );
        }
        for bad in ["", "A*", "a/b", "..", "a?", "ab"] {
            assert!(BucketPattern::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            BucketPattern::parse("abc").unwrap().exact(),
            Some(bucket("abc"))
        );
        assert_eq!(BucketPattern::parse("abc*").unwrap().exact(), None);
    }

    fn mapping(rename: Option<&str>, prefix: &str) -> Mapping {
        Mapping {
            rename: rename.map(str::to_owned),
            key_prefix: prefix.to_owned(),
        }
    }

    #[test]
    fn names_and_keys_translate_both_ways() {
        let pattern = |text| BucketPattern::parse(text).unwrap();
        let mappings = Mappings::new(vec![
            (pattern("alpha"), mapping(Some("Real_Name"), "")),
            (pattern("beta"), mapping(Some("shared"), "beta/")),
            (pattern("gamma-*"), mapping(None, "g/")),
            (pattern("*"), mapping(None, "")),
        ])
        .unwrap();
        for (ours, theirs, key, there) in [
            ("alpha", "Real_Name", "a//b", "a//b"),
            ("beta", "shared", "a", "beta/a"),
            ("gamma-1", "gamma-1", "a", "g/a"),
            ("delta", "delta", "a", "a"),
        ] {
            let ours = BucketName::parse(ours).unwrap();
            let place = mappings.place(&ours);
            assert_eq!(place.bucket, theirs);
            assert_eq!(place.key(key), there);
            assert_eq!(place.ours(there), Some(key));
        }
        let beta = BucketName::parse("beta").unwrap();
        assert_eq!(mappings.place(&beta).ours("other/a"), None);
        assert_eq!(mappings.place(&beta).ours("beta/"), None);
        let names = |name| {
            mappings
                .ours(name)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("Real_Name"), ["alpha"]);
        assert_eq!(names("shared"), ["beta", "shared"]);
        // A bucket there whose name is taken by a renamed one here cannot be seen.
        assert_eq!(names("alpha"), Vec::<String>::new());
        assert_eq!(names("delta"), ["delta"]);
        assert_eq!(names("Not_A_Name"), Vec::<String>::new());
        assert_eq!(mappings.all_named(), None);
        let two = vec![
            (pattern("alpha"), mapping(Some("Real_Name"), "")),
            (pattern("beta"), mapping(None, "")),
        ];
        let all_named = Mappings::new(two).unwrap().all_named();
        assert_eq!(all_named.map(|names| names.len()), Some(2));
        assert_eq!(Mappings::default().all_named(), None);
    }

    #[test]
    fn senseless_mappings_are_refused() {
        let pattern = |text| BucketPattern::parse(text).unwrap();
        for (text, mapping) in [
            ("a-*", mapping(Some("other"), "")),
            ("abc", mapping(Some("a/b"), "")),
            ("abc", mapping(Some(".."), "")),
            ("abc", mapping(Some("..."), "")),
            ("abc", mapping(None, "../x/")),
            ("abc", mapping(None, "a/./b/")),
            ("abc", mapping(None, "/a/")),
        ] {
            assert!(
                Mappings::new(vec![(pattern(text), mapping)]).is_err(),
                "{text}"
            );
        }
    }
}
