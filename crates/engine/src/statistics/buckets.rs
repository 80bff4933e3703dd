//! Sums of quarter hours, with what they cost.

use std::collections::BTreeMap;

use livewatt_domain::{
    Timestamp,
    energy::{Flow, FlowSum, Place, Resolution},
    time,
};
use livewatt_store::Quarter;
use serde::Serialize;

use super::{PriceAt, rounded};

/// Least, greatest and mean of something; null where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
}

impl Spread {
    /// The power of a sum, kW.
    pub(super) fn of_power(sum: &FlowSum) -> Self {
        Self {
            min: sum.min_kw.map(rounded),
            max: sum.max_kw.map(rounded),
            mean: sum.mean_kw().map(rounded),
        }
    }
}

/// A bucket of charging statistics, as the contract has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChargingBucket {
    /// When it begins.
    #[serde(serialize_with = "time::serialize")]
    pub date: Timestamp,
    /// Power while charging, kW.
    pub kw: Spread,
    /// Energy, kWh.
    pub kwh_sum: f64,
    /// Price of a kWh; null if not all of it is known.
    pub price: Spread,
    /// Cost; null likewise.
    pub cost_sum: Option<f64>,
    /// Price had smart charging not shifted anything; null if it did not.
    pub non_smart_price: Spread,
    /// What smart charging saved; null if it shifted nothing.
    pub estimated_savings: Option<f64>,
}

/// What energy cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    kwh: f64,
    cost: f64,
    price: Spread,
    is_part_unknown: bool,
}

impl Cost {
    /// Adds energy at a price.
    pub(super) fn add(&mut self, kwh: f64, price: Option<f64>) {
        let Some(price) = price else {
            self.is_part_unknown = true;
            return;
        };
        self.kwh += kwh;
        self.cost += kwh * price;
        self.price.min = Some(self.price.min.map_or(price, |known| known.min(price)));
        self.price.max = Some(self.price.max.map_or(price, |known| known.max(price)));
    }

    /// The price of a kWh, and the cost; of energy that is not priced throughout, nothing.
    pub(super) fn told(&self) -> (Spread, Option<f64>) {
        if self.is_part_unknown || self.kwh <= 0.0 {
            return (Spread::default(), None);
        }
        let mean = Some(rounded(self.cost / self.kwh));
        (Spread { mean, ..self.price }, Some(rounded(self.cost)))
    }
}

/// The buckets of what was charged.
pub(super) fn charging(
    quarters: &[Quarter],
    resolution: Resolution,
    place: &Place,
    price: &PriceAt<'_>,
) -> Vec<ChargingBucket> {
    let mut buckets: BTreeMap<Timestamp, (FlowSum, Cost)> = BTreeMap::new();
    let charged = quarters
        .iter()
        .filter(|quarter| quarter.flow == Flow::Taken && quarter.sum.kwh > 0.0);
    for quarter in charged {
        let start = resolution.start(quarter.start, place);
        let (sum, cost) = buckets.entry(start).or_default();
        sum.add(&quarter.sum);
        cost.add(quarter.sum.kwh, price(quarter.device_id, quarter.start));
    }
    let told = buckets.into_iter().map(|(date, (sum, cost))| {
        let (price, cost_sum) = cost.told();
        ChargingBucket {
            date,
            kw: Spread::of_power(&sum),
            kwh_sum: rounded(sum.kwh),
            price,
            cost_sum,
            non_smart_price: Spread::default(),
            estimated_savings: None,
        }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{SignedDuration, id::DeviceId, zone::Zone};
    use uuid::Uuid;

    use super::*;

    fn quarter(at: Timestamp, kwh: f64) -> Quarter {
        Quarter {
            device_id: DeviceId(Uuid::nil()),
            flow: Flow::Taken,
            start: at,
            version: 1,
            restated: None,
            sum: FlowSum {
                kwh,
                min_kw: Some(kwh * 4.0),
                max_kw: Some(kwh * 4.0),
                active_ms: 900_000,
                rate_ms: 900_000,
                ..FlowSum::default()
            },
        }
    }

    /// The nights in which clocks change, in three places: whatever the buckets, nothing is lost or
    /// counted twice, and the local days have the hours that they had.
    #[test]
    fn days_of_a_place_have_their_own_length() {
        for (zone, noon, quarters_of_day) in [
            ("Europe/Oslo", "2026-03-29T12:00:00Z", 92),
            ("Europe/Oslo", "2026-10-25T12:00:00Z", 100),
            ("America/New_York", "2026-11-01T18:00:00Z", 100),
            ("Australia/Lord_Howe", "2026-04-05T00:00:00Z", 98),
        ] {
            let place = Place::from(zone.parse::<Zone>().unwrap());
            let noon: Timestamp = noon.parse().unwrap();
            let begin = noon - SignedDuration::from_hours(72);
            let quarters: Vec<_> = (0..6 * 96)
                .map(|n| quarter(begin + SignedDuration::from_mins(15 * n), 1.0))
                .collect();
            for resolution in Resolution::ALL {
                let buckets = charging(&quarters, resolution, &place, &|_, _| None);
                let sum: f64 = buckets.iter().map(|bucket| bucket.kwh_sum).sum();
                assert_eq!(sum, quarters.len() as f64, "{zone} {resolution:?}");
            }
            let days = charging(&quarters, Resolution::Day, &place, &|_, _| None);
            let start = Resolution::Day.start(noon, &place);
            let day = days.iter().find(|day| day.date == start).unwrap();
            assert_eq!(day.kwh_sum, f64::from(quarters_of_day), "{zone}");
            assert_eq!(day.kw.mean, Some(4.0));
        }
    }

    #[test]
    fn what_is_not_priced_throughout_has_no_cost() {
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let quarters = [
            quarter(at(0), 1.0),
            quarter(at(15), 3.0),
            quarter(at(60), 2.0),
        ];
        let price = |_, quarter: Timestamp| match quarter.as_second() / 60 {
            0 => Some(0.5),
            15 => Some(-0.1),
            _ => None,
        };
        let hours = charging(&quarters, Resolution::Hour, &Place::UTC, &price);
        assert_eq!(hours[0].cost_sum, Some(0.2));
        let expected = Spread {
            min: Some(-0.1),
            max: Some(0.5),
            mean: Some(0.05),
        };
        assert_eq!(hours[0].price, expected);
        assert_eq!(
            (hours[1].cost_sum, hours[1].price),
            (None, Spread::default())
        );
        let day = charging(&quarters, Resolution::Day, &Place::UTC, &price);
        assert_eq!((day[0].kwh_sum, day[0].cost_sum), (6.0, None));
    }
}
