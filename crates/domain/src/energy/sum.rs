//! Sums of a profile: over any time, and by the quarter hour.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Flow, LONGEST_HOLD, Method, Profile, Span, quarter_end, quarter_of};

/// What flowed in one direction over some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowSum {
    /// Energy, kWh.
    pub kwh: f64,
    /// Of it, by a vendor's counter.
    pub counter_kwh: f64,
    /// Of it, by the level of a battery. The rest is power by time.
    pub level_kwh: f64,
    /// Least power of the time in which any flowed, kW.
    pub min_kw: Option<f64>,
    /// Greatest power, kW.
    pub max_kw: Option<f64>,
    /// Time in which any flowed, ms.
    pub active_ms: i64,
    /// Time known by a counter, ms.
    pub counter_ms: i64,
    /// Time known by power, ms.
    pub rate_ms: i64,
    /// Time known by the level of a battery, ms.
    pub level_ms: i64,
    /// Of all this, time of which the sum is known, but not how it spread.
    pub bridged_ms: i64,
}

impl FlowSum {
    /// Time of which anything is known, ms.
    pub const fn covered_ms(&self) -> i64 {
        self.counter_ms + self.rate_ms + self.level_ms
    }

    /// Energy known by power and time, kWh.
    pub fn rate_kwh(&self) -> f64 {
        self.kwh - self.counter_kwh - self.level_kwh
    }

    /// Mean power of the time in which any flowed, kW.
    pub fn mean_kw(&self) -> Option<f64> {
        (self.active_ms > 0).then(|| self.kwh * 3_600_000.0 / self.active_ms as f64)
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        self.kwh += other.kwh;
        self.counter_kwh += other.counter_kwh;
        self.level_kwh += other.level_kwh;
        self.min_kw = match (self.min_kw, other.min_kw) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.max_kw = match (self.max_kw, other.max_kw) {
            (Some(one), Some(two)) => Some(one.max(two)),
            (one, two) => one.or(two),
        };
        self.active_ms += other.active_ms;
        self.counter_ms += other.counter_ms;
        self.rate_ms += other.rate_ms;
        self.level_ms += other.level_ms;
        self.bridged_ms += other.bridged_ms;
    }

    /// Adds the part of a span that lies between two moments.
    fn add_span(&mut self, span: &Span, flow: Flow, from: Timestamp, to: Timestamp) {
        let Some(part) = span.part(flow) else {
            return;
        };
        let from = from.as_millisecond().max(span.from.as_millisecond());
        let to = to.as_millisecond().min(span.to.as_millisecond());
        if to <= from {
            return;
        }
        let ms = to - from;
        let kwh = part.kwh * ms as f64 / span.milliseconds() as f64;
        self.kwh += kwh;
        match part.method {
            Method::Counter => {
                self.counter_ms += ms;
                self.counter_kwh += kwh;
            }
            Method::Rate => self.rate_ms += ms,
            Method::StateOfCharge => {
                self.level_ms += ms;
                self.level_kwh += kwh;
            }
        }
        if span.is_bridged {
            self.bridged_ms += ms;
        }
        if part.kwh > 0.0 {
            let power = part.kwh / span.hours();
            self.active_ms += ms;
            self.min_kw = Some(self.min_kw.map_or(power, |known| known.min(power)));
            self.max_kw = Some(self.max_kw.map_or(power, |known| known.max(power)));
        }
    }
}

impl Profile {
    /// What flowed in one direction between two moments.
    pub fn sum(&self, flow: Flow, from: Timestamp, to: Timestamp) -> FlowSum {
        let mut sum = FlowSum::default();
        for span in self.spans() {
            sum.add_span(span, flow, from, to);
        }
        sum
    }

    /// The quarter hours of which anything is known, with what flowed in each direction.
    pub fn quarters(&self) -> BTreeMap<(Timestamp, Flow), FlowSum> {
        let mut quarters = BTreeMap::<_, FlowSum>::new();
        for span in self.spans() {
            for flow in Flow::ALL {
                if span.part(flow).is_none() {
                    continue;
                }
                let mut start = quarter_of(span.from);
                while start < span.to {
                    let end = quarter_end(start);
                    let sum = quarters.entry((start, flow)).or_default();
                    sum.add_span(span, flow, start, end);
                    start = end;
                }
            }
        }
        quarters
    }
}

/// Why a quarter hour that was over was summed up anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restated {
    /// Something came that had been told of a time long past.
    LateData,
    /// What came next showed that something told before was wrong, or how a gap is to be bridged.
    LaterData,
}

impl Restated {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LateData => "lateData",
            Self::LaterData => "laterData",
        }
    }
}

/// A quarter hour of one direction of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// When it begins.
    pub start: Timestamp,
    /// The direction.
    pub flow: Flow,
    /// What flowed.
    pub sum: FlowSum,
    /// Set if it had been over for a quarter of an hour, and is now other than it was.
    pub restated: Option<Restated>,
}

/// The quarter hours that are other in one profile than in an earlier one, which was made of samples
/// up to `newest`. `is_late` if what is new among the samples is not later than that.
pub fn restate(
    before: &Profile,
    after: &Profile,
    newest: Option<Timestamp>,
    is_late: bool,
) -> Vec<Bucket> {
    let before = before.quarters();
    let after = after.quarters();
    let places: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    let changed = places.into_iter().filter_map(|place| {
        let sum = after.get(&place).copied().unwrap_or_default();
        if before.get(&place).copied().unwrap_or_default() == sum {
            return None;
        }
        let (start, flow) = place;
        let was_over = newest.is_some_and(|newest| {
            quarter_end(start)
                .saturating_add(LONGEST_HOLD)
                .is_ok_and(|end| end <= newest)
        });
        let why = match is_late {
            true => Restated::LateData,
            false => Restated::LaterData,
        };
        Some(Bucket {
            start,
            flow,
            sum,
            restated: was_over.then_some(why),
        })
    });
    changed.collect()
}
