//! The why of a device's freshness: how often it is fetched, for what reason, how old each block
//! is against its target, what was tried last and what comes next.

use livewatt_domain::{
    Timestamp,
    account::{AccountStatus, Attempt},
    cadence::{Activity, CadenceReason, target},
    fact::Field,
    id::{ClientId, DeviceId},
    kind::DeviceKind,
    time,
};
use serde::Serialize;

use crate::{Engine, EngineResult};

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
        let slot = self.fleet.describe(device.account_id, device.id);
        let status = match self.store.find_account(device.account_id).await? {
            Some((account, _)) => account.status,
            None => AccountStatus::Deauthorized,
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
        let blocks = Field::blocks(kind)
            .map(|block| {
                let stamped = device.stamps.block_confirmed(kind, block);
                // A station that is connected tells changes by itself: silence confirms.
                let confirmed_at = match stamped {
                    Some(_) if is_push_only => Some(device.last_seen),
                    stamped => stamped.max(stamped.and(slot.confirmed_at)),
                };
                let age = confirmed_at.map(|at| now.duration_since(at));
                BlockFreshness {
                    block,
                    last_updated: device.stamps.block_updated(kind, block),
                    confirmed_at,
                    age_seconds: age.map(|age| age.as_secs_f64().max(0.0)),
                    target_seconds: target.as_secs_f64(),
                    is_within_target: age.is_some_and(|age| age <= target),
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
            next_due_at: slot.due_at.filter(|_| status == AccountStatus::Active),
            holdup,
            blocks,
            last_attempts: slot.attempts,
        })
    }
}
