//! The tables that hold events: one per day, so that old ones can be dropped whole.
//!
//! Slices are written one after the other and never again: positions rise from slice to slice, in
//! the order in which the slices begin, whatever their days. A clock that goes back over midnight
//! changes nothing; one that goes back further begins a new slice, so that what follows is kept for
//! as long as it should be, and no longer.

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::webhook::Position;
use rusqlite::{Connection, params};

use super::statement::{execute, exists, query_all, query_one};
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
        "select name, day from event_slices order by first_position desc limit 1",
        [],
        |columns| {
            Ok(Slice {
                name: columns.take()?,
                day: columns.take()?,
            })
        },
    )?;
    match newest {
        Some(newest) if (day..=day + 1).contains(&newest.day) => Ok(newest),
        _ => create(connection, at, next),
    }
}

/// The slices that hold positions above `after`, in order.
pub(super) fn above(connection: &Connection, after: Position) -> StoreResult<Vec<String>> {
    query_all(
        connection,
        "select name from event_slices where last_position is null or last_position > ?
         order by first_position",
        [after.0],
        |columns| columns.take(),
    )
}

/// The slices that can hold events of a moment or before, the newest first.
pub(super) fn until(connection: &Connection, at: Timestamp) -> StoreResult<Vec<String>> {
    // A slice also takes events of the day before its own.
    query_all(
        connection,
        "select name from event_slices where day <= ? order by first_position desc",
        [day_of(at) + 1],
        |columns| columns.take(),
    )
}

/// All slices.
pub(super) fn all(connection: &Connection) -> StoreResult<Vec<String>> {
    above(connection, Position(0))
}

/// The oldest slice, if it ended before `keep_from`, looking from `now`.
///
/// Slices go in the order in which they were written, so one that was written while the clock was
/// behind does not take those before it along. One dated in the future, from a clock that was ahead,
/// is as old as the next that is not.
pub(super) fn oldest_before(
    connection: &Connection,
    keep_from: Timestamp,
    now: Timestamp,
) -> StoreResult<Option<String>> {
    let slices = query_all(
        connection,
        "select name, day from event_slices order by first_position",
        [],
        |columns| {
            Ok(Slice {
                name: columns.take()?,
                day: columns.take()?,
            })
        },
    )?;
    let is_over = slices
        .iter()
        .find(|slice| slice.day <= day_of(now) + 1)
        .is_some_and(|slice| (slice.day + 1) * MILLISECONDS_PER_DAY <= keep_from.as_millisecond());
    Ok(slices
        .into_iter()
        .next()
        .filter(|_| is_over)
        .map(|slice| slice.name))
}

/// Takes a slice out of the log. Its table stays behind, for [`clear_away`].
pub(super) fn remove(connection: &Connection, name: &str) -> StoreResult<()> {
    execute(
        connection,
        "delete from event_slices where name = ?",
        [name],
    )?;
    Ok(())
}

/// Deletes up to `rows` rows of tables that are no longer part of the log, and such tables once
/// they are empty. False if there was nothing to do. Dropping a table of a large day at once would
/// hold up every write for seconds.
pub(super) fn clear_away(connection: &Connection, rows: u32) -> StoreResult<bool> {
    let leftover = query_one(
        connection,
        "select name from sqlite_schema
         where type = 'table' and name glob 'events_[0-9]*'
             and name not in (select name from event_slices)
         limit 1",
        [],
        |columns| columns.take::<String>(),
    )?;
    let Some(name) = leftover else {
        return Ok(false);
    };
    let sql = format!(
        "delete from {name} where position in
         (select position from {name} order by position limit ?)"
    );
    if connection.execute(&sql, [rows])? < rows as usize {
        connection.execute_batch(&format!("drop table {name}"))?;
    }
    Ok(true)
}

fn create(connection: &Connection, at: Timestamp, first: Position) -> StoreResult<Slice> {
    let day = day_of(at);
    let start = Timestamp::UNIX_EPOCH
        .saturating_add(SignedDuration::from_hours(24 * day))
        .unwrap_or(Timestamp::MAX);
    let mut name = start.strftime("events_%Y%m%d").to_string();
    let is_taken = "select 1 from sqlite_schema where name = ?";
    if exists(connection, is_taken, [&name])? {
        // The day comes again: the clock was wrong when it came first, or was set back.
        name = format!("{name}_{}", first.0);
    }
    execute(
        connection,
        "update event_slices set last_position = ? where last_position is null",
        [first.0 - 1],
    )?;
    // The first index serves the readers of a client's log, and of one lane of it, without a look
    // at the rows; the second serves erasure and
    // the past of one device, whose lane is its hash.
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
         create index {name}_by_user on {name} (client_id, user_id, lane_hash);"
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
