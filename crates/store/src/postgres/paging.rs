//! Pages of rows by key: the creation time and ID of the row where the page before ended, so that
//! rows that come and go in between neither repeat nor hide others.

use livewatt_domain::{
    id::{ClientId, UserId},
    kind::DeviceKind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::statement::{Columns, Statement, composed, query_all, query_one, unreadable};
use crate::{
    error::StoreResult,
    types::{Page, PageFrom, PageKey, PageRequest},
};

/// What the IDs of a list are.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyType {
    Uuid,
    Text,
}

/// A list of a client's rows that is read in pages, newest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing<'a> {
    pub(super) table: &'a str,
    pub(super) columns: &'a str,
    pub(super) client: ClientId,
    /// Only those of a kind.
    pub(super) kind: Option<DeviceKind>,
    /// Only those of a user.
    pub(super) user: Option<&'a UserId>,
    /// The column with the creation time; the other half of the key is `id`.
    pub(super) at: &'a str,
    pub(super) key: KeyType,
}

#[derive(Debug, Clone, Copy)]
enum Towards {
    Older,
    Newer,
}

impl Listing<'_> {
    /// Reads a page.
    pub(super) async fn page<T>(
        &self,
        connection: &mut PgConnection,
        request: &PageRequest,
        decode: impl FnMut(&mut Columns<'_>) -> StoreResult<T>,
        key: impl Fn(&T) -> PageKey,
    ) -> StoreResult<Page<T>> {
        let size = request.size.max(1) as usize;
        let (towards, from) = match &request.from {
            PageFrom::Start => (Towards::Older, None),
            PageFrom::After(key) => (Towards::Older, Some(key)),
            PageFrom::Before(key) => (Towards::Newer, Some(key)),
        };
        // One more than wanted tells whether there are more.
        let rows = self.statement(self.columns, towards, from, size + 1)?;
        let mut items = query_all(connection, rows, decode).await?;
        let has_more = items.len() > size;
        items.truncate(size);
        if matches!(towards, Towards::Newer) {
            items.reverse();
        }
        let first = items.first().map(&key).or_else(|| from.cloned());
        let last = items.last().map(&key).or_else(|| from.cloned());
        let (older, newer) = match (towards, from) {
            (Towards::Older, None) => (has_more, false),
            (Towards::Older, Some(_)) => {
                let newer = self.has(connection, Towards::Newer, &first).await?;
                (has_more, newer)
            }
            (Towards::Newer, _) => {
                let older = self.has(connection, Towards::Older, &last).await?;
                (older, has_more)
            }
        };
        Ok(Page {
            items,
            older: last.filter(|_| older),
            newer: first.filter(|_| newer),
        })
    }

    /// Whether there are rows beyond a key.
    async fn has(
        &self,
        connection: &mut PgConnection,
        towards: Towards,
        from: &Option<PageKey>,
    ) -> StoreResult<bool> {
        let row = self.statement("1", towards, from.as_ref(), 1)?;
        let found = query_one(connection, row, |_| Ok(())).await?;
        Ok(found.is_some())
    }

    fn statement(
        &self,
        columns: &str,
        towards: Towards,
        from: Option<&PageKey>,
        limit: usize,
    ) -> StoreResult<Statement> {
        let Self { table, at, .. } = self;
        let (sign, order) = match towards {
            Towards::Older => ("<", "desc"),
            Towards::Newer => (">", "asc"),
        };
        let mut parameters = 1..;
        let mut next = || parameters.next().unwrap_or_default();
        let mut text = format!(
            "select {columns} from {table} where client_id = ${}",
            next()
        );
        if self.kind.is_some() {
            text += &format!(" and kind = ${}", next());
        }
        if self.user.is_some() {
            text += &format!(" and user_id = ${}", next());
        }
        if from.is_some() {
            text += &format!(" and ({at}, id) {sign} (${}, ${})", next(), next());
        }
        text += &format!(" order by {at} {order}, id {order} limit {limit}");
        let mut statement = composed(text).bind(self.client.0);
        if let Some(kind) = self.kind {
            statement = statement.bind(kind.name());
        }
        if let Some(user) = self.user {
            statement = statement.bind(user.as_str());
        }
        let Some(from) = from else {
            return Ok(statement);
        };
        let statement = statement.bind(from.at.as_millisecond());
        Ok(match self.key {
            // Text of the database cannot hold it, and so no key can be a real one.
            KeyType::Text if from.id.contains('\0') => {
                return Err(unreadable("page key")("it contains a NUL"));
            }
            KeyType::Text => statement.bind(&from.id),
            KeyType::Uuid => {
                let id = Uuid::try_parse(&from.id).map_err(unreadable("page key"))?;
                statement.bind(id)
            }
        })
    }
}
