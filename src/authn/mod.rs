//! Who asks: turns a [`crate::s3::Request`] into a [`Caller`]. Nothing else makes one.

mod caller;

pub use caller::{Caller, Identity, Mechanism, Proof};
