//! Tags, and operations on them.

use super::super::call::OnObject;
use super::super::{BucketName, Error, Head, ObjectKey, TagSet};
use super::{invalid, object};

pub(super) fn on(head: &Head, bucket: &BucketName, key: &ObjectKey) -> Result<OnObject, Error> {
    Ok(OnObject {
        bucket: bucket.clone(),
        key: key.clone(),
        version_id: object::version(head)?,
    })
}

/// The tags that a writer gives.
pub(super) fn of(head: &Head) -> Result<TagSet, Error> {
    let given = head.header("x-amz-tagging")?;
    given.map_or_else(|| Ok(TagSet::default()), TagSet::from_query)
}

/// The tags of a copy: its own, or `None` for the source's. Those beside `COPY` must be tags, and
/// are then not used, as S3 has it.
pub(super) fn of_copy(head: &Head) -> Result<Option<TagSet>, Error> {
    let given = of(head)?;
    match head.header("x-amz-tagging-directive")? {
        None | Some("COPY") => Ok(None),
        Some("REPLACE") => Ok(Some(given)),
        Some(other) => Err(invalid(
            "x-amz-tagging-directive",
            other,
            "Unknown tagging directive.",
        )),
    }
}
