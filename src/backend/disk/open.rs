//! Opens a store: its lock, its format, and what a crash or a careless copy left of its directories.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use super::bucket::DIRECTORIES;
use super::files::{self, Is};
use super::store::{Store, is_random_name};
use super::{Config, Durability};
use crate::s3::BucketName;

/// The format that this program writes.
const FORMAT: &str = "portcullis-disk 3\n";

/// What is written while a store of an earlier format is carried over: no earlier program opens it, and
/// this one goes on where it was stopped.
const CARRYING: &str = "portcullis-disk 3 carrying over\n";

/// The formats before, whose every file this program reads. The names of deep keys differ.
const EARLIER: [&str; 2] = ["portcullis-disk 1\n", "portcullis-disk 2\n"];

/// What may stand in a directory that becomes a store: a new file system has the second, a start that
/// was stopped the others.
const NOTHING: [&str; 4] = ["lock", "lost+found", "format", "format.new"];

/// What one who only looks at a store remembers of it, in bytes.
const LITTLE: usize = 1024 * 1024;

/// What a store says of itself.
enum Format {
    This,
    Earlier,
    /// No store yet.
    New,
}

/// Opens a store: its handle, and the lock that is held with it.
pub(super) fn open(config: &Config) -> Result<(Arc<Store>, Lock)> {
    let path = std::path::absolute(&config.path)?;
    if !path.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
    }
    let (mut lock, read_only) = take_lock(&path)?;
    let format = format(&path)?;
    if read_only {
        match format {
            Format::This => {}
            Format::Earlier => {
                return Err(wrong("it cannot be written, and is of an earlier format"));
            }
            Format::New => return Err(wrong("it cannot be written, and is no store yet")),
        }
        tracing::warn!(path = %path.display(), "cannot be written: opened for reading");
    } else {
        if let Format::New = format {
            write_format(&path, FORMAT, &mut lock)?;
        }
        for directory in ["buckets", "staging"] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path.join(directory))?;
        }
        File::open(&path)?.sync_all()?;
    }
    let root = open_root(&path)?;
    let store = Store::new(root, config.durability, config.memory, read_only);
    if !read_only {
        if let Format::Earlier = format {
            write_format(&path, CARRYING, &mut lock)?;
            super::carry::carry_over(&store)?;
            write_format(&path, FORMAT, &mut lock)?;
        }
        tidy(&store)?;
    }
    Ok((Arc::new(store), lock))
}

/// Opens a store to look at it: nothing is made, tidied or carried over.
pub(super) fn open_as_it_is(path: &Path) -> Result<(Arc<Store>, Lock)> {
    let path = std::path::absolute(path)?;
    // Before the lock, which is a file in it: a directory that is no store is not written to.
    is_of_this_format(&path)?;
    let (lock, read_only) = take_lock(&path)?;
    is_of_this_format(&path)?;
    let root = open_root(&path)?;
    let store = Store::new(root, Durability::Strict, LITTLE, read_only);
    Ok((Arc::new(store), lock))
}

fn is_of_this_format(path: &Path) -> Result<()> {
    match format(path)? {
        Format::This => Ok(()),
        Format::Earlier => Err(wrong(
            "it is of an earlier format: `serve` carries it over when it starts",
        )),
        Format::New => Err(wrong("it is no store: it has no `format`")),
    }
}

fn open_root(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(rustix::fs::CWD, path, flags, Mode::empty())?)
}

fn wrong(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// What a process holds of a store that it has open: one that writes has it alone, those that read share it.
#[derive(Debug)]
pub(super) struct Lock(Vec<File>);

/// Takes a store's lock, and says whether nothing can be written here. It is two files: `lock`, which is
/// there before the store is, and `format`, which is there also where no lock could be made. So a store that
/// is seen at two places, one of them read-only, has one lock.
fn take_lock(path: &Path) -> Result<(Lock, bool)> {
    use FlockOperation::{NonBlockingLockExclusive as Alone, NonBlockingLockShared as Shared};
    let (lock, format) = (path.join("lock"), path.join("format"));
    let writing = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock);
    let error = match writing {
        Ok(lock) => {
            hold(&lock, Alone, "another process uses this directory")?;
            let mut held = vec![lock];
            // Some network file systems want a file that is open for writing.
            let mut opened = File::options().read(true).write(true).open(&format);
            if matches!(&opened, Err(e) if e.kind() == ErrorKind::PermissionDenied) {
                opened = File::open(&format);
            }
            if let Some(format) = if_there(opened)? {
                hold(&format, Alone, "another process reads this directory")?;
                held.push(format);
            }
            return Ok((Lock(held), false));
        }
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {}
        _ => return Err(error),
    }
    let mut held = Vec::new();
    let opened = match File::open(&lock) {
        // The other one is enough.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
        other => if_there(other)?,
    };
    held.extend(opened);
    let format = if_there(File::open(&format))?;
    let none = || wrong(format!("it is no store yet, and none can be made: {error}"));
    held.push(format.ok_or_else(none)?);
    for file in &held {
        hold(file, Shared, "another process writes to this directory")?;
    }
    Ok((Lock(held), true))
}

