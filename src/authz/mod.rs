//! May they: turns a [`Request`] and its [`Caller`] into a [`Permit`]. Nothing else makes one, and
//! backends take only what a permit [`Granted`].
//!
//! Every operation names its requirements ([`requirement`]); all of them must be allowed. What the
//! conditions of a policy may ask is a typed [`context`]; what it needs beyond the head, and only when
//! a policy asks, are [`facts`].

mod context;
mod decide;
mod facts;
mod granted;
mod implied;
mod public_access;
mod questions;
mod requirement;
mod sketch;
mod standing;
mod supposed;
mod surroundings;

pub use facts::{AsDecided, Document, Facts, Wanted};
pub use granted::{Granted, GrantedCall};
pub use implied::{Implied, check_asked, implied, implied_by_tags};
pub use sketch::sketches;
pub use standing::{Standing, still_granted};
pub use supposed::{Decided, Supposed, Verdict};

use std::sync::Arc;
use time::OffsetDateTime;

use crate::authn::Caller;
use crate::fair::Asker;
use crate::iam::By;
use crate::identity::BucketPolicies;
use crate::s3::{Error, Operation, PublicAccessBlock, Request};
use decide::{Asked, Refused};

/// What was granted: the request, the caller, and the statement that allowed it.
#[derive(Clone, Debug)]
pub struct Permit {
    // INVARIANT: private fields, built only by `Authorizer::authorize` once every requirement of
    // the request has been allowed (or, for DeleteObjects, is decided key by key).
    request: Request,
    caller: Caller,
    facts: Facts,
    by: Option<By>,
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

    /// What was learned to decide.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.request.call.operation()
    }

    /// The statement that allowed it; `None` for root, and where every key is decided on its own.
    #[must_use]
    pub fn by(&self) -> Option<&By> {
        self.by.as_ref()
    }

    /// The call, granted.
    #[must_use]
    pub fn call(&self) -> GrantedCall<'_> {
        GrantedCall::of(&self.request.call, asker(&self.request, &self.caller))
    }
}

/// On whose behalf `caller`'s `request` is carried out.
fn asker(request: &Request, caller: &Caller) -> Asker {
    Asker::of(caller.identity(), request.head.peer.address)
}

/// Why nothing was granted. Carries what was known, so that audit can say who was refused what.
#[derive(Debug)]
pub struct Denied {
    /// What was asked.
    pub request: Request,
    /// Who asked.
    pub caller: Caller,
    /// The statement that denied it, when one did; otherwise nothing allowed it.
    pub by: Option<By>,
    /// When nothing allowed it: the statements that came closest, the closest first.
    pub closest: Vec<By>,
    /// What the client is answered.
    pub error: Error,
}

/// Why one key of several is refused.
#[derive(Clone, Debug)]
pub struct DeniedKey {
    /// The statement that denied it, when one did; otherwise nothing allowed it.
    pub by: Option<By>,
    /// What the client is answered.
    pub error: Error,
}

/// A request that cannot be decided by its head.
#[derive(Debug)]
pub struct Undecided {
    /// What must be known.
    pub wanted: Wanted,
    /// What is known.
    pub facts: Facts,
    request: Request,
    caller: Caller,
}

impl Undecided {
    /// What is asked.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Refused, since what must be known cannot be.
    #[must_use]
    pub fn refuse(self, error: Error) -> Box<Denied> {
        Box::new(Denied {
            request: self.request,
            caller: self.caller,
            by: None,
            closest: Vec::new(),
            error,
        })
    }
}

/// What becomes of a request that is not permitted.
#[derive(Debug)]
pub enum Unpermitted {
    /// Refused.
    Denied(Box<Denied>),
    /// Something must be known first.
    Undecided(Box<Undecided>),
}

/// Decides. One per state, shared by all requests.
#[derive(Debug)]
pub struct Authorizer {
    account: Arc<str>,
    region: Arc<str>,
    explains: bool,
    public_access_block: PublicAccessBlock,
}

impl Authorizer {
    /// An authorizer of one account's buckets in one region, which blocks all public access and tells
    /// clients nothing of why they are refused.
    #[must_use]
    pub fn new(account: Arc<str>, region: Arc<str>) -> Self {
        Self {
            account,
            region,
            explains: false,
            public_access_block: PublicAccessBlock::ALL,
        }
    }

    /// The same, which tells clients what is missing or denies if `explains`.
    #[must_use]
    pub fn explaining(self, explains: bool) -> Self {
        Self { explains, ..self }
    }

    /// Decides a request by its head: every requirement must be allowed.
    ///
    /// # Errors
    /// [`Unpermitted`] says why not, or what must be known first.
    pub fn authorize(
        &self,
        request: Request,
        caller: Caller,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<Permit, Unpermitted> {
        self.authorize_knowing(request, caller, Facts::default(), policies, now)
    }

    /// Decides a request of which more is known now.
    ///
    /// # Errors
    /// [`Unpermitted`] says why not, or what must be known as well.
    pub fn resume(
        &self,
        undecided: Undecided,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<Permit, Unpermitted> {
        let Undecided {
            request,
            caller,
            facts,
            ..
        } = undecided;
        self.authorize_knowing(request, caller, facts, policies, now)
    }

    fn authorize_knowing(
        &self,
        request: Request,
        caller: Caller,
        facts: Facts,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<Permit, Unpermitted> {
        let asked = Asked {
            request: &request,
            caller: &caller,
            facts: &facts,
            policies,
            now,
        };
        match self.decide(&asked) {
            Ok(by) => Ok(Permit {
                request,
                caller,
                facts,
                by,
            }),
            Err(Refused::Denied(denial)) => Err(Unpermitted::Denied(Box::new(Denied {
                request,
                caller,
                by: denial.by,
                closest: denial.closest,
                error: denial.error,
            }))),
            Err(Refused::Wanted(wanted)) => Err(Unpermitted::Undecided(Box::new(Undecided {
                wanted,
                facts,
                request,
                caller,
            }))),
        }
    }
}

#[cfg(test)]
mod tests;
