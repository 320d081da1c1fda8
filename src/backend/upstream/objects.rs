//! Objects: read, written, deleted.

use super::answer::Answer;
use super::client::Client;
use super::error::{About, Error, refusal};
use super::exchange::Sending;
use super::framing::Trailer;
use super::mapping::Place;
use super::request::{KEPT_CHECKSUM, Outgoing};
use super::response::{checksum, content_range, info, keep_checksum, version_id, written};
use super::xml::can_carry;
use crate::authz::Granted;
use crate::backend::{Body, Deleted, Object, Upload, Written, full_object};
use crate::s3::call::{DeleteObject, OnObject, PutObject, ReadObject};
use crate::s3::xml::Writer;
use crate::s3::{
    self, ByteRange, ChecksumAlgorithm, ChecksumRequest, ChecksumSource, ContentRange, ETag,
    ErrorCode, ObjectInfo, ReadConditions, Verdict, time::http_date,
};
use base64::Engine as _;
use http::{Method, StatusCode};
use md5::Digest as _;
use std::collections::HashMap;

/// GetObject.
pub(super) async fn get(
    client: Client<'_>,
    place: Place<'_>,
    call: &ReadObject,
) -> Result<Object, s3::Error> {
    let answer = read_empty(client, place, call, Method::GET).await?;
    let (info, range) = described(&answer, call)?;
    let length = range.map_or(info.size, |range| range.length());
    let body = answer.body(length).await?;
    Ok(Object { info, range, body })
}

/// HeadObject.
pub(super) async fn head(
    client: Client<'_>,
    place: Place<'_>,
    call: &ReadObject,
) -> Result<Object, s3::Error> {
    let answer = read_empty(client, place, call, Method::HEAD).await?;
    let (info, range) = described(&answer, call)?;
    answer.give_back().await;
    let body = Body::Empty;
    Ok(Object { info, range, body })
}

async fn read<'c>(
    client: Client<'c>,
    place: Place<'_>,
    call: &ReadObject,
    method: Method,
) -> Result<Answer<'c>, s3::Error> {
    let part = call.part_number.map(|number| number.to_string());
    let mut request = Outgoing::object(method, place, &call.key)?
        .maybe_query("partNumber", part)
        .maybe_query("versionId", call.version_id.as_deref());
    request.read_conditions("", &call.conditions);
    if let Some(range) = call.range {
        request.header("range", range.to_string());
    }
    if call.checksum_mode && client.checksums {
        request.header("x-amz-checksum-mode", "ENABLED");
    }
    let about = match (call.part_number, &call.version_id) {
        (Some(_), _) => About::Part,
        (None, Some(_)) => About::Version,
        (None, None) => About::Object,
    };
    let answer = client.send(&request, Sending::Nothing).await?;
    match answer.expect(about).await {
        Err(error) if error.code() == ErrorCode::NotModified => {
            Err(named(client, place, call, error).await)
        }
        other => other,
    }
}

/// What has not changed, by tag and time, where the store does not say: Ceph 16 says neither, and what a
/// cache keeps is known by them.
async fn named(
    client: Client<'_>,
    place: Place<'_>,
    call: &ReadObject,
    error: s3::Error,
) -> s3::Error {
    if error.details().len() == 2 {
        return error;
    }
    let look = async {
        let request = Outgoing::object(Method::HEAD, place, &call.key)?
            .maybe_query("versionId", call.version_id.as_deref());
        let answer = client.send(&request, Sending::Nothing).await?;
        let answer = answer.expect(About::Object).await?;
        let told = info(&answer, 0)?;
        answer.give_back().await;
        Ok::<_, s3::Error>(told)
    };
    match look.await {
        // What has come to the key meanwhile is not what has not changed.
        Ok(told)
            if call.conditions.verdict(&told.etag, told.last_modified) == Verdict::NotModified =>
        {
            s3::Error::new(ErrorCode::NotModified)
                .detail("ETag", told.etag.quoted())
                .detail("LastModified", http_date(told.last_modified))
        }
        Ok(_) => error,
        Err(unknown) => unknown,
    }
}

