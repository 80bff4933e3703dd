//! What vendors recorded of the production of inverters, and when to ask again.

use jiff::Timestamp;
use livewatt_domain::{
    id::{AccountId, DeviceId},
    partition::Partitions,
    production::{Known, Period, Production},
};
use rusqlite::{Connection, params};

use super::statement::{execute, json, query_all, query_one};
use crate::{
    error::StoreResult,
    types::{ProductionDue, ProductionVisit},
};

/// Writes what came of asking about an inverter; of one that is gone, nothing.
pub(super) fn save(connection: &Connection, visit: &ProductionVisit) -> StoreResult<()> {
    let device = visit.device_id.0.as_bytes();
    execute(
        connection,
        "insert into production_schedules (device_id, integration, next_at, failures)
         select devices.id, integration, ?2, ?3
         from devices join accounts on accounts.id = account_id where devices.id = ?1
         on conflict (device_id) do update set integration = excluded.integration,
             next_at = excluded.next_at, failures = excluded.failures",
        params![device, visit.next_at.as_millisecond(), visit.failures],
    )?;
    let Some(told) = &visit.told else {
        return Ok(());
    };
    execute(
        connection,
        "insert into production (device_id, period, time_zone, kwh, fetched_at, is_final)
         select id, ?2, ?3, ?4, ?5, ?6 from devices where id = ?1
         on conflict (device_id, period) do update set time_zone = excluded.time_zone,
             kwh = excluded.kwh, fetched_at = excluded.fetched_at, is_final = excluded.is_final",
        params![
            device,
            told.period.to_string(),
            told.zone.name(),
            told.kwh.as_ref().map(json).transpose()?,
            told.fetched_at.as_millisecond(),
            told.is_final
        ],
    )?;
    Ok(())
}

/// The inverters of an integration that are to be asked about.
pub(super) fn due(
    connection: &Connection,
    integration: &str,
    of: &Partitions,
    now: Timestamp,
    limit: u32,
) -> StoreResult<Vec<ProductionDue>> {
    // One program owns all partitions at once.
    if of.is_empty() {
        return Ok(Vec::new());
    }
    query_all(
        connection,
        "select device_id, account_id, next_at, failures
         from production_schedules join devices on devices.id = device_id
         where integration = ? and next_at <= ? order by next_at, device_id limit ?",
        params![integration, now.as_millisecond(), limit],
        |columns| {
            Ok(ProductionDue {
                device_id: DeviceId(columns.uuid()?),
                account_id: AccountId(columns.uuid()?),
                next_at: columns.time()?,
                failures: columns.number()?,
            })
        },
    )
}

/// When an inverter is to be asked about next.
pub(super) fn next(connection: &Connection, device: DeviceId) -> StoreResult<Option<Timestamp>> {
    let sql = "select next_at from production_schedules where device_id = ?";
    query_one(connection, sql, [device.0.as_bytes()], |columns| {
        columns.time()
    })
}

/// Of which periods production is known, from one on.
pub(super) fn known(
    connection: &Connection,
    device: DeviceId,
    from: Period,
) -> StoreResult<Vec<Known>> {
    query_all(
        connection,
        "select period, fetched_at, is_final from production
         where device_id = ? and period >= ? order by period",
        params![device.0.as_bytes(), from.to_string()],
        |columns| {
            Ok(Known {
                period: columns.word("period")?,
                fetched_at: columns.time()?,
                is_final: columns.take()?,
            })
        },
    )
}

/// What an inverter produced in a period.
pub(super) fn find(
    connection: &Connection,
    device: DeviceId,
    period: Period,
) -> StoreResult<Option<Production>> {
    query_one(
        connection,
        "select time_zone, kwh, fetched_at, is_final from production
         where device_id = ? and period = ?",
        params![device.0.as_bytes(), period.to_string()],
        |columns| {
            Ok(Production {
                period,
                zone: columns.word("time zone")?,
                kwh: columns.maybe_json("production")?,
                fetched_at: columns.time()?,
                is_final: columns.take()?,
            })
        },
    )
}
