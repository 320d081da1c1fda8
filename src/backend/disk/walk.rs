//! Walks the files below a bucket's `objects`, some entries at a time: memory does not grow with what is
//! there, and nothing of it pushes out what the store remembers.

use rustix::io::Errno;

use super::files::{self, Entries, Is, Look};
use super::name::{Kind, Level, decode};
use super::store::{Place, Store};
use crate::s3::{BucketName, ObjectKey};

/// How many entries of a directory are held at a time.
const BATCH: usize = 1024;

/// The longest key, in bytes.
const KEY: usize = 1024;

/// What is told of a walk.
pub(super) trait Visit {
    /// A file stands where the object of `key` does.
    fn object(&mut self, place: &Place, key: &str);

    /// The store did not write this, or not here.
    fn foreign(&mut self, path: &str, is: Is, what: &'static str);

    /// What is there is not known.
    fn unreadable(&mut self, path: &str, what: &'static str, errno: Errno);

    /// Nothing is in a directory but directories that nothing is in.
    fn empty(&mut self, above: &str, name: &str);

    /// Whether to go on.
    fn goes_on(&self) -> bool;
}

/// Walks the objects of a bucket, in no order.
pub(super) fn objects(store: &Store, bucket: &BucketName, visit: &mut dyn Visit) {
    let walk = Walk { store, bucket };
    let path = format!("buckets/{bucket}/objects");
    walk.directory(&path, Level::default(), &[], visit);
}

/// Shows the entries of a directory that have names as the store gives them; the others are foreign.
/// Says whether the directory's end was come to.
pub(super) fn each<V: Visit>(
    store: &Store,
    path: &str,
    visit: &mut V,
    mut look: impl FnMut(&mut V, &str, Is),
) -> bool {
    entries(
        store,
        path,
        visit,
        |visit, name, is| match std::str::from_utf8(name) {
            Ok(name) => look(visit, name, is),
            Err(_) => {
                let path = format!("{path}/{}", String::from_utf8_lossy(name));
                visit.foreign(&path, is, "no name of the store's");
            }
        },
    )
}

fn entries<V: Visit + ?Sized>(
    store: &Store,
    path: &str,
    visit: &mut V,
    mut look: impl FnMut(&mut V, &[u8], Is),
) -> bool {
    let Some(mut entries) = open(store, path, visit) else {
        return false;
    };
    loop {
        match entries.next(BATCH) {
            Ok(batch) if batch.is_empty() => return true,
            Ok(batch) => {
                for (name, is) in batch {
                    if !visit.goes_on() {
                        return false;
                    }
                    look(visit, &name, is);
                }
            }
            Err(errno) => {
                visit.unreadable(path, "list a directory", errno);
                return false;
            }
        }
    }
}

/// Opens a directory that something else may stand for; tells `visit` why it cannot be read.
fn open<V: Visit + ?Sized>(store: &Store, path: &str, visit: &mut V) -> Option<Entries> {
    let opened = match files::look_into(store.root(), path) {
        Ok(Look::Directory(directory)) => Entries::of(directory),
        Ok(Look::Nothing) => Err(Errno::NOENT),
        Ok(Look::Foreign(at)) => {
            visit.foreign(at, Is::Other, "no directory, in a directory's place");
            return None;
        }
        Err(errno) => Err(errno),
    };
    match opened {
        Ok(entries) => Some(entries),
        Err(errno) => {
            visit.unreadable(path, "open a directory", errno);
            None
        }
    }
}

struct Walk<'w> {
    store: &'w Store,
    bucket: &'w BucketName,
}

impl Walk<'_> {
    /// Says whether nothing is in it.
    fn directory(&self, path: &str, level: Level, stem: &[u8], visit: &mut dyn Visit) -> bool {
        let mut is_empty = true;
        let is_whole = entries(self.store, path, visit, |visit, name, is| {
            is_empty &= self.entry(path, level, stem, (name, is), visit);
        });
        is_whole && is_empty
    }

    /// Says whether it is a directory with nothing in it.
    fn entry(
        &self,
        above: &str,
        level: Level,
        stem: &[u8],
        (name, is): (&[u8], Is),
        visit: &mut dyn Visit,
    ) -> bool {
        let text = String::from_utf8_lossy(name);
        let path = format!("{above}/{text}");
        match (decode(level, name), is) {
            (Some((Kind::Object, bytes)), Is::File) => {
                let key = String::from_utf8([stem, &bytes].concat());
                let key = key.ok().and_then(|key| ObjectKey::parse(&key).ok());
                let place = |key: &ObjectKey| Place::of(self.bucket, key.as_str());
                match key.map(|key| (place(&key), key)) {
                    Some((place, key)) if place.path() == path => {
                        visit.object(&place, key.as_str())
                    }
                    _ => visit.foreign(&path, is, "no key is spelled so"),
                }
                false
            }
            (Some((kind @ (Kind::Directory | Kind::Piece), bytes)), Is::Directory) => {
                let stem = [stem, &bytes].concat();
                if stem.len() > KEY {
                    visit.foreign(&path, is, "no key is so long");
                    return false;
                }
                let is_empty = self.directory(&path, level.below(kind), &stem, visit);
                if is_empty {
                    visit.empty(above, &text);
                }
                is_empty
            }
            _ => {
                visit.foreign(&path, is, "no object's name or kind");
                false
            }
        }
    }
}
