//! Lists keys in byte order: directories are walked as they are needed, and of each only the next
//! names are held, so that a page costs a page's memory whatever the bucket holds.

use std::collections::BinaryHeap;
use std::ffi::CStr;

use rustix::io::Errno;

use super::files::{self, error};
use super::name::{Kind, decode};
use super::store::Store;
use crate::backend::{ListedObject, ObjectPage};
use crate::s3::call::ListObjects;
use crate::s3::{ETag, Error};

/// How many names of one directory are held at a time.
const HELD: usize = 2048;

/// An entry of a directory: what keys below it begin with, what it is, and its name.
type Entry = (Vec<u8>, bool, String);

/// One walk.
struct Walk<'a> {
    store: &'a Store,
    call: &'a ListObjects,
    page: ObjectPage,
    last: Option<String>,
    full: bool,
}

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
        walk.directory(&format!("buckets/{}/objects", call.bucket), &[])?;
    }
    if walk.full {
        walk.page.next = walk.last;
    }
    Ok(walk.page)
}

impl Walk<'_> {
    /// Walks a directory whose keys begin with `stem`. Stops when the page is full.
    fn directory(&mut self, path: &str, stem: &[u8]) -> Result<(), Error> {
        let mut behind: Option<Entry> = None;
        loop {
            let (entries, more) = self.entries(path, stem, behind.as_ref())?;
            for (begins, is_object, name) in &entries {
                match is_object {
                    true => self.object(begins, &format!("{path}/{name}"))?,
                    false if self.worth(begins) => {
                        self.directory(&format!("{path}/{name}"), begins)?
                    }
                    false => {}
                }
                if self.full {
                    return Ok(());
                }
            }
            match entries.into_iter().next_back() {
                Some(last) if more => behind = Some(last),
                _ => return Ok(()),
            }
        }
    }

    /// The smallest entries behind `behind` that keys of this page may be in, and whether there are
    /// more.
    fn entries(
        &self,
        path: &str,
        stem: &[u8],
        behind: Option<&Entry>,
    ) -> Result<(Vec<Entry>, bool), Error> {
        let directory = match files::open_directory(self.store.root(), path) {
            Ok(directory) => directory,
            // Pruned since it was seen.
            Err(Errno::NOENT) => return Ok((Vec::new(), false)),
            Err(errno) => return Err(error("list", errno)),
        };
        let found = rustix::fs::Dir::read_from(&directory).map_err(|e| error("list", e))?;
        let mut heap: BinaryHeap<Entry> = BinaryHeap::new();
        let mut more = false;
        for entry in found {
            let entry = entry.map_err(|e| error("list", e))?;
            let Some(entry) = read(entry.file_name(), stem) else {
                continue;
            };
            let wanted = if entry.1 {
                self.wanted(&entry.0)
            } else {
                self.worth(&entry.0)
            };
            if !wanted || behind.is_some_and(|behind| entry <= *behind) {
                continue;
            }
            heap.push(entry);
            if heap.len() > HELD {
                heap.pop();
                more = true;
            }
        }
        Ok((heap.into_sorted_vec(), more))
    }

    /// Whether an object of this key belongs on this page.
    fn wanted(&self, key: &[u8]) -> bool {
        key.starts_with(self.call.prefix.as_bytes())
            && self
                .call
                .after
                .as_ref()
                .is_none_or(|after| key > after.as_bytes())
    }

    /// Whether keys that begin with this may belong on this page.
    fn worth(&self, begins: &[u8]) -> bool {
        let prefix = self.call.prefix.as_bytes();
        let within = begins.starts_with(prefix) || prefix.starts_with(begins);
        let behind = self.call.after.as_ref().is_none_or(|after| {
            let after = after.as_bytes();
            begins > after || after.starts_with(begins)
        });
        let rolled = self
            .page
            .common_prefixes
            .last()
            .is_some_and(|last| begins.starts_with(last.as_bytes()));
        let told = self
            .common_prefix(begins)
            .is_some_and(|common| self.was_told(common));
        within && behind && !rolled && !told
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

    fn object(&mut self, key: &[u8], path: &str) -> Result<(), Error> {
        if !self.wanted(key) {
            return Ok(());
        }
        if let Some(common) = self.common_prefix(key) {
            let Ok(common) = std::str::from_utf8(common) else {
                return Ok(());
            };
            let common = common.to_owned();
            if self.page.common_prefixes.last() == Some(&common) || self.was_told(common.as_bytes())
            {
                return Ok(());
            }
            if self.room() {
                self.last = Some(common.clone());
                self.page.common_prefixes.push(common);
            }
            return Ok(());
        }
        let Ok(text) = std::str::from_utf8(key) else {
            return Ok(());
        };
        // A file that vanished or is damaged must not hide the others: the first is gone, the second
        // shows when it is read.
        let opened = match self.store.open_record(path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(%error, path, "an object cannot be listed");
                return Ok(());
            }
        };
        if !self.room() {
            return Ok(());
        }
        let record = opened.record;
        self.last = Some(text.to_owned());
        self.page.objects.push(ListedObject {
            key: text.to_owned(),
            size: record.size,
            etag: ETag(record.etag.clone()),
            last_modified: record.modified(),
            checksum: record
                .stored_checksum()
                .map(|stored| (stored.checksum.algorithm, stored.kind)),
        });
        Ok(())
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

/// A directory entry as a beginning of keys.
fn read(name: &CStr, stem: &[u8]) -> Option<Entry> {
    let text = name
        .to_str()
        .ok()
        .filter(|text| !matches!(*text, "." | ".."))?;
    let (kind, bytes) = decode(text.as_bytes())?;
    let mut begins = stem.to_vec();
    begins.extend_from_slice(&bytes);
    if kind == Kind::Directory {
        begins.push(b'/');
    }
    Some((begins, kind == Kind::Object, text.to_owned()))
}
