//! Pages of rows by key: the creation time and ID of the row where the page before ended, so that
//! rows that come and go in between neither repeat nor hide others.

use rusqlite::{Connection, ToSql, types::Value};

use super::statement::{Columns, exists, query_all};
use crate::{
    error::StoreResult,
    types::{Page, PageFrom, PageKey, PageRequest},
};

/// A list that is read in pages, newest first.
#[derive(Clone, Copy)]
pub(super) struct Listing<'a> {
    pub(super) table: &'a str,
    pub(super) columns: &'a str,
    /// Which rows, with parameters from `?1`.
    pub(super) condition: &'a str,
    /// Values of the parameters of `condition`.
    pub(super) params: &'a [&'a dyn ToSql],
    /// The column with the creation time; the other half of the key is `id`.
    pub(super) at: &'a str,
    /// An ID as it is stored.
    pub(super) id: fn(&str) -> StoreResult<Value>,
}

#[derive(Debug, Clone, Copy)]
enum Towards {
    Older,
    Newer,
}

impl Listing<'_> {
    /// Reads a page.
    pub(super) fn page<T>(
        &self,
        connection: &Connection,
        request: &PageRequest,
        mut decode: impl FnMut(&mut Columns<'_, '_>) -> StoreResult<T>,
        key: impl Fn(&T) -> PageKey,
    ) -> StoreResult<Page<T>> {
        let size = request.size.max(1) as usize;
        let (towards, from) = match &request.from {
            PageFrom::Start => (Towards::Older, None),
            PageFrom::After(key) => (Towards::Older, Some(key)),
            PageFrom::Before(key) => (Towards::Newer, Some(key)),
        };
        // One more than wanted tells whether there are more.
        let sql = format!(
            "{} limit {}",
            self.sql(self.columns, towards, from.is_some()),
            size + 1
        );
        let mut items = self.with_key(from, |params| {
            query_all(connection, &sql, params, |columns| decode(columns))
        })?;
        let has_more = items.len() > size;
        items.truncate(size);
        if matches!(towards, Towards::Newer) {
            items.reverse();
        }
        let first = items.first().map(&key).or_else(|| from.cloned());
        let last = items.last().map(&key).or_else(|| from.cloned());
        let (older, newer) = match (towards, from) {
            (Towards::Older, None) => (has_more, false),
            (Towards::Older, Some(_)) => (has_more, self.has(connection, Towards::Newer, &first)?),
            (Towards::Newer, _) => (self.has(connection, Towards::Older, &last)?, has_more),
        };
        Ok(Page {
            items,
            older: last.filter(|_| older),
            newer: first.filter(|_| newer),
        })
    }

    /// Whether there are rows beyond a key.
    fn has(
        &self,
        connection: &Connection,
        towards: Towards,
        from: &Option<PageKey>,
    ) -> StoreResult<bool> {
        let sql = format!("{} limit 1", self.sql("1", towards, from.is_some()));
        self.with_key(from.as_ref(), |params| exists(connection, &sql, params))
    }

    fn sql(&self, columns: &str, towards: Towards, is_after_key: bool) -> String {
        let Self {
            table,
            condition,
            at,
            params,
            ..
        } = self;
        let (sign, order) = match towards {
            Towards::Older => ("<", "desc"),
            Towards::Newer => (">", "asc"),
        };
        let beyond = if is_after_key {
            format!(
                "and ({at}, id) {sign} (?{}, ?{})",
                params.len() + 1,
                params.len() + 2
            )
        } else {
            String::new()
        };
        format!(
            "select {columns} from {table} where {condition} {beyond} \
             order by {at} {order}, id {order}"
        )
    }

    fn with_key<R>(
        &self,
        key: Option<&PageKey>,
        query: impl FnOnce(&[&dyn ToSql]) -> StoreResult<R>,
    ) -> StoreResult<R> {
        let Some(key) = key else {
            return query(self.params);
        };
        let (at, id) = (key.at.as_millisecond(), (self.id)(&key.id)?);
        let mut params = self.params.to_vec();
        params.push(&at);
        params.push(&id);
        query(&params)
    }
}
