//! What flowed since local midnight.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Series;
use crate::{
    energy::{FlowSum, LONGEST_HOLD, quarter_end},
    kind::DeviceKind,
};

/// Amounts of energy, kWh; `None` where not known, which is not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flows {
    /// From the sun.
    pub generation: Option<f64>,
    /// By all that uses energy there.
    pub consumption: Option<f64>,
    /// Into batteries.
    pub charge: Option<f64>,
    /// Out of batteries.
    pub discharge: Option<f64>,
    /// From the grid.
    pub import: Option<f64>,
    /// To the grid.
    pub export: Option<f64>,
}

/// More than flows through a home in a day, kWh.
const MOST_IN_A_DAY: f64 = 1e6;

impl Flows {
    /// Whether any of them is known.
    pub fn is_any_known(&self) -> bool {
        *self != Self::default()
    }

    /// The same without what is known through kinds of devices that are not there.
    pub fn through(self, is_there: impl Fn(DeviceKind) -> bool) -> Self {
        let only =
            |series: Series, kwh: Option<f64>| kwh.filter(|_| is_there(series.device_kind()));
        Self {
            generation: only(Series::Generation, self.generation),
            consumption: only(Series::Consumption, self.consumption),
            charge: only(Series::Charge, self.charge),
            discharge: only(Series::Discharge, self.discharge),
            import: only(Series::Import, self.import),
            export: only(Series::Export, self.export),
        }
    }

    /// The same to a watt-hour, without what cannot be.
    pub fn rounded(self) -> Self {
        let round = |kwh: Option<f64>| {
            let kwh = kwh.filter(|kwh| (0.0..=MOST_IN_A_DAY).contains(kwh));
            kwh.map(|kwh| (kwh * 1e3).round() / 1e3)
        };
        Self {
            generation: round(self.generation),
            consumption: round(self.consumption),
            charge: round(self.charge),
            discharge: round(self.discharge),
            import: round(self.import),
            export: round(self.export),
        }
    }

    /// What was used, by what came in and went out; `None` if any of that is not known. Where there
    /// is no inverter or no battery, nothing flowed through one.
    pub fn balance(&self, has_inverter: bool, has_battery: bool) -> Option<f64> {
        let of = |is_there, kwh: Option<f64>| if is_there { kwh } else { Some(0.0) };
        let came =
            of(has_inverter, self.generation)? + self.import? + of(has_battery, self.discharge)?;
        let went = self.export? + of(has_battery, self.charge)?;
        // Counters that are cut to whole watt-hours may be off by some of them.
        Some((came - went).max(0.0))
    }
}

/// Two readings that meet may leave a moment between them, ms.
const SEAM_MS: i64 = 1_000;

/// What flowed in one direction of a device since midnight, by its quarter hours; `None` if it is not
/// known of all the time since then.
pub fn flowed_since(
    midnight: Timestamp,
    now: Timestamp,
    quarters: &BTreeMap<Timestamp, FlowSum>,
) -> Option<f64> {
    let known = || {
        let since = quarters.range(midnight..);
        since.filter(|(_, sum)| sum.covered_ms() > 0)
    };
    let (last, newest) = known().next_back()?;
    let mut expected = midnight;
    let mut kwh = 0.0;
    for (start, sum) in known() {
        let end = quarter_end(*start);
        let whole_ms = end.as_millisecond() - start.as_millisecond();
        let is_whole = sum.covered_ms() >= whole_ms - SEAM_MS;
        if *start != expected || (start != last && !is_whole) {
            return None;
        }
        expected = end;
        kwh += sum.kwh;
    }
    let until = last
        .saturating_add(SignedDuration::from_millis(newest.covered_ms()))
        .unwrap_or(now);
    // What is not told any more goes on all the same.
    (now.duration_since(until) <= LONGEST_HOLD * 2).then_some(kwh)
}
