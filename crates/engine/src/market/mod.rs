//! Prices of markets, from whoever tells them.
//!
//! A [`MarketSource`] is asked for the prices of an area; what customers upload is one, and files
//! that somebody keeps up to date ([`PriceFiles`]) are another. For each moment the first source
//! that has a price is believed, in the order of [`MarketOptions::order`]; one that was told too
//! long before it holds counts for nothing. Every price names its source, and where nobody tells
//! one there is none.

mod csv;
mod entsoe;
mod files;

use std::{collections::BTreeMap, fmt::Debug, ops::Range, sync::Arc};

use async_trait::async_trait;
use livewatt_domain::{
    SignedDuration, Timestamp,
    id::ClientId,
    money::{Currency, Decimal},
    tariff::{MarketPrice, TariffId, in_turn},
};
use livewatt_store::{LONGEST_PRICE, MarketUpload};

pub use self::files::PriceFiles;
use crate::{Engine, EngineError, EngineResult, Issue, error::chain, tariffs::check_range};

/// Prices taken in one upload.
const MOST_PRICES: usize = 10_000;
/// The source of prices that are uploaded without one.
pub const UPLOAD: &str = "upload";

/// Whoever tells prices of markets.
#[async_trait]
pub trait MarketSource: Send + Sync + Debug {
    /// The prices of an area that touch a range of time; those of one source do not overlap.
    ///
    /// # Errors
    /// If it cannot be asked: then others are.
    async fn prices(
        &self,
        client: ClientId,
        area: &str,
        range: Range<Timestamp>,
    ) -> EngineResult<Vec<MarketPrice>>;
}

/// How prices of markets are chosen.
#[derive(Debug, Clone)]
pub struct MarketOptions {
    /// Names of sources in the order in which they are believed; others come after, by name.
    pub order: Vec<String>,
    /// A price that was told longer before it begins is not believed.
    pub max_age: SignedDuration,
    /// Who is asked beside what customers upload.
    pub sources: Vec<Arc<dyn MarketSource>>,
}

impl Default for MarketOptions {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            max_age: SignedDuration::from_hours(7 * 24),
            sources: Vec::new(),
        }
    }
}

/// A price as it comes in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quote {
    pub from: Timestamp,
    pub to: Timestamp,
    /// For a kWh.
    pub per_kwh: Decimal,
    pub currency: Currency,
}

/// What carries prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceFormat {
    /// Lines of `from,to,price,currency`, with these names in the first one.
    Csv,
    /// A publication document as ENTSO-E's transparency platform gives it out.
    PublicationDocument,
}

impl PriceFormat {
    fn read(self, text: &str) -> Result<Vec<Quote>, Issue> {
        let quotes = match self {
            Self::Csv => csv::read(text),
            Self::PublicationDocument => entsoe::read(text),
        }?;
        check(quotes)
    }
}

/// Prices in the order of time, if they make sense together.
fn check(mut quotes: Vec<Quote>) -> Result<Vec<Quote>, Issue> {
    let issue = |message: String| Err(Issue::new("", message));
    if quotes.len() > MOST_PRICES {
        return issue(format!("must have at most {MOST_PRICES} prices"));
    }
    quotes.sort_by_key(|quote| quote.from);
    for quote in &quotes {
        let length = quote.to.duration_since(quote.from).as_millis();
        if length <= 0 || length > LONGEST_PRICE.into() {
            return issue(format!(
                "has a price from {} that ends before it begins, or lasts longer than a day",
                quote.from
            ));
        }
    }
    let overlap = quotes.windows(2).find(|pair| pair[1].from < pair[0].to);
    match overlap {
        Some(pair) => issue(format!("has two prices for {}", pair[1].from)),
        None => Ok(quotes),
    }
}

impl Engine {
    /// Takes prices of an area of a market; what the same source told before for the same time goes.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], or if the database fails.
    pub async fn upload_market_prices(
        &self,
        client: ClientId,
        area: &str,
        source: &str,
        format: PriceFormat,
        text: &str,
    ) -> EngineResult<()> {
        let mut issues = Vec::new();
        for (path, name) in [("area", area), ("source", source)] {
            // The rule of all names that customers give in addresses.
            if let Err(error) = name.parse::<TariffId>() {
                issues.push(Issue::new(path, error.to_string()));
            }
        }
        let quotes = match format.read(text) {
            Ok(quotes) => quotes,
            Err(issue) => {
                issues.push(issue);
                Vec::new()
            }
        };
        if !issues.is_empty() {
            return Err(EngineError::Invalid(issues));
        }
        let received_at = self.now();
        let upload = MarketUpload {
            client_id: client,
            area: area.to_owned(),
            prices: told_by(source, received_at, quotes),
        };
        self.store.save_market_prices(upload).await?;
        self.prices_changed();
        Ok(())
    }

