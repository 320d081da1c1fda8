//! System calls: every path is opened beneath the root's handle, no link is followed, nothing but
//! regular files and directories is looked into.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, renameat,
    unlinkat,
};
use rustix::io::Errno;

use crate::s3::{Error, ErrorCode};

const INSIDE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// Opens `path` beneath `root` without following any link.
fn beneath(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
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

/// Opens a regular file for reading, and its length. A FIFO would block an ordinary open.
pub(super) fn open_file(root: BorrowedFd<'_>, path: &str) -> Result<(OwnedFd, u64), Errno> {
    let file = beneath(root, path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    let stat = fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, u64::try_from(stat.st_size).unwrap_or(0))),
        _ => Err(Errno::LOOP),
    }
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

/// Makes one directory, and says whether it is new; one that is there is no error.
pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &str) -> Result<bool, Errno> {
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
    renameat(from, old, to, new)
}

/// Removes a file.
pub(super) fn remove_file(directory: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    unlinkat(directory, name, AtFlags::empty())
}

/// Removes an empty directory.
pub(super) fn remove_directory(parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Removes `path` beneath `root` and whatever is in it: links are removed, never followed. What is not
/// there is no error.
pub(super) fn remove_all(root: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
    match open_directory(root, parent) {
        Ok(parent) => remove_entry(parent.as_fd(), name),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes everything in `path`, which itself must be a directory beneath `root`.
pub(super) fn empty(root: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    empty_directory(open_directory(root, path)?.as_fd())
}

fn empty_directory(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    // Names are read first: a directory that changes while it is read may be read twice.
    let names: Vec<_> = Dir::read_from(directory)?
        .map(|entry| entry.map(|entry| entry.file_name().to_owned()))
        .collect::<Result<_, _>>()?;
    for name in names {
        match name.to_str() {
            Ok("." | "..") => {}
            Ok(name) => remove_entry(directory, name)?,
            Err(_) => unlinkat(directory, &name, AtFlags::empty())?,
        }
    }
    Ok(())
}

fn remove_entry(parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    empty_directory(open_directory(parent, name)?.as_fd())?;
    match remove_directory(parent, name) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Reads exactly `length` bytes at `offset`.
pub(super) fn read_at(file: BorrowedFd<'_>, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let left = length.saturating_sub(bytes.len());
        let at = offset.saturating_add(bytes.len() as u64);
        let before = bytes.len();
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(Errno::IO),
            Ok(_) => bytes.truncate(before.saturating_add(left)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Writes all of `bytes`.
pub(super) fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a client is told of a failed system call.
pub(super) fn error(what: &'static str, errno: Errno) -> Error {
    let code = match errno {
        Errno::NOSPC | Errno::DQUOT => ErrorCode::InsufficientStorage,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => ErrorCode::ServiceUnavailable,
        _ => ErrorCode::InternalError,
    };
    Error::new(code).because(format_args!("{what}: {errno}"))
}
