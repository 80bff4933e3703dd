//! The partitions of samples: one per day, made on demand, so that old ones can be dropped whole.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, raw_sql};

use super::{
    open::{self, LOCKS, SAMPLES_LOCK},
    statement::{execute, query_all, query_one, sql},
};
use crate::{error::StoreResult, types::UnitOfWork};

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// The days that have their partition, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct SampleDays(Mutex<BTreeSet<i64>>);

impl SampleDays {
    /// Makes the partitions that units write to, where they are missing.
    pub(super) async fn make(&self, pool: &PgPool, units: &[&UnitOfWork]) -> StoreResult<()> {
        let histories = units.iter().flat_map(|unit| &unit.histories);
        let hours = histories.flat_map(|history| &history.change.hours);
        let days = self.missing(hours.map(|(hour, _)| hour.as_millisecond()));
        if days.is_empty() {
            return Ok(());
        }
        self.make_missing(&mut *pool.acquire().await?, days).await
    }

    /// Makes the partitions that hours belong to, in milliseconds of the epoch, where they are
    /// missing.
    pub(super) async fn make_for(
        &self,
        connection: &mut PgConnection,
        hours: impl Iterator<Item = i64>,
    ) -> StoreResult<()> {
        let days = self.missing(hours);
        self.make_missing(connection, days).await
    }

    fn missing(&self, hours: impl Iterator<Item = i64>) -> BTreeSet<i64> {
        let mut days: BTreeSet<_> = hours.map(day_of).collect();
        let known = self.known();
        days.retain(|day| !known.contains(day));
        days
    }

    async fn make_missing(
        &self,
        connection: &mut PgConnection,
        days: BTreeSet<i64>,
    ) -> StoreResult<()> {
        for day in days {
            make_day(connection, day).await?;
            self.known().insert(day);
        }
        Ok(())
    }

    /// Forgets what was known: somebody dropped a partition.
    pub(super) fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make_day(connection: &mut PgConnection, day: i64) -> StoreResult<()> {
    let mut transaction = connection.begin().await?;
    let lock = sql("select pg_advisory_xact_lock($1, $2)");
    execute(&mut transaction, lock.bind(LOCKS).bind(SAMPLES_LOCK)).await?;
    let name = name_of(day);
    let exists = sql("select to_regclass($1) is not null");
    let exists = query_one(&mut transaction, exists.bind(name.clone()), |columns| {
        columns.take::<bool>()
    });
    if exists.await? == Some(true) {
        return Ok(());
    }
    let (from, to) = (day * MILLISECONDS_PER_DAY, (day + 1) * MILLISECONDS_PER_DAY);
    // Made first and attached then, which does not keep out those who read or write meanwhile.
    let make = format!(
        "create table {name} (like sample_hours including all);
         alter table {name} add check (hour >= {from} and hour < {to});
         alter table sample_hours attach partition {name} for values from ({from}) to ({to})"
    );
    transaction.execute(raw_sql(AssertSqlSafe(make))).await?;
    transaction.commit().await?;
    Ok(())
}

/// Drops the days that were over before a moment. Readers and writers are not kept out: a
/// partition is detached once all who use it are done.
pub(super) async fn drop_before(pool: &PgPool, moment: Timestamp) -> StoreResult<()> {
    let first_kept = name_of(day_of(moment.as_millisecond()));
    // Names are of one length and order for all days that anybody lives to see.
    let over = sql("select relname::text, inhdetachpending
         from pg_class left join pg_inherits on inhrelid = pg_class.oid
         where relkind = 'r' and relname ~ '^sample_hours_[0-9]{8}$' and relname < $1
             and relnamespace =
                 (select relnamespace from pg_class where oid = 'sample_hours'::regclass)
         order by relname");
    let over = query_all(
        &mut *pool.acquire().await?,
        over.bind(first_kept),
        |columns| Ok((columns.take::<String>()?, columns.take::<Option<bool>>()?)),
    )
    .await?;
    if over.is_empty() {
        return Ok(());
    }
    // A connection of its own, whose patience is as long as need be.
    let mut connection = open::connect(&pool.connect_options()).await?;
    let patience = raw_sql("set statement_timeout = 0; set lock_timeout = 0");
    connection.execute(patience).await?;
    let lock = sql("select pg_try_advisory_lock($1, $2)");
    let lock = lock.bind(LOCKS).bind(SAMPLES_LOCK);
    let is_ours = query_one(&mut connection, lock, |columns| columns.take::<bool>()).await?;
    if is_ours == Some(true) {
        for (name, is_detach_pending) in over {
            let how = match is_detach_pending {
                Some(false) => "concurrently",
                Some(true) => "finalize",
                None => "",
            };
            if !how.is_empty() {
                let detach = format!("alter table sample_hours detach partition {name} {how}");
                connection.execute(raw_sql(AssertSqlSafe(detach))).await?;
            }
            let drop = format!("drop table {name}");
            connection.execute(raw_sql(AssertSqlSafe(drop))).await?;
        }
    }
    // The lock goes with the connection.
    let _ = connection.close().await;
    Ok(())
}

fn day_of(millisecond: i64) -> i64 {
    millisecond.div_euclid(MILLISECONDS_PER_DAY)
}

fn name_of(day: i64) -> String {
    let start = Timestamp::UNIX_EPOCH
        .saturating_add(SignedDuration::from_hours(24 * day))
        .unwrap_or(Timestamp::MAX);
    start.strftime("sample_hours_%Y%m%d").to_string()
}
