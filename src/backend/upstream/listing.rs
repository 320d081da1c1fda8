//! Listings: objects, uploads and parts, page by page, with a route's key prefix taken off again.
//!
//! `encoding-type=url` is always asked for, so that any key survives XML; what the client asked for
//! is none of the upstream's business.

use super::client::Client;
use super::error::{About, Error};
use super::exchange::Sending;
use super::mapping::Place;
use super::request::Outgoing;
use super::response::checksum_in;
use super::xml::{Element, url_decode};
use crate::backend::{ListedObject, ListedPart, ListedUpload, ObjectPage, PartPage, UploadPage};
use crate::s3::call::{ListMultipartUploads, ListObjects, ListParts};
use crate::s3::{self, ChecksumAlgorithm, ChecksumType, ETag};
use http::Method;

/// Pages of which nothing is left before an upstream is taken to go round in circles.
const MAX_EMPTY: usize = 8;
/// Sorts behind every key of a group that is rolled up.
const LAST: char = '\u{10ffff}';

/// ListObjectsV2, whichever version the client speaks: its `start-after` is the version's one way
/// to go on that means the same everywhere.
pub(super) async fn objects(
    client: Client<'_>,
    place: Place<'_>,
    call: &ListObjects,
) -> Result<ObjectPage, s3::Error> {
    let prefix = place.key(&call.prefix);
    let after = call.after.as_deref();
    let delimiter = call.delimiter.as_deref().filter(|d| !d.is_empty());
    let mut start = after.map(|after| behind(after, &call.prefix, delimiter));
    for _ in 0..MAX_EMPTY {
        let request = Outgoing::bucket(Method::GET, place)
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("max-keys", call.max_keys.max(1).to_string())
            .maybe_query("delimiter", delimiter)
            .maybe_query("prefix", Some(prefix.as_ref()).filter(|p| !p.is_empty()))
            .maybe_query(
                "start-after",
                start.as_deref().map(|s| place.key(s).into_owned()),
            );
        let answer = client.send(&request, Sending::Nothing).await?;
        let root = answer.named(About::Bucket, "ListBucketResult").await?;
        if call.max_keys == 0 {
            return Ok(ObjectPage::default());
        }
        let names = Names::of(&root, place);
        let truncated = root.flag("IsTruncated")?;
        let mut page = ObjectPage::default();
        // The last entry there, also of what is dropped here.
        let mut last: Option<String> = None;
        for entry in root.all("Contents") {
            let Some(key) = names.ours(entry.filled("Key")?)? else {
                continue;
            };
            last = last.max(Some(key.clone()));
            if after.is_none_or(|after| key.as_str() > after) && key.starts_with(&call.prefix) {
                page.objects.push(listed_object(client, entry, key)?);
            }
        }
        for entry in root.all("CommonPrefixes") {
            let Some(group) = names.ours(entry.filled("Prefix")?)? else {
                continue;
            };
            last = last.max(Some(group.clone()));
            if after.is_none_or(|after| group.as_str() > after) && group.starts_with(&call.prefix) {
                page.common_prefixes.push(group);
            }
        }
        if !truncated {
            if root
                .get("NextContinuationToken")
                .is_some_and(|t| !t.is_empty())
            {
                return Err(Error::garbage("a last page that says where the next begins").into());
            }
            page.objects.sort_by(|a, b| a.key.cmp(&b.key));
            page.common_prefixes.sort();
            return Ok(page);
        }
        // The next page is asked for by the last name of this one: in another order, names between
        // would never be told.
        let ordered = page.objects.is_sorted_by(|a, b| a.key <= b.key);
        if !ordered || !page.common_prefixes.is_sorted() {
            return Err(Error::garbage("a page that is not in order").into());
        }
        let last = last.ok_or_else(|| Error::garbage("an empty page that more is to follow"))?;
        let kept = !page.objects.is_empty() || !page.common_prefixes.is_empty();
        if kept {
            page.next = Some(last);
            return Ok(page);
        }
        // Everything on this page was seen before; the next one starts behind it.
        start = Some(behind(&last, &call.prefix, delimiter));
    }
    Err(Error::garbage("its listing does not move on").into())
}

/// Where to start so that nothing up to and including `after` comes again: behind its whole group
/// when it lies in one that the delimiter rolls up.
fn behind(after: &str, prefix: &str, delimiter: Option<&str>) -> String {
    let group = delimiter.and_then(|delimiter| {
        let (head, _) = after.strip_prefix(prefix)?.split_once(delimiter)?;
        Some(format!("{prefix}{head}{delimiter}{LAST}"))
    });
    group.unwrap_or_else(|| after.to_owned())
}

