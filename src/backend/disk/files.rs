//! System calls: every path is opened beneath the root's handle, no link is followed, nothing but
//! regular files and directories is looked into.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    Advice, AtFlags, Dir, DirEntry, FileType, Mode, OFlags, ResolveFlags, Stat, fadvise, fstat,
    mkdirat, openat, openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::faults::failing;
use crate::s3::{Error, ErrorCode};

const INSIDE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// Opens `path` beneath `root` without following any link.
fn beneath(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    failing("open")?;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match openat2(root, path, flags, mode, INSIDE) {
        // Older kernels, and filters of system calls: component by component.
        Err(Errno::NOSYS | Errno::PERM) => walk(root, path, flags, mode),
        // The tree changed while it was resolved; the call asks to be made again.
        Err(Errno::AGAIN) => walk(root, path, flags, mode),
        other => other,
    }
}

fn walk(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
    let step = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut at: Option<OwnedFd> = None;
    for directory in directories.split('/').filter(|d| !d.is_empty()) {
        if matches!(directory, "." | "..") {
            return Err(Errno::XDEV);
        }
        let next = openat(
            at.as_ref().map_or(root, AsFd::as_fd),
            directory,
            step,
            Mode::empty(),
        )?;
        at = Some(next);
    }
    openat(at.as_ref().map_or(root, AsFd::as_fd), name, flags, mode)
}

/// Opens a regular file for reading, and what the file system says of it. A FIFO would block an
/// ordinary open.
pub(super) fn open_file(root: BorrowedFd<'_>, path: &str) -> Result<(OwnedFd, Stat), Errno> {
    // Reading is no change: without this the first read of every file writes to its inode. Only the
    // owner may ask for it.
    static REFUSED: AtomicBool = AtomicBool::new(false);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let quietly = match REFUSED.load(Ordering::Relaxed) {
        true => OFlags::empty(),
        false => OFlags::NOATIME,
    };
    let file = match beneath(root, path, flags | quietly, Mode::empty()) {
        Err(Errno::PERM) if !quietly.is_empty() => {
            let file = beneath(root, path, flags, Mode::empty())?;
            REFUSED.store(true, Ordering::Relaxed);
            file
        }
        other => other?,
    };
    let stat = stat(file.as_fd())?;
    match is_file(&stat) {
        true => Ok((file, stat)),
        false => Err(Errno::LOOP),
    }
}

/// What the file system says of an open file.
pub(super) fn stat(file: BorrowedFd<'_>) -> Result<Stat, Errno> {
    failing("stat")?;
    fstat(file)
}

