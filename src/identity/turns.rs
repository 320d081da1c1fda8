//! Turns: what is changed under one name is changed by one at a time. As many names are remembered as
//! are asked for at the moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::s3::BucketName;

type Waiting = Arc<Mutex<HashMap<BucketName, Arc<tokio::sync::Mutex<()>>>>>;

/// Who waits for which bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Waiting);

/// One's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // Before the place: what it holds is let go first.
    _held: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in a bucket's queue.
#[derive(Debug)]
struct Place {
    waiting: Waiting,
    bucket: BucketName,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Turns {
    /// Waits for `bucket`'s turn.
    pub(super) async fn wait(&self, bucket: &BucketName) -> Turn {
        let place = self.place(bucket);
        Turn {
            _held: place.turn.clone().lock_owned().await,
            _place: place,
        }
    }

    fn place(&self, bucket: &BucketName) -> Place {
        let mut waiting = lock(&self.0);
        let turn = waiting.entry(bucket.clone()).or_default().clone();
        Place {
            waiting: self.0.clone(),
            bucket: bucket.clone(),
            turn,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        // The map's and this one: places are taken only under the map's lock, so nobody comes between.
        if Arc::strong_count(&self.turn) <= 2 {
            waiting.remove(&self.bucket);
        }
    }
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<BucketName, Arc<tokio::sync::Mutex<()>>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn bucket(name: &str) -> BucketName {
        BucketName::parse(name).unwrap()
    }

    #[tokio::test]
    async fn one_at_a_time_of_a_name_and_others_beside_it() {
        let turns = Turns::default();
        let (one, two) = (bucket("one"), bucket("two"));
        let first = turns.wait(&one).await;
        let _beside = turns.wait(&two).await;
        let mut second = Box::pin(turns.wait(&one));
        assert!(futures_pending(&mut second).await);
        // One that stops waiting is in nobody's way.
        let mut gone = Box::pin(turns.wait(&one));
        assert!(futures_pending(&mut gone).await);
        drop(gone);
        drop(first);
        let second = second.await;
        assert_eq!(lock(&turns.0).len(), 2);
        drop(second);
        assert_eq!(lock(&turns.0).len(), 1);
    }

    #[tokio::test]
    async fn a_name_is_remembered_only_while_it_is_asked_for() {
        let turns = Turns::default();
        for n in 0..100 {
            let _turn = turns.wait(&bucket(&format!("bucket-{n}"))).await;
        }
        let one = bucket("one");
        let (held, mut waits) = (turns.wait(&one).await, Vec::new());
        for _ in 0..10 {
            let mut wait = Box::pin(turns.wait(&one));
            assert!(futures_pending(&mut wait).await);
            waits.push(wait);
        }
        drop(waits);
        drop(held);
        assert!(lock(&turns.0).is_empty());
    }

    /// Whether a future waits after it was asked once.
    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
