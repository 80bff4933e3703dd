//! End users.

use jiff::Timestamp;
use livewatt_domain::id::{ClientId, UserId};
use sqlx::PgConnection;

use super::{
    energy, log,
    paging::{KeyType, Listing},
    past,
    statement::{Columns, execute, query_one, sql},
};
use crate::{
    error::StoreResult,
    types::{Page, PageKey, PageRequest, User},
};

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<Option<User>> {
    let one = sql("select id, created_at from users where client_id = $1 and id = $2")
        .bind(client.0)
        .bind(user.as_str());
    query_one(connection, one, decode).await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    client: ClientId,
    page: &PageRequest,
) -> StoreResult<Page<User>> {
    let listing = Listing {
        table: "users",
        columns: "id, created_at",
        client,
        kind: None,
        user: None,
        at: "created_at",
        key: KeyType::Text,
    };
    let key = |user: &User| PageKey {
        at: user.created_at,
        id: user.id.to_string(),
    };
    listing.page(connection, page, decode, key).await
}

/// Adds a user unless there is one.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    client: ClientId,
    user: &UserId,
    now: Timestamp,
) -> StoreResult<()> {
    let insert = sql(
        "insert into users (client_id, id, created_at) values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(client.0)
    .bind(user.as_str())
    .bind(now.as_millisecond());
    execute(connection, insert).await?;
    Ok(())
}

/// What belongs to the user goes with the row; the events are no children of it.
///
/// Everything is locked first, in the order in which commits do, so that neither waits for the
/// other; and events are erased after that, so that no commit adds one behind our back.
pub(super) async fn delete(
    connection: &mut PgConnection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<bool> {
    for lock in [
        sql("select 1 from users where client_id = $1 and id = $2 for update"),
        sql("select 1 from accounts where client_id = $1 and user_id = $2 order by id for update"),
        sql(
            "select 1 from devices join device_presence on device_id = id
             where account_id in (select id from accounts where client_id = $1 and user_id = $2)
             order by id for update",
        ),
        sql("select 1 from schedules where client_id = $1 and user_id = $2 order by id for update"),
        sql("select 1 from smart_charging
             where account_id in (select id from accounts where client_id = $1 and user_id = $2)
             order by device_id for update"),
        sql("select 1 from hem_systems
             where account_id in (select id from accounts where client_id = $1 and user_id = $2)
             order by id for update"),
        sql(
            "select 1 from link_sessions where client_id = $1 and user_id = $2
             order by id for update",
        ),
    ] {
        execute(connection, lock.bind(client.0).bind(user.as_str())).await?;
    }
    log::erase_user(connection, client, user).await?;
    energy::erase(connection, client, Some(user)).await?;
    past::erase(connection, client, Some(user)).await?;
    let delete = sql("delete from users where client_id = $1 and id = $2");
    Ok(execute(connection, delete.bind(client.0).bind(user.as_str())).await? > 0)
}

/// Locks the users of a client and what they have, as [`delete`] does for one.
pub(super) async fn lock_all(connection: &mut PgConnection, client: ClientId) -> StoreResult<()> {
    for lock in [
        sql("select 1 from users where client_id = $1 order by client_id, id for update"),
        sql("select 1 from accounts where client_id = $1 order by id for update"),
        sql(
            "select 1 from devices join device_presence on device_id = id
             where account_id in (select id from accounts where client_id = $1)
             order by id for update",
        ),
        sql("select 1 from schedules where client_id = $1 order by id for update"),
        sql("select 1 from smart_charging where client_id = $1 order by device_id for update"),
        sql("select 1 from hem_systems
             where account_id in (select id from accounts where client_id = $1)
             order by id for update"),
        sql("select 1 from link_sessions where client_id = $1 order by id for update"),
    ] {
        execute(connection, lock.bind(client.0)).await?;
    }
    Ok(())
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<User> {
    Ok(User {
        id: columns.word("user ID")?,
        created_at: columns.time()?,
    })
}
