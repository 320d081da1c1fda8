//! The documents of public access: which of it is blocked, and whether a policy is public.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PublicAccessBlockConfiguration.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PolicyStatus.html>

use super::Writer;
use super::element::{Element, malformed};
use crate::s3::{Error, PublicAccessBlock};

const ROOT: &str = "PublicAccessBlockConfiguration";
const SETTINGS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

/// Reads the body of a PutPublicAccessBlock. A setting that is not in it is off.
///
/// # Errors
/// `MalformedXML`.
pub fn read_public_access_block(document: &[u8]) -> Result<PublicAccessBlock, Error> {
    let root = Element::read(document, ROOT)?;
    root.only(&SETTINGS)?;
    // AWS's own text spells the values in capitals. Nothing else is guessed at: it would be a guess at
    // who may read a bucket.
    let setting = |name| match root.optional(name)?.map(str::trim) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(malformed()),
    };
    let [acls, ignore, policy, restrict] = SETTINGS;
    Ok(PublicAccessBlock {
        block_public_acls: setting(acls)?,
        ignore_public_acls: setting(ignore)?,
        block_public_policy: setting(policy)?,
        restrict_public_buckets: setting(restrict)?,
    })
}

/// What GetPublicAccessBlock answers.
#[must_use]
pub fn public_access_block(block: PublicAccessBlock) -> String {
    let [acls, ignore, policy, restrict] = SETTINGS;
    let mut xml = Writer::new(ROOT);
    xml.flag(acls, block.block_public_acls);
    xml.flag(ignore, block.ignore_public_acls);
    xml.flag(policy, block.block_public_policy);
    xml.flag(restrict, block.restrict_public_buckets);
    xml.finish(ROOT)
}

/// What GetBucketPolicyStatus answers. SDKs read no other spelling of true than this one.
#[must_use]
pub fn policy_status(public: bool) -> String {
    let mut xml = Writer::new("PolicyStatus");
    xml.flag("IsPublic", public);
    xml.finish("PolicyStatus")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::s3::ErrorCode;

    fn read(inner: &str) -> Result<PublicAccessBlock, ErrorCode> {
        let document = format!("<{ROOT}>{inner}</{ROOT}>");
        read_public_access_block(document.as_bytes()).map_err(|e| e.code())
    }

    #[test]
    fn settings_are_read() {
        assert_eq!(read(""), Ok(PublicAccessBlock::NONE));
        let all: String = SETTINGS
            .iter()
            .map(|name| format!("<{name}> TRUE </{name}>"))
            .collect();
        assert_eq!(read(&all), Ok(PublicAccessBlock::ALL));
        let one = read(
            "<BlockPublicPolicy>true</BlockPublicPolicy><BlockPublicAcls>false</BlockPublicAcls>",
        );
        let only_policy = PublicAccessBlock {
            block_public_policy: true,
            ..PublicAccessBlock::NONE
        };
        assert_eq!(one, Ok(only_policy));
    }

    #[test]
    fn nothing_is_guessed_at() {
        for inner in [
            "<BlockPublicPolicy/>",
            "<BlockPublicPolicy>no</BlockPublicPolicy>",
            "<BlockPublicPolicy>0</BlockPublicPolicy>",
            "<BlockPublicPolicy><b>true</b></BlockPublicPolicy>",
            "<BlockPublicPolicy>true</BlockPublicPolicy><BlockPublicPolicy>false</BlockPublicPolicy>",
            "<BlockPublicPolicies>true</BlockPublicPolicies>",
            "<blockPublicPolicy>true</blockPublicPolicy>",
        ] {
            assert_eq!(read(inner), Err(ErrorCode::MalformedXml), "{inner}");
        }
        assert!(read_public_access_block(b"").is_err());
        assert!(read_public_access_block(b"<PublicAccessBlock/>").is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for bits in 0..16_u8 {
            let block = PublicAccessBlock {
                block_public_acls: bits & 1 != 0,
                ignore_public_acls: bits & 2 != 0,
                block_public_policy: bits & 4 != 0,
                restrict_public_buckets: bits & 8 != 0,
            };
            let document = public_access_block(block);
            assert_eq!(
                read_public_access_block(document.as_bytes()).unwrap(),
                block
            );
            assert_eq!(block.or(PublicAccessBlock::NONE), block);
            assert_eq!(block.or(PublicAccessBlock::ALL), PublicAccessBlock::ALL);
        }
        assert!(policy_status(true).contains("<IsPublic>true</IsPublic>"));
    }
}
