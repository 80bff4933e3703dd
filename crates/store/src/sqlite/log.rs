//! The event log: positions rise by one per event, over all clients, in the order of commits.
//!
//! Since one writer gives out positions within the transaction that stores the events, whoever
//! reads sees an unbroken beginning of the log.

use jiff::Timestamp;
use livewatt_domain::{
    event::Event,
    id::{ClientId, DeviceId, EventId, UserId},
    webhook::{Position, lane_hash},
};
use rusqlite::{Connection, params};

use super::{
    slices::{self, Slice},
    statement::{Columns, execute, query_all, query_one, signed, unreadable},
};
use crate::{
    error::StoreResult,
    types::{LogPage, LogQuery, LoggedEvent, POSITIONS_SKIPPED},
};

/// Appends events; returns the position of the last.
pub(super) fn append(connection: &Connection, events: &[Event]) -> StoreResult<Option<Position>> {
    if events.is_empty() {
        return Ok(None);
    }
    let mut last = take_positions(connection, events.len())?;
    let mut slice: Option<(Timestamp, Slice)> = None;
    for event in events {
        last += 1;
        // Most often, all events of a unit are of one moment.
        let table = match slice.take() {
            Some((at, slice)) if at == event.created_at => slice,
            _ => slices::for_writing(connection, event.created_at, Position(last))?,
        };
        insert(connection, &table.name, Position(last), event)?;
        slice = Some((event.created_at, table));
    }
    raise_heads(connection, events, last)?;
    Ok(Some(Position(last)))
}

pub(super) fn last_position(connection: &Connection, client: ClientId) -> StoreResult<Position> {
    head(connection, client).map(|head| head.position)
}

/// When the newest event happened, by the clock of then.
pub(super) fn newest_event_at(connection: &Connection) -> StoreResult<Option<Timestamp>> {
    let Some(slice) = slices::all(connection)?.pop() else {
        return Ok(None);
    };
    let sql = format!("select created_at from {slice} order by position desc limit 1");
    query_one(connection, &sql, [], |columns| columns.time())
}

pub(super) fn events_after(connection: &Connection, query: &LogQuery) -> StoreResult<LogPage> {
    let head = head(connection, query.client_id)?;
    let until = query
        .until
        .map_or(head.position, |until| until.min(head.position));
    let limit = query.limit as usize;
    let mut events = Vec::new();
    if query.after < until {
        for slice in slices::above(connection, query.after)? {
            if events.len() >= limit {
                break;
            }
            events.append(&mut read_slice(
                connection,
                &slice,
                query,
                until,
                limit - events.len(),
            )?);
        }
    }
    let read_until = match events.last() {
        Some(last) if events.len() >= limit => last.position,
        _ => until,
    };
    Ok(LogPage {
        events,
        read_until,
        kept_from: head.kept_from,
    })
}

pub(super) fn count_after(
    connection: &Connection,
    client: ClientId,
    after: Position,
    limit: u32,
) -> StoreResult<u32> {
    let mut counted = 0;
    for slice in slices::above(connection, after)? {
        if counted >= limit {
            break;
        }
        let sql = format!(
            "select count(*) from
             (select 1 from {slice} where client_id = ? and position > ? limit ?)"
        );
        let params = params![client.0.as_bytes(), after.0, limit - counted];
        counted +=
            query_one(connection, &sql, params, |columns| columns.number::<u32>())?.unwrap_or(0);
    }
    Ok(counted)
}

/// Drops the oldest slice if it ended before `keep_from`; returns whether it did.
pub(super) fn drop_oldest_slice(
    connection: &Connection,
    keep_from: Timestamp,
    now: Timestamp,
) -> StoreResult<bool> {
    let Some(slice) = slices::oldest_before(connection, keep_from, now)? else {
        return Ok(false);
    };
    let sql = format!(
        "update log_heads set kept_from = 1 + coalesce(
             (select max(position) from {slice} where {slice}.client_id = log_heads.client_id),
             kept_from - 1)"
    );
    connection.execute(&sql, [])?;
    slices::remove(connection, &slice)?;
    Ok(true)
}

/// Leaves a gap behind the positions given out so far.
pub(super) fn skip_positions(connection: &Connection) -> StoreResult<()> {
    let sql = "update log_counter set position = position + ?";
    execute(connection, sql, [POSITIONS_SKIPPED])?;
    Ok(())
}

