//! What serves the running of an installation: checks, settings, retention.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::statement::{execute, query_all, query_one, unreadable};
use crate::{
    StoreFigures,
    error::{StoreError, StoreResult},
};

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

pub(super) fn figures(connection: &Connection) -> StoreResult<StoreFigures> {
    // The condition is word for word that of the index, or the index is not used.
    let sql = "select integration, status, count(*) from accounts where status <> '\"active\"' \
               group by integration, status order by integration, status";
    let troubled = query_all(connection, sql, [], |columns| {
        Ok((
            columns.take()?,
            columns.json("account status")?,
            columns.number()?,
        ))
    })?;
    let number = |sql| {
        let found = query_one(connection, sql, [], |columns| columns.number::<u64>())?;
        Ok::<u64, StoreError>(found.unwrap_or_default())
    };
    let page = number("pragma page_size")?;
    let wal = connection.path().map(|path| format!("{path}-wal"));
    Ok(StoreFigures {
        troubled,
        inactive_webhooks: number("select count(*) from webhooks where not is_active")?,
        database_bytes: page * number("pragma page_count")?,
        // Not there while nothing was written since the start.
        wal_bytes: wal
            .and_then(|wal| std::fs::metadata(wal).ok())
            .map_or(0, |file| file.len()),
        free_bytes: page * number("pragma freelist_count")?,
    })
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

/// Forgets delivery attempts, link sessions and actions that ended before a moment, and devices
/// that went before.
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
    execute(connection, "delete from actions where ended_at < ?", moment)?;
    execute(
        connection,
        "delete from gone_devices where gone_at < ?",
        moment,
    )?;
    Ok(())
}
