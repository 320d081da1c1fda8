//! The way in: TLS certificates, and what is known of a connection's other end.

mod authority;
pub mod peer;
mod tls;

pub use authority::{Authority, ensure_authority};
pub use tls::{Certificates, client_verifier};
