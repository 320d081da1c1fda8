//! Digests, HMAC, constant-time equality, secrets and the one source of random bytes.
//!
//! This room knows no protocol. Everything that compares a secret, or holds one, goes through
//! [`Secret`] and [`constant_time_eq`], so that an audit has one place to look.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The length of a SHA-256 digest in bytes.
pub const SHA256_LENGTH: usize = 32;

/// The SHA-256 digest of nothing in lower-case hexadecimal, which Signature Version 4 uses for an
/// empty payload.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The same as bytes.
pub const SHA256_OF_NOTHING: [u8; SHA256_LENGTH] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// SHA-256 (FIPS 180-4) of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; SHA256_LENGTH] {
    Sha256::digest(data).into()
}

/// HMAC-SHA-256 (RFC 2104) of `data` under `key`.
#[must_use]
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; SHA256_LENGTH] {
    HmacKey::new(key).sign(data)
}

/// HMAC-SHA-1 (RFC 2104) of `data` under `key`, which Signature Version 2 is made of. SHA-1's collisions
/// are no help against an HMAC.
#[must_use]
pub fn hmac_sha1(key: &[u8], data: &[u8]) -> [u8; 20] {
    let mac = Hmac::<sha1::Sha1>::new_from_slice(key);
    // Any length is taken, so nobody comes here; what does answers as an empty key.
    let mut mac =
        mac.unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<sha1::Sha1>>::default()));
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// An HMAC-SHA-256 key whose inner and outer pads are already hashed: half the work per signature
/// for a key that is used more than once.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    /// Prepares `key`, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        // A key longer than the block is hashed first, as RFC 2104 says; `Hmac` takes any length,
        // so the error branch is dead and answers with the hashed key all the same.
        let mac =
            Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&sha256_block(key)));
        Self(mac)
    }

    /// HMAC-SHA-256 of `data`.
    #[must_use]
    pub fn sign(&self, data: &[u8]) -> [u8; SHA256_LENGTH] {
        let mut mac = self.0.clone();
        mac.update(data);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacKey(***)")
    }
}

fn sha256_block(key: &[u8]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    for (to, from) in block.iter_mut().zip(sha256(key)) {
        *to = from;
    }
    block
}

/// Whether two byte strings are equal, in time that depends on their lengths only.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// A text that must not be shown: zeroed when dropped, absent from `Debug`, without `Display` and
/// without `PartialEq`.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Callers hand it to a cipher or a MAC and to nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both hold the same text, in constant time.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The operating system could not give random bytes; nothing may go on without them.
#[derive(Debug, thiserror::Error)]
#[error("the system's random source failed")]
pub struct RandomFailed;

/// `N` bytes from the operating system's cryptographic source.
///
/// # Errors
/// [`RandomFailed`] when the source fails, which callers must treat as fatal to what they do.
pub fn random<const N: usize>() -> Result<[u8; N], RandomFailed> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| RandomFailed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn digests_agree_with_published_vectors() {
        assert_eq!(hex::encode(sha256(b"")), EMPTY_SHA256);
        assert_eq!(sha256(b""), SHA256_OF_NOTHING);
        // RFC 4231, test case 2.
        assert_eq!(
            hex::encode(hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        // RFC 4231, test case 6: a key longer than the block.
        assert_eq!(
            hex::encode(hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn secrets_do_not_show() {
        let secret = Secret::new("canary".to_owned());
        assert!(!format!("{secret:?}").contains("canary"));
        assert!(!format!("{:?}", HmacKey::new(b"canary")).contains("canary"));
        assert!(secret.same_as(&Secret::new("canary".to_owned())));
        assert!(!secret.same_as(&Secret::new("canarz".to_owned())));
    }

    /// T15: a comparison that stopped at the first difference would be a thousand times faster where
    /// that is the first byte.
    #[test]
    fn t15_a_comparison_takes_as_long_wherever_it_fails() {
        let right = vec![7; 1 << 20];
        let differing = |at: usize| {
            let mut wrong = right.clone();
            wrong.splice(at..=at, [8]);
            wrong
        };
        let (first, last) = (differing(0), differing(right.len() - 1));
        let timed = |wrong: &[u8]| {
            let before = std::time::Instant::now();
            assert!(!constant_time_eq(&right, wrong));
            before.elapsed()
        };
        // The fastest of many is the one that nothing interrupted.
        let fastest = |wrong: &[u8]| (0..50).map(|_| timed(wrong)).min().unwrap();
        let (early, late) = (fastest(&first), fastest(&last));
        assert!(
            early * 3 > late && late * 3 > early,
            "{early:?} and {late:?}"
        );
        assert!(constant_time_eq(&right, &right.clone()));
        assert!(!constant_time_eq(&right, b"short"));
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
