//! The partitions of the event log: one per day, so that old ones can be dropped whole.
//!
//! Slices are begun one after the other. A client's positions rise from slice to slice, in the
//! order in which those were begun, whatever their days: a clock that goes back over midnight
//! changes nothing; one that goes back further begins a new slice, so that what follows is kept for
//! as long as it should be, and no longer. That is why the partitions are numbered, and not cut by
//! the time of the events: a day may come twice, and one dated in the future goes in its turn.
//!
//! Each transaction that appends holds a shared lock on the slice; dropping one takes it alone.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use livewatt_domain::event::Event;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, raw_sql};

use super::{
    open::{self, CLEARING_LOCK, LOCKS, SLICE_LOCK, SLICE_LOCKS},
    statement::{self, composed, execute, query_all, query_one, sql},
};
use crate::error::StoreResult;

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    number: i64,
    /// Days since 1970, in UTC.
    day: i64,
}

impl Slice {
    /// Whether an event of a day goes here.
    fn takes(self, day: i64) -> bool {
        (day..=day + 1).contains(&self.day)
    }
}

/// The newest slice, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Slices {
    newest: Mutex<Option<Slice>>,
}

impl Slices {
    /// The slice of each event, in order; begins new ones if need be.
    pub(super) async fn assign(&self, pool: &PgPool, events: &[&Event]) -> StoreResult<Vec<i64>> {
        let mut newest = self.known();
        let mut assigned = Vec::with_capacity(events.len());
        for event in events {
            let day = day_of(event.created_at);
            let slice = match newest.filter(|newest| newest.takes(day)) {
                Some(slice) => slice,
                None => begin(pool, day).await?,
            };
            newest = Some(slice);
            assigned.push(slice.number);
        }
        self.set(newest);
        Ok(assigned)
    }

    /// Forgets what was known: somebody else began another, or dropped it.
    pub(super) fn forget(&self) {
        self.set(None);
    }

    fn known(&self) -> Option<Slice> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, slice: Option<Slice>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = slice;
    }
}

/// The newest slice if it takes events of a day, or a new one.
async fn begin(pool: &PgPool, day: i64) -> StoreResult<Slice> {
    let mut transaction = statement::begin(pool).await?;
    let lock = sql("select pg_advisory_xact_lock($1, $2)");
    execute(&mut transaction, lock.bind(LOCKS).bind(SLICE_LOCK)).await?;
    let newest = all(&mut transaction).await?.pop();
    if let Some(newest) = newest.filter(|newest| newest.takes(day)) {
        return Ok(newest);
    }
    let register = sql("insert into event_slices (day) values ($1) returning slice");
    let number = query_one(&mut transaction, register.bind(day), |columns| {
        columns.take::<i64>()
    });
    let number = number.await?.unwrap_or_default();
    make(&mut transaction, number).await?;
    statement::commit(transaction).await?;
    Ok(Slice { number, day })
}

/// Makes the partition of a slice.
pub(super) async fn make(connection: &mut PgConnection, number: i64) -> StoreResult<()> {
    // Made first and attached then, which does not keep out those who read or append meanwhile.
    let make = format!(
        "create table events_{number} (like events including all);
         alter table events_{number} add check (slice = {number});
         alter table events attach partition events_{number} for values in ({number})"
    );
    connection.execute(raw_sql(AssertSqlSafe(make))).await?;
    Ok(())
}

/// All slices, oldest first.
async fn all(connection: &mut PgConnection) -> StoreResult<Vec<Slice>> {
    let all = sql("select slice, day from event_slices order by slice");
    query_all(connection, all, |columns| {
        Ok(Slice {
            number: columns.take()?,
            day: columns.take()?,
        })
    })
    .await
}

/// The numbers of all slices, oldest first.
pub(super) async fn numbers(connection: &mut PgConnection) -> StoreResult<Vec<i64>> {
    let slices = all(connection).await?;
    Ok(slices.into_iter().map(|slice| slice.number).collect())
}

/// Of the slices those that can hold events of a moment or before.
pub(super) async fn until(connection: &mut PgConnection, at: Timestamp) -> StoreResult<Vec<i64>> {
    let slices = all(connection).await?.into_iter();
    // A slice also takes events of the day before its own.
    let until = slices.filter(|slice| slice.day <= day_of(at) + 1);
    Ok(until.map(|slice| slice.number).collect())
}

