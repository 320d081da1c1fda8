//! Public access, as far as it is blocked: what a public policy grants then reaches nobody outside of
//! the account. What it denies it denies as ever.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>

use super::Authorizer;
use crate::authn::{Caller, Identity};
use crate::iam::Principal;
use crate::identity::{BucketPolicies, BucketPolicy};
use crate::s3::{BucketName, Call, Error, ErrorCode, PublicAccessBlock, Request};

/// Why a grant does not reach whoever asks.
pub(super) const IS_BLOCKED: &str = "public access is blocked";

impl Authorizer {
    /// The same authorizer, of a server that blocks so much of public access, whatever buckets say.
    #[must_use]
    pub fn blocking(mut self, public_access: PublicAccessBlock) -> Self {
        self.public_access_block = public_access;
        self
    }

    /// What of public access to a bucket is blocked, by the server or by the bucket itself.
    #[must_use]
    pub fn public_access_block(
        &self,
        policies: &BucketPolicies,
        bucket: &BucketName,
    ) -> PublicAccessBlock {
        let own = policies.public_access_block(bucket);
        self.public_access_block.or(own)
    }

    /// Whether what `policy` grants on `bucket` does not reach `principal`.
    pub(super) fn is_blocked(
        &self,
        principal: &Principal,
        policies: &BucketPolicies,
        bucket: &BucketName,
        policy: &BucketPolicy,
    ) -> bool {
        let block = || self.public_access_block(policies, bucket);
        self.is_outside(principal) && policy.is_public() && block().restrict_public_buckets
    }

    /// Whether public access is what `principal` needs: whoever is not of the account.
    pub(super) fn is_outside(&self, principal: &Principal) -> bool {
        principal.account() != Some(&self.account)
    }

    /// DeleteObjects is decided key by key, by reading its document. Nobody's is read where there is not
    /// even a bucket policy that could grant one of its keys (T89).
    pub(super) fn some_hope(
        &self,
        request: &Request,
        caller: &Caller,
        policies: &BucketPolicies,
    ) -> Result<(), Error> {
        let (Identity::Anonymous, Call::DeleteObjects(call)) = (caller.identity(), &request.call)
        else {
            return Ok(());
        };
        let none = match policies.policy(&call.bucket)? {
            None => "nothing can allow an anonymous DeleteObjects",
            Some(policy) => {
                let anonymous = Principal::Anonymous;
                match self.is_blocked(&anonymous, policies, &call.bucket, &policy) {
                    true => IS_BLOCKED,
                    false => return Ok(()),
                }
            }
        };
        Err(Error::new(ErrorCode::AccessDenied).because(none))
    }
}

#[cfg(test)]
mod tests;
