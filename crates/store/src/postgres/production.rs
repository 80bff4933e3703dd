//! What vendors recorded of the production of inverters, and when to ask again.

use jiff::Timestamp;
use livewatt_domain::{
    id::{AccountId, DeviceId},
    partition::Partitions,
    production::{Known, Period, Production},
};
use sqlx::PgConnection;

use super::{
    fences::some_of,
    statement::{execute, json, query_all, query_one, sql},
};
use crate::{
    error::StoreResult,
    types::{ProductionDue, ProductionVisit},
};

/// Writes what came of asking about inverters, each table by one statement; of those that are gone,
/// nothing.
pub(super) async fn save(
    connection: &mut PgConnection,
    visits: &[&ProductionVisit],
) -> StoreResult<()> {
    if visits.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = visits.iter().map(|visit| visit.device_id.0).collect();
    // Held until the commit: erasure waits, or has been.
    let hold = sql("select id from devices where id = any($1) order by id for key share");
    let held = query_all(connection, hold.bind(ids), |columns| columns.uuid()).await?;
    let mut visits = visits.to_vec();
    visits.retain(|visit| held.binary_search(&visit.device_id.0).is_ok());
    visits.sort_by_key(|visit| visit.device_id);
    let (mut ids, mut next, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for visit in &visits {
        ids.push(visit.device_id.0);
        next.push(visit.next_at.as_millisecond());
        failures.push(i64::from(visit.failures));
    }
    let save = sql(
        "insert into production_schedules (device_id, integration, next_at, failures)
         select row.device_id, integration, row.next_at, row.failures
         from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as row (device_id, next_at, failures)
             join devices on devices.id = row.device_id
             join accounts on accounts.id = account_id
         order by row.device_id
         on conflict (device_id) do update set integration = excluded.integration,
             next_at = excluded.next_at, failures = excluded.failures",
    );
    execute(connection, save.bind(ids).bind(next).bind(failures)).await?;
    let (mut ids, mut periods, mut zones) = (Vec::new(), Vec::new(), Vec::new());
    let (mut kwh, mut fetched_at, mut is_final) = (Vec::new(), Vec::new(), Vec::new());
    for visit in &visits {
        let Some(told) = &visit.told else { continue };
        ids.push(visit.device_id.0);
        periods.push(told.period.to_string());
        zones.push(told.zone.name().to_owned());
        kwh.push(told.kwh.as_ref().map(json).transpose()?);
        fetched_at.push(told.fetched_at.as_millisecond());
        is_final.push(told.is_final);
    }
    if ids.is_empty() {
        return Ok(());
    }
    let save = sql(
        "insert into production (device_id, period, time_zone, kwh, fetched_at, is_final)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[],
             $6::boolean[])
         on conflict (device_id, period) do update set time_zone = excluded.time_zone,
             kwh = excluded.kwh, fetched_at = excluded.fetched_at, is_final = excluded.is_final",
    );
    let save = save.bind(ids).bind(periods).bind(zones).bind(kwh);
    execute(connection, save.bind(fetched_at).bind(is_final)).await?;
    Ok(())
}

/// The inverters of an integration, in partitions, that are to be asked about.
pub(super) async fn due(
    connection: &mut PgConnection,
    integration: String,
    of: &Partitions,
    now: Timestamp,
    limit: u32,
) -> StoreResult<Vec<ProductionDue>> {
    let all = sql("select device_id, account_id, next_at, failures
         from production_schedules join devices on devices.id = device_id
         where integration = $1 and next_at <= $2 and ($3 is null or partition = any($3))
         order by next_at, device_id limit $4")
    .bind(integration)
    .bind(now.as_millisecond())
    .bind(some_of(of))
    .bind(i64::from(limit));
    query_all(connection, all, |columns| {
        Ok(ProductionDue {
            device_id: DeviceId(columns.uuid()?),
            account_id: AccountId(columns.uuid()?),
            next_at: columns.time()?,
            failures: columns.number()?,
        })
    })
    .await
}

/// When an inverter is to be asked about next.
pub(super) async fn next(
    connection: &mut PgConnection,
    device: DeviceId,
) -> StoreResult<Option<Timestamp>> {
    let one = sql("select next_at from production_schedules where device_id = $1");
    query_one(connection, one.bind(device.0), |columns| columns.time()).await
}

/// Of which periods production is known, from one on.
pub(super) async fn known(
    connection: &mut PgConnection,
    device: DeviceId,
    from: Period,
) -> StoreResult<Vec<Known>> {
    let all = sql("select period, fetched_at, is_final from production
         where device_id = $1 and period >= $2 order by period");
    query_all(
        connection,
        all.bind(device.0).bind(from.to_string()),
        |columns| {
            Ok(Known {
                period: columns.word("period")?,
                fetched_at: columns.time()?,
                is_final: columns.take()?,
            })
        },
    )
    .await
}

/// What an inverter produced in a period.
pub(super) async fn find(
    connection: &mut PgConnection,
    device: DeviceId,
    period: Period,
) -> StoreResult<Option<Production>> {
    let one = sql("select time_zone, kwh, fetched_at, is_final from production
         where device_id = $1 and period = $2");
    query_one(
        connection,
        one.bind(device.0).bind(period.to_string()),
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
    .await
}
