//! The one way statements are run: prepared once per connection, rows decoded column by column.

use rusqlite::{
    Connection, Params, Row,
    types::{FromSql, Value},
};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub(super) use crate::values::{json, signed, unreadable};
use crate::{
    error::{BoxError, StoreResult},
    values::time,
};

/// Runs a statement; returns the number of rows changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> StoreResult<usize> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

/// All rows of a query.
pub(super) fn query_all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut decode: impl FnMut(&mut Columns<'_, '_>) -> StoreResult<T>,
) -> StoreResult<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(decode(&mut Columns { row, next: 0 })?);
    }
    Ok(items)
}

/// The first row of a query, if any.
pub(super) fn query_one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl FnOnce(&mut Columns<'_, '_>) -> StoreResult<T>,
) -> StoreResult<Option<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    match rows.next()? {
        Some(row) => decode(&mut Columns { row, next: 0 }).map(Some),
        None => Ok(None),
    }
}

/// Whether a query yields a row.
pub(super) fn exists(connection: &Connection, sql: &str, params: impl Params) -> StoreResult<bool> {
    Ok(connection.prepare_cached(sql)?.exists(params)?)
}

/// The columns of a row, taken from left to right: the fields of a value are read in the order in
/// which its column list names them.
#[derive(Debug)]
pub(super) struct Columns<'a, 'stmt> {
    row: &'a Row<'stmt>,
    next: usize,
}

impl Columns<'_, '_> {
    /// The next column as SQLite gives it.
    pub(super) fn take<T: FromSql>(&mut self) -> StoreResult<T> {
        let column = self.next;
        self.next += 1;
        self.row.get(column).map_err(unreadable("column"))
    }

    /// An identifier.
    pub(super) fn uuid(&mut self) -> StoreResult<Uuid> {
        self.take().map(Uuid::from_bytes)
    }

    /// An identifier or null.
    pub(super) fn maybe_uuid(&mut self) -> StoreResult<Option<Uuid>> {
        Ok(self.take::<Option<_>>()?.map(Uuid::from_bytes))
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
        self.take::<String>()?.parse().map_err(unreadable(what))
    }

    /// A word of a type that is parsed, or null.
    pub(super) fn maybe_word<T: std::str::FromStr<Err: Into<BoxError>>>(
        &mut self,
        what: &'static str,
    ) -> StoreResult<Option<T>> {
        let word = self.take::<Option<String>>()?.map(|word| word.parse());
        word.transpose().map_err(unreadable(what))
    }

    /// A value stored as JSON.
    pub(super) fn json<T: DeserializeOwned>(&mut self, what: &'static str) -> StoreResult<T> {
        self.text(what, |text| serde_json::from_str(text))
    }

    /// What is read of a text.
    pub(super) fn text<T, E: Into<BoxError>>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> StoreResult<T> {
        let column = self.next;
        self.next += 1;
        let text = self.row.get_ref(column).map_err(unreadable(what))?;
        let text = text.as_str().map_err(unreadable(what))?;
        read(text).map_err(unreadable(what))
    }

    /// A value stored as JSON, or null.
    pub(super) fn maybe_json<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
    ) -> StoreResult<Option<T>> {
        let text = self.take::<Option<String>>()?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(unreadable(what))
    }
}

/// The ID of a page key whose rows have UUIDs, as it is stored.
pub(super) fn uuid_key(id: &str) -> StoreResult<Value> {
    let id = Uuid::try_parse(id).map_err(unreadable("page key"))?;
    Ok(Value::Blob(id.into_bytes().to_vec()))
}
