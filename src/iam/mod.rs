//! The policy language and its verdict: AWS IAM policy documents, parsed strictly, compiled once,
//! evaluated totally.
//!
//! This room knows ARNs and texts, not S3. What is not enforced is refused when a policy is parsed,
//! naming statement and field, so that evaluation has no error and nothing is silently ignored.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies.html>

mod condition;
mod evaluate;
mod json;
mod key;
mod pattern;
mod policy;
mod principal;
mod statement;

pub use evaluate::{By, Context, Decision, Policies, Request, Values, evaluate};
pub use key::Key;
pub use policy::{Error, Policy, PolicyKind};
pub use principal::Principal;
