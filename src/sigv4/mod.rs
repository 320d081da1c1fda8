//! Signature Version 4 itself, used to verify (`authn`) and to sign (`backend::upstream`).

/// The key and seed that an `aws-chunked` body's chunk signatures continue from.
#[derive(Clone, Debug)]
pub struct ChunkSigner {}
