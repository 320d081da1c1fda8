//! Lists a bucket's multipart uploads, by the index that the store remembers, and no further than the page
//! goes. What rolls up into one common prefix is skipped at once.

use super::index::Position;
use super::list::behind;
use super::store::{Store, is_random_name};
use super::upload::{self, Found};
use crate::backend::{ListedUpload, UploadPage};
use crate::s3::Error;
use crate::s3::call::ListMultipartUploads;
use time::OffsetDateTime;

/// How many uploads are taken at first, and behind those that were skipped: most often few are needed.
const FEW: usize = 16;

/// One page of uploads, by key and then by time.
pub(super) fn list(store: &Store, call: &ListMultipartUploads) -> Result<UploadPage, Error> {
    drop(store.bucket(&call.bucket)?);
    drop(store.inside(&call.bucket, "uploads")?);
    let mut page = UploadPage::default();
    let most = call.max_uploads as usize;
    let (mut told, mut last) = (0_usize, None);
    let (mut from, mut take) = (Some(start(store, call)?), FEW);
    if most == 0 {
        return Ok(page);
    }
    while let Some(at) = from.take() {
        let needed = most.saturating_sub(told).saturating_add(1);
        let found = store
            .uploads
            .page(store, &call.bucket, &at, take.min(needed))?;
        (from, take) = (found.next, take.saturating_mul(8));
        for (position, checksum) in found.entries {
            if !position.key.starts_with(call.prefix.as_bytes()) {
                return Ok(page);
            }
            let key = String::from_utf8(position.key.to_vec()).map_err(Error::internal)?;
            let common = common_prefix(call, &key).map(str::to_owned);
            if let Some(common) = &common {
                (from, take) = (behind(common.as_bytes()).map(|k| Position::first(&k)), FEW);
                let marker = call.key_marker.as_ref();
                if marker.is_some_and(|m| common.as_bytes() <= m.as_bytes()) {
                    break;
                }
            }
            if told >= most {
                page.next = last;
                return Ok(page);
            }
            told = told.saturating_add(1);
            if let Some(common) = common {
                last = Some((common.clone(), String::new()));
                page.common_prefixes.push(common);
                break;
            }
            let upload = ListedUpload {
                upload_id: position.id(),
                initiated: OffsetDateTime::from_unix_timestamp_nanos(position.initiated)
                    .unwrap_or(OffsetDateTime::UNIX_EPOCH),
                checksum,
                key,
            };
            last = Some((upload.key.clone(), upload.upload_id.clone()));
            page.uploads.push(upload);
        }
    }
    Ok(page)
}

/// The part of a key up to the delimiter behind the prefix.
fn common_prefix<'k>(call: &ListMultipartUploads, key: &'k str) -> Option<&'k str> {
    let delimiter = call.delimiter.as_ref()?;
    let at = key.strip_prefix(&call.prefix)?.find(delimiter.as_str())?;
    let end = call.prefix.len().saturating_add(at);
    key.get(..end.saturating_add(delimiter.len()))
}

/// Where a page begins.
fn start(store: &Store, call: &ListMultipartUploads) -> Result<Position, Error> {
    let first = Position::first(call.prefix.as_bytes());
    let Some(key) = &call.key_marker else {
        return Ok(first);
    };
    let behind = match &call.upload_id_marker {
        Some(id) if is_random_name(id) => behind_upload(store, call, key, id)?,
        // Behind a common prefix there is no id.
        _ => Position::behind_key(key.as_bytes()),
    };
    Ok(first.max(behind))
}

/// Right behind the upload `id` of `key`, which may have ended meanwhile. Where it stood is known of those
/// that ended lately; else the key's uploads are told again, rather than one of them never.
fn behind_upload(
    store: &Store,
    call: &ListMultipartUploads,
    key: &str,
    id: &str,
) -> Result<Position, Error> {
    let stood = match upload::read(store, &call.bucket, id)? {
        Found::Sound(record) => Position::of(id, &record),
        Found::Nothing | Found::Damaged => {
            store.uploads.ended(&upload::record_path(&call.bucket, id))
        }
    };
    Ok(match stood {
        Some(stood) if *stood.key == *key.as_bytes() => stood.next(),
        // Another key's upload stands nowhere among this key's.
        Some(_) => Position::behind_key(key.as_bytes()),
        None => Position::first(key.as_bytes()),
    })
}