fn if_there(opened: Result<File>) -> Result<Option<File>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn hold(file: &File, how: FlockOperation, busy: &'static str) -> Result<()> {
    match flock(file, how) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Error::new(ErrorKind::ResourceBusy, busy)),
        Err(errno) => Err(errno.into()),
    }
}

/// A directory that something else wrote is not taken over; one of a later format is not read.
fn format(path: &Path) -> Result<Format> {
    let mut text = String::new();
    match File::open(path.join("format")) {
        Ok(mut opened) => {
            opened.read_to_string(&mut text)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match text.as_str() {
        FORMAT => Ok(Format::This),
        CARRYING => Ok(Format::Earlier),
        earlier if EARLIER.contains(&earlier) => Ok(Format::Earlier),
        // A first start on a full disk leaves it so.
        "" => {
            for entry in std::fs::read_dir(path)? {
                let name = entry?.file_name();
                if !NOTHING.iter().any(|known| name == *known) {
                    let name = name.display();
                    return Err(wrong(format!(
                        "the directory is not a store and not empty: it holds `{name}`"
                    )));
                }
            }
            Ok(Format::New)
        }
        other => Err(wrong(format!(
            "its format is `{}`, this program's `{}`",
            other.trim(),
            FORMAT.trim()
        ))),
    }
}

/// Whole or not at all. The new file is locked before it is in its place.
fn write_format(path: &Path, text: &str, lock: &mut Lock) -> Result<()> {
    let new = path.join("format.new");
    let mut made = File::create(&new)?;
    let alone = FlockOperation::NonBlockingLockExclusive;
    hold(&made, alone, "another process reads this directory")?;
    made.write_all(text.as_bytes())?;
    made.sync_all()?;
    std::fs::rename(new, path.join("format"))?;
    lock.0.push(made);
    File::open(path)?.sync_all()
}

/// Nothing runs yet, so whatever is temporary is left over. All by handles: a link that somebody put
/// in a directory's place is not followed, and nothing behind it is touched. A bucket that cannot be
/// tidied is served as it is.
fn tidy(store: &Store) -> Result<()> {
    for (name, is) in files::names(store.root(), "buckets")? {
        let (Ok(bucket), Is::Directory) = (BucketName::parse(&name), is) else {
            continue;
        };
        if let Err(error) = tidy_bucket(store, &bucket) {
            tracing::error!(%error, %bucket, "a bucket cannot be tidied: it is served as it is");
        }
    }
    Ok(())
}

fn tidy_bucket(store: &Store, bucket: &BucketName) -> Result<()> {
    let path = format!("buckets/{bucket}");
    let mut missing = DIRECTORIES.to_vec();
    let mut is_ours = false;
    for (name, is) in files::names(store.root(), &path)? {
        is_ours |= name == "objects" || (name == "created" && is == Is::File);
        missing.retain(|known| *known != name);
    }
    if !is_ours {
        store.faults.foreign(&path, "no bucket");
        return Ok(());
    }
    // A bucket without objects may have lost the directory because it was empty. One with parts has lost
    // more, and a new directory would make garbage of them.
    if missing.contains(&"objects")
        && !missing.contains(&"parts")
        && !files::names(store.root(), &format!("{path}/parts"))?.is_empty()
    {
        let what = "its `objects` is missing, and its `parts` is not empty: bring one back, or remove the other";
        store.faults.damaged(&path, what);
        return Ok(());
    }
    let directory = files::open_directory(store.root(), &path)?;
    if missing.contains(&"objects") {
        // It looks the same whether there never were objects or all of them were lost.
        let missing = missing.join(", ");
        tracing::warn!(
            %bucket, missing,
            "a bucket's `objects` is missing: it starts empty; if it had objects, stop, and bring them back",
        );
    } else if !missing.is_empty() {
        let missing = missing.join(", ");
        tracing::warn!(%bucket, missing, "a bucket's directories are missing: they are made again");
    }
    for name in &missing {
        files::make_directory(directory.as_fd(), name)?;
    }
    if !missing.is_empty() {
        files::sync(directory.as_fd())?;
    }
    let temporary = format!("{path}/tmp");
    let tmp = files::open_directory(store.root(), &temporary)?;
    for (name, is) in files::names(store.root(), &temporary)? {
        match is_random_name(&name) && is == Is::File {
            true => files::remove_file(tmp.as_fd(), &name)?,
            false => store
                .faults
                .foreign(&format!("{temporary}/{name}"), "no temporary file"),
        }
    }
    Ok(())
}

/// Whether the store can be written: a file is made, made durable and removed.
pub(super) fn probe(store: &Store) -> std::result::Result<(), crate::s3::Error> {
    let failed = |errno| files::error("write a probe", errno);
    if store.read_only {
        return Err(failed(Errno::ROFS));
    }
    files::open_directory(store.root(), "buckets").map_err(failed)?;
    let name = super::store::random_name()?;
    let staging = files::open_directory(store.root(), "staging").map_err(failed)?;
    let file = files::create_file(staging.as_fd(), &name).map_err(failed)?;
    let written =
        files::write_all(file.as_fd(), &[0; 4096]).and_then(|()| files::sync_data(file.as_fd()));
    let removed = files::remove_file(staging.as_fd(), &name);
    written.and(removed).map_err(failed)
}
