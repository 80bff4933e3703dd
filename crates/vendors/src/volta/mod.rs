//! The sandbox cloud "volta": OAuth2 with PKCE, one call for a whole account, signed pushes.
//!
//! Its vehicles and chargers appear as `TESLA`: client libraries of the contract know no other
//! names than those.

mod api;
mod convert;
mod wire;

use async_trait::async_trait;
use jiff::Timestamp;
use livewatt_domain::{
    action::{ChargingKind, Target, Timing},
    cadence::CadencePolicy,
    device::VendorDevice,
    kind::DeviceKind,
    scope::Scope,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::{
    command::{CommandOutcome, whole_amps},
    harvest::{AccountOutcome, Harvest},
    lenient,
    link::{LinkInput, LinkOutcome, LinkProblem, LinkedAccount},
    manifest::{Brand, Manifest, ReadShape},
    push::{PushBatch, PushError, PushIntake},
    secret::Secret,
    session::{link_problem, open, seal, usable_until},
    vendor::{AccountContext, LinkContext, RefreshOutcome, Vendor, Wanted},
};
use api::Api;

/// Settings of the integration.
#[derive(Debug, Clone)]
pub struct VoltaOptions {
    /// Where the cloud answers, prefix included: `http://127.0.0.1:7070/volta`.
    pub base_url: Url,
    /// The ID under which our app is known to it.
    pub client_id: String,
    /// The app's secret; pushes are signed with it.
    pub client_secret: Secret,
}

/// The integration.
#[derive(Debug)]
pub struct Volta {
    options: VoltaOptions,
    manifest: Manifest,
}

/// What is kept of a sign-in.
#[derive(Serialize, Deserialize)]
struct Tokens {
    access: Secret,
    refresh: Secret,
    usable_until: Timestamp,
}

/// What is remembered while the user is at the vendor's page.
#[derive(Serialize, Deserialize)]
struct Memory {
    state: String,
    verifier: String,
}

impl Volta {
    /// The integration with these settings.
    pub fn new(options: VoltaOptions) -> Self {
        let kinds = vec![DeviceKind::Vehicle, DeviceKind::Charger];
        let manifest = Manifest {
            id: "volta",
            scopes: kinds.iter().copied().flat_map(Scope::of_kind).collect(),
            brands: vec![Brand {
                vendor: "TESLA",
                display_name: "Tesla (sandbox)".to_owned(),
                portal_name: "Volta".to_owned(),
                kinds,
            }],
            is_one_brand_per_account: true,
            reads: ReadShape::WholeAccount,
            cadence: CadencePolicy {
                shortest: None,
                // Odometer and position are never pushed: polls stay as frequent as promised.
                reconcile: None,
            },
            actions: Timing::default(),
            budgets: Vec::new(),
        };
        Self { options, manifest }
    }

    const fn api<'a>(&'a self, caller: &'a crate::http::Caller) -> Api<'a> {
        Api {
            options: &self.options,
            caller,
        }
    }

    async fn finish(
        &self,
        cx: &LinkContext<'_>,
        parameters: &std::collections::BTreeMap<String, String>,
    ) -> Result<LinkOutcome, LinkProblem> {
        let memory: Memory = cx.memory.and_then(open).ok_or(LinkProblem::Mismatch)?;
        let state = parameters.get("state").map_or("", String::as_str);
        if !bool::from(state.as_bytes().ct_eq(memory.state.as_bytes())) {
            return Err(LinkProblem::Mismatch);
        }
        match parameters.get("error").map(String::as_str) {
            Some("access_denied") => return Err(LinkProblem::Denied),
            Some(_) => {
                let what = "the vendor refused the request for access".to_owned();
                return Err(LinkProblem::Unexpected(what));
            }
            None => {}
        }
        let Some(code) = parameters.get("code") else {
            return Err(LinkProblem::Unexpected("the code is missing".to_owned()));
        };
        let response = self
            .api(cx.caller)
            .exchange_code(code, &memory.verifier, cx.callback_url)
            .await
            .map_err(|error| link_problem(error.into()))?;
        if api::is_invalid_grant(&response) {
            return Err(LinkProblem::Mismatch);
        }
        let answer = lenient::object::<wire::Tokens>(&response).map_err(link_problem)?;
        let vendor_account_id = answer.account_id.clone().identifier();
        match (tokens(answer, cx.clock.now()), vendor_account_id) {
            (Some(tokens), lenient::Told::Value(vendor_account_id)) => {
                Ok(LinkOutcome::Done(LinkedAccount {
                    vendor_account_id,
                    credentials: seal(&tokens),
                }))
            }
            _ => Err(LinkProblem::Unexpected(
                "the answer holds no tokens".to_owned(),
            )),
        }
    }

    async fn renew(&self, cx: &AccountContext<'_>) -> Result<Tokens, RefreshOutcome> {
        let old: Tokens = open(cx.credentials).ok_or_else(|| {
            RefreshOutcome::Revoked("what was kept of the sign-in is unreadable".to_owned())
        })?;
        let response = self
            .api(cx.caller)
            .refresh(&old.refresh)
            .await
            .map_err(|error| RefreshOutcome::Failed(error.into()))?;
        if api::is_invalid_grant(&response) {
            let what = "the vendor no longer accepts the sign-in".to_owned();
            return Err(RefreshOutcome::Revoked(what));
        }
        let answer = lenient::object::<wire::Tokens>(&response).map_err(|outcome| {
            RefreshOutcome::Failed(match outcome {
                // Here a 401 is about our app, not about the user.
                AccountOutcome::LoginExpired => {
                    AccountOutcome::Refused("the vendor does not know our app".to_owned())
                }
                outcome => outcome,
            })
        })?;
        tokens(answer, cx.clock.now())
            .ok_or_else(|| RefreshOutcome::Failed(response.malformed("the answer holds no tokens")))
    }
}

/// What to keep of a token answer; `None` if it lacks one of the tokens.
fn tokens(answer: wire::Tokens, now: Timestamp) -> Option<Tokens> {
    let text = |told: lenient::Told<String>| told.as_value().cloned().filter(|t| !t.is_empty());
    let life = answer
        .expires_in
        .as_value()
        .map_or(DEFAULT_LIFE_SECS, |number| number.0);
    Some(Tokens {
        access: Secret::new(text(answer.access_token)?),
        refresh: Secret::new(text(answer.refresh_token)?),
        usable_until: usable_until(now, life),
    })
}

/// Life of an access token that comes without one.
const DEFAULT_LIFE_SECS: f64 = 1800.0;

#[async_trait]
impl Vendor for Volta {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn link(
        &self,
        cx: LinkContext<'_>,
        input: LinkInput,
    ) -> Result<LinkOutcome, LinkProblem> {
        match input {
            LinkInput::Begin => {
                let memory = Memory {
                    state: api::random_text(cx.entropy),
                    verifier: api::random_text(cx.entropy),
                };
                let url = self.api(cx.caller).authorize_url(
                    cx.callback_url,
                    &memory.state,
                    &memory.verifier,
                );
                Ok(LinkOutcome::Redirect {
                    url,
                    memory: seal(&memory),
                })
            }
            LinkInput::Callback(parameters) => self.finish(&cx, &parameters).await,
            LinkInput::Form(_) => Err(LinkProblem::Mismatch),
        }
    }

    async fn refresh(&self, cx: AccountContext<'_>) -> RefreshOutcome {
        match self.renew(&cx).await {
            Ok(tokens) => RefreshOutcome::Refreshed(seal(&tokens)),
            Err(outcome) => outcome,
        }
    }

    async fn read(&self, cx: AccountContext<'_>, _wanted: &Wanted) -> Harvest {
        let Some(access) = usable_access(&cx) else {
            return Harvest::barren(AccountOutcome::LoginExpired);
        };
        let response = match self.api(cx.caller).account(&access).await {
            Ok(response) => response,
            Err(error) => return Harvest::barren(error.into()),
        };
        match lenient::object(&response) {
            Ok(account) => convert::account(account, &response),
            Err(outcome) => Harvest::barren(outcome),
        }
    }

    async fn command(
        &self,
        cx: AccountContext<'_>,
        device: &VendorDevice,
        target: &Target,
    ) -> CommandOutcome {
        let Some(access) = usable_access(&cx) else {
            return AccountOutcome::LoginExpired.into();
        };
        let (devices, set_current) = match device.kind {
            DeviceKind::Vehicle => ("vehicles", "set_max_amps"),
            DeviceKind::Charger => ("wallboxes", "set_current_limit"),
            _ => return CommandOutcome::refused("this vendor has no such device"),
        };
        let command = match target {
            Target::Charging(ChargingKind::Start) => json!({ "command": "charge_start" }),
            Target::Charging(ChargingKind::Stop) => json!({ "command": "charge_stop" }),
            Target::MaxCurrent(amps) => {
                json!({ "command": set_current, "amps": whole_amps(*amps) })
            }
            Target::Temperature(_) | Target::OperationMode(_) => {
                return CommandOutcome::refused("the device has no such command");
            }
        };
        let api = self.api(cx.caller);
        CommandOutcome::of(api.command(&access, devices, &device.id, &command).await)
    }

    async fn subscribe(
        &self,
        cx: AccountContext<'_>,
        callback_url: &Url,
    ) -> Result<(), AccountOutcome> {
        let access = usable_access(&cx).ok_or(AccountOutcome::LoginExpired)?;
        let response = self.api(cx.caller).subscribe(&access, callback_url).await?;
        response.refusal().map_or(Ok(()), Err)
    }

    async fn unlink(&self, cx: AccountContext<'_>) {
        let access = match usable_access(&cx) {
            Some(access) => Some(access),
            None => self.renew(&cx).await.ok().map(|tokens| tokens.access),
        };
        if let Some(access) = access {
            // The account is given up whether the vendor answers or not.
            if let Err(error) = self.api(cx.caller).unsubscribe(&access).await {
                tracing::debug!(%error, "volta did not take the subscription back");
            }
        }
    }

    fn push(&self) -> Option<&dyn PushIntake> {
        Some(self)
    }
}

fn usable_access(cx: &AccountContext<'_>) -> Option<Secret> {
    let tokens: Tokens = open(cx.credentials)?;
    (cx.clock.now() < tokens.usable_until).then_some(tokens.access)
}

impl PushIntake for Volta {
    fn read(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<PushBatch>, PushError> {
        let signature = header("volta-signature").ok_or(PushError::Unverified)?;
        api::verify(&signature, body, &self.options.client_secret, now)?;
        convert::delivery(body, now).map(|batch| vec![batch])
    }
}
