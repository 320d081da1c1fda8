//! Links that another program follows: curl, which knows nothing of AWS.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};

use crate::bodies::{bytes, read};
use crate::check::{During, Failure, same, same_bytes};
use crate::objects::ODD_KEY;
use crate::store::Store;

/// One link to get and one to put with; neither does the other's work.
pub(crate) async fn got_and_put(store: &Store) -> Result<(), Failure> {
    let (client, bucket) = (&store.client, &store.bucket);
    let life = PresigningConfig::expires_in(Duration::from_secs(600));
    let life = life.during("presign for ten minutes")?;

    let link = client.get_object().bucket(bucket).key(ODD_KEY);
    let link = link.presigned(life.clone()).await.during("presign a get")?;
    let (status, got) = follow(&link, "GET", None)?;
    same("a presigned get", status, 200)?;
    same_bytes("what it got", &got, &bytes(1, 100_000))?;
    same(
        "its link to put with",
        follow(&link, "PUT", Some(b"x"))?.0,
        403,
    )?;

    let link = client.put_object().bucket(bucket).key("linked/é");
    let link = link.content_type("text/x-linked").presigned(life).await;
    let link = link.during("presign a put")?;
    let body = bytes(4, 50_000);
    let (status, said) = follow(&link, "PUT", Some(&body))?;
    let said = String::from_utf8_lossy(&said);
    same("a presigned put", (status, said.as_ref()), (200, ""))?;
    same("its link to get with", follow(&link, "GET", None)?.0, 403)?;
    let got = client
        .get_object()
        .bucket(bucket)
        .key("linked/é")
        .send()
        .await;
    let got = got.during("get what a link put")?;
    same("its type", got.content_type(), Some("text/x-linked"))?;
    same_bytes("what a link put", &read(got.body, "read it").await?, &body)
}

/// Follows a link with the headers that belong to it.
fn follow(
    link: &PresignedRequest,
    method: &str,
    body: Option<&[u8]>,
) -> Result<(u16, Vec<u8>), Failure> {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--write-out",
        "%{stderr}%{http_code}",
    ]);
    curl.args(["--request", method, "--max-time", "60"]);
    if let Ok(authority) = std::env::var("AWS_CA_BUNDLE") {
        curl.args(["--cacert", &authority]);
    }
    for (name, value) in link.headers() {
        curl.args(["--header", &format!("{name}: {value}")]);
    }
    if body.is_some() {
        curl.args(["--data-binary", "@-"]);
    }
    curl.arg(link.uri());
    let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
    let curl = curl.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
    let mut curl = curl.spawn().during("start curl")?;
    if let (Some(mut stdin), Some(body)) = (curl.stdin.take(), body) {
        stdin.write_all(body).during("feed curl")?;
    }
    let done = curl.wait_with_output().during("wait for curl")?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let status = said.parse().map_err(|_| Failure(format!("curl: {said}")))?;
    Ok((status, done.stdout))
}
