//! Which backend holds a bucket: ordered routes, the first that matches decides, and a default for
//! the rest.
//!
//! A bucket's name and keys at an upstream are the upstream's business
//! ([`Mapping`]): whoever asks here speaks of buckets as clients see them.

mod overlap;

use super::upstream::{self, BucketPattern, Mapping, Mappings, Upstream};
use super::{Backend, BucketInfo};
use crate::authz::Granted;
use crate::s3::call::ListBuckets;
use crate::s3::{BucketName, Error, ErrorCode, Operation, Target};
use std::collections::HashMap;
use std::sync::Arc;

/// A backend as it is configured.
#[derive(Debug)]
pub enum Store {
    /// One of this process, which knows buckets by their own names only.
    Local(Arc<dyn Backend>),
    /// A remote one.
    Upstream(Box<upstream::Config>),
}

/// A route as it is configured.
#[derive(Clone, Debug)]
pub struct Route {
    /// The buckets it takes.
    pub pattern: BucketPattern,
    /// The name of the store they are in.
    pub store: String,
    /// What they are there.
    pub mapping: Mapping,
    /// Whether other routes may lead to the same keys.
    pub shared: bool,
}

/// A store by its name.
#[derive(Debug)]
struct Named {
    name: String,
    backend: Arc<dyn Backend>,
    upstream: Option<Upstream>,
}

/// A backend whose health is asked for.
#[derive(Debug)]
pub struct Checked<'a> {
    /// Its name.
    pub name: &'a str,
    /// Itself.
    pub backend: &'a Arc<dyn Backend>,
    /// Whether it is of this process.
    pub local: bool,
    /// Whether a route or the default leads to it.
    pub routed: bool,
}

/// All backends and the routes to them.
#[derive(Debug)]
pub struct Backends {
    stores: Vec<Named>,
    // Buckets that a route names, unless an earlier pattern takes them.
    exact: HashMap<BucketName, usize>,
    // The other routes, in order.
    patterns: Vec<(BucketPattern, usize)>,
    default: Option<usize>,
    several: bool,
}

impl Backends {
    /// Makes every backend and compiles the routes. Nothing is connected yet.
    ///
    /// # Errors
    /// [`upstream::Error::Config`] for an upstream or mapping that makes no sense, two stores of one
    /// name, a route to no store, a mapping of a local one, or two buckets that are one at their store.
    pub fn new(
        stores: Vec<(String, Store)>,
        routes: Vec<Route>,
        default: Option<&str>,
    ) -> Result<Self, upstream::Error> {
        let bad = |what: String| upstream::Error::Config(what);
        let mut indices = HashMap::new();
        for (index, (name, _)) in stores.iter().enumerate() {
            if indices.insert(name.clone(), index).is_some() {
                return Err(bad(format!("two backends are called `{name}`")));
            }
        }
        let find = |name: &str| {
            let index = indices.get(name).copied();
            index.ok_or_else(|| bad(format!("there is no backend `{name}`")))
        };
        let upstreams = stores.iter().filter_map(|(name, store)| match store {
            Store::Upstream(config) => Some((name.as_str(), &**config)),
            Store::Local(_) => None,
        });
        if let Some((_, why)) = overlaps(upstreams, &routes)?.into_iter().next() {
            return Err(bad(why));
        }
        let mut mappings: Vec<Vec<(BucketPattern, Mapping)>> = vec![Vec::new(); stores.len()];
        let mut exact = HashMap::new();
        let mut patterns: Vec<(BucketPattern, usize)> = Vec::new();
        for route in routes {
            let store = find(&route.store)?;
            match route.pattern.exact() {
                Some(bucket) => {
                    if !patterns.iter().any(|(pattern, _)| pattern.matches(&bucket)) {
                        exact.entry(bucket).or_insert(store);
                    }
                }
                None => patterns.push((route.pattern.clone(), store)),
            }
            if let Some(mappings) = mappings.get_mut(store) {
                mappings.push((route.pattern, route.mapping));
            }
        }
        let default = default.map(find).transpose()?;
        if let Some(mappings) = default.and_then(|default| mappings.get_mut(default)) {
            mappings.push((BucketPattern::parse("*")?, Mapping::default()));
        }
        let named = stores.into_iter().zip(mappings);
        let named = named.map(|((name, store), mappings)| match store {
            Store::Local(backend) => {
                for (_, mapping) in &mappings {
                    mapping.can_be_local(&name)?;
                }
                let upstream = None;
                Ok(Named {
                    name,
                    backend,
                    upstream,
                })
            }
            Store::Upstream(config) => {
                let upstream = Upstream::new(*config, Mappings::new(mappings)?)?;
                Ok(Named {
                    name,
                    backend: Arc::new(upstream.clone()),
                    upstream: Some(upstream),
                })
            }
        });
        let mut all = Self {
            stores: named.collect::<Result<_, _>>()?,
            exact,
            patterns,
            default,
            several: false,
        };
        all.several = all.all().filter(|checked| checked.routed).count() > 1;
        Ok(all)
    }

