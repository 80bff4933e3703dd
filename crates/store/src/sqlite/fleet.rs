//! What a starting server reads of every account and device: from narrow rows and covering indexes
//! alone, page by page in the order of the IDs, so that a million take seconds and no memory.

use livewatt_domain::{
    account::AccountStatus,
    device::VendorDevice,
    id::{AccountId, DeviceId},
};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::statement::{json, query_all};
use crate::{
    error::StoreResult,
    types::{FleetAccount, FleetDevice},
};

pub(super) fn accounts(
    connection: &Connection,
    after: Option<AccountId>,
    limit: u32,
) -> StoreResult<Vec<FleetAccount>> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    query_all(
        connection,
        "select id, integration, listed_at, schedule
         from accounts indexed by accounts_of_fleet
         left join account_schedules on account_id = id
         where id > ? and status = ? order by id limit ?",
        params![after.as_bytes(), json(&AccountStatus::Active)?, limit],
        |columns| {
            Ok(FleetAccount {
                id: AccountId(columns.uuid()?),
                integration: columns.take()?,
                listed_at: columns.maybe_time()?,
                schedule: columns.maybe_json("schedule")?,
            })
        },
    )
}

pub(super) fn devices(
    connection: &Connection,
    after: Option<DeviceId>,
    limit: u32,
) -> StoreResult<Vec<FleetDevice>> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    query_all(
        connection,
        "select id, account_id, kind, vendor_device_id, last_seen, is_active, is_asleep,
             missed_listings
         from devices indexed by devices_of_fleet join device_presence on device_id = id
         where id > ? order by id limit ?",
        params![after.as_bytes(), limit],
        |columns| {
            Ok(FleetDevice {
                id: DeviceId(columns.uuid()?),
                account_id: AccountId(columns.uuid()?),
                vendor_device: VendorDevice {
                    kind: columns.word("kind of device")?,
                    id: columns.take()?,
                },
                last_seen: columns.time()?,
                is_active: columns.take()?,
                is_asleep: columns.take()?,
                missed_listings: columns.number()?,
            })
        },
    )
}
