//! Letters between nodes: stored with what they are about, read by the owner of the partition.

use livewatt_domain::partition::Partitions;
use sqlx::PgConnection;

use super::{
    fences::some_of,
    statement::{execute, query_all, query_one, sql},
};
use crate::{
    cluster::{Letter, StoredLetter},
    error::StoreResult,
};

pub(super) async fn insert(connection: &mut PgConnection, letters: &[&Letter]) -> StoreResult<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let insert = sql("insert into letters (partition, body)
         select * from unnest($1::smallint[], $2::text[])")
    .bind(
        letters
            .iter()
            .map(|letter| letter.partition as i16)
            .collect::<Vec<_>>(),
    )
    .bind(
        letters
            .iter()
            .map(|letter| letter.body.clone())
            .collect::<Vec<_>>(),
    );
    execute(connection, insert).await?;
    Ok(())
}

/// Stores one letter; returns its number.
pub(super) async fn post(connection: &mut PgConnection, letter: &Letter) -> StoreResult<i64> {
    let insert = sql("insert into letters (partition, body) values ($1, $2) returning number")
        .bind(letter.partition as i16)
        .bind(letter.body.clone());
    let number = query_one(connection, insert, |columns| columns.take()).await?;
    Ok(number.unwrap_or_default())
}

/// The oldest letters of partitions. Two that were stored at the same time may be read out of the
/// order of their numbers; what follows from one another is stored one after the other.
pub(super) async fn read(
    connection: &mut PgConnection,
    of: &Partitions,
    limit: u32,
) -> StoreResult<Vec<StoredLetter>> {
    let read = sql("select number, partition::bigint, body from letters
         where $1 is null or partition = any($1) order by number limit $2")
    .bind(some_of(of))
    .bind(i64::from(limit));
    query_all(connection, read, |columns| {
        Ok(StoredLetter {
            number: columns.take()?,
            letter: Letter {
                partition: columns.number()?,
                body: columns.take()?,
            },
        })
    })
    .await
}

pub(super) async fn forget(connection: &mut PgConnection, numbers: Vec<i64>) -> StoreResult<()> {
    let forget = sql("delete from letters where number = any($1)");
    execute(connection, forget.bind(numbers)).await?;
    Ok(())
}

pub(super) async fn is_waiting(connection: &mut PgConnection, number: i64) -> StoreResult<bool> {
    let found = sql("select 1 from letters where number = $1").bind(number);
    Ok(query_one(connection, found, |_| Ok(())).await?.is_some())
}
