//! Clients and their access tokens.

use jiff::Timestamp;
use livewatt_domain::{client::Client, id::ClientId};
use rusqlite::{Connection, params};

use super::{
    energy, log, past,
    statement::{Columns, execute, exists, query_all, query_one},
};
use crate::{error::StoreResult, types::StoredToken};

const COLUMNS: &str = "id, name, created_at, connection_limit";

pub(super) fn create(
    connection: &Connection,
    client: &Client,
    secret_hash: &str,
) -> StoreResult<()> {
    execute(
        connection,
        "insert into clients (id, name, created_at, connection_limit, secret_hash)
         values (?, ?, ?, ?, ?)",
        params![
            client.id.0.as_bytes(),
            client.name,
            client.created_at.as_millisecond(),
            client.connection_limit,
            secret_hash
        ],
    )?;
    Ok(())
}

pub(super) fn create_first(
    connection: &Connection,
    client: &Client,
    secret_hash: &str,
) -> StoreResult<bool> {
    let is_first = !exists(connection, "select 1 from clients", [])?;
    if is_first {
        create(connection, client, secret_hash)?;
    }
    Ok(is_first)
}

pub(super) fn list(connection: &Connection) -> StoreResult<Vec<Client>> {
    let sql = format!("select {COLUMNS} from clients order by created_at desc, id desc");
    query_all(connection, &sql, [], decode)
}

pub(super) fn find(connection: &Connection, id: ClientId) -> StoreResult<Option<(Client, String)>> {
    let sql = format!("select {COLUMNS}, secret_hash from clients where id = ?");
    query_one(connection, &sql, [id.0.as_bytes()], |columns| {
        Ok((decode(columns)?, columns.take()?))
    })
}

pub(super) fn rotate_secret(
    connection: &Connection,
    id: ClientId,
    secret_hash: &str,
) -> StoreResult<bool> {
    execute(
        connection,
        "delete from tokens where client_id = ?",
        [id.0.as_bytes()],
    )?;
    let changed = execute(
        connection,
        "update clients set secret_hash = ? where id = ?",
        params![secret_hash, id.0.as_bytes()],
    )?;
    Ok(changed > 0)
}

pub(super) fn delete(connection: &Connection, id: ClientId) -> StoreResult<bool> {
    log::erase_client(connection, id)?;
    energy::erase(connection, id, None)?;
    past::erase(connection, id, None)?;
    Ok(execute(
        connection,
        "delete from clients where id = ?",
        [id.0.as_bytes()],
    )? > 0)
}

pub(super) fn save_token(
    connection: &Connection,
    token: &StoredToken,
    now: Timestamp,
) -> StoreResult<()> {
    execute(
        connection,
        "delete from tokens where expires_at <= ?",
        [now.as_millisecond()],
    )?;
    execute(
        connection,
        "insert into tokens (hash, client_id, expires_at) values (?, ?, ?)",
        params![
            token.hash,
            token.client_id.0.as_bytes(),
            token.expires_at.as_millisecond()
        ],
    )?;
    Ok(())
}

pub(super) fn find_token(
    connection: &Connection,
    hash: &[u8; 32],
    now: Timestamp,
) -> StoreResult<Option<StoredToken>> {
    query_one(
        connection,
        "select client_id, expires_at from tokens where hash = ? and expires_at > ?",
        params![hash, now.as_millisecond()],
        |columns| {
            Ok(StoredToken {
                hash: *hash,
                client_id: ClientId(columns.uuid()?),
                expires_at: columns.time()?,
            })
        },
    )
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Client> {
    Ok(Client {
        id: ClientId(columns.uuid()?),
        name: columns.take()?,
        created_at: columns.time()?,
        connection_limit: columns.maybe_number()?,
    })
}
