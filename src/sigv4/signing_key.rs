//! The signing key: derived from a secret for one day, region and service.

use super::{CredentialScope, StringToSign};
use crate::crypto::{HmacKey, Secret, hmac_sha256};

/// A key that signs; the secret cannot be had back from it.
#[derive(Clone, Debug)]
pub struct SigningKey(HmacKey);

impl SigningKey {
    /// The four HMACs: kDate, kRegion, kService, kSigning.
    #[must_use]
    pub fn derive(secret: &Secret, scope: &CredentialScope) -> Self {
        let start = zeroize::Zeroizing::new(format!("AWS4{}", secret.expose()));
        let date = hmac_sha256(start.as_bytes(), scope.date.as_bytes());
        let region = hmac_sha256(&date, scope.region.as_bytes());
        let service = hmac_sha256(&region, scope.service.as_bytes());
        Self(HmacKey::new(&hmac_sha256(&service, b"aws4_request")))
    }

    /// The signature of a string to sign, in lower-case hexadecimal.
    #[must_use]
    pub fn sign(&self, string: &StringToSign) -> String {
        self.sign_text(string.text())
    }

    /// The signature of a text, in lower-case hexadecimal.
    #[must_use]
    pub(super) fn sign_text(&self, text: &str) -> String {
        hex::encode(self.0.sign(text.as_bytes()))
    }
}
