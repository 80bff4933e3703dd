//! What a vendor recorded of a site: the quarter hours of a day, the days of a month.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    kind::DeviceKind,
    production::{LATEST, Period, SETTLING},
    zone::Zone,
};

/// What a series is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Series {
    /// Energy from the sun.
    Generation,
    /// Energy used by all that is there.
    Consumption,
    /// Energy from the grid.
    Import,
    /// Energy to the grid.
    Export,
    /// Energy into batteries.
    Charge,
    /// Energy out of batteries.
    Discharge,
    /// State of charge of the batteries.
    BatteryLevel,
}

impl Series {
    /// All of them, in the contract's order.
    pub const ALL: [Self; 7] = [
        Self::Generation,
        Self::Consumption,
        Self::Import,
        Self::Export,
        Self::Charge,
        Self::Discharge,
        Self::BatteryLevel,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Consumption => "consumption",
            Self::Import => "import",
            Self::Export => "export",
            Self::Charge => "charge",
            Self::Discharge => "discharge",
            Self::BatteryLevel => "batteryLevel",
        }
    }

    /// The kind of device through which it is known, and without which it is not told.
    pub const fn device_kind(self) -> DeviceKind {
        match self {
            Self::Generation => DeviceKind::Inverter,
            Self::Consumption | Self::Import | Self::Export => DeviceKind::Meter,
            Self::Charge | Self::Discharge | Self::BatteryLevel => DeviceKind::Battery,
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// More than flows through a home, kW.
const MOST_KW: f64 = 100_000.0;

/// A day that goes on is asked for again after this,
const DAY_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// and a month that does, or what is over and may still change, after this.
const REST_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// The values of each bucket, by what they are about.
pub type SeriesValues = BTreeMap<Series, Vec<Option<f64>>>;

/// What a vendor told of a site in a period.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteHistory {
    /// The period.
    pub period: Period,
    /// The zone by whose calendar it is one.
    pub zone: Zone,
    /// Of each bucket the energy, kWh, or the level at its end, %; `None` where it is not known.
    /// What the vendor does not record at all is missing.
    pub series: SeriesValues,
    /// When it was told.
    pub fetched_at: Timestamp,
    /// Nothing of it is expected to change.
    pub is_final: bool,
}

impl SiteHistory {
    /// What was told at a moment. Buckets that are missing at the end are not known, nor is what
    /// cannot be, which keeps it from being final; a series without a value is none.
    pub fn told(
        period: Period,
        zone: Zone,
        told: SeriesValues,
        fetched_at: Timestamp,
        installed_at: Timestamp,
    ) -> Self {
        let ends = ends(period, &zone);
        let (mut is_sound, mut has_gaps) = (true, false);
        let mut series = BTreeMap::new();
        for (of, values) in told {
            let values = values.into_iter().chain(std::iter::repeat(None));
            let fitted = values.zip(&ends).map(|(value, (start, end))| {
                let hours = end.duration_since(*start).as_secs_f64() / 3600.0;
                let most = match of {
                    Series::BatteryLevel => 100.0,
                    _ => hours * MOST_KW,
                };
                let fit = value.filter(|value| (0.0..=most).contains(value));
                is_sound &= fit.is_some() || value.is_none();
                has_gaps |= fit.is_none() && *end > installed_at;
                fit.map(rounded)
            });
            let fitted: Vec<_> = fitted.collect();
            if fitted.iter().any(Option::is_some) {
                series.insert(of, fitted);
            }
        }
        let age = fetched_at.duration_since(period.end(&zone));
        let is_final = is_sound && age >= if has_gaps { LATEST } else { SETTLING };
        Self {
            period,
            zone,
            series,
            fetched_at,
            is_final,
        }
    }

    /// Whether it needs no asking for again at a moment.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let end = self.period.end(&self.zone);
        let settled = end.saturating_add(SETTLING).unwrap_or(end);
        let is_settled_since = self.fetched_at < settled && settled <= now;
        let again = match self.period {
            Period::Day(_) if self.fetched_at < end => DAY_AGAIN,
            _ => REST_AGAIN,
        };
        let age = now.duration_since(self.fetched_at);
        // The clock may have been set back since.
        self.is_final || (!is_settled_since && age.abs() < again)
    }

    /// The same in the contract's form; `hidden` says why a series is not told, if it is not.
    pub fn statistics(&self, hidden: impl Fn(Series) -> Option<&'static str>) -> HemStatistics {
        let of = |series| {
            let timeseries = match (hidden(series), self.series.get(&series), self.period) {
                (Some(reason), ..) => Timeseries::Unavailable { reason },
                (None, _, Period::Month(_)) if series == Series::BatteryLevel => {
                    let reason = "The battery level is told for a single day only";
                    Timeseries::Unavailable { reason }
                }
                (None, None, _) => {
                    let reason = "The vendor has no such data for this interval";
                    Timeseries::Unavailable { reason }
                }
                (None, Some(values), _) => self.available(series, values),
            };
            (series, timeseries)
        };
        HemStatistics {
            timeseries: Series::ALL.into_iter().map(of).collect(),
        }
    }

    fn available(&self, series: Series, values: &[Option<f64>]) -> Timeseries {
        let (unit, unit_type, is_power) = match (series, self.period) {
            (Series::BatteryLevel, _) => ("%", "SoC", false),
            (_, Period::Day(_)) => ("kW", "Power", true),
            (_, Period::Month(_)) => ("kWh", "Energy", false),
        };
        let resolution = match self.period {
            Period::Day(_) => "PT15M",
            Period::Month(_) => "P1D",
        };
        let buckets = ends(self.period, &self.zone);
        let points = buckets.iter().zip(values).map(|((start, end), value)| {
            // A mean of a bucket that goes on would be one of less than the bucket.
            let value = value.filter(|_| !is_power || *end <= self.fetched_at);
            let hours = end.duration_since(*start).as_secs_f64() / 3600.0;
            Point {
                t: start
                    .to_zoned(self.zone.rules().clone())
                    .strftime("%Y-%m-%dT%H:%M:%S%:z")
                    .to_string(),
                v: value.map(|value| {
                    if is_power {
                        rounded(value / hours)
                    } else {
                        value
                    }
                }),
            }
        });
        Timeseries::Available {
            unit,
            unit_type,
            sampling: Sampling {
                mode: "bucketed",
                resolution,
            },
            timezone: self.zone.name().to_owned(),
            data: points.collect(),
        }
    }
}

