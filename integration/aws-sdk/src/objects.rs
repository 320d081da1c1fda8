//! Objects whole: put, got, copied.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, MetadataDirective};

use crate::bodies::{bytes, crc32, file, read};
use crate::check::{During, Failure, same, same_bytes};
use crate::store::Store;

/// A key of what a path must not be confused by.
pub(crate) const ODD_KEY: &str = "a b/ü+%/c~*'(d)/e&f=g;h@i$j,k:l!m/🦀";

/// A body in memory: its CRC-32 goes in a header.
pub(crate) async fn small_with_checksum_header(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    let body = bytes(1, 100_000);
    let put = client.put_object().bucket(bucket).key(ODD_KEY);
    let put = put
        .content_type("text/x-odd")
        .metadata("colour", "dark red");
    let put = put.body(ByteStream::from(body.clone())).send().await;
    let put = put.during("put a small object")?;
    same("its payload", store.last_payload().len(), 64)?;
    same(
        "its checksum",
        put.checksum_crc32(),
        Some(crc32(&body).as_str()),
    )?;

    let head = client.head_object().bucket(bucket).key(ODD_KEY);
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
    let head = head.during("head it")?;
    same("length", head.content_length(), Some(100_000))?;
    same("type", head.content_type(), Some("text/x-odd"))?;
    same("tag", head.e_tag(), put.e_tag())?;
    same("checksum", head.checksum_crc32(), put.checksum_crc32())?;
    let colour = head.metadata().and_then(|m| m.get("colour"));
    same("metadata", colour.map(String::as_str), Some("dark red"))?;

    let got = client.get_object().bucket(bucket).key(ODD_KEY).send().await;
    let got = got.during("get it")?;
    same("checksum", got.checksum_crc32(), put.checksum_crc32())?;
    same_bytes("it", &read(got.body, "read it").await?, &body)?;

    let part = client.get_object().bucket(bucket).key(ODD_KEY);
    let part = part.range("bytes=1000-1999").send().await;
    let part = part.during("get a range")?;
    same(
        "range",
        part.content_range(),
        Some("bytes 1000-1999/100000"),
    )?;
    let expected = body.get(1000..2000).unwrap_or_default();
    same_bytes(
        "the range",
        &read(part.body, "read a range").await?,
        expected,
    )
}

/// A body from a file: framed in `aws-chunked`, its CRC-32 in a trailer. The SDK signs the chunks
/// where TLS does not protect them.
pub(crate) async fn streamed_with_checksum_trailer(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    for (key, length) in [("streamed/empty", 0), ("streamed/large", 3_000_001)] {
        let body = bytes(2, length);
        let source = file(&body)?;
        let stream = ByteStream::from_path(source.path()).await;
        let stream = stream.during("read a file")?;
        let put = client.put_object().bucket(bucket).key(key);
        let put = put.body(stream).send().await.during(key)?;
        same(key, store.last_payload(), trailer_payload(store))?;
        same(key, put.checksum_crc32(), Some(crc32(&body).as_str()))?;
        let got = client.get_object().bucket(bucket).key(key).send().await;
        let got = got.during(key)?;
        same(key, got.checksum_crc32(), put.checksum_crc32())?;
        same("encoding", got.content_encoding().unwrap_or_default(), "")?;
        same_bytes(key, &read(got.body, key).await?, &body)?;
    }
    Ok(())
}

/// How the SDK sends a stream.
pub(crate) fn trailer_payload(store: &Store) -> &'static str {
    match store.secure() {
        true => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        false => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }
}

/// A copy, and a copy onto itself with other metadata.
pub(crate) async fn copies(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    let source = format!("{bucket}/streamed/large");
    let copy = client.copy_object().bucket(bucket).key("copied");
    let copy = copy.copy_source(&source).send().await;
    copy.during("copy")?;
    let got = client
        .get_object()
        .bucket(bucket)
        .key("copied")
        .send()
        .await;
    let got = read(got.during("get the copy")?.body, "read the copy").await?;
    same_bytes("the copy", &got, &bytes(2, 3_000_001))?;

    let again = client.copy_object().bucket(bucket).key("copied");
    let again = again.copy_source(format!("{bucket}/copied"));
    let again = again.metadata_directive(MetadataDirective::Replace);
    let again = again.metadata("n", "2").send().await;
    again.during("copy it onto itself")?;
    let head = client
        .head_object()
        .bucket(bucket)
        .key("copied")
        .send()
        .await;
    let head = head.during("head the copy")?;
    let n = head.metadata().and_then(|m| m.get("n"));
    same("the copy's metadata", n.map(String::as_str), Some("2"))
}
