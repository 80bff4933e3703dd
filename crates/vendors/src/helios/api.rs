//! The calls of helios.

use livewatt_domain::production::Period;
use serde_json::{Value, json};
use url::Url;

use crate::{
    http::{CallError, Caller, Response, address},
    secret::Secret,
};

/// The cloud, as one account or one sign-in sees it.
pub(super) struct Api<'a> {
    pub(super) base_url: &'a Url,
    pub(super) caller: &'a Caller,
}

impl Api<'_> {
    pub(super) async fn sign_in(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<Response, CallError> {
        let body = json!({ "username": username, "password": password.reveal() });
        self.caller
            .post(self.api(&["login"]))
            .json(&body)
            .uncounted()
            .send()
            .await
    }

    pub(super) async fn refresh(&self, token: &Secret) -> Result<Response, CallError> {
        let body = json!({ "refresh": token.reveal() });
        self.caller
            .post(self.api(&["refresh"]))
            .json(&body)
            .uncounted()
            .send()
            .await
    }

    pub(super) async fn sites(&self, access: &Secret) -> Result<Response, CallError> {
        self.caller
            .get(self.api(&["sites"]))
            .bearer(access)
            .send()
            .await
    }

    pub(super) async fn live(&self, access: &Secret, site: &str) -> Result<Response, CallError> {
        self.caller
            .get(self.api(&["sites", site, "live"]))
            .bearer(access)
            .send()
            .await
    }

    pub(super) async fn production(
        &self,
        access: &Secret,
        inverter: &str,
        period: Period,
    ) -> Result<Response, CallError> {
        let url = self.api(&["inverters", inverter, "production"]);
        self.of_period(access, url, period).await
    }

    pub(super) async fn flows(
        &self,
        access: &Secret,
        site: &str,
        period: Period,
    ) -> Result<Response, CallError> {
        let url = self.api(&["sites", site, "flows"]);
        self.of_period(access, url, period).await
    }

    async fn of_period(
        &self,
        access: &Secret,
        mut url: Url,
        period: Period,
    ) -> Result<Response, CallError> {
        let key = match period {
            Period::Day(_) => "day",
            Period::Month(_) => "month",
        };
        url.query_pairs_mut().append_pair(key, &period.to_string());
        self.caller.get(url).bearer(access).send().await
    }

    /// Tells a device of a site to do something; `device` is what the vendor calls its kind.
    pub(super) async fn command(
        &self,
        access: &Secret,
        site: &str,
        device: &str,
        command: &Value,
    ) -> Result<Response, CallError> {
        self.caller
            .put(self.api(&["sites", site, device]))
            .bearer(access)
            .json(command)
            .send()
            .await
    }

    fn api(&self, what: &[&str]) -> Url {
        let segments = [&["api"], what].concat();
        address(self.base_url, &segments)
    }
}
