//! What callers share, shared out: places in turn, and memory. One who asks for much leaves some to
//! others, and nobody waits behind the queue of another.

mod asker;
mod memory;
mod turns;

pub use asker::{Asker, network};
pub use memory::{Held, Memory};
pub use turns::{Crowded, Turn, Turns};
