//! The why of a device's freshness: how often it is fetched, for what reason, how old each block
//! is against its target, what was tried last and what comes next.

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{AccountStatus, Attempt},
    age::{Slowed, allowed},
    cadence::{Activity, CadenceReason, target},
    fact::Field,
    id::{ClientId, DeviceId},
    kind::DeviceKind,
    time,
};
use serde::Serialize;

use crate::{Engine, EngineResult};

mod report;

pub use report::{
    BreachView, ByReason, CurrentBreach, FreshnessReport, FreshnessRow, LISTED_BREACHES,
    ReportQuery,
};

/// What holds back the next fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Holdup {
    /// Earlier fetches failed; waits grow.
    Backoff,
    /// The vendor, or a budget of ours, permits nothing before then.
    RateLimited,
    /// The credentials are dead: the user must relink.
    CredentialsInvalid,
    /// The user's credentials were deleted.
    Deauthorized,
}

/// How old a block is against its target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockFreshness {
    /// Name of the block.
    pub block: &'static str,
    /// When it last changed, by the vendor's clock where it has one.
    #[serde(serialize_with = "time::serialize_option")]
    pub last_updated: Option<Timestamp>,
    /// When its values were last confirmed by the vendor.
    #[serde(serialize_with = "time::serialize_option")]
    pub confirmed_at: Option<Timestamp>,
    /// Seconds since then.
    pub age_seconds: Option<f64>,
    /// The age it should not exceed, seconds.
    pub target_seconds: f64,
    /// Whether it does not.
    pub is_within_target: bool,
    /// Whether it is not older than promised: the interval in force, and one poll.
    pub is_within_promise: bool,
    /// The broken promise, while it lasts.
    pub breach: Option<CurrentBreach>,
}

/// Why a device is as fresh as it is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Freshness {
    /// The device.
    pub device_id: DeviceId,
    /// Its kind.
    pub kind: DeviceKind,
    /// Whether live data can be had now.
    pub is_reachable: Option<bool>,
    /// Last successful contact.
    #[serde(serialize_with = "time::serialize")]
    pub last_seen: Timestamp,
    /// What it is doing, as far as freshness cares.
    pub activity: Activity,
    /// Time between two fetches, seconds; null if it is never asked.
    pub interval_seconds: Option<f64>,
    /// Why that long.
    pub reason: CadenceReason,
    /// The standard interval for such a device, seconds.
    pub standard_seconds: f64,
    /// Why the interval is longer than the standard, if it is.
    pub slower_because: Option<Slowed>,
    /// When it is fetched next.
    #[serde(serialize_with = "time::serialize_option")]
    pub next_due_at: Option<Timestamp>,
    /// What holds back the next fetch, if anything.
    pub holdup: Option<Holdup>,
    /// Age of each block.
    pub blocks: Vec<BlockFreshness>,
    /// The newest attempts to fetch its account, newest first.
    pub last_attempts: Vec<Attempt>,
}

impl Engine {
    /// The why of a device's freshness.
    ///
    /// # Errors
    /// [`crate::EngineError::DeviceNotFound`], or if the database fails.
    pub async fn freshness(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<Freshness> {
        let device = self.get_device(client, kind, id).await?;
        let now = self.now();
        let account = self.store.find_account(device.account_id).await?;
        let status = account
            .as_ref()
            .map_or(AccountStatus::Deauthorized, |(account, _)| account.status);
        let slot = match account {
            Some((account, schedule)) if !self.owns(account.id) => {
                self.describe_stored(&account, schedule, device.id).await?
            }
            _ => self.fleet.describe(device.account_id, device.id),
        };
        let holdup = match status {
            AccountStatus::Invalidated => Some(Holdup::CredentialsInvalid),
            AccountStatus::Deauthorized => Some(Holdup::Deauthorized),
            AccountStatus::Active if slot.not_before.is_some_and(|at| at > now) => {
                Some(Holdup::RateLimited)
            }
            AccountStatus::Active if slot.failures > 0 => Some(Holdup::Backoff),
            AccountStatus::Active => None,
        };
        let target = target(kind, slot.activity);
        let is_push_only = slot.reason == CadenceReason::PushOnly;
        let interval = match is_push_only {
            true => target,
            false => slot.interval.max(target),
        };
        let allowed = SignedDuration::from_secs(allowed(interval).into());
        self.watch_freshness();
        let mut ages = self.fleet.ages_of(device.account_id, device.id).into_iter();
        let blocks = Field::blocks(kind)
            .map(|block| {
                let view = ages.next();
                let stamped = device.stamps.block_confirmed(kind, block);
                let confirmed_at = match &view {
                    // Ages are counted in whole seconds; a stamp within one is more exact.
                    Some(view) => stamped.max(view.confirmed_at),
                    None => stamped,
                };
                let age = confirmed_at.map(|at| now.duration_since(at));
                BlockFreshness {
                    block,
                    last_updated: device.stamps.block_updated(kind, block),
                    confirmed_at,
                    age_seconds: age.map(|age| age.as_secs_f64().max(0.0)),
                    target_seconds: target.as_secs_f64(),
                    is_within_target: age.is_some_and(|age| age <= target),
                    is_within_promise: age.is_some_and(|age| age <= allowed),
                    breach: view.and_then(|view| view.breach).map(CurrentBreach::from),
                }
            })
            .collect();
        Ok(Freshness {
            device_id: device.id,
            kind,
            is_reachable: device.is_reachable(),
            last_seen: device.last_seen,
            activity: slot.activity,
            interval_seconds: (!is_push_only).then(|| slot.interval.as_secs_f64()),
            reason: slot.reason,
            standard_seconds: target.as_secs_f64(),
            slower_because: Slowed::of(slot.reason).filter(|_| interval > target),
            next_due_at: slot.due_at.filter(|_| status == AccountStatus::Active),
            holdup,
            blocks,
            last_attempts: slot.attempts,
        })
    }
}
