//! `portcullis policy …`: the policy engine without a gateway.

mod validate;

use clap::Subcommand;

/// What can be asked of the policy engine.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Say what in policies is wrong, or is hardly meant so
    ///
    /// Errors are what a gateway refuses; security warnings, warnings and suggestions are what AWS's
    /// IAM Access Analyzer would say, and what has no effect here. The exit code is 1 when a policy has
    /// an error or a file cannot be read.
    Validate(validate::Validate),
}

/// Runs one.
pub(super) fn run(policy: &Policy) -> Result<(), String> {
    match policy {
        Policy::Validate(validate) => validate::run(validate),
    }
}
