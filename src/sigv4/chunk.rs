//! Chunk and trailer signatures of an `aws-chunked` body: each covers the one before it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use super::{CredentialScope, SigningKey};
use crate::crypto::{EMPTY_SHA256, constant_time_eq, sha256};

/// Signs or verifies the chunks of one body, in order.
#[derive(Clone)]
pub struct ChunkSigner {
    key: SigningKey,
    // Date and scope, which every chunk's string to sign repeats.
    head: String,
    previous: String,
}

impl ChunkSigner {
    /// Goes on from a request's signature (the seed).
    #[must_use]
    pub fn new(key: SigningKey, amz_date: &str, scope: &CredentialScope, seed: String) -> Self {
        Self {
            key,
            head: format!("{amz_date}\n{scope}"),
            previous: seed,
        }
    }

    /// The next chunk's signature; an empty chunk is the last one.
    #[must_use]
    pub fn sign_chunk(&mut self, chunk: &[u8]) -> String {
        self.sign_digest(sha256(chunk))
    }

    /// The next chunk's signature, where its SHA-256 is already known.
    #[must_use]
    pub fn sign_digest(&mut self, digest: [u8; 32]) -> String {
        let (head, previous) = (&self.head, &self.previous);
        let digest = hex::encode(digest);
        let text =
            format!("AWS4-HMAC-SHA256-PAYLOAD\n{head}\n{previous}\n{EMPTY_SHA256}\n{digest}");
        self.advance(&text)
    }

    /// The trailer's signature: `trailer` is each line as `name:value\n`.
    #[must_use]
    pub fn sign_trailer(&mut self, trailer: &[u8]) -> String {
        let (head, previous) = (&self.head, &self.previous);
        let digest = hex::encode(sha256(trailer));
        let text = format!("AWS4-HMAC-SHA256-TRAILER\n{head}\n{previous}\n{digest}");
        self.advance(&text)
    }

    /// Whether `signature` is the next chunk's.
    #[must_use]
    pub fn verify_digest(&mut self, digest: [u8; 32], signature: &[u8]) -> bool {
        let expected = self.sign_digest(digest);
        constant_time_eq(expected.as_bytes(), signature)
    }

    /// Whether `signature` is the trailer's.
    #[must_use]
    pub fn verify_trailer(&mut self, trailer: &[u8], signature: &[u8]) -> bool {
        let expected = self.sign_trailer(trailer);
        constant_time_eq(expected.as_bytes(), signature)
    }

    fn advance(&mut self, text: &str) -> String {
        self.previous = self.key.sign_text(text);
        self.previous.clone()
    }
}

impl std::fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkSigner(***)")
    }
}
