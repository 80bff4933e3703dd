//! How far the log is exported.

use livewatt_domain::{id::ClientId, webhook::Position};
use sqlx::PgConnection;

use super::{
    fences,
    statement::{execute, query_all, sql},
};
use crate::{
    error::StoreResult,
    types::{ExportBehind, ExportStep},
};

pub(super) async fn behind(
    connection: &mut PgConnection,
    sink: &str,
) -> StoreResult<Vec<ExportBehind>> {
    let behind = sql(
        "select log_heads.client_id, coalesce(cursor, 0) from log_heads
         left join exports on sink = $1 and exports.client_id = log_heads.client_id
         where position > coalesce(cursor, 0) order by log_heads.client_id",
    );
    query_all(connection, behind.bind(sink.to_owned()), |columns| {
        Ok(ExportBehind {
            client_id: ClientId(columns.uuid()?),
            cursor: Position(columns.take()?),
        })
    })
    .await
}

pub(super) async fn save(connection: &mut PgConnection, step: &ExportStep) -> StoreResult<bool> {
    let ExportStep {
        sink,
        client_id,
        cursor,
        fence,
    } = step;
    fences::check(connection, *fence).await?;
    // The client is locked as its row in exports would lock it anyway.
    let save = sql("insert into exports (sink, client_id, cursor)
         select $1, id, $3 from clients where id = $2 for key share
         on conflict (sink, client_id) do update
         set cursor = greatest(exports.cursor, excluded.cursor)")
    .bind(sink.clone())
    .bind(client_id.0)
    .bind(cursor.0);
    Ok(execute(connection, save).await? > 0)
}
