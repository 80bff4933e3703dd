//! End users.

use jiff::Timestamp;
use livewatt_domain::id::{ClientId, UserId};
use rusqlite::{Connection, params, types::Value};

use super::{
    energy, log,
    paging::Listing,
    past,
    statement::{Columns, execute, query_one},
};
use crate::{
    error::StoreResult,
    types::{Page, PageKey, PageRequest, User},
};

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<Option<User>> {
    query_one(
        connection,
        "select id, created_at from users where client_id = ? and id = ?",
        params![client.0.as_bytes(), user.as_str()],
        decode,
    )
}

pub(super) fn list(
    connection: &Connection,
    client: ClientId,
    page: &PageRequest,
) -> StoreResult<Page<User>> {
    let listing = Listing {
        table: "users",
        columns: "id, created_at",
        condition: "client_id = ?1",
        params: &[client.0.as_bytes()],
        at: "created_at",
        id: |id| Ok(Value::Text(id.to_owned())),
    };
    listing.page(connection, page, decode, |user| PageKey {
        at: user.created_at,
        id: user.id.to_string(),
    })
}

/// Adds a user unless there is one.
pub(super) fn ensure(
    connection: &Connection,
    client: ClientId,
    user: &UserId,
    now: Timestamp,
) -> StoreResult<()> {
    execute(
        connection,
        "insert into users (client_id, id, created_at) values (?, ?, ?) on conflict do nothing",
        params![client.0.as_bytes(), user.as_str(), now.as_millisecond()],
    )?;
    Ok(())
}

/// What belongs to the user goes with the row; the events are no children of it.
pub(super) fn delete(
    connection: &Connection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<bool> {
    log::erase_user(connection, client, user)?;
    energy::erase(connection, client, Some(user))?;
    past::erase(connection, client, Some(user))?;
    let deleted = execute(
        connection,
        "delete from users where client_id = ? and id = ?",
        params![client.0.as_bytes(), user.as_str()],
    )?;
    Ok(deleted > 0)
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<User> {
    Ok(User {
        id: columns.word("user ID")?,
        created_at: columns.time()?,
    })
}
