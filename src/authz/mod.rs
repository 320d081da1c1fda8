//! May they: turns a [`Request`] and its [`Caller`] into a [`Permit`]. Nothing else makes one, and
//! backends take only what a permit [`Granted`].
//!
//! Every operation names its requirements ([`requirement`]); all of them must be allowed. What the
//! conditions of a policy may ask is a typed [`context`].

mod context;
mod granted;
mod requirement;

pub use granted::{Granted, GrantedCall};

use std::sync::Arc;
use time::OffsetDateTime;

use crate::authn::{Caller, Identity};
use crate::iam;
use crate::identity::BucketPolicies;
use crate::s3::call::{DeleteObject, ListObjects};
use crate::s3::xml::DeleteKey;
use crate::s3::{BucketName, Call, Error, ErrorCode, Operation, Request};
use context::RequestContext;
use requirement::{Requirement, copied_tags, get_tags, requirements};

/// What was granted: the request, the caller, and the statement that allowed it.
#[derive(Clone, Debug)]
pub struct Permit {
    // INVARIANT: private fields, built only by `Authorizer::authorize` once every requirement of
    // the request has been allowed (or, for DeleteObjects, is decided key by key).
    request: Request,
    caller: Caller,
    by: Option<iam::By>,
}

impl Permit {
    /// What was asked.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Who asked.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.request.call.operation()
    }

    /// The statement that allowed it; `None` for root, and where every key is decided on its own.
    #[must_use]
    pub fn by(&self) -> Option<&iam::By> {
        self.by.as_ref()
    }

    /// The call, granted.
    #[must_use]
    pub fn call(&self) -> GrantedCall<'_> {
        GrantedCall::of(&self.request.call)
    }
}

/// Why nothing was granted. Carries what was known, so that audit can say who was refused what.
#[derive(Debug)]
pub struct Denied {
    /// What was asked.
    pub request: Request,
    /// Who asked.
    pub caller: Caller,
    /// The statement that denied it, when one did; otherwise nothing allowed it.
    pub by: Option<iam::By>,
    /// What the client is answered.
    pub error: Error,
}

/// Decides. One per state, shared by all requests.
#[derive(Debug)]
pub struct Authorizer {
    account: Arc<str>,
    region: Arc<str>,
}

impl Authorizer {
    /// An authorizer of one account's buckets in one region.
    #[must_use]
    pub fn new(account: Arc<str>, region: Arc<str>) -> Self {
        Self { account, region }
    }

