//! Tariffs with all their versions, where they hung, and prices of markets.

use jiff::Timestamp;
use livewatt_domain::{
    id::{ClientId, LocationId},
    money::Currency,
    tariff::{LocationTariff, MarketPrice, Tariff, TariffId},
};
use rusqlite::{Connection, params};

use super::{
    locations,
    statement::{Columns, execute, json, query_all, query_one},
};
use crate::{
    error::StoreResult,
    places::{LONGEST_PRICE, LocationPrices, LocationPricing, MarketUpload},
};

/// Adds a version, unless the newest one says the same.
pub(super) fn save(connection: &Connection, client: ClientId, tariff: &Tariff) -> StoreResult<()> {
    let newest = find(connection, client, &tariff.id)?;
    if newest
        .as_ref()
        .is_some_and(|newest| newest.rates == tariff.rates)
    {
        return Ok(());
    }
    // After a clock went back, the last word is the last word all the same.
    let since = later(tariff.since, newest.map(|newest| newest.since));
    execute(
        connection,
        "insert into tariff_versions (client_id, tariff_id, since, rates) values (?, ?, ?, ?)",
        params![
            client.0.as_bytes(),
            tariff.id.as_str(),
            since,
            json(&tariff.rates)?
        ],
    )?;
    Ok(())
}

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: &TariffId,
) -> StoreResult<Option<Tariff>> {
    query_one(
        connection,
        "select tariff_id, since, rates from tariff_versions
         where client_id = ? and tariff_id = ? order by since desc limit 1",
        params![client.0.as_bytes(), id.as_str()],
        decode,
    )
}

/// Hangs a tariff at a Location; false if the client has no such Location.
pub(super) fn hang(
    connection: &Connection,
    client: ClientId,
    hung: &LocationTariff,
) -> StoreResult<bool> {
    if locations::find(connection, client, hung.location_id)?.is_none() {
        return Ok(false);
    }
    let newest = all_hung(connection, hung.location_id)?.pop();
    if newest.as_ref().is_some_and(|newest| {
        newest.tariff_id == hung.tariff_id && newest.intervals == hung.intervals
    }) {
        return Ok(true);
    }
    let since = later(hung.since, newest.map(|newest| newest.since));
    execute(
        connection,
        "insert into location_tariffs (location_id, since, tariff_id, intervals)
         values (?, ?, ?, ?)",
        params![
            hung.location_id.0.as_bytes(),
            since,
            hung.tariff_id.as_str(),
            json(&hung.intervals)?
        ],
    )?;
    Ok(true)
}

fn later(since: Timestamp, newest: Option<Timestamp>) -> i64 {
    let floor = newest.map_or(i64::MIN, |at| at.as_millisecond() + 1);
    since.as_millisecond().max(floor)
}

fn all_hung(connection: &Connection, location: LocationId) -> StoreResult<Vec<LocationTariff>> {
    query_all(
        connection,
        "select location_id, since, tariff_id, intervals from location_tariffs
         where location_id = ? order by since",
        [location.0.as_bytes()],
        decode_hung,
    )
}

pub(super) fn prices(
    connection: &Connection,
    client: ClientId,
    id: LocationId,
) -> StoreResult<Option<LocationPrices>> {
    let Some(location) = locations::find(connection, client, id)? else {
        return Ok(None);
    };
    let sql = "select currency, price_area from locations where id = ?";
    let pricing = query_one(connection, sql, [id.0.as_bytes()], |columns| {
        Ok(LocationPricing {
            currency: columns.maybe_word("currency")?,
            price_area: columns.take()?,
        })
    })?;
    let tariffs = query_all(
        connection,
        "select tariff_id, since, rates from tariff_versions
         where client_id = ?
             and tariff_id in (select tariff_id from location_tariffs where location_id = ?)
         order by since",
        [client.0.as_bytes(), id.0.as_bytes()],
        decode,
    )?;
    Ok(Some(LocationPrices {
        location,
        pricing: pricing.unwrap_or_default(),
        client_currency: client_currency(connection, client)?,
        hung: all_hung(connection, id)?,
        tariffs,
    }))
}

