//! What vendors recorded of sites, asked for when somebody wants to know it, and kept.
//!
//! What must stay true:
//! - What was told once and cannot change is never asked for again, nor what was told a moment ago; of
//!   several who want to know the same, one asks.
//! - No question waits for longer than [`PATIENCE`], and no fetch waits for one: they have places of
//!   their own, few of each integration, and none is asked while its breaker is open.
//! - The owner of the account asks; other nodes ask the owner.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{AccountStatus, Trigger},
    hem::{HemSystem, SiteHistory},
    id::{AccountId, ClientId, HemSystemId},
    production::Period,
};
use livewatt_store::{HemRecord, UnitOfWork};
use livewatt_vendors::{
    AccountContext, AccountOutcome, SiteHistoryTold, http::Priority, vendor::SharedVendor,
};
use tokio::sync::Semaphore;

use crate::{Engine, EngineError, EngineResult, cluster::Letter};

/// Questions to one integration at the same time.
const PARALLEL: usize = 8;
/// Longest wait for an answer, and for the turn to ask.
const PATIENCE: Duration = Duration::from_secs(15);
/// When to try again what did not work.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Nobody is asked to wait for longer.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The questions that are being asked.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    turns: HashMap<(HemSystemId, Period), Turn>,
    places: HashMap<&'static str, Arc<Semaphore>>,
}

impl Questions {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever holds it asks this question; the others wait for the answer.
    fn turn(&self, of: (HemSystemId, Period)) -> Turn {
        let mut asked = self.asked();
        asked.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        asked.turns.entry(of).or_default().clone()
    }

    /// The places of an integration.
    fn places(&self, integration: &'static str) -> Arc<Semaphore> {
        let mut asked = self.asked();
        let places = asked.places.entry(integration);
        places
            .or_insert_with(|| Arc::new(Semaphore::new(PARALLEL)))
            .clone()
    }
}

impl Engine {
    /// What is known of a system in a period: as it was told before, if that is good, else as its
    /// vendor tells it now, or as it told it last.
    pub(super) async fn site_history(
        &self,
        system: &HemSystem,
        period: Period,
    ) -> EngineResult<SiteHistory> {
        let known = self.store.hem_record(system.id, period).await?;
        let known = match known {
            Some(known) if known.is_fresh(self.now()) => return Ok(known),
            known => known,
        };
        let asked = self.ask(system, period).await;
        match (asked, known) {
            (Ok(told), _) => Ok(told),
            (Err(error), Some(known)) if error.is_about_the_vendor() => Ok(known),
            (Err(error), _) => Err(error),
        }
    }

    async fn ask(&self, system: &HemSystem, period: Period) -> EngineResult<SiteHistory> {
        let account = system.account_id;
        if self.membership.is_none() || self.owns(account) {
            return self.ask_here(system.client_id, system.id, period).await;
        }
        let letter = Letter::SiteHistory {
            account,
            client: system.client_id,
            system: system.id,
            period: period.to_string(),
        };
        self.ask_owner(&letter, PATIENCE).await?;
        match self.store.hem_record(system.id, period).await? {
            Some(told) if told.is_fresh(self.now()) => Ok(told),
            _ => Err(self.unavailable(None)),
        }
    }

    /// The same at the owner of the account.
    pub(crate) async fn ask_here(
        &self,
        client: ClientId,
        id: HemSystemId,
        period: Period,
    ) -> EngineResult<SiteHistory> {
        let turn = self.hem_questions.turn((id, period));
        let _turn = turn.lock().await;
        // Somebody may have asked while this waited.
        let known = self.store.hem_record(id, period).await?;
        if let Some(known) = known.filter(|known| known.is_fresh(self.now())) {
            return Ok(known);
        }
        let system = self.store.find_hem_system(client, id).await?;
        let system = system.ok_or(EngineError::DeviceNotFound)?;
        let account = system.account_id;
        let told = match self.ask_vendor(&system, period).await? {
            // The next fetch refreshes the login; it is made now.
            Err(AccountOutcome::LoginExpired) => {
                self.poll_account(account, Trigger::RefreshHint).await;
                self.ask_vendor(&system, period).await?
            }
            told => told,
        };
        let told = told.map_err(|outcome| {
            tracing::debug!(
                hem_system.id = %id, %period, outcome = outcome.kind().name(),
                "history of a site not told"
            );
            self.unavailable(match outcome {
                AccountOutcome::RateLimited { until, .. }
                | AccountOutcome::OverBudget { until } => Some(until),
                _ => None,
            })
        })?;
        let history = self.history_of(&system, period, told);
        self.keep_history(account, &system, history.clone()).await?;
        Ok(history)
    }

    /// One call to the vendor of a system.
    async fn ask_vendor(
        &self,
        system: &HemSystem,
        period: Period,
    ) -> EngineResult<Result<SiteHistoryTold, AccountOutcome>> {
        let id = system.account_id;
        let found = self.store.account_to_fetch(id).await?;
        let found = found.filter(|(account, _)| account.status == AccountStatus::Active);
        let (account, sealed) = found.ok_or(EngineError::StatisticsNotAvailable)?;
        let vendor: &SharedVendor = self
            .vendors
            .get(&account.integration)
            .filter(|vendor| vendor.keeps_site_history())
            .ok_or(EngineError::StatisticsNotAvailable)?;
        let integration = vendor.manifest().id;
        let (is_open, _) = self.breakers.figures(integration);
        if is_open {
            return Err(self.unavailable(None));
        }
        let places = self.hem_questions.places(integration);
        let credentials = self.open_sealed(id, sealed)?;
        let caller = self.http.caller(integration, Some(id), Priority::Asked);
        let cx = AccountContext {
            caller: &caller,
            clock: self.clock.as_ref(),
            vendor_account_id: &account.vendor_account_id,
            credentials: &credentials,
        };
        let zone = system.zone();
        let asking = async {
            let _place = places.acquire().await;
            vendor.site_history(cx, &system.site, &zone, period).await
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        asked.map_err(|_| self.unavailable(None))
    }

    fn history_of(&self, system: &HemSystem, period: Period, told: SiteHistoryTold) -> SiteHistory {
        let now = self.now();
        let installed_at = system.document.information.installation_date;
        let is_sound = told.drift.is_empty() && told.series.is_some();
        let series = told.series.unwrap_or_default();
        let mut history = SiteHistory::told(period, told.zone, series, now, installed_at);
        // What was odd may be put right, and a site that is not known now may be tomorrow.
        history.is_final &= is_sound;
        history
    }

    /// Stores what was told; nothing of an account that was given up meanwhile.
    async fn keep_history(
        &self,
        account: AccountId,
        system: &HemSystem,
        history: SiteHistory,
    ) -> EngineResult<()> {
        let _guard = self.fleet.lock_for_commit(account).await;
        match self.store.find_account(account).await? {
            Some((account, _)) if account.status == AccountStatus::Active => {}
            _ => return Err(EngineError::StatisticsNotAvailable),
        }
        let mut unit = UnitOfWork::new(Some(self.own_fence(account)?));
        unit.hem_records.push(HemRecord {
            system_id: system.id,
            history,
        });
        self.commit(system.client_id, unit).await
    }

    fn unavailable(&self, until: Option<Timestamp>) -> EngineError {
        let now = self.now();
        let wait = until.map_or(AGAIN, |until| until.duration_since(now));
        EngineError::VendorUnavailable {
            retry_after: wait.clamp(SignedDuration::from_secs(1), LONGEST_WAIT),
        }
    }
}
