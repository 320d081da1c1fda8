//! Lists a bucket's multipart uploads.

use super::files::{self, Is, error};
use super::store::{Store, is_random_name};
use super::upload::read;
use crate::backend::{ListedUpload, UploadPage};
use crate::s3::Error;
use crate::s3::call::ListMultipartUploads;

/// One page of uploads, by key and then by time.
pub(super) fn list(store: &Store, call: &ListMultipartUploads) -> Result<UploadPage, Error> {
    drop(store.bucket(&call.bucket)?);
    drop(store.inside(&call.bucket, "uploads")?);
    let path = format!("buckets/{}/uploads", call.bucket);
    let names = files::names(store.root(), &path).map_err(|e| error("list uploads", e))?;
    let mut all = Vec::new();
    for (id, is) in names {
        if is != Is::Directory || !is_random_name(&id) {
            store
                .faults
                .foreign(&format!("{path}/{id}"), "no upload's name or kind");
            continue;
        }
        // One that was removed meanwhile is none; one that is damaged has lost its key, so that nobody
        // can name it, and must not hide the others.
        let Some(record) = read(store, &call.bucket, &id)?.sound() else {
            continue;
        };
        if record.key.starts_with(&call.prefix) {
            all.push((record.key.clone(), record.initiated, id, record));
        }
    }
    all.sort_by(|a, b| (a.0.as_bytes(), a.1, &a.2).cmp(&(b.0.as_bytes(), b.1, &b.2)));
    let mut page = UploadPage::default();
    let mut behind = call.upload_id_marker.is_none();
    for (key, _, id, record) in all {
        if let Some(marker) = &call.key_marker {
            if key.as_bytes() < marker.as_bytes()
                || (key == *marker && call.upload_id_marker.is_none())
            {
                continue;
            }
            if key == *marker && !behind {
                behind = call.upload_id_marker.as_ref() == Some(&id);
                continue;
            }
        }
        let rest = key.strip_prefix(&call.prefix).unwrap_or_default();
        let common = call
            .delimiter
            .as_ref()
            .and_then(|d| rest.find(d.as_str()).map(|at| at.saturating_add(d.len())));
        let common = common.and_then(|end| Some(format!("{}{}", call.prefix, rest.get(..end)?)));
        if let Some(common) = &common {
            let told = call
                .key_marker
                .as_ref()
                .is_some_and(|marker| common.as_bytes() <= marker.as_bytes());
            if told || page.common_prefixes.last() == Some(common) {
                continue;
            }
        }
        let count = page
            .uploads
            .len()
            .saturating_add(page.common_prefixes.len());
        if count >= call.max_uploads as usize {
            let upload = page
                .uploads
                .last()
                .map(|u| (u.key.clone(), u.upload_id.clone()));
            let rolled = page
                .common_prefixes
                .last()
                .map(|p| (p.clone(), String::new()));
            page.next = match (upload, rolled) {
                (Some(upload), Some(rolled)) => {
                    Some(if upload.0 > rolled.0 { upload } else { rolled })
                }
                (one, other) => one.or(other),
            };
            break;
        }
        match common {
            Some(common) => page.common_prefixes.push(common),
            None => page.uploads.push(ListedUpload {
                key,
                upload_id: id,
                initiated: record.begun(),
                checksum: record.checksum(),
            }),
        }
    }
    Ok(page)
}
