//! Reads files whole, to find what a reader would find: sound, damaged, or not to be read.

use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::files::{self, LookAtFile};
use super::opened::{Opened, Trouble};
use super::parts;
use super::record::{BLOCK, Manifest, Record, crc32c};
use super::store::{Store, is_random_name};
use crate::s3::BucketName;

/// Told of bytes as they are read, and of 0 before a file is opened; says whether to go on.
pub(super) type Pace<'p> = &'p mut dyn FnMut(u64) -> bool;

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum File {
    /// There is none.
    Absent,
    /// Every byte of it is what was written.
    Sound(Opened),
    /// Its reader was told not to go on.
    Stopped,
}

/// Why a file is not sound, or not known to be.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It is not what was written.
    Damaged {
        path: String,
        what: String,
        /// Device and number of the file, where it could be opened as one of the object form.
        number: Option<(u64, u64)>,
        /// The directory of parts that its record names.
        names: Option<String>,
    },
    /// A system call failed: nobody knows.
    Unreadable {
        path: String,
        what: &'static str,
        errno: Errno,
    },
}

impl Flaw {
    pub(super) fn damaged(path: &str, what: impl Into<String>, opened: Option<&Opened>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
            number: opened.map(|opened| opened.number),
            names: opened
                .and_then(|opened| opened.record.manifest.as_ref())
                .map(|manifest| manifest.directory.clone()),
        }
    }

    fn unreadable(path: &str, what: &'static str, errno: Errno) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            what,
            errno,
        }
    }
}

/// Reads all of a file of the object form, from the disk rather than from memory.
pub(super) fn file(store: &Store, path: &str, pace: Pace<'_>) -> Result<File, Flaw> {
    let anew = |errno| Flaw::unreadable(path, "read a file anew", errno);
    if !pace(0) {
        return Ok(File::Stopped);
    }
    match files::look_at_file(store.root(), path) {
        Ok(LookAtFile::File(file, _)) => files::read_anew(file.as_fd()).map_err(anew)?,
        Ok(LookAtFile::Nothing | LookAtFile::Foreign(_)) => return Ok(File::Absent),
        Err(errno) => return Err(Flaw::unreadable(path, "open an object", errno)),
    }
    let opened = match store.open_record(path) {
        Ok(Some(opened)) => opened,
        Ok(None) | Err(Trouble::Foreign { .. }) => return Ok(File::Absent),
        Err(Trouble::Damaged { path, what, .. }) => {
            return Err(Flaw::damaged(&path, what, None));
        }
        Err(Trouble::Io(what, errno)) => return Err(Flaw::unreadable(path, what, errno)),
    };
    match blocks(&opened, pace) {
        Ok(Blocks::Sound) => {}
        Ok(Blocks::Stopped) => return Ok(File::Stopped),
        Ok(Blocks::Bad(block)) => {
            let what = format!("the CRC of its block {block} is another");
            return Err(Flaw::damaged(path, what, Some(&opened)));
        }
        Err(errno) => return Err(Flaw::unreadable(path, "read an object", errno)),
    }
    // What was read once is not what memory is for.
    files::read_anew(opened.file.as_fd()).map_err(anew)?;
    match contradiction(&opened.record, opened.data) {
        Some(what) => Err(Flaw::damaged(path, what, Some(&opened))),
        None => Ok(File::Sound(opened)),
    }
}

enum Blocks {
    Sound,
    /// The block whose bytes are not those of its CRC.
    Bad(u64),
    Stopped,
}

fn blocks(opened: &Opened, pace: Pace<'_>) -> Result<Blocks, Errno> {
    let mut index = 0_u64;
    for kept in &opened.crcs {
        let start = index.saturating_mul(BLOCK);
        let length = opened.data.saturating_sub(start).min(BLOCK);
        let read = || {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            files::read_at(opened.file.as_fd(), start, length).map(|bytes| crc32c(&bytes))
        };
        if read()? != *kept {
            // Once more: what a cable or memory did on the way is no damage of the file's.
            files::read_anew(opened.file.as_fd())?;
            return match read()? == *kept {
                true => Err(Errno::IO),
                false => Ok(Blocks::Bad(index)),
            };
        }
        if !pace(length) {
            return Ok(Blocks::Stopped);
        }
        index = index.saturating_add(1);
    }
    Ok(Blocks::Sound)
}

/// What a record says that cannot be, with so many bytes of data in its file.
fn contradiction(record: &Record, data: u64) -> Option<&'static str> {
    let Some(manifest) = &record.manifest else {
        return (record.size != data).then_some("its record says another size");
    };
    let sum = manifest
        .parts
        .iter()
        .try_fold(0_u64, |sum, (_, size)| sum.checked_add(*size));
    if data != 0 {
        Some("it has bytes and names parts")
    } else if sum != Some(record.size) {
        Some("its parts are of another size than it says")
    } else if !is_random_name(&manifest.directory) {
        Some("its parts are in no directory of parts")
    } else {
        None
    }
}

/// Reads the parts of a multipart object whose key is `key`; `false` when told not to go on.
pub(super) fn manifest(
    store: &Store,
    bucket: &BucketName,
    key: &str,
    manifest: &Manifest,
    pace: Pace<'_>,
) -> Result<bool, Flaw> {
    for (number, size) in &manifest.parts {
        let path = format!("{}/{number}", parts::path(bucket, &manifest.directory));
        let opened = match file(store, &path, pace)? {
            File::Sound(opened) => opened,
            File::Stopped => return Ok(false),
            File::Absent => return Err(Flaw::damaged(&path, "a part is missing", None)),
        };
        part(&path, &opened, key)?;
        if opened.record.size != *size {
            let what = "a part is of another size than its object says";
            return Err(Flaw::damaged(&path, what, Some(&opened)));
        }
    }
    Ok(true)
}

/// What a sound file must be to be a part of `key`'s.
pub(super) fn part(path: &str, opened: &Opened, key: &str) -> Result<(), Flaw> {
    let what = if opened.record.key != key {
        "it is another key's part"
    } else if opened.record.manifest.is_some() {
        "it is a manifest, and no part"
    } else {
        return Ok(());
    };
    Err(Flaw::damaged(path, what, Some(opened)))
}
