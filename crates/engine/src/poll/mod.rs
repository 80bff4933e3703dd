//! Fetching: which accounts are due, asking their vendors, and when to come again.
//!
//! Invariants:
//! - One vendor's trouble delays nobody else: each integration has its own bulkhead and breaker,
//!   and the dispatcher never waits for a fetch.
//! - Refreshed credentials are stored before they are used.
//! - Within a fetch an expired login is refreshed once; being refused again is no proof that the
//!   user's credentials are dead, only the refusal to refresh is.

pub(crate) mod breaker;
mod credentials;
pub(crate) mod load;
pub(crate) mod schedule;
pub(crate) mod waiting;

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use livewatt_domain::{
    Timestamp,
    account::{Account, AccountStatus, Attempt, AttemptOutcome, Trigger},
    fact::Presence,
    id::AccountId,
};
use livewatt_vendors::{
    AccountContext, AccountOutcome, Harvest, Inventory, ReadShape, Secret, Wanted, http::Priority,
    vendor::SharedVendor,
};

use crate::{
    Engine, EngineResult,
    energy::is_confirmation_due,
    fleet::{Moment, Plan, place_near},
    ingest::Intake,
};
use credentials::Refreshed;
use schedule::Verdict;

/// Fetches that a step of the tests runs at the same time.
const STEP_PARALLELISM: usize = 64;

impl Engine {
    /// Fetches every account that is due now and waits for all of them; returns how many. The
    /// running server does the same without waiting ([`crate::runtime`]).
    pub async fn poll_due(self: &Arc<Self>) -> usize {
        let due = self.take_due();
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(
                STEP_PARALLELISM,
                |id| async move { self.run_poll(id).await },
            )
            .await;
        count
    }

    /// The accounts that are due; none while the leases are in doubt.
    pub(crate) fn take_due(&self) -> Vec<AccountId> {
        match self.ownership.is_valid() {
            true => self.fleet.take_due(self.now()),
            false => Vec::new(),
        }
    }

    /// When the next fetch is due.
    pub fn next_poll_at(&self) -> Option<Timestamp> {
        self.fleet.next_due()
    }

    /// Number of fetches of an integration that are due and wait for their turn.
    pub fn polls_waiting(&self, integration: &str) -> usize {
        self.waiting.count(integration)
    }

    /// Fetches an account now, unless that is happening already.
    pub(crate) async fn poll_account(&self, id: AccountId, trigger: Trigger) {
        if self.fleet.claim(id, trigger).is_some() {
            self.run_poll(id).await;
        }
    }

    /// Fetches a claimed account and sets its next due time, whatever happens.
    pub(crate) async fn run_poll(&self, id: AccountId) {
        let Some(plan) = self.fleet.plan(id, self.now()) else {
            return;
        };
        let started_at = self.now();
        // Real time, whatever clock the engine runs by: it tells how the vendor fares.
        let began = std::time::Instant::now();
        let verdict = match self.fetch(id, &plan).await {
            Ok(verdict) => verdict,
            Err(error) if error.is_of_store() => {
                tracing::debug!(account.id = %id, error = %crate::error::chain(&error), "fetch not stored");
                Verdict::Failed {
                    outcome: AttemptOutcome::Internal,
                }
            }
            Err(error) => {
                tracing::error!(account.id = %id, error = %crate::error::chain(&error), "fetch failed on our side");
                Verdict::Failed {
                    outcome: AttemptOutcome::Internal,
                }
            }
        };
        let attempt = Attempt {
            at: started_at,
            trigger: plan.trigger,
            outcome: verdict.outcome(),
            duration_ms: began.elapsed().as_millis() as u64,
        };
        metrics::histogram!("livewatt_poll_seconds", "integration" => plan.integration)
            .record(began.elapsed().as_secs_f64());
        metrics::counter!(
            "livewatt_polls_total",
            "integration" => plan.integration, "outcome" => verdict.outcome().name(),
        )
        .increment(1);
        tracing::debug!(
            account.id = %id, integration = plan.integration, outcome = verdict.outcome().name(),
            trigger = ?plan.trigger, duration_ms = attempt.duration_ms, "fetched"
        );
        self.settle_poll(id, &plan, verdict, attempt);
    }

    async fn fetch(&self, id: AccountId, plan: &Plan) -> EngineResult<Verdict> {
        let Some(vendor) = self.vendors.get(plan.integration).cloned() else {
            return Ok(Verdict::NotPolled);
        };
        if vendor.manifest().reads == ReadShape::PushOnly {
            return match self.store.find_account(id).await? {
                Some((account, _)) if account.status == AccountStatus::Active => {
                    self.check_station(&account).await
                }
                _ => Ok(Verdict::NotPolled),
            };
        }
        if let Some(until) = self.breakers.blocked_until(plan.integration, self.now()) {
            return Ok(Verdict::Blocked { until });
        }
        let waits = self.waiting.begin(id, plan.integration, plan.due_at);
        let _permit = self.breakers.enter(plan.integration).await;
        waits.end(self.now());
        // Read only now: while this waited, the account may have been linked anew or given up.
        let (account, credentials) = match self.store.account_to_fetch(id).await? {
            Some((account, sealed)) if account.status == AccountStatus::Active => {
                (account, self.open_sealed(id, sealed)?)
            }
            _ => return Ok(Verdict::NotPolled),
        };
        let wanted = self.wanted(plan);
        let harvest = self
            .read(&account, &credentials, &vendor, plan, &wanted)
            .await?;
        self.take_harvest(&account, plan, &wanted, harvest).await
    }