/// What the file system says of an entry, links not followed.
pub(super) fn stat_entry(directory: BorrowedFd<'_>, name: &str) -> Result<Stat, Errno> {
    failing("stat")?;
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether an entry is a regular file.
pub(super) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Whether an entry is a directory.
pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// A file's length.
pub(super) fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Creates a file that must not be there.
pub(super) fn create_file(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    beneath(
        root,
        path,
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
        Mode::from_raw_mode(0o600),
    )
}

/// Opens a directory.
pub(super) fn open_directory(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    beneath(
        root,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY,
        Mode::empty(),
    )
}

/// What stands at a path, each step on the way to it looked at without following a link: the first that is
/// no directory, or what is at its end. `None` when nothing is there.
pub(super) fn what_stands<'p>(
    root: BorrowedFd<'_>,
    path: &'p str,
) -> Result<Option<(&'p str, Is)>, Errno> {
    let mut above: Option<OwnedFd> = None;
    let mut from = 0;
    for end in path.match_indices('/').map(|(at, _)| at) {
        let name = path.get(from..end).unwrap_or("");
        let at = above.as_ref().map_or(root, OwnedFd::as_fd);
        match open_directory(at, name) {
            Ok(next) => (above, from) = (Some(next), end.saturating_add(1)),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => {
                return match stat_entry(at, name).map(|stat| is(&stat)) {
                    Ok(Is::Directory) => Err(errno),
                    Ok(other) => Ok(Some((path.get(..end).unwrap_or(path), other))),
                    Err(Errno::NOENT) => Ok(None),
                    Err(errno) => Err(errno),
                };
            }
        }
    }
    let at = above.as_ref().map_or(root, OwnedFd::as_fd);
    match stat_entry(at, path.get(from..).unwrap_or("")) {
        Ok(stat) => Ok(Some((path, is(&stat)))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// What a directory's path leads to.
pub(super) enum Look<'p> {
    Directory(OwnedFd),
    Nothing,
    /// This is seen to be no directory: it, or one on the way to it.
    Foreign(&'p str),
}

/// Opens a directory that may not be there, or have something foreign in its place. One that cannot be
/// opened, whoever owns it, hides what is in it: that is an error, and never taken for foreign.
pub(super) fn look_into<'p>(root: BorrowedFd<'_>, path: &'p str) -> Result<Look<'p>, Errno> {
    let errno = match open_directory(root, path) {
        Ok(directory) => return Ok(Look::Directory(directory)),
        Err(Errno::NOENT) => return Ok(Look::Nothing),
        Err(errno) => errno,
    };
    if !says_foreign(errno) {
        return Err(errno);
    }
    match what_stands(root, path)? {
        None => Ok(Look::Nothing),
        // It is one now, and could not be opened.
        Some((_, Is::Directory)) => Err(errno),
        Some((at, Is::File | Is::Other)) => Ok(Look::Foreign(at)),
    }
}

/// What a file's path leads to.
pub(super) enum LookAtFile<'p> {
    File(OwnedFd, Stat),
    Nothing,
    /// This is seen to be no regular file, or no directory on the way to it.
    Foreign(&'p str),
}

/// Opens a file that may not be there, or have something foreign in its place. One that cannot be opened is
/// an error, and never taken for nothing.
pub(super) fn look_at_file<'p>(
    root: BorrowedFd<'_>,
    path: &'p str,
) -> Result<LookAtFile<'p>, Errno> {
    let errno = match open_file(root, path) {
        Ok((file, stat)) => return Ok(LookAtFile::File(file, stat)),
        Err(Errno::NOENT) => return Ok(LookAtFile::Nothing),
        Err(errno) => errno,
    };
    if !says_foreign(errno) {
        return Err(errno);
    }
    match what_stands(root, path)? {
        None => Ok(LookAtFile::Nothing),
        // It is one now, and could not be opened.
        Some((at, Is::File)) if at == path => Err(errno),
        Some((at, _)) => Ok(LookAtFile::Foreign(at)),
    }
}

/// Makes one directory, and says whether it is new; one that is there is no error.
pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &str) -> Result<bool, Errno> {
    failing("mkdir")?;
    match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves `from` in one directory to `to` in another, replacing what is there.
pub(super) fn rename(
    from: BorrowedFd<'_>,
    old: &str,
    to: BorrowedFd<'_>,
    new: &str,
) -> Result<(), Errno> {
    failing("rename")?;
    renameat(from, old, to, new)
}

/// Makes `new` in one directory another name of the file `old` in another.
pub(super) fn link(
    from: BorrowedFd<'_>,
    old: &str,
    to: BorrowedFd<'_>,
    new: &str,
) -> Result<(), Errno> {
    failing("link")?;
    rustix::fs::linkat(from, old, to, new, AtFlags::empty())
}

/// Makes a file's bytes, or a directory's entries, durable.
pub(super) fn sync(file: BorrowedFd<'_>) -> Result<(), Errno> {
    failing("fsync")?;
    rustix::fs::fsync(file)
}

/// Makes a file's bytes durable, without what no reader needs.
pub(super) fn sync_data(file: BorrowedFd<'_>) -> Result<(), Errno> {
    failing("fdatasync")?;
    rustix::fs::fdatasync(file)
}

/// Removes a file.
pub(super) fn remove_file(directory: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    failing("unlink")?;
    unlinkat(directory, name, AtFlags::empty())
}

/// Removes an empty directory.
pub(super) fn remove_directory(parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    failing("unlink")?;
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    File,
    Directory,
    /// A link, a socket, a device.
    Other,
}

/// Tells `each` of every entry of a directory but `.` and `..`. What cannot be read of it is an error:
/// a directory is told whole or not at all.
pub(super) fn entries<E: From<Errno>>(
    directory: BorrowedFd<'_>,
    mut each: impl FnMut(&[u8], Is) -> Result<(), E>,
) -> Result<(), E> {
    failing("getdents")?;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(is) = kind(directory, &entry)? else {
            continue;
        };
        failing("getdents")?;
        each(name.to_bytes(), is)?;
    }
    Ok(())
}

