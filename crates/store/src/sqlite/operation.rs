//! What serves the running of an installation: checks, settings, retention.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::statement::{execute, query_one, unreadable};
use crate::error::StoreResult;

pub(super) fn check_writing(connection: &Connection) -> StoreResult<()> {
    execute(connection, "update write_checks set done = done + 1", [])?;
    Ok(())
}

pub(super) fn check_reading(connection: &Connection) -> StoreResult<()> {
    query_one(connection, "select done from write_checks", [], |columns| {
        columns.take::<i64>()
    })?;
    Ok(())
}

pub(super) fn remember(connection: &Connection, name: &str, value: &str) -> StoreResult<String> {
    execute(
        connection,
        "insert into settings (name, value) values (?, ?) on conflict do nothing",
        [name, value],
    )?;
    let sql = "select value from settings where name = ?";
    query_one(connection, sql, [name], |columns| columns.take())?
        .ok_or("it is not there")
        .map_err(unreadable("setting"))
}

/// Forgets delivery attempts and link sessions that ended before a moment.
pub(super) fn forget_before(connection: &Connection, moment: Timestamp) -> StoreResult<()> {
    let moment = params![moment.as_millisecond()];
    execute(
        connection,
        "delete from delivery_attempts where at < ?",
        moment,
    )?;
    execute(
        connection,
        "delete from link_sessions where expires_at < ?",
        moment,
    )?;
    Ok(())
}
