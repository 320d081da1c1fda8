//! Small files of the gateway's own: written whole or not at all, told apart when they change, and a
//! directory that is one process's alone.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::crypto::random;

/// What a temporary file's name ends with.
const TEMPORARY: &str = ".tmp";

/// Hexadecimal digits in a temporary file's name.
const DIGITS: usize = 16;

/// How old a temporary file is at least that a writer has left for good: another process may be writing
/// beside us.
const LEFT: Duration = Duration::from_secs(3600);

/// How a file was when it was looked at. What could not be looked at is neither there nor absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// It was not there.
    Absent,
    /// Nobody could say.
    Unknown,
    /// It was there, as this device, inode, length, and times of modification and change.
    Is(u64, u64, u64, (i64, i64), (i64, i64)),
}

impl Stamp {
    /// How `path` is; links are followed.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(metadata) => Self::from(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(_) => Self::Unknown,
        }
    }

    /// Whether a file that was there is surely the same as before.
    #[must_use]
    pub fn is_still(self, now: Self) -> bool {
        matches!(now, Self::Is(..)) && self == now
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self::Is(
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            (metadata.mtime(), metadata.mtime_nsec()),
            (metadata.ctime(), metadata.ctime_nsec()),
        )
    }
}

/// Writes a file of this `mode` whole or not at all, durably: a temporary file, synced, renamed, and its
/// directory synced. Nobody else's temporary file is in the way, and none is left by a failure. Answers
/// how the file is that was written, whatever has replaced it since.
///
/// # Errors
/// When one of the steps fails. The file is the old one, or the new one where only the directory could
/// not be synced.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Stamp> {
    let temporary = temporary(path)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode);
    let mut file = file.open(&temporary)?;
    let mut fill = || {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    if let Err(error) = fill() {
        if let Err(left) = std::fs::remove_file(&temporary) {
            tracing::warn!(path = %temporary.display(), error = %left, "a temporary file is left");
        }
        return Err(error);
    }
    sync_directory(parent(path))?;
    Ok(file.metadata().map_or(Stamp::Unknown, |m| Stamp::from(&m)))
}

fn temporary(path: &Path) -> io::Result<PathBuf> {
    let random = random::<{ DIGITS / 2 }>().map_err(io::Error::other)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}{TEMPORARY}", hex::encode(random))))
}

/// Whether [`write()`] calls a temporary file so.
fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix('.').and_then(|name| {
        let (_, random) = name.strip_suffix(TEMPORARY)?.rsplit_once('.')?;
        Some(random)
    });
    random.is_some_and(|r| r.len() == DIGITS && r.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Removes the temporary files that [`write()`] left in `directory` when its process was killed. What
/// cannot be removed is logged and stays.
pub fn sweep(directory: &Path) {
    let sweep = || {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(is_temporary) {
                continue;
            }
            let age = SystemTime::now().duration_since(entry.metadata()?.modified()?);
            if age.is_ok_and(|age| age > LEFT) {
                std::fs::remove_file(entry.path())?;
            }
        }
        io::Result::Ok(())
    };
    if let Err(error) = sweep() {
        tracing::warn!(path = %directory.display(), %error, "temporary files are left");
    }
}

/// Makes a directory of this `mode` and those above it, durably. One that is there is no error.
///
/// # Errors
/// When one cannot be made or synced; the error names it.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    let here = |error| named(path, &error);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(here(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(here(error)),
    }
    let above = parent(path);
    if above != Path::new(".") {
        make_directory(above, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(here(error)),
        _ => sync_directory(above).map_err(|error| named(above, &error)),
    }
}

/// Makes a directory that is nobody else's, or makes one so that is there.
///
/// # Errors
/// When it cannot be made, or stays open to others; the error names it.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    make_directory(path, 0o700)?;
    let mode = std::fs::metadata(path).map_err(|error| named(path, &error))?;
    let mode = mode.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let tightened = std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7700));
    tightened.map_err(|error| {
        let why =
            format!("others may enter it, and that cannot be changed ({error}); chmod it to 700");
        named(path, &io::Error::new(error.kind(), why))
    })?;
    tracing::warn!(path = %path.display(), "others could enter this directory; now they cannot");
    Ok(())
}

