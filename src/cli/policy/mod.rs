//! `portcullis policy …`: the policy engine without a gateway.

mod case;
mod decide;
mod explain;
mod test;
mod validate;

use clap::Subcommand;

/// What can be asked of the policy engine.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Read one case a line on standard input, answer one decision a line
    ///
    /// A case is a JSON object: `principal` (the ARN of a user or of a role's session, `anonymous` or
    /// `root`), `role` (a session's), the documents `identity`, `groups`, `boundary`, `session`,
    /// `service_account` and `resource`, `action`, `target` and `context` (lists of texts by condition
    /// key). An answer has `decision` (`allow`, `explicit_deny`, `implicit_deny` or `invalid`), `by` and
    /// `why`.
    Decide(decide::Decide),
    /// Say why a request is allowed or denied: by every statement in play
    ///
    /// The policies are those of a user of the configuration, with the bucket's, or the documents that
    /// are named. Keys that follow from who asks and from the clock are filled in unless they are given.
    Explain(Box<explain::Explain>),
    /// Check that policies decide what the tables beside them say
    ///
    /// NAME.test.json is the table of NAME.json; policies/README.md says what stands in it.
    Test(test::Test),
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
        Policy::Decide(decide) => decide::run(decide),
        Policy::Explain(explain) => explain::run(explain),
        Policy::Test(test) => test::run(test),
        Policy::Validate(validate) => validate::run(validate),
    }
}
