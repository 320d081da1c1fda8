//! What the configuration names in the file system: looked at, and nothing made or locked.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Builder, Tls, file};
use crate::audit;
use crate::backend::disk;
use crate::config::words::read_text;
use crate::listener::{Certificates, client_verifier};

/// What the gateway keeps in its data directory.
const GATEWAYS: [&str; 4] = ["env.sh", "lock", "state", "tls"];

/// A path without links and dots, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in whole.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), whole.strip_prefix(there)) {
            return real.join(rest);
        }
    }
    whole
}

/// Kernels' own views of themselves, in which nobody keeps files: `/proc` and `/sys`, by their magic numbers.
const VIEWS: [u64; 2] = [0x9fa0, 0x6265_6572];

/// Why no directory can be at `path`, by the file system that it is or would be on. What is there already on one
/// that is read only is served for reading.
fn unwritable(path: &Path) -> Option<&'static str> {
    let path = resolved(path);
    let there = path.ancestors().find(|there| there.exists())?;
    let is_there = there == path;
    let (of, flags) = (
        rustix::fs::statfs(there).ok()?,
        rustix::fs::statvfs(there).ok()?,
    );
    match VIEWS
        .iter()
        .any(|magic| u64::try_from(of.f_type).is_ok_and(|found| found == *magic))
    {
        true => Some("it is on a file system of the kernel's, which keeps no files"),
        false if !is_there && flags.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) => {
            Some("it is on a file system that is mounted to be read only")
        }
        false => None,
    }
}