/// Reads names out of a listing.
struct Names<'a> {
    encoded: bool,
    place: Place<'a>,
}

impl<'a> Names<'a> {
    /// Names are encoded only if the answer says so: older stores ignore the question.
    fn of(root: &Element, place: Place<'a>) -> Self {
        let encoded = root.get("EncodingType").is_some_and(|e| e.trim() == "url");
        Self { encoded, place }
    }

    fn theirs(&self, text: &str) -> Result<String, Error> {
        if self.encoded {
            url_decode(text)
        } else {
            Ok(text.to_owned())
        }
    }

    /// The name here; `None` for what lies outside of the route's prefix.
    fn ours(&self, text: &str) -> Result<Option<String>, Error> {
        let theirs = self.theirs(text)?;
        Ok(self.place.ours(&theirs).map(str::to_owned))
    }
}

fn listed_object(client: Client<'_>, entry: &Element, key: String) -> Result<ListedObject, Error> {
    Ok(ListedObject {
        key,
        size: entry.number("Size")?,
        etag: ETag::parse(entry.filled("ETag")?),
        last_modified: entry.time("LastModified")?,
        checksum: algorithm(client, entry),
    })
}

fn algorithm(client: Client<'_>, entry: &Element) -> Option<(ChecksumAlgorithm, ChecksumType)> {
    let name = entry
        .get("ChecksumAlgorithm")
        .filter(|_| client.checksums)?;
    let algorithm = ChecksumAlgorithm::from_name(name.trim())?;
    let full = ChecksumType::FullObject;
    let composite = ChecksumType::Composite;
    let kind = match entry.get("ChecksumType") {
        Some(kind) if kind.trim() == composite.name() => composite,
        _ => full,
    };
    Some((algorithm, kind))
}

/// ListParts.
pub(super) async fn parts(
    client: Client<'_>,
    place: Place<'_>,
    call: &ListParts,
) -> Result<PartPage, s3::Error> {
    let upload = &call.upload;
    let after = Some(call.after).filter(|after| *after > 0);
    let request = Outgoing::object(Method::GET, place, &upload.key)?
        .query("uploadId", upload.upload_id.as_str())
        .query("max-parts", call.max_parts.max(1).to_string())
        .maybe_query("part-number-marker", after.map(|after| after.to_string()));
    let answer = client.send(&request, Sending::Nothing).await?;
    let root = answer.named(About::Upload, "ListPartsResult").await?;
    let mut page = PartPage {
        checksum: algorithm(client, &root),
        ..PartPage::default()
    };
    if call.max_parts == 0 {
        return Ok(page);
    }
    page.truncated = root.flag("IsTruncated")?;
    for entry in root.all("Part") {
        page.parts.push(ListedPart {
            part_number: entry.number("PartNumber")?,
            size: entry.number("Size")?,
            etag: ETag::parse(entry.filled("ETag")?),
            last_modified: entry.time("LastModified")?,
            checksum: checksum_in(entry)?
                .map(|stored| stored.checksum)
                .filter(|_| client.checksums),
        });
    }
    let numbered = |part: &ListedPart| (1..=10_000).contains(&part.part_number);
    if !page.parts.iter().all(numbered) {
        return Err(Error::garbage("a part that has no number").into());
    }
    page.parts.retain(|part| part.part_number > call.after);
    page.parts.sort_by_key(|part| part.part_number);
    if page.truncated && page.parts.is_empty() {
        return Err(Error::garbage("an empty page that more is to follow").into());
    }
    Ok(page)
}

async fn uploads_page(client: Client<'_>, request: &Outgoing<'_>) -> Result<Element, s3::Error> {
    let answer = client.send(request, Sending::Nothing).await?;
    answer
        .named(About::Bucket, "ListMultipartUploadsResult")
        .await
}