    /// The prices of an area in a range of time, to be looked at.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if the range is empty or too long, or if the database fails.
    pub async fn market_list(
        &self,
        client: ClientId,
        area: &str,
        range: Range<Timestamp>,
    ) -> EngineResult<Vec<MarketPrice>> {
        check_range(&range)?;
        if area.parse::<TariffId>().is_err() {
            return Ok(Vec::new());
        }
        self.market(client, area, range).await
    }

    /// The prices of an area in a range of time: each moment's from the first source that has one.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn market(
        &self,
        client: ClientId,
        area: &str,
        range: Range<Timestamp>,
    ) -> EngineResult<Vec<MarketPrice>> {
        let options = &self.options.market;
        let uploaded = self
            .store
            .market_prices(client, area.to_owned(), range.start, range.end);
        let mut told = uploaded.await?;
        for source in &options.sources {
            match source.prices(client, area, range.clone()).await {
                Ok(prices) => told.extend(prices),
                Err(error) => {
                    tracing::warn!(area, error = %chain(&error), "a source of market prices does not answer; others are asked");
                }
            }
        }
        Ok(chosen(told, options))
    }
}

fn told_by(source: &str, received_at: Timestamp, quotes: Vec<Quote>) -> Vec<MarketPrice> {
    let price = |quote: Quote| MarketPrice {
        from: quote.from,
        to: quote.to,
        per_kwh: quote.per_kwh,
        currency: quote.currency,
        source: source.to_owned(),
        received_at,
    };
    quotes.into_iter().map(price).collect()
}

fn chosen(told: Vec<MarketPrice>, options: &MarketOptions) -> Vec<MarketPrice> {
    let mut by_source: BTreeMap<(usize, String), Vec<MarketPrice>> = BTreeMap::new();
    for price in told {
        if price.from.duration_since(price.received_at) > options.max_age {
            continue;
        }
        let mut order = options.order.iter();
        let rank = order.position(|name| *name == price.source);
        let key = (rank.unwrap_or(usize::MAX), price.source.clone());
        by_source.entry(key).or_default().push(price);
    }
    in_turn(by_source.into_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_believed_in_their_order_while_what_they_told_is_young() {
        let at = |hour: i64| Timestamp::constant(hour * 3_600, 0);
        let price = |hour, source: &str, told_at| MarketPrice {
            from: at(hour),
            to: at(hour + 1),
            per_kwh: Decimal::from(hour),
            currency: "EUR".parse().unwrap(),
            source: source.to_owned(),
            received_at: at(told_at),
        };
        let options = MarketOptions {
            order: vec!["spot".to_owned()],
            max_age: SignedDuration::from_hours(48),
            sources: Vec::new(),
        };
        let told = vec![
            price(100, "forecast", 60),
            price(100, "another", 60),
            price(101, "forecast", 60),
            price(101, "spot", 60),
            price(102, "forecast", 60),
            price(102, "spot", 53),
            price(103, "forecast", 54),
            price(104, "spot", 200),
        ];
        let names: Vec<(i64, String)> = chosen(told, &options)
            .into_iter()
            .map(|price| (price.from.as_second() / 3_600, price.source))
            .collect();
        let expected = [
            (100, "another"),
            (101, "spot"),
            (102, "forecast"),
            (104, "spot"),
        ];
        assert_eq!(names, expected.map(|(hour, name)| (hour, name.to_owned())));
    }

    #[test]
    fn prices_that_contradict_each_other_are_refused() {
        let refused = |text: &str| PriceFormat::Csv.read(text).unwrap_err().message;
        let head = "from,to,price,currency\n";
        let line = |from: &str, to: &str| format!("2026-01-01T{from}Z,2026-01-01T{to}Z,1,EUR\n");
        let two = format!("{head}{}{}", line("01:00", "02:00"), line("00:00", "01:01"));
        assert!(
            refused(&two).starts_with("has two prices"),
            "{}",
            refused(&two)
        );
        let backwards = format!("{head}{}", line("02:00", "02:00"));
        assert!(
            refused(&backwards).contains("ends before"),
            "{}",
            refused(&backwards)
        );
        let sorted = format!("{head}{}{}", line("01:00", "02:00"), line("00:00", "01:00"));
        let quotes = PriceFormat::Csv.read(&sorted).unwrap();
        assert!(quotes.is_sorted_by_key(|quote| quote.from));
    }
}
