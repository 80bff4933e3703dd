//! The sandbox cloud "helios": whole homes, user name and password with a lasting refresh token,
//! one call for each site, watts and texts for numbers, no pushes.
//!
//! Its devices appear as `SOLAREDGE` (inverter, battery, meter), `NIBE` (HVAC) and `EVBOX`
//! (charger): client libraries of the contract know no other names than those.

mod api;
mod command;
mod convert;
mod wire;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use livewatt_domain::{
    action::{SendOutcome, Target, Timing},
    cadence::CadencePolicy,
    device::VendorDevice,
    hem::SiteTold,
    kind::DeviceKind,
    production::Period,
    scope::Scope,
    zone::Zone,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    command::CommandOutcome,
    harvest::{AccountOutcome, Harvest, Inventory, ProductionTold, SiteHistoryTold},
    http::{Caller, Response},
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
pub struct HeliosOptions {
    /// Where the cloud answers, prefix included: `http://127.0.0.1:7070/helios`.
    pub base_url: Url,
}

/// The integration.
#[derive(Debug)]
pub struct Helios {
    options: HeliosOptions,
    manifest: Manifest,
}

/// What is kept of a sign-in. The sites are kept with it, so that a read costs one call for each
/// site and none for their list; they are listed anew at every refresh.
#[derive(Serialize, Deserialize)]
struct Session {
    access: Secret,
    refresh: Secret,
    usable_until: Timestamp,
    sites: Vec<Site>,
}

/// What is fixed about a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Site {
    id: String,
    name: Option<String>,
    timezone: Option<String>,
    installed_at: Option<Timestamp>,
    longitude: Option<f64>,
    latitude: Option<f64>,
    #[serde(default)]
    address: Option<String>,
}

/// Sites asked about at the same time.
const PARALLEL: usize = 4;

impl Helios {
    /// The integration with these settings.
    pub fn new(options: HeliosOptions) -> Self {
        let brand = |vendor, name: &str, kinds| Brand {
            vendor,
            display_name: format!("{name} (sandbox)"),
            portal_name: "Helios".to_owned(),
            kinds,
        };
        let brands = vec![
            brand(
                "SOLAREDGE",
                "SolarEdge",
                vec![DeviceKind::Inverter, DeviceKind::Battery, DeviceKind::Meter],
            ),
            brand("NIBE", "NIBE", vec![DeviceKind::Hvac]),
            brand("EVBOX", "EVBox", vec![DeviceKind::Charger]),
        ];
        let kinds = brands.iter().flat_map(|brand| brand.kinds.clone());
        let manifest = Manifest {
            id: "helios",
            scopes: kinds.flat_map(Scope::of_kind).collect(),
            brands,
            is_one_brand_per_account: false,
            reads: ReadShape::WholeAccount,
            cadence: CadencePolicy {
                shortest: None,
                reconcile: None,
            },
            // It obeys a quarter of a minute after it took a command, and a car then takes as long
            // again to begin.
            actions: Timing {
                send_at_secs: vec![0, 60, 180, 360, 720, 1200],
                ..Timing::default()
            },
            budgets: Vec::new(),
        };
        Self { options, manifest }
    }

    const fn api<'a>(&'a self, caller: &'a Caller) -> Api<'a> {
        Api {
            base_url: &self.options.base_url,
            caller,
        }
    }

    /// Lists the sites; the flag tells whether the list holds all of them.
    async fn sites(
        &self,
        caller: &Caller,
        access: &Secret,
        drift: &mut Drift,
    ) -> Result<(Vec<Site>, bool), AccountOutcome> {
        let response = self.api(caller).sites(access).await?;
        let answer: wire::Sites = lenient::object(&response)?;
        let Some(list) = answer.sites.take("sites", drift) else {
            return Err(response.malformed("the answer holds no list of sites"));
        };
        let told = list.len();
        let sites = list
            .into_iter()
            .filter_map(|site| convert::site(site, drift));
        let sites = sites.collect::<Vec<_>>();
        let is_complete = sites.len() == told;
        Ok((sites, is_complete))
    }

    /// Makes a session of the answer to a sign-in or a refresh, which keeps the refresh token.
    async fn session(
        &self,
        caller: &Caller,
        now: Timestamp,
        response: &Response,
        old: Option<Session>,
    ) -> Result<Session, AccountOutcome> {
        let answer: wire::Session = lenient::object(response)?;
        let life = answer
            .access_ttl
            .as_value()
            .map_or(DEFAULT_LIFE_SECS, |number| number.0);
        let text = |told: lenient::Told<String>| told.as_value().cloned().filter(|t| !t.is_empty());
        let (old_refresh, old_sites) = match old {
            Some(old) => (Some(old.refresh), old.sites),
            None => (None, Vec::new()),
        };
        let refresh = text(answer.refresh).map(Secret::new).or(old_refresh);
        let (Some(access), Some(refresh)) = (text(answer.access).map(Secret::new), refresh) else {
            return Err(response.malformed("the answer holds no tokens"));
        };
        // The sites can be had later as well: a read that knows of none lists them.
        let sites = match self.sites(caller, &access, &mut Drift::default()).await {
            Ok((sites, true)) => sites,
            Ok((_, false)) | Err(_) => old_sites,
        };
        Ok(Session {
            access,
            refresh,
            usable_until: usable_until(now, life),
            sites,
        })
    }

