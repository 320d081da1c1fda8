//! `portcullis policy …`: the policy engine without a gateway.

mod case;
mod decide;
mod test;

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
    /// Check that policies decide what the tables beside them say
    ///
    /// NAME.test.json is the table of NAME.json; policies/README.md says what stands in it.
    Test(test::Test),
}

/// Runs one.
pub(super) fn run(policy: &Policy) -> Result<(), String> {
    match policy {
        Policy::Decide(decide) => decide::run(decide),
        Policy::Test(test) => test::run(test),
    }
}
