//! Sums of ages by the hour, and breaches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use livewatt_domain::{
    age::{AgeTally, Breach},
    id::{ClientId, DeviceId},
    kind::DeviceKind,
    partition::Partitions,
    vendor::VendorName,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    fences::some_of,
    open::{AGES_LOCK, LOCKS},
    statement::{Columns, Statement, composed, execute, json, query_all, sql},
};
use crate::{
    error::StoreResult,
    types::{AgeHour, AgeQuery, AgeState, BreachCount, BreachList, BreachRecord},
    values::block,
};

/// What a sum is about: client, hour, vendor, kind, block.
type Key = (Uuid, i64, String, String, String);

/// Adds sums to those stored. Those of a client that is gone are passed over.
///
/// One server at a time: two that add the first sum of an hour would each find none to add to.
pub(super) async fn add_hours(connection: &mut PgConnection, rows: &[AgeHour]) -> StoreResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let lock = sql("select pg_advisory_xact_lock($1, $2)");
    execute(connection, lock.bind(LOCKS).bind(AGES_LOCK)).await?;
    let mut sums: BTreeMap<Key, AgeTally> = BTreeMap::new();
    for row in rows {
        let key = (
            row.client_id.0,
            row.hour.as_millisecond(),
            row.vendor.as_str().to_owned(),
            row.kind.name().to_owned(),
            row.block.to_owned(),
        );
        sums.entry(key)
            .and_modify(|sum| sum.merge(&row.tally))
            .or_insert_with(|| row.tally.clone());
    }
    let stored = with_keys(
        sql(
            "select client_id, hour, vendor, kind, block, tally from age_hours
             where (client_id, hour, vendor, kind, block) in (select * from
                 unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[]))",
        ),
        &sums,
    );
    let stored = query_all(connection, stored, |columns| {
        let key: Key = (
            columns.uuid()?,
            columns.take()?,
            columns.take()?,
            columns.take()?,
            columns.take()?,
        );
        Ok((key, columns.json::<AgeTally>("tally")?))
    })
    .await?;
    for (key, tally) in &stored {
        if let Some(sum) = sums.get_mut(key) {
            sum.merge(tally);
        }
    }
    let tallies: StoreResult<Vec<_>> = sums.values().map(json).collect();
    let save = with_keys(
        sql(
            "insert into age_hours (client_id, hour, vendor, kind, block, tally)
             select row.* from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[],
                     $5::text[], $6::text[])
                 as row (client_id, hour, vendor, kind, block, tally)
                 join clients on clients.id = row.client_id
             order by clients.id for key share of clients
             on conflict (client_id, hour, vendor, kind, block) do update
             set tally = excluded.tally",
        ),
        &sums,
    );
    execute(connection, save.bind(tallies?)).await?;
    Ok(())
}

fn with_keys(statement: Statement, sums: &BTreeMap<Key, AgeTally>) -> Statement {
    statement
        .bind(sums.keys().map(|key| key.0).collect::<Vec<_>>())
        .bind(sums.keys().map(|key| key.1).collect::<Vec<_>>())
        .bind(sums.keys().map(|key| key.2.clone()).collect::<Vec<_>>())
        .bind(sums.keys().map(|key| key.3.clone()).collect::<Vec<_>>())
        .bind(sums.keys().map(|key| key.4.clone()).collect::<Vec<_>>())
}

/// Writes breaches that began or ended. The user is that of the device; a breach that is new and
/// has no device any more is passed over.
pub(super) async fn save_breaches(
    connection: &mut PgConnection,
    breaches: &[Breach],
) -> StoreResult<()> {
    for breach in breaches {
        let ended = breach.ended.map(Timestamp::as_millisecond);
        let update = sql("update age_breaches set ended = $1
             where device_id = $2 and block = $3 and began = $4")
        .bind(ended)
        .bind(breach.device.0)
        .bind(breach.block)
        .bind(breach.began.as_millisecond());
        if execute(connection, update).await? > 0 {
            continue;
        }
        let insert = sql(
            "insert into age_breaches (device_id, block, began, client_id, user_id, vendor, kind,
                 confirmed_at, ended, target_seconds, interval_seconds, reason, outcome, partition)
             select devices.id, $2, $3, devices.client_id, user_id, $4, $5, $6, $7, $8, $9, $10,
                 $11, devices.partition
             from devices join users on users.client_id = devices.client_id and users.id = user_id
             where devices.id = $1 for key share of users",
        )
        .bind(breach.device.0)
        .bind(breach.block)
        .bind(breach.began.as_millisecond())
        .bind(breach.vendor.as_str())
        .bind(breach.kind.name())
        .bind(breach.confirmed_at.as_millisecond())
        .bind(ended)
        .bind(i64::from(breach.target_seconds))
        .bind(i64::from(breach.interval_seconds))
        .bind(breach.reason.name())
        .bind(&breach.outcome);
        execute(connection, insert).await?;
    }
    Ok(())
}

