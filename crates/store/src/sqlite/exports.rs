//! How far the log is exported.

use livewatt_domain::{id::ClientId, webhook::Position};
use rusqlite::{Connection, params};

use super::statement::{execute, query_all};
use crate::{
    error::StoreResult,
    types::{ExportBehind, ExportStep},
};

pub(super) fn behind(connection: &Connection, sink: &str) -> StoreResult<Vec<ExportBehind>> {
    query_all(
        connection,
        "select log_heads.client_id, coalesce(cursor, 0) from log_heads
         left join exports on sink = ? and exports.client_id = log_heads.client_id
         where position > coalesce(cursor, 0) order by log_heads.client_id",
        [sink],
        |columns| {
            Ok(ExportBehind {
                client_id: ClientId(columns.uuid()?),
                cursor: Position(columns.take()?),
            })
        },
    )
}

pub(super) fn save(connection: &Connection, step: &ExportStep) -> StoreResult<bool> {
    let ExportStep {
        sink,
        client_id,
        cursor,
        // One program at a time: all clients are its own.
        fence: _,
    } = step;
    let saved = execute(
        connection,
        "insert into exports (sink, client_id, cursor)
         select ?1, ?2, ?3 where exists (select 1 from clients where id = ?2)
         on conflict (sink, client_id) do update set cursor = max(cursor, excluded.cursor)",
        params![sink, client_id.0.as_bytes(), cursor.0],
    )?;
    Ok(saved > 0)
}
