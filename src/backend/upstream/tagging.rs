//! The tags of objects, and what old stores make of those that came with something else.

use super::client::Client;
use super::error::{About, Error};
use super::exchange::Sending;
use super::mapping::Place;
use super::objects;
use super::request::Outgoing;
use super::response::version_id;
use super::xml::Element;
use crate::authz::{AsDecided, Granted};
use crate::backend::Tagging;
use crate::s3::call::OnObject;
use crate::s3::{self, ETag, ErrorCode, TagSet, xml};
use base64::Engine as _;
use http::Method;
use md5::Digest as _;

/// GetObjectTagging.
pub(super) async fn get(
    client: Client<'_>,
    place: Place<'_>,
    call: &OnObject,
) -> Result<Tagging, s3::Error> {
    let request = on_tags(Method::GET, place, call)?;
    let answer = client.send(&request, Sending::Nothing).await?;
    let answer = answer.expect(about(call)).await?;
    let version_id = version_id(&answer)?;
    let root = answer.xml(about(call)).await?.named("Tagging")?;
    let tags = read(&root)?;
    Ok(Tagging { tags, version_id })
}

/// Tags that could not be set here are not an answer: they could not be written again, nor compared.
fn read(root: &Element) -> Result<TagSet, Error> {
    let set = root
        .child("TagSet")
        .ok_or_else(|| Error::garbage("`Tagging` lacks `TagSet`"))?;
    let tag = |tag: &Element| Ok((tag.filled("Key")?.to_owned(), tag.need("Value")?.to_owned()));
    let tags = set.all("Tag").map(tag).collect::<Result<Vec<_>, Error>>()?;
    TagSet::new(tags).map_err(|error| Error::garbage(format!("tags that are none: {error}")))
}

/// PutObjectTagging.
pub(super) async fn put(
    client: Client<'_>,
    place: Place<'_>,
    call: &OnObject,
    tags: &TagSet,
) -> Result<Option<String>, s3::Error> {
    if tags.is_empty() {
        // S3 has it as the better way to say the same, and moto knows no other.
        return delete(client, place, call).await;
    }
    let mut request = on_tags(Method::PUT, place, call)?;
    let document = bytes::Bytes::from(xml::tagging(tags));
    let md5 = md5::Md5::digest(&document);
    let md5 = base64::engine::general_purpose::STANDARD.encode(md5);
    request.header("content-md5", md5);
    request.header("content-type", "application/xml");
    changed(client, request, Sending::Document(document), call).await
}

/// PutObjectTagging, or with no tags DeleteObjectTagging, on the object that it was when its tags decided.
/// S3 has no condition for it, so that it is the object's version that is named: another that comes to the
/// key has another. Its tags are compared right before.
pub(super) async fn put_of(
    client: Client<'_>,
    place: Place<'_>,
    call: Granted<&OnObject>,
    decided: AsDecided<'_>,
    tags: &TagSet,
) -> Result<Option<String>, s3::Error> {
    let replaced = || {
        s3::Error::new(ErrorCode::ServiceUnavailable)
            .because("object or tags were replaced while they decided who may change them")
    };
    let found = objects::head(client, place, &call.head()).await?.info;
    if found.etag != *decided.etag {
        return Err(replaced());
    }
    // What stores without versions call so changes with every write.
    let version_id = found.version_id.filter(|version| version != "null");
    let Some(version_id) = version_id else {
        return Err(s3::Error::with_message(
            ErrorCode::NotImplemented,
            "A policy decides by the object's tags who may change them, and the store behind this \
             bucket keeps no versions: it could change those of another object.",
        ));
    };
    let version = OnObject {
        version_id: Some(version_id),
        ..OnObject::clone(&call)
    };
    if get(client, place, &version).await?.tags != *decided.tags {
        return Err(replaced());
    }
    put(client, place, &version, tags).await
}

/// DeleteObjectTagging.
pub(super) async fn delete(
    client: Client<'_>,
    place: Place<'_>,
    call: &OnObject,
) -> Result<Option<String>, s3::Error> {
    let request = on_tags(Method::DELETE, place, call)?;
    changed(client, request, Sending::Nothing, call).await
}

/// Sees to it that what has just been written under `etag` has these tags. Ceph 16 takes a copy's
/// tagging directive and does not look at it, and can neither read nor tell what it has made of tags
/// that came with a new upload in parts.
pub(super) async fn settle(
    client: Client<'_>,
    place: Place<'_>,
    call: &OnObject,
    etag: &ETag,
    tags: &TagSet,
) -> Result<(), s3::Error> {
    match get(client, place, call).await {
        Ok(found) if found.tags == *tags => return Ok(()),
        Ok(_) => {}
        Err(error) if error.code() == ErrorCode::InternalError => {}
        Err(error) => return Err(error),
    }
    // Where another has written since, the tags are those of what it wrote.
    if !objects::is_there(client, place, call, etag).await? {
        return Ok(());
    }
    put(client, place, call, tags).await?;
    Ok(())
}

async fn changed(
    client: Client<'_>,
    request: Outgoing<'_>,
    body: Sending<'_>,
    call: &OnObject,
) -> Result<Option<String>, s3::Error> {
    let answer = client.send(&request, body).await?;
    let answer = answer.expect(about(call)).await?;
    let version_id = version_id(&answer)?;
    answer.finish(about(call)).await?;
    Ok(version_id)
}

fn on_tags<'a>(
    method: Method,
    place: Place<'a>,
    call: &'a OnObject,
) -> Result<Outgoing<'a>, s3::Error> {
    let request = Outgoing::object(method, place, &call.key)?.query("tagging", "");
    Ok(request.maybe_query("versionId", call.version_id.as_deref()))
}

fn about(call: &OnObject) -> About {
    match call.version_id {
        Some(_) => About::Version,
        None => About::Object,
    }
}
