//! What energy costs, quarter hour by quarter hour.
//!
//! Rules:
//! - A quarter hour costs what holds while it lasts, by the zone's wall clock. An hour that the
//!   clock skips is never there, and one that it repeats is there twice.
//! - A tariff goes before market prices; where its week has a gap, or names a rate that it has not,
//!   the market's price counts. Where neither says anything there is no price, which is not zero.
//! - Where several prices hold within a quarter hour, it costs their mean by time; where a part of
//!   it has no price, it has none.
//! - A tariff that is put or hung up counts from the quarter hour in which that happens. What was
//!   before keeps its price.

use std::{cmp::Reverse, ops::Range};

use jiff::{Timestamp, tz::Offset};
use serde::Serialize;
use utoipa::ToSchema;

use super::{LocationTariff, MarketPrice, Tariff, TariffId, Week};
use crate::{
    energy::quarter_of,
    money::{Currency, Decimal},
    zone::Zone,
};

/// Seconds of a quarter hour.
const QUARTER: i64 = 15 * 60;

/// What a kWh costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The amount for a kWh, in [`Price::currency`].
    pub per_kwh: Decimal,
    /// The currency; `None` if nobody said.
    pub currency: Option<Currency>,
    /// Who says so; of several within a quarter hour, who says so the longest.
    pub source: PriceSource,
}

/// Who says what energy costs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceSource {
    /// A rate of the customer's tariff.
    Tariff {
        /// The tariff.
        id: TariffId,
        /// The name of the rate.
        rate: String,
    },
    /// A market, by the word of this source.
    Market(String),
}

/// Who says what energy costs, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceOrigin {
    /// `tariff` or `market`.
    pub kind: &'static str,
    /// The ID of the tariff, or the name of the source of market prices.
    pub id: String,
    /// Name of the rate; null for a market.
    #[schema(required)]
    pub rate: Option<String>,
}

impl From<PriceSource> for PriceOrigin {
    fn from(source: PriceSource) -> Self {
        match source {
            PriceSource::Tariff { id, rate } => Self {
                kind: "tariff",
                id: id.into(),
                rate: Some(rate),
            },
            PriceSource::Market(source) => Self {
                kind: "market",
                id: source,
                rate: None,
            },
        }
    }
}

/// What is known of prices at a Location, for all times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timetable {
    currency: Option<Currency>,
    /// By their beginning.
    periods: Vec<Period>,
    /// By their beginning, no two at the same time.
    market: Vec<MarketPrice>,
}

/// A tariff with one version of its rates, from a quarter hour on until the next period's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Period {
    since: i64,
    tariff: TariffId,
    week: Week,
    /// By index of the interval: the name and the cost of its rate, if the tariff has it.
    rates: Vec<(String, Option<Decimal>)>,
}

impl Timetable {
    /// The timetable of a Location: all that was hung there, all versions of the tariffs it names,
    /// and market prices that do not overlap, all in any order. `currency` is that of the tariffs.
    pub fn new(
        currency: Option<Currency>,
        mut hung: Vec<LocationTariff>,
        mut tariffs: Vec<Tariff>,
        mut market: Vec<MarketPrice>,
    ) -> Self {
        hung.sort_by_key(|row| row.since);
        tariffs.sort_by_key(|tariff| tariff.since);
        market.sort_by_key(|price| price.from);
        let mut periods: Vec<Period> = Vec::new();
        for (index, row) in hung.iter().enumerate() {
            let until = hung.get(index + 1).map(|next| next.since);
            let versions = || tariffs.iter().filter(|tariff| tariff.id == row.tariff_id);
            let first = versions().rfind(|tariff| tariff.since <= row.since);
            let later = versions().filter(|tariff| {
                tariff.since > row.since && until.is_none_or(|until| tariff.since < until)
            });
            let first = Some(Period::new(row, row.since, first));
            let later = later.map(|tariff| Period::new(row, tariff.since, Some(tariff)));
            for period in first.into_iter().chain(later) {
                // Of several within a quarter hour the last one counts.
                periods.retain(|earlier| earlier.since != period.since);
                periods.push(period);
            }
        }
        Self {
            currency,
            periods,
            market,
        }
    }

    /// What holds at a second, in a zone with an offset from UTC, and until when at least.
    fn at(&self, second: i64, quarter: i64, offset: Offset) -> (Option<Priced<'_>>, i64) {
        let count = self
            .periods
            .partition_point(|period| period.since <= quarter);
        let period = count.checked_sub(1).and_then(|last| self.periods.get(last));
        let mut until = i64::MAX;
        if let Some(period) = period {
            let local = second + i64::from(offset.seconds());
            let days = local.div_euclid(86_400);
            // The first day of 1970 was a Thursday.
            let weekday = (days + 3).rem_euclid(7) as u8;
            let of_day = local.rem_euclid(86_400);
            let (interval, end) = period.week.at(weekday, of_day as i32);
            until = second + (i64::from(end) - of_day);
            let rate = interval.and_then(|index| period.rates.get(index));
            if let Some((name, Some(cost))) = rate {
                let priced = Priced {
                    per_kwh: *cost,
                    currency: self.currency,
                    source: Source::Tariff(&period.tariff, name),
                };
                return (Some(priced), until);
            }
        }
        let next = self
            .market
            .partition_point(|price| price.to.as_second() <= second);
        match self.market.get(next) {
            Some(price) if price.from.as_second() <= second => {
                let priced = Priced {
                    per_kwh: price.per_kwh,
                    currency: Some(price.currency),
                    source: Source::Market(&price.source),
                };
                (Some(priced), until.min(price.to.as_second()))
            }
            Some(price) => (None, until.min(price.from.as_second())),
            None => (None, until),
        }
    }
}

