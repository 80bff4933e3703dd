//! Encryption of what must not be readable at rest: vendor credentials, webhook secrets.
//!
//! A sealed value is `version (1) ‖ key ID (4) ‖ nonce (24) ‖ ciphertext` of XChaCha20-Poly1305,
//! bound to the row it belongs to, so that it cannot be moved to another. The key ID tells which
//! key opens it: new values are sealed with the first key, older keys still open.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use livewatt_domain::entropy::Entropy;
use livewatt_store::Store;
use livewatt_vendors::Secret;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::{EngineError, EngineResult};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 5 + NONCE_BYTES;
const CHECK_NAME: &str = "vault.check";

/// Seals and opens secrets.
pub struct Vault {
    keys: Vec<([u8; 4], XChaCha20Poly1305)>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("keys", &self.keys.len())
            .finish()
    }
}

/// Why a secret cannot be opened, or a key not be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The text is no key.
    #[error("a key must be 32 bytes in base64")]
    BadKey,
    /// No key at all was given.
    #[error("there must be at least one key")]
    NoKey,
    /// It was sealed with a key that is not here.
    #[error("it was encrypted with another key")]
    UnknownKey,
    /// It is damaged, or belongs to another row.
    #[error("it is damaged or does not belong here")]
    Damaged,
}

impl Vault {
    /// Name of the setting that tells whether keys are those of a database.
    pub const CHECK_NAME: &str = CHECK_NAME;

    /// A vault of keys in base64, one a line; the first seals, all open.
    ///
    /// # Errors
    /// If a line is no key, or there is none.
    pub fn from_text(text: &str) -> Result<Self, VaultError> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let bytes = Zeroizing::new(
                BASE64_STANDARD
                    .decode(line)
                    .map_err(|_| VaultError::BadKey)?,
            );
            let cipher =
                XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| VaultError::BadKey)?;
            let digest = Sha256::digest(bytes.as_slice());
            keys.push(([digest[0], digest[1], digest[2], digest[3]], cipher));
        }
        if keys.is_empty() {
            Err(VaultError::NoKey)
        } else {
            Ok(Self { keys })
        }
    }

    /// A new key, as text.
    pub fn generate_key(entropy: &dyn Entropy) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice());
        Zeroizing::new(BASE64_STANDARD.encode(bytes.as_slice()))
    }

    /// Seals a secret for the row `belongs_to`.
    pub fn seal(&self, secret: &str, belongs_to: &str, entropy: &dyn Entropy) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let (key_id, cipher) = &self.keys[0];
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: belongs_to.as_bytes(),
        };
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a secret of a few kilobytes is within the cipher's limits");
        let mut out = Vec::with_capacity(HEADER_BYTES + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(key_id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Opens what was sealed for the row `belongs_to`.
    ///
    /// # Errors
    /// If the key is missing or the value damaged.
    pub fn open(&self, sealed: &[u8], belongs_to: &str) -> Result<Secret, VaultError> {
        if sealed.len() < HEADER_BYTES || sealed[0] != VERSION {
            return Err(VaultError::Damaged);
        }
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(key_id, _)| key_id == &sealed[1..5])
            .ok_or(VaultError::UnknownKey)?;
        let nonce: [u8; NONCE_BYTES] = sealed[5..HEADER_BYTES]
            .try_into()
            .map_err(|_| VaultError::Damaged)?;
        let payload = Payload {
            msg: &sealed[HEADER_BYTES..],
            aad: belongs_to.as_bytes(),
        };
        let plain = cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| VaultError::Damaged)?;
        String::from_utf8(plain)
            .map(Secret::new)
            .map_err(|_| VaultError::Damaged)
    }

    /// [`Self::seal`] as text, for columns of text.
    pub fn seal_text(&self, secret: &str, belongs_to: &str, entropy: &dyn Entropy) -> String {
        BASE64_STANDARD.encode(self.seal(secret, belongs_to, entropy))
    }

    /// [`Self::open`] of text.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_text(&self, sealed: &str, belongs_to: &str) -> Result<Secret, VaultError> {
        let bytes = BASE64_STANDARD
            .decode(sealed)
            .map_err(|_| VaultError::Damaged)?;
        self.open(&bytes, belongs_to)
    }

    /// Checks what the database keeps under [`Self::CHECK_NAME`].
    ///
    /// # Errors
    /// If it was made with other keys.
    pub fn check_stored(&self, stored: &str) -> Result<(), VaultError> {
        self.open_text(stored, CHECK_NAME).map(drop)
    }

    /// Makes sure that the database's secrets can be opened with these keys, before anything
    /// relies on it.
    pub(crate) async fn check(&self, store: &dyn Store, entropy: &dyn Entropy) -> EngineResult<()> {
        let fresh = self.seal_text(CHECK_NAME, CHECK_NAME, entropy);
        let stored = store.remember(CHECK_NAME.to_owned(), fresh).await?;
        self.check_stored(&stored).map_err(|error| {
            EngineError::internal(
                "the database's secrets cannot be opened with this key",
                error,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use livewatt_domain::entropy::SeededEntropy;

    use super::*;

    #[test]
    fn a_secret_opens_only_where_it_belongs_and_with_its_key() {
        let entropy = SeededEntropy::new(7);
        let (first, second) = (Vault::generate_key(&entropy), Vault::generate_key(&entropy));
        let old = Vault::from_text(&first).unwrap();
        let sealed = old.seal("hush", "row 1", &entropy);
        assert_eq!(old.open(&sealed, "row 1").unwrap().reveal(), "hush");
        assert!(matches!(
            old.open(&sealed, "row 2"),
            Err(VaultError::Damaged)
        ));
        let rotated = Vault::from_text(&format!("{}\n{}\n", *second, *first)).unwrap();
        assert_eq!(rotated.open(&sealed, "row 1").unwrap().reveal(), "hush");
        let other = Vault::from_text(&second).unwrap();
        assert!(matches!(
            other.open(&sealed, "row 1"),
            Err(VaultError::UnknownKey)
        ));
        assert!(matches!(
            old.open(b"short", "row 1"),
            Err(VaultError::Damaged)
        ));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(matches!(Vault::from_text(""), Err(VaultError::NoKey)));
        assert!(matches!(
            Vault::from_text("dG9vIHNob3J0"),
            Err(VaultError::BadKey)
        ));
    }
}
