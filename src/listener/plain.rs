//! Whoever speaks plain HTTP where TLS is spoken is told so in HTTP: a TLS alert says nothing to them.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is told of it.
pub(super) const WHY: &str = "plain HTTP on a port of TLS";

/// How much of what was sent is read, so that the answer is not lost behind a reset.
const READ: usize = 64 * 1024;

/// Answers 400 under `id`, and ends the connection. Nothing of the request is looked at.
///
/// # Errors
/// When the client does not take it.
pub(super) async fn answer(mut tcp: TcpStream, id: &str) -> io::Result<()> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidRequest</Code><Message>This port \
         speaks TLS: use https:// in place of http:// in the endpoint.</Message>\
         <RequestId>{id}</RequestId></Error>"
    );
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
         x-amz-request-id: {id}\r\nserver: Portcullis\r\nconnection: close\r\n\r\n",
        text.len()
    );
    tcp.write_all(head.as_bytes()).await?;
    tcp.write_all(text.as_bytes()).await?;
    tcp.shutdown().await?;
    let (mut left, mut bytes) = (READ, [0; 4096]);
    while left > 0 {
        match tcp.read(&mut bytes).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