impl Builder<'_> {
    /// A path that the configuration names, from where the file is; `None` where there is none, which is told.
    pub(in crate::config) fn path(&mut self, key: &str, path: &Path) -> Option<PathBuf> {
        match path.as_os_str().is_empty() {
            true => {
                self.tell(key, "the path is empty".to_owned());
                None
            }
            false => Some(self.base.join(path)),
        }
    }

    /// The text of a file that the configuration names.
    pub(in crate::config) fn read(&mut self, key: &str, path: &Path) -> Option<String> {
        let path = self.path(key, path)?;
        let text = read_text(&path);
        let text = text.map_err(|why| self.tell(key, format!("`{}`: {why}", path.display())));
        self.watched.push(path);
        text.ok()
    }

    /// Looks whether a file is there that is read later.
    pub(in crate::config) fn is_file(&mut self, key: &str, path: &Path) -> bool {
        let wrong = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => return true,
            Ok(_) => "it is not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        self.tell(key, format!("`{}`: {wrong}", path.display()));
        false
    }

    /// Looks whether a directory is there or can be made. Whether this process may is another's business: who
    /// checks is seldom who serves.
    pub(super) fn is_directory(&mut self, key: &str, path: &Path) {
        let wrong = match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => "it is not a directory",
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                "one of the directories it is in is none"
            }
            Ok(_) | Err(_) => match unwritable(path) {
                Some(wrong) => wrong,
                None => return,
            },
        };
        self.tell(key, format!("`{}`: {wrong}", path.display()));
    }

    /// Looks whether the disk's store at `path` and the directory of the gateway's own files can be where they
    /// are: neither may be where the other keeps, or empties, what is its own.
    pub(super) fn apart(&mut self, key: &str, path: &Path, data: &Path) {
        let (store, own) = (resolved(path), resolved(data));
        let within = |inner: &Path, outer: &Path, names: &[&str]| {
            let below = inner.strip_prefix(outer).ok();
            let first = below.and_then(|below| below.components().next());
            first.is_some_and(|first| names.iter().any(|name| first.as_os_str() == *name))
        };
        let data = data.display();
        let what = match () {
            () if store == own => format!("it is `data`, `{data}`, itself"),
            () if within(&store, &own, &GATEWAYS) => {
                format!("it is where the gateway keeps files of its own in `data`, `{data}`")
            }
            () if within(&own, &store, &disk::ENTRIES) => {
                format!("`data`, `{data}`, is where the store keeps objects")
            }
            () => return,
        };
        let path = path.display();
        self.tell(
            key,
            format!(
                "`{path}`: {what}; give the store a directory of its own, as in `objects` in `data`"
            ),
        );
    }

    /// Where events go; `data` is made at a start.
    pub(super) fn audit(
        &mut self,
        written: Option<&file::AuditOutput>,
        data: &Path,
    ) -> audit::Output {
        let key = "audit.output";
        let path = match written {
            None => return audit::Output::Off,
            Some(file::AuditOutput::Named(name)) => match name.as_str() {
                "stdout" => return audit::Output::Stdout,
                "off" => return audit::Output::Off,
                _ => None,
            },
            Some(file::AuditOutput::Table(table)) => table.get("file").filter(|_| table.len() == 1),
        };
        let Some(path) = path else {
            let what = "give `\"stdout\"`, `\"off\"` or `{ file = \"…\" }`";
            self.tell(key, what.to_owned());
            return audit::Output::Off;
        };
        let Some(path) = self.path(key, path) else {
            return audit::Output::Off;
        };
        let made = [data.to_owned(), data.join("state")];
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        let missing = std::fs::metadata(parent).is_err_and(|error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        });
        if self.opens && missing && !made.iter().any(|made| made == parent) {
            let what = format!(
                "`{}`: the directory `{}` is not there",
                path.display(),
                parent.display()
            );
            self.tell(key, what);
        }
        if self.opens && path.is_dir() {
            self.tell(key, format!("`{}`: it is a directory", path.display()));
        }
        audit::Output::File(path)
    }

    pub(super) fn tls(&mut self, tls: &file::Tls) -> Tls {
        let mut named = |name: &str, path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            self.path(&format!("listener.tls.{name}"), path)
        };
        let certificate = named("certificate", &tls.certificate);
        let key = named("key", &tls.key);
        let client_ca = named("client_ca", &tls.client_ca);
        if tls.certificate.is_some() != tls.key.is_some() {
            let what = "`certificate` and `key` go together";
            self.tell("listener.tls", what.to_owned());
        }
        let only_1_3 = match tls.minimum_version.as_deref() {
            None | Some("1.2") => false,
            Some("1.3") => true,
            Some(other) => {
                let what = format!("`{other}` is neither `1.2` nor `1.3`");
                self.tell("listener.tls.minimum_version", what);
                false
            }
        };
        let asks = "listener.tls.client_certificates";
        let client_may_be_without = match tls.client_certificates.as_deref() {
            Some(_) if tls.client_ca.is_none() => {
                let what = "it needs `client_ca`, which says where they must come from";
                self.tell(asks, what.to_owned());
                false
            }
            None | Some("required") => false,
            Some("optional") => true,
            Some(other) => {
                let what = format!("`{other}` is neither `required` nor `optional`");
                self.tell(asks, what);
                false
            }
        };
        let tls = Tls {
            files: certificate.zip(key),
            only_1_3,
            client_ca,
            client_may_be_without,
        };
        if self.opens {
            self.opens_tls(&tls);
        }
        tls
    }

    /// Reads what a listener reads.
    fn opens_tls(&mut self, tls: &Tls) {
        if let Some((certificate, key)) = &tls.files {
            let certified = self.is_file("listener.tls.certificate", certificate);
            let has_key = self.is_file("listener.tls.key", key);
            if certified
                && has_key
                && let Err(error) = Certificates::load(certificate, key)
            {
                let place = match error.is_of_key() {
                    true => "listener.tls.key",
                    false => "listener.tls.certificate",
                };
                self.tell(place, error.to_string());
            }
        }
        let place = "listener.tls.client_ca";
        if let Some(ca) = &tls.client_ca
            && self.is_file(place, ca)
            && let Err(error) = client_verifier(ca, tls.client_may_be_without)
        {
            self.tell(place, error.to_string());
        }
    }
}
