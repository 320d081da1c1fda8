//! Buckets: made whole or not at all, out of reach before anything of them is removed.

use std::os::fd::AsFd as _;

use rustix::io::Errno;
use time::OffsetDateTime;

use super::collect;
use super::files::{self, Is, Look, LookAtFile, error};
use super::name::{Kind, Level, decode};
use super::opened::Trouble;
use super::store::{Store, is_random_name, no_bucket, random_name};
use super::upload::{self, Found, part_number};
use crate::s3::{BucketName, Error, ErrorCode};

/// A bucket's directories.
pub(super) const DIRECTORIES: [&str; 4] = ["objects", "uploads", "parts", "tmp"];

/// What may be a bucket, and why it could not be looked at.
pub(super) type Looked = (BucketName, Result<(), Errno>);

/// Where what is not the store's goes when the bucket around it is removed.
const FOREIGN: &str = "foreign";

impl Store {
    /// Makes a bucket, whole or not at all.
    pub(super) fn create_bucket(
        &self,
        bucket: &BucketName,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let staged = format!("staging/{}", random_name()?);
        match self.build_bucket(bucket, &staged, now) {
            Ok(()) => Ok(()),
            Err(errno) => {
                self.clear_away(&staged);
                Err(match errno {
                    Errno::NOTEMPTY | Errno::EXIST => {
                        // Who asks again may do so because the first time could not be made durable.
                        self.make_bucket_durable(bucket)?;
                        ErrorCode::BucketAlreadyOwnedByYou.into()
                    }
                    // Something that is no directory stands in its place.
                    Errno::NOTDIR => {
                        let path = format!("buckets/{bucket}");
                        self.faults.foreign(&path, "no bucket's name or kind");
                        Trouble::Foreign { path }.into()
                    }
                    errno => error("make a bucket", errno),
                })
            }
        }
    }

    fn build_bucket(
        &self,
        bucket: &BucketName,
        staged: &str,
        now: OffsetDateTime,
    ) -> Result<(), Errno> {
        self.make(staged)?;
        for name in DIRECTORIES {
            self.make(&format!("{staged}/{name}"))?;
        }
        let file = files::create_file(self.root(), &format!("{staged}/created"))?;
        let created = now.unix_timestamp_nanos().to_string();
        files::write_all(file.as_fd(), created.as_bytes())?;
        files::sync(file.as_fd())?;
        files::sync(files::open_directory(self.root(), staged)?.as_fd())?;
        let buckets = files::open_directory(self.root(), "buckets")?;
        // A bucket that is there is not empty, so it is never replaced.
        files::rename(self.root(), staged, buckets.as_fd(), bucket.as_str())?;
        files::sync(buckets.as_fd())
    }

    /// Makes a directory, durably.
    fn make(&self, path: &str) -> Result<(), Errno> {
        let (parent, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
        let parent = files::open_directory(self.root(), parent)?;
        files::make_directory(parent.as_fd(), name)?;
        files::sync(parent.as_fd())
    }

    /// Removes a bucket that has no object. What of it is damaged or foreign goes to `foreign`.
    pub(super) fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        drop(self.bucket(bucket)?);
        let away = format!("staging/{}", random_name()?);
        let objects = format!("buckets/{bucket}/objects");
        let is_empty = || match self.holds_object(&objects)? {
            true => Err(Error::from(ErrorCode::BucketNotEmpty)),
            false => Ok(()),
        };
        let buckets =
            files::open_directory(self.root(), "buckets").map_err(|e| error("open", e))?;
        is_empty()?;
        // Before the lock, which buckets share: there may be very many uploads to look into. What is made
        // until then is this process's own, and can be looked into.
        self.check_readable(bucket)?;
        {
            let _alone = self.removing(bucket);
            is_empty()?;
            match files::rename(buckets.as_fd(), bucket.as_str(), self.root(), &away) {
                Ok(()) => {
                    self.tree.forget(&objects);
                    self.uploads.forget(bucket);
                    self.unsee(bucket);
                }
                Err(Errno::NOENT) => return Err(no_bucket(bucket)),
                Err(errno) => return Err(error("remove a bucket", errno)),
            }
        }
        files::sync(buckets.as_fd()).map_err(|e| error("fsync", e))?;
        // It is gone. What is left of it is the collector's, should this fail.
        self.clear_away(&away);
        Ok(())
    }

