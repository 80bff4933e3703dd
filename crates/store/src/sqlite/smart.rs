//! Smart charging, and its plans.

use livewatt_domain::{
    id::{AccountId, ClientId, DeviceId, PlanId},
    partition::Partitions,
    smart::PlanRecord,
};
use rusqlite::{Connection, params};

use super::statement::{Columns, execute, exists, json, query_all, query_one, signed};
use crate::{
    error::{StoreError, StoreResult},
    smart::{SmartChange, StoredSmart},
};

pub(super) fn find(connection: &Connection, device: DeviceId) -> StoreResult<Option<StoredSmart>> {
    query_one(
        connection,
        "select s.device_id, s.client_id, s.account_id, s.revision, s.smart, p.plan
         from smart_charging s left join smart_charging_plans p on p.id = s.plan_id
         where s.device_id = ?",
        [device.0.as_bytes()],
        decode,
    )
}

pub(super) fn active(
    connection: &Connection,
    of: &Partitions,
) -> StoreResult<Vec<(AccountId, DeviceId)>> {
    let sql = "select partition, account_id, device_id from smart_charging where is_active = 1
         order by device_id";
    let rows = query_all(connection, sql, [], |columns| {
        let partition: u16 = columns.number()?;
        let row = (AccountId(columns.uuid()?), DeviceId(columns.uuid()?));
        Ok((partition, row))
    })?;
    let own = rows
        .into_iter()
        .filter(|(partition, _)| of.contains(*partition));
    Ok(own.map(|(_, row)| row).collect())
}

pub(super) fn is_claimed(
    connection: &Connection,
    client: ClientId,
    claim: &str,
    but_for: DeviceId,
) -> StoreResult<bool> {
    exists(
        connection,
        "select 1 from smart_charging where client_id = ? and claim = ? and device_id <> ?",
        params![client.0.as_bytes(), claim, but_for.0.as_bytes()],
    )
}

pub(super) fn plan(
    connection: &Connection,
    device: DeviceId,
    id: Option<PlanId>,
) -> StoreResult<Option<PlanRecord>> {
    // No two plans of a device begin at once: the one before has ended by then.
    let sql =
        "select plan from smart_charging_plans where device_id = ?1 and (?2 is null or id = ?2)
         order by began_at desc, id desc limit 1";
    let id = id.as_ref().map(|id| id.0.as_bytes());
    query_one(
        connection,
        sql,
        params![device.0.as_bytes(), id],
        |columns| columns.json("plan"),
    )
}

pub(super) fn save(connection: &Connection, change: &SmartChange) -> StoreResult<()> {
    let row = json(&change.row())?;
    let plan = change.smart.plan.as_ref();
    let plan_id = plan.map(|plan| plan.id.0.as_bytes());
    match change.from_revision {
        None => {
            execute(
                connection,
                "insert into smart_charging (device_id, partition, client_id, account_id,
                     revision, is_active, claim, plan_id, smart)
                 values (?, ?, ?, ?, 1, ?, ?, ?, ?)",
                params![
                    change.device_id.0.as_bytes(),
                    change.account_id.partition(),
                    change.client_id.0.as_bytes(),
                    change.account_id.0.as_bytes(),
                    change.smart.is_busy(),
                    change.claim,
                    plan_id,
                    row
                ],
            )?;
        }
        Some(from_revision) => {
            let written = execute(
                connection,
                "update smart_charging set partition = ?, account_id = ?, revision = revision + 1,
                     is_active = ?, claim = ?, plan_id = ?, smart = ?
                 where device_id = ? and revision = ?",
                params![
                    change.account_id.partition(),
                    change.account_id.0.as_bytes(),
                    change.smart.is_busy(),
                    change.claim,
                    plan_id,
                    row,
                    change.device_id.0.as_bytes(),
                    signed(from_revision)
                ],
            )?;
            if written == 0 {
                return Err(StoreError::Conflict);
            }
        }
    }
    if let Some(plan) = change.plan() {
        execute(
            connection,
            "insert into smart_charging_plans (id, device_id, began_at, ended_at, plan)
             values (?, ?, ?, ?, ?)
             on conflict (id) do update set ended_at = excluded.ended_at, plan = excluded.plan",
            params![
                plan.id.0.as_bytes(),
                change.device_id.0.as_bytes(),
                plan.stop_at.as_millisecond(),
                plan.ended_at.map(|at| at.as_millisecond()),
                json(plan)?
            ],
        )?;
    }
    Ok(())
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<StoredSmart> {
    let mut stored = StoredSmart {
        device_id: DeviceId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        account_id: AccountId(columns.uuid()?),
        revision: columns.number()?,
        smart: columns.json("smart charging")?,
    };
    stored.smart.plan = columns.maybe_json("plan")?;
    Ok(stored)
}
