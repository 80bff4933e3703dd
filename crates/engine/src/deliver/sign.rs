//! Signatures of deliveries: the contract's, and Standard Webhooks'.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

/// The contract's `x-enode-signature`: HMAC-SHA1 of the body.
pub(crate) fn enode_signature(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("an HMAC takes keys of any length");
    mac.update(body);
    format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
}

/// `webhook-signature` of Standard Webhooks: HMAC-SHA256 of ID, time and body. A secret of the form
/// `whsec_…` is base64, as that scheme writes it; any other is taken as it is.
pub(crate) fn standard_signature(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> String {
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|text| BASE64_STANDARD.decode(text).ok())
        .unwrap_or_else(|| secret.as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("an HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_test_vector() {
        assert_eq!(
            enode_signature("example-secret", br#"{"payload":"example"}"#),
            "sha1=e417e6fc2e7f8a78c93a35a7b344d36ce179fc8d"
        );
    }

    /// Made with an independent implementation of the scheme (Python's `hmac` and `base64`).
    #[test]
    fn the_standard_scheme() {
        assert_eq!(
            standard_signature("whsec_c2VjcmV0LWtleQ==", "msg_1", 1_700_000_000, b"[]"),
            STANDARD_VECTOR
        );
    }

    const STANDARD_VECTOR: &str = "v1,Zte5cuMwydhQ4loToGhc6mjEjTLX02GbL4+Ak8j3OuI=";
}
