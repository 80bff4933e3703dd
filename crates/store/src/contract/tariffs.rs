//! Tariffs, where they hung, and prices of markets.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    id::{ClientId, LocationId},
    money::{Currency, Decimal},
    tariff::{Interval, LocationTariff, MarketPrice, Rate, Tariff, TariffId},
};

use super::{Story, minute};
use crate::{LocationPricing, MarketUpload, Store, StoreResult};

fn id(name: &str) -> TariffId {
    name.parse()
        .unwrap_or_else(|_| unreachable!("the cases name their tariffs properly"))
}

fn currency(code: &str) -> Option<Currency> {
    code.parse().ok()
}

fn tariff(name: &str, since: Timestamp, cost: i64) -> Tariff {
    let rate = |name: &str, cost| Rate {
        name: name.to_owned(),
        cost,
    };
    Tariff {
        id: id(name),
        since,
        rates: vec![
            rate("day", Decimal::new(cost, 9)),
            rate("night", Decimal::new(-1, 1)),
        ],
    }
}

fn hung(location: LocationId, since: Timestamp, name: &str) -> LocationTariff {
    let time = |text: &str| {
        text.parse()
            .unwrap_or_else(|_| unreachable!("it is a time of day"))
    };
    LocationTariff {
        location_id: location,
        since,
        tariff_id: id(name),
        intervals: vec![Interval {
            name: "day".to_owned(),
            from: time("06:00"),
            to: time("24:00"),
            weekdays: Some(vec![0, 6]),
        }],
    }
}

impl Story {
    /// Stores what energy costs at a Location: tariffs of which one was replaced, currencies, and two
    /// prices of the market `SE-3`.
    pub async fn keep_prices(&self, at: LocationId) -> StoreResult<()> {
        let (store, client) = (&self.store, self.client);
        for (since, cost) in [(1, 123_456_789), (2, 7)] {
            let tariff = tariff("t", minute(since), cost);
            store.save_tariff(client, tariff).await?;
        }
        assert!(store.hang_tariff(client, hung(at, minute(3), "t")).await?);
        store.set_client_currency(client, currency("NOK")).await?;
        let pricing = LocationPricing {
            currency: currency("SEK"),
            price_area: Some("SE-3".to_owned()),
        };
        assert!(store.set_location_pricing(client, at, pricing).await?);
        let prices = [(0, -1), (15, 2)].map(|(from, cost)| MarketPrice {
            from: minute(from),
            to: minute(from + 15),
            per_kwh: Decimal::new(cost, 3),
            currency: currency("SEK").unwrap_or_else(|| unreachable!("it is one")),
            source: "market".to_owned(),
            received_at: minute(from - 100),
        });
        let upload = MarketUpload {
            client_id: client,
            area: "SE-3".to_owned(),
            prices: prices.to_vec(),
        };
        store.save_market_prices(upload).await
    }
}

/// Rates that are replaced stay known from when until when they held.
pub async fn keep_all_their_versions(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let other = ClientId::new(minute(1), story.entropy());
    story.add_client(other, 1).await?;
    let (store, client) = (&story.store, story.client);
    let home = story.settle(1).await?;
    let first = tariff("t", minute(1), 123_456_789);
    store.save_tariff(client, first.clone()).await?;
    store
        .save_tariff(client, tariff("t", minute(2), 123_456_789))
        .await?;
    assert_eq!(
        store.find_tariff(client, id("t")).await?,
        Some(first.clone())
    );
    assert_eq!(store.find_tariff(other, id("t")).await?, None);
    assert_eq!(store.find_tariff(client, id("T")).await?, None);
    let second = tariff("t", minute(3), 7);
    store.save_tariff(client, second.clone()).await?;
    // A clock that went back does not undo the last word.
    let third = tariff("t", minute(2), 8);
    store.save_tariff(client, third.clone()).await?;
    let after = |at: Timestamp| at + SignedDuration::from_millis(1);
    let third = Tariff {
        since: after(second.since),
        ..third
    };
    assert_eq!(
        store.find_tariff(client, id("t")).await?,
        Some(third.clone())
    );

    store
        .save_tariff(client, tariff("unused", minute(3), 7))
        .await?;
    assert!(
        store
            .hang_tariff(client, hung(home.id, minute(2), "t"))
            .await?
    );
    let prices = store.location_prices(client, home.id).await?;
    let prices = prices.unwrap_or_else(|| unreachable!("it was made"));
    assert_eq!(prices.location, home);
    assert_eq!(prices.tariffs, [first, second, third]);
    assert_eq!(store.location_prices(other, home.id).await?, None);
    Ok(())
}

