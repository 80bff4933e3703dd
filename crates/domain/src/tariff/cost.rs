//! What energy cost: a sum over quarter hours, each at its own price.
//!
//! Rules:
//! - Money is decimal, and energy counts to the millionth of a watt hour.
//! - What has no price has no cost, which is not zero; and neither has a sum of which a part has
//!   none.
//! - What was priced in two currencies has no sum.

use std::collections::BTreeMap;

use super::{Price, PriceSource};
use crate::money::{Currency, Decimal};

/// Digits of a kWh that count.
const KWH_DIGITS: u32 = 9;

/// What claims to be more in a quarter hour is no energy, and has no price: as much as no power
/// station gives, and as little that no sum overflows.
const MOST_KWH: f64 = 1e9;

/// What some energy cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    by_source: BTreeMap<(Option<Currency>, PriceSource), Part>,
    unpriced_kwh: Decimal,
    /// Least and greatest price of a kWh.
    extremes: Option<(Decimal, Decimal)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    kwh: Decimal,
    amount: Decimal,
}

/// What of it one source priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostShare {
    /// Who says what it cost.
    pub source: PriceSource,
    /// The currency; `None` if nobody said.
    pub currency: Option<Currency>,
    /// Energy, kWh.
    pub kwh: Decimal,
    /// What it cost.
    pub amount: Decimal,
}

/// The cost of energy that is priced throughout, in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The currency; `None` if nobody said.
    pub currency: Option<Currency>,
    /// What it cost.
    pub amount: Decimal,
    /// The least price of a kWh.
    pub min: Decimal,
    /// The greatest price of a kWh.
    pub max: Decimal,
    /// The mean price of a kWh.
    pub mean: Decimal,
}

impl Cost {
    /// Adds the energy of a quarter hour, kWh, at its price if it has one.
    pub fn add(&mut self, kwh: f64, price: Option<&Price>) {
        let is_real = (0.0..=MOST_KWH).contains(&kwh);
        let kwh = if is_real { kwh } else { MOST_KWH };
        let kwh = Decimal::try_from(kwh).unwrap_or_default();
        let kwh = kwh.round_dp(KWH_DIGITS);
        let Some(price) = price.filter(|_| is_real) else {
            self.unpriced_kwh += kwh;
            return;
        };
        let by = (price.currency, price.source.clone());
        let part = self.by_source.entry(by).or_default();
        part.kwh += kwh;
        part.amount += kwh * price.per_kwh;
        let (least, greatest) = self.extremes.unwrap_or((price.per_kwh, price.per_kwh));
        self.extremes = Some((least.min(price.per_kwh), greatest.max(price.per_kwh)));
    }

    /// Energy without a price, kWh.
    pub const fn unpriced_kwh(&self) -> Decimal {
        self.unpriced_kwh
    }

    /// What each source priced.
    pub fn shares(&self) -> impl Iterator<Item = CostShare> + '_ {
        let shares = self.by_source.iter();
        shares.map(|((currency, source), part)| CostShare {
            source: source.clone(),
            currency: *currency,
            kwh: part.kwh,
            amount: part.amount,
        })
    }

    /// What all of it cost; `None` if any of it has no price or another currency, or if there is
    /// none.
    pub fn total(&self) -> Option<Total> {
        let (min, max) = self.extremes?;
        let mut currencies = self.by_source.keys().map(|(currency, _)| *currency);
        let currency = currencies.next()?;
        let kwh: Decimal = self.by_source.values().map(|part| part.kwh).sum();
        let is_whole = self.unpriced_kwh.is_zero() && currencies.all(|other| other == currency);
        if !is_whole || kwh.is_zero() {
            return None;
        }
        let amount: Decimal = self.by_source.values().map(|part| part.amount).sum();
        Some(Total {
            currency,
            amount,
            min,
            max,
            mean: amount / kwh,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str, currency: Option<&str>, source: &str) -> Price {
        Price {
            per_kwh: text.parse().unwrap(),
            currency: currency.map(|code| code.parse().unwrap()),
            source: PriceSource::Market(source.to_owned()),
        }
    }

    fn told(decimal: Decimal) -> String {
        decimal.normalize().to_string()
    }

    #[test]
    fn tenths_add_up_to_tenths() {
        let mut cost = Cost::default();
        for _ in 0..10 {
            cost.add(0.1, Some(&price("0.1", Some("EUR"), "a")));
        }
        cost.add(3.0, Some(&price("-0.02", Some("EUR"), "b")));
        let total = cost.total().unwrap();
        assert_eq!(total.currency, "EUR".parse().ok());
        assert_eq!(told(total.amount), "0.04");
        assert_eq!(told(total.mean), "0.01");
        assert_eq!(
            (told(total.min), told(total.max)),
            ("-0.02".into(), "0.1".into())
        );
        let shares: Vec<_> = cost
            .shares()
            .map(|share| (told(share.kwh), told(share.amount)))
            .collect();
        assert_eq!(
            shares,
            [("1".into(), "0.1".into()), ("3".into(), "-0.06".into())]
        );
    }

    #[test]
    fn what_is_not_priced_throughout_in_one_currency_has_no_total() {
        let euro = price("0.3", Some("EUR"), "a");
        assert_eq!(Cost::default().total(), None);
        let mut cost = Cost::default();
        cost.add(0.0, Some(&euro));
        assert_eq!(cost.total(), None, "nothing flowed");
        cost.add(1.0, Some(&euro));
        assert!(cost.total().is_some());
        for other in [None, Some("SEK")] {
            let mut cost = cost.clone();
            cost.add(1.0, Some(&price("0.3", other, "a")));
            assert_eq!(cost.total(), None, "{other:?}");
            assert_eq!(cost.shares().count(), 2);
        }
        cost.add(0.25, None);
        assert_eq!(
            (cost.total(), told(cost.unpriced_kwh())),
            (None, "0.25".into())
        );
    }

    #[test]
    fn no_number_is_too_much() {
        let most = price("999999999.999999999", None, "a");
        let mut cost = Cost::default();
        for _ in 0..100_000 {
            cost.add(1e9, Some(&most));
        }
        assert!(cost.total().is_some());
        for absurd in [f64::NAN, f64::INFINITY, 1e300, -1.0] {
            let mut cost = cost.clone();
            cost.add(absurd, Some(&most));
            assert_eq!((cost.total(), cost.shares().count()), (None, 1), "{absurd}");
        }
    }
}
