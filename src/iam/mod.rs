//! The policy language and its verdict: AWS IAM policy documents, parsed strictly, compiled once,
//! evaluated totally.
//!
//! This room knows ARNs and texts, not S3. What is not enforced is refused when a policy is parsed,
//! naming statement and field, so that evaluation has no error and nothing is silently ignored.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies.html>

mod action;
mod arn;
mod bucket;
mod condition;
mod context;
mod evaluate;
mod explain;
mod index;
mod json;
mod key;
mod pattern;
mod policy;
mod principal;
mod public;
mod reference;
mod statement;
mod unknown;
mod validate;

pub use arn::is_account;
pub use context::{Context, Value, Values};
pub use evaluate::{By, Decision, Missing, Policies, Request, evaluate};
pub use explain::{Considered, Explanation, Failure, Place, Unmet, explain};
pub use key::{Key, Name, Supplied};
pub use policy::{Error, Policy, PolicyKind, PolicyLimits};
pub use principal::Principal;
#[cfg(test)]
pub(crate) use reference::action_supplies;
pub use statement::Effect;
pub use unknown::{check_resource, known_action, mistaken_action};
pub use validate::{
    Finding, Severity, refusals, said_in_vain, validate, validate_at, validate_for_bucket,
};