    /// One backend for everything.
    #[must_use]
    pub fn single(name: &str, backend: Arc<dyn Backend>) -> Self {
        let name = name.to_owned();
        let upstream = None;
        Self {
            stores: vec![Named {
                name,
                backend,
                upstream,
            }],
            exact: HashMap::new(),
            patterns: Vec::new(),
            default: Some(0),
            several: false,
        }
    }

    fn index(&self, bucket: &BucketName) -> Option<usize> {
        let exact = self.exact.get(bucket).copied();
        let matching = || {
            let mut patterns = self.patterns.iter();
            patterns
                .find(|(pattern, _)| pattern.matches(bucket))
                .map(|(_, store)| *store)
        };
        exact.or_else(matching).or(self.default)
    }

    fn named(&self, bucket: &BucketName) -> Option<&Named> {
        self.stores.get(self.index(bucket)?)
    }

    /// The backend of `bucket`, whether the bucket is there or not.
    ///
    /// # Errors
    /// `NoSuchBucket` when no route takes it.
    pub fn of(&self, bucket: &BucketName) -> Result<&Arc<dyn Backend>, Error> {
        let named = self.named(bucket);
        named.map(|named| &named.backend).ok_or_else(|| {
            Error::new(ErrorCode::NoSuchBucket).because(format_args!("no route takes `{bucket}`"))
        })
    }

    /// The backend of `bucket`, which is asked to make or remove it.
    ///
    /// # Errors
    /// As [`Self::of`], and `NotImplemented` where the bucket is only some keys of another one, which
    /// would be made or removed with all that others have in it.
    pub fn of_whole(
        &self,
        bucket: &BucketName,
        operation: &str,
    ) -> Result<&Arc<dyn Backend>, Error> {
        let upstream = self.named(bucket).and_then(|named| named.upstream.as_ref());
        match upstream.is_some_and(|upstream| upstream.is_part(bucket)) {
            true => Err(only_a_part(bucket, operation)),
            false => self.of(bucket),
        }
    }

    /// The name of the backend of `bucket`, for audit and metrics.
    #[must_use]
    pub fn name_of(&self, bucket: &BucketName) -> Option<&str> {
        self.named(bucket).map(|named| named.name.as_str())
    }

