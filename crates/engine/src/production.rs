//! What inverters produced, of vendors that record it: filled in after linking and kept up to date,
//! one question at a time.
//!
//! What must stay true:
//! - The past never delays the present: questions draw on what is spare of a budget, are not asked
//!   while fetches of the integration wait or its breaker is open, and take none of the places of
//!   fetches. An expired login is left to the next fetch to refresh.
//! - When to ask again is stored with what was told and its event, in one transaction: a restart goes
//!   on where the last answer was kept.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::future::join_all;
use livewatt_domain::{
    SignedDuration, Timestamp,
    account::AccountStatus,
    device::{Device, inverter},
    id::DeviceId,
    production::{Due, Known, PACE, Period, Production, plan},
    retry::Backoff,
    zone::Zone,
};
use livewatt_store::{ProductionDue, ProductionVisit, UnitOfWork};
use livewatt_vendors::{AccountContext, AccountOutcome, http::Priority, vendor::SharedVendor};

use crate::{Engine, EngineResult, error::chain};

/// Questions to one integration at the same time.
const PARALLEL: usize = 16;
/// An account that is not fetched is looked at this often: it may be linked again.
const RESTING: SignedDuration = SignedDuration::from_mins(30);
/// A login that has expired is looked at after this: the next fetch refreshes it.
const LOGIN: SignedDuration = SignedDuration::from_mins(1);
/// Waits after questions that failed.
const BACKOFF: Backoff = Backoff {
    first: SignedDuration::from_mins(1),
    longest: SignedDuration::from_hours(1),
};
/// Periods further back are in no plan.
const REACH: SignedDuration = SignedDuration::from_hours(24 * 130);

/// The inverters that are being asked about, with their integrations.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<HashMap<DeviceId, &'static str>>);

impl UnderWay {
    fn held(&self) -> MutexGuard<'_, HashMap<DeviceId, &'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, integration: &str) -> usize {
        let held = self.held();
        held.values().filter(|of| **of == integration).count()
    }

    /// False if it is being asked about already.
    fn begin(&self, device: DeviceId, integration: &'static str) -> bool {
        self.held().insert(device, integration).is_none()
    }

    fn end(&self, device: DeviceId) {
        self.held().remove(&device);
    }
}

/// An inverter that is asked about now.
#[derive(Debug)]
pub(crate) struct Visit {
    due: ProductionDue,
    vendor: SharedVendor,
}

/// Where an inverter is, and since when.
pub(crate) struct Place {
    pub(crate) zone: Zone,
    pub(crate) installed_at: Timestamp,
}