    /// The site that a device is part of: the only one, or the one that tells of it.
    async fn site_of(
        &self,
        caller: &Caller,
        access: &Secret,
        known: Vec<Site>,
        device: &VendorDevice,
    ) -> Result<Option<String>, AccountOutcome> {
        let drift = &mut Drift::default();
        let mut sites = match known.is_empty() {
            true => self.sites(caller, access, drift).await?.0,
            false => known,
        };
        if sites.len() == 1 {
            return Ok(sites.pop().map(|site| site.id));
        }
        for site in sites {
            let response = self.api(caller).live(access, &site.id).await?;
            if response.status == 404 {
                continue;
            }
            let told = convert::live(lenient::object(&response)?, &site, &response, drift);
            if told.observations.iter().any(|seen| seen.device == *device) {
                return Ok(Some(site.id));
            }
        }
        Ok(None)
    }

    async fn read_sites(&self, cx: &AccountContext<'_>, access: &Secret, sites: &[Site]) -> Reads {
        let api = &self.api(cx.caller);
        let mut reads = Reads {
            is_complete: true,
            ..Reads::default()
        };
        for group in sites.chunks(PARALLEL) {
            let answers = group
                .iter()
                .map(|site| async move { (site, api.live(access, &site.id).await) });
            for (site, answer) in join_all(answers).await {
                match answer {
                    Ok(response) => reads.take_answer(site, &response),
                    Err(error) => reads.take_failure(error.into()),
                }
            }
            if reads.verdict.is_some() {
                break;
            }
        }
        reads
    }
}

/// Life of an access token that comes without one.
const DEFAULT_LIFE_SECS: f64 = 900.0;

/// What came of asking about several sites.
#[derive(Default)]
struct Reads {
    observations: Vec<livewatt_domain::fact::Observation>,
    sites: Vec<SiteTold>,
    /// Whether all sites told all of their devices.
    is_complete: bool,
    answers: usize,
    /// What went wrong first at a single site.
    failure: Option<AccountOutcome>,
    /// What holds for the account whatever site was asked about.
    verdict: Option<AccountOutcome>,
    drift: Drift,
}

impl Reads {
    fn take_answer(&mut self, site: &Site, response: &Response) {
        if response.status == 404 {
            // The site went since it was listed; the next listing tells.
            self.is_complete = false;
            self.answers += 1;
            return;
        }
        match lenient::object(response) {
            Ok(live) => {
                self.answers += 1;
                let told = convert::live(live, site, response, &mut self.drift);
                self.is_complete &= told.is_complete;
                self.observations.extend(told.observations);
                self.sites.push(told.site);
            }
            Err(outcome) => self.take_failure(outcome),
        }
    }

    fn take_failure(&mut self, outcome: AccountOutcome) {
        self.is_complete = false;
        match outcome {
            AccountOutcome::Unreachable(_) | AccountOutcome::Malformed(_) => {
                self.failure.get_or_insert(outcome);
            }
            outcome => {
                self.verdict.get_or_insert(outcome);
            }
        }
    }
}

