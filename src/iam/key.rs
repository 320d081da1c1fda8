//! Condition keys: which there are, and which of them requests here supply.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

use std::collections::HashMap;
use std::sync::LazyLock;

use super::reference;

/// A condition key that exists. Names are case-insensitive.
#[derive(Clone, Debug)]
pub struct Key {
    name: Name,
    written: Box<str>,
}

macro_rules! names {
    ($($name:ident $text:literal,)*) => {
        /// The keys that requests here may supply. One whose text ends in `/` has a tag's name behind it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are AWS's own")]
        pub enum Name {
            $($name,)*
            /// A key that exists and that no request here has.
            Other,
        }

        const SUPPLIED: &[(&str, Name)] = &[$(($text, Name::$name),)*];
    };
}

names! {
    CurrentTime "aws:CurrentTime",
    EpochTime "aws:EpochTime",
    PrincipalAccount "aws:PrincipalAccount",
    PrincipalArn "aws:PrincipalArn",
    PrincipalIsAwsService "aws:PrincipalIsAWSService",
    PrincipalTag "aws:PrincipalTag/",
    PrincipalType "aws:PrincipalType",
    Referer "aws:Referer",
    RequestedRegion "aws:RequestedRegion",
    AwsResourceAccount "aws:ResourceAccount",
    SecureTransport "aws:SecureTransport",
    SourceIp "aws:SourceIp",
    UserAgent "aws:UserAgent",
    UserId "aws:userid",
    UserName "aws:username",
    ViaAwsService "aws:ViaAWSService",
    AuthType "s3:authType",
    Delimiter "s3:delimiter",
    ExistingObjectTag "s3:ExistingObjectTag/",
    IfMatch "s3:if-match",
    IfNoneMatch "s3:if-none-match",
    LocationConstraint "s3:LocationConstraint",
    MaxKeys "s3:max-keys",
    ObjectCreationOperation "s3:ObjectCreationOperation",
    ObjectLockLegalHold "s3:object-lock-legal-hold",
    ObjectLockMode "s3:object-lock-mode",
    ObjectLockRemainingRetentionDays "s3:object-lock-remaining-retention-days",
    ObjectLockRetainUntilDate "s3:object-lock-retain-until-date",
    Prefix "s3:prefix",
    RequestObjectTag "s3:RequestObjectTag/",
    RequestObjectTagKeys "s3:RequestObjectTagKeys",
    ResourceAccount "s3:ResourceAccount",
    SignatureAge "s3:signatureAge",
    SignatureVersion "s3:signatureversion",
    TlsVersion "s3:TlsVersion",
    VersionId "s3:VersionId",
    Acl "s3:x-amz-acl",
    ContentSha256 "s3:x-amz-content-sha256",
    CopySource "s3:x-amz-copy-source",
    GrantFullControl "s3:x-amz-grant-full-control",
    GrantRead "s3:x-amz-grant-read",
    GrantReadAcp "s3:x-amz-grant-read-acp",
    GrantWrite "s3:x-amz-grant-write",
    GrantWriteAcp "s3:x-amz-grant-write-acp",
    MetadataDirective "s3:x-amz-metadata-directive",
    ObjectOwnership "s3:x-amz-object-ownership",
    ServerSideEncryption "s3:x-amz-server-side-encryption",
    ServerSideEncryptionKeyId "s3:x-amz-server-side-encryption-aws-kms-key-id",
    ServerSideEncryptionCustomerAlgorithm "s3:x-amz-server-side-encryption-customer-algorithm",
    StorageClass "s3:x-amz-storage-class",
    WebsiteRedirectLocation "s3:x-amz-website-redirect-location",
}

/// Every key that exists, in lower case.
static KNOWN: LazyLock<HashMap<String, Name>> = LazyLock::new(|| {
    let services = reference::SERVICES.iter().flat_map(|(.., keys)| *keys);
    let names = services.map(|(name, _)| *name);
    let names = names.chain(reference::GLOBALS.iter().map(|(name, ..)| *name));
    let others = names.map(|name| (name, Name::Other));
    others
        .chain(SUPPLIED.iter().copied())
        .map(|(text, name)| (text.to_ascii_lowercase(), name))
        .collect()
});

impl Key {
    /// Takes a key in.
    ///
    /// # Errors
    /// When AWS has no such key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let name = match KNOWN.get(lower.as_str()) {
            Some(_) if lower.ends_with(['/', ':']) => {
                return Err(format!(
                    "condition key `{text}` names nothing behind its `{}`",
                    lower.chars().last().unwrap_or('/')
                ));
            }
            Some(name) => *name,
            None => member(&lower).ok_or_else(|| unknown(text))?,
        };
        Ok(Self {
            name,
            written: text.into(),
        })
    }

    /// Which of the supplied keys it is.
    #[must_use]
    pub fn name(&self) -> Name {
        self.name
    }

    /// As the policy has it.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The name of the tag that it asks for, behind `/`.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.written.split_once('/').map(|(_, tag)| tag)
    }

    /// Whether it is called `name`, in whatever case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.written.eq_ignore_ascii_case(name)
    }
}

/// The keys that a request for an action may have: S3's own only where the reference says so, the others
/// always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supplied(u128);

impl Supplied {
    /// What a request for `action` has.
    #[must_use]
    pub fn by(action: &str) -> Self {
        static BY_ACTION: LazyLock<HashMap<&str, Supplied>> = LazyLock::new(|| {
            let actions = reference::SERVICES
                .iter()
                .flat_map(|(_, actions, _)| *actions);
            actions
                .map(|action| {
                    let supplied = SUPPLIED
                        .iter()
                        .filter(|(text, _)| reference::supplies(action, text));
                    let bits = supplied.fold(0, |bits, (_, name)| bits | name.bit());
                    (action.name, Supplied(bits))
                })
                .collect()
        });
        BY_ACTION.get(action).copied().unwrap_or(Self(0))
    }

    /// Whether `name` is among them.
    #[must_use]
    pub fn has(self, name: Name) -> bool {
        self.0 & name.bit() != 0
    }
}

impl Name {
    fn bit(self) -> u128 {
        1_u128.checked_shl(self as u32).unwrap_or(0)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.written)
    }
}

fn unknown(text: &str) -> String {
    let meant = reference::nearest::key(text);
    let meant = meant.map(|name| format!("; did you mean `{name}`?"));
    format!(
        "condition key `{text}` is not known{}",
        meant.unwrap_or_default()
    )
}

/// What a key is that no table names: one of a family that a table names (`aws:PrincipalTag/team`,
/// `jwt:department`), or a claim that its issuer names (`accounts.google.com:aud`).
fn member(lower: &str) -> Option<Name> {
    let behind = |separator| lower.find(separator).map(|at| at.saturating_add(1));
    let families = [
        behind('/'),
        lower.rfind(':').map(|at| at.saturating_add(1)),
        behind(':'),
    ];
    let named = |end: usize| KNOWN.get(lower.get(..end)?).filter(|_| end < lower.len());
    if let Some(name) = families.into_iter().flatten().find_map(named) {
        return Some(*name);
    }
    let (issuer, claim) = lower.rsplit_once(':')?;
    let host = issuer.split('/').next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    (host.contains('.') && host.bytes().all(plain) && !claim.is_empty()).then_some(Name::Other)
}
