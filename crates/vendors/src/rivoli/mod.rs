//! The sandbox cloud "rivoli": user name and password, one call for each car, strict quotas, no
//! times and no pushes.
//!
//! Its vehicles appear as `RENAULT`: client libraries of the contract know no other names than
//! those.

mod api;
mod convert;
mod wire;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    action::{ChargingKind, SendOutcome, Target, Timing},
    cadence::CadencePolicy,
    device::VendorDevice,
    kind::DeviceKind,
    scope::Scope,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    budget::{BudgetScope, BudgetSpec},
    command::{CommandOutcome, whole_amps},
    harvest::{AccountOutcome, DeviceTrouble, Harvest},
    http::Caller,
    lenient::{self, Drift},
    link::{LinkInput, LinkOutcome, LinkProblem, LinkedAccount},
    manifest::{Brand, Manifest, ReadShape},
    secret::Secret,
    session::{link_problem, open, password_form, password_input, seal, usable_until},
    vendor::{AccountContext, LinkContext, RefreshOutcome, Vendor, Wanted},
};
use api::Api;

/// Settings of the integration.
#[derive(Debug, Clone)]
pub struct RivoliOptions {
    /// Where the cloud answers, prefix included: `http://127.0.0.1:7070/rivoli`.
    pub base_url: Url,
}

/// The integration.
#[derive(Debug)]
pub struct Rivoli {
    options: RivoliOptions,
    manifest: Manifest,
}

/// What is kept of a sign-in. There is no refresh token, so the password is.
#[derive(Serialize, Deserialize)]
struct Session {
    username: String,
    password: Secret,
    token: Secret,
    usable_until: Timestamp,
}

/// Why there is no session.
enum NoSession {
    /// User name or password are wrong.
    WrongPassword,
    /// It could not be tried.
    Failed(AccountOutcome),
}

/// Cars asked about at the same time.
const PARALLEL: usize = 4;

impl Rivoli {
    /// The integration with these settings.
    pub fn new(options: RivoliOptions) -> Self {
        let budget = |id, scope, limit, window, reserve| BudgetSpec {
            id,
            scope,
            limit,
            window,
            reserve,
        };
        let ten_minutes = SignedDuration::from_mins(10);
        let day = SignedDuration::from_hours(24);
        let manifest = Manifest {
            id: "rivoli",
            brands: vec![Brand {
                vendor: "RENAULT",
                display_name: "Renault (sandbox)".to_owned(),
                portal_name: "Rivoli".to_owned(),
                kinds: vec![DeviceKind::Vehicle],
            }],
            is_one_brand_per_account: true,
            reads: ReadShape::PerDevice,
            cadence: CadencePolicy {
                shortest: None,
                reconcile: None,
            },
            // Its cars obey after most of a minute, and every look at one counts.
            actions: Timing {
                send_at_secs: vec![0, 120, 300, 720],
                read_every_secs: 60,
                ..Timing::default()
            },
            budgets: vec![
                budget("account-10m", BudgetScope::Account, 40, ten_minutes, 4),
                budget("account-day", BudgetScope::Account, 3_000, day, 100),
                budget("app-10m", BudgetScope::App, 20_000, ten_minutes, 1_000),
            ],
            scopes: Scope::of_kind(DeviceKind::Vehicle).collect(),
        };
        Self { options, manifest }
    }

    const fn api<'a>(&'a self, caller: &'a Caller) -> Api<'a> {
        Api {
            base_url: &self.options.base_url,
            caller,
        }
    }

