//! The fences of the partitions: who raised one last may write, and nobody else.
//!
//! Whoever writes shares one lock, and reads the fences while it holds it; whoever raises fences
//! takes the lock alone, so that it waits for every transaction that has read the old ones. The lock
//! is in the server's memory: locks of rows would write to them at every commit.

use std::collections::HashMap;

use livewatt_domain::{id::PARTITIONS, partition::Partitions};
use sqlx::PgConnection;

use super::{
    open::{FENCE_LOCK, LOCKS},
    statement::{execute, query_all, sql},
};
use crate::{
    error::{StoreError, StoreResult},
    types::{Fence, Fences},
};

/// Takes the right to raise fences, for the rest of the transaction.
pub(super) async fn lock(connection: &mut PgConnection) -> StoreResult<()> {
    let lock = sql("select pg_advisory_xact_lock($1, $2)");
    execute(connection, lock.bind(LOCKS).bind(FENCE_LOCK)).await?;
    Ok(())
}

/// Raises all fences.
pub(super) async fn take_all(connection: &mut PgConnection) -> StoreResult<Fences> {
    lock(connection).await?;
    let raise = sql("update partitions set fence = fence + 1");
    execute(connection, raise).await?;
    let all = sql("select fence from partitions order by partition");
    query_all(connection, all, |columns| columns.number())
        .await
        .map(Fences)
}

/// Takes all partitions from whoever owns them.
pub(super) async fn take_away(connection: &mut PgConnection) -> StoreResult<()> {
    lock(connection).await?;
    let take = sql(
        "update partitions set fence = fence + 1, owner = null, incarnation = null,
             expires_at = '-infinity'",
    );
    execute(connection, take).await?;
    Ok(())
}

/// The fences of some partitions, which stay as they are until the transaction ends: whoever wants
/// to raise one waits for it.
pub(super) async fn hold(
    connection: &mut PgConnection,
    partitions: impl IntoIterator<Item = u16>,
) -> StoreResult<HashMap<u16, u64>> {
    let partitions: Vec<i16> = partitions
        .into_iter()
        .filter(|partition| *partition < PARTITIONS)
        .filter_map(|partition| i16::try_from(partition).ok())
        .collect();
    if partitions.is_empty() {
        return Ok(HashMap::new());
    }
    let share = sql("select pg_advisory_xact_lock_shared($1, $2)");
    execute(connection, share.bind(LOCKS).bind(FENCE_LOCK)).await?;
    let held = sql("select partition::bigint, fence from partitions where partition = any($1)");
    let held = query_all(connection, held.bind(partitions), |columns| {
        Ok((columns.number()?, columns.number()?))
    });
    Ok(held.await?.into_iter().collect())
}

/// Those partitions for which the fences still hold; all if nobody else can write.
pub(super) async fn still_held(
    connection: &mut PgConnection,
    fences: Option<&[Fence]>,
) -> StoreResult<Partitions> {
    let Some(fences) = fences else {
        return Ok(Partitions::ALL);
    };
    let stored = hold(connection, fences.iter().map(|fence| fence.partition)).await?;
    Ok(fences
        .iter()
        .filter(|fence| stored.get(&fence.partition) == Some(&fence.number))
        .map(|fence| fence.partition)
        .collect())
}

/// Fails unless the fence still holds.
pub(super) async fn check(connection: &mut PgConnection, fence: Option<Fence>) -> StoreResult<()> {
    let Some(fence) = fence else {
        return Ok(());
    };
    let stored = hold(connection, [fence.partition]).await?;
    match stored.get(&fence.partition) {
        Some(number) if *number == fence.number => Ok(()),
        _ => Err(StoreError::Fenced {
            partition: fence.partition,
        }),
    }
}

/// Partitions as a parameter; `None` for all of them, which no row need be asked about.
pub(super) fn some_of(partitions: &Partitions) -> Option<Vec<i16>> {
    let numbers = partitions
        .iter()
        .filter_map(|partition| i16::try_from(partition).ok());
    (!partitions.is_all()).then(|| numbers.collect())
}
