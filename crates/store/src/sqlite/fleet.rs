//! What a starting server reads of every account and device: from narrow rows and covering indexes
//! alone, page by page in the order of the IDs, so that a million take seconds and no memory.

use livewatt_domain::{
    account::AccountStatus,
    device::VendorDevice,
    id::{AccountId, ClientId, DeviceId},
    partition::Partitions,
};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::statement::{json, query_all};
pub(super) use crate::values::told;
use crate::{
    error::StoreResult,
    types::{FleetAccount, FleetDevice, LostDevice},
    values::read_told,
};

pub(super) fn accounts(
    connection: &Connection,
    of: &Partitions,
    after: Option<AccountId>,
    limit: u32,
) -> StoreResult<Vec<FleetAccount>> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let sql = format!(
        "select id, client_id, integration, listed_at, schedule
         from accounts indexed by accounts_of_fleet
         left join account_schedules on account_id = id
         where id > ?1 and status = ?2 {} order by id limit ?3",
        some_of(of, "partition"),
    );
    query_all(
        connection,
        &sql,
        params![after.as_bytes(), json(&AccountStatus::Active)?, limit],
        |columns| {
            Ok(FleetAccount {
                id: AccountId(columns.uuid()?),
                client_id: ClientId(columns.uuid()?),
                integration: columns.take()?,
                listed_at: columns.maybe_time()?,
                schedule: columns.maybe_json("schedule")?,
            })
        },
    )
}

pub(super) fn devices(
    connection: &Connection,
    of: &Partitions,
    after: Option<DeviceId>,
    limit: u32,
) -> StoreResult<Vec<FleetDevice>> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let sql = format!(
        "select id, account_id, kind, vendor_device_id, vendor, told, is_reachable, last_seen,
             fetched_at, is_active, is_asleep, missed_listings
         from devices indexed by devices_of_fleet join device_presence on device_id = id
         where id > ?1 {} order by id limit ?2",
        some_of(of, "partition"),
    );
    query_all(
        connection,
        &sql,
        params![after.as_bytes(), limit],
        |columns| {
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
        },
    )
}

/// The devices of accounts whose credentials are dead.
pub(super) fn lost_devices(
    connection: &Connection,
    of: &Partitions,
) -> StoreResult<Vec<LostDevice>> {
    // Few accounts are: their own index finds them, where the planner would walk all devices.
    let sql = format!(
        "select account_id, accounts.client_id, vendor, kind, told
         from accounts indexed by accounts_troubled
             cross join devices on account_id = accounts.id
             join device_presence on device_id = devices.id
         where status <> '\"active\"' and status = ?1 {}",
        some_of(of, "accounts.partition"),
    );
    query_all(
        connection,
        &sql,
        params![json(&AccountStatus::Invalidated)?],
        |columns| {
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
        },
    )
}

/// The condition that a column is one of the partitions; none for all of them, so that the covering
/// indexes, which lack it, suffice.
fn some_of(partitions: &Partitions, column: &str) -> String {
    if partitions.is_all() {
        return String::new();
    }
    let numbers: Vec<String> = partitions.iter().map(|number| number.to_string()).collect();
    format!("and {column} in ({})", numbers.join(","))
}