/// Erases the events about a user.
pub(super) fn erase_user(
    connection: &Connection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<()> {
    for slice in slices::all(connection)? {
        execute(
            connection,
            &format!("delete from {slice} where client_id = ? and user_id = ?"),
            params![client.0.as_bytes(), user.as_str()],
        )?;
    }
    Ok(())
}

/// Erases the events of a client.
pub(super) fn erase_client(connection: &Connection, client: ClientId) -> StoreResult<()> {
    for slice in slices::all(connection)? {
        let sql = format!("delete from {slice} where client_id = ?");
        execute(connection, &sql, [client.0.as_bytes()])?;
    }
    Ok(())
}

/// The log as one client sees it.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    position: Position,
    kept_from: Position,
}

fn head(connection: &Connection, client: ClientId) -> StoreResult<Head> {
    query_one(
        connection,
        "select position, kept_from from log_heads where client_id = ?",
        [client.0.as_bytes()],
        |columns| {
            Ok(Head {
                position: Position(columns.take()?),
                kept_from: Position(columns.take()?),
            })
        },
    )
    .map(Option::unwrap_or_default)
}

/// Takes the next positions; returns the one before them.
fn take_positions(connection: &Connection, number: usize) -> StoreResult<i64> {
    let number = signed(number as u64);
    let sql = "update log_counter set position = position + ? returning position";
    let last = query_one(connection, sql, [number], |columns| columns.take::<i64>())?;
    let last = last
        .ok_or("the log has no counter")
        .map_err(unreadable("log position"))?;
    Ok(last - number)
}

/// Notes the newest position of each client; most often, there is one.
fn raise_heads(connection: &Connection, events: &[Event], last: i64) -> StoreResult<()> {
    let mut noted: Vec<ClientId> = Vec::new();
    for (position, event) in (0..=last).rev().zip(events.iter().rev()) {
        if !noted.contains(&event.client_id) {
            noted.push(event.client_id);
            execute(
                connection,
                "insert into log_heads (client_id, position, kept_from) values (?, ?, 0)
                 on conflict (client_id) do update set position = excluded.position",
                params![event.client_id.0.as_bytes(), position],
            )?;
        }
    }
    Ok(())
}

fn insert(
    connection: &Connection,
    slice: &str,
    position: Position,
    event: &Event,
) -> StoreResult<()> {
    execute(
        connection,
        &format!(
            "insert into {slice} (position, id, client_id, user_id, device_id, device_version,
                 name, created_at, lane_hash, body)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ),
        params![
            position.0,
            event.id.0.as_bytes(),
            event.client_id.0.as_bytes(),
            event.user_id.as_str(),
            event.device.map(|(id, _)| id.0.into_bytes()),
            event.device.map(|(_, version)| signed(version)),
            event.name,
            event.created_at.as_millisecond(),
            lane_hash(event.device.map(|(id, _)| id), &event.user_id),
            event.body
        ],
    )?;
    Ok(())
}

fn read_slice(
    connection: &Connection,
    slice: &str,
    query: &LogQuery,
    until: Position,
    limit: usize,
) -> StoreResult<Vec<LoggedEvent>> {
    // Every event is in lane 0 of 1.
    let (lane, lanes) = query.lane.unwrap_or((0, 1));
    let sql = format!(
        "select position, id, client_id, user_id, device_id, device_version, name, created_at, body
         from {slice}
         where client_id = ? and position > ? and position <= ? and lane_hash % ? = ?
         order by position limit ?"
    );
    let params = params![
        query.client_id.0.as_bytes(),
        query.after.0,
        until.0,
        lanes.max(1),
        lane,
        signed(limit as u64)
    ];
    query_all(connection, &sql, params, decode)
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<LoggedEvent> {
    Ok(LoggedEvent {
        position: Position(columns.take()?),
        event: Event {
            id: EventId(columns.uuid()?),
            client_id: ClientId(columns.uuid()?),
            user_id: columns.word("user ID")?,
            device: columns
                .maybe_uuid()?
                .map(DeviceId)
                .zip(columns.maybe_number()?),
            name: columns.take()?,
            created_at: columns.time()?,
            body: columns.take()?,
        },
    })
}