impl Place {
    pub(crate) fn of(device: &Device) -> Self {
        let document = &device.document;
        let zone = document.get(inverter::TIMEZONE);
        Self {
            zone: zone.and_then(|name| name.parse().ok()).unwrap_or_default(),
            installed_at: document
                .get(inverter::INSTALLATION_DATE)
                .unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

impl Engine {
    /// Asks about every inverter that is due now, one question each, and waits for the answers;
    /// returns how many. The running server does the same without waiting ([`crate::runtime`]).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn productions_due(&self) -> EngineResult<usize> {
        let visits = self.take_productions().await?;
        let count = visits.len();
        join_all(visits.into_iter().map(|visit| self.run_visit(visit))).await;
        Ok(count)
    }

    /// The inverters that may be asked about now.
    pub(crate) async fn take_productions(&self) -> EngineResult<Vec<Visit>> {
        let mut visits = Vec::new();
        if !self.ownership.is_valid() {
            return Ok(visits);
        }
        let owned = self.ownership.owned();
        for vendor in self.vendors.all().filter(|v| v.keeps_production()) {
            let integration = vendor.manifest().id;
            let (is_open, _) = self.breakers.figures(integration);
            let free = PARALLEL.saturating_sub(self.productions.count(integration));
            if free == 0 || is_open || self.polls_waiting(integration) > 0 {
                continue;
            }
            let name = integration.to_owned();
            // Those under way are due as well.
            let limit = 2 * PARALLEL as u32;
            let due = self
                .store
                .productions_due(name, owned, self.now(), limit)
                .await?;
            let free = due
                .into_iter()
                .filter(|due| self.productions.begin(due.device_id, integration))
                .take(free);
            visits.extend(free.map(|due| Visit {
                due,
                vendor: vendor.clone(),
            }));
        }
        Ok(visits)
    }

    /// Asks about an inverter, and keeps what is told.
    pub(crate) async fn run_visit(&self, visit: Visit) {
        let device = visit.due.device_id;
        match self.visit(&visit).await {
            Ok(()) => {}
            Err(error) if error.is_of_store() || error.is_fenced() => {
                tracing::debug!(device.id = %device, error = %chain(&error), "production not stored");
            }
            Err(error) => {
                tracing::error!(device.id = %device, error = %chain(&error), "production not asked for");
            }
        }
        self.productions.end(device);
        self.production_wake.notify_one();
    }

    async fn visit(&self, visit: &Visit) -> EngineResult<()> {
        let Visit { due, vendor } = visit;
        let put_off = |wait| ProductionVisit {
            device_id: due.device_id,
            told: None,
            next_at: self.later(wait),
            failures: due.failures,
        };
        let found = self.store.account_to_fetch(due.account_id).await?;
        let Some((account, sealed)) =
            found.filter(|(account, _)| account.status == AccountStatus::Active)
        else {
            return self.keep_visit(due, put_off(RESTING)).await;
        };
        let devices = self.store.devices_of_account(account.id).await?;
        let Some(device) = devices.iter().find(|device| device.id == due.device_id) else {
            return Ok(());
        };
        let place = Place::of(device);
        let now = self.now();
        let mut known = self.known_productions(device.id, &place).await?;
        let ahead = plan(now, &place.zone, place.installed_at, &known);
        let Some(wanted) = ahead.iter().find(|due| due.at <= now) else {
            let next_at = soonest(&ahead, now);
            return self
                .keep_visit(
                    due,
                    ProductionVisit {
                        next_at,
                        ..put_off(PACE)
                    },
                )
                .await;
        };
        let credentials = self.open_sealed(account.id, sealed)?;
        let caller = self
            .http
            .caller(vendor.manifest().id, Some(account.id), Priority::Spare);
        let cx = AccountContext {
            caller: &caller,
            clock: self.clock.as_ref(),
            vendor_account_id: &account.vendor_account_id,
            credentials: &credentials,
        };
        let period = wanted.period;
        let told = vendor
            .production(cx, &device.vendor_device, &place.zone, period)
            .await;
        let now = self.now();
        match told {
            Ok(told) => {
                self.drifts.note(vendor.manifest().id, &told.drift, now);
                let is_sound = told.drift.is_empty();
                let mut told =
                    Production::told(period, told.zone, told.kwh, now, place.installed_at);
                // What was odd may be put right.
                told.is_final &= is_sound;
                known.retain(|known| known.period != period);
                known.push(Known {
                    period,
                    fetched_at: now,
                    is_final: told.is_final,
                });
                let ahead = plan(now, &place.zone, place.installed_at, &known);
                let visited = ProductionVisit {
                    device_id: device.id,
                    told: Some(told),
                    next_at: soonest(&ahead, now),
                    failures: 0,
                };
                self.keep_visit(due, visited).await
            }
            Err(outcome) => {
                tracing::debug!(
                    device.id = %device.id, %period, outcome = outcome.kind().name(),
                    "production not told"
                );
                let visited = match outcome {
                    AccountOutcome::RateLimited { until, .. }
                    | AccountOutcome::OverBudget { until } => ProductionVisit {
                        next_at: until.max(self.later(PACE)),
                        ..put_off(PACE)
                    },
                    AccountOutcome::LoginExpired => put_off(LOGIN),
                    _ => {
                        let failures = due.failures.saturating_add(1);
                        let wait = BACKOFF.wait(failures, self.entropy.jitter(0.2));
                        ProductionVisit {
                            failures,
                            ..put_off(wait)
                        }
                    }
                };
                self.keep_visit(due, visited).await
            }
        }
    }

    /// Stores what came of a question, with an event if it is news; nothing of an account that was
    /// given up meanwhile.
    async fn keep_visit(&self, due: &ProductionDue, visited: ProductionVisit) -> EngineResult<()> {
        let id = due.account_id;
        let _guard = self.fleet.lock_for_commit(id).await;
        let Some((account, devices)) = self.store.account_with_devices(id).await? else {
            return Ok(());
        };
        let Some(device) = devices.iter().find(|device| device.id == due.device_id) else {
            return Ok(());
        };
        let mut unit = UnitOfWork::new(Some(self.own_fence(id)?));
        if let Some(told) = &visited.told {
            if account.status != AccountStatus::Active {
                return Ok(());
            }
            let before = self.store.production(device.id, told.period).await?;
            let is_news = match before {
                Some(before) => before.kwh != told.kwh || before.zone != told.zone,
                None => told.kwh.is_some(),
            };
            if is_news {
                let maker = self.event_maker(self.now());
                unit.events.push(maker.production_updated(device, told));
            }
        }
        unit.productions.push(visited);
        self.commit(account.client_id, unit).await
    }

    /// What is known of the periods that can be in a plan.
    pub(crate) async fn known_productions(
        &self,
        device: DeviceId,
        place: &Place,
    ) -> EngineResult<Vec<Known>> {
        let oldest = self.now().saturating_sub(REACH).unwrap_or(Timestamp::MIN);
        let from = Period::month_at(oldest, &place.zone);
        Ok(self.store.known_productions(device, from).await?)
    }

    pub(crate) fn later(&self, wait: SignedDuration) -> Timestamp {
        let now = self.now();
        now.saturating_add(wait).unwrap_or(now)
    }
}

/// When the next question of a plan is asked.
fn soonest(plan: &[Due], now: Timestamp) -> Timestamp {
    let paced = now.saturating_add(PACE).unwrap_or(now);
    let first = plan.iter().map(|due| due.at).min();
    first.map_or_else(
        || now.saturating_add(RESTING).unwrap_or(now),
        |at| at.max(paced),
    )
}
