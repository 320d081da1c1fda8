//! Open uploads: what each was opened with, its parts, and whether it has been completed.

use super::repair::Aside;
use super::{Fsck, Kind};
use crate::backend::disk::collect;
use crate::backend::disk::files::Is;
use crate::backend::disk::opened::Trouble;
use crate::backend::disk::store::is_random_name;
use crate::backend::disk::upload::{self, Found, directory};
use crate::backend::disk::verify::{self, File};
use crate::s3::BucketName;

impl Fsck<'_> {
    pub(super) fn uploads(&mut self, bucket: &BucketName) {
        let above = format!("buckets/{bucket}/uploads");
        self.each(&above, |fsck, name, is| {
            match is == Is::Directory && is_random_name(name) {
                true => fsck.one_upload(bucket, name),
                false => fsck.tell_foreign(&format!("{above}/{name}"), "no upload's name or kind"),
            }
        });
    }

    fn one_upload(&mut self, bucket: &BucketName, id: &str) {
        self.summary.uploads = self.summary.uploads.saturating_add(1);
        let path = directory(bucket, id);
        let record = match upload::read(&self.store, bucket, id) {
            Ok(Found::Sound(record)) => record,
            Ok(Found::Nothing) => return self.upload_is_lost(&path, "its record is missing"),
            Ok(Found::Damaged) => return self.upload_is_lost(&path, "its record is damaged"),
            Err(error) => return self.tell_unreadable(&path, "read an upload", error),
        };
        match collect::completed(&self.store, bucket, id, &record.key) {
            Ok(Some(completed)) => {
                let remedy = "the next start removes it, or --repair";
                let what = "an upload that was completed";
                let mut problem = self.problem(Kind::Leftover, &path, what, remedy);
                problem.key = Some(record.key.clone());
                self.mend(problem, true, |fsck| {
                    collect::remove_completed(&fsck.store, &completed)
                        .map_err(|error| error.to_string())?;
                    fsck.is_gone(&path)
                });
                return;
            }
            // Of a damaged object, or one that something foreign stands for, nobody knows what completed
            // it: the upload stays.
            Ok(None) | Err(Trouble::Damaged { .. } | Trouble::Foreign { .. }) => {}
            Err(Trouble::Io(what, errno)) => return self.tell_unreadable(&path, what, errno),
        }
        self.each(&path, |fsck, name, is| {
            match is == Is::File && upload::part_number(name).is_some() {
                true => fsck.one_part(&format!("{path}/{name}"), &record.key),
                false if name == "upload" => {}
                false => fsck.tell_foreign(&format!("{path}/{name}"), "no part's name or kind"),
            }
        });
    }

    fn one_part(&mut self, path: &str, key: &str) {
        self.summary.parts = self.summary.parts.saturating_add(1);
        let store = self.store.clone();
        let read = verify::file(&store, path, &mut |bytes| self.read(bytes));
        let flaw = match read {
            Ok(File::Sound(opened)) => match verify::part(path, &opened, key) {
                Ok(()) => return,
                Err(flaw) => flaw,
            },
            Ok(File::Absent) => {
                return self.tell_unreadable(
                    path,
                    "open a part",
                    "it was listed, and is not there",
                );
            }
            Ok(File::Stopped) => return,
            Err(flaw) => flaw,
        };
        let mut problem = self.flawed(flaw, Some(key));
        if problem.kind == Kind::Unreadable {
            return self.tell(&problem);
        }
        problem.remedy = "send the part again; --repair moves it aside";
        self.set_aside(problem, path);
    }

    /// Nobody can name it any more.
    fn upload_is_lost(&mut self, path: &str, what: &str) {
        let remedy = "its client has to begin again; --repair moves it aside";
        let problem = self.problem(Kind::Damaged, path, what, remedy);
        self.set_aside(problem, path);
    }

    fn set_aside(&mut self, problem: super::Problem, path: &str) {
        if !self.repair {
            return self.tell(&problem);
        }
        self.aside.push(Aside {
            problem,
            paths: vec![path.to_owned()],
            object: None,
        });
    }
}
