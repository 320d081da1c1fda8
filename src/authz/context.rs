//! What conditions may ask of a request: a typed view, computed when asked.
//!
//! Client input appears only under the keys that mean client input; nothing that a client names can
//! shadow what the gateway knows (T36).

use std::sync::Arc;

use time::OffsetDateTime;

use super::requirement::Requirement;
use crate::authn::{Caller, Identity};
use crate::iam::{Context, Key, Name, Principal, Value, Values};
use crate::s3::{Call, Request};

/// The view.
pub(super) struct RequestContext<'a> {
    request: &'a Request,
    caller: &'a Caller,
    requirement: &'a Requirement<'a>,
    account: &'a Arc<str>,
    region: &'a str,
    now: OffsetDateTime,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(
        request: &'a Request,
        caller: &'a Caller,
        requirement: &'a Requirement<'a>,
        account: &'a Arc<str>,
        region: &'a str,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            request,
            caller,
            requirement,
            account,
            region,
            now,
        }
    }

    /// Who asks, as policies know it.
    pub(super) fn principal(&self) -> Principal {
        match self.caller.identity() {
            Identity::Anonymous => Principal::Anonymous,
            Identity::Root => Principal::Root {
                account: self.account.clone(),
            },
            Identity::User(user) => Principal::User {
                account: self.account.clone(),
                arn: user.arn.clone(),
            },
        }
    }

    fn header(&self, name: &'static str) -> Values<'_> {
        Values::maybe(self.request.head.header(name).ok().flatten())
    }

    fn identity_key(&self, name: Name) -> Values<'_> {
        let identity = self.caller.identity();
        match (name, identity) {
            (Name::PrincipalAccount, Identity::Anonymous) => Values::text("anonymous"),
            (Name::PrincipalAccount, _) => Values::text(self.account),
            (Name::PrincipalArn, Identity::Root) => {
                Values::owned(format!("arn:aws:iam::{}:root", self.account))
            }
            (Name::PrincipalArn, Identity::User(user)) => Values::text(&user.arn),
            (Name::PrincipalType, Identity::Anonymous) => Values::text("Anonymous"),
            (Name::PrincipalType, Identity::Root) => Values::text("Account"),
            (Name::PrincipalType, Identity::User(_)) => Values::text("User"),
            (Name::PrincipalIsAwsService, Identity::Root | Identity::User(_)) => {
                Values::flag(false)
            }
            (Name::UserId, Identity::Root) => Values::text(self.account),
            (Name::UserId | Name::UserName, Identity::User(user)) => Values::text(&user.name),
            _ => Values::Absent,
        }
    }

    /// What is proved of the signature.
    fn signature(&self, name: Name) -> Values<'_> {
        let Some(proof) = self.caller.proof() else {
            return Values::Absent;
        };
        match name {
            Name::AuthType => Values::text(proof.mechanism.auth_type()),
            Name::SignatureVersion => Values::text("AWS4-HMAC-SHA256"),
            _ => {
                let age = (self.now - proof.signed_at).whole_milliseconds().max(0);
                Values::owned(age.to_string())
            }
        }
    }

    /// Listing parameters as the client gave them: absent is absent.
    fn listing(&self, name: Name) -> Values<'_> {
        let (prefix, delimiter) = match &self.request.call {
            Call::ListObjects(call) | Call::ListObjectsV2(call) => (&call.prefix, &call.delimiter),
            Call::ListMultipartUploads(call) => (&call.prefix, &call.delimiter),
            _ => return Values::Absent,
        };
        match name {
            // The call's own, not the query's: a listing may be asked on a read's behalf.
            Name::Prefix => Values::maybe(
                Some(prefix.as_str())
                    .filter(|prefix| !prefix.is_empty() || self.request.head.query.has("prefix")),
            ),
            Name::Delimiter => Values::maybe(delimiter.as_deref()),
            _ => Values::maybe(self.request.head.query.get("max-keys")),
        }
    }

    fn write_condition(&self, name: &'static str) -> Values<'_> {
        let writes = matches!(
            self.request.call,
            Call::PutObject(_) | Call::CopyObject(_) | Call::CompleteMultipartUpload(_)
        );
        match writes && !self.requirement.is_source {
            true => self.header(name),
            false => Values::Absent,
        }
    }

    /// A header that says something of what is written, not of a copy's source.
    fn of_written(&self, name: &'static str) -> Values<'_> {
        match self.requirement.is_source {
            true => Values::Absent,
            false => self.header(name),
        }
    }
}

impl Context for RequestContext<'_> {
    fn values(&self, key: &Key) -> Values<'_> {
        let peer = &self.request.head.peer;
        match key.name() {
            Name::CurrentTime => Values::One(Value::Time(self.now)),
            Name::EpochTime => Values::One(Value::Epoch(self.now.unix_timestamp())),
            Name::Referer => self.header("referer"),
            Name::RequestedRegion => Values::text(self.region),
            Name::AwsResourceAccount | Name::ResourceAccount => Values::text(self.account),
            Name::SecureTransport => Values::flag(peer.secure),
            Name::SourceIp => Values::One(Value::Address(peer.address)),
            Name::UserAgent => self.header("user-agent"),
            Name::ViaAwsService => Values::flag(false),
            name @ (Name::PrincipalAccount
            | Name::PrincipalArn
            | Name::PrincipalIsAwsService
            | Name::PrincipalType
            | Name::UserId
            | Name::UserName) => self.identity_key(name),
            name @ (Name::AuthType | Name::SignatureAge | Name::SignatureVersion) => {
                self.signature(name)
            }
            Name::TlsVersion => Values::maybe(peer.tls_version),
            Name::VersionId => Values::maybe(self.requirement.version_id),
            name @ (Name::Prefix | Name::Delimiter | Name::MaxKeys) => self.listing(name),
            Name::IfMatch => self.write_condition("if-match"),
            Name::IfNoneMatch => self.write_condition("if-none-match"),
            Name::Acl => self.of_written("x-amz-acl"),
            Name::ContentSha256 => self.of_written("x-amz-content-sha256"),
            Name::CopySource => self.of_written("x-amz-copy-source"),
            Name::GrantFullControl => self.of_written("x-amz-grant-full-control"),
            Name::GrantRead => self.of_written("x-amz-grant-read"),
            Name::GrantReadAcp => self.of_written("x-amz-grant-read-acp"),
            Name::GrantWrite => self.of_written("x-amz-grant-write"),
            Name::GrantWriteAcp => self.of_written("x-amz-grant-write-acp"),
            Name::MetadataDirective => self.of_written("x-amz-metadata-directive"),
            Name::ObjectOwnership => self.of_written("x-amz-object-ownership"),
            Name::ServerSideEncryption => self.of_written("x-amz-server-side-encryption"),
            Name::ServerSideEncryptionKeyId => {
                self.of_written("x-amz-server-side-encryption-aws-kms-key-id")
            }
            Name::ServerSideEncryptionCustomerAlgorithm => {
                self.of_written("x-amz-server-side-encryption-customer-algorithm")
            }
            Name::StorageClass => self.of_written("x-amz-storage-class"),
            Name::WebsiteRedirectLocation => self.of_written("x-amz-website-redirect-location"),
            Name::PrincipalTag
            | Name::ExistingObjectTag
            | Name::RequestObjectTag
            | Name::RequestObjectTagKeys
            | Name::LocationConstraint
            | Name::ObjectCreationOperation
            | Name::ObjectLockLegalHold
            | Name::ObjectLockMode
            | Name::ObjectLockRemainingRetentionDays
            | Name::ObjectLockRetainUntilDate
            | Name::Other => Values::Absent,
        }
    }
}