impl Period {
    fn new(row: &LocationTariff, since: Timestamp, tariff: Option<&Tariff>) -> Self {
        let cost_of = |name: &str| {
            let mut rates = tariff.into_iter().flat_map(|tariff| &tariff.rates);
            rates.find(|rate| rate.name == name).map(|rate| rate.cost)
        };
        let rates = row.intervals.iter().map(|interval| {
            let cost = cost_of(&interval.name);
            (interval.name.clone(), cost)
        });
        Self {
            since: quarter_of(since).as_second(),
            tariff: row.tariff_id.clone(),
            // Overlaps were refused when it was hung up; one that came in otherwise has no prices.
            week: Week::of(&row.intervals).unwrap_or_else(|_| Week::empty()),
            rates: rates.collect(),
        }
    }
}

/// A price while it is only looked at.
#[derive(Clone, Copy, PartialEq)]
struct Priced<'t> {
    per_kwh: Decimal,
    currency: Option<Currency>,
    source: Source<'t>,
}

#[derive(Clone, Copy, PartialEq)]
enum Source<'t> {
    Tariff(&'t TariffId, &'t str),
    Market(&'t str),
}

impl Priced<'_> {
    fn to_price(self) -> Price {
        Price {
            per_kwh: self.per_kwh,
            currency: self.currency,
            source: match self.source {
                Source::Tariff(id, rate) => PriceSource::Tariff {
                    id: id.clone(),
                    rate: rate.to_owned(),
                },
                Source::Market(source) => PriceSource::Market(source.to_owned()),
            },
        }
    }
}

/// The price of each quarter hour that begins within a range (the first one where the range begins
/// within it), in order. `None` where there is none.
pub fn prices<'t>(
    timetable: &'t Timetable,
    zone: &'t Zone,
    range: Range<Timestamp>,
) -> impl Iterator<Item = (Timestamp, Option<Price>)> + 't {
    let first = quarter_of(range.start).as_second();
    let last = range.end;
    let starts = (0..).map(move |index| first + index * QUARTER);
    let starts = starts.map_while(move |second| {
        let start = Timestamp::from_second(second).ok()?;
        (start < last).then_some(start)
    });
    prices_of(timetable, zone, starts)
}

/// The price of each of the quarter hours that some moments are in. Quickest in the order of time.
pub fn prices_of<'t>(
    timetable: &'t Timetable,
    zone: &'t Zone,
    moments: impl IntoIterator<Item = Timestamp, IntoIter: 't>,
) -> impl Iterator<Item = (Timestamp, Option<Price>)> + 't {
    let mut offsets = Offsets::of(zone);
    moments.into_iter().map(move |moment| {
        let start = quarter_of(moment);
        (start, quarter(timetable, &mut offsets, start.as_second()))
    })
}

/// The price of the quarter hour that begins at a second.
fn quarter(timetable: &Timetable, offsets: &mut Offsets<'_>, start: i64) -> Option<Price> {
    let end = start + QUARTER;
    let mut parts: Vec<(Priced<'_>, i64)> = Vec::new();
    let mut at = start;
    while at < end {
        let (offset, offset_until) = offsets.at(at);
        let (priced, until) = timetable.at(at, start, offset);
        // Never less than a second, so that this ends.
        let until = until.min(offset_until).min(end).max(at + 1);
        let priced = priced?;
        if parts
            .iter()
            .any(|(other, _)| other.currency != priced.currency)
        {
            // What is in two currencies has no sum.
            return None;
        }
        parts.push((priced, until - at));
        at = until;
    }
    let (longest, whole) = match parts.as_slice() {
        [(only, _)] => (*only, only.per_kwh),
        parts => {
            let longest = parts.iter().min_by_key(|(_, length)| Reverse(*length))?;
            let sum: Decimal = parts
                .iter()
                .map(|(priced, length)| priced.per_kwh * Decimal::from(*length))
                .sum();
            (longest.0, sum / Decimal::from(QUARTER))
        }
    };
    Some(Price {
        per_kwh: whole,
        ..longest.to_price()
    })
}

/// The offsets of a zone from UTC.
struct Offsets<'z> {
    zone: &'z Zone,
    offset: Offset,
    /// When it holds, in seconds.
    holds: Range<i64>,
}

impl<'z> Offsets<'z> {
    const fn of(zone: &'z Zone) -> Self {
        Self {
            zone,
            offset: Offset::UTC,
            // Never: it is looked up at first.
            holds: 0..0,
        }
    }

    /// The offset at a second, and until when it holds.
    fn at(&mut self, second: i64) -> (Offset, i64) {
        if !self.holds.contains(&second)
            && let Ok(at) = Timestamp::from_second(second)
        {
            let rules = self.zone.rules();
            self.offset = rules.to_offset(at);
            let next = rules.following(at).next();
            self.holds = second..next.map_or(i64::MAX, |next| next.timestamp().as_second());
        }
        (self.offset, self.holds.end)
    }
}
