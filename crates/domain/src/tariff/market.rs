//! Prices of markets: for a stretch of time each, by the word of a source.

use jiff::Timestamp;

use crate::money::{Currency, Decimal};

/// A price of a market for a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketPrice {
    /// From when, inclusive.
    pub from: Timestamp,
    /// Until when, exclusive.
    pub to: Timestamp,
    /// The amount for a kWh.
    pub per_kwh: Decimal,
    /// Its currency.
    pub currency: Currency,
    /// Who says so.
    pub source: String,
    /// When that was said.
    pub received_at: Timestamp,
}

/// One price for each moment, from the prices of several sources: the first source that tells one
/// is believed, and the next ones fill what it leaves open. Those of one source do not overlap.
pub fn in_turn(sources: impl IntoIterator<Item = Vec<MarketPrice>>) -> Vec<MarketPrice> {
    let mut told: Vec<MarketPrice> = Vec::new();
    for mut source in sources {
        source.sort_by_key(|price| price.from);
        let mut open = Vec::new();
        for price in source {
            let mut from = price.from;
            // By their beginning, and so by their end: no two are at the same time.
            let first = told.partition_point(|held| held.to <= from);
            for held in &told[first..] {
                if held.from >= price.to {
                    break;
                }
                if held.from > from {
                    open.push(MarketPrice {
                        from,
                        to: held.from,
                        ..price.clone()
                    });
                }
                from = from.max(held.to);
            }
            if from < price.to {
                open.push(MarketPrice { from, ..price });
            }
        }
        told.extend(open);
        told.sort_by_key(|price| price.from);
    }
    told
}
