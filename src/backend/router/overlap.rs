//! Whether two buckets here are the same keys at one store (T104). What a policy says of one of them
//! would then not bind whoever asks for the other.
//!
//! Routes without a rename keep names apart, so a bucket that is renamed is one side of every overlap.

use super::Route;
use crate::backend::upstream::Mapping;
use crate::s3::BucketName;

/// What stands behind a bucket of ours.
struct Behind<'a> {
    bucket: BucketName,
    store: &'a str,
    name: String,
    prefix: &'a str,
    shared: bool,
}

impl<'a> Behind<'a> {
    /// `None` where no upstream is.
    fn of<'s>(
        bucket: BucketName,
        routes: &'a [Route],
        store_of: &impl Fn(&str) -> Option<&'s str>,
    ) -> Option<Self>
    where
        's: 'a,
    {
        let route = routes.iter().find(|route| route.pattern.matches(&bucket))?;
        let Mapping { rename, key_prefix } = &route.mapping;
        Some(Self {
            store: store_of(&route.store)?,
            name: rename.as_deref().unwrap_or(bucket.as_str()).to_owned(),
            prefix: key_prefix,
            shared: route.shared,
            bucket,
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.bucket != other.bucket
            && self.store == other.store
            // Not every store tells names apart by case.
            && self.name.eq_ignore_ascii_case(&other.name)
            && (self.prefix.starts_with(other.prefix) || other.prefix.starts_with(self.prefix))
            && !(self.shared && other.shared)
    }
}

/// Every two buckets that overlap and whose routes do not both say that this is meant, and the bucket at the
/// store. `store_of` gives what names a backend's store, `None` for one of this process.
pub(super) fn all<'s>(
    routes: &[Route],
    store_of: impl Fn(&str) -> Option<&'s str>,
) -> Vec<(BucketName, BucketName, String)> {
    let named = routes.iter().filter_map(|route| route.pattern.exact());
    let named: Vec<_> = named
        .filter_map(|bucket| Behind::of(bucket, routes, &store_of))
        .collect();
    // The bucket here whose name is that of the one there: a pattern may take it.
    let unnamed = |one: &Behind<'_>| BucketName::parse(&one.name.to_ascii_lowercase()).ok();
    let same = named.iter().filter_map(unnamed);
    let same: Vec<_> = same
        .filter_map(|bucket| Behind::of(bucket, routes, &store_of))
        .collect();
    let pairs = named.iter().enumerate().filter_map(|(at, one)| {
        let mut others = named.iter().skip(at.saturating_add(1)).chain(&same);
        let other = others.find(|other| one.overlaps(other))?;
        Some((one.bucket.clone(), other.bucket.clone(), one.name.clone()))
    });
    pairs.collect()
}