/// The same, where stores refuse to tell the last bytes of an object that has none.
async fn read_empty<'c>(
    client: Client<'c>,
    place: Place<'_>,
    call: &ReadObject,
    method: Method,
) -> Result<Answer<'c>, s3::Error> {
    let error = match read(client, place, call, method.clone()).await {
        Err(error) if error.code() == ErrorCode::InvalidRange => error,
        other => return other,
    };
    if !call.range.is_some_and(ByteRange::is_of_the_end) {
        return Err(error);
    }
    let whole = ReadObject {
        range: None,
        ..call.clone()
    };
    let answer = read(client, place, &whole, method).await?;
    match answer.content_length()? {
        Some(0) => Ok(answer),
        _ => Err(error),
    }
}

/// What the head says, checked against what was asked: a range that we did not ask for, or a
/// length that is not the range's, would be somebody else's bytes.
fn described(
    answer: &Answer<'_>,
    call: &ReadObject,
) -> Result<(ObjectInfo, Option<ContentRange>), s3::Error> {
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        // A success of another kind is not the object, nor is a part that is not called one (T58).
        if answer.status() != StatusCode::OK || answer.header("content-range")?.is_some() {
            return Err(Error::garbage("a success that is not the whole object").into());
        }
        let size = answer
            .content_length()?
            .ok_or_else(|| Error::garbage("no `content-length`"))?;
        let info = info(answer, size)?;
        check_part(call.part_number, &info)?;
        return Ok((info, None));
    }
    let range = content_range(answer.need("content-range")?)
        .ok_or_else(|| Error::garbage("`content-range` makes no sense"))?;
    let asked = match (call.range, call.part_number) {
        (Some(asked), _) => asked.resolve(range.size) == Ok(Some(range)),
        (None, part) => part.is_some(),
    };
    if !asked {
        return Err(Error::garbage("`content-range` is not what was asked for").into());
    }
    Ok((info(answer, range.size)?, Some(range)))
}

/// Whether a whole object is an answer to who asked for a part: it is the first part of one that
/// was not uploaded in parts. Ceph 16 overlooks the question, and a client that puts objects
/// together from their parts would not notice.
fn check_part(part: Option<u16>, info: &ObjectInfo) -> Result<(), s3::Error> {
    let simple = info.parts.is_none_or(|parts| parts == 1) && !info.etag.0.contains('-');
    match part {
        None => Ok(()),
        Some(1) if simple => Ok(()),
        Some(_) if simple => Err(ErrorCode::InvalidPartNumber.into()),
        Some(_) => Err(s3::Error::with_message(
            ErrorCode::NotImplemented,
            "The store behind this bucket cannot read single parts.",
        )),
    }
}

