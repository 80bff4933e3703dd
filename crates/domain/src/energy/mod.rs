//! Energy: from what vendors tell of power, counters and levels to kilowatt-hours by the quarter hour.
//!
//! A [`Sample`] is what was told of a device at one moment. From the samples of a device, whatever
//! the order in which they came, a [`Profile`] is made: spans of constant power, each with the
//! [`Method`] by which it is known. Sums over any time are sums of the profile, so those of
//! quarter hours add up to those of days and months.
//!
//! What must stay true, each of it property-tested:
//! - The same samples give the same sums, in whatever order and however late they come.
//! - Time of which nothing is known has no energy: power is held for a quarter of an hour at most,
//!   and over a longer gap only what a counter or a battery's level tells has flowed.
//! - A counter that was reset, or went back and came again, adds nothing that did not flow.

mod calendar;
mod profile;
mod sample;
mod sum;
#[cfg(test)]
mod tests;

pub use calendar::{Place, Resolution};
pub use profile::{LONGEST_BRIDGE, LONGEST_HOLD, Profile, Span};
pub use sample::{PowerState, Sample, merge_samples, samples_of};
pub use sum::{Bucket, FlowSum, Restated, restate};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kind::DeviceKind;

/// Milliseconds of a quarter hour.
const QUARTER_MS: i64 = 900_000;

/// A direction of energy, as seen from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Flow {
    /// Into the device: charging, consumption; for a meter, import.
    Taken,
    /// Out of it: production, discharging; for a meter, export.
    Given,
}

impl Flow {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Taken, Self::Given];

    /// What this direction is called for a kind of device; `None` if the kind has no such.
    pub const fn name(self, kind: DeviceKind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Taken, DeviceKind::Vehicle | DeviceKind::Charger | DeviceKind::Battery) => {
                Some("charge")
            }
            (Self::Taken, DeviceKind::Hvac) => Some("consumption"),
            (Self::Taken, DeviceKind::Meter) => Some("import"),
            (Self::Given, DeviceKind::Inverter) => Some("production"),
            (Self::Given, DeviceKind::Battery) => Some("discharge"),
            (Self::Given, DeviceKind::Meter) => Some("export"),
            (Self::Given, DeviceKind::Vehicle | DeviceKind::Charger | DeviceKind::Hvac)
            | (Self::Taken, DeviceKind::Inverter) => None,
        }
    }
}

/// How an amount of energy is known; the better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Method {
    /// The difference of two readings of the vendor's counter.
    Counter,
    /// Power, held until it was told again.
    Rate,
    /// The change of a battery's level, by its capacity.
    StateOfCharge,
}

/// The beginning of the quarter hour that a moment is in. Quarter hours are those of UTC, which are
/// those of every zone in use today as well.
pub fn quarter_of(at: Timestamp) -> Timestamp {
    let start = at.as_millisecond().div_euclid(QUARTER_MS) * QUARTER_MS;
    Timestamp::from_millisecond(start).unwrap_or(at)
}

/// The moment at which the quarter hour ends that begins at `start`.
pub fn quarter_end(start: Timestamp) -> Timestamp {
    start
        .saturating_add(SignedDuration::from_mins(15))
        .unwrap_or(Timestamp::MAX)
}
