//! Opens the store and removes what a crash left: temporary files, parts that no object names, what
//! was being removed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};

use super::Config;
use super::files::{empty, open_directory, remove_all};
use super::name::{Kind, decode};
use super::store::Store;

/// The format that this program writes.
const FORMAT: &str = "portcullis-disk 2\n";

/// The one before, whose every file this program reads.
const EARLIER: &str = "portcullis-disk 1\n";

/// Opens a store: its handle, and the lock that is held with it.
pub(super) fn open(config: &Config) -> Result<(Arc<Store>, File)> {
    let path = std::path::absolute(&config.path)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::new(
            ErrorKind::ResourceBusy,
            "another process uses this directory",
        )
    })?;
    check_format(&path)?;
    for directory in ["buckets", "staging"] {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.join(directory))?;
    }
    File::open(&path)?.sync_all()?;
    let root = openat(
        rustix::fs::CWD,
        &path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let store = Arc::new(Store::new(root, path, config.durability));
    collect(&store)?;
    Ok((store, lock))
}

/// A directory that something else wrote is not taken over; one of a later format is not read.
fn check_format(path: &Path) -> Result<()> {
    let file = path.join("format");
    match File::open(&file) {
        Ok(mut opened) => {
            let mut text = String::new();
            opened.read_to_string(&mut text)?;
            match text.as_str() {
                FORMAT => Ok(()),
                EARLIER => raise_format(path),
                _ => Err(Error::new(
                    ErrorKind::InvalidData,
                    format!(
                        "its format is `{}`, this program's `{}`",
                        text.trim(),
                        FORMAT.trim()
                    ),
                )),
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let foreign = std::fs::read_dir(path)?
                .flatten()
                .any(|entry| entry.file_name() != "lock");
            if foreign {
                return Err(Error::new(
                    ErrorKind::InvalidData,
                    "the directory is not empty and not a store",
                ));
            }
            let mut made = File::create_new(&file)?;
            made.write_all(FORMAT.as_bytes())?;
            made.sync_all()
        }
        Err(error) => Err(error),
    }
}

/// From here on no earlier program opens the store: it would take an object with tags for damage.
fn raise_format(path: &Path) -> Result<()> {
    let (new, file) = (path.join("format.new"), path.join("format"));
    let mut made = File::create(&new)?;
    made.write_all(FORMAT.as_bytes())?;
    made.sync_all()?;
    std::fs::rename(new, file)?;
    File::open(path)?.sync_all()
}

/// Nothing runs yet, so whatever is temporary is left over. All by handles: a link that somebody put
/// in a directory's place is an error, and nothing behind it is touched.
fn collect(store: &Store) -> Result<()> {
    empty(store.root(), "staging")?;
    for bucket in store.buckets().map_err(Error::other)? {
        let base = format!("buckets/{bucket}");
        empty(store.root(), &format!("{base}/tmp"))?;
        let kept = names(store, &format!("{base}/parts"))?;
        let uploads = names(store, &format!("{base}/uploads"))?;
        if kept.is_empty() && uploads.is_empty() {
            continue;
        }
        let Some((parts, completed)) = named_by_objects(store, &format!("{base}/objects")) else {
            continue;
        };
        for name in kept.iter().filter(|name| !parts.contains(*name)) {
            remove_all(store.root(), &format!("{base}/parts/{name}"))?;
        }
        for id in uploads.iter().filter(|id| completed.contains(*id)) {
            remove_all(store.root(), &format!("{base}/uploads/{id}"))?;
        }
    }
    Ok(())
}

/// The names in a directory.
fn names(store: &Store, path: &str) -> Result<Vec<String>> {
    let directory = open_directory(store.root(), path)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_str().ok();
        names.extend(
            name.filter(|name| !matches!(*name, "." | ".."))
                .map(str::to_owned),
        );
    }
    Ok(names)
}

/// The part directories that objects name, and the uploads that made them. One object that cannot be read names nothing that we
/// know, so a damaged one keeps everything (`None`): better leftovers than a loss.
fn named_by_objects(store: &Store, objects: &str) -> Option<(HashSet<String>, HashSet<String>)> {
    let (mut parts, mut uploads) = (HashSet::new(), HashSet::new());
    let mut stack = vec![objects.to_owned()];
    while let Some(path) = stack.pop() {
        let directory = open_directory(store.root(), &path).ok()?;
        let entries = rustix::fs::Dir::read_from(directory.as_fd()).ok()?;
        for entry in entries.flatten() {
            let Ok(text) = entry.file_name().to_str() else {
                continue;
            };
            match decode(text.as_bytes()) {
                _ if matches!(text, "." | "..") => {}
                Some((Kind::Object, _)) => match store.open_record(&format!("{path}/{text}")) {
                    Ok(Some(opened)) => {
                        if let Some(manifest) = opened.record.manifest {
                            parts.insert(manifest.directory);
                            uploads.insert(manifest.upload);
                        }
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(%error, "a damaged object: leftovers of its bucket are kept");
                        return None;
                    }
                },
                Some(_) => stack.push(format!("{path}/{text}")),
                None => {}
            }
        }
    }
    Some((parts, uploads))
}
