//! Home energy management systems, and what vendors recorded of them. Their rows are locked after
//! those of devices.

use std::collections::HashMap;

use jiff::Timestamp;
use livewatt_domain::{
    hem::{HemSystem, SiteHistory},
    id::{AccountId, ClientId, DeviceId, HemSystemId, UserId},
    production::Period,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    paging::{KeyType, Listing},
    statement::{Columns, composed, execute, json, query_all, query_one, signed, sql},
};
use crate::{
    error::StoreResult,
    hem::{HemChange, HemRecord},
    types::{Page, PageKey, PageRequest},
};

const COLUMNS: &str =
    "id, client_id, user_id, account_id, site, found_at, version, members, document";

pub(super) async fn of_account(
    connection: &mut PgConnection,
    id: AccountId,
) -> StoreResult<Vec<HemSystem>> {
    let text =
        format!("select {COLUMNS} from hem_systems where account_id = $1 order by found_at, id");
    query_all(connection, composed(text).bind(id.0), decode).await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: HemSystemId,
) -> StoreResult<Option<HemSystem>> {
    let text = format!("select {COLUMNS} from hem_systems where id = $1 and client_id = $2");
    query_one(connection, composed(text).bind(id.0).bind(client.0), decode).await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    client: ClientId,
    user: Option<&UserId>,
    page: &PageRequest,
) -> StoreResult<Page<HemSystem>> {
    let listing = Listing {
        table: "hem_systems",
        columns: COLUMNS,
        client,
        kind: None,
        user,
        at: "found_at",
        key: KeyType::Uuid,
    };
    let key = |system: &HemSystem| PageKey {
        at: system.found_at,
        id: system.id.to_string(),
    };
    listing.page(connection, page, decode, key).await
}

/// When devices were last seen.
pub(super) async fn last_seen(
    connection: &mut PgConnection,
    devices: &[DeviceId],
) -> StoreResult<Vec<(DeviceId, Timestamp)>> {
    let ids: Vec<Uuid> = devices.iter().map(|device| device.0).collect();
    let seen = sql("select device_id, last_seen from device_presence where device_id = any($1)");
    query_all(connection, seen.bind(ids), |columns| {
        Ok((DeviceId(columns.uuid()?), columns.time()?))
    })
    .await
}

/// Locks systems, in the order of their IDs, and tells their versions; those that are gone are left
/// out.
pub(super) async fn lock(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
) -> StoreResult<HashMap<HemSystemId, u64>> {
    let lock = sql("select id, version from hem_systems where id = any($1) order by id for update");
    let locked = query_all(connection, lock.bind(ids), |columns| {
        Ok((HemSystemId(columns.uuid()?), columns.number()?))
    });
    Ok(locked.await?.into_iter().collect())
}

/// Writes changes of systems that are locked, or new: each sort by one statement.
pub(super) async fn save(connection: &mut PgConnection, changes: &[&HemChange]) -> StoreResult<()> {
    let (mut inserted, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            HemChange::Insert(system) => inserted.push(system),
            HemChange::Update { system, .. } => updated.push(system),
            HemChange::Delete { id, .. } => deleted.push(id.0),
        }
    }
    if !deleted.is_empty() {
        let delete = sql("delete from hem_systems where id = any($1)");
        execute(connection, delete.bind(deleted)).await?;
    }
    if !updated.is_empty() {
        let update = sql(
            "update hem_systems set version = row.version, members = row.members,
                 document = row.document
             from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[])
                 as row (id, version, members, document)
             where hem_systems.id = row.id",
        )
        .bind(column(&updated, |system| system.id.0))
        .bind(column(&updated, |system| signed(system.version)))
        .bind(texts(&updated, |system| json(&system.members))?)
        .bind(texts(&updated, |system| json(&system.document))?);
        execute(connection, update).await?;
    }
    if !inserted.is_empty() {
        let insert = sql(
            "insert into hem_systems (id, client_id, user_id, account_id, site, found_at, version,
                 members, document)
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[],
                 $6::bigint[], $7::bigint[], $8::text[], $9::text[])",
        )
        .bind(column(&inserted, |system| system.id.0))
        .bind(column(&inserted, |system| system.client_id.0))
        .bind(column(&inserted, |system| system.user_id.to_string()))
        .bind(column(&inserted, |system| system.account_id.0))
        .bind(column(&inserted, |system| system.site.clone()))
        .bind(column(&inserted, |system| system.found_at.as_millisecond()))
        .bind(column(&inserted, |system| signed(system.version)))
        .bind(texts(&inserted, |system| json(&system.members))?)
        .bind(texts(&inserted, |system| json(&system.document))?);
        execute(connection, insert).await?;
    }
    Ok(())
}

/// Values of one column of many systems.
fn column<T>(systems: &[&HemSystem], value: impl Fn(&HemSystem) -> T) -> Vec<T> {
    systems.iter().map(|system| value(system)).collect()
}

fn texts(
    systems: &[&HemSystem],
    value: impl Fn(&HemSystem) -> StoreResult<String>,
) -> StoreResult<Vec<String>> {
    systems.iter().map(|system| value(system)).collect()
}

/// Writes what was told of systems; of those that are gone, nothing.
pub(super) async fn save_records(
    connection: &mut PgConnection,
    records: &[&HemRecord],
) -> StoreResult<()> {
    if records.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = records.iter().map(|record| record.system_id.0).collect();
    // Held until the commit: erasure waits, or has been.
    let hold = sql("select id from hem_systems where id = any($1) order by id for key share");
    let held = query_all(connection, hold.bind(ids), |columns| columns.uuid()).await?;
    let (mut ids, mut periods, mut zones) = (Vec::new(), Vec::new(), Vec::new());
    let (mut series, mut fetched_at, mut is_final) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        if held.binary_search(&record.system_id.0).is_err() {
            continue;
        }
        let told = &record.history;
        ids.push(record.system_id.0);
        periods.push(told.period.to_string());
        zones.push(told.zone.name().to_owned());
        series.push(json(&told.series)?);
        fetched_at.push(told.fetched_at.as_millisecond());
        is_final.push(told.is_final);
    }
    if ids.is_empty() {
        return Ok(());
    }
    let save = sql("insert into hem_histories
             (hem_system_id, period, time_zone, series, fetched_at, is_final)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[],
             $6::boolean[])
         on conflict (hem_system_id, period) do update set time_zone = excluded.time_zone,
             series = excluded.series, fetched_at = excluded.fetched_at,
             is_final = excluded.is_final");
    let save = save.bind(ids).bind(periods).bind(zones).bind(series);
    execute(connection, save.bind(fetched_at).bind(is_final)).await?;
    Ok(())
}

/// What was told of a system in a period.
pub(super) async fn record(
    connection: &mut PgConnection,
    id: HemSystemId,
    period: Period,
) -> StoreResult<Option<SiteHistory>> {
    let one = sql(
        "select time_zone, series, fetched_at, is_final from hem_histories
         where hem_system_id = $1 and period = $2",
    );
    query_one(
        connection,
        one.bind(id.0).bind(period.to_string()),
        |columns| {
            Ok(SiteHistory {
                period,
                zone: columns.word("time zone")?,
                series: columns.json("history")?,
                fetched_at: columns.time()?,
                is_final: columns.take()?,
            })
        },
    )
    .await
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<HemSystem> {
    Ok(HemSystem {
        id: HemSystemId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        user_id: columns.word("user ID")?,
        account_id: AccountId(columns.uuid()?),
        site: columns.take()?,
        found_at: columns.time()?,
        version: columns.number()?,
        members: columns.json("list of devices")?,
        document: columns.json("document")?,
    })
}
