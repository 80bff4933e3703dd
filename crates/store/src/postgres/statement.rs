//! The one way statements are run: prepared once per connection, rows decoded column by column.

use std::{future::Future, time::Duration};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{
    AssertSqlSafe, Decode, Executor, PgConnection, PgPool, Postgres, Row, SqlSafeStr, Transaction,
    Type,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

pub(super) use crate::values::{json, signed, unreadable};
use crate::{
    error::{BoxError, StoreError, StoreResult, unusable},
    values::time,
};

/// Longest wait for the server's answer to a statement. The server gives up its own sooner
/// (`statement_timeout`), so that whoever waits for longer waits at a connection that is dead and
/// nobody has said so: a machine or a network that went away sends no farewell.
const PATIENCE: Duration = Duration::from_secs(35);

/// What the server answered; an error if it does not.
pub(super) async fn answered<T, E: Into<StoreError>>(
    work: impl Future<Output = Result<T, E>>,
) -> StoreResult<T> {
    answered_within(PATIENCE, work).await
}

/// The same, with another patience. What it broke off may have been done all the same.
pub(super) async fn answered_within<T, E: Into<StoreError>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> StoreResult<T> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(unusable("used")(format!(
            "the server has not answered for {} s",
            patience.as_secs()
        ))),
    }
}

/// Begins a transaction.
pub(super) async fn begin(pool: &PgPool) -> StoreResult<Transaction<'static, Postgres>> {
    answered(pool.begin()).await
}

/// The same, begun by other words than `begin`.
pub(super) async fn begin_with(
    pool: &PgPool,
    words: impl SqlSafeStr,
) -> StoreResult<Transaction<'static, Postgres>> {
    answered(pool.begin_with(words)).await
}

/// Ends a transaction. If that fails, it may have been committed all the same.
pub(super) async fn commit(transaction: Transaction<'static, Postgres>) -> StoreResult<()> {
    answered(transaction.commit()).await
}

/// A statement with its parameters.
pub(super) type Statement = Query<'static, Postgres, PgArguments>;

/// A statement as it is written.
pub(super) fn sql(text: &'static str) -> Statement {
    sqlx::query(text)
}

/// A statement put together from column lists, conditions and numbers of this crate; values are
/// always parameters.
pub(super) fn composed(text: String) -> Statement {
    sqlx::query(AssertSqlSafe(text))
}

/// Runs a statement; returns the number of rows changed.
pub(super) async fn execute(
    connection: &mut PgConnection,
    statement: Statement,
) -> StoreResult<u64> {
    let done = answered(connection.execute(statement)).await?;
    Ok(done.rows_affected())
}

/// All rows of a query.
pub(super) async fn query_all<T>(
    connection: &mut PgConnection,
    statement: Statement,
    mut decode: impl FnMut(&mut Columns<'_>) -> StoreResult<T>,
) -> StoreResult<Vec<T>> {
    let rows = answered(connection.fetch_all(statement)).await?;
    rows.iter()
        .map(|row| decode(&mut Columns { row, next: 0 }))
        .collect()
}

/// The first row of a query, if any.
pub(super) async fn query_one<T>(
    connection: &mut PgConnection,
    statement: Statement,
    decode: impl FnOnce(&mut Columns<'_>) -> StoreResult<T>,
) -> StoreResult<Option<T>> {
    let row = answered(connection.fetch_optional(statement)).await?;
    row.map(|row| decode(&mut Columns { row: &row, next: 0 }))
        .transpose()
}

/// The columns of a row, taken from left to right: the fields of a value are read in the order in
/// which its column list names them.
pub(super) struct Columns<'a> {
    row: &'a PgRow,
    next: usize,
}

impl<'a> Columns<'a> {
    /// The next column as PostgreSQL gives it.
    pub(super) fn take<T: Decode<'a, Postgres> + Type<Postgres>>(&mut self) -> StoreResult<T> {
        let column = self.next;
        self.next += 1;
        self.row.try_get(column).map_err(unreadable("column"))
    }

    /// An identifier.
    pub(super) fn uuid(&mut self) -> StoreResult<Uuid> {
        self.take()
    }

    /// A time.
    pub(super) fn time(&mut self) -> StoreResult<Timestamp> {
        self.take().and_then(time)
    }

    /// A time or null.
    pub(super) fn maybe_time(&mut self) -> StoreResult<Option<Timestamp>> {
        self.take::<Option<_>>()?.map(time).transpose()
    }

    /// A whole number of any type.
    pub(super) fn number<T: TryFrom<i64, Error: Into<BoxError>>>(&mut self) -> StoreResult<T> {
        self.take::<i64>()?.try_into().map_err(unreadable("number"))
    }

    /// A whole number of any type, or null.
    pub(super) fn maybe_number<T: TryFrom<i64, Error: Into<BoxError>>>(
        &mut self,
    ) -> StoreResult<Option<T>> {
        let number = self.take::<Option<i64>>()?.map(TryInto::try_into);
        number.transpose().map_err(unreadable("number"))
    }

    /// A word of a type that is parsed.
    pub(super) fn word<T: std::str::FromStr<Err: Into<BoxError>>>(
        &mut self,
        what: &'static str,
    ) -> StoreResult<T> {
        self.take::<&str>()?.parse().map_err(unreadable(what))
    }

    /// A word of a type that is parsed, or null.
    pub(super) fn maybe_word<T: std::str::FromStr<Err: Into<BoxError>>>(
        &mut self,
        what: &'static str,
    ) -> StoreResult<Option<T>> {
        let word = self.take::<Option<&str>>()?.map(str::parse);
        word.transpose().map_err(unreadable(what))
    }

    /// A value stored as JSON.
    pub(super) fn json<T: DeserializeOwned>(&mut self, what: &'static str) -> StoreResult<T> {
        serde_json::from_str(self.take()?).map_err(unreadable(what))
    }

    /// A value stored as JSON, or null.
    pub(super) fn maybe_json<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
    ) -> StoreResult<Option<T>> {
        let text = self.take::<Option<&str>>()?;
        text.map(serde_json::from_str)
            .transpose()
            .map_err(unreadable(what))
    }
}
