//! A file in parts, sent at once.

use aws_sdk_s3::operation::upload_part::UploadPartOutput;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::task::JoinSet;

use crate::bodies::{bytes, crc32, file, read};
use crate::check::{During, Failure, refused, same, same_bytes};
use crate::objects::trailer_payload;
use crate::store::Store;

const PART: usize = 5 * 1024 * 1024;
const KEY: &str = "in parts/of 18 MiB";

/// Four parts, the last one shorter, each a region of one file.
pub(crate) async fn completed(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    let body = bytes(3, 18 * 1024 * 1024 + 7);
    let source = file(&body)?;
    let upload = begun(store, KEY).await?;
    let mut parts = JoinSet::new();
    for (number, bytes) in (1..).zip(body.chunks(PART)) {
        let region = ByteStream::read_from().path(source.path());
        let region = region.offset(PART as u64 * (number as u64 - 1));
        let region = region.length(Length::Exact(bytes.len() as u64));
        let region = region.build().await.during("read a part")?;
        let part = client.upload_part().bucket(bucket).key(KEY);
        let part = part.upload_id(&upload).part_number(number).body(region);
        let expected = crc32(bytes);
        parts.spawn(async move { (number, expected, part.send().await) });
    }
    let mut sent = Vec::new();
    for (number, expected, part) in parts.join_all().await {
        let part = part.during("upload a part")?;
        same(
            "a part's checksum",
            part.checksum_crc32(),
            Some(expected.as_str()),
        )?;
        sent.push((number, part));
    }
    same(
        "a part's payload",
        store.last_payload(),
        trailer_payload(store),
    )?;
    sent.sort_by_key(|(number, _)| *number);

    let listed = client.list_parts().bucket(bucket).key(KEY);
    let listed = listed.upload_id(&upload).send().await;
    let listed = listed.during("list the parts")?;
    let sizes = listed.parts().iter().filter_map(|part| part.size());
    let expected: Vec<i64> = body.chunks(PART).map(|part| part.len() as i64).collect();
    same("the parts' sizes", sizes.collect::<Vec<_>>(), expected)?;

    let whole = client.complete_multipart_upload().bucket(bucket).key(KEY);
    let whole = whole.upload_id(&upload).multipart_upload(listing(&sent));
    let whole = whole.send().await.during("complete the upload")?;
    let tag = whole.e_tag().unwrap_or_default();
    same("the tag's count", tag.ends_with("-4\""), true)?;

    let got = client.get_object().bucket(bucket).key(KEY).send().await;
    let got = got.during("get what was uploaded in parts")?;
    same("its tag", got.e_tag(), whole.e_tag())?;
    same_bytes("it", &read(got.body, "read it").await?, &body)?;
    let across = client.get_object().bucket(bucket).key(KEY);
    let across = across.range(format!("bytes={}-{}", PART - 3, PART + 2));
    let across = across.send().await.during("get across two parts")?;
    let expected = body.get(PART - 3..PART + 3).unwrap_or_default();
    same_bytes(
        "across two parts",
        &read(across.body, "read it").await?,
        expected,
    )
}

/// An upload that is given up: nothing stays, and nothing can be added.
pub(crate) async fn aborted(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    let upload = begun(store, "given up").await?;
    let part = || {
        let part = client.upload_part().bucket(bucket).key("given up");
        let part = part.upload_id(&upload).part_number(1);
        part.body(ByteStream::from_static(b"part")).send()
    };
    part().await.during("upload a part")?;
    let abort = client.abort_multipart_upload().bucket(bucket);
    let abort = abort.key("given up").upload_id(&upload).send().await;
    abort.during("abort the upload")?;
    refused(
        "a part of an aborted upload",
        part().await,
        "NoSuchUpload",
        404,
    )?;
    let open = client.list_multipart_uploads().bucket(bucket).send().await;
    let open = open.during("list the uploads")?;
    same("open uploads", open.uploads().len(), 0)
}

async fn begun(store: &Store, key: &str) -> Result<String, Failure> {
    let create = store.client.create_multipart_upload();
    let create = create.bucket(&store.bucket).key(key).send().await;
    let id = create.during("begin an upload")?.upload_id;
    id.ok_or_else(|| Failure("an upload without id".to_owned()))
}

fn listing(sent: &[(i32, UploadPartOutput)]) -> CompletedMultipartUpload {
    let parts = sent.iter().map(|(number, part)| {
        let completed = CompletedPart::builder().part_number(*number);
        completed.set_e_tag(part.e_tag.clone()).build()
    });
    let parts = Some(parts.collect());
    CompletedMultipartUpload::builder().set_parts(parts).build()
}