/// What hung at a Location stays known, with it.
pub async fn hang_at_a_location_with_history(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let other = ClientId::new(minute(1), story.entropy());
    story.add_client(other, 1).await?;
    let (store, client) = (&story.store, story.client);
    let home = story.settle(1).await?;
    store.save_tariff(client, tariff("a", minute(1), 1)).await?;
    store.save_tariff(client, tariff("b", minute(1), 2)).await?;
    let first = hung(home.id, minute(5), "a");
    assert!(
        !store.hang_tariff(other, first.clone()).await?,
        "another client's"
    );
    assert!(store.hang_tariff(client, first.clone()).await?);
    assert!(
        store
            .hang_tariff(client, hung(home.id, minute(6), "a"))
            .await?
    );
    let second = hung(home.id, minute(7), "b");
    assert!(store.hang_tariff(client, second.clone()).await?);
    let third = LocationTariff {
        intervals: Vec::new(),
        ..hung(home.id, minute(4), "b")
    };
    assert!(store.hang_tariff(client, third.clone()).await?);
    let third = LocationTariff {
        since: second.since + SignedDuration::from_millis(1),
        ..third
    };
    let known = async || {
        let prices = store.location_prices(client, home.id).await?;
        Ok::<_, crate::StoreError>(prices.unwrap_or_else(|| unreachable!("it was made")))
    };
    let prices = known().await?;
    assert_eq!(prices.hung, [first, second, third]);
    assert_eq!((prices.client_currency, prices.pricing), Default::default());

    store.set_client_currency(client, currency("EUR")).await?;
    store.set_client_currency(client, currency("NOK")).await?;
    let pricing = LocationPricing {
        currency: currency("SEK"),
        price_area: Some("SE-3".to_owned()),
    };
    let set = |client, pricing| store.set_location_pricing(client, home.id, pricing);
    assert!(!set(other, pricing.clone()).await?);
    assert!(set(client, pricing.clone()).await?);
    assert_eq!(store.client_currency(client).await?, currency("NOK"));
    assert_eq!(store.client_currency(other).await?, None);
    let prices = known().await?;
    assert_eq!(
        (prices.client_currency, prices.pricing),
        (currency("NOK"), pricing)
    );
    assert!(set(client, LocationPricing::default()).await?);
    store.set_client_currency(client, None).await?;
    let prices = known().await?;
    assert_eq!((prices.client_currency, prices.pricing), Default::default());

    store.delete_location(client, home.id).await?;
    assert!(
        !store
            .hang_tariff(client, hung(home.id, minute(9), "a"))
            .await?
    );
    assert_eq!(store.location_prices(client, home.id).await?, None);
    assert!(store.delete_client(client).await?);
    assert_eq!(store.find_tariff(client, id("a")).await?, None);
    Ok(())
}

/// Of one source no two prices are for the same time: the last word counts.
pub async fn of_markets_replace_each_other(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (store, client) = (&story.store, story.client);
    let price = |from, to, cost, source: &str| MarketPrice {
        from: minute(from),
        to: minute(to),
        per_kwh: Decimal::new(cost, 3),
        currency: currency("EUR").unwrap_or_else(|| unreachable!("it is one")),
        source: source.to_owned(),
        received_at: minute(from - 100),
    };
    let told = [
        price(0, 15, -1, "b"),
        price(15, 30, 2, "b"),
        price(30, 90, 3, "b"),
    ];
    let upload = |area: &str, prices: &[MarketPrice]| {
        store.save_market_prices(MarketUpload {
            client_id: client,
            area: area.to_owned(),
            prices: prices.to_vec(),
        })
    };
    let read = |area: &str, from, to| {
        store.market_prices(client, area.to_owned(), minute(from), minute(to))
    };
    upload("NO1", &told).await?;
    upload("NO1", &[]).await?;
    upload("NO2", &[price(0, 15, 9, "b")]).await?;
    let other = price(10, 20, 5, "a");
    upload("NO1", std::slice::from_ref(&other)).await?;
    let [first, second, third] = told;
    let all = [other.clone(), first.clone(), second, third.clone()];
    assert_eq!(read("NO1", 0, 90).await?, all);
    assert_eq!(read("NO1", 30, 31).await?, std::slice::from_ref(&third));
    assert_eq!(read("NO1", 90, 200).await?, []);
    let corrected = [price(15, 20, 7, "b"), price(20, 45, 8, "b")];
    upload("NO1", &corrected).await?;
    let [early, late] = corrected;
    let all = [other, first, early, late];
    assert_eq!(
        read("NO1", 0, 90).await?,
        all,
        "what began before went whole"
    );
    let stranger = ClientId::new(minute(1), story.entropy());
    let theirs = store.market_prices(stranger, "NO1".to_owned(), minute(0), minute(90));
    assert_eq!(theirs.await?, []);
    assert!(store.delete_client(client).await?);
    assert_eq!(read("NO1", 0, 90).await?, []);
    Ok(())
}
