//! Tariffs with all their versions, where they hung, and prices of markets.

use jiff::Timestamp;
use livewatt_domain::{
    id::{ClientId, LocationId},
    money::Currency,
    tariff::{LocationTariff, MarketPrice, Tariff, TariffId},
};
use sqlx::PgConnection;

use super::{
    locations,
    statement::{Columns, execute, json, query_all, query_one, sql},
};
use crate::{
    error::StoreResult,
    places::{LONGEST_PRICE, LocationPrices, LocationPricing, MarketUpload},
};

/// Adds a version, unless the newest one says the same.
pub(super) async fn save(
    connection: &mut PgConnection,
    client: ClientId,
    tariff: &Tariff,
) -> StoreResult<()> {
    // One at a time, so that none overtakes another between its look and its word.
    let lock = sql("select 1 from clients where id = $1 for no key update");
    execute(connection, lock.bind(client.0)).await?;
    let newest = find(connection, client, &tariff.id).await?;
    if newest
        .as_ref()
        .is_some_and(|newest| newest.rates == tariff.rates)
    {
        return Ok(());
    }
    // After a clock went back, the last word is the last word all the same.
    let since = later(tariff.since, newest.map(|newest| newest.since));
    let insert = sql(
        "insert into tariff_versions (client_id, tariff_id, since, rates)
         values ($1, $2, $3, $4)",
    )
    .bind(client.0)
    .bind(tariff.id.as_str())
    .bind(since)
    .bind(json(&tariff.rates)?);
    execute(connection, insert).await?;
    Ok(())
}

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: &TariffId,
) -> StoreResult<Option<Tariff>> {
    let newest = sql("select tariff_id, since, rates from tariff_versions
         where client_id = $1 and tariff_id = $2 order by since desc limit 1")
    .bind(client.0)
    .bind(id.as_str());
    query_one(connection, newest, decode).await
}

/// Hangs a tariff at a Location; false if the client has no such Location.
pub(super) async fn hang(
    connection: &mut PgConnection,
    client: ClientId,
    hung: &LocationTariff,
) -> StoreResult<bool> {
    let lock = sql("select 1 from locations where id = $1 and client_id = $2 for no key update")
        .bind(hung.location_id.0)
        .bind(client.0);
    if query_one(connection, lock, |_| Ok(())).await?.is_none() {
        return Ok(false);
    }
    let newest = all_hung(connection, hung.location_id).await?.pop();
    if newest.as_ref().is_some_and(|newest| {
        newest.tariff_id == hung.tariff_id && newest.intervals == hung.intervals
    }) {
        return Ok(true);
    }
    let since = later(hung.since, newest.map(|newest| newest.since));
    let insert = sql(
        "insert into location_tariffs (location_id, since, tariff_id, intervals)
         values ($1, $2, $3, $4)",
    )
    .bind(hung.location_id.0)
    .bind(since)
    .bind(hung.tariff_id.as_str())
    .bind(json(&hung.intervals)?);
    execute(connection, insert).await?;
    Ok(true)
}

fn later(since: Timestamp, newest: Option<Timestamp>) -> i64 {
    let floor = newest.map_or(i64::MIN, |at| at.as_millisecond() + 1);
    since.as_millisecond().max(floor)
}

async fn all_hung(
    connection: &mut PgConnection,
    location: LocationId,
) -> StoreResult<Vec<LocationTariff>> {
    let all = sql(
        "select location_id, since, tariff_id, intervals from location_tariffs
         where location_id = $1 order by since",
    );
    query_all(connection, all.bind(location.0), decode_hung).await
}

pub(super) async fn prices(
    connection: &mut PgConnection,
    client: ClientId,
    id: LocationId,
) -> StoreResult<Option<LocationPrices>> {
    let Some(location) = locations::find(connection, client, id).await? else {
        return Ok(None);
    };
    let pricing = sql("select currency, price_area from locations where id = $1");
    let pricing = query_one(connection, pricing.bind(id.0), |columns| {
        Ok(LocationPricing {
            currency: columns.maybe_word("currency")?,
            price_area: columns.take()?,
        })
    })
    .await?;
    let tariffs = sql("select tariff_id, since, rates from tariff_versions
         where client_id = $1
             and tariff_id in (select tariff_id from location_tariffs where location_id = $2)
         order by since")
    .bind(client.0)
    .bind(id.0);
    let tariffs = query_all(connection, tariffs, decode).await?;
    Ok(Some(LocationPrices {
        location,
        pricing: pricing.unwrap_or_default(),
        client_currency: client_currency(connection, client).await?,
        hung: all_hung(connection, id).await?,
        tariffs,
    }))
}

pub(super) async fn client_currency(
    connection: &mut PgConnection,
    client: ClientId,
) -> StoreResult<Option<Currency>> {
    let one = sql("select currency from client_pricing where client_id = $1");
    query_one(connection, one.bind(client.0), |columns| {
        columns.word("currency")
    })
    .await
}

pub(super) async fn set_client_currency(
    connection: &mut PgConnection,
    client: ClientId,
    currency: Option<Currency>,
) -> StoreResult<()> {
    let change = match currency {
        Some(currency) => sql(
            "insert into client_pricing (client_id, currency) values ($1, $2)
             on conflict (client_id) do update set currency = excluded.currency",
        )
        .bind(client.0)
        .bind(currency.to_string()),
        None => sql("delete from client_pricing where client_id = $1").bind(client.0),
    };
    execute(connection, change).await?;
    Ok(())
}

/// False if the client has no such Location.
pub(super) async fn set_pricing(
    connection: &mut PgConnection,
    client: ClientId,
    id: LocationId,
    pricing: &LocationPricing,
) -> StoreResult<bool> {
    let change = sql("update locations set currency = $1, price_area = $2
         where id = $3 and client_id = $4")
    .bind(pricing.currency.map(|currency| currency.to_string()))
    .bind(pricing.price_area.clone())
    .bind(id.0)
    .bind(client.0);
    Ok(execute(connection, change).await? > 0)
}

/// Adds prices of a source; those it told before for the same time go.
pub(super) async fn save_market(
    connection: &mut PgConnection,
    upload: &MarketUpload,
) -> StoreResult<()> {
    // One upload at a time, so that no two of them leave prices for the same time.
    let lock = sql("select 1 from clients where id = $1 for no key update");
    execute(connection, lock.bind(upload.client_id.0)).await?;
    let column =
        |value: fn(&MarketPrice) -> i64| -> Vec<i64> { upload.prices.iter().map(value).collect() };
    let text = |value: fn(&MarketPrice) -> String| -> Vec<String> {
        upload.prices.iter().map(value).collect()
    };
    let delete = sql("delete from market_prices held
         using unnest($3::text[], $4::bigint[], $5::bigint[]) told (source, starts_at, ends_at)
         where held.client_id = $1 and held.area = $2 and held.source = told.source
             and held.starts_at > told.starts_at - $6 and held.starts_at < told.ends_at
             and held.ends_at > told.starts_at")
    .bind(upload.client_id.0)
    .bind(upload.area.clone())
    .bind(text(|price| price.source.clone()))
    .bind(column(|price| price.from.as_millisecond()))
    .bind(column(|price| price.to.as_millisecond()))
    .bind(LONGEST_PRICE);
    execute(connection, delete).await?;
    let insert = sql(
        "insert into market_prices (client_id, area, received_at, source, starts_at, ends_at,
             per_kwh, currency)
         select $1, $2, * from unnest($3::bigint[], $4::text[], $5::bigint[], $6::bigint[],
             $7::text[], $8::text[])",
    )
    .bind(upload.client_id.0)
    .bind(upload.area.clone())
    .bind(column(|price| price.received_at.as_millisecond()))
    .bind(text(|price| price.source.clone()))
    .bind(column(|price| price.from.as_millisecond()))
    .bind(column(|price| price.to.as_millisecond()))
    .bind(text(|price| price.per_kwh.to_string()))
    .bind(text(|price| price.currency.to_string()));
    execute(connection, insert).await?;
    Ok(())
}

/// The prices of an area that touch a time, by source and beginning.
pub(super) async fn market(
    connection: &mut PgConnection,
    client: ClientId,
    area: &str,
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<MarketPrice>> {
    let all = sql(
        "select starts_at, ends_at, per_kwh, currency, source, received_at from market_prices
         where client_id = $1 and area = $2 and starts_at > $3 and starts_at < $4
             and ends_at > $5
         order by source, starts_at",
    )
    .bind(client.0)
    .bind(area.to_owned())
    .bind(from.as_millisecond() - LONGEST_PRICE)
    .bind(to.as_millisecond())
    .bind(from.as_millisecond());
    query_all(connection, all, |columns| {
        Ok(MarketPrice {
            from: columns.time()?,
            to: columns.time()?,
            per_kwh: columns.word("price")?,
            currency: columns.word("currency")?,
            source: columns.take()?,
            received_at: columns.time()?,
        })
    })
    .await
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<Tariff> {
    Ok(Tariff {
        id: columns.word("tariff ID")?,
        since: columns.time()?,
        rates: columns.json("rates")?,
    })
}

fn decode_hung(columns: &mut Columns<'_>) -> StoreResult<LocationTariff> {
    Ok(LocationTariff {
        location_id: LocationId(columns.uuid()?),
        since: columns.time()?,
        tariff_id: columns.word("tariff ID")?,
        intervals: columns.json("intervals")?,
    })
}
