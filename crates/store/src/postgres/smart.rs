//! Smart charging, and its plans.

use std::collections::HashMap;

use livewatt_domain::{
    id::{AccountId, ClientId, DeviceId, PlanId},
    partition::Partitions,
    smart::PlanRecord,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    fences::some_of,
    statement::{Columns, execute, json, query_all, query_one, sql},
};
use crate::{
    error::StoreResult,
    smart::{SmartChange, StoredSmart},
};

pub(super) async fn find(
    connection: &mut PgConnection,
    device: DeviceId,
) -> StoreResult<Option<StoredSmart>> {
    let find = sql(
        "select s.device_id, s.client_id, s.account_id, s.revision, s.smart, p.plan
         from smart_charging s left join smart_charging_plans p on p.id = s.plan_id
         where s.device_id = $1",
    );
    query_one(connection, find.bind(device.0), decode).await
}

pub(super) async fn active(
    connection: &mut PgConnection,
    of: &Partitions,
) -> StoreResult<Vec<(AccountId, DeviceId)>> {
    let active = sql("select account_id, device_id from smart_charging
         where is_active and ($1 is null or partition = any($1)) order by device_id");
    query_all(connection, active.bind(some_of(of)), |columns| {
        Ok((AccountId(columns.uuid()?), DeviceId(columns.uuid()?)))
    })
    .await
}

pub(super) async fn is_claimed(
    connection: &mut PgConnection,
    client: ClientId,
    claim: &str,
    but_for: DeviceId,
) -> StoreResult<bool> {
    let claimed = sql("select device_id from smart_charging
         where client_id = $1 and claim = $2 and device_id <> $3 limit 1")
    .bind(client.0)
    .bind(claim.to_owned())
    .bind(but_for.0);
    let claimed = query_one(connection, claimed, |columns| columns.uuid()).await?;
    Ok(claimed.is_some())
}

pub(super) async fn plan(
    connection: &mut PgConnection,
    device: DeviceId,
    id: Option<PlanId>,
) -> StoreResult<Option<PlanRecord>> {
    // No two plans of a device begin at once: the one before has ended by then.
    let plan = sql("select plan from smart_charging_plans
         where device_id = $1 and ($2::uuid is null or id = $2)
         order by began_at desc, id desc limit 1")
    .bind(device.0)
    .bind(id.map(|id| id.0));
    query_one(connection, plan, |columns| columns.json("plan")).await
}

/// Locks rows, in the order of their devices; those that are gone are left out. Yields their
/// revisions.
pub(super) async fn lock(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
) -> StoreResult<HashMap<Uuid, u64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let lock = sql(
        "select device_id, revision from smart_charging where device_id = any($1)
         order by device_id for update",
    );
    let locked = query_all(connection, lock.bind(ids), |columns| {
        Ok((columns.uuid()?, columns.number()?))
    });
    Ok(locked.await?.into_iter().collect())
}

/// Writes rows; those that change are locked.
pub(super) async fn save(
    connection: &mut PgConnection,
    changes: &[&SmartChange],
) -> StoreResult<()> {
    let is_new = |change: &&&SmartChange| change.from_revision.is_none();
    let inserted: Vec<_> = changes.iter().filter(is_new).copied().collect();
    let updated: Vec<_> = changes.iter().filter(|c| !is_new(c)).copied().collect();
    // A claim that is given up is there for the next.
    if !updated.is_empty() {
        let update = sql(
            "update smart_charging set partition = row.partition, account_id = row.account_id,
                 revision = revision + 1, is_active = row.is_active, claim = row.claim,
                 plan_id = row.plan_id, smart = row.smart
             from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::boolean[], $5::text[],
                     $6::uuid[], $7::text[])
                 as row (id, partition, account_id, is_active, claim, plan_id, smart)
             where smart_charging.device_id = row.id",
        )
        .bind(column(&updated, |change| change.device_id.0))
        .bind(column(&updated, |change| {
            change.account_id.partition() as i16
        }))
        .bind(column(&updated, |change| change.account_id.0))
        .bind(column(&updated, |change| change.smart.is_busy()))
        .bind(column(&updated, |change| change.claim.clone()))
        .bind(column(&updated, plan_id))
        .bind(rows(&updated)?);
        execute(connection, update).await?;
    }
    if !inserted.is_empty() {
        let insert = sql(
            "insert into smart_charging (device_id, partition, client_id, account_id, revision,
                 is_active, claim, plan_id, smart)
             select id, partition, client_id, account_id, 1, is_active, claim, plan_id, smart
             from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], $5::boolean[],
                     $6::text[], $7::uuid[], $8::text[])
                 as row (id, partition, client_id, account_id, is_active, claim, plan_id, smart)",
        )
        .bind(column(&inserted, |change| change.device_id.0))
        .bind(column(&inserted, |change| {
            change.account_id.partition() as i16
        }))
        .bind(column(&inserted, |change| change.client_id.0))
        .bind(column(&inserted, |change| change.account_id.0))
        .bind(column(&inserted, |change| change.smart.is_busy()))
        .bind(column(&inserted, |change| change.claim.clone()))
        .bind(column(&inserted, plan_id))
        .bind(rows(&inserted)?);
        execute(connection, insert).await?;
    }
    save_plans(connection, changes).await
}

async fn save_plans(connection: &mut PgConnection, changes: &[&SmartChange]) -> StoreResult<()> {
    let plans = changes
        .iter()
        .filter_map(|change| Some((change.device_id, change.plan()?)));
    let plans: Vec<_> = plans.collect();
    if plans.is_empty() {
        return Ok(());
    }
    let texts: StoreResult<Vec<String>> = plans.iter().map(|(_, plan)| json(*plan)).collect();
    let save = sql(
        "insert into smart_charging_plans (id, device_id, began_at, ended_at, plan)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[])
         on conflict (id) do update set ended_at = excluded.ended_at, plan = excluded.plan",
    )
    .bind(plans.iter().map(|(_, plan)| plan.id.0).collect::<Vec<_>>())
    .bind(plans.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
    .bind(
        plans
            .iter()
            .map(|(_, plan)| plan.stop_at.as_millisecond())
            .collect::<Vec<_>>(),
    )
    .bind(
        plans
            .iter()
            .map(|(_, plan)| plan.ended_at.map(|at| at.as_millisecond()))
            .collect::<Vec<_>>(),
    )
    .bind(texts?);
    execute(connection, save).await?;
    Ok(())
}

/// Values of one column of many changes.
fn column<T>(rows: &[&SmartChange], value: impl Fn(&SmartChange) -> T) -> Vec<T> {
    rows.iter().map(|change| value(change)).collect()
}

fn rows(changes: &[&SmartChange]) -> StoreResult<Vec<String>> {
    changes.iter().map(|change| json(&change.row())).collect()
}

fn plan_id(change: &SmartChange) -> Option<Uuid> {
    change.smart.plan.as_ref().map(|plan| plan.id.0)
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<StoredSmart> {
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