    /// Decides a request: every requirement must be allowed.
    ///
    /// # Errors
    /// [`Denied`], with `AccessDenied` for the client.
    pub fn authorize(
        &self,
        request: Request,
        caller: Caller,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<Permit, Box<Denied>> {
        match self.decide(&request, &caller, policies, now) {
            Ok(by) => Ok(Permit {
                request,
                caller,
                by,
            }),
            Err((by, error)) => Err(Box::new(Denied {
                request,
                caller,
                by,
                error,
            })),
        }
    }

    fn decide(
        &self,
        request: &Request,
        caller: &Caller,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<Option<iam::By>, (Option<iam::By>, Error)> {
        self.expected_owner(request)
            .map_err(|error| (None, error))?;
        some_hope(request, caller, policies).map_err(|error| (None, error))?;
        let mut allowed = None;
        for requirement in requirements(&request.call, &request.head) {
            if let Some(by) = self.verdict(request, caller, &requirement, policies, now)? {
                allowed = Some(by)
            }
        }
        Ok(allowed)
    }

    /// One requirement's decision; `Ok(None)` is root's.
    fn verdict(
        &self,
        request: &Request,
        caller: &Caller,
        requirement: &Requirement<'_>,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<Option<iam::By>, (Option<iam::By>, Error)> {
        let denied = || Error::new(ErrorCode::AccessDenied);
        // Root must be able to mend a bucket policy that locks everyone out, or cannot be read.
        let mends = matches!(caller.identity(), Identity::Root) && requirement.manages_policy;
        let stored = match requirement.bucket {
            Some(bucket) if !mends => policies.policy(bucket).map_err(|error| (None, error))?,
            _ => None,
        };
        let context = RequestContext::new(
            request,
            caller,
            requirement,
            &self.account,
            &self.region,
            now,
        );
        let principal = context.principal();
        let (identity, groups): (&[_], &[_]) = match caller.identity() {
            Identity::User(user) => (&user.policies, &user.group_policies),
            Identity::Root | Identity::Anonymous => (&[], &[]),
        };
        let in_play = iam::Policies {
            identity,
            groups,
            boundary: None,
            session: None,
            service_account: None,
            resource: stored.as_deref(),
        };
        let resource = requirement.resource();
        let asked = iam::Request {
            principal: &principal,
            action: requirement.action,
            resource: &resource,
            context: &context,
        };
        match iam::evaluate(&in_play, &asked) {
            iam::Decision::Allow(by) => Ok(by),
            iam::Decision::ExplicitDeny(by) => Err((
                Some(by),
                denied().because(format_args!("explicit deny of {}", requirement.action)),
            )),
            iam::Decision::ImplicitDeny(_) => Err((
                None,
                denied().because(format_args!(
                    "nothing allows {} on {resource}",
                    requirement.action
                )),
            )),
        }
    }

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
            Call::GetObjectTagging(call)
            | Call::PutObjectTagging(call)
            | Call::DeleteObjectTagging(call) => (&call.bucket, call.key.as_str()),
            _ => return false,
        };
        let list = listing(&permit.request, bucket, key);
        self.decide(&list, &permit.caller, policies, now).is_ok()
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
        self.verdict(&permit.request, &permit.caller, &needed, policies, now)
            .is_ok()
    }

    /// Whether a permitted copy may take the tags of its source along.
    #[must_use]
    pub fn may_copy_tags(
        &self,
        permit: &Permit,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> bool {
        let Call::CopyObject(call) = &permit.request.call else {
            return false;
        };
        copied_tags(call).iter().all(|needed| {
            self.verdict(&permit.request, &permit.caller, needed, policies, now)
                .is_ok()
        })
    }

    /// Decides one key of a DeleteObjects.
    ///
    /// # Errors
    /// `AccessDenied`, for this key alone.
    pub fn decide_delete(
        &self,
        permit: &Permit,
        key: &DeleteKey,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<Granted<DeleteObject>, Error> {
        let Call::DeleteObjects(call) = &permit.request.call else {
            return Err(Error::internal(
                "only a DeleteObjects is decided key by key",
            ));
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
        match self.decide(&one, &permit.caller, policies, now) {
            Ok(_) => Ok(Granted::new(delete)),
            Err((_, error)) => Err(error),
        }
    }

    /// `x-amz-expected-bucket-owner` must name this account.
    fn expected_owner(&self, request: &Request) -> Result<(), Error> {
        for name in [
            "x-amz-expected-bucket-owner",
            "x-amz-source-expected-bucket-owner",
        ] {
            if request
                .head
                .header(name)?
                .is_some_and(|owner| owner != &*self.account)
            {
                return Err(Error::new(ErrorCode::AccessDenied)
                    .because("the bucket's owner is another account"));
            }
        }
        Ok(())
    }
}

/// DeleteObjects is decided key by key, by reading its document. Nobody's is read where there is not
/// even a bucket policy that could grant one of its keys (T89).
fn some_hope(request: &Request, caller: &Caller, policies: &BucketPolicies) -> Result<(), Error> {
    match (caller.identity(), &request.call) {
        (Identity::Anonymous, Call::DeleteObjects(call))
            if policies.policy(&call.bucket)?.is_none() =>
        {
            Err(Error::new(ErrorCode::AccessDenied)
                .because("nothing can allow an anonymous DeleteObjects"))
        }
        _ => Ok(()),
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
