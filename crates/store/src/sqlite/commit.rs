//! Units of work, and the quiet writes beside them.

use livewatt_domain::{partition::Partitions, webhook::Position};
use rusqlite::{Connection, params};

use super::{
    accounts, actions, ages, devices, energy, fleet, hem, links, log, production, schedules, smart,
    statement::{execute, json, query_all, query_one, signed},
};
use crate::{
    error::{StoreError, StoreResult},
    types::{AccountChange, BudgetUsage, DevicePresence, Fence, Fences, PresenceFlush, UnitOfWork},
};

/// Accounts are deleted last, since their devices go with them: a unit may also name the devices.
pub(super) fn commit(connection: &Connection, unit: &UnitOfWork) -> StoreResult<Option<Position>> {
    unit.fence
        .map_or(Ok(()), |fence| check_fence(connection, fence))?;
    for change in &unit.accounts {
        accounts::save(connection, change)?;
    }
    for change in &unit.devices {
        devices::change(connection, change)?;
    }
    actions::save(connection, &unit.actions)?;
    schedules::save(connection, &unit.schedules)?;
    for change in &unit.smart {
        smart::save(connection, change)?;
    }
    for history in &unit.histories {
        energy::save(connection, history)?;
    }
    for visit in &unit.productions {
        production::save(connection, visit)?;
    }
    for change in &unit.hem_systems {
        hem::change(connection, change)?;
    }
    for record in &unit.hem_records {
        hem::save_record(connection, record)?;
    }
    for change in &unit.accounts {
        if let AccountChange::Delete(id) = change {
            accounts::delete(connection, *id)?;
        }
    }
    if let Some((id, state)) = &unit.link_session {
        links::save_state(connection, *id, state)?;
    }
    log::append(connection, &unit.events)
}

pub(super) fn take_fences(connection: &Connection) -> StoreResult<Fences> {
    execute(connection, "update partitions set fence = fence + 1", [])?;
    let sql = "select fence from partitions order by partition";
    query_all(connection, sql, [], |columns| columns.number()).map(Fences)
}

pub(super) fn flush_presence(connection: &Connection, flush: &PresenceFlush) -> StoreResult<()> {
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
        // One program at a time: all partitions are its own.
        fences: _,
    } = flush;
    for presence in devices {
        save_presence(connection, presence)?;
    }
    for (id, at) in seen {
        execute(
            connection,
            "update device_presence set last_seen = max(last_seen, ?1), fetched_at = ?1
             where device_id = ?2",
            params![at.as_millisecond(), id.0.as_bytes()],
        )?;
    }
    for (id, schedule) in schedules {
        accounts::save_schedule(connection, *id, schedule)?;
    }
    for (id, at) in listed {
        execute(
            connection,
            "update accounts set listed_at = max(coalesce(listed_at, 0), ?) where id = ?",
            params![at.as_millisecond(), id.0.as_bytes()],
        )?;
    }
    for usage in budgets {
        execute(
            connection,
            "insert into budgets (key, partition, window_start, spent) values (?, ?, ?, ?)
             on conflict (key) do update
             set window_start = excluded.window_start, spent = excluded.spent",
            params![
                usage.key,
                usage.partition,
                usage.window_start.as_millisecond(),
                signed(usage.spent)
            ],
        )?;
    }
    ages::add_hours(connection, ages)?;
    ages::save_breaches(connection, breaches)?;
    if let Some(until) = counted_until {
        ages::save_counted_until(connection, *until)?;
    }
    Ok(())
}

pub(super) fn budget_usage(
    connection: &Connection,
    of: &Partitions,
) -> StoreResult<Vec<BudgetUsage>> {
    let sql = "select key, partition, window_start, spent from budgets order by key";
    let mut rows = query_all(connection, sql, [], |columns| {
        Ok(BudgetUsage {
            key: columns.take()?,
            partition: columns.number()?,
            window_start: columns.time()?,
            spent: columns.number()?,
        })
    })?;
    rows.retain(|row| of.contains(row.partition));
    Ok(rows)
}

fn check_fence(connection: &Connection, fence: Fence) -> StoreResult<()> {
    let sql = "select fence from partitions where partition = ?";
    let stored = query_one(connection, sql, [fence.partition], |columns| {
        columns.number::<u64>()
    })?;
    if stored == Some(fence.number) {
        Ok(())
    } else {
        Err(StoreError::Fenced {
            partition: fence.partition,
        })
    }
}

fn save_presence(connection: &Connection, presence: &DevicePresence) -> StoreResult<()> {
    let changed = execute(
        connection,
        "update devices set stamps = ? where id = ? and version = ?",
        params![
            json(&presence.stamps)?,
            presence.id.0.as_bytes(),
            signed(presence.version)
        ],
    )?;
    if changed > 0 {
        execute(
            connection,
            "update device_presence set last_seen = max(last_seen, ?), is_asleep = ?,
                 missed_listings = ?, told = ?
             where device_id = ?",
            params![
                presence.last_seen.as_millisecond(),
                presence.is_asleep,
                presence.missed_listings,
                fleet::told(&presence.stamps)?,
                presence.id.0.as_bytes()
            ],
        )?;
    }
    Ok(())
}
