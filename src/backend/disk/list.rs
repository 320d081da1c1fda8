//! Lists keys in byte order: directories are walked as they are needed, by the names that the store
//! remembers of each, and no further than the page goes. What rolls up into one common prefix is skipped
//! at once.

use super::files::error;
use super::name::{Kind, Level, PIECE, entry};
use super::opened::Trouble;
use super::record::Listed;
use super::store::Store;
use super::tree::{Entry, Node};
use crate::backend::{ListedObject, ObjectPage};
use crate::s3::Error;
use crate::s3::call::ListObjects;

/// How many names are taken of a directory at a time, at most.
const TAKEN: usize = 1024;

/// How many are taken at first, and behind names that were skipped: most often few are needed.
const FEW: usize = 16;

/// One walk.
struct Walk<'a> {
    store: &'a Store,
    call: &'a ListObjects,
    page: ObjectPage,
    last: Option<String>,
    full: bool,
}

/// What was read of objects in a directory, to be remembered.
type Read = Vec<(Box<[u8]>, Listed)>;

/// One page.
pub(super) fn objects(store: &Store, call: &ListObjects) -> Result<ObjectPage, Error> {
    drop(store.bucket(&call.bucket)?);
    let mut walk = Walk {
        store,
        call,
        page: ObjectPage::default(),
        last: None,
        full: false,
    };
    if call.max_keys > 0 {
        let path = format!("buckets/{}/objects", call.bucket);
        walk.directory(&path, Level::default(), &[])?;
    }
    store.tree.trim();
    if walk.full {
        walk.page.next = walk.last;
    }
    Ok(walk.page)
}

/// How a walk goes on in a directory.
enum Next {
    /// With the next name.
    On,
    /// With the first name that is not below this one.
    Behind(Vec<u8>),
    /// Not at all.
    End,
}