    /// That what a bucket has beside its objects can be looked into: what cannot be told is not removed.
    fn check_readable(&self, bucket: &BucketName) -> Result<(), Error> {
        let is_directory = |path: &str| match files::look_into(self.root(), path) {
            Ok(Look::Directory(_)) => Ok(true),
            Ok(Look::Nothing | Look::Foreign(_)) => Ok(false),
            Err(errno) => {
                self.faults.refused(path, errno);
                Err(error("look into a bucket", errno))
            }
        };
        for name in ["uploads", "parts", "tmp"] {
            let path = format!("buckets/{bucket}/{name}");
            if !is_directory(&path)? {
                continue;
            }
            let names = files::names(self.root(), &path);
            for (name, is) in names.map_err(|e| error("look into a bucket", e))? {
                if is == Is::Directory && is_random_name(&name) {
                    is_directory(&format!("{path}/{name}"))?;
                }
            }
        }
        Ok(())
    }

    /// Removes what is below `staging` and was the store's; what was not stays, out of the way.
    pub(super) fn clear_away(&self, path: &str) {
        if let Err(errno) = self.remove_ours(path) {
            tracing::warn!(%errno, path, "what is not needed cannot be removed");
        }
    }

    fn remove_ours(&self, path: &str) -> Result<(), Errno> {
        let (parent, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
        let staging = files::open_directory(self.root(), parent)?;
        match files::stat_entry(staging.as_fd(), name) {
            Ok(stat) if files::is_directory(&stat) => {}
            Ok(stat) if files::is_file(&stat) => {
                return files::remove_file(staging.as_fd(), name);
            }
            Ok(_) => {
                self.faults.foreign(path, "nothing that was being made");
                return Ok(());
            }
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        let directory = files::open_directory(self.root(), path)?;
        let names = files::names(self.root(), path)?;
        // First: what is left of it, a link in a directory's place or what could not be seen, may have
        // objects behind it that name parts.
        let objects = format!("{path}/objects");
        if names.contains(&("objects".to_owned(), Is::Directory)) {
            self.remove_empty(&objects, Level::default())?;
        }
        let without_objects = self.is_gone(&objects)?;
        for (entry, is) in names {
            let below = format!("{path}/{entry}");
            match (entry.as_str(), is) {
                ("uploads", Is::Directory) => self.remove_made(&below, is_known_upload)?,
                ("parts", Is::Directory) if without_objects => {
                    self.remove_made(&below, are_parts_of_one)?;
                }
                ("tmp", Is::Directory) => self.remove_temporary(&below)?,
                ("created", Is::File) => files::remove_file(directory.as_fd(), &entry)?,
                _ => {}
            }
        }
        self.remove_parts(path)?;
        match files::remove_directory(staging.as_fd(), name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => self.keep_foreign(path, name),
            Err(errno) => Err(errno),
        }
    }

    /// Moves what nobody here made, or what is damaged, to where it is in nobody's way.
    pub(super) fn keep_foreign(&self, path: &str, name: &str) -> Result<(), Errno> {
        if files::make_directory(self.root(), FOREIGN)? {
            files::sync(self.root())?;
        }
        let to = files::open_directory(self.root(), FOREIGN)?;
        files::rename(self.root(), path, to.as_fd(), name)?;
        // There before it is gone where it was, whatever happens in between.
        files::sync(to.as_fd())?;
        let kept = format!("{FOREIGN}/{name}");
        self.faults.foreign(
            &kept,
            "what is left of a bucket or upload that was removed: damaged, or not the store's",
        );
        Ok(())
    }

    /// Removes directories of objects that are empty, and no object.
    fn remove_empty(&self, path: &str, level: Level) -> Result<(), Errno> {
        for (name, is) in files::names(self.root(), path)? {
            if let (Some((kind @ (Kind::Directory | Kind::Piece), _)), Is::Directory) =
                (decode(level, name.as_bytes()), is)
            {
                self.remove_empty(&format!("{path}/{name}"), level.below(kind))?;
            }
        }
        self.remove_if_empty(path)
    }

    /// Removes uploads or directories of parts that `is_proved` shows to be garbage without their bucket;
    /// what is damaged stays. What has such a name and is no directory, or stands in one and is no part, is
    /// not the store's.
    fn remove_made(
        &self,
        path: &str,
        is_proved: fn(&Self, &str) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        for (name, is) in files::names(self.root(), path)? {
            if is != Is::Directory || !is_random_name(&name) {
                continue;
            }
            let below = format!("{path}/{name}");
            if is_proved(self, &below)? {
                self.remove_parts(&below)?;
            }
            self.remove_if_empty(&below)?;
        }
        self.remove_if_empty(path)
    }

    /// Removes an upload's record and parts.
    fn remove_parts(&self, path: &str) -> Result<(), Errno> {
        let directory = files::open_directory(self.root(), path)?;
        for (name, is) in files::names(self.root(), path)? {
            if is == Is::File && (name == "upload" || part_number(&name).is_some()) {
                files::remove_file(directory.as_fd(), &name)?;
            }
        }
        Ok(())
    }

    fn remove_temporary(&self, path: &str) -> Result<(), Errno> {
        let directory = files::open_directory(self.root(), path)?;
        for (name, is) in files::names(self.root(), path)? {
            if is == Is::File && is_random_name(&name) {
                files::remove_file(directory.as_fd(), &name)?;
            }
        }
        self.remove_if_empty(path)
    }

    fn remove_if_empty(&self, path: &str) -> Result<(), Errno> {
        let (parent, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
        let parent = files::open_directory(self.root(), parent)?;
        match files::remove_directory(parent.as_fd(), name) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// When a bucket was created; `None` for one that does not say.
    pub(super) fn created(&self, bucket: &BucketName) -> Result<Option<OffsetDateTime>, Error> {
        let path = format!("buckets/{bucket}/created");
        let failed = |errno| error("read when a bucket was created", errno);
        let (file, stat) = match files::look_at_file(self.root(), &path).map_err(failed)? {
            LookAtFile::File(file, stat) => (file, stat),
            // The bucket is there all the same: it is told of, without its time.
            LookAtFile::Nothing => {
                let is_gone = self.is_gone(&format!("buckets/{bucket}"));
                if !is_gone.map_err(failed)? {
                    self.faults.damaged(&path, "it is missing");
                }
                return Ok(None);
            }
            LookAtFile::Foreign(at) => {
                self.faults
                    .foreign(at, "no regular file, in a file's place");
                return Ok(None);
            }
        };
        let length = usize::try_from(files::length(&stat).min(64)).unwrap_or(0);
        let bytes = files::read_at(file.as_fd(), 0, length).map_err(failed)?;
        let read = |text: &str| {
            let nanoseconds = text.trim().parse().ok()?;
            OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()
        };
        let created = std::str::from_utf8(&bytes).ok().and_then(read);
        if created.is_none() {
            self.faults.damaged(&path, "it is no time");
        }
        Ok(created)
    }

    fn is_gone(&self, path: &str) -> Result<bool, Errno> {
        match files::stat_entry(self.root(), path) {
            Ok(_) => Ok(false),
            Err(Errno::NOENT) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    /// Every bucket's name. Of what may be one, and cannot be looked at, nobody knows: that is an error.
    pub(super) fn buckets(&self) -> Result<Vec<BucketName>, Error> {
        let mut lost = Vec::new();
        let mut buckets = Vec::new();
        for (bucket, looked) in self.look_at_buckets(&mut lost)? {
            looked.map_err(|errno| error("look at a bucket", errno))?;
            buckets.push(bucket);
        }
        // It is told of by its name, as every request for it is told that it is damaged.
        buckets.append(&mut lost);
        buckets.sort_unstable();
        Ok(buckets)
    }

    /// The name of every bucket that has its objects, in order, and why one could not be looked at: there
    /// may be none then.
    pub(super) fn each_bucket(&self) -> Result<Vec<Looked>, Error> {
        self.look_at_buckets(&mut Vec::new())
    }

    /// The same; the names of buckets without their objects go to `lost`.
    fn look_at_buckets(&self, lost: &mut Vec<BucketName>) -> Result<Vec<Looked>, Error> {
        let names = files::names(self.root(), "buckets");
        let mut buckets = Vec::new();
        for (name, is) in names.map_err(|errno| error("list buckets", errno))? {
            let path = format!("buckets/{name}");
            let (Ok(bucket), Is::Directory) = (BucketName::parse(&name), is) else {
                self.faults.foreign(&path, "no bucket's name or kind");
                continue;
            };
            match self.is_bucket(&path) {
                Ok(Stands::Bucket) => buckets.push((bucket, Ok(()))),
                Ok(Stands::Lost) => lost.push(bucket),
                Ok(Stands::None) => {}
                Err(errno) => {
                    self.faults.refused(&path, errno);
                    buckets.push((bucket, Err(errno)));
                }
            }
        }
        buckets.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(buckets)
    }

    fn is_bucket(&self, path: &str) -> Result<Stands, Errno> {
        let objects = format!("{path}/objects");
        if let Look::Directory(_) = files::look_into(self.root(), &objects)? {
            return Ok(Stands::Bucket);
        }
        let names = match files::names(self.root(), path) {
            // Removed since it was seen.
            Err(Errno::NOENT) => return Ok(Stands::None),
            names => names?,
        };
        let of_bucket = |(name, is): &(String, Is)| match is {
            Is::Directory => DIRECTORIES.contains(&name.as_str()),
            Is::File => name == "created",
            Is::Other => false,
        };
        if !names.iter().any(of_bucket) {
            self.faults
                .foreign(path, "no bucket: it has nothing of one");
            return Ok(Stands::None);
        }
        // Removed and made again since. A bucket comes to its name whole, and goes so.
        if names.contains(&("objects".to_owned(), Is::Directory)) {
            return Ok(Stands::Bucket);
        }
        self.faults
            .damaged(&objects, "the objects of a bucket are missing");
        Ok(Stands::Lost)
    }
}

/// What a directory with a bucket's name is.
enum Stands {
    Bucket,
    /// A bucket without its objects.
    Lost,
    /// Nothing, or nothing of the store's.
    None,
}

/// Whether an upload says of itself what it is: then it ends with its bucket.
fn is_known_upload(store: &Store, path: &str) -> Result<bool, Errno> {
    let record = format!("{path}/upload");
    match upload::read_record(store, &record)? {
        Found::Sound(_) => Ok(true),
        Found::Damaged => Ok(false),
        Found::Nothing => {
            let names = files::names(store.root(), path)?;
            if !names.is_empty() {
                let what = "an upload's record is missing";
                store.faults.damaged(&record, what);
            }
            Ok(false)
        }
    }
}

/// Whether parts say that they were one object's, of which there is none without its bucket.
fn are_parts_of_one(store: &Store, path: &str) -> Result<bool, Errno> {
    let owners = collect::owners_at(store, path, true)?;
    Ok(!owners.unclear && owners.keys.len() <= 1)
}
