//! May they: turns a [`crate::s3::Request`] and its [`crate::authn::Caller`] into a [`Permit`].
//! Nothing else makes one, and backends take only what a permit [`Granted`].

mod granted;

pub use granted::{Granted, GrantedCall};