pub(super) async fn save_counted_until(
    connection: &mut PgConnection,
    until: Timestamp,
    own: &Partitions,
) -> StoreResult<()> {
    let save = sql("update age_clocks set counted_until = $1
         where $2 is null or partition = any($2)");
    let save = save.bind(until.as_millisecond()).bind(some_of(own));
    execute(connection, save).await?;
    Ok(())
}

/// Until when time is counted in partitions, and the breaches that are open there.
pub(super) async fn state(connection: &mut PgConnection, of: &Partitions) -> StoreResult<AgeState> {
    let until = sql("select counted_until from age_clocks order by partition");
    let counted_until = query_all(connection, until, |columns| columns.maybe_time()).await?;
    let open = composed(format!(
        "select {COLUMNS} from age_breaches
         where ended is null and ($1 is null or partition = any($1))"
    ));
    let open = query_all(connection, open.bind(some_of(of)), decode).await?;
    let open = open.into_iter().flatten().map(|record| record.breach);
    Ok(AgeState {
        counted_until,
        open: open.collect(),
    })
}

/// Binds what a query asks about to the first five parameters.
fn about(statement: Statement, query: &AgeQuery) -> Statement {
    statement
        .bind(query.client_id.map(|id| id.0))
        .bind(query.from.as_millisecond())
        .bind(query.to.as_millisecond())
        .bind(query.kind.map(DeviceKind::name))
        .bind(query.vendor.as_ref().map(VendorName::as_str))
}

pub(super) async fn hours(
    connection: &mut PgConnection,
    query: &AgeQuery,
) -> StoreResult<Vec<AgeHour>> {
    let rows = sql(
        "select client_id, hour, vendor, kind, block, tally from age_hours
         where ($1 is null or client_id = $1) and hour >= $2 and hour < $3
           and ($4 is null or kind = $4) and ($5 is null or vendor = $5)
         order by hour, client_id, vendor, kind, block",
    );
    let rows = query_all(connection, about(rows, query), |columns| {
        let client_id = ClientId(columns.uuid()?);
        let hour = columns.time()?;
        let vendor = columns.word("vendor")?;
        let kind = columns.word("kind of device")?;
        let block = block(kind, columns.take()?);
        let tally = columns.json("tally")?;
        Ok(block.map(|block| AgeHour {
            client_id,
            hour,
            vendor,
            kind,
            block,
            tally,
        }))
    });
    Ok(rows.await?.into_iter().flatten().collect())
}

const COLUMNS: &str = "device_id, client_id, user_id, vendor, kind, block, confirmed_at, began, \
                       ended, target_seconds, interval_seconds, reason, outcome";

/// Breaches that touch the time asked about.
const TOUCHING: &str = "($1 is null or client_id = $1) and began < $3
           and (ended is null or ended > $2)
           and ($4 is null or kind = $4) and ($5 is null or vendor = $5)";

pub(super) async fn breaches(
    connection: &mut PgConnection,
    query: &AgeQuery,
    limit: u32,
) -> StoreResult<BreachList> {
    let newest = composed(format!(
        "select {COLUMNS} from age_breaches where {TOUCHING}
         order by began desc, device_id, block limit $6"
    ));
    let newest = about(newest, query).bind(i64::from(limit));
    let newest = query_all(connection, newest, decode).await?;
    let counts = composed(format!(
        "select vendor, kind, block, reason, count(*), count(*) - count(ended) from age_breaches
         where {TOUCHING} group by vendor, kind, block, reason
         order by vendor, kind, block, reason"
    ));
    let counts = query_all(connection, about(counts, query), |columns| {
        let vendor = columns.word("vendor")?;
        let kind = columns.word("kind of device")?;
        let block = block(kind, columns.take()?);
        let reason = columns.word("reason of a breach")?;
        let (count, open) = (columns.number()?, columns.number()?);
        Ok(block.map(|block| BreachCount {
            vendor,
            kind,
            block,
            reason,
            count,
            open,
        }))
    })
    .await?;
    Ok(BreachList {
        newest: newest.into_iter().flatten().collect(),
        counts: counts.into_iter().flatten().collect(),
    })
}

/// Forgets sums and ended breaches of before a moment.
pub(super) async fn forget_before(
    connection: &mut PgConnection,
    moment: Timestamp,
) -> StoreResult<()> {
    for forget in [
        sql("delete from age_hours where hour < $1"),
        sql("delete from age_breaches where ended < $1"),
    ] {
        execute(connection, forget.bind(moment.as_millisecond())).await?;
    }
    Ok(())
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<Option<BreachRecord>> {
    let device = DeviceId(columns.uuid()?);
    let client = ClientId(columns.uuid()?);
    let user_id = columns.word("user ID")?;
    let vendor = columns.word("vendor")?;
    let kind = columns.word("kind of device")?;
    let block = block(kind, columns.take()?);
    let confirmed_at = columns.time()?;
    let began = columns.time()?;
    let ended = columns.maybe_time()?;
    let target_seconds = columns.number()?;
    let interval_seconds = columns.number()?;
    let reason = columns.word("reason of a breach")?;
    let outcome = columns.take()?;
    Ok(block.map(|block| BreachRecord {
        user_id,
        breach: Breach {
            device,
            block,
            client,
            vendor,
            kind,
            confirmed_at,
            began,
            ended,
            target_seconds,
            interval_seconds,
            reason,
            outcome,
        },
    }))
}