    /// Whether requests can be for more than one of them.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.several
    }

    /// Whether one backend holds both, so that it can copy by itself.
    #[must_use]
    pub fn same_store(&self, a: &BucketName, b: &BucketName) -> bool {
        let a = self.index(a);
        a.is_some() && a == self.index(b)
    }

    /// The buckets of all backends that a client can reach, in name order. A backend that cannot be
    /// asked fails the whole: a list with buckets missing would read as their deletion.
    ///
    /// # Errors
    /// The first backend's that fails.
    pub async fn list_buckets(
        &self,
        call: Granted<&ListBuckets>,
    ) -> Result<Vec<BucketInfo>, Error> {
        let mut all = Vec::new();
        for (index, store) in self.stores.iter().enumerate() {
            let routed = self
                .exact
                .values()
                .chain(self.patterns.iter().map(|(_, store)| store));
            if !routed.chain(&self.default).any(|store| *store == index) {
                continue;
            }
            let mut buckets = store.backend.list_buckets(call).await?;
            // What another route takes is out of reach here.
            buckets.retain(|bucket| self.index(&bucket.name) == Some(index));
            all.append(&mut buckets);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        Ok(all)
    }

    /// Every backend, for health and metrics.
    pub fn all(&self) -> impl Iterator<Item = Checked<'_>> {
        let stores = self.stores.iter().enumerate();
        stores.map(|(index, named)| Checked {
            name: &named.name,
            backend: &named.backend,
            local: named.upstream.is_none(),
            routed: self.is_routed(index),
        })
    }

    /// Whether a bucket can be in this store at all: not behind a route that takes every bucket.
    fn is_routed(&self, index: usize) -> bool {
        if self.exact.values().any(|store| *store == index) {
            return true;
        }
        let all = |(pattern, _): &&(BucketPattern, usize)| pattern.is_all();
        let last = self.patterns.iter().find(all);
        let until = self.patterns.iter().take_while(|pattern| !all(pattern));
        let mut reached = until.chain(last).map(|(_, store)| *store);
        reached.any(|store| store == index) || (last.is_none() && self.default == Some(index))
    }

    /// The upstream of `bucket`; `None` where it is a store of this process, or nowhere.
    #[must_use]
    pub fn upstream_of(&self, bucket: &BucketName) -> Option<&Upstream> {
        self.named(bucket)?.upstream.as_ref()
    }

    /// Every upstream, for metrics.
    pub fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        self.stores
            .iter()
            .filter_map(|named| named.upstream.as_ref())
    }
}

fn only_a_part(bucket: &BucketName, operation: &str) -> Error {
    let message = format!("{operation} is not implemented for this bucket.");
    Error::with_message(ErrorCode::NotImplemented, message).because(format_args!(
        "`{bucket}` has a `key_prefix` in a shared bucket"
    ))
}

/// Looks whether the store to which the routes lead would be asked for that at all, of a request that may:
/// for the key of an object, or to make or remove a bucket.
///
/// # Errors
/// What is answered without asking it.
pub fn asks_for<'c>(
    mut upstreams: impl Iterator<Item = (&'c str, &'c upstream::Config)>,
    routes: &[Route],
    operation: Operation,
    target: &Target,
) -> Result<(), Error> {
    let (bucket, key) = match target {
        Target::Service => return Ok(()),
        Target::Bucket(bucket) => (bucket, None),
        Target::Object(bucket, key) => (bucket, Some(key)),
    };
    // The first that takes it decides, as for requests.
    let Some(route) = routes.iter().find(|route| route.pattern.matches(bucket)) else {
        return Ok(());
    };
    let Some((_, config)) = upstreams.find(|(name, _)| *name == route.store) else {
        return Ok(());
    };
    let whole = matches!(operation, Operation::CreateBucket | Operation::DeleteBucket);
    if whole && !route.mapping.key_prefix.is_empty() {
        return Err(only_a_part(bucket, operation.name()));
    }
    match key {
        Some(key) => config.takes_key(&route.mapping, bucket, key),
        None => Ok(()),
    }
}

/// Two buckets that are one at their store would have two policies: every such two, the first of which is
/// named by a route, and why.
///
/// # Errors
/// For an upstream whose endpoint makes no sense.
pub fn overlaps<'c>(
    upstreams: impl Iterator<Item = (&'c str, &'c upstream::Config)>,
    routes: &[Route],
) -> Result<Vec<(BucketName, String)>, upstream::Error> {
    let mut there = HashMap::new();
    for (name, config) in upstreams {
        let endpoint = upstream::Endpoint::parse(&config.endpoint)?;
        there.insert(name, endpoint.store());
    }
    let store_of = |name: &str| there.get(name).map(String::as_str);
    let told = |(one, other, name): (BucketName, BucketName, String)| {
        let why = format!(
            "the buckets `{one}` and `{other}` lead to the same keys of `{name}` at one store, so that \
             what a policy denies of one is allowed under the other's name; if that is meant, say \
             `shared = true` in both routes"
        );
        (one, why)
    };
    let all = overlap::all(routes, store_of);
    Ok(all.into_iter().map(told).collect())
}

#[cfg(test)]
mod tests;
