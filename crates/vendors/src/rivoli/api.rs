//! The calls of rivoli.

use serde_json::json;
use url::Url;

use crate::{
    http::{Call, CallError, Caller, Response, address},
    secret::Secret,
};

/// The name under which we call.
const APP: &str = "livewatt";

/// The cloud, as one account or one sign-in sees it.
pub(super) struct Api<'a> {
    pub(super) base_url: &'a Url,
    pub(super) caller: &'a Caller,
}

impl Api<'_> {
    /// Signs in. The vendor does not count this.
    pub(super) async fn sign_in(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<Response, CallError> {
        let body = json!({ "username": username, "password": password.reveal() });
        let url = address(self.base_url, &["v2", "sessions"]);
        named(self.caller.post(url))
            .json(&body)
            .uncounted()
            .send()
            .await
    }

    pub(super) async fn cars(&self, token: &Secret) -> Result<Response, CallError> {
        let url = address(self.base_url, &["v2", "cars"]);
        named(self.caller.get(url)).bearer(token).send().await
    }

    pub(super) async fn car(&self, token: &Secret, id: &str) -> Result<Response, CallError> {
        let url = address(self.base_url, &["v2", "cars", id]);
        named(self.caller.get(url)).bearer(token).send().await
    }

    /// Starts or stops charging.
    pub(super) async fn charge(
        &self,
        token: &Secret,
        id: &str,
        action: &str,
    ) -> Result<Response, CallError> {
        let url = address(self.base_url, &["v2", "cars", id, "charge"]);
        let body = json!({ "action": action });
        let call = named(self.caller.post(url)).bearer(token);
        call.json(&body).send().await
    }

    /// Sets the highest current, A.
    pub(super) async fn limit_current(
        &self,
        token: &Secret,
        id: &str,
        amps: u8,
    ) -> Result<Response, CallError> {
        let url = address(self.base_url, &["v2", "cars", id, "settings"]);
        let body = json!({ "amps_limit": amps });
        let call = named(self.caller.put(url)).bearer(token);
        call.json(&body).send().await
    }
}

fn named(call: Call<'_>) -> Call<'_> {
    call.header("x-rivoli-app", APP)
}
