//! What a starting server reads of every account and device, page by page in the order of the IDs.
//! IDs rise with time, so that order is nearly that of the rows on the disk; long documents lie
//! elsewhere and are not read.

use livewatt_domain::{
    account::AccountStatus,
    device::VendorDevice,
    id::{AccountId, ClientId, DeviceId},
    partition::Partitions,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    fences::some_of,
    statement::{json, query_all, sql},
};
use crate::{
    error::StoreResult,
    types::{FleetAccount, FleetDevice, LostDevice},
    values::read_told,
};

pub(super) async fn accounts(
    connection: &mut PgConnection,
    of: &Partitions,
    after: Option<AccountId>,
    limit: u32,
) -> StoreResult<Vec<FleetAccount>> {
    let page = sql("select id, client_id, integration, listed_at, schedule
         from accounts left join account_schedules on account_id = id
         where id > $1 and status = $2 and ($4 is null or partition = any($4)) order by id limit $3")
    .bind(after.map_or(Uuid::nil(), |id| id.0))
    .bind(json(&AccountStatus::Active)?)
    .bind(i64::from(limit))
    .bind(some_of(of));
    query_all(connection, page, |columns| {
        Ok(FleetAccount {
            id: AccountId(columns.uuid()?),
            client_id: ClientId(columns.uuid()?),
            integration: columns.take()?,
            listed_at: columns.maybe_time()?,
            schedule: columns.maybe_json("schedule")?,
        })
    })
    .await
}

pub(super) async fn devices(
    connection: &mut PgConnection,
    of: &Partitions,
    after: Option<DeviceId>,
    limit: u32,
) -> StoreResult<Vec<FleetDevice>> {
    let page = sql(
        "select id, account_id, kind, vendor_device_id, vendor, told, is_reachable, last_seen,
             fetched_at, is_active, is_asleep, missed_listings
         from devices join device_presence on device_id = id
         where id > $1 and ($3 is null or partition = any($3)) order by id limit $2",
    )
    .bind(after.map_or(Uuid::nil(), |id| id.0))
    .bind(i64::from(limit))
    .bind(some_of(of));
    query_all(connection, page, |columns| {
        Ok(FleetDevice {
            id: DeviceId(columns.uuid()?),
            account_id: AccountId(columns.uuid()?),
            vendor_device: VendorDevice {
                kind: columns.word("kind of device")?,
                id: columns.take()?,
            },
            vendor: columns.word("vendor")?,
            told: columns.maybe_json("times of blocks")?.map(read_told),
            is_reachable: columns.take()?,
            last_seen: columns.time()?,
            fetched_at: columns.maybe_time()?,
            is_active: columns.take()?,
            is_asleep: columns.take()?,
            missed_listings: columns.number()?,
        })
    })
    .await
}

/// The devices of accounts whose credentials are dead. The first condition is word for word that of
/// an index.
pub(super) async fn lost_devices(
    connection: &mut PgConnection,
    of: &Partitions,
) -> StoreResult<Vec<LostDevice>> {
    let lost = sql("select account_id, accounts.client_id, vendor, kind, told
         from accounts join devices on account_id = accounts.id
             join device_presence on device_id = devices.id
         where status <> '\"active\"' and status = $1
             and ($2 is null or accounts.partition = any($2))")
    .bind(json(&AccountStatus::Invalidated)?)
    .bind(some_of(of));
    query_all(connection, lost, |columns| {
        Ok(LostDevice {
            account_id: AccountId(columns.uuid()?),
            client_id: ClientId(columns.uuid()?),
            vendor: columns.word("vendor")?,
            kind: columns.word("kind of device")?,
            told: columns
                .maybe_json("times of blocks")?
                .map(read_told)
                .unwrap_or_default(),
        })
    })
    .await
}
