//! What is told of the keys of one request that are decided one by one: whoever reads the audit sees each,
//! also when the request as a whole comes to nothing.

use std::sync::{Mutex, PoisonError};

use crate::authz::DeniedKey;
use crate::iam::By;
use crate::s3::Error;
use crate::s3::xml::DeleteKey;

/// One key.
#[derive(Debug)]
pub struct DecidedKey {
    /// The key.
    pub key: DeleteKey,
    /// The statement that decided, `None` where none did.
    pub by: Option<By>,
    /// Whether it was permitted.
    pub allowed: bool,
    /// What became of it; `None` as long as nobody knows.
    pub outcome: Option<Result<(), Error>>,
}

/// The keys of a request, in its order; none for requests that have one decision.
#[derive(Debug, Default)]
pub struct DecidedKeys(Mutex<Vec<DecidedKey>>);

impl DecidedKeys {
    /// Keeps a decision.
    pub(super) fn decided(&self, key: &DeleteKey, decision: Result<Option<&By>, &DeniedKey>) {
        let (by, outcome) = match decision {
            Ok(by) => (by, None),
            Err(denied) => (denied.by.as_ref(), Some(Err(denied.error.clone()))),
        };
        let decided = DecidedKey {
            key: key.clone(),
            by: by.cloned(),
            allowed: decision.is_ok(),
            outcome,
        };
        self.lock().push(decided);
    }

    /// Keeps what became of the keys that were permitted, in order.
    pub(super) fn outcomes<'o>(&self, outcomes: impl Iterator<Item = Result<(), &'o Error>>) {
        let mut keys = self.lock();
        let permitted = keys.iter_mut().filter(|key| key.allowed);
        for (key, outcome) in permitted.zip(outcomes) {
            key.outcome = Some(outcome.map_err(Clone::clone));
        }
    }

    /// All of them, taken out.
    #[must_use]
    pub fn take(&self) -> Vec<DecidedKey> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<DecidedKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
