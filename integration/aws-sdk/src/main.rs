//! What a program that uses aws-sdk-s3 does, against a running gateway.
//!
//! Endpoint, region and credentials come from the `AWS_*` environment as the SDK itself reads them,
//! and `AWS_CA_BUNDLE` names the certificate authority, as for AWS's other clients. It works in a
//! bucket of its own, which it deletes, and ends at the first answer that is not S3's.

mod bodies;
mod check;
mod cut;
mod listing;
mod multipart;
mod objects;
mod presigned;
mod refusals;
mod store;

use std::process::ExitCode;

use check::{During, Failure};
use store::Store;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => {
            println!("every answer was S3's");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let store = Store::from_environment().await?;
    let (client, bucket) = (&store.client, &store.bucket);
    let made = client.create_bucket().bucket(bucket).send().await;
    made.during("create the bucket")?;

    objects::small_with_checksum_header(&store).await?;
    objects::streamed_with_checksum_trailer(&store).await?;
    objects::copies(&store).await?;
    multipart::completed(&store).await?;
    multipart::aborted(&store).await?;
    presigned::got_and_put(&store).await?;
    cut::uploads_leave_nothing(&store).await?;
    refusals::wrong_credentials(&store).await?;
    refusals::bucket_not_empty(&store).await?;
    listing::pages(&store).await?;
    listing::deleted(&store).await?;

    let deleted = client.delete_bucket().bucket(bucket).send().await;
    deleted.during("delete the bucket")?;
    let gone = client.head_bucket().bucket(bucket).send().await;
    check::refused("the deleted bucket", gone, "NotFound", 404)
}
