//! An object's tags. They stand in its record, so changing them writes a new file for its key; its
//! bytes stay where they are.
//!
//! What is small is written anew. The file of what is not is linked to below `parts`, as that of a
//! multipart object's only part, and a manifest takes its place. Either is moved to the key only while
//! the file that it was made from is still there: whoever was overtaken starts again.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use rustix::io::Errno;

use super::files::{self, error};
use super::opened::Opened;
use super::parts::{self, Using};
use super::record::{Manifest, Record};
use super::store::{Place, Store, random_name};
use super::write::Draft;
use super::{object, read};
use crate::authz::AsDecided;
use crate::s3::call::OnObject;
use crate::s3::{Error, ErrorCode, TagSet};

/// How often one who is overtaken starts again.
const ATTEMPTS: usize = 64;

pub(super) fn get(store: &Store, call: &OnObject) -> Result<TagSet, Error> {
    current(store, call)?.record.tags()
}

/// Replaces the tags of whatever the key holds when they come to stand, durably; only of what is as it was
/// `decided`, where that is given.
pub(super) fn put(
    store: &Arc<Store>,
    call: &OnObject,
    decided: Option<AsDecided<'_>>,
    tags: &TagSet,
) -> Result<(), Error> {
    let place = Place::of(&call.bucket, call.key.as_str());
    for _ in 0..ATTEMPTS {
        let old = current(store, call)?;
        let were = old.record.tags()?;
        if decided.is_some_and(|then| then.etag.0 != old.record.etag || *then.tags != were) {
            return Err(Error::new(ErrorCode::ServiceUnavailable)
                .because("object or tags were replaced while they decided who may change them"));
        }
        if were == *tags {
            // The write that they came with may still be on its way to the disk.
            return store.make_durable(&place);
        }
        let retagged = retag(store, &place, &old, tags)?;
        if let Some(retagged) = retagged
            && commit(store, &place, &old, retagged)?
        {
            return Ok(());
        }
    }
    Err(ErrorCode::ConditionalRequestConflict.into())
}

fn current(store: &Store, call: &OnObject) -> Result<Opened, Error> {
    object::current(store, &call.bucket, &call.key, call.version_id.as_deref())
}

/// A file for the key with other tags in it, not yet in its place.
pub(super) struct Retagged {
    record: Record,
    draft: Draft,
    /// Where the bytes are linked, when for this.
    linked: Option<Linked>,
}

/// Makes what is to take the place of `old`; `None` when another object has come to the key.
pub(super) fn retag(
    store: &Arc<Store>,
    place: &Place,
    old: &Opened,
    tags: &TagSet,
) -> Result<Option<Retagged>, Error> {
    let mut record = Record::clone(&old.record).tagged(tags);
    let mut draft = Draft::new(store.clone(), &place.bucket)?;
    let mut linked = None;
    if record.manifest.is_none() && old.whole.is_some() {
        if old.data > 0 {
            draft.write(&read::whole(store, old)?)?;
        }
    } else if record.manifest.is_none() {
        let Some(made) = Linked::new(store, place, old)? else {
            return Ok(None);
        };
        record.manifest = Some(Manifest {
            directory: made.directory.clone(),
            upload: String::new(),
            parts: vec![(LINK, record.size)],
        });
        linked = Some(made);
    }
    draft.finish(&record)?;
    Ok(Some(Retagged {
        record,
        draft,
        linked,
    }))
}

/// Moves it to the key while `old` is there; says whether it was.
pub(super) fn commit(
    store: &Store,
    place: &Place,
    old: &Opened,
    retagged: Retagged,
) -> Result<bool, Error> {
    let Retagged {
        record,
        draft,
        linked,
    } = retagged;
    let mut overtaken = false;
    let moved = store.swap(place, &record, &draft.name, true, |current| {
        overtaken = current.is_none_or(|current| current.number != old.number);
        match overtaken {
            true => Err(ErrorCode::ConditionalRequestConflict.into()),
            false => Ok(()),
        }
    });
    match moved {
        Ok(_) => {
            // Whatever comes now, the key's file names what is linked.
            draft.keep();
            linked.into_iter().for_each(Linked::keep);
            store.make_durable(place)?;
            Ok(true)
        }
        Err(_) if overtaken => Ok(false),
        Err(error) => Err(error),
    }
}

/// The number of the part that a linked file becomes.
const LINK: u16 = 1;

/// A directory below `parts` with a link to an object's file, which goes unless it is kept.
struct Linked {
    store: Arc<Store>,
    place: Place,
    directory: String,
    /// From before it is there, so that the collector knows of it.
    _using: Using,
    kept: bool,
}

impl Linked {
    /// Links to the file that `old` is, durably; `None` when the key holds another by now.
    fn new(store: &Arc<Store>, place: &Place, old: &Opened) -> Result<Option<Self>, Error> {
        let directory = random_name()?;
        let linked = Self {
            store: store.clone(),
            place: place.clone(),
            _using: store.use_parts(&place.bucket, &directory),
            directory,
            kept: false,
        };
        let failed = |errno| error("link an object", errno);
        let above = store.inside(&place.bucket, "parts")?;
        files::make_directory(above.as_fd(), &linked.directory).map_err(failed)?;
        let path = parts::path(&place.bucket, &linked.directory);
        let to = files::open_directory(store.root(), &path).map_err(failed)?;
        let name = LINK.to_string();
        let from = files::open_directory(store.root(), &place.parent());
        match from.and_then(|from| files::link(from.as_fd(), &place.file, to.as_fd(), &name)) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        }
        let found = store.open_record(&format!("{path}/{name}"))?;
        if found.is_none_or(|found| found.number != old.number) {
            return Ok(None);
        }
        store.sync_directory(to.as_fd())?;
        store.sync_directory(above.as_fd())?;
        Ok(Some(linked))
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        if !self.kept {
            self.store.discard_if_unnamed(&self.place, &self.directory);
        }
    }
}
