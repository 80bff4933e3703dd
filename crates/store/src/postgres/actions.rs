//! Actions: commands to devices, and what became of them.

use std::collections::HashMap;

use livewatt_domain::{
    action::Action,
    id::{AccountId, ActionId, ClientId, DeviceId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    fences::some_of,
    statement::{Columns, composed, execute, json, query_all, query_one, sql},
};
use crate::{
    actions::{ActionChange, PendingOf, StoredAction},
    error::StoreResult,
};

const COLUMNS: &str = "account_id, revision, action";

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: ActionId,
) -> StoreResult<Option<StoredAction>> {
    let text = format!("select {COLUMNS} from actions where id = $1 and client_id = $2");
    query_one(connection, composed(text).bind(id.0).bind(client.0), decode).await
}

pub(super) async fn newest(
    connection: &mut PgConnection,
    device: DeviceId,
) -> StoreResult<Option<StoredAction>> {
    // IDs of one millisecond are in no order: the pending one is the newest whatever its ID.
    let text = format!(
        "select {COLUMNS} from actions where device_id = $1
         order by ended_at is not null, id desc limit 1"
    );
    query_one(connection, composed(text).bind(device.0), decode).await
}

pub(super) async fn pending(
    connection: &mut PgConnection,
    of: &PendingOf,
) -> StoreResult<Vec<StoredAction>> {
    let select = |condition: &str| {
        composed(format!(
            "select {COLUMNS} from actions where {condition} and ended_at is null order by id"
        ))
    };
    let pending = match of {
        PendingOf::Device(id) => select("device_id = $1").bind(id.0),
        PendingOf::Account(id) => select("account_id = $1").bind(id.0),
        PendingOf::Partitions(of) => {
            select("($1 is null or partition = any($1))").bind(some_of(of))
        }
    };
    query_all(connection, pending, decode).await
}

/// Locks actions, in the order of their IDs; those that are gone are left out. Yields their
/// revisions.
pub(super) async fn lock(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
) -> StoreResult<HashMap<Uuid, u64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let lock = sql("select id, revision from actions where id = any($1) order by id for update");
    let locked = query_all(connection, lock.bind(ids), |columns| {
        Ok((columns.uuid()?, columns.number()?))
    });
    Ok(locked.await?.into_iter().collect())
}

/// Writes actions; those that change are locked. Changes come first: one that ends makes room for the
/// next of its device.
pub(super) async fn save(
    connection: &mut PgConnection,
    changes: &[&ActionChange],
) -> StoreResult<()> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            ActionChange::Insert { action, account_id } => inserted.push((action, *account_id)),
            ActionChange::Update {
                action, account_id, ..
            } => updated.push((action, *account_id)),
        }
    }
    if !updated.is_empty() {
        let update = sql(
            "update actions set partition = row.partition, account_id = row.account_id,
                 revision = revision + 1, ended_at = row.ended_at, action = row.action
             from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[], $5::text[])
                 as row (id, partition, account_id, ended_at, action)
             where actions.id = row.id",
        )
        .bind(column(&updated, |action, _| action.id.0))
        .bind(column(&updated, |_, account| account.partition() as i16))
        .bind(column(&updated, |_, account| account.0))
        .bind(column(&updated, |action, _| ended_at(action)))
        .bind(texts(&updated)?);
        execute(connection, update).await?;
    }
    if !inserted.is_empty() {
        let insert = sql(
            "insert into actions (id, partition, client_id, user_id, account_id, device_id,
                 revision, ended_at, action)
             select id, partition, client_id, user_id, account_id, device_id, 1, ended_at, action
             from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $5::uuid[],
                     $6::uuid[], $7::bigint[], $8::text[])
                 as row (id, partition, client_id, user_id, account_id, device_id, ended_at, action)",
        )
        .bind(column(&inserted, |action, _| action.id.0))
        .bind(column(&inserted, |_, account| account.partition() as i16))
        .bind(column(&inserted, |action, _| action.client_id.0))
        .bind(column(&inserted, |action, _| action.user_id.to_string()))
        .bind(column(&inserted, |_, account| account.0))
        .bind(column(&inserted, |action, _| action.device_id.0))
        .bind(column(&inserted, |action, _| ended_at(action)))
        .bind(texts(&inserted)?);
        execute(connection, insert).await?;
    }
    Ok(())
}

/// Values of one column of many actions.
fn column<T>(rows: &[(&Action, AccountId)], value: impl Fn(&Action, AccountId) -> T) -> Vec<T> {
    rows.iter()
        .map(|(action, account)| value(action, *account))
        .collect()
}

fn texts(rows: &[(&Action, AccountId)]) -> StoreResult<Vec<String>> {
    rows.iter().map(|(action, _)| json(action)).collect()
}

fn ended_at(action: &Action) -> Option<i64> {
    action.completed_at.map(|at| at.as_millisecond())
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<StoredAction> {
    Ok(StoredAction {
        account_id: AccountId(columns.uuid()?),
        revision: columns.number()?,
        action: columns.json("action")?,
    })
}