#[async_trait]
impl Vendor for Helios {
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
        let response = match self.api(cx.caller).sign_in(&username, &password).await {
            Ok(response) if response.status == 401 => {
                return Ok(password_form(Some(
                    "The user name or the password is wrong.",
                )));
            }
            Ok(response) => response,
            Err(error) => return Err(link_problem(error.into())),
        };
        let session = self
            .session(cx.caller, cx.clock.now(), &response, None)
            .await;
        Ok(LinkOutcome::Done(LinkedAccount {
            vendor_account_id: username.to_lowercase(),
            credentials: seal(&session.map_err(link_problem)?),
        }))
    }

    async fn refresh(&self, cx: AccountContext<'_>) -> RefreshOutcome {
        let Some(old) = open::<Session>(cx.credentials) else {
            let what = "what was kept of the sign-in is unreadable";
            return RefreshOutcome::Revoked(what.to_owned());
        };
        let response = match self.api(cx.caller).refresh(&old.refresh).await {
            Ok(response) if response.status == 401 => {
                let what = "the vendor no longer accepts the sign-in".to_owned();
                return RefreshOutcome::Revoked(what);
            }
            Ok(response) => response,
            Err(error) => return RefreshOutcome::Failed(error.into()),
        };
        match self
            .session(cx.caller, cx.clock.now(), &response, Some(old))
            .await
        {
            Ok(session) => RefreshOutcome::Refreshed(seal(&session)),
            Err(outcome) => RefreshOutcome::Failed(outcome),
        }
    }

    async fn read(&self, cx: AccountContext<'_>, wanted: &Wanted) -> Harvest {
        let Session { access, sites, .. } = match open::<Session>(cx.credentials) {
            Some(session) if cx.clock.now() < session.usable_until => session,
            _ => return Harvest::barren(AccountOutcome::LoginExpired),
        };
        let mut drift = Drift::default();
        let is_listing = wanted.listing || sites.is_empty();
        let (sites, knows_all_sites) = if is_listing {
            match self.sites(cx.caller, &access, &mut drift).await {
                Ok(listed) => listed,
                Err(outcome) => return Harvest::barren(outcome),
            }
        } else {
            (sites, false)
        };
        let mut reads = self.read_sites(&cx, &access, &sites).await;
        drift.append(std::mem::take(&mut reads.drift));
        let devices = reads
            .observations
            .iter()
            .map(|seen| seen.device.clone())
            .collect::<Vec<_>>();
        let inventory = if knows_all_sites && reads.is_complete {
            Inventory::Complete(devices)
        } else {
            Inventory::Partial(devices)
        };
        // One site that fails does not spoil the others, but nobody must think that all is well.
        let account = reads
            .verdict
            .or(reads.failure)
            .unwrap_or(AccountOutcome::Ok);
        Harvest {
            inventory: (reads.answers > 0 || account == AccountOutcome::Ok).then_some(inventory),
            observations: reads.observations,
            sites: reads.sites,
            troubled: Vec::new(),
            account,
            drift: drift.into_words(),
        }
    }

    fn keeps_production(&self) -> bool {
        true
    }

    async fn production(
        &self,
        cx: AccountContext<'_>,
        inverter: &VendorDevice,
        zone: &Zone,
        period: Period,
    ) -> Result<ProductionTold, AccountOutcome> {
        let access = match open::<Session>(cx.credentials) {
            Some(session) if cx.clock.now() < session.usable_until => session.access,
            _ => return Err(AccountOutcome::LoginExpired),
        };
        let api = self.api(cx.caller);
        let response = api.production(&access, &inverter.id, period).await?;
        if response.status == 404 {
            return Ok(ProductionTold {
                zone: zone.clone(),
                kwh: None,
                drift: Vec::new(),
            });
        }
        let mut drift = Drift::default();
        let told = convert::production(lenient::object(&response)?, zone, period, &mut drift);
        let Some((zone, kwh)) = told else {
            return Err(response.malformed("the answer is about another time"));
        };
        Ok(ProductionTold {
            zone,
            kwh: Some(kwh),
            drift: drift.into_words(),
        })
    }

    async fn command(
        &self,
        cx: AccountContext<'_>,
        device: &VendorDevice,
        target: &Target,
    ) -> CommandOutcome {
        let Session { access, sites, .. } = match open::<Session>(cx.credentials) {
            Some(session) if cx.clock.now() < session.usable_until => session,
            _ => return AccountOutcome::LoginExpired.into(),
        };
        let Some((block, body)) = command::of(device.kind, target) else {
            return CommandOutcome::refused("the device has no such command");
        };
        match self.site_of(cx.caller, &access, sites, device).await {
            Ok(Some(site)) => {
                let api = self.api(cx.caller);
                CommandOutcome::of(api.command(&access, &site, block, &body).await)
            }
            Ok(None) => CommandOutcome::Answered(SendOutcome::Failed(
                "the vendor does not know the device".to_owned(),
            )),
            Err(outcome) => outcome.into(),
        }
    }

    fn keeps_site_history(&self) -> bool {
        true
    }

    async fn site_history(
        &self,
        cx: AccountContext<'_>,
        site: &str,
        zone: &Zone,
        period: Period,
    ) -> Result<SiteHistoryTold, AccountOutcome> {
        let access = match open::<Session>(cx.credentials) {
            Some(session) if cx.clock.now() < session.usable_until => session.access,
            _ => return Err(AccountOutcome::LoginExpired),
        };
        let response = self.api(cx.caller).flows(&access, site, period).await?;
        if response.status == 404 {
            return Ok(SiteHistoryTold {
                zone: zone.clone(),
                series: None,
                drift: Vec::new(),
            });
        }
        let mut drift = Drift::default();
        let told = convert::flows(lenient::object(&response)?, zone, period, &mut drift);
        let Some((zone, series)) = told else {
            return Err(response.malformed("the answer is about another time"));
        };
        Ok(SiteHistoryTold {
            zone,
            series: Some(series),
            drift: drift.into_words(),
        })
    }

    fn calls_per_read(&self, devices: usize) -> u32 {
        let sites = u32::try_from(devices.div_ceil(DEVICES_OF_A_SITE)).unwrap_or(u32::MAX);
        // And one for the list of sites.
        sites.max(1).saturating_add(1)
    }
}

/// Devices of a fully equipped site.
const DEVICES_OF_A_SITE: usize = 5;
