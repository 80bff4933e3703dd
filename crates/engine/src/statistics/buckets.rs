//! Sums of quarter hours, with what they cost, as the contract tells them.
//!
//! The contract tells a price and a cost of everything, and not in which currency. So its sums are
//! of energy that has a price, in one currency: what else flowed is left out of all buckets alike,
//! whatever their length, and told beside them.

use std::collections::BTreeMap;

use livewatt_domain::{
    Timestamp,
    energy::{FlowSum, Place, Resolution},
    money::Currency,
    tariff::{Cost, Total},
    time,
};
use serde::Serialize;

use super::{costs, prices::PricedQuarter, rounded};

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

    /// The price of a kWh.
    pub(super) fn of_price(total: &Total) -> Self {
        Self {
            min: Some(costs::price(total.min)),
            max: Some(costs::price(total.max)),
            mean: Some(costs::price(total.mean)),
        }
    }
}

/// What buckets and sessions of the contract say of money.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContractCost {
    /// Price of a kWh.
    pub price: Spread,
    /// Cost.
    pub cost_sum: f64,
    /// Price had smart charging not shifted anything; null if it did not.
    pub non_smart_price: Spread,
    /// What smart charging saved; null if it shifted nothing.
    pub estimated_savings: Option<f64>,
}

impl From<Total> for ContractCost {
    fn from(total: Total) -> Self {
        Self {
            price: Spread::of_price(&total),
            cost_sum: costs::amount(total.amount),
            // Nothing is shifted yet.
            non_smart_price: Spread::default(),
            estimated_savings: None,
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
    /// What that cost.
    #[serde(flatten)]
    pub cost: ContractCost,
}

/// What was charged, with what the contract has no words for.
#[derive(Debug, Clone, PartialEq)]
pub struct Charged<T> {
    /// The rows of the contract.
    pub rows: Vec<T>,
    /// The currency of all of them; `None` if they have several, there are none, or nobody said.
    pub currency: Option<Currency>,
    /// Energy that is not in them: it has no price, or another currency.
    pub left_out_kwh: f64,
}

/// The buckets of what was charged: of the energy whose price is known, in the currency in which
/// most of it was priced.
pub(super) fn charging(
    quarters: &[PricedQuarter],
    resolution: Resolution,
    place: &Place,
) -> Charged<ChargingBucket> {
    let charged = || quarters.iter().filter(|quarter| quarter.is_paid());
    let mut by_currency: BTreeMap<Option<Currency>, f64> = BTreeMap::new();
    for quarter in charged() {
        if let Some(price) = &quarter.price {
            *by_currency.entry(price.currency).or_default() += quarter.quarter.sum.kwh;
        }
    }
    let most = by_currency
        .iter()
        .max_by(|(_, one), (_, other)| one.total_cmp(other));
    let currency = most.map(|(currency, _)| *currency);
    let mut buckets: BTreeMap<Timestamp, (FlowSum, Cost)> = BTreeMap::new();
    let mut left_out_kwh = 0.0;
    for PricedQuarter { quarter, price, .. } in charged() {
        let price = price
            .as_ref()
            .filter(|price| Some(price.currency) == currency);
        let Some(price) = price else {
            left_out_kwh += quarter.sum.kwh;
            continue;
        };
        let start = resolution.start(quarter.start, place);
        let (sum, cost) = buckets.entry(start).or_default();
        sum.add(&quarter.sum);
        cost.add(quarter.sum.kwh, Some(price));
    }
    let rows = buckets.into_iter().filter_map(|(date, (sum, cost))| {
        Some(ChargingBucket {
            date,
            kw: Spread::of_power(&sum),
            kwh_sum: rounded(sum.kwh),
            cost: cost.total()?.into(),
        })
    });
    Charged {
        rows: rows.collect(),
        currency: currency.flatten(),
        left_out_kwh: rounded(left_out_kwh),
    }
}
