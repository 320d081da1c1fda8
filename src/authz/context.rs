//! What conditions may ask of a request: a typed view, computed when asked.
//!
//! Client input appears only under the keys that mean client input; nothing that a client names can
//! shadow what the gateway knows (T36).

use std::borrow::Cow;
use std::sync::Arc;

use super::decide::Asked;
use super::facts::{Document, Lacking};
use super::requirement::Requirement;
use super::surroundings::{self, tag};
use crate::authn::{Mechanism, Version};
use crate::iam::{Context, Key, Name, Principal, Supplied, Value, Values};
use crate::s3::{Call, TagSet};

/// The view.
pub(super) struct RequestContext<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) requirement: &'a Requirement<'a>,
    pub(super) supplied: Supplied,
    pub(super) account: &'a Arc<str>,
    pub(super) region: &'a str,
    pub(super) lacking: &'a Lacking,
}

impl RequestContext<'_> {
    /// Who asks, as policies know it.
    pub(super) fn principal(&self) -> Principal {
        surroundings::principal(self.asked.caller.identity(), self.account)
    }

    /// A header's text. One that cannot be read is not absent: nothing is decided by it.
    fn header(&self, name: &'static str) -> Values<'_> {
        let head = &self.asked.request.head;
        match head.header(name) {
            Ok(text) => Values::maybe(text),
            Err(_) => {
                self.lacking.header(name);
                Values::Absent
            }
        }
    }

    /// The object that a copy reads, with and without the slash that policies may write before it: as
    /// it is read, however the header wrote it (T40).
    fn copy_source(&self) -> Values<'_> {
        let source = match &self.asked.request.call {
            _ if self.requirement.is_source => return Values::Absent,
            Call::CopyObject(call) => &call.source,
            Call::UploadPartCopy(call) => &call.source,
            _ => return Values::Absent,
        };
        let forms = ["", "/"].map(|slash| format!("{slash}{}/{}", source.bucket, source.key));
        Values::Many(forms.map(|form| Value::Text(Cow::Owned(form))).into())
    }

    /// What is proved of the signature.
    fn signature(&self, name: Name) -> Values<'_> {
        let Some(proof) = self.asked.caller.proof() else {
            return Values::Absent;
        };
        match name {
            Name::AuthType => Values::text(proof.mechanism.auth_type()),
            Name::SignatureVersion => Values::text(proof.version.signature_version()),
            _ => {
                let age = (self.asked.now - proof.signed_at)
                    .whole_milliseconds()
                    .max(0);
                Values::owned(age.to_string())
            }
        }
    }

    /// What the request says of its payload's hash. A presigned one that says nothing is unsigned, which
    /// its signature says aloud.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html>
    fn content_sha256(&self) -> Values<'_> {
        let presigned = self.asked.caller.proof();
        // Version 2 never says it, and signs no body.
        let presigned = presigned.is_some_and(|proof| {
            proof.mechanism == Mechanism::Presigned || proof.version == Version::Two
        });
        match self.header("x-amz-content-sha256") {
            Values::Absent if presigned => Values::text("UNSIGNED-PAYLOAD"),
            said => said,
        }
    }

    /// Listing parameters as the client gave them: absent is absent.
    fn listing(&self, name: Name) -> Values<'_> {
        let (prefix, delimiter) = match &self.asked.request.call {
            Call::ListObjects(call)
            | Call::ListObjectsV2(call)
            | Call::ListObjectVersions(call) => (&call.prefix, &call.delimiter),
            Call::ListMultipartUploads(call) => (&call.prefix, &call.delimiter),
            _ => return Values::Absent,
        };
        match name {
            // The call's own, not the query's: a listing may be asked on a read's behalf.
            Name::Prefix => Values::maybe(Some(prefix.as_str()).filter(|prefix| {
                !prefix.is_empty() || self.asked.request.head.query.has("prefix")
            })),
            Name::Delimiter => Values::maybe(delimiter.as_deref()),
            _ => Values::maybe(self.asked.request.head.query.get("max-keys")),
        }
    }

    fn write_condition(&self, name: &'static str) -> Values<'_> {
        match &self.asked.request.call {
            _ if self.requirement.is_source => Values::Absent,
            Call::PutObject(_) | Call::CopyObject(_) | Call::CompleteMultipartUpload(_) => {
                self.header(name)
            }
            // It may stand in the document of a DeleteObjects.
            Call::DeleteObject(call) if name == "if-match" => {
                Values::maybe(call.if_match.as_ref().map(|tag| tag.0.as_str()))
            }
            _ => Values::Absent,
        }
    }

    /// Whether this makes an object: what only begins or feeds an upload cannot be conditional.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html>
    fn creates(&self) -> Values<'_> {
        match &self.asked.request.call {
            _ if self.requirement.is_source => Values::Absent,
            Call::PutObject(_) | Call::CopyObject(_) | Call::CompleteMultipartUpload(_) => {
                Values::flag(true)
            }
            Call::CreateMultipartUpload(_) | Call::UploadPart(_) | Call::UploadPartCopy(_) => {
                Values::flag(false)
            }
            _ => Values::Absent,
        }
    }

    /// A tag of the object that is there.
    fn existing_tag(&self, key: &Key) -> Values<'_> {
        let Some(object) = self.requirement.existing_object() else {
            return Values::Absent;
        };
        match self.asked.facts.existing(&object) {
            Some(tags) => tag(tags.iter(), key),
            None => {
                self.lacking.existing_tags();
                Values::Absent
            }
        }
    }

    /// The tags that a write asks for; `None` where it is one that asks for none.
    fn requested_tags(&self) -> Option<&TagSet> {
        match &self.asked.request.call {
            _ if self.requirement.is_source => None,
            Call::PutObject(call) => Some(&call.tags),
            Call::CreateMultipartUpload(call) => Some(&call.tags),
            Call::CopyObject(call) => call.tags.as_ref(),
            Call::PutObjectTagging(_) => match self.asked.facts.read() {
                Some(Document::Tags(tags)) => Some(tags),
                _ => {
                    self.lacking.document();
                    None
                }
            },
            _ => None,
        }
    }

    fn requested_tag(&self, key: &Key) -> Values<'_> {
        let tags = self.requested_tags();
        tags.map_or(Values::Absent, |tags| tag(tags.iter(), key))
    }

    fn requested_tag_keys(&self) -> Values<'_> {
        let value = |(name, _)| Value::Text(Cow::Borrowed(name));
        let tags = self.requested_tags();
        tags.map_or(Values::Absent, |tags| {
            Values::Many(tags.iter().map(value).collect())
        })
    }

    /// Whole days from now until the date that is asked for.
    fn retention_days(&self) -> Values<'_> {
        let until = self
            .of_written("x-amz-object-lock-retain-until-date")
            .single();
        let until = until.and_then(|text| crate::s3::time::parse_iso8601(&text.as_text()));
        until.map_or(Values::Absent, |until| {
            Values::owned((until - self.asked.now).whole_days().to_string())
        })
    }

    fn location(&self) -> Values<'_> {
        if !matches!(self.asked.request.call, Call::CreateBucket(_)) {
            return Values::Absent;
        }
        match self.asked.facts.read() {
            Some(Document::Location(location)) => Values::maybe(location.as_deref()),
            _ => {
                self.lacking.document();
                Values::Absent
            }
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
        let peer = &self.asked.request.head.peer;
        if !self.supplied.has(key.name()) {
            return Values::Absent;
        }
        match key.name() {
            name @ (Name::CurrentTime
            | Name::EpochTime
            | Name::RequestedRegion
            | Name::AwsResourceAccount
            | Name::ResourceAccount
            | Name::ViaAwsService) => {
                surroundings::of_gateway(self.account, self.region, self.asked.now, name)
            }
            Name::Referer => self.header("referer"),
            Name::SecureTransport => Values::flag(peer.secure),
            Name::SourceIp => Values::One(Value::Address(peer.address)),
            Name::UserAgent => self.header("user-agent"),
            Name::PrincipalAccount
            | Name::PrincipalArn
            | Name::PrincipalIsAwsService
            | Name::PrincipalTag
            | Name::PrincipalType
            | Name::UserId
            | Name::UserName => {
                surroundings::of_caller(self.asked.caller.identity(), self.account, key)
            }
            name @ (Name::AuthType | Name::SignatureAge | Name::SignatureVersion) => {
                self.signature(name)
            }
            Name::TlsVersion => Values::maybe(peer.tls_version),
            Name::VersionId => Values::maybe(self.requirement.version_id),
            name @ (Name::Prefix | Name::Delimiter | Name::MaxKeys) => self.listing(name),
            Name::IfMatch => self.write_condition("if-match"),
            Name::IfNoneMatch => self.write_condition("if-none-match"),
            Name::Acl => self.of_written("x-amz-acl"),
            Name::ContentSha256 => self.content_sha256(),
            Name::CopySource => self.copy_source(),
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
            Name::ExistingObjectTag => self.existing_tag(key),
            Name::RequestObjectTag => self.requested_tag(key),
            Name::RequestObjectTagKeys => self.requested_tag_keys(),
            Name::LocationConstraint => self.location(),
            Name::ObjectCreationOperation => self.creates(),
            Name::ObjectLockLegalHold => self.of_written("x-amz-object-lock-legal-hold"),
            Name::ObjectLockMode => self.of_written("x-amz-object-lock-mode"),
            Name::ObjectLockRetainUntilDate => {
                self.of_written("x-amz-object-lock-retain-until-date")
            }
            Name::ObjectLockRemainingRetentionDays => self.retention_days(),
            Name::Other => Values::Absent,
        }
    }
}
