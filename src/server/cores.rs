//! A crash leaves no file with everybody's secret keys in it, and nobody of the same user reads them out of
//! the running process.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps this process's memory out of core dumps, whoever would take them.
///
/// # Errors
/// The system's.
pub(super) fn disable() -> std::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}
