//! Buckets: listed, made, removed, looked for.

use super::client::Client;
use super::error::{About, Error};
use super::exchange::Sending;
use super::mapping::{Mappings, Place};
use super::request::Outgoing;
use crate::backend::{BucketInfo, Versioning};
use crate::s3::xml::Writer;
use crate::s3::{self, BucketName, ErrorCode};
use http::{Method, StatusCode};

/// Pages of buckets before an upstream is taken to go round in circles.
const MAX_PAGES: usize = 100;

/// ListBuckets, under the names that clients see, in order.
pub(super) async fn list(
    client: Client<'_>,
    mappings: &Mappings,
) -> Result<Vec<BucketInfo>, s3::Error> {
    let mut buckets = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let request =
            Outgoing::service(Method::GET).maybe_query("continuation-token", token.take());
        let answer = client.send(&request, Sending::Nothing).await?;
        if answer.status() == StatusCode::FORBIDDEN
            && let Some(names) = mappings.all_named()
        {
            answer.drain().await?;
            return list_named(client, mappings, names).await;
        }
        let root = answer
            .named(About::Service, "ListAllMyBucketsResult")
            .await?;
        let entries = root
            .child("Buckets")
            .ok_or_else(|| Error::garbage("a list of buckets without `Buckets`"))?;
        for entry in entries.all("Bucket") {
            let created = match entry.child("CreationDate") {
                Some(_) => Some(entry.time("CreationDate")?),
                None => None,
            };
            // What no client could name is no bucket here.
            let names = mappings.ours(entry.filled("Name")?);
            buckets.extend(names.into_iter().map(|name| BucketInfo { name, created }));
        }
        token = root
            .get("ContinuationToken")
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        if token.is_none() {
            buckets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            buckets.dedup_by(|a, b| a.name == b.name);
            return Ok(buckets);
        }
    }
    Err(Error::garbage("its list of buckets does not end").into())
}

/// Looks for every bucket that can be there, one by one: credentials that may use a bucket often may
/// not list all of them.
async fn list_named(
    client: Client<'_>,
    mappings: &Mappings,
    mut names: Vec<BucketName>,
) -> Result<Vec<BucketInfo>, s3::Error> {
    names.sort_unstable();
    names.dedup();
    let mut buckets = Vec::new();
    for name in &names {
        match head(client, mappings.place(name), name).await {
            Ok(bucket) => buckets.push(bucket),
            Err(error) if error.code() == ErrorCode::NoSuchBucket => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buckets)
}

/// CreateBucket.
pub(super) async fn create(client: Client<'_>, place: Place<'_>) -> Result<(), s3::Error> {
    // In AWS's oldest region and at several other stores, making a bucket that is there already is
    // a success, which would tell a client that it made it.
    let found = client
        .send(&Outgoing::bucket(Method::HEAD, place), Sending::Nothing)
        .await?
        .expect(About::Bucket)
        .await;
    match found {
        Ok(answer) => {
            answer.finish(About::Bucket).await?;
            return Err(ErrorCode::BucketAlreadyOwnedByYou.into());
        }
        Err(error) if error.code() == ErrorCode::NoSuchBucket => {}
        // Somebody else's, in AWS's shared namespace, or not ours to look at: the answer to the
        // request itself tells.
        Err(error) if error.code() == ErrorCode::InternalError => {}
        Err(error) => return Err(error),
    }
    let request = Outgoing::bucket(Method::PUT, place);
    let sending = if client.endpoint.is_amazon() && client.region != "us-east-1" {
        let mut document = Writer::new("CreateBucketConfiguration");
        document.text("LocationConstraint", &client.region);
        Sending::Document(document.finish("CreateBucketConfiguration").into())
    } else {
        Sending::Nothing
    };
    let answer = client.send(&request, sending).await?;
    answer
        .expect(About::Bucket)
        .await?
        .finish(About::Bucket)
        .await
}

/// DeleteBucket.
pub(super) async fn delete(client: Client<'_>, place: Place<'_>) -> Result<(), s3::Error> {
    let request = Outgoing::bucket(Method::DELETE, place);
    let answer = client.send(&request, Sending::Nothing).await?;
    answer
        .expect(About::Bucket)
        .await?
        .finish(About::Bucket)
        .await
}

/// GetBucketVersioning.
pub(super) async fn versioning(
    client: Client<'_>,
    place: Place<'_>,
) -> Result<Versioning, s3::Error> {
    let request = Outgoing::bucket(Method::GET, place).query("versioning", "");
    let answer = client.send(&request, Sending::Nothing).await?;
    let root = answer.expect(About::Bucket).await?;
    let root = root.xml(About::Bucket).await?;
    // Moto calls it otherwise, as no client looks at its name.
    match root.get("Status") {
        None | Some("") => Ok(Versioning::Never),
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        Some(_) => Err(Error::garbage("a status of versioning that is none").into()),
    }
}

/// HeadBucket.
pub(super) async fn head(
    client: Client<'_>,
    place: Place<'_>,
    name: &BucketName,
) -> Result<BucketInfo, s3::Error> {
    let request = Outgoing::bucket(Method::HEAD, place);
    let answer = client.send(&request, Sending::Nothing).await?;
    answer
        .expect(About::Bucket)
        .await?
        .finish(About::Bucket)
        .await?;
    Ok(BucketInfo {
        name: name.clone(),
        created: None,
    })
}
