//! Schedules, and how far they were carried out.

use livewatt_domain::{
    id::{AccountId, ClientId, DeviceId, ScheduleId, UserId},
    partition::Partitions,
    schedule::{Execution, Schedule},
};
use rusqlite::{Connection, params};

use super::{
    paging::Listing,
    statement::{Columns, execute, json, query_all, query_one, signed, uuid_key},
};
use crate::{
    error::{StoreError, StoreResult},
    schedules::{ScheduleChange, StoredSchedule},
    types::{Page, PageKey, PageRequest},
};

const COLUMNS: &str = "id, client_id, user_id, target_id, is_enabled, created_at, revision, \
                       program, execution";

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: ScheduleId,
) -> StoreResult<Option<StoredSchedule>> {
    let sql = format!("select {COLUMNS} from schedules where id = ? and client_id = ?");
    query_one(
        connection,
        &sql,
        [id.0.as_bytes(), client.0.as_bytes()],
        decode,
    )
}

pub(super) fn list(
    connection: &Connection,
    client: ClientId,
    user: &UserId,
    page: &PageRequest,
) -> StoreResult<Page<StoredSchedule>> {
    let listing = Listing {
        table: "schedules",
        columns: COLUMNS,
        condition: "client_id = ?1 and user_id = ?2",
        params: &[client.0.as_bytes(), &user.as_str()],
        at: "created_at",
        id: uuid_key,
    };
    listing.page(connection, page, decode, |stored| PageKey {
        at: stored.schedule.created_at,
        id: stored.schedule.id.to_string(),
    })
}

pub(super) fn of_device(
    connection: &Connection,
    device: DeviceId,
) -> StoreResult<Vec<StoredSchedule>> {
    let sql = format!("select {COLUMNS} from schedules where target_id = ? order by id");
    query_all(connection, &sql, [device.0.as_bytes()], decode)
}

pub(super) fn devices(
    connection: &Connection,
    of: &Partitions,
) -> StoreResult<Vec<(AccountId, DeviceId)>> {
    // One program owns all partitions at once.
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "select account_id, id from devices
               where id in (select target_id from schedules) order by id";
    query_all(connection, sql, [], |columns| {
        Ok((AccountId(columns.uuid()?), DeviceId(columns.uuid()?)))
    })
}

/// What is new comes last: one that is disabled makes room for another of its device.
pub(super) fn save(connection: &Connection, changes: &[ScheduleChange]) -> StoreResult<()> {
    for change in changes {
        match change {
            ScheduleChange::Insert(_) => {}
            ScheduleChange::Update {
                schedule,
                execution,
                from_revision,
            } => update(connection, schedule, execution, *from_revision)?,
            ScheduleChange::Delete {
                schedule,
                from_revision,
            } => {
                let deleted = execute(
                    connection,
                    "delete from schedules where id = ? and revision = ?",
                    params![schedule.id.0.as_bytes(), signed(*from_revision)],
                )?;
                some_row(deleted)?;
            }
        }
    }
    for change in changes {
        if let ScheduleChange::Insert(schedule) = change {
            insert(connection, schedule)?;
        }
    }
    Ok(())
}

fn insert(connection: &Connection, schedule: &Schedule) -> StoreResult<()> {
    execute(
        connection,
        "insert into schedules (id, client_id, user_id, target_id, is_enabled, created_at, revision,
             program, execution)
         values (?, ?, ?, ?, ?, ?, 1, ?, ?)",
        params![
            schedule.id.0.as_bytes(),
            schedule.client_id.0.as_bytes(),
            schedule.user_id.as_str(),
            schedule.target_id.0.as_bytes(),
            schedule.is_enabled,
            schedule.created_at.as_millisecond(),
            json(&schedule.program)?,
            json(&Execution::default())?
        ],
    )?;
    Ok(())
}

fn update(
    connection: &Connection,
    schedule: &Schedule,
    execution: &Execution,
    from_revision: u64,
) -> StoreResult<()> {
    let written = execute(
        connection,
        "update schedules set target_id = ?, is_enabled = ?, program = ?, execution = ?,
             revision = revision + 1
         where id = ? and revision = ?",
        params![
            schedule.target_id.0.as_bytes(),
            schedule.is_enabled,
            json(&schedule.program)?,
            json(execution)?,
            schedule.id.0.as_bytes(),
            signed(from_revision)
        ],
    )?;
    some_row(written)
}

const fn some_row(written: usize) -> StoreResult<()> {
    match written {
        0 => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<StoredSchedule> {
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