    async fn sign_in(
        &self,
        caller: &Caller,
        username: &str,
        password: &Secret,
        now: impl Fn() -> Timestamp,
    ) -> Result<Session, NoSession> {
        let failed = |error: crate::http::CallError| NoSession::Failed(error.into());
        let response = self
            .api(caller)
            .sign_in(username, password)
            .await
            .map_err(failed)?;
        if response.status == 401 {
            return Err(NoSession::WrongPassword);
        }
        let answer: wire::Session = lenient::object(&response).map_err(NoSession::Failed)?;
        let Some(token) = answer.token.as_value().filter(|token| !token.is_empty()) else {
            return Err(NoSession::Failed(
                response.malformed("the answer holds no token"),
            ));
        };
        let life = answer
            .expires_in
            .as_value()
            .map_or(DEFAULT_LIFE_SECS, |number| number.0);
        Ok(Session {
            username: username.to_owned(),
            password: password.clone(),
            token: Secret::new(token.clone()),
            usable_until: usable_until(now(), life),
        })
    }

    /// Reads these cars, a few at a time, as long as the account as a whole is welcome.
    async fn read_cars(&self, api: &Api<'_>, token: &Secret, cars: &[VendorDevice]) -> Reads {
        let mut reads = Reads::default();
        for group in cars.chunks(PARALLEL) {
            let answers = group
                .iter()
                .map(|car| async move { (car, api.car(token, &car.id).await) });
            for (car, answer) in join_all(answers).await {
                match answer {
                    Ok(response) => reads.take_answer(car, &response),
                    Err(error) => reads.take_failure(car, error.into()),
                }
            }
            if reads.verdict.is_some() {
                break;
            }
        }
        reads
    }
}

/// Life of a session that comes without one.
const DEFAULT_LIFE_SECS: f64 = 3600.0;

/// What came of asking about several cars.
#[derive(Default)]
struct Reads {
    harvest: Vec<livewatt_domain::fact::Observation>,
    troubled: Vec<(VendorDevice, DeviceTrouble)>,
    /// Failures that may be the car's alone or the cloud's.
    doubtful: Vec<(VendorDevice, AccountOutcome)>,
    /// What holds for the account whatever car was asked about.
    verdict: Option<AccountOutcome>,
    drift: Drift,
}

impl Reads {
    fn take_answer(&mut self, car: &VendorDevice, response: &crate::http::Response) {
        match response.status {
            404 => self.troubled.push((car.clone(), DeviceTrouble::Gone)),
            408 => self.troubled.push((car.clone(), DeviceTrouble::Offline)),
            _ => match lenient::object(response) {
                Ok(told) => {
                    self.harvest
                        .push(convert::car(told, car.clone(), response, &mut self.drift));
                }
                Err(outcome) => self.take_failure(car, outcome),
            },
        }
    }

    fn take_failure(&mut self, car: &VendorDevice, outcome: AccountOutcome) {
        match outcome {
            AccountOutcome::Unreachable(_) | AccountOutcome::Malformed(_) => {
                self.doubtful.push((car.clone(), outcome));
            }
            outcome => {
                self.verdict.get_or_insert(outcome);
            }
        }
    }

    /// A cloud that answered well about any car is well: then a failure is the car's own.
    fn finish(self, inventory: Option<crate::harvest::Inventory>) -> Harvest {
        let Self {
            harvest,
            mut troubled,
            doubtful,
            verdict,
            drift,
        } = self;
        let is_cloud_well = !harvest.is_empty() || !troubled.is_empty();
        let mut account = verdict.unwrap_or(AccountOutcome::Ok);
        for (car, outcome) in doubtful {
            match outcome {
                AccountOutcome::Malformed(what) => {
                    if account == AccountOutcome::Ok && !is_cloud_well {
                        account = AccountOutcome::Malformed(what.clone());
                    }
                    troubled.push((car, DeviceTrouble::Malformed(what)));
                }
                AccountOutcome::Unreachable(what) if is_cloud_well => {
                    troubled.push((car, DeviceTrouble::Malformed(what)));
                }
                outcome => {
                    if account == AccountOutcome::Ok {
                        account = outcome;
                    }
                }
            }
        }
        Harvest {
            observations: harvest,
            inventory,
            sites: Vec::new(),
            troubled,
            account,
            drift: drift.into_words(),
        }
    }
}