    fn wanted(&self, plan: &Plan) -> Wanted {
        let now = Moment::from(self.now());
        let is_listing_due = plan
            .listed_at
            .is_none_or(|at| now.since(at).abs() >= self.options.listing_interval);
        Wanted {
            listing: plan.wants_listing || is_listing_due,
            devices: plan.devices.clone(),
        }
    }

    /// Reads an account, refreshing its login once if need be.
    async fn read(
        &self,
        account: &Account,
        credentials: &Secret,
        vendor: &SharedVendor,
        plan: &Plan,
        wanted: &Wanted,
    ) -> EngineResult<Read> {
        let priority = match plan.trigger {
            Trigger::Schedule | Trigger::Push => Priority::Routine,
            Trigger::RefreshHint | Trigger::Link => Priority::Asked,
        };
        let caller = self
            .http
            .caller(plan.integration, Some(account.id), priority);
        let context = |credentials| AccountContext {
            caller: &caller,
            clock: self.clock.as_ref(),
            vendor_account_id: &account.vendor_account_id,
            credentials,
        };
        let harvest = vendor.read(context(credentials), wanted).await;
        if harvest.account != AccountOutcome::LoginExpired {
            return Ok(Read::Harvest(harvest));
        }
        match self.refresh(account, vendor, context(credentials)).await? {
            Refreshed::Fresh(fresh) => {
                Ok(Read::Harvest(vendor.read(context(&fresh), wanted).await))
            }
            Refreshed::Revoked => Ok(Read::Revoked),
            Refreshed::Failed(outcome) => Ok(Read::Harvest(Harvest {
                account: outcome,
                ..harvest
            })),
        }
    }

    /// Commits what a fetch brought, the good parts of a bad one too.
    async fn take_harvest(
        &self,
        account: &Account,
        plan: &Plan,
        wanted: &Wanted,
        read: Read,
    ) -> EngineResult<Verdict> {
        let harvest = match read {
            Read::Harvest(harvest) => harvest,
            Read::Revoked => {
                return Ok(match self.invalidate(account).await? {
                    true => Verdict::Revoked,
                    false => Verdict::of(&AccountOutcome::LoginExpired),
                });
            }
        };
        self.drifts
            .note(plan.integration, &harvest.drift, self.now());
        let verdict = Verdict::of(&harvest.account);
        let is_unreachable = self.is_losing_touch(account.id, &verdict);
        if verdict.is_ok() && self.is_all_known(account.id, &harvest) {
            self.confirm_known(account.id, &harvest);
            return Ok(verdict);
        }
        let intake = Intake {
            observations: &harvest.observations,
            inventory: harvest.inventory.as_ref(),
            sites: &harvest.sites,
            troubled: &harvest.troubled,
            is_unreachable,
        };
        let Some(devices) = self.ingest(account.id, intake).await? else {
            return Ok(Verdict::NotPolled);
        };
        self.note_fetched(account.id, &devices, &harvest, wanted);
        // A read that told of some devices by the way is no listing: else none would ever be due.
        let is_listing = match &harvest.inventory {
            Some(Inventory::Complete(_)) => true,
            Some(Inventory::Partial(_)) => wanted.listing,
            None => false,
        };
        if is_listing {
            let at = self.now();
            self.fleet.update(account.id, |slot| {
                slot.listed_at = Some(at.into());
                // A device missing once is looked for again at the next visit.
                slot.wants_listing = devices.iter().any(|device| device.missed_listings > 0);
            });
            self.presence.note_listed(account.id, at);
        }
        Ok(verdict)
    }

    /// Whether the harvest says just what the last one said: then only `lastSeen` moves.
    fn is_all_known(&self, id: AccountId, harvest: &Harvest) -> bool {
        let is_known = self.fleet.read(id, |slot| {
            let mut near = 0;
            let is_listed = match &harvest.inventory {
                None => true,
                Some(Inventory::Partial(listed) | Inventory::Complete(listed)) => {
                    listed.len() == slot.devices.len()
                        && slot.devices.iter().all(|device| {
                            place_near(listed, &mut near, |listed| device.is(listed)).is_some()
                        })
                }
            };
            let mut near = 0;
            is_listed
                && !slot.wants_listing
                && harvest.observations.iter().all(|seen| {
                    place_near(&slot.devices, &mut near, |device| device.is(&seen.device))
                        .is_some_and(|at| {
                            let device = &slot.devices[at];
                            device.has_fingerprint(seen.fingerprint())
                                && !is_confirmation_due(device, seen.received_at)
                        })
                })
        });
        is_known == Some(true)
            && harvest.troubled.is_empty()
            && !harvest.observations.is_empty()
            && harvest
                .observations
                .iter()
                .all(|seen| seen.presence != Presence::Offline)
    }
}

/// What reading came to.
enum Read {
    Harvest(Harvest),
    /// The vendor will not have us any more.
    Revoked,
}