/// What an entry is; `None` for `.` and `..`, and for one that has just gone.
fn kind(directory: BorrowedFd<'_>, entry: &DirEntry) -> Result<Option<Is>, Errno> {
    let name = entry.file_name();
    if matches!(name.to_bytes(), b"." | b"..") {
        return Ok(None);
    }
    let kind = match entry.file_type() {
        // Some file systems don't say.
        FileType::Unknown => {
            failing("stat")?;
            match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(errno),
            }
        }
        known => known,
    };
    Ok(Some(named(kind)))
}

fn named(kind: FileType) -> Is {
    match kind {
        FileType::RegularFile => Is::File,
        FileType::Directory => Is::Directory,
        _ => Is::Other,
    }
}

fn is(stat: &Stat) -> Is {
    named(FileType::from_raw_mode(stat.st_mode))
}

/// A directory that is read some entries at a time, however many it has.
pub(super) struct Entries {
    directory: OwnedFd,
    stream: Dir,
}

impl Entries {
    pub(super) fn of(directory: OwnedFd) -> Result<Self, Errno> {
        failing("getdents")?;
        let stream = Dir::read_from(directory.as_fd())?;
        Ok(Self { directory, stream })
    }

    /// The next entries, at most so many, in the order that their files lie in on most file systems;
    /// none at the end.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<(Vec<u8>, Is)>, Errno> {
        let mut found = Vec::new();
        while found.len() < most {
            failing("getdents")?;
            let Some(entry) = self.stream.read() else {
                break;
            };
            let entry = entry?;
            if let Some(is) = kind(self.directory.as_fd(), &entry)? {
                found.push((entry.ino(), entry.file_name().to_bytes().to_vec(), is));
            }
        }
        found.sort_unstable_by_key(|(number, ..)| *number);
        Ok(found.into_iter().map(|(_, name, is)| (name, is)).collect())
    }
}

/// Lets the kernel forget what it remembers of a file, so that the disk is read. It is a hint: where it
/// is not taken, memory is read.
pub(super) fn read_anew(file: BorrowedFd<'_>) -> Result<(), Errno> {
    match fadvise(file, 0, None, Advice::DontNeed) {
        Ok(()) | Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The names in a directory that are text, and what each is. The others are none of the store's, and stand in
/// nobody's way: scrubs and `fsck`, which walk by bytes, name them.
pub(super) fn names(root: BorrowedFd<'_>, path: &str) -> Result<Vec<(String, Is)>, Errno> {
    let directory = open_directory(root, path)?;
    let mut names = Vec::new();
    entries(directory.as_fd(), |name, is| {
        if let Ok(name) = std::str::from_utf8(name) {
            names.push((name.to_owned(), is));
        }
        Ok::<_, Errno>(())
    })?;
    Ok(names)
}

/// Reads exactly `length` bytes at `offset`.
pub(super) fn read_at(file: BorrowedFd<'_>, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    read_into(&mut bytes, file, offset, length)?;
    Ok(bytes)
}

/// The same into memory that is there, and whose bytes go.
pub(super) fn read_into(
    bytes: &mut Vec<u8>,
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
) -> Result<(), Errno> {
    bytes.clear();
    bytes.reserve_exact(length);
    while bytes.len() < length {
        failing("pread")?;
        let left = length.saturating_sub(bytes.len());
        let at = offset.saturating_add(bytes.len() as u64);
        let before = bytes.len();
        match rustix::io::pread(file, rustix::buffer::spare_capacity(bytes), at) {
            Ok(0) => return Err(Errno::IO),
            Ok(_) => bytes.truncate(before.saturating_add(left)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes`.
pub(super) fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        failing("write")?;
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a failed open may come of something that is no file or directory of a store's. A disk in trouble
/// says the same, so that what stands there is looked at before it is called foreign.
fn says_foreign(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV | Errno::ISDIR
    )
}

/// What a client is told of a failed system call: a fault of the disk's may pass, so he is asked to
/// come again, and nothing permanent is said.
pub(super) fn error(what: &'static str, errno: Errno) -> Error {
    match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::ROFS => Error::from_errno(what, errno),
        _ => Error::new(ErrorCode::ServiceUnavailable).because(format_args!("{what}: {errno}")),
    }
}
