//! Sums of ages by the hour, and breaches.

use jiff::Timestamp;
use livewatt_domain::{
    age::{AgeTally, Breach},
    id::{ClientId, DeviceId, PARTITIONS},
    kind::DeviceKind,
    vendor::VendorName,
};
use rusqlite::{Connection, params};

use super::statement::{Columns, execute, json, query_all, query_one, unreadable};
use crate::{
    error::StoreResult,
    types::{AgeHour, AgeQuery, AgeState, BreachCount, BreachList, BreachRecord},
    values::block,
};

/// Adds sums to those stored. Those of a client that is gone are passed over.
pub(super) fn add_hours(connection: &Connection, rows: &[AgeHour]) -> StoreResult<()> {
    for row in rows {
        let key = params![
            row.client_id.0.as_bytes(),
            row.hour.as_millisecond(),
            row.vendor.as_str(),
            row.kind.name(),
            row.block
        ];
        let stored = query_one(
            connection,
            "select tally from age_hours
             where client_id = ? and hour = ? and vendor = ? and kind = ? and block = ?",
            key,
            |columns| columns.json::<AgeTally>("tally"),
        )?;
        let mut tally = row.tally.clone();
        if let Some(stored) = stored {
            tally.merge(&stored);
        }
        execute(
            connection,
            "insert into age_hours (client_id, hour, vendor, kind, block, tally)
             select ?1, ?2, ?3, ?4, ?5, ?6 where exists (select 1 from clients where id = ?1)
             on conflict (client_id, hour, vendor, kind, block) do update
             set tally = excluded.tally",
            params![
                row.client_id.0.as_bytes(),
                row.hour.as_millisecond(),
                row.vendor.as_str(),
                row.kind.name(),
                row.block,
                json(&tally)?
            ],
        )?;
    }
    Ok(())
}

/// Writes breaches that began or ended. The user is that of the device; a breach that is new and
/// has no device any more is passed over.
pub(super) fn save_breaches(connection: &Connection, breaches: &[Breach]) -> StoreResult<()> {
    for breach in breaches {
        let ended = breach.ended.map(Timestamp::as_millisecond);
        let updated = execute(
            connection,
            "update age_breaches set ended = ? where device_id = ? and block = ? and began = ?",
            params![
                ended,
                breach.device.0.as_bytes(),
                breach.block,
                breach.began.as_millisecond()
            ],
        )?;
        if updated > 0 {
            continue;
        }
        execute(
            connection,
            "insert into age_breaches (device_id, block, began, client_id, user_id, vendor, kind,
                 confirmed_at, ended, target_seconds, interval_seconds, reason, outcome)
             select id, ?2, ?3, client_id, user_id, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
             from devices where id = ?1",
            params![
                breach.device.0.as_bytes(),
                breach.block,
                breach.began.as_millisecond(),
                breach.vendor.as_str(),
                breach.kind.name(),
                breach.confirmed_at.as_millisecond(),
                ended,
                breach.target_seconds,
                breach.interval_seconds,
                breach.reason.name(),
                breach.outcome
            ],
        )?;
    }
    Ok(())
}

pub(super) fn save_counted_until(connection: &Connection, until: Timestamp) -> StoreResult<()> {
    let sql = "update age_clock set counted_until = ?";
    execute(connection, sql, [until.as_millisecond()])?;
    Ok(())
}

/// Until when all time is counted, and the breaches that are open.
pub(super) fn state(connection: &Connection) -> StoreResult<AgeState> {
    let sql = "select counted_until from age_clock";
    let until = query_one(connection, sql, [], |columns| columns.maybe_time())?;
    let sql = format!("select {COLUMNS} from age_breaches where ended is null");
    let open = query_all(connection, &sql, [], decode)?;
    let open = open.into_iter().flatten().map(|record| record.breach);
    Ok(AgeState {
        counted_until: vec![until.flatten(); usize::from(PARTITIONS)],
        open: open.collect(),
    })
}

