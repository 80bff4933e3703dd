//! Schedules, and how far they were carried out.

use std::collections::HashMap;

use livewatt_domain::{
    id::{AccountId, ClientId, DeviceId, ScheduleId, UserId},
    partition::Partitions,
    schedule::{Execution, Schedule},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    fences::some_of,
    paging::{KeyType, Listing},
    statement::{Columns, composed, execute, json, query_all, query_one, sql},
};
use crate::{
    error::StoreResult,
    schedules::{ScheduleChange, StoredSchedule},
    types::{Page, PageKey, PageRequest},
};

const COLUMNS: &str = "id, client_id, user_id, target_id, is_enabled, created_at, revision, \
                       program, execution";

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: ScheduleId,
) -> StoreResult<Option<StoredSchedule>> {
    let text = format!("select {COLUMNS} from schedules where id = $1 and client_id = $2");
    query_one(connection, composed(text).bind(id.0).bind(client.0), decode).await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    client: ClientId,
    user: &UserId,
    page: &PageRequest,
) -> StoreResult<Page<StoredSchedule>> {
    let listing = Listing {
        table: "schedules",
        columns: COLUMNS,
        client,
        kind: None,
        user: Some(user),
        at: "created_at",
        key: KeyType::Uuid,
    };
    let key = |stored: &StoredSchedule| PageKey {
        at: stored.schedule.created_at,
        id: stored.schedule.id.to_string(),
    };
    listing.page(connection, page, decode, key).await
}

pub(super) async fn of_device(
    connection: &mut PgConnection,
    device: DeviceId,
) -> StoreResult<Vec<StoredSchedule>> {
    let text = format!("select {COLUMNS} from schedules where target_id = $1 order by id");
    query_all(connection, composed(text).bind(device.0), decode).await
}

pub(super) async fn devices(
    connection: &mut PgConnection,
    of: &Partitions,
) -> StoreResult<Vec<(AccountId, DeviceId)>> {
    let all = sql("select account_id, id from devices
         where id in (select target_id from schedules)
             and ($1 is null or partition = any($1)) order by id");
    query_all(connection, all.bind(some_of(of)), |columns| {
        Ok((AccountId(columns.uuid()?), DeviceId(columns.uuid()?)))
    })
    .await
}

/// Locks schedules, in the order of their IDs; those that are gone are left out. Yields their
/// revisions.
pub(super) async fn lock(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
) -> StoreResult<HashMap<Uuid, u64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let lock = sql("select id, revision from schedules where id = any($1) order by id for update");
    let locked = query_all(connection, lock.bind(ids), |columns| {
        Ok((columns.uuid()?, columns.number()?))
    });
    Ok(locked.await?.into_iter().collect())
}

/// Writes schedules; those that change are locked, as are the devices of those that are new. What is
/// new comes last: one that is disabled makes room for another of its device.
pub(super) async fn save(
    connection: &mut PgConnection,
    changes: &[&ScheduleChange],
) -> StoreResult<()> {
    let (mut inserted, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            ScheduleChange::Insert(schedule) => inserted.push(schedule),
            ScheduleChange::Update {
                schedule,
                execution,
                ..
            } => updated.push((schedule, execution)),
            ScheduleChange::Delete { schedule, .. } => deleted.push(schedule.id.0),
        }
    }
    if !deleted.is_empty() {
        let delete = sql("delete from schedules where id = any($1)");
        execute(connection, delete.bind(deleted)).await?;
    }
    if !updated.is_empty() {
        let (schedules, executions): (Vec<&Schedule>, Vec<&Execution>) =
            updated.into_iter().unzip();
        let executions: StoreResult<Vec<String>> = executions.into_iter().map(json).collect();
        let update = sql(
            "update schedules set target_id = row.target_id, is_enabled = row.is_enabled,
                 program = row.program, execution = row.execution, revision = revision + 1
             from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::text[], $5::text[])
                 as row (id, target_id, is_enabled, program, execution)
             where schedules.id = row.id",
        )
        .bind(column(&schedules, |schedule| schedule.id.0))
        .bind(column(&schedules, |schedule| schedule.target_id.0))
        .bind(column(&schedules, |schedule| schedule.is_enabled))
        .bind(programs(&schedules)?)
        .bind(executions?);
        execute(connection, update).await?;
    }
    if !inserted.is_empty() {
        let nothing_yet = json(&Execution::default())?;
        let insert = sql(
            "insert into schedules (id, client_id, user_id, target_id, is_enabled, created_at,
                 revision, program, execution)
             select id, client_id, user_id, target_id, is_enabled, created_at, 1, program, $8
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::boolean[],
                     $6::bigint[], $7::text[])
                 as row (id, client_id, user_id, target_id, is_enabled, created_at, program)",
        )
        .bind(column(&inserted, |schedule| schedule.id.0))
        .bind(column(&inserted, |schedule| schedule.client_id.0))
        .bind(column(&inserted, |schedule| schedule.user_id.to_string()))
        .bind(column(&inserted, |schedule| schedule.target_id.0))
        .bind(column(&inserted, |schedule| schedule.is_enabled))
        .bind(column(&inserted, |schedule| {
            schedule.created_at.as_millisecond()
        }))
        .bind(programs(&inserted)?)
        .bind(nothing_yet);
        execute(connection, insert).await?;
    }
    Ok(())
}

/// Values of one column of many schedules.
fn column<T>(schedules: &[&Schedule], value: impl Fn(&Schedule) -> T) -> Vec<T> {
    schedules.iter().map(|schedule| value(schedule)).collect()
}

fn programs(schedules: &[&Schedule]) -> StoreResult<Vec<String>> {
    let programs = schedules.iter().map(|schedule| json(&schedule.program));
    programs.collect()
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<StoredSchedule> {
    let (id, client_id) = (ScheduleId(columns.uuid()?), ClientId(columns.uuid()?));
    let user_id = columns.word("user ID")?;
    let target_id = DeviceId(columns.uuid()?);
    let (is_enabled, created_at) = (columns.take()?, columns.time()?);
    let revision = columns.number()?;
    Ok(StoredSchedule {
        schedule: Schedule {
            id,
            client_id,
            user_id,
            target_id,
            is_enabled,
            program: columns.json("program")?,
            created_at,
        },
        execution: columns.json("execution")?,
        revision,
    })
}
