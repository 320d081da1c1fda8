//! The way in: connections, TLS certificates, and what is known of a connection's other end.

mod accept;
mod authority;
mod connection;
mod descriptors;
mod head;
pub mod peer;
mod plain;
mod reserved;
mod room;
mod target;
mod tls;
mod told;
mod wire;

pub use accept::{Application, Stop, Tls, accept, bind};
pub use authority::{Authority, ensure_authority};
pub use connection::{is_anything_behind_chunks, linger};
pub use descriptors::{Reserve, descriptors, raise_descriptors};
pub use head::TooLarge;
pub use reserved::accept_reserved;
pub use room::{Counters, Room};
pub use tls::{Certificates, client_verifier};
