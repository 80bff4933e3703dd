//! Clients and their access tokens.

use jiff::Timestamp;
use livewatt_domain::{client::Client, id::ClientId};
use sqlx::PgConnection;

use super::{
    energy, log, past,
    statement::{Columns, execute, query_all, query_one, sql},
    users,
};
use crate::{error::StoreResult, types::StoredToken};

pub(super) async fn create(
    connection: &mut PgConnection,
    client: &Client,
    secret_hash: &str,
) -> StoreResult<()> {
    let insert = sql(
        "insert into clients (id, name, created_at, connection_limit, secret_hash)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(client.id.0)
    .bind(&client.name)
    .bind(client.created_at.as_millisecond())
    .bind(client.connection_limit.map(i64::from))
    .bind(secret_hash);
    execute(connection, insert).await?;
    Ok(())
}

pub(super) async fn create_first(
    connection: &mut PgConnection,
    client: &Client,
    secret_hash: &str,
) -> StoreResult<bool> {
    // Whoever comes second waits here, and then sees the first.
    execute(
        connection,
        sql("lock table clients in share row exclusive mode"),
    )
    .await?;
    if !list(connection).await?.is_empty() {
        return Ok(false);
    }
    create(connection, client, secret_hash).await?;
    Ok(true)
}

pub(super) async fn list(connection: &mut PgConnection) -> StoreResult<Vec<Client>> {
    let all = sql("select id, name, created_at, connection_limit from clients
                   order by created_at desc, id desc");
    query_all(connection, all, decode).await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    id: ClientId,
) -> StoreResult<Option<(Client, String)>> {
    let one = sql(
        "select id, name, created_at, connection_limit, secret_hash from clients
                   where id = $1",
    );
    query_one(connection, one.bind(id.0), |columns| {
        Ok((decode(columns)?, columns.take()?))
    })
    .await
}

pub(super) async fn rotate_secret(
    connection: &mut PgConnection,
    id: ClientId,
    secret_hash: &str,
) -> StoreResult<bool> {
    // First the client: a token that is just being issued waits for this, or this for it.
    let change = sql("update clients set secret_hash = $1 where id = $2");
    let changed = execute(connection, change.bind(secret_hash).bind(id.0)).await?;
    let revoke = sql("delete from tokens where client_id = $1");
    execute(connection, revoke.bind(id.0)).await?;
    Ok(changed > 0)
}

pub(super) async fn delete(connection: &mut PgConnection, id: ClientId) -> StoreResult<bool> {
    let lock = sql("select 1 from clients where id = $1 for update");
    execute(connection, lock.bind(id.0)).await?;
    users::lock_all(connection, id).await?;
    log::erase_client(connection, id).await?;
    energy::erase(connection, id, None).await?;
    past::erase(connection, id, None).await?;
    let delete = sql("delete from clients where id = $1");
    Ok(execute(connection, delete.bind(id.0)).await? > 0)
}

pub(super) async fn save_token(
    connection: &mut PgConnection,
    token: &StoredToken,
    now: Timestamp,
) -> StoreResult<()> {
    let insert = sql("insert into tokens (hash, client_id, expires_at) values ($1, $2, $3)")
        .bind(token.hash.as_slice())
        .bind(token.client_id.0)
        .bind(token.expires_at.as_millisecond());
    execute(connection, insert).await?;
    // Those that somebody else is deleting need not be waited for.
    let forget = sql("delete from tokens where hash in
             (select hash from tokens where expires_at <= $1 for update skip locked)");
    execute(connection, forget.bind(now.as_millisecond())).await?;
    Ok(())
}

pub(super) async fn find_token(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    now: Timestamp,
) -> StoreResult<Option<StoredToken>> {
    let one = sql("select client_id, expires_at from tokens where hash = $1 and expires_at > $2")
        .bind(hash.as_slice())
        .bind(now.as_millisecond());
    query_one(connection, one, |columns| {
        Ok(StoredToken {
            hash: *hash,
            client_id: ClientId(columns.uuid()?),
            expires_at: columns.time()?,
        })
    })
    .await
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<Client> {
    Ok(Client {
        id: ClientId(columns.uuid()?),
        name: columns.take()?,
        created_at: columns.time()?,
        connection_limit: columns.maybe_number()?,
    })
}
