//! What of public access is blocked.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>

/// The four settings of S3 Block Public Access, of a server or of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// Requests that bring a public ACL are refused: here all are, whatever this says.
    pub block_public_acls: bool,
    /// Public ACLs grant nothing: here there are none.
    pub ignore_public_acls: bool,
    /// A public policy is refused when it is put.
    pub block_public_policy: bool,
    /// What a public policy grants reaches nobody outside of the account.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// Everything is blocked, as for every new bucket at AWS.
    pub const ALL: Self = Self::of(true);
    /// Nothing is.
    pub const NONE: Self = Self::of(false);

    const fn of(flag: bool) -> Self {
        Self {
            block_public_acls: flag,
            ignore_public_acls: flag,
            block_public_policy: flag,
            restrict_public_buckets: flag,
        }
    }

    /// What is in force where both are: the most restrictive combination.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            block_public_acls: self.block_public_acls || other.block_public_acls,
            ignore_public_acls: self.ignore_public_acls || other.ignore_public_acls,
            block_public_policy: self.block_public_policy || other.block_public_policy,
            restrict_public_buckets: self.restrict_public_buckets || other.restrict_public_buckets,
        }
    }
}

impl Default for PublicAccessBlock {
    fn default() -> Self {
        Self::ALL
    }
}