pub(super) fn hours(connection: &Connection, query: &AgeQuery) -> StoreResult<Vec<AgeHour>> {
    let rows = query_all(
        connection,
        "select client_id, hour, vendor, kind, block, tally from age_hours
         where (?1 is null or client_id = ?1) and hour >= ?2 and hour < ?3
           and (?4 is null or kind = ?4) and (?5 is null or vendor = ?5)
         order by hour",
        params![
            query.client_id.map(|id| id.0.into_bytes()),
            query.from.as_millisecond(),
            query.to.as_millisecond(),
            query.kind.map(DeviceKind::name),
            query.vendor.as_ref().map(VendorName::as_str)
        ],
        |columns| {
            let client_id = ClientId(columns.uuid()?);
            let hour = columns.time()?;
            let vendor = columns.word("vendor")?;
            let kind = columns.word("kind of device")?;
            let block = block(kind, &columns.take::<String>()?);
            let tally = columns.json("tally")?;
            Ok(block.map(|block| AgeHour {
                client_id,
                hour,
                vendor,
                kind,
                block,
                tally,
            }))
        },
    )?;
    Ok(rows.into_iter().flatten().collect())
}

const COLUMNS: &str = "device_id, client_id, user_id, vendor, kind, block, confirmed_at, began, \
                       ended, target_seconds, interval_seconds, reason, outcome";

/// Breaches that touch the time asked about.
const TOUCHING: &str = "(?1 is null or client_id = ?1) and began < ?3
           and (ended is null or ended > ?2)
           and (?4 is null or kind = ?4) and (?5 is null or vendor = ?5)";

pub(super) fn breaches(
    connection: &Connection,
    query: &AgeQuery,
    limit: u32,
) -> StoreResult<BreachList> {
    let (client, kind) = (
        query.client_id.map(|id| id.0.into_bytes()),
        query.kind.map(DeviceKind::name),
    );
    let (from, to) = (query.from.as_millisecond(), query.to.as_millisecond());
    let vendor = query.vendor.as_ref().map(VendorName::as_str);
    let sql = format!(
        "select {COLUMNS} from age_breaches where {TOUCHING}
         order by began desc, device_id, block limit ?6"
    );
    let newest = query_all(
        connection,
        &sql,
        params![client, from, to, kind, vendor, limit],
        decode,
    )?;
    let sql = format!(
        "select vendor, kind, block, reason, count(*), count(*) - count(ended) from age_breaches
         where {TOUCHING} group by vendor, kind, block, reason
         order by vendor, kind, block, reason"
    );
    let counts = query_all(
        connection,
        &sql,
        params![client, from, to, kind, vendor],
        |columns| {
            let vendor = columns.word("vendor")?;
            let kind = columns.word("kind of device")?;
            let block = block(kind, &columns.take::<String>()?);
            let reason = columns.word("reason of a breach")?;
            let (count, open) = (columns.number()?, columns.number()?);
            Ok(block.map(|block| BreachCount {
                vendor,
                kind,
                block,
                reason,
                count,
                open,
            }))
        },
    )?;
    Ok(BreachList {
        newest: newest.into_iter().flatten().collect(),
        counts: counts.into_iter().flatten().collect(),
    })
}

/// Forgets sums and ended breaches of before a moment.
pub(super) fn forget_before(connection: &Connection, moment: Timestamp) -> StoreResult<()> {
    let moment = params![moment.as_millisecond()];
    execute(connection, "delete from age_hours where hour < ?", moment)?;
    execute(
        connection,
        "delete from age_breaches where ended < ?",
        moment,
    )?;
    Ok(())
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Option<BreachRecord>> {
    let device = DeviceId(columns.uuid()?);
    let client = ClientId(columns.uuid()?);
    let user_id = columns.word("user ID")?;
    let vendor = columns.word("vendor")?;
    let kind = columns.word("kind of device")?;
    let block = block(kind, &columns.take::<String>()?);
    let confirmed_at = columns.time()?;
    let began = columns.time()?;
    let ended = columns.maybe_time()?;
    let target_seconds = columns.number()?;
    let interval_seconds = columns.number()?;
    let reason = columns
        .take::<String>()?
        .parse()
        .map_err(unreadable("reason of a breach"))?;
    let outcome = columns.take()?;
    Ok(block.map(|block| BreachRecord {
        user_id,
        breach: Breach {
            device,
            block,
            client,
            vendor,
            kind,
            confirmed_at,
            began,
            ended,
            target_seconds,
            interval_seconds,
            reason,
            outcome,
        },
    }))
}
