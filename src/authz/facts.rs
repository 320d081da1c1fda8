//! What a decision may need beyond a request's head: the tags of objects, and what a document asks for.
//! Learned only when a policy in play asks for it, before anything is granted.

use std::cell::Cell;

use super::granted::Granted;
use crate::fair::Asker;
use crate::s3::call::OnObject;
use crate::s3::{BucketName, ETag, ObjectKey, TagSet};

/// What is known beyond the head.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    existing: Vec<Existing>,
    document: Option<Document>,
}

/// What is known of an object that is there, or is not.
#[derive(Clone, Debug)]
struct Existing {
    object: OnObject,
    tags: TagSet,
    etag: Option<ETag>,
}

/// What an object was when its tags decided who may change them.
#[derive(Clone, Copy, Debug)]
pub struct AsDecided<'f> {
    /// Its entity tag.
    pub etag: &'f ETag,
    /// Its tags: they may be others by now although it is still there, or another of the same bytes.
    pub tags: &'f TagSet,
}

/// What the document in a request's body asks for.
#[derive(Clone, Debug)]
pub enum Document {
    /// The tags of a PutObjectTagging.
    Tags(TagSet),
    /// The `LocationConstraint` of a CreateBucket, where it has one.
    Location(Option<String>),
}

/// What a policy asks for and is not known.
#[derive(Debug)]
pub enum Wanted {
    /// The tags of an object that is there, if it is there.
    ExistingTags(Granted<OnObject>),
    /// What the document in the body asks for.
    Document,
}

impl Facts {
    /// An object's tags, and the entity tag of what they were looked up for; none where there is no
    /// such object.
    pub fn tags(&mut self, object: &Granted<OnObject>, tags: TagSet, etag: Option<ETag>) {
        self.existing.push(Existing {
            object: OnObject::clone(object),
            tags,
            etag,
        });
    }

    /// What was there when the tags were looked up that have decided: only that may be read. `None`
    /// where no tags have decided, `Some(None)` where nothing was there.
    #[must_use]
    pub fn decided_for(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version_id: Option<&str>,
    ) -> Option<Option<&ETag>> {
        let known = self.known(bucket, key, version_id);
        known.map(|known| known.etag.as_ref())
    }

    /// The same with the tags that decided.
    #[must_use]
    pub fn as_decided(&self, object: &OnObject) -> Option<Option<AsDecided<'_>>> {
        let version_id = object.version_id.as_deref();
        let known = self.known(&object.bucket, &object.key, version_id);
        known.map(|known| {
            let etag = known.etag.as_ref();
            etag.map(|etag| AsDecided {
                etag,
                tags: &known.tags,
            })
        })
    }

    fn known(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version_id: Option<&str>,
    ) -> Option<&Existing> {
        let same = |known: &&Existing| {
            let OnObject {
                bucket: b,
                key: k,
                version_id: v,
            } = &known.object;
            b == bucket && k == key && v.as_deref() == version_id
        };
        self.existing.iter().find(same)
    }

    /// What the document asks for.
    pub fn document(&mut self, document: Document) {
        self.document = Some(document);
    }

    /// What the document asks for, where it has been read to decide.
    #[must_use]
    pub fn read(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    pub(super) fn existing(&self, object: &OnObject) -> Option<&TagSet> {
        let version_id = object.version_id.as_deref();
        let known = self.known(&object.bucket, &object.key, version_id);
        known.map(|known| &known.tags)
    }
}

/// Notes what conditions asked for in vain, so that a decision that lacked it is none.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    existing: Cell<bool>,
    document: Cell<bool>,
    unreadable: Cell<Option<&'static str>>,
}

impl Lacking {
    /// A header that came and cannot be read: repeated, or no text.
    pub(super) fn header(&self, name: &'static str) {
        self.unreadable.set(Some(name));
    }

    /// A header that was asked for and cannot be read.
    pub(super) fn unreadable(&self) -> Option<&'static str> {
        self.unreadable.get()
    }

    pub(super) fn existing_tags(&self) {
        self.existing.set(true);
    }

    pub(super) fn document(&self) {
        self.document.set(true);
    }

    /// What is wanted, the tags of `object` first.
    pub(super) fn wanted(
        &self,
        object: Option<OnObject>,
        asker: impl FnOnce() -> Asker,
    ) -> Option<Wanted> {
        match (self.existing.get(), object) {
            (true, Some(object)) => Some(Wanted::ExistingTags(Granted::new(object, asker()))),
            _ => self.document.get().then_some(Wanted::Document),
        }
    }
}
