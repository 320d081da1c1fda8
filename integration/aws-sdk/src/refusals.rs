//! What must not be done, and the codes that say so.

use crate::check::{During, Failure, refused};
use crate::store::Store;

/// A secret that is not the key's, and a key that does not exist.
pub(crate) async fn wrong_credentials(store: &Store) -> Result<(), Failure> {
    let bucket = &store.bucket;
    let key = std::env::var("AWS_ACCESS_KEY_ID").during("AWS_ACCESS_KEY_ID")?;
    let forger = store.client_of(&key, "not-the-secret-of-this-key-0123456789abc");
    let nobody = store.client_of("AKIANOBODYNOBODYNOBO", "a-secret");

    let got = forger.list_objects_v2().bucket(bucket).send().await;
    refused("a wrong secret", got, "SignatureDoesNotMatch", 403)?;
    let got = nobody.list_objects_v2().bucket(bucket).send().await;
    refused("an unknown key", got, "InvalidAccessKeyId", 403)?;

    let put = forger
        .put_object()
        .bucket(bucket)
        .key("forged")
        .send()
        .await;
    refused(
        "a put with a wrong secret",
        put,
        "SignatureDoesNotMatch",
        403,
    )?;
    let head = store.client.head_object().bucket(bucket).key("forged");
    refused("what it put", head.send().await, "NotFound", 404)
}

pub(crate) async fn bucket_not_empty(store: &Store) -> Result<(), Failure> {
    let delete = store.client.delete_bucket().bucket(&store.bucket);
    refused(
        "a bucket with objects",
        delete.send().await,
        "BucketNotEmpty",
        409,
    )
}
