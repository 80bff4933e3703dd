//! Actions: commands to devices, and what became of them.

use livewatt_domain::{
    action::Action,
    id::{AccountId, ActionId, ClientId, DeviceId},
};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::statement::{Columns, execute, json, query_all, query_one, signed};
use crate::{
    actions::{ActionChange, PendingOf, StoredAction},
    error::{StoreError, StoreResult},
};

const COLUMNS: &str = "account_id, revision, action";

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: ActionId,
) -> StoreResult<Option<StoredAction>> {
    let sql = format!("select {COLUMNS} from actions where id = ? and client_id = ?");
    query_one(
        connection,
        &sql,
        [id.0.as_bytes(), client.0.as_bytes()],
        decode,
    )
}

pub(super) fn newest(
    connection: &Connection,
    device: DeviceId,
) -> StoreResult<Option<StoredAction>> {
    // IDs of one millisecond are in no order: the pending one is the newest whatever its ID.
    let sql = format!(
        "select {COLUMNS} from actions where device_id = ?
         order by ended_at is not null, id desc limit 1"
    );
    query_one(connection, &sql, [device.0.as_bytes()], decode)
}

pub(super) fn pending(connection: &Connection, of: &PendingOf) -> StoreResult<Vec<StoredAction>> {
    let (column, id): (&str, Uuid) = match of {
        PendingOf::Device(id) => ("device_id", id.0),
        PendingOf::Account(id) => ("account_id", id.0),
        // One program owns all partitions at once.
        PendingOf::Partitions(of) if of.is_empty() => return Ok(Vec::new()),
        PendingOf::Partitions(_) => {
            let sql = format!("select {COLUMNS} from actions where ended_at is null order by id");
            return query_all(connection, &sql, [], decode);
        }
    };
    let sql = format!(
        "select {COLUMNS} from actions where {column} = ? and ended_at is null order by id"
    );
    query_all(connection, &sql, [id.as_bytes()], decode)
}

/// Changes come first: one that ends makes room for the next of its device.
pub(super) fn save(connection: &Connection, changes: &[ActionChange]) -> StoreResult<()> {
    for change in changes {
        if let ActionChange::Update {
            action,
            account_id,
            from_revision,
        } = change
        {
            update(connection, action, *account_id, *from_revision)?;
        }
    }
    for change in changes {
        if let ActionChange::Insert { action, account_id } = change {
            insert(connection, action, *account_id)?;
        }
    }
    Ok(())
}

fn insert(connection: &Connection, action: &Action, account: AccountId) -> StoreResult<()> {
    execute(
        connection,
        "insert into actions (id, partition, client_id, user_id, account_id, device_id, revision,
             ended_at, action)
         values (?, ?, ?, ?, ?, ?, 1, ?, ?)",
        params![
            action.id.0.as_bytes(),
            account.partition(),
            action.client_id.0.as_bytes(),
            action.user_id.as_str(),
            account.0.as_bytes(),
            action.device_id.0.as_bytes(),
            action.completed_at.map(|at| at.as_millisecond()),
            json(action)?
        ],
    )?;
    Ok(())
}

fn update(
    connection: &Connection,
    action: &Action,
    account: AccountId,
    from_revision: u64,
) -> StoreResult<()> {
    let written = execute(
        connection,
        "update actions set partition = ?, account_id = ?, revision = revision + 1, ended_at = ?,
             action = ?
         where id = ? and revision = ?",
        params![
            account.partition(),
            account.0.as_bytes(),
            action.completed_at.map(|at| at.as_millisecond()),
            json(action)?,
            action.id.0.as_bytes(),
            signed(from_revision)
        ],
    )?;
    match written {
        0 => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<StoredAction> {
    Ok(StoredAction {
        account_id: AccountId(columns.uuid()?),
        revision: columns.number()?,
        action: columns.json("action")?,
    })
}
