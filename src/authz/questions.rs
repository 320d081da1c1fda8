//! What is asked of a request that has been permitted: rights that its outcome or its document needs.

use time::OffsetDateTime;

use super::decide::{Asked, Refused};
use super::granted::Granted;
use super::requirement::{copied_tags, get_tags};
use super::{Authorizer, DeniedKey, Facts, Permit, Wanted};
use crate::iam::By;
use crate::identity::BucketPolicies;
use crate::s3::call::{DeleteObject, ListObjects};
use crate::s3::xml::DeleteKey;
use crate::s3::{BucketName, Call, Error, ErrorCode, Request};

impl Permit {
    pub(super) fn asked<'a>(
        &'a self,
        policies: &'a BucketPolicies,
        now: OffsetDateTime,
    ) -> Asked<'a> {
        Asked {
            request: &self.request,
            caller: &self.caller,
            facts: &self.facts,
            policies,
            now,
        }
    }
}

impl Authorizer {
    /// Whether the caller may list the bucket that a permitted read names, and so may learn that a
    /// key is missing.
    #[must_use]
    pub fn may_list(
        &self,
        permit: &Permit,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> bool {
        let (bucket, key) = match &permit.request.call {
            Call::GetObject(call) | Call::HeadObject(call) => (&call.bucket, call.key.as_str()),
            Call::CopyObject(call) => (&call.source.bucket, call.source.key.as_str()),
            Call::UploadPartCopy(call) => (&call.source.bucket, call.source.key.as_str()),
            Call::GetObjectAcl(call)
            | Call::GetObjectTagging(call)
            | Call::PutObjectTagging(call)
            | Call::DeleteObjectTagging(call) => (&call.bucket, call.key.as_str()),
            _ => return false,
        };
        let list = listing(&permit.request, bucket, key);
        let asked = Asked {
            request: &list,
            ..permit.asked(policies, now)
        };
        self.decide(&asked).is_ok()
    }

    /// Whether the caller may know the tags of the object that a permitted read names, and so may
    /// be told how many there are.
    #[must_use]
    pub fn may_get_tags(
        &self,
        permit: &Permit,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> bool {
        let (Call::GetObject(call) | Call::HeadObject(call)) = &permit.request.call else {
            return false;
        };
        let needed = get_tags(&call.bucket, &call.key, call.version_id.as_deref());
        self.verdict(&permit.asked(policies, now), &needed).is_ok()
    }

    /// Whether a permitted copy may take the tags of its source along, by what is known of it.
    ///
    /// # Errors
    /// [`Wanted`] when something must be known first.
    pub fn may_copy_tags(
        &self,
        permit: &Permit,
        facts: &Facts,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<bool, Wanted> {
        let Call::CopyObject(call) = &permit.request.call else {
            return Ok(false);
        };
        let asked = Asked {
            facts,
            ..permit.asked(policies, now)
        };
        for needed in copied_tags(call) {
            match self.verdict(&asked, &needed) {
                Ok(_) => {}
                Err(Refused::Denied(_)) => return Ok(false),
                Err(Refused::Wanted(wanted)) => return Err(wanted),
            }
        }
        Ok(true)
    }

    /// Decides one key of a DeleteObjects; with the statement that allows it, of which root needs none.
    ///
    /// # Errors
    /// [`DeniedKey`], for this key alone.
    pub fn decide_delete(
        &self,
        permit: &Permit,
        key: &DeleteKey,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<(Granted<DeleteObject>, Option<By>), DeniedKey> {
        let refused = |error| DeniedKey { by: None, error };
        let Call::DeleteObjects(call) = &permit.request.call else {
            return Err(refused(Error::internal(
                "only a DeleteObjects is decided key by key",
            )));
        };
        let delete = DeleteObject {
            bucket: call.bucket.clone(),
            key: key.key.clone(),
            version_id: key.version_id.clone(),
            if_match: key.if_match.clone(),
        };
        let one = Request {
            call: Call::DeleteObject(delete.clone()),
            ..permit.request.clone()
        };
        let asked = Asked {
            request: &one,
            ..permit.asked(policies, now)
        };
        match self.decide(&asked) {
            Ok(by) => Ok((Granted::new(delete, asked.asker()), by)),
            Err(Refused::Denied(denial)) => Err(DeniedKey {
                by: denial.by,
                error: denial.error,
            }),
            // A deletion that compares an entity tag needs the right to read, which tags may decide;
            // they are not looked up for each of a thousand keys, and what is not known is not granted.
            Err(Refused::Wanted(_)) => Err(refused(
                Error::new(ErrorCode::AccessDenied)
                    .because("a policy asks for the object's tags, which are not looked up here"),
            )),
        }
    }
}

/// The ListObjectsV2 by which a caller could have learned of `key`.
fn listing(request: &Request, bucket: &BucketName, key: &str) -> Request {
    let call = Call::ListObjectsV2(ListObjects {
        bucket: bucket.clone(),
        prefix: key.to_owned(),
        delimiter: None,
        max_keys: 1,
        after: None,
        start: None,
        continuation_token: None,
        url_encoded: false,
        fetch_owner: false,
    });
    Request {
        call,
        ..request.clone()
    }
}