impl Walk<'_> {
    /// Walks a directory whose keys begin with `stem`. Stops when the page is full.
    fn directory(&mut self, path: &str, level: Level, stem: &[u8]) -> Result<(), Error> {
        let node = self.store.tree.node(path, level);
        let (mut from, mut take) = (self.start(level, stem), FEW);
        while let Some(at) = from.take() {
            let names = self.names(&node, &at, take)?;
            from = names.next;
            take = take.saturating_mul(8).min(TAKEN);
            let mut read = Read::new();
            for (name, entry) in names.entries {
                let begins = [stem, &name].concat();
                let next = match entry {
                    Entry::Object(listed) => {
                        self.object(&node, &begins, name, listed, &mut read)?
                    }
                    Entry::Below(kind) => self.below(&node, &begins, &name, kind)?,
                };
                match next {
                    _ if self.full => break,
                    Next::On => {}
                    Next::Behind(common) => {
                        let rest = common.strip_prefix(stem).unwrap_or_default();
                        (from, take) = (behind(rest), FEW);
                        break;
                    }
                    Next::End => {
                        from = None;
                        break;
                    }
                }
            }
            node.fill(read);
            if self.full {
                return Ok(());
            }
        }
        Ok(())
    }

    fn names(&self, node: &Node, from: &[u8], most: usize) -> Result<super::tree::Page, Error> {
        node.page(self.store.root(), &self.store.faults, from, most)
            .map_err(|errno| error("list a directory", errno))
    }

    /// The first name in a directory that keys of this page may be at or below.
    fn start(&self, level: Level, stem: &[u8]) -> Option<Vec<u8>> {
        let prefix = self.call.prefix.as_bytes();
        let first = match prefix.strip_prefix(stem) {
            Some(rest) => container(level, rest).unwrap_or(rest).to_vec(),
            None if stem.starts_with(prefix) => Vec::new(),
            None => return None,
        };
        let Some(after) = self.call.after.as_deref().map(str::as_bytes) else {
            return Some(first);
        };
        let behind = match after.strip_prefix(stem) {
            Some(rest) => match container(level, rest) {
                Some(container) => container.to_vec(),
                None => [rest, &[0]].concat(),
            },
            None if stem > after => Vec::new(),
            None => return None,
        };
        Some(first.max(behind))
    }

    /// A directory or piece, whose keys begin with `begins`.
    fn below(
        &mut self,
        node: &Node,
        begins: &[u8],
        name: &[u8],
        kind: Kind,
    ) -> Result<Next, Error> {
        let prefix = self.call.prefix.as_bytes();
        if !begins.starts_with(prefix) && !prefix.starts_with(begins) {
            return Ok(if begins > prefix { Next::End } else { Next::On });
        }
        let path = format!("{}/{}", node.path(), entry(kind, name));
        let level = node.level().below(kind);
        let Some(common) = self.common_prefix(begins) else {
            self.directory(&path, level, begins)?;
            return Ok(Next::On);
        };
        let Ok(text) = std::str::from_utf8(common) else {
            return Ok(Next::On);
        };
        if self.was_told(common) {
            return Ok(Next::Behind(common.to_vec()));
        }
        if !self.holds_object(&path, level)? {
            return Ok(Next::On);
        }
        self.roll_up(text);
        // Most often the directory is all there is below it.
        Ok(match common == begins {
            true => Next::On,
            false => Next::Behind(common.to_vec()),
        })
    }

    /// Whether any object is in a directory or below it.
    fn holds_object(&self, path: &str, level: Level) -> Result<bool, Error> {
        let node = self.store.tree.node(path, level);
        let mut from = Some(Vec::new());
        while let Some(at) = from.take() {
            let names = self.names(&node, &at, FEW)?;
            for (name, is) in names.entries {
                let Entry::Below(kind) = is else {
                    return Ok(true);
                };
                let below = format!("{path}/{}", entry(kind, &name));
                if self.holds_object(&below, level.below(kind))? {
                    return Ok(true);
                }
            }
            from = names.next;
        }
        Ok(false)
    }

    /// Tells a common prefix, if there is room for it.
    fn roll_up(&mut self, common: &str) {
        if self.room() {
            self.last = Some(common.to_owned());
            self.page.common_prefixes.push(common.to_owned());
        }
    }

    /// The part of a key up to the delimiter behind the prefix.
    fn common_prefix<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let delimiter = self.call.delimiter.as_ref()?.as_bytes();
        let rest = key.strip_prefix(self.call.prefix.as_bytes())?;
        let at = memchr::memmem::find(rest, delimiter)?;
        key.get(
            ..self
                .call
                .prefix
                .len()
                .saturating_add(at)
                .saturating_add(delimiter.len()),
        )
    }

    /// Whether a common prefix was on an earlier page.
    fn was_told(&self, common: &[u8]) -> bool {
        self.call
            .after
            .as_ref()
            .is_some_and(|after| common <= after.as_bytes())
    }

    fn object(
        &mut self,
        node: &Node,
        key: &[u8],
        name: Box<[u8]>,
        listed: Option<Listed>,
        read: &mut Read,
    ) -> Result<Next, Error> {
        let prefix = self.call.prefix.as_bytes();
        if !key.starts_with(prefix) {
            return Ok(if key > prefix { Next::End } else { Next::On });
        }
        // What is no text is no key that anybody could have written.
        let Ok(text) = std::str::from_utf8(key) else {
            return Ok(Next::On);
        };
        if let Some(common) = self.common_prefix(key) {
            let behind = Next::Behind(common.to_vec());
            if let Ok(common) = std::str::from_utf8(common)
                && !self.was_told(common.as_bytes())
            {
                let common = common.to_owned();
                self.roll_up(&common);
            }
            return Ok(behind);
        }
        let object = match listed {
            Some(listed) => listed.told(text.to_owned()),
            None => match self.read(node, text, name, read)? {
                Some(object) => object,
                None => return Ok(Next::On),
            },
        };
        if self.room() {
            self.last = Some(text.to_owned());
            self.page.objects.push(object);
        }
        Ok(Next::On)
    }

    /// Reads what is told of an object; `None` when it has gone meanwhile. A damaged one is told by its
    /// name and its file: whoever mirrors a bucket must not take it for deleted.
    fn read(
        &self,
        node: &Node,
        key: &str,
        name: Box<[u8]>,
        read: &mut Read,
    ) -> Result<Option<ListedObject>, Error> {
        let path = format!("{}/{}", node.path(), entry(Kind::Object, &name));
        match self.store.look_at_record(&path) {
            Ok(Some(opened)) if opened.record.key != key => {
                let what = "it holds another key's object";
                let trouble = self.store.damage(&path, what, &opened)?;
                Ok(trouble.listed(key.to_owned()))
            }
            Ok(Some(opened)) => {
                read.extend(Listed::of(&opened.record).map(|listed| (name, listed)));
                Ok(Some(opened.record.listed(key.to_owned())))
            }
            Ok(None) | Err(Trouble::Foreign { .. }) => Ok(None),
            Err(trouble) => match trouble.listed(key.to_owned()) {
                Some(object) => Ok(Some(object)),
                None => Err(trouble.into()),
            },
        }
    }

    /// Whether one more fits; when none does, the page is full and more follow.
    fn room(&mut self) -> bool {
        let count = self
            .page
            .objects
            .len()
            .saturating_add(self.page.common_prefixes.len());
        self.full = count >= self.call.max_keys as usize;
        !self.full
    }
}

/// The name of the directory or piece that keys which go on with `rest` are below, if any is.
fn container(level: Level, rest: &[u8]) -> Option<&[u8]> {
    let slash = match level.is_last() {
        true => None,
        false => memchr::memchr(b'/', rest),
    };
    match slash {
        Some(at) if at < PIECE => rest.get(..=at),
        _ => rest.get(..PIECE),
    }
}

/// The first name that does not begin with `rest`, and is greater.
pub(super) fn behind(rest: &[u8]) -> Option<Vec<u8>> {
    let at = rest.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut next = rest.get(..=at)?.to_vec();
    let last = next.last_mut()?;
    *last = last.saturating_add(1);
    Some(next)
}
