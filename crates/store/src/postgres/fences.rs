//! The fences of the partitions: who raised one last may write, and nobody else.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::statement::{execute, query_all, sql};
use crate::{error::StoreResult, types::Fences};

/// Raises all fences.
pub(super) async fn take_all(connection: &mut PgConnection) -> StoreResult<Fences> {
    // Rows are locked in their order, as commits do.
    let lock = sql("select 1 from partitions order by partition for update");
    execute(connection, lock).await?;
    let raise = sql("update partitions set fence = fence + 1");
    execute(connection, raise).await?;
    let all = sql("select fence from partitions order by partition");
    query_all(connection, all, |columns| columns.number())
        .await
        .map(Fences)
}

/// The fences of some partitions, which stay as they are until the transaction ends: whoever wants
/// to raise one waits for it.
pub(super) async fn hold(
    connection: &mut PgConnection,
    partitions: Vec<i64>,
) -> StoreResult<HashMap<u16, u64>> {
    let hold = sql(
        "select partition::bigint, fence from partitions where partition = any($1::smallint[])
         order by partition for share",
    );
    let held = query_all(connection, hold.bind(partitions), |columns| {
        Ok((columns.number()?, columns.number()?))
    })
    .await?;
    Ok(held.into_iter().collect())
}
