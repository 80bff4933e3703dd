//! Quiet writes: what moves without an event. Each piece of a flush is a transaction of its own, of
//! rows of one sort; wherever many rows are written, they are locked in the order of their keys
//! first, as everywhere.

use std::collections::BTreeMap;

use jiff::Timestamp;
use livewatt_domain::{
    id::{AccountId, DeviceId},
    partition::Partitions,
};
use sqlx::PgConnection;

use super::{
    accounts, ages,
    fences::{self, some_of},
    statement::{execute, json, query_all, signed, sql},
};
use crate::{
    error::StoreResult,
    types::{BudgetUsage, DevicePresence, PresenceFlush},
    values::told,
};

pub(super) async fn flush(connection: &mut PgConnection, flush: &PresenceFlush) -> StoreResult<()> {
    // Taken apart by name, so that a new part cannot be forgotten here.
    let PresenceFlush {
        devices,
        seen,
        schedules,
        listed,
        budgets,
        ages,
        breaches,
        counted_until,
        fences,
    } = flush;
    let own = fences::still_held(connection, fences.as_deref()).await?;
    save_presence(connection, devices, &own).await?;
    save_seen(connection, seen, &own).await?;
    // Of several, the last says how it is to be.
    let schedules: BTreeMap<_, _> = schedules
        .iter()
        .filter(|(id, _)| own.contains(id.partition()))
        .map(|(id, schedule)| (*id, schedule))
        .collect();
    let schedules: Vec<_> = schedules.into_iter().collect();
    accounts::save_schedules(connection, &schedules).await?;
    save_listed(connection, listed, &own).await?;
    save_budgets(connection, budgets, &own).await?;
    ages::add_hours(connection, ages).await?;
    ages::save_breaches(connection, breaches).await?;
    if let Some(until) = counted_until {
        ages::save_counted_until(connection, *until, &own).await?;
    }
    Ok(())
}

async fn save_presence(
    connection: &mut PgConnection,
    devices: &[DevicePresence],
    own: &Partitions,
) -> StoreResult<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let devices: BTreeMap<_, _> = devices.iter().map(|device| (device.id, device)).collect();
    let ids: Vec<_> = devices.keys().map(|id| id.0).collect();
    let lock = sql(
        "select 1 from devices join device_presence on device_id = id
                    where id = any($1) order by id for update",
    );
    execute(connection, lock.bind(&ids)).await?;
    let stamps: StoreResult<Vec<_>> = devices
        .values()
        .map(|device| json(&device.stamps))
        .collect();
    let times: StoreResult<Vec<_>> = devices
        .values()
        .map(|device| told(&device.stamps))
        .collect();
    let rows = || devices.values();
    let save = sql("with present as (
             update devices set stamps = row.stamps
             from unnest($1::uuid[], $2::bigint[], $3::text[]) as row (id, version, stamps)
             where devices.id = row.id and devices.version = row.version
                 and ($8 is null or devices.partition = any($8))
             returning devices.id
         )
         update device_presence set last_seen = greatest(device_presence.last_seen, row.last_seen),
             is_asleep = row.is_asleep, missed_listings = row.missed_listings, told = row.told
         from present join unnest($1::uuid[], $4::bigint[], $5::boolean[], $6::bigint[], $7::text[])
             as row (id, last_seen, is_asleep, missed_listings, told) on row.id = present.id
         where device_id = present.id")
    .bind(ids)
    .bind(
        rows()
            .map(|device| signed(device.version))
            .collect::<Vec<_>>(),
    )
    .bind(stamps?)
    .bind(
        rows()
            .map(|device| device.last_seen.as_millisecond())
            .collect::<Vec<_>>(),
    )
    .bind(rows().map(|device| device.is_asleep).collect::<Vec<_>>())
    .bind(
        rows()
            .map(|device| i64::from(device.missed_listings))
            .collect::<Vec<_>>(),
    )
    .bind(times?)
    .bind(some_of(own));
    execute(connection, save).await?;
    Ok(())
}

