//! What a decision may need beyond a request's head: the tags of objects, and what a document asks for.
//! Learned only when a policy in play asks for it, before anything is granted.

use std::cell::Cell;

use super::granted::Granted;
use crate::s3::TagSet;
use crate::s3::call::OnObject;

/// What is known beyond the head.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    existing: Vec<(OnObject, TagSet)>,
    document: Option<Document>,
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
    /// An object's tags; none where there is no such object.
    pub fn tags(&mut self, object: &Granted<OnObject>, tags: TagSet) {
        self.existing.push((OnObject::clone(object), tags));
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
        let found = self.existing.iter().find(|(known, _)| known == object);
        found.map(|(_, tags)| tags)
    }
}

/// Notes what conditions asked for in vain, so that a decision that lacked it is none.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    existing: Cell<bool>,
    document: Cell<bool>,
}

impl Lacking {
    pub(super) fn existing_tags(&self) {
        self.existing.set(true);
    }

    pub(super) fn document(&self) {
        self.document.set(true);
    }

    /// What is wanted, the tags of `object` first.
    pub(super) fn wanted(&self, object: Option<OnObject>) -> Option<Wanted> {
        match (self.existing.get(), object) {
            (true, Some(object)) => Some(Wanted::ExistingTags(Granted::new(object))),
            _ => self.document.get().then_some(Wanted::Document),
        }
    }
}