/// Whether the object that has this tag is still the one.
pub(super) async fn is_there(
    client: Client<'_>,
    place: Place<'_>,
    call: &OnObject,
    etag: &ETag,
) -> Result<bool, s3::Error> {
    let mut request = Outgoing::object(Method::HEAD, place, &call.key)?
        .maybe_query("versionId", call.version_id.as_deref());
    request.read_conditions(
        "",
        &ReadConditions {
            if_match: Some(vec![etag.clone()]),
            ..ReadConditions::default()
        },
    );
    let answer = client.send(&request, Sending::Nothing).await?;
    match answer.expect(About::Object).await {
        Ok(answer) => answer.finish(About::Object).await.map(|()| true),
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::PreconditionFailed | ErrorCode::NoSuchKey
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// PutObject.
pub(super) async fn put(
    client: Client<'_>,
    place: Place<'_>,
    call: &PutObject,
    body: &mut dyn Upload,
) -> Result<Written, s3::Error> {
    let mut request = Outgoing::object(Method::PUT, place, &call.key)?;
    request.metadata(&call.metadata)?;
    request.tags(&call.tags);
    request.write_conditions(&call.conditions);
    let asked = call.checksum.as_ref();
    // S3 keeps a CRC-64/NVME where nobody asks for anything.
    let computed = asked.map_or(ChecksumAlgorithm::Crc64Nvme, |asked| asked.algorithm);
    if let (false, Some(given)) = (client.checksums, asked.and_then(given)) {
        request.header(KEPT_CHECKSUM, keep_checksum(given));
    }
    upload(client, request, asked, Some(computed), About::Bucket, body).await
}

/// Sends a body, and answers what was written.
///
/// `computed` is the algorithm of the checksum that goes behind the body when none is in the head.
pub(super) async fn upload(
    client: Client<'_>,
    mut request: Outgoing<'_>,
    asked: Option<&ChecksumRequest>,
    computed: Option<ChecksumAlgorithm>,
    about: About,
    body: &mut dyn Upload,
) -> Result<Written, s3::Error> {
    let length = body.length();
    let answer = if length == 0 {
        // Nothing to stream, so that the checksum is known before the head.
        if body.next().await?.is_some() {
            return Err(Error::garbage("an upload gave more bytes than it promised").into());
        }
        let known = body.checksum().filter(|_| client.checksums);
        if let Some(checksum) = known.filter(|c| Some(c.algorithm) == computed) {
            checksum_header(&mut request, &checksum);
        }
        client.send(&request, Sending::Nothing).await?
    } else {
        let trailer = match asked.and_then(given) {
            Some(given) if client.checksums => {
                checksum_header(&mut request, given);
                None
            }
            _ => computed.map(|algorithm| Trailer {
                algorithm,
                asked: asked.is_some(),
            }),
        };
        let framing = client.framing(trailer);
        if let Some(algorithm) = framing.trailer() {
            request.header("x-amz-sdk-checksum-algorithm", algorithm.name());
        }
        client
            .send(&request, Sending::Upload(body, framing))
            .await?
    };
    let answer = answer.expect(about).await?;
    let mut written = written(&answer, Some(length))?;
    let ours = body.checksum();
    if client.checksums {
        written.checksum = checksum(&answer)?;
        let theirs = written.checksum.as_ref().map(|stored| &stored.checksum);
        if let (Some(ours), Some(theirs)) = (&ours, theirs)
            && ours.algorithm == theirs.algorithm
            && ours != theirs
        {
            return Err(Error::garbage("it wrote bytes of another checksum").into());
        }
    } else {
        written.checksum = asked.and_then(given).cloned().map(full_object);
    }
    answer.finish(about).await?;
    Ok(written)
}

/// The checksum as SDKs send it: some stores look for the algorithm's name first.
fn checksum_header(request: &mut Outgoing<'_>, checksum: &s3::Checksum) {
    let algorithm = checksum.algorithm;
    request.header("x-amz-sdk-checksum-algorithm", algorithm.name());
    request.header(algorithm.header(), checksum.base64());
}

fn given(asked: &ChecksumRequest) -> Option<&s3::Checksum> {
    match &asked.source {
        ChecksumSource::Header(checksum) => Some(checksum),
        ChecksumSource::Trailer | ChecksumSource::Computed => None,
    }
}

/// DeleteObject.
pub(super) async fn delete(
    client: Client<'_>,
    place: Place<'_>,
    call: &DeleteObject,
) -> Result<Deleted, s3::Error> {
    let mut request = Outgoing::object(Method::DELETE, place, &call.key)?
        .maybe_query("versionId", call.version_id.as_deref());
    if let Some(etag) = &call.if_match {
        let conditions = s3::WriteConditions {
            if_match: Some(etag.clone()),
            if_none_match: false,
        };
        request.write_conditions(&conditions);
    }
    let answer = client.send(&request, Sending::Nothing).await?;
    let answer = match answer.expect(About::Object).await {
        Ok(answer) => answer,
        // Old stores say so of what S3 calls a success.
        Err(error) if error.code() == ErrorCode::NoSuchKey && call.if_match.is_none() => {
            return Ok(Deleted::default());
        }
        Err(error) => return Err(error),
    };
    let deleted = Deleted {
        version_id: version_id(&answer)?,
        delete_marker: answer.header("x-amz-delete-marker")? == Some("true"),
    };
    answer.finish(About::Object).await?;
    Ok(deleted)
}

/// DeleteObjects: one request for all keys that its document can carry.
pub(super) async fn delete_all(
    client: Client<'_>,
    place: Place<'_>,
    calls: &[Granted<DeleteObject>],
) -> Result<Vec<Result<Deleted, s3::Error>>, s3::Error> {
    let mut results = Vec::with_capacity(calls.len());
    // Key and version there, and where the answer belongs.
    let mut asked: HashMap<(String, Option<&str>), Vec<usize>> = HashMap::new();
    for (index, call) in calls.iter().enumerate() {
        let unsaid = || s3::Error::internal("the upstream said nothing of this key");
        match super::request::mapped_key(place, &call.key) {
            Err(error) => results.push(Err(error)),
            // XML 1.0 has no control characters, and line ends change on the way; conditions in the
            // document are younger than `If-Match`, and an upstream that overlooks one deletes.
            Ok(key) if call.if_match.is_some() || !can_carry(&key) => {
                results.push(delete(client, place, call).await);
            }
            Ok(key) => {
                let place = (key.into_owned(), call.version_id.as_deref());
                asked.entry(place).or_default().push(index);
                results.push(Err(unsaid()));
            }
        }
    }
    if asked.is_empty() {
        return Ok(results);
    }
    let mut document = Writer::new("Delete");
    for (key, version) in asked.keys() {
        document.open("Object");
        document.text("Key", key);
        if let Some(version) = version {
            document.text("VersionId", version);
        }
        document.close("Object");
    }
    let document = bytes::Bytes::from(document.finish("Delete"));
    let mut request = Outgoing::bucket(Method::POST, place).query("delete", "");
    let md5 = md5::Md5::digest(&document);
    let md5 = base64::engine::general_purpose::STANDARD.encode(md5);
    request.header("content-md5", md5);
    request.header("content-type", "application/xml");
    let patience = client.timeouts.total;
    let sending = Sending::Document(document);
    let answer = client.send_patiently(&request, sending, patience).await?;
    let root = answer.named(About::Bucket, "DeleteResult").await?;
    let mut settle = |entry: &super::xml::Element, result: Result<Deleted, s3::Error>| {
        let key = entry.filled("Key")?;
        let version = entry.get("VersionId").filter(|v| !v.is_empty());
        // A store without versions may echo one, or leave out what we sent.
        let indices = asked
            .get(&(key.to_owned(), version))
            .or_else(|| asked.get(&(key.to_owned(), None)));
        for index in indices.into_iter().flatten() {
            if let Some(place) = results.get_mut(*index) {
                *place = result.clone();
            }
        }
        Ok::<(), Error>(())
    };
    for entry in root.all("Deleted") {
        let marker = entry.get("DeleteMarkerVersionId");
        let deleted = Deleted {
            version_id: marker.or(entry.get("VersionId")).map(str::to_owned),
            delete_marker: entry.child("DeleteMarker").is_some() && entry.flag("DeleteMarker")?,
        };
        settle(entry, Ok(deleted))?;
    }
    for entry in root.all("Error") {
        let code = entry.get("Code");
        let result = if code == Some("NoSuchKey") {
            Ok(Deleted::default())
        } else {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let message = entry.get("Message");
            Err(refusal(&client.name, About::Object, status, code, message))
        };
        settle(entry, result)?;
    }
    Ok(results)
}
