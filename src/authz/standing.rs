//! Whether what was granted still is. Whoever has waited for long, for a body or for a place, asks again
//! before going on: the right may have been taken away meanwhile.
//!
//! It is of the task that carries a request out, so that what waits deep inside of a backend can ask, and
//! nothing else has to know.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::decide::{Asked, Refused};
use super::{Authorizer, Permit};
use crate::authn::Caller;
use crate::identity::BucketPolicies;
use crate::s3::{Error, ErrorCode};
use time::OffsetDateTime;

/// How long a decision is good for without another look. A right that is taken away is gone within a
/// second, of which finding that out may take most.
const FRESH: Duration = Duration::from_millis(200);

tokio::task_local! {
    static STANDING: Arc<Standing>;
}

/// What a request was granted, and how to ask for it again.
pub struct Standing {
    ask: Box<dyn Fn() -> Result<(), Error> + Send + Sync>,
    asked: Mutex<Instant>,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Standing")
    }
}

impl Standing {
    /// Of a request that was decided at `asked`; `ask` decides it once more.
    #[must_use]
    pub fn new(
        asked: Instant,
        ask: impl Fn() -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            ask: Box::new(ask),
            asked: Mutex::new(asked),
        }
    }

    /// Does what was granted. [`still_granted`] asks about it as long as it goes on.
    pub async fn during<F: Future>(self, work: F) -> F::Output {
        STANDING.scope(Arc::new(self), work).await
    }

    /// What the current task carries out was granted; `None` where that is nobody's request.
    #[must_use]
    pub fn current() -> Option<Arc<Self>> {
        STANDING.try_with(Arc::clone).ok()
    }

    /// Asks, unless that was done a moment ago.
    ///
    /// # Errors
    /// Why it is no longer granted.
    pub fn check(&self) -> Result<(), Error> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.elapsed() < FRESH {
            return Ok(());
        }
        (self.ask)()?;
        *asked = Instant::now();
        Ok(())
    }
}

/// Whether what the current task carries out is still granted; what is nobody's request always is.
///
/// # Errors
/// Why it no longer is.
pub fn still_granted() -> Result<(), Error> {
    STANDING
        .try_with(|standing| standing.check())
        .unwrap_or(Ok(()))
}

impl Authorizer {
    /// Decides once more what was permitted, for `caller` as who asks is known now.
    ///
    /// # Errors
    /// Why it is refused now; `ServiceUnavailable` where that takes facts that were not asked for then.
    pub fn again(
        &self,
        permit: &Permit,
        caller: &Caller,
        policies: &BucketPolicies,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let asked = Asked {
            caller,
            ..permit.asked(policies, now)
        };
        match self.decide(&asked) {
            Ok(_) => Ok(()),
            Err(Refused::Denied(denial)) => Err(denial.error),
            Err(Refused::Wanted(_)) => Err(Error::new(ErrorCode::ServiceUnavailable)
                .because("policies ask for more than they did when the request came")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn t109_what_has_waited_is_asked_again() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        // Outside of a request there is nothing to ask.
        assert!(runtime.block_on(async { still_granted() }).is_ok());
        let count = Arc::new(AtomicUsize::new(0));
        let asks = |at: Instant, answer: fn() -> Result<(), Error>| {
            let count = Arc::clone(&count);
            let standing = Standing::new(at, move || {
                count.fetch_add(1, Ordering::Relaxed);
                answer()
            });
            let asked = standing.during(async { [still_granted(), still_granted()] });
            runtime.block_on(asked).map(|answer| answer.is_ok())
        };
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let ahead = Instant::now() + Duration::from_secs(60);
        assert_eq!(
            asks(ahead, || Err(ErrorCode::AccessDenied.into())),
            [true; 2]
        );
        assert_eq!(count.load(Ordering::Relaxed), 0);
        // A yes is good for a while, a no is asked every time.
        assert_eq!(asks(long_ago, || Ok(())), [true; 2]);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert_eq!(
            asks(long_ago, || Err(ErrorCode::AccessDenied.into())),
            [false; 2]
        );
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }
}