/// Makes names that were made or removed in `directory` durable.
///
/// # Errors
/// When it cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Takes the lock that `path` stands for, until the file is dropped or the process ends in any way.
/// `None` when another process has it. Not a byte is written.
///
/// # Errors
/// When the file cannot be made or locked; the error names it.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(path).map_err(|error| named(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(named(path, &error)),
    }
}

/// An error that says which file it is of.
#[must_use]
pub fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_nothing_and_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        write(&path, b"old", 0o600).unwrap();
        // What is renamed over a directory fails at the last step.
        let taken = directory.path().join("b.json");
        std::fs::create_dir(&taken).unwrap();
        assert!(write(&taken, b"new", 0o600).is_err());
        assert_eq!(names(directory.path()), ["a.json", "b.json"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn two_writers_of_one_file_are_not_in_each_others_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let all = ["x".repeat(100_000), "y".repeat(100_000)];
        std::thread::scope(|scope| {
            for text in &all {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        write(path, text.as_bytes(), 0o600).unwrap();
                    }
                });
            }
        });
        assert!(all.contains(&std::fs::read_to_string(&path).unwrap()));
        assert_eq!(names(directory.path()), ["a.json"]);
    }

    #[test]
    fn a_stamp_is_of_what_was_written_and_unknown_is_not_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        assert_eq!(Stamp::of(&path), Stamp::Absent);
        let first = write(&path, b"1", 0o600).unwrap();
        assert!(first.is_still(Stamp::of(&path)));
        let second = write(&path, b"2", 0o600).unwrap();
        assert!(second.is_still(Stamp::of(&path)) && !first.is_still(second));
        // A file as a directory on the way: neither there nor surely absent.
        let through = Stamp::of(&path.join("x"));
        assert_eq!(through, Stamp::Unknown);
        assert!(!through.is_still(through) && !Stamp::Absent.is_still(Stamp::Absent));
    }

    #[test]
    fn only_old_temporary_files_of_ours_are_swept() {
        let directory = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - LEFT * 2;
        for (name, aged) in [
            (".a.json.0123456789abcdef.tmp", true),
            (".b.json.0123456789abcdef.tmp", false),
            (".c.json.0123456789abcde.tmp", true),
            ("d.tmp", true),
            (".nfs0000000000000001", true),
        ] {
            let file = File::create(directory.path().join(name)).unwrap();
            if aged {
                file.set_modified(old).unwrap();
            }
        }
        sweep(directory.path());
        let left = [
            ".b.json.0123456789abcdef.tmp",
            ".c.json.0123456789abcde.tmp",
            ".nfs0000000000000001",
            "d.tmp",
        ];
        assert_eq!(names(directory.path()), left);
    }

    #[test]
    fn a_lock_is_one_holders_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = lock(&path).unwrap();
        assert!(held.is_some() && lock(&path).unwrap().is_none());
        drop(held);
        assert!(lock(&path).unwrap().is_some());
        let error = lock(&directory.path().join("no/lock")).unwrap_err();
        assert!(error.to_string().contains("no/lock"), "{error}");
    }

    #[test]
    fn a_private_directory_is_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let (new, old) = (directory.path().join("new"), directory.path().join("old"));
        std::fs::create_dir(&old).unwrap();
        std::fs::set_permissions(&old, Permissions::from_mode(0o755)).unwrap();
        for path in [&new, &old] {
            make_private_directory(path).unwrap();
            assert_eq!(mode(path), 0o700);
        }
        // What is stricter stays so.
        std::fs::set_permissions(&old, Permissions::from_mode(0o500)).unwrap();
        make_private_directory(&old).unwrap();
        assert_eq!(mode(&old), 0o500);
    }

    #[test]
    fn directories_are_made_and_errors_name_them() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c");
        make_directory(&deep, 0o700).unwrap();
        make_directory(&deep, 0o700).unwrap();
        assert!(deep.is_dir());
        std::fs::write(directory.path().join("file"), b"").unwrap();
        let error = make_directory(&directory.path().join("file/x"), 0o700).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