#[async_trait]
impl Vendor for Rivoli {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn link(
        &self,
        cx: LinkContext<'_>,
        input: LinkInput,
    ) -> Result<LinkOutcome, LinkProblem> {
        let fields = match input {
            LinkInput::Begin => return Ok(password_form(None)),
            LinkInput::Form(fields) => fields,
            LinkInput::Callback(_) => return Err(LinkProblem::Mismatch),
        };
        let Some((username, password)) = password_input(&fields) else {
            return Ok(password_form(Some("Please fill in both fields.")));
        };
        match self
            .sign_in(cx.caller, &username, &password, || cx.clock.now())
            .await
        {
            Ok(session) => Ok(LinkOutcome::Done(LinkedAccount {
                vendor_account_id: username.to_lowercase(),
                credentials: seal(&session),
            })),
            Err(NoSession::WrongPassword) => Ok(password_form(Some(
                "The user name or the password is wrong.",
            ))),
            Err(NoSession::Failed(outcome)) => Err(link_problem(outcome)),
        }
    }

    async fn refresh(&self, cx: AccountContext<'_>) -> RefreshOutcome {
        let Some(old) = open::<Session>(cx.credentials) else {
            let what = "what was kept of the sign-in is unreadable";
            return RefreshOutcome::Revoked(what.to_owned());
        };
        match self
            .sign_in(cx.caller, &old.username, &old.password, || cx.clock.now())
            .await
        {
            Ok(session) => RefreshOutcome::Refreshed(seal(&session)),
            Err(NoSession::WrongPassword) => {
                RefreshOutcome::Revoked("the vendor no longer accepts the password".to_owned())
            }
            Err(NoSession::Failed(outcome)) => RefreshOutcome::Failed(outcome),
        }
    }

    async fn read(&self, cx: AccountContext<'_>, wanted: &Wanted) -> Harvest {
        let token = match open::<Session>(cx.credentials) {
            Some(session) if cx.clock.now() < session.usable_until => session.token,
            _ => return Harvest::barren(AccountOutcome::LoginExpired),
        };
        let api = self.api(cx.caller);
        let mut drift = Drift::default();
        let mut inventory = None;
        if wanted.listing {
            let listed = match api.cars(&token).await {
                Ok(response) => lenient::list(&response),
                Err(error) => Err(error.into()),
            };
            match listed {
                Ok(cars) => inventory = Some(convert::inventory(cars, &mut drift)),
                Err(outcome) => return Harvest::barren(outcome),
            }
        }
        let mut reads = self.read_cars(&api, &token, &wanted.devices).await;
        reads.drift.append(drift);
        reads.finish(inventory)
    }

    async fn command(
        &self,
        cx: AccountContext<'_>,
        device: &VendorDevice,
        target: &Target,
    ) -> CommandOutcome {
        let token = match open::<Session>(cx.credentials) {
            Some(session) if cx.clock.now() < session.usable_until => session.token,
            _ => return AccountOutcome::LoginExpired.into(),
        };
        let api = self.api(cx.caller);
        let answer = match target {
            Target::Charging(ChargingKind::Start) => api.charge(&token, &device.id, "start").await,
            Target::Charging(ChargingKind::Stop) => api.charge(&token, &device.id, "stop").await,
            Target::MaxCurrent(amps) => {
                let amps = whole_amps(*amps);
                api.limit_current(&token, &device.id, amps).await
            }
            Target::Temperature(_) | Target::OperationMode(_) => {
                return CommandOutcome::refused("the device has no such command");
            }
        };
        if matches!(&answer, Ok(response) if response.status == 408) {
            let what = "the vendor cannot reach the car".to_owned();
            return CommandOutcome::Answered(SendOutcome::Unreachable(what));
        }
        CommandOutcome::of(answer)
    }

    fn calls_per_read(&self, devices: usize) -> u32 {
        u32::try_from(devices).unwrap_or(u32::MAX)
    }
}
