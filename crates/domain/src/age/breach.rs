//! Broken promises, and what kept us.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    account::AttemptOutcome,
    id::{ClientId, DeviceId},
    kind::DeviceKind,
    vendor::VendorName,
};

/// What kept data from being confirmed in time. There is no "unknown": what is none of the others
/// is [`BreachReason::Late`], our own fault.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum BreachReason {
    /// The vendor fails; waits grow. The outcome says how.
    Backoff,
    /// The vendor told us to wait.
    RateLimited,
    /// A budget of ours was used up.
    OverBudget,
    /// The vendor failed for so many accounts that calls to it pause.
    VendorPaused,
    /// The vendor refuses the user's login; the user must relink.
    CredentialsInvalid,
    /// The device has no connection to its vendor, or to us.
    DeviceOffline,
    /// This server did not run.
    ServerDown,
    /// The vendor answered in time and did not tell this block.
    NotTold,
    /// None of the others: our own fault.
    Late,
}

/// The text is not the name of a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown reason of a breach")]
pub struct UnknownReason;

impl BreachReason {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Backoff,
        Self::RateLimited,
        Self::OverBudget,
        Self::VendorPaused,
        Self::CredentialsInvalid,
        Self::DeviceOffline,
        Self::ServerDown,
        Self::NotTold,
        Self::Late,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::RateLimited => "rateLimited",
            Self::OverBudget => "overBudget",
            Self::VendorPaused => "vendorPaused",
            Self::CredentialsInvalid => "credentialsInvalid",
            Self::DeviceOffline => "deviceOffline",
            Self::ServerDown => "serverDown",
            Self::NotTold => "notTold",
            Self::Late => "late",
        }
    }

    /// What the outcome of the last attempt to fetch says about why there was no better one.
    /// `None` if it says nothing: all went well.
    pub const fn of_outcome(outcome: AttemptOutcome) -> Option<Self> {
        match outcome {
            AttemptOutcome::Ok | AttemptOutcome::Watched | AttemptOutcome::NotPolled => None,
            AttemptOutcome::RateLimited => Some(Self::RateLimited),
            AttemptOutcome::OverBudget => Some(Self::OverBudget),
            AttemptOutcome::VendorPaused => Some(Self::VendorPaused),
            AttemptOutcome::CredentialsInvalid => Some(Self::CredentialsInvalid),
            // A failure on our side is nobody else's fault.
            AttemptOutcome::Internal => Some(Self::Late),
            AttemptOutcome::LoginExpired
            | AttemptOutcome::Unreachable
            | AttemptOutcome::Malformed
            | AttemptOutcome::Refused => Some(Self::Backoff),
        }
    }
}

impl fmt::Display for BreachReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BreachReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.name() == text)
            .ok_or(UnknownReason)
    }
}

/// A period during which a block of a device that can be reached was older than promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The device.
    pub device: DeviceId,
    /// Its block.
    pub block: &'static str,
    /// The customer.
    pub client: ClientId,
    /// The device's vendor.
    pub vendor: VendorName,
    /// The device's kind.
    pub kind: DeviceKind,
    /// When the data was last confirmed before.
    pub confirmed_at: Timestamp,
    /// When its age passed what was allowed.
    pub began: Timestamp,
    /// When it was confirmed again, or could no longer be reached; `None` while it lasts.
    pub ended: Option<Timestamp>,
    /// The standard for such a device then, seconds.
    pub target_seconds: u32,
    /// The interval promised then, seconds.
    pub interval_seconds: u32,
    /// What kept us.
    pub reason: BreachReason,
    /// How the last attempt before it ended, in a word, if that was the reason.
    pub outcome: Option<String>,
}

impl Breach {
    /// The greatest age up to now, seconds.
    pub fn worst_age(&self, now: Timestamp) -> u64 {
        let until = self.ended.unwrap_or(now);
        until
            .duration_since(self.confirmed_at)
            .as_secs()
            .try_into()
            .unwrap_or(0)
    }
}