/// When the buckets of a period begin and end.
fn ends(period: Period, zone: &Zone) -> Vec<(Timestamp, Timestamp)> {
    let starts = period.buckets(zone);
    let ends = starts.iter().skip(1).copied().chain([period.end(zone)]);
    starts.iter().copied().zip(ends).collect()
}

/// To a thousandth of a watt-hour: it is the same when it is read back.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// What flowed at a site, as the contract prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HemStatistics {
    /// All series there are.
    #[serde(serialize_with = "by_name")]
    pub timeseries: Vec<(Series, Timeseries)>,
}

impl HemStatistics {
    /// Whether any of the series is told.
    pub fn is_any_available(&self) -> bool {
        let is_told =
            |(_, series): &(Series, Timeseries)| matches!(series, Timeseries::Available { .. });
        self.timeseries.iter().any(is_told)
    }
}

/// A series, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Timeseries {
    /// It is told.
    Available {
        /// Unit of the values.
        unit: &'static str,
        /// What they are.
        unit_type: &'static str,
        /// How long buckets are.
        sampling: Sampling,
        /// By whose calendar.
        timezone: String,
        /// The buckets.
        data: Vec<Point>,
    },
    /// It is not.
    Unavailable {
        /// Why, in words.
        reason: &'static str,
    },
}

impl Serialize for Timeseries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Available<'a> {
            is_available: bool,
            unit: &'a str,
            unit_type: &'a str,
            sampling: Sampling,
            timezone: &'a str,
            data: &'a [Point],
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Unavailable<'a> {
            is_available: bool,
            reason: &'a str,
        }
        match self {
            Self::Available {
                unit,
                unit_type,
                sampling,
                timezone,
                data,
            } => Available {
                is_available: true,
                unit,
                unit_type,
                sampling: *sampling,
                timezone,
                data,
            }
            .serialize(serializer),
            Self::Unavailable { reason } => Unavailable {
                is_available: false,
                reason,
            }
            .serialize(serializer),
        }
    }
}

/// How a series is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sampling {
    /// Always by buckets.
    pub mode: &'static str,
    /// How long they are, as ISO 8601 writes it.
    pub resolution: &'static str,
}

/// A bucket of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// When it begins, with the offset of the place.
    pub t: String,
    /// Its value; null if not known.
    pub v: Option<f64>,
}

fn by_name<S: Serializer>(
    timeseries: &[(Series, Timeseries)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        timeseries
            .iter()
            .map(|(series, told)| (series.name(), told)),
    )
}