async fn save_seen(
    connection: &mut PgConnection,
    seen: &[(DeviceId, Timestamp)],
    own: &Partitions,
) -> StoreResult<()> {
    if seen.is_empty() {
        return Ok(());
    }
    let seen: BTreeMap<_, _> = seen
        .iter()
        .map(|(id, at)| (id.0, at.as_millisecond()))
        .collect();
    let ids: Vec<_> = seen.keys().copied().collect();
    let lock = sql("select 1 from device_presence where device_id = any($1)
                    order by device_id for update");
    execute(connection, lock.bind(&ids)).await?;
    let save = sql(
        "update device_presence set last_seen = greatest(last_seen, row.at), fetched_at = row.at
         from unnest($1::uuid[], $2::bigint[]) as row (id, at) where device_id = row.id
             and ($3 is null or exists (
                 select 1 from devices where devices.id = row.id and partition = any($3)))",
    );
    let save = save
        .bind(ids)
        .bind(seen.values().copied().collect::<Vec<_>>())
        .bind(some_of(own));
    execute(connection, save).await?;
    Ok(())
}

async fn save_listed(
    connection: &mut PgConnection,
    listed: &[(AccountId, Timestamp)],
    own: &Partitions,
) -> StoreResult<()> {
    if listed.is_empty() {
        return Ok(());
    }
    let mut newest: BTreeMap<_, i64> = BTreeMap::new();
    for (id, at) in listed.iter().filter(|(id, _)| own.contains(id.partition())) {
        let newest = newest.entry(id.0).or_default();
        *newest = at.as_millisecond().max(*newest);
    }
    let ids: Vec<_> = newest.keys().copied().collect();
    let lock = sql("select 1 from accounts where id = any($1) order by id for no key update");
    execute(connection, lock.bind(&ids)).await?;
    let save = sql("update accounts set listed_at = greatest(listed_at, row.at)
         from unnest($1::uuid[], $2::bigint[]) as row (id, at) where accounts.id = row.id");
    let save = save
        .bind(ids)
        .bind(newest.values().copied().collect::<Vec<_>>());
    execute(connection, save).await?;
    Ok(())
}

async fn save_budgets(
    connection: &mut PgConnection,
    budgets: &[BudgetUsage],
    own: &Partitions,
) -> StoreResult<()> {
    if budgets.is_empty() {
        return Ok(());
    }
    let budgets: BTreeMap<_, _> = budgets
        .iter()
        .filter(|usage| own.contains(usage.partition))
        .map(|usage| (&usage.key, usage))
        .collect();
    let rows = || budgets.values();
    let save = sql("insert into budgets (key, window_start, spent, partition)
         select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::smallint[])
         on conflict (key) do update
         set window_start = excluded.window_start, spent = excluded.spent")
    .bind(rows().map(|usage| usage.key.clone()).collect::<Vec<_>>())
    .bind(
        rows()
            .map(|usage| usage.window_start.as_millisecond())
            .collect::<Vec<_>>(),
    )
    .bind(rows().map(|usage| signed(usage.spent)).collect::<Vec<_>>())
    .bind(
        rows()
            .map(|usage| usage.partition as i16)
            .collect::<Vec<_>>(),
    );
    execute(connection, save).await?;
    Ok(())
}

pub(super) async fn budget_usage(
    connection: &mut PgConnection,
    of: &Partitions,
) -> StoreResult<Vec<BudgetUsage>> {
    let some = sql(
        "select key, partition::bigint, window_start, spent from budgets
         where $1 is null or partition = any($1) order by key",
    );
    query_all(connection, some.bind(some_of(of)), |columns| {
        Ok(BudgetUsage {
            key: columns.take()?,
            partition: columns.number()?,
            window_start: columns.time()?,
            spent: columns.number()?,
        })
    })
    .await
}
