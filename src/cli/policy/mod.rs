//! `portcullis policy …`: the policy engine without a gateway.

mod case;
mod decide;
mod explain;
mod held;
mod said;
mod test;
mod validate;

use std::process::ExitCode;

use clap::Subcommand;

/// The exit code where something that was asked cannot be decided.
const INVALID: u8 = 2;

/// What can be asked of the policy engine.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Read one case a line on standard input, answer one decision a line
    ///
    /// A case is a JSON object: `principal` (the ARN of a user or of a role's session, `anonymous` or
    /// `root`), `role` (a session's), the documents `identity`, `groups`, `boundary`, `session`,
    /// `service_account` and `resource`, `action`, `target` and `context` (lists of texts by condition
    /// key). An answer has `decision` (`allow`, `explicit_deny`, `implicit_deny` or `invalid`), `by` and
    /// `why`. The exit code is 2 when a case was invalid: malformed, a document that a gateway refuses, an
    /// action of S3 or key of `s3:` or `aws:` that there is not, or a target that is no ARN. Actions and
    /// resources of services that are not answered here are decided, and by every key that is given.
    Decide(decide::Decide),
    /// Say whether the gateway would allow a request, and why: by every statement in play
    ///
    /// The policies are those of a user of the configuration, with the bucket's, or the documents that
    /// are named. Keys that follow from who asks and from the clock are filled in; a request comes over TLS
    /// and is signed in a header, unless --context says otherwise. Without a configuration the defaults
    /// hold, which block public access. The exit code is 0 when it is allowed, 1 when it is denied, and 2
    /// when it is no request that could come: an action, a condition key or a resource that there is not.
    Explain(Box<explain::Explain>),
    /// Check that policies decide what the tables beside them say
    ///
    /// NAME.test.json is the table of NAME.json; policies/README.md says what stands in it. A table is
    /// refused when it names what no request here could have: an action, a key or a target that there is
    /// not, or a value that its key cannot have. A key that an action never has is left out, as `explain`
    /// leaves it out. A document that a gateway refuses makes its cases `invalid`.
    Test(test::Test),
    /// Say what in policies is wrong, or is hardly meant so
    ///
    /// Errors are what a gateway or AWS refuses; security warnings, warnings and suggestions are what AWS's
    /// IAM Access Analyzer would say, and what has no effect here. The exit code is 1 when a policy has
    /// an error or a file cannot be read.
    Validate(validate::Validate),
}

/// Runs one; its failure is told on standard error.
pub(super) fn run(policy: &Policy) -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let (outcome, failure) = match policy {
        Policy::Decide(decide) => (decide::run(decide), ExitCode::from(INVALID)),
        Policy::Explain(explain) => (explain::run(explain), ExitCode::from(INVALID)),
        Policy::Test(test) => (test::run(test).map(done), ExitCode::FAILURE),
        Policy::Validate(validate) => (validate::run(validate).map(done), ExitCode::FAILURE),
    };
    outcome.unwrap_or_else(|why| {
        super::complain(&why);
        failure
    })
}
