//! The S3 protocol's words: what is asked, by which name, with which bytes.
//!
//! Pure: no I/O, no clock, no configuration. [`Request::parse`] is total: any head becomes a typed
//! [`Call`] or a precise [`Error`], and what it does not recognise is refused.

mod address;
mod bucket;
pub mod call;
mod checksum;
mod condition;
mod error;
mod fault;
pub(crate) mod head;
mod key;
mod object;
pub mod operation;
mod parse;
mod payload;
mod public_access;
mod range;
mod region;
mod request;
mod route;
mod tagging;
pub mod time;
pub mod xml;

pub use address::{Addressing, Target};
pub use bucket::{BucketName, InvalidBucketName};
pub use call::Call;
pub use checksum::{
    Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumSource, ChecksumType, Hasher, combine,
};
pub use condition::{ReadConditions, Verdict, WriteConditions};
pub use error::{Error, ErrorCode};
pub use head::{Head, Peer, Query};
pub use key::{InvalidObjectKey, MAX_KEY_LENGTH, ObjectKey};
pub use object::{
    ETag, ObjectInfo, ObjectMetadata, STANDARD_METADATA, StoredChecksum, WEBSITE_REDIRECT,
    without_framing,
};
pub use operation::Operation;
pub use parse::continuation_token;
pub use parse::headers::taken_values;
pub use payload::Payload;
pub use public_access::PublicAccessBlock;
pub use range::{ByteRange, ContentRange, InvalidRange};
pub use region::is_location;
pub use request::Request;
pub use tagging::{MAX_TAGS, TagSet};
