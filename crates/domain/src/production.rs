//! What inverters produced, as their vendors kept it: the quarter hours of a day, the days of a
//! month.
//!
//! A [`Period`] is a day or a month by the calendar of the inverter's zone, so a day has 92, 96 or
//! 100 quarter hours. What a vendor told of one is a [`Production`]. It is *final* once nothing is
//! expected to change any more: it was told some time after the period was over and has no gaps, or
//! the gaps are old. [`plan`] says which periods are to be asked for, and when: the present ones
//! again and again, those that are not final a little later, and after linking those of the past.

mod period;
mod plan;
#[cfg(test)]
mod tests;

pub use period::{NotAPeriod, Period};
pub use plan::{Due, Known, PACE, plan, retry_after};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::{energy::Resolution, zone::Zone};

/// Vendors hear of the last minutes of a period so late.
pub const SETTLING: SignedDuration = SignedDuration::from_hours(2);

/// Gaps are filled so long after a period, if a site was cut off; not later.
pub const LATEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// More than an inverter can produce, kW.
const MOST_KW: f64 = 100_000.0;

/// What an inverter produced in a period.
#[derive(Debug, Clone, PartialEq)]
pub struct Production {
    /// The period.
    pub period: Period,
    /// The zone by whose calendar it is one.
    pub zone: Zone,
    /// Energy of each bucket, kWh, `None` where it is not known; `None` as a whole if nothing is
    /// recorded of the period.
    pub kwh: Option<Vec<Option<f64>>>,
    /// When it was told.
    pub fetched_at: Timestamp,
    /// Nothing of it is expected to change.
    pub is_final: bool,
}

impl Production {
    /// What was told at a moment of a period. Buckets that are missing at its end are not known, nor
    /// are those that no inverter could fill, which keep it from being final; before `installed_at` there is nothing to be known.
    pub fn told(
        period: Period,
        zone: Zone,
        kwh: Option<Vec<Option<f64>>>,
        fetched_at: Timestamp,
        installed_at: Timestamp,
    ) -> Self {
        let starts = period.buckets(&zone);
        let end = period.end(&zone);
        let ends = || starts.iter().skip(1).chain([&end]);
        let mut is_sound = true;
        let kwh = kwh.map(|told| {
            let told = told.into_iter().chain(std::iter::repeat(None));
            let fit = |((kwh, start), end): ((Option<f64>, &Timestamp), &Timestamp)| {
                let hours = end.duration_since(*start).as_secs_f64() / 3600.0;
                let fit = kwh.filter(|kwh| (0.0..=hours * MOST_KW).contains(kwh));
                is_sound &= fit.is_some() || kwh.is_none();
                // To a thousandth of a watt-hour: it is the same when it is read back.
                fit.map(|kwh| (kwh * 1e6).round() / 1e6)
            };
            told.zip(&starts).zip(ends()).map(fit).collect::<Vec<_>>()
        });
        let has_gaps = kwh.as_ref().is_some_and(|kwh| {
            let mut buckets = kwh.iter().zip(ends());
            buckets.any(|(kwh, end)| kwh.is_none() && *end > installed_at)
        });
        let age = fetched_at.duration_since(end);
        let is_final = is_sound && age >= if has_gaps { LATEST } else { SETTLING };
        Self {
            period,
            zone,
            kwh,
            fetched_at,
            is_final,
        }
    }

    /// The same in the contract's form.
    pub fn statistics(&self) -> InverterStatistics {
        let zone = self.zone.rules();
        let data = self.kwh.as_ref().map(|kwh| {
            let starts = self.period.buckets(&self.zone);
            let points = starts.into_iter().zip(kwh).map(|(start, value)| Point {
                date: start
                    .to_zoned(zone.clone())
                    .strftime("%Y-%m-%dT%H:%M:%S%:z")
                    .to_string(),
                value: *value,
            });
            points.collect()
        });
        let entry = Series { unit: "kWh", data };
        InverterStatistics {
            timezone: self.zone.clone().into(),
            resolutions: [(self.period.resolution(), entry)].into(),
        }
    }
}

/// What an inverter produced, as the contract prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InverterStatistics {
    /// The zone by whose calendar days begin.
    pub timezone: String,
    /// The series, by the length of their buckets.
    #[serde(serialize_with = "by_name")]
    pub resolutions: BTreeMap<Resolution, Series>,
}

/// A series of a length of buckets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Unit of the values.
    pub unit: &'static str,
    /// The buckets; null if nothing is known.
    pub data: Option<Vec<Point>>,
}

/// A bucket of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// When it begins, with the offset of the place.
    pub date: String,
    /// What was produced, kWh; null if not known.
    pub value: Option<f64>,
}

fn by_name<S: serde::Serializer>(
    resolutions: &BTreeMap<Resolution, Series>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(resolutions.iter().map(|(key, value)| (key.name(), value)))
}
