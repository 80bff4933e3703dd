//! What serves the running of an installation: checks, settings, retention.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::statement::{execute, query_all, query_one, sql, unreadable};
use crate::{StoreFigures, error::StoreResult};

pub(super) async fn check_writing(connection: &mut PgConnection) -> StoreResult<()> {
    let write = sql("update write_checks set done = done + 1");
    execute(connection, write).await?;
    Ok(())
}

pub(super) async fn check_reading(connection: &mut PgConnection) -> StoreResult<()> {
    let read = sql("select done from write_checks");
    query_one(connection, read, |columns| columns.take::<i64>()).await?;
    Ok(())
}

pub(super) async fn figures(connection: &mut PgConnection) -> StoreResult<StoreFigures> {
    // The condition is word for word that of the index, or the index is not used.
    let troubled = sql(
        "select integration, status, count(*) from accounts where status <> '\"active\"'
         group by integration, status order by integration, status",
    );
    let troubled = query_all(connection, troubled, |columns| {
        Ok((
            columns.take()?,
            columns.json("account status")?,
            columns.number()?,
        ))
    })
    .await?;
    let numbers = sql("select (select count(*) from webhooks where not is_active),
                pg_database_size(current_database())");
    let numbers = query_one(connection, numbers, |columns| {
        Ok((columns.number()?, columns.number()?))
    });
    let (inactive_webhooks, database_bytes) = numbers.await?.unwrap_or_default();
    Ok(StoreFigures {
        troubled,
        inactive_webhooks,
        database_bytes,
        // Both are the server's business.
        wal_bytes: 0,
        free_bytes: 0,
    })
}

pub(super) async fn remember(
    connection: &mut PgConnection,
    name: &str,
    value: &str,
) -> StoreResult<String> {
    let insert = sql("insert into settings (name, value) values ($1, $2) on conflict do nothing");
    execute(connection, insert.bind(name).bind(value)).await?;
    let stored = sql("select value from settings where name = $1");
    query_one(connection, stored.bind(name), |columns| columns.take())
        .await?
        .ok_or("it is not there")
        .map_err(unreadable("setting"))
}

/// Forgets delivery attempts, link sessions and actions that ended before a moment, and devices
/// that went before.
pub(super) async fn forget_before(
    connection: &mut PgConnection,
    moment: Timestamp,
) -> StoreResult<()> {
    for forget in [
        sql("delete from delivery_attempts where number in
                 (select number from delivery_attempts where at < $1 order by number for update)"),
        sql("delete from link_sessions where id in
                 (select id from link_sessions where expires_at < $1 order by id for update)"),
        sql("delete from actions where id in
                 (select id from actions where ended_at < $1 order by id for update)"),
        sql("delete from gone_devices where (device_id, gone_at) in
                 (select device_id, gone_at from gone_devices where gone_at < $1
                  order by device_id, gone_at for update)"),
    ] {
        execute(connection, forget.bind(moment.as_millisecond())).await?;
    }
    Ok(())
}
