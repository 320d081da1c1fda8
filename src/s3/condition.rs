//! Conditional requests (RFC 9110 section 13), as S3 has them on reads, writes and copy sources.

use super::{ETag, ObjectInfo};
use ::time::OffsetDateTime;

/// Conditions of a read (`If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`)
/// or of a copy's source (`x-amz-copy-source-if-*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// Tags of which one must be the object's; `*` is any.
    pub if_match: Option<Vec<ETag>>,
    /// Tags of which none may be the object's; `*` is any.
    pub if_none_match: Option<Vec<ETag>>,
    /// The object must be younger.
    pub if_modified_since: Option<OffsetDateTime>,
    /// The object must not be younger.
    pub if_unmodified_since: Option<OffsetDateTime>,
}

/// Conditions of a write on what the key holds now (`If-Match`, `If-None-Match`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteConditions {
    /// The current object's tag must be this one, or `*` for any object.
    pub if_match: Option<ETag>,
    /// `*`: there must be no object yet.
    pub if_none_match: bool,
}

/// What conditions say of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// 304: the client has this already.
    NotModified,
    /// 412: a condition does not hold.
    Failed,
}

impl ReadConditions {
    /// Whether there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Decides in the order of RFC 9110 section 13.2.2, with S3's two documented precedences: a true
    /// `If-Match` outweighs a false `If-Unmodified-Since`, a false `If-None-Match` outweighs a true
    /// `If-Modified-Since`.
    #[must_use]
    pub fn verdict(&self, etag: &ETag, last_modified: OffsetDateTime) -> Verdict {
        let names = |tags: &[ETag]| tags.iter().any(|tag| tag.0 == "*" || tag == etag);
        // HTTP dates know whole seconds only.
        let modified = last_modified.unix_timestamp();
        let unmatched = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => !names(tags),
            (None, Some(since)) => modified > since.unix_timestamp(),
            (None, None) => false,
        };
        if unmatched {
            return Verdict::Failed;
        }
        let unchanged = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => names(tags),
            (None, Some(since)) => modified <= since.unix_timestamp(),
            (None, None) => false,
        };
        if unchanged {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        }
    }
}

impl WriteConditions {
    /// Whether there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a write may replace `current`. `If-Match` on a missing object is the caller's
    /// `NoSuchKey`, which [`Verdict`] has no word for: it answers `Failed` only for what is there.
    #[must_use]
    pub fn verdict(&self, current: Option<&ObjectInfo>) -> Verdict {
        let matched = match (&self.if_match, current) {
            (Some(tag), Some(info)) => tag.0 == "*" || *tag == info.etag,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !matched || (self.if_none_match && current.is_some()) {
            Verdict::Failed
        } else {
            Verdict::Proceed
        }
    }
}
