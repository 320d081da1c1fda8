//! What conditions may ask of a request: a typed view, computed when asked.
//!
//! Client input appears only under the keys that mean client input; nothing that a client names can
//! shadow what the gateway knows (T36).

use std::borrow::Cow;
use std::sync::Arc;

use time::OffsetDateTime;

use super::requirement::Requirement;
use crate::authn::{Caller, Identity};
use crate::iam::{Context, Key, Principal, Values};
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

    fn header(&self, name: &'static str) -> Option<Values<'_>> {
        self.request.head.header(name).ok().flatten().map(one)
    }

    fn identity_key(&self, name: &str) -> Option<Values<'_>> {
        let identity = self.caller.identity();
        match (name, identity) {
            ("principalaccount", Identity::Root | Identity::User(_)) => Some(one(self.account)),
            ("principalarn", Identity::Root) => {
                Some(owned(format!("arn:aws:iam::{}:root", self.account)))
            }
            ("principalarn", Identity::User(user)) => Some(one(&user.arn)),
            ("principaltype", Identity::Anonymous) => Some(one("Anonymous")),
            ("principaltype", Identity::Root) => Some(one("Account")),
            ("principaltype", Identity::User(_)) => Some(one("User")),
            ("userid", Identity::Root) => Some(one(self.account)),
            ("userid" | "username", Identity::User(user)) => Some(one(&user.name)),
            _ => None,
        }
    }

    fn global(&self, name: &str) -> Option<Values<'_>> {
        let peer = &self.request.head.peer;
        match name {
            "currenttime" => Some(owned(crate::s3::time::iso8601(self.now))),
            "epochtime" => Some(owned(self.now.unix_timestamp().to_string())),
            "referer" => self.header("referer"),
            "requestedregion" => Some(one(self.region)),
            "resourceaccount" => Some(one(self.account)),
            "securetransport" => Some(flag(peer.secure)),
            "sourceip" => Some(owned(peer.address.to_string())),
            "useragent" => self.header("user-agent"),
            other => self.identity_key(other),
        }
    }

    fn s3(&self, name: &str) -> Option<Values<'_>> {
        match name {
            "resourceaccount" => Some(one(self.account)),
            "authtype" => self
                .caller
                .proof()
                .map(|proof| one(proof.mechanism.auth_type())),
            "signatureversion" => self.caller.proof().map(|_| one("AWS4-HMAC-SHA256")),
            "signatureage" => {
                let age = |signed: OffsetDateTime| (self.now - signed).whole_milliseconds().max(0);
                self.caller
                    .proof()
                    .map(|proof| owned(age(proof.signed_at).to_string()))
            }
            "tlsversion" => self.request.head.peer.tls_version.map(one),
            "versionid" => self.requirement.version_id.map(one),
            "prefix" | "delimiter" | "max-keys" => self.listing(name),
            "locationconstraint" => None,
            "if-match" => self.write_condition("if-match"),
            "if-none-match" => self.write_condition("if-none-match"),
            other => self.amz_header(other),
        }
    }

    /// Listing parameters as the client gave them: absent is absent.
    fn listing(&self, name: &str) -> Option<Values<'_>> {
        let (prefix, delimiter) = match &self.request.call {
            Call::ListObjects(call) | Call::ListObjectsV2(call) => (&call.prefix, &call.delimiter),
            Call::ListMultipartUploads(call) => (&call.prefix, &call.delimiter),
            _ => return None,
        };
        match name {
            // The call's own, not the query's: a listing may be asked on a read's behalf.
            "prefix" => Some(one(prefix))
                .filter(|_| !prefix.is_empty() || self.request.head.query.has("prefix")),
            "delimiter" => delimiter.as_deref().map(one),
            _ => self.request.head.query.get("max-keys").map(one),
        }
    }

    fn write_condition(&self, name: &'static str) -> Option<Values<'_>> {
        let writes = matches!(
            self.request.call,
            Call::PutObject(_) | Call::CopyObject(_) | Call::CompleteMultipartUpload(_)
        );
        if writes { self.header(name) } else { None }
    }

    /// Keys that are headers of the same name.
    fn amz_header(&self, name: &str) -> Option<Values<'_>> {
        const HEADERS: [&str; 14] = [
            "x-amz-acl",
            "x-amz-content-sha256",
            "x-amz-copy-source",
            "x-amz-grant-full-control",
            "x-amz-grant-read",
            "x-amz-grant-read-acp",
            "x-amz-grant-write",
            "x-amz-grant-write-acp",
            "x-amz-metadata-directive",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
        ];
        // These are said of what is written, not of a copy's source.
        if self.requirement.is_source {
            return None;
        }
        HEADERS
            .iter()
            .find(|header| **header == name)
            .and_then(|header| self.header(header))
    }
}

impl Context for RequestContext<'_> {
    fn values(&self, key: &Key) -> Option<Values<'_>> {
        match key.as_str().split_once(':') {
            Some(("aws", name)) => self.global(name),
            Some(("s3", name)) => self.s3(name),
            _ => None,
        }
    }
}

fn one(text: &str) -> Values<'_> {
    Values::One(Cow::Borrowed(text))
}

fn owned<'a>(text: String) -> Values<'a> {
    Values::One(Cow::Owned(text))
}

fn flag<'a>(flag: bool) -> Values<'a> {
    one(if flag { "true" } else { "false" })
}
