//! The calls of volta, and the signature of its pushes.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use livewatt_domain::entropy::Entropy;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{VoltaOptions, wire};
use crate::{
    http::{CallError, Caller, Response, address},
    lenient::Told,
    push::PushError,
    secret::Secret,
};

/// The cloud, as one account or one sign-in sees it.
pub(super) struct Api<'a> {
    pub(super) options: &'a VoltaOptions,
    pub(super) caller: &'a Caller,
}

impl Api<'_> {
    /// The page where the user lets us in.
    pub(super) fn authorize_url(&self, callback_url: &Url, state: &str, verifier: &str) -> Url {
        let mut url = address(&self.options.base_url, &["oauth", "authorize"]);
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.options.client_id)
            .append_pair("redirect_uri", callback_url.as_str())
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        url
    }

    pub(super) async fn exchange_code(
        &self,
        code: &str,
        verifier: &str,
        callback_url: &Url,
    ) -> Result<Response, CallError> {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", callback_url.as_str()),
        ])
        .await
    }

    pub(super) async fn refresh(&self, token: &Secret) -> Result<Response, CallError> {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token.reveal()),
        ])
        .await
    }

    async fn token(&self, grant: &[(&str, &str)]) -> Result<Response, CallError> {
        let app = [
            ("client_id", self.options.client_id.as_str()),
            ("client_secret", self.options.client_secret.reveal()),
        ];
        let form = grant.iter().chain(&app).collect::<Vec<_>>();
        self.caller
            .post(address(&self.options.base_url, &["oauth", "token"]))
            .form(&form)
            .uncounted()
            .send()
            .await
    }

    pub(super) async fn account(&self, access: &Secret) -> Result<Response, CallError> {
        self.caller
            .get(self.v1("account"))
            .bearer(access)
            .send()
            .await
    }

    pub(super) async fn subscribe(
        &self,
        access: &Secret,
        callback_url: &Url,
    ) -> Result<Response, CallError> {
        let body = json!({ "callback_url": callback_url.as_str() });
        self.caller
            .put(self.v1("subscription"))
            .bearer(access)
            .json(&body)
            .send()
            .await
    }

    pub(super) async fn unsubscribe(&self, access: &Secret) -> Result<Response, CallError> {
        self.caller
            .delete(self.v1("subscription"))
            .bearer(access)
            .send()
            .await
    }

    /// Tells a device to do something; `devices` is what the vendor calls its kind.
    pub(super) async fn command(
        &self,
        access: &Secret,
        devices: &str,
        id: &str,
        command: &Value,
    ) -> Result<Response, CallError> {
        let base = &self.options.base_url;
        self.caller
            .post(address(base, &["v1", devices, id, "commands"]))
            .bearer(access)
            .json(command)
            .send()
            .await
    }

    fn v1(&self, what: &str) -> Url {
        address(&self.options.base_url, &["v1", what])
    }
}

/// Whether the token endpoint says that the code or refresh token is dead.
pub(super) fn is_invalid_grant(response: &Response) -> bool {
    let error = || match response.json::<Told<wire::OauthError>>() {
        Ok(Told::Value(body)) => body.error.as_value().cloned(),
        _ => None,
    };
    response.status == 400 && error().is_some_and(|error| error == "invalid_grant")
}

/// 256 random bits as text: a state, or a PKCE verifier.
pub(super) fn random_text(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Deliveries signed longer ago than this (or in the future by as much) may be replays.
const SIGNATURE_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// Verifies `t=<Unix time>,v1=<hex HMAC-SHA256 of "{t}.{body}">`.
pub(super) fn verify(
    signature: &str,
    body: &[u8],
    secret: &Secret,
    now: Timestamp,
) -> Result<(), PushError> {
    let part = |name: &str| {
        signature
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(time), Some(digest)) = (part("t"), part("v1")) else {
        return Err(PushError::Unverified);
    };
    let digest = hex::decode(digest).map_err(|_| PushError::Unverified)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .map_err(|_| PushError::Unverified)?;
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    // Compares in constant time.
    mac.verify_slice(&digest)
        .map_err(|_| PushError::Unverified)?;
    let signed_at = time
        .parse()
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(PushError::Unverified)?;
    if now.duration_since(signed_at).abs() > SIGNATURE_LIFE {
        return Err(PushError::Unverified);
    }
    Ok(())
}
