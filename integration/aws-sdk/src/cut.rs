//! Uploads that end before their bodies do. What the bytes belonged to must not become an object,
//! nor touch the one that is there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::bodies::read;
use crate::check::{During, Failure, refused, same, same_bytes};
use crate::store::Store;

const PROMISED: u64 = 1_000_000;

/// How a body ends too early.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// Its source has an error, as when a file cannot be read any further.
    Error,
    /// Its source has fewer bytes than it promised.
    Short,
    /// Nothing more comes, and the program gives up.
    Stall,
}

/// A body of a promised length, of which only a part comes.
struct Cut {
    left: u32,
    ending: Ending,
    /// Until what was sent has arrived: a reset overtakes what is still on its way.
    pause: Pin<Box<Sleep>>,
}

impl Body for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let frame = Frame::data(Bytes::from_static(&[b'x'; 100_000]));
            return Poll::Ready(Some(Ok(frame)));
        }
        ready!(self.pause.as_mut().poll(context));
        match self.ending {
            Ending::Error => Poll::Ready(Some(Err(std::io::Error::other("the source broke off")))),
            Ending::Short => Poll::Ready(None),
            Ending::Stall => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(PROMISED)
    }
}

fn body(ending: Ending) -> ByteStream {
    let pause = Box::pin(tokio::time::sleep(Duration::from_millis(100)));
    let cut = Cut {
        left: 5,
        ending,
        pause,
    };
    ByteStream::new(SdkBody::from_body_1_x(cut))
}

pub(crate) async fn uploads_leave_nothing(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    let before = ByteStream::from_static(b"what was there before");
    let put = client
        .put_object()
        .bucket(bucket)
        .key("cut/old")
        .body(before);
    put.send().await.during("put")?;
    let create = client.create_multipart_upload().bucket(bucket);
    let upload = create.key("cut/parts").send().await;
    let upload = upload.during("begin an upload")?.upload_id;

    for ending in [Ending::Error, Ending::Short, Ending::Stall] {
        for key in ["cut/old", "cut/new"] {
            let put = client.put_object().bucket(bucket).key(key);
            fails(ending, put.body(body(ending)).send()).await?;
        }
        let part = client.upload_part().bucket(bucket).key("cut/parts");
        let part = part.set_upload_id(upload.clone()).part_number(1);
        fails(ending, part.body(body(ending)).send()).await?;
    }
    // The gateway learns of an end later than we do.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let new = client
        .head_object()
        .bucket(bucket)
        .key("cut/new")
        .send()
        .await;
    refused("what was cut short", new, "NotFound", 404)?;
    let old = client
        .get_object()
        .bucket(bucket)
        .key("cut/old")
        .send()
        .await;
    let old = read(old.during("get what was there before")?.body, "read it").await?;
    same_bytes("what was there before", &old, b"what was there before")?;
    let parts = client.list_parts().bucket(bucket).key("cut/parts");
    let parts = parts.set_upload_id(upload.clone()).send().await;
    same(
        "parts cut short",
        parts.during("list parts")?.parts().len(),
        0,
    )?;
    let abort = client.abort_multipart_upload().bucket(bucket);
    let abort = abort.key("cut/parts").set_upload_id(upload);
    abort.send().await.during("abort")?;
    Ok(())
}

/// Sends, and gives up where nothing more comes.
async fn fails<T, E>(
    ending: Ending,
    sending: impl Future<Output = Result<T, E>>,
) -> Result<(), Failure> {
    let done = tokio::time::timeout(Duration::from_millis(500), sending).await;
    match (ending, done) {
        (_, Ok(Ok(_))) => Err(Failure(format!("{ending:?}: a cut upload was accepted"))),
        (Ending::Stall, Ok(Err(_))) => Err(Failure("a stalled upload ended early".to_owned())),
        (Ending::Error | Ending::Short, Err(_)) => {
            Err(Failure(format!("{ending:?}: the SDK did not notice")))
        }
        _ => Ok(()),
    }
}
