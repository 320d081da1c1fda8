//! The way in: connections, TLS certificates, and what is known of a connection's other end.

mod accept;
mod authority;
mod connection;
mod descriptors;
pub mod peer;
mod reserved;
mod tls;
mod wire;

pub use accept::{Stop, Tls, accept, bind};
pub use authority::{Authority, ensure_authority};
pub use descriptors::{Reserve, descriptors, raise_descriptors};
pub use reserved::accept_reserved;
pub use tls::{Certificates, client_verifier};