/// Takes the oldest slice out of the log if it ended before `keep_from`, looking from `now`; returns
/// whether it did. Its rows stay behind, for [`clear_away`].
///
/// Slices go in the order in which they were begun, so one that was written while the clock was
/// behind does not take those before it along. One dated in the future, from a clock that was ahead,
/// is as old as the next that is not.
pub(super) async fn drop_oldest(
    connection: &mut PgConnection,
    keep_from: Timestamp,
    now: Timestamp,
) -> StoreResult<bool> {
    // Most often there is nothing to drop, and so nobody to keep out.
    if oldest_over(connection, keep_from, now).await?.is_none() {
        return Ok(false);
    }
    let lock = sql("select pg_advisory_xact_lock($1, $2)");
    execute(connection, lock.bind(LOCKS).bind(SLICE_LOCK)).await?;
    let Some(oldest) = oldest_over(connection, keep_from, now).await? else {
        return Ok(false);
    };
    let alone = sql("select pg_advisory_xact_lock($1, $2::bigint::integer)");
    execute(connection, alone.bind(SLICE_LOCKS).bind(oldest.number)).await?;
    let heads = sql("select 1 from log_heads
         where client_id in (select client_id from log_slices where slice = $1)
         order by client_id for update");
    execute(connection, heads.bind(oldest.number)).await?;
    // A client's log now begins where its next slice does.
    let raise = sql("update log_heads set kept_from = coalesce(
             (select min(first_position) from log_slices as next
              where next.client_id = log_heads.client_id
                  and next.first_position > dropped.first_position),
             position + 1)
         from log_slices as dropped
         where dropped.client_id = log_heads.client_id and dropped.slice = $1");
    execute(connection, raise.bind(oldest.number)).await?;
    let delete = sql("delete from event_slices where slice = $1");
    execute(connection, delete.bind(oldest.number)).await?;
    Ok(true)
}

/// The oldest slice, if it ended before `keep_from`.
async fn oldest_over(
    connection: &mut PgConnection,
    keep_from: Timestamp,
    now: Timestamp,
) -> StoreResult<Option<Slice>> {
    let slices = all(connection).await?;
    let is_over = slices
        .iter()
        .find(|slice| slice.day <= day_of(now) + 1)
        .is_some_and(|slice| (slice.day + 1) * MILLISECONDS_PER_DAY <= keep_from.as_millisecond());
    Ok(slices.into_iter().next().filter(|_| is_over))
}

/// Drops the tables of slices that are no longer part of the log, also those that a server left
/// behind that was stopped in between. Readers and writers are not kept out: a partition is
/// detached once all who use it are done.
pub(super) async fn clear_away(pool: &PgPool) -> StoreResult<()> {
    if leftovers(&mut *pool.acquire().await?).await?.is_empty() {
        return Ok(());
    }
    // A connection of its own, whose patience is as long as need be.
    let mut connection = open::connect(&pool.connect_options()).await?;
    let patience = raw_sql("set statement_timeout = 0; set lock_timeout = 0");
    connection.execute(patience).await?;
    let lock = sql("select pg_try_advisory_lock($1, $2)");
    let lock = lock.bind(LOCKS).bind(CLEARING_LOCK);
    let is_ours = query_one(&mut connection, lock, |columns| columns.take::<bool>()).await?;
    if is_ours == Some(true) {
        drop_leftovers(&mut connection).await?;
    }
    // The lock goes with the connection.
    let _ = connection.close().await;
    Ok(())
}

/// Tables of slices that are no longer part of the log, and for those that are still partitions,
/// whether detaching them was begun.
async fn leftovers(connection: &mut PgConnection) -> StoreResult<Vec<(String, Option<bool>)>> {
    let leftovers = sql("select relname::text, inhdetachpending
         from pg_class left join pg_inherits on inhrelid = pg_class.oid
         where relkind = 'r' and relname ~ '^events_[0-9]+$'
             and relnamespace = (select relnamespace from pg_class where oid = 'events'::regclass)
             and not exists (select 1 from event_slices where relname = 'events_' || slice)
         order by pg_class.oid");
    query_all(connection, leftovers, |columns| {
        Ok((columns.take()?, columns.take()?))
    })
    .await
}

async fn drop_leftovers(connection: &mut PgConnection) -> StoreResult<()> {
    for (name, is_detach_pending) in leftovers(connection).await? {
        let how = match is_detach_pending {
            Some(false) => "concurrently",
            Some(true) => "finalize",
            None => "",
        };
        if !how.is_empty() {
            let detach = format!("alter table events detach partition {name} {how}");
            connection.execute(raw_sql(AssertSqlSafe(detach))).await?;
        }
        let drop = composed(format!("drop table {name}"));
        connection.execute(drop).await?;
    }
    Ok(())
}

fn day_of(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(MILLISECONDS_PER_DAY)
}
