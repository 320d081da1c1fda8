//! Request ids: unique without a random number for each.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::crypto::random;

/// SplitMix64's step, which makes every 64-bit number come once.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives out 16 hexadecimal digits that look random and never repeat within a process. They are no
/// secret: they only name a request.
#[derive(Debug)]
pub(super) struct RequestIds(AtomicU64);

impl RequestIds {
    /// Starts somewhere at random, so that processes don't give out the same.
    pub(super) fn new() -> Self {
        let start = random::<8>().unwrap_or_default();
        Self(AtomicU64::new(u64::from_ne_bytes(start)))
    }

    /// The next one.
    pub(super) fn next(&self) -> String {
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed);
        // SplitMix64's mix, a bijection: <https://prng.di.unimi.it/splitmix64.c>.
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        hex::encode_upper(bits.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::RequestIds;

    #[test]
    fn ids_are_16_digits_and_never_repeat() {
        let ids = RequestIds::new();
        let some: std::collections::HashSet<String> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(some.len(), 10_000);
        let digits = |id: &String| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(some.iter().all(digits));
    }
}
