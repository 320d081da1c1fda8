//! The `portcullis` command.

use std::process::ExitCode;

/// Small allocations by the million on every core: measurably faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::run()
}