pub(super) fn client_currency(
    connection: &Connection,
    client: ClientId,
) -> StoreResult<Option<Currency>> {
    let sql = "select currency from client_pricing where client_id = ?";
    query_one(connection, sql, [client.0.as_bytes()], |columns| {
        columns.word("currency")
    })
}

pub(super) fn set_client_currency(
    connection: &Connection,
    client: ClientId,
    currency: Option<Currency>,
) -> StoreResult<()> {
    match currency {
        Some(currency) => execute(
            connection,
            "insert into client_pricing (client_id, currency) values (?, ?)
             on conflict (client_id) do update set currency = excluded.currency",
            params![client.0.as_bytes(), currency.as_str()],
        )?,
        None => execute(
            connection,
            "delete from client_pricing where client_id = ?",
            [client.0.as_bytes()],
        )?,
    };
    Ok(())
}

/// False if the client has no such Location.
pub(super) fn set_pricing(
    connection: &Connection,
    client: ClientId,
    id: LocationId,
    pricing: &LocationPricing,
) -> StoreResult<bool> {
    let changed = execute(
        connection,
        "update locations set currency = ?, price_area = ? where id = ? and client_id = ?",
        params![
            pricing.currency.as_ref().map(|currency| currency.as_str()),
            pricing.price_area,
            id.0.as_bytes(),
            client.0.as_bytes()
        ],
    )?;
    Ok(changed > 0)
}

/// Adds prices of a source; those it told before for the same time go.
pub(super) fn save_market(connection: &Connection, upload: &MarketUpload) -> StoreResult<()> {
    let client = upload.client_id.0.as_bytes();
    for price in &upload.prices {
        let (from, to) = (price.from.as_millisecond(), price.to.as_millisecond());
        execute(
            connection,
            "delete from market_prices where client_id = ? and area = ? and source = ?
                 and starts_at > ? and starts_at < ? and ends_at > ?",
            params![
                client,
                upload.area,
                price.source,
                from - LONGEST_PRICE,
                to,
                from
            ],
        )?;
        execute(
            connection,
            "insert into market_prices (client_id, area, source, starts_at, ends_at, per_kwh,
                 currency, received_at)
             values (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                client,
                upload.area,
                price.source,
                from,
                to,
                price.per_kwh.to_string(),
                price.currency.as_str(),
                price.received_at.as_millisecond()
            ],
        )?;
    }
    Ok(())
}

/// The prices of an area that touch a time, by source and beginning.
pub(super) fn market(
    connection: &Connection,
    client: ClientId,
    area: &str,
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<MarketPrice>> {
    query_all(
        connection,
        "select starts_at, ends_at, per_kwh, currency, source, received_at from market_prices
         where client_id = ? and area = ? and starts_at > ? and starts_at < ? and ends_at > ?
         order by source, starts_at",
        params![
            client.0.as_bytes(),
            area,
            from.as_millisecond() - LONGEST_PRICE,
            to.as_millisecond(),
            from.as_millisecond()
        ],
        |columns| {
            Ok(MarketPrice {
                from: columns.time()?,
                to: columns.time()?,
                per_kwh: columns.word("price")?,
                currency: columns.word("currency")?,
                source: columns.take()?,
                received_at: columns.time()?,
            })
        },
    )
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Tariff> {
    Ok(Tariff {
        id: columns.word("tariff ID")?,
        since: columns.time()?,
        rates: columns.json("rates")?,
    })
}

fn decode_hung(columns: &mut Columns<'_, '_>) -> StoreResult<LocationTariff> {
    Ok(LocationTariff {
        location_id: LocationId(columns.uuid()?),
        since: columns.time()?,
        tariff_id: columns.word("tariff ID")?,
        intervals: columns.json("intervals")?,
    })
}