/// ListMultipartUploads.
pub(super) async fn uploads(
    client: Client<'_>,
    place: Place<'_>,
    call: &ListMultipartUploads,
) -> Result<UploadPage, s3::Error> {
    let prefix = place.key(&call.prefix);
    let delimiter = call.delimiter.as_deref().filter(|d| !d.is_empty());
    let after = call.key_marker.as_deref().filter(|key| !key.is_empty());
    let id = call.upload_id_marker.as_deref().filter(|id| !id.is_empty());
    let start = after.map(|after| match id {
        Some(_) => place.key(after).into_owned(),
        None => place
            .key(&behind(after, &call.prefix, delimiter))
            .into_owned(),
    });
    let request = |encoding: Option<&str>| {
        Outgoing::bucket(Method::GET, place)
            .query("uploads", "")
            .query("max-uploads", call.max_uploads.max(1).to_string())
            .maybe_query("encoding-type", encoding)
            .maybe_query("delimiter", delimiter)
            .maybe_query("prefix", Some(prefix.as_ref()).filter(|p| !p.is_empty()))
            .maybe_query("upload-id-marker", id.filter(|_| start.is_some()))
            .maybe_query("key-marker", start.as_deref())
    };
    let mut root = uploads_page(client, &request(Some("url"))).await?;
    // Ceph 16 encodes keys without saying so, others overlook the question: what could be either is
    // asked for as it is.
    let ambiguous = root.get("EncodingType").is_none() && {
        let entries = root.all("Upload").chain(root.all("CommonPrefixes"));
        let mut names = entries.filter_map(|entry| entry.get("Key").or(entry.get("Prefix")));
        names.any(|name| name.contains(['%', '+']))
    };
    if ambiguous {
        root = uploads_page(client, &request(None)).await?;
    }
    let mut page = UploadPage::default();
    if call.max_uploads == 0 {
        return Ok(page);
    }
    let names = Names::of(&root, place);
    for entry in root.all("Upload") {
        let Some(key) = names.ours(entry.filled("Key")?)? else {
            continue;
        };
        // At the marker's own key the upload id decides, which is the upstream's to order.
        let fresh =
            after.is_none_or(|after| key.as_str() > after || (id.is_some() && key == after));
        if fresh && key.starts_with(&call.prefix) {
            page.uploads.push(ListedUpload {
                key,
                upload_id: entry.filled("UploadId")?.to_owned(),
                initiated: entry.time("Initiated")?,
                checksum: algorithm(client, entry),
            });
        }
    }
    for entry in root.all("CommonPrefixes") {
        let Some(group) = names.ours(entry.filled("Prefix")?)? else {
            continue;
        };
        if after.is_none_or(|after| group.as_str() > after) && group.starts_with(&call.prefix) {
            page.common_prefixes.push(group);
        }
    }
    // Stable, so that uploads of one key stay in the upstream's order of time.
    page.uploads.sort_by(|a, b| a.key.cmp(&b.key));
    page.common_prefixes.sort();
    if root.flag("IsTruncated")? {
        let upload = page
            .uploads
            .last()
            .map(|u| (u.key.clone(), u.upload_id.clone()));
        let group = page
            .common_prefixes
            .last()
            .map(|p| (p.clone(), String::new()));
        let last = upload.into_iter().chain(group).max_by(|a, b| a.0.cmp(&b.0));
        let last = last.ok_or_else(|| Error::garbage("an empty page that more is to follow"))?;
        page.next = Some(last);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn pages_start_behind_groups() {
        for (after, prefix, delimiter, start) in [
            ("a/b", "", Some("/"), "a/\u{10ffff}"),
            ("a/", "", Some("/"), "a/\u{10ffff}"),
            ("a/b", "a/", Some("/"), "a/b"),
            ("a/b/c", "a/", Some("/"), "a/b/\u{10ffff}"),
            ("a/b", "", None, "a/b"),
            ("b", "a/", Some("/"), "b"),
            ("a", "", Some("/"), "a"),
        ] {
            assert_eq!(behind(after, prefix, delimiter), start);
        }
    }

    #[test]
    fn names_are_decoded_when_the_answer_says_so() {
        let place = Place {
            bucket: "b",
            prefix: "p/",
            keys: super::super::mapping::Keys::Exact,
        };
        let encoded = Element::parse(b"<R><EncodingType>url</EncodingType></R>").unwrap();
        let names = Names::of(&encoded, place);
        assert_eq!(names.ours("p/a+b%2Fc").unwrap().as_deref(), Some("a b/c"));
        assert_eq!(names.ours("q/a").unwrap(), None);
        assert_eq!(names.ours("p/").unwrap(), None);
        assert!(names.ours("p/%f").is_err());
        let plain = Element::parse(b"<R/>").unwrap();
        let names = Names::of(&plain, place);
        assert_eq!(names.ours("p/a+b%2Fc").unwrap().as_deref(), Some("a+b%2Fc"));
    }
}
