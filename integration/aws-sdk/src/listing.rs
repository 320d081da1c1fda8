//! Listings by pages, and what they name deleted.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::check::{During, Failure, same};
use crate::store::Store;

/// In UTF-8 byte order, as listings are.
const LISTED: [&str; 7] = [
    "listed/+",
    "listed/a",
    "listed/a b",
    "listed/a/1",
    "listed/a/2",
    "listed/z",
    "listed/ü/&<>",
];

/// Three keys a page, by the SDK's paginator; and once by segments.
pub(crate) async fn pages(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    for key in LISTED {
        let body = ByteStream::from_static(b"listed");
        let put = client.put_object().bucket(bucket).key(key).body(body);
        put.send().await.during(key)?;
    }
    let list = client.list_objects_v2().bucket(bucket).prefix("listed/");
    let mut pages = list.into_paginator().page_size(3).send();
    let (mut keys, mut lengths) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.during("list a page")?;
        lengths.push(page.contents().len());
        let names = page.contents().iter().filter_map(|object| object.key());
        keys.extend(names.map(str::to_owned));
    }
    same("listed keys", keys, LISTED)?;
    same("pages", lengths, [3, 3, 1])?;

    let list = client.list_objects_v2().bucket(bucket);
    let list = list.prefix("listed/").delimiter("/").send().await;
    let list = list.during("list by segments")?;
    let folders = list.common_prefixes().iter().filter_map(|p| p.prefix());
    let folders: Vec<_> = folders.collect();
    same("folders", folders, ["listed/a/", "listed/ü/"])?;
    same("beside the folders", list.contents().len(), 4)
}

/// Everything that this program made, and nothing else; then no more.
pub(crate) async fn deleted(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    let list = client.list_objects_v2().bucket(bucket).send().await;
    let list = list.during("list all")?;
    let keys = list.contents().iter().filter_map(|object| object.key());
    let keys: Vec<&str> = keys.collect();
    let rest: Vec<&str> = keys
        .iter()
        .copied()
        .filter(|key| !LISTED.contains(key))
        .collect();
    let expected = [
        crate::objects::ODD_KEY,
        "copied",
        "cut/old",
        "in parts/of 18 MiB",
        "linked/é",
        "streamed/empty",
        "streamed/large",
    ];
    same("the other objects", rest, expected)?;

    let mut delete = Delete::builder();
    for key in keys.iter().copied().chain(["never was"]) {
        let object = ObjectIdentifier::builder().key(key).build();
        delete = delete.objects(object.during("name an object")?);
    }
    let delete = delete.build().during("name objects")?;
    let done = client.delete_objects().bucket(bucket).delete(delete);
    let done = done.send().await.during("delete objects")?;
    same("errors", done.errors(), [])?;
    let mut gone: Vec<&str> = done.deleted().iter().filter_map(|d| d.key()).collect();
    gone.sort_unstable();
    let mut asked: Vec<&str> = keys.iter().copied().chain(["never was"]).collect();
    asked.sort_unstable();
    same("deleted", gone, asked)?;
    let list = client.list_objects_v2().bucket(bucket).send().await;
    same("what is left", list.during("list again")?.contents(), [])
}
