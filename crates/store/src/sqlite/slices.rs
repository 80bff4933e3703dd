//! The tables that hold events: one per day, so that old ones can be dropped whole.
//!
//! Slices are written one after the other and never again: positions rise from slice to slice. So
//! when the clock goes back, events go to the newest slice all the same.

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::webhook::Position;
use rusqlite::{Connection, params};

use super::statement::{execute, query_all, query_one};
use crate::error::StoreResult;

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// A table of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    /// The table.
    pub(super) name: String,
    /// Days since 1970, in UTC.
    pub(super) day: i64,
}

/// The slice that an event of this moment goes to; made if need be. `next` is the event's
/// position.
pub(super) fn for_writing(
    connection: &Connection,
    at: Timestamp,
    next: Position,
) -> StoreResult<Slice> {
    let day = day_of(at);
    let newest = query_one(
        connection,
        "select name, day from event_slices order by day desc limit 1",
        [],
        |columns| {
            Ok(Slice {
                name: columns.take()?,
                day: columns.take()?,
            })
        },
    )?;
    match newest {
        Some(newest) if newest.day >= day => Ok(newest),
        _ => create(connection, at, next),
    }
}

/// The slices that hold positions above `after`, in order.
pub(super) fn above(connection: &Connection, after: Position) -> StoreResult<Vec<String>> {
    query_all(
        connection,
        "select name from event_slices where last_position is null or last_position > ?
         order by day",
        [after.0],
        |columns| columns.take(),
    )
}

/// All slices.
pub(super) fn all(connection: &Connection) -> StoreResult<Vec<String>> {
    above(connection, Position(0))
}

/// The oldest slice, if its day ends before `moment`.
pub(super) fn oldest_before(
    connection: &Connection,
    moment: Timestamp,
) -> StoreResult<Option<String>> {
    query_one(
        connection,
        "select name from event_slices where (day + 1) * ? <= ? order by day limit 1",
        [MILLISECONDS_PER_DAY, moment.as_millisecond()],
        |columns| columns.take(),
    )
}

/// Drops a slice.
pub(super) fn remove(connection: &Connection, name: &str) -> StoreResult<()> {
    execute(
        connection,
        "delete from event_slices where name = ?",
        [name],
    )?;
    connection.execute_batch(&format!("drop table {name}"))?;
    Ok(())
}

fn create(connection: &Connection, at: Timestamp, first: Position) -> StoreResult<Slice> {
    let day = day_of(at);
    let start = Timestamp::UNIX_EPOCH
        .saturating_add(SignedDuration::from_hours(24 * day))
        .unwrap_or(Timestamp::MAX);
    let name = start.strftime("events_%Y%m%d").to_string();
    execute(
        connection,
        "update event_slices set last_position = ? where last_position is null",
        [first.0 - 1],
    )?;
    // The first index serves the readers of a client's log, and of one lane of it, without a look
    // at the rows; the second serves erasure.
    connection.execute_batch(&format!(
        "create table {name} (
             position       integer primary key,
             id             blob not null,
             client_id      blob not null,
             user_id        text not null,
             device_id      blob,
             device_version integer,
             name           text not null,
             created_at     integer not null,
             lane_hash      integer not null,
             body           text not null
         ) strict;
         create index {name}_by_client on {name} (client_id, position, lane_hash);
         create index {name}_by_user on {name} (client_id, user_id);"
    ))?;
    execute(
        connection,
        "insert into event_slices (day, name, first_position) values (?, ?, ?)",
        params![day, name, first.0],
    )?;
    Ok(Slice { name, day })
}

fn day_of(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(MILLISECONDS_PER_DAY)
}
