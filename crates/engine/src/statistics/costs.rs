//! Costs as they are told: decimal numbers as text, with who says so, and null where nobody does.

use livewatt_domain::{
    money::{Currency, Decimal},
    tariff::{Cost, CostShare, PriceOrigin},
};
use serde::Serialize;

/// Digits after the point of what something cost.
const AMOUNT_DIGITS: u32 = 6;
/// Digits after the point of a price: as many as a tariff's can have.
const PRICE_DIGITS: u32 = 9;

/// What some energy cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnergyCost {
    /// What all of it cost, as a decimal number; null if any of it has no price, or another
    /// currency than the rest.
    pub amount: Option<String>,
    /// ISO 4217 code; null if there is no amount, or nobody said its currency.
    pub currency: Option<Currency>,
    /// Price of a kWh; null likewise.
    pub price: PriceSpread,
    /// Energy without a price, kWh.
    pub unpriced_kwh: f64,
    /// What each source priced.
    pub sources: Vec<CostSource>,
}

/// Least, greatest and mean price of a kWh, as decimal numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PriceSpread {
    /// The least.
    pub min: Option<String>,
    /// The greatest.
    pub max: Option<String>,
    /// The mean by energy.
    pub mean: Option<String>,
}

/// What one source priced of some energy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostSource {
    /// Who says what it cost.
    pub source: PriceOrigin,
    /// ISO 4217 code; null if nobody said.
    pub currency: Option<Currency>,
    /// Energy, kWh.
    pub kwh: f64,
    /// What it cost, as a decimal number.
    pub amount: String,
}

impl From<&Cost> for EnergyCost {
    fn from(cost: &Cost) -> Self {
        let total = cost.total();
        let price = total.map(|total| PriceSpread {
            min: Some(text(total.min, PRICE_DIGITS)),
            max: Some(text(total.max, PRICE_DIGITS)),
            mean: Some(text(total.mean, PRICE_DIGITS)),
        });
        Self {
            amount: total.map(|total| text(total.amount, AMOUNT_DIGITS)),
            currency: total.and_then(|total| total.currency),
            price: price.unwrap_or_default(),
            unpriced_kwh: amount(cost.unpriced_kwh()),
            sources: cost.shares().map(CostSource::from).collect(),
        }
    }
}

impl From<CostShare> for CostSource {
    fn from(share: CostShare) -> Self {
        Self {
            source: share.source.into(),
            currency: share.currency,
            kwh: amount(share.kwh),
            amount: text(share.amount, AMOUNT_DIGITS),
        }
    }
}

fn text(number: Decimal, digits: u32) -> String {
    number.round_dp(digits).normalize().to_string()
}

/// An amount of money or energy as a number of JSON.
pub(super) fn amount(number: Decimal) -> f64 {
    binary(number.round_dp(AMOUNT_DIGITS))
}

/// A price as a number of JSON.
pub(super) fn price(number: Decimal) -> f64 {
    binary(number.round_dp(PRICE_DIGITS))
}

/// The contract tells money by such numbers: only here, at the very end, it becomes one.
fn binary(number: Decimal) -> f64 {
    f64::try_from(number).expect("there is a number near every decimal one")
}
