//! What happens to the bytes of an upload: planned from the head with exact lengths, then pushed
//! through de-chunking, signatures, digests and the hold-back of the tail. Sans I/O: any split of the
//! input gives the same output.

mod aws_chunked;
mod digest;
mod pieces;
mod pipeline;
mod plan;
mod unverified;

pub use pipeline::Pipeline;
pub use plan::{Limits, UploadPlan, verify_document};
pub use unverified::Unverified;

#[cfg(test)]
mod tests;
