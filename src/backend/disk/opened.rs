//! Files of the object form as they are opened, and why one cannot be had.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use time::OffsetDateTime;

use super::files::{self, LookAtFile, error};
use super::record::{Lengths, Record, TRAILER, parse};
use super::store::{Place, Store};
use crate::backend::ListedObject;
use crate::s3::{ETag, Error};

/// How much of a file's end is read at once to find the footer in.
const TAIL: usize = 16 * 1024;

/// What a footer most often fits in.
const FOOTER: usize = 1024;

/// Why a file of the object form cannot be had.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is there, and is not what was written. Listings tell what its name and its file say.
    Damaged {
        path: String,
        what: &'static str,
        length: u64,
        modified: OffsetDateTime,
    },
    /// What stands there, or on the way there, is no file of the store's: no object for who reads, and in
    /// the way of who writes or deletes.
    Foreign { path: String },
    /// A system call failed: what is there is not known.
    Io(&'static str, Errno),
}

impl Trouble {
    /// A damaged object as a listing tells it. Its entity tag is no object's, so that nobody takes it
    /// for the object that it was.
    pub(super) fn listed(&self, key: String) -> Option<ListedObject> {
        match self {
            Self::Damaged {
                length, modified, ..
            } => Some(ListedObject {
                key,
                size: *length,
                etag: ETag("damaged".to_owned()),
                last_modified: *modified,
                checksum: None,
            }),
            Self::Foreign { .. } | Self::Io(..) => None,
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Damaged { path, what, .. } => {
                Self::internal(format_args!("`{path}` is damaged: {what}"))
            }
            Trouble::Foreign { path } => Self::internal(format_args!(
                "`{path}` is not the store's: it is left alone"
            )),
            Trouble::Io(what, errno) => error(what, errno),
        }
    }
}

/// An open object: its bytes and what is known of them.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: OwnedFd,
    pub(super) record: Arc<Record>,
    pub(super) crcs: Vec<u32>,
    /// The bytes that are in this file; a manifest has none.
    pub(super) data: u64,
    /// The bytes themselves where the first read had them all.
    pub(super) whole: Option<bytes::Bytes>,
    /// Device and number of the file. While it is open, no other file has them.
    pub(super) number: (u64, u64),
}

impl Store {
    /// Opens a file of the object form; `None` when there is none.
    pub(super) fn open_record(&self, path: &str) -> Result<Option<Opened>, Trouble> {
        self.open_end(path, TAIL, true)
    }

    /// The same for one who wants to know of it, and none of its bytes.
    pub(super) fn look_at_record(&self, path: &str) -> Result<Option<Opened>, Trouble> {
        self.open_end(path, FOOTER, true)
    }

    /// The same of a file that no key is spelled like: it may be an object's all the same, and is no damage
    /// when it is none.
    pub(super) fn look_at_stranger(&self, path: &str) -> Result<Option<Opened>, Trouble> {
        self.open_end(path, FOOTER, false)
    }

    /// Opens a file of the object form by its last `most` bytes, or as many as its footer has. Damage is
    /// `told`, or left to who asks.
    fn open_end(&self, path: &str, most: usize, told: bool) -> Result<Option<Opened>, Trouble> {
        let looked = files::look_at_file(self.root(), path);
        let (file, stat) = match looked.map_err(|e| Trouble::Io("open an object", e))? {
            LookAtFile::File(file, stat) => (file, stat),
            LookAtFile::Nothing => return Ok(None),
            LookAtFile::Foreign(at) => {
                let what = "no regular file, in an object's place";
                self.faults.foreign(at, what);
                let path = at.to_owned();
                return Err(Trouble::Foreign { path });
            }
        };
        let length = files::length(&stat);
        let failed = |errno| Trouble::Io("read an object", errno);
        let damaged = || {
            let what = "its footer cannot be read";
            if told {
                self.faults.damaged(path, what);
            }
            Trouble::Damaged {
                path: path.to_owned(),
                what,
                length,
                modified: OffsetDateTime::from_unix_timestamp(stat.st_mtime)
                    .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            }
        };
        let tail = usize::try_from(length).unwrap_or(usize::MAX).min(most);
        let start = length.saturating_sub(tail as u64);
        let bytes = files::read_at(file.as_fd(), start, tail).map_err(failed)?;
        let bytes = bytes::Bytes::from(bytes);
        let trailer = tail
            .checked_sub(TRAILER)
            .and_then(|at| bytes.get(at..))
            .ok_or_else(damaged)?;
        let lengths = Lengths::read(trailer, length).ok_or_else(damaged)?;
        let footer = match tail.checked_sub(lengths.footer()) {
            Some(at) => bytes.slice(at..),
            None => files::read_at(file.as_fd(), lengths.data, lengths.footer())
                .map_err(failed)?
                .into(),
        };
        let (record, crcs) = parse(&footer, lengths).ok_or_else(damaged)?;
        let data = usize::try_from(lengths.data).ok().filter(|_| start == 0);
        let whole = data.map(|length| bytes.slice(..length));
        Ok(Some(Opened {
            number: (stat.st_dev, stat.st_ino),
            file,
            record: Arc::new(record),
            crcs,
            data: lengths.data,
            whole,
        }))
    }

    /// Refuses to replace what stands at a part's name and is no regular file.
    pub(super) fn check_replaceable(
        &self,
        directory: BorrowedFd<'_>,
        name: &str,
        path: &str,
    ) -> Result<(), Error> {
        match files::stat_entry(directory, name) {
            Ok(stat) if files::is_file(&stat) => Ok(()),
            Ok(_) => {
                self.faults
                    .foreign(path, "no regular file, in a part's place");
                let path = path.to_owned();
                Err(Trouble::Foreign { path }.into())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(error("look at what is replaced", errno)),
        }
    }

    /// What an open file is, that is not what it should be.
    pub(super) fn damage(
        &self,
        path: &str,
        what: &'static str,
        opened: &Opened,
    ) -> Result<Trouble, Error> {
        let stat = files::stat(opened.file.as_fd()).map_err(|e| error("stat an object", e))?;
        self.faults.damaged(path, what);
        Ok(Trouble::Damaged {
            path: path.to_owned(),
            what,
            length: files::length(&stat),
            modified: OffsetDateTime::from_unix_timestamp(stat.st_mtime)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        })
    }

    /// Opens the object of a key, when there is one.
    pub(super) fn open_object(&self, place: &Place) -> Result<Option<Opened>, Trouble> {
        self.open_record(&place.path())
    }

    /// The same for one who only reads: what is not the store's is no object.
    pub(super) fn read_object(&self, place: &Place) -> Result<Option<Opened>, Trouble> {
        match self.open_object(place) {
            Err(Trouble::Foreign { .. }) => Ok(None),
            other => other,
        }
    }
}
