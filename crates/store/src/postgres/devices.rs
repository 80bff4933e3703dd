//! Devices.

use std::collections::HashMap;

use livewatt_domain::{
    device::{Device, VendorDevice},
    id::{AccountId, ClientId, DeviceId, UserId},
    kind::DeviceKind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    paging::{KeyType, Listing},
    statement::{Columns, composed, execute, json, query_all, query_one, signed, sql},
};
use crate::{
    error::StoreResult,
    types::{Page, PageKey, PageRequest},
    values::told,
};

const COLUMNS: &str = "id, client_id, user_id, account_id, kind, vendor_device_id, vendor, \
                       linked_at, version, document, stamps, last_seen, is_asleep, missed_listings";

const TABLES: &str = "devices join device_presence on device_id = id";

pub(super) async fn of_account(
    connection: &mut PgConnection,
    id: AccountId,
) -> StoreResult<Vec<Device>> {
    let text =
        format!("select {COLUMNS} from {TABLES} where account_id = $1 order by linked_at, id");
    query_all(connection, composed(text).bind(id.0), decode).await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: DeviceId,
) -> StoreResult<Option<Device>> {
    let text = format!("select {COLUMNS} from {TABLES} where id = $1 and client_id = $2");
    query_one(connection, composed(text).bind(id.0).bind(client.0), decode).await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    client: ClientId,
    user: Option<&UserId>,
    kind: DeviceKind,
    page: &PageRequest,
) -> StoreResult<Page<Device>> {
    let listing = Listing {
        table: TABLES,
        columns: COLUMNS,
        client,
        kind: Some(kind),
        user,
        at: "linked_at",
        key: KeyType::Uuid,
    };
    let key = |device: &Device| PageKey {
        at: device.linked_at,
        id: device.id.to_string(),
    };
    listing.page(connection, page, decode, key).await
}

/// What a device is by, which hardly ever changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    user_id: String,
    account_id: Uuid,
    kind: String,
    vendor_device_id: String,
    vendor: String,
    linked_at: i64,
}

impl From<&Device> for Identity {
    fn from(device: &Device) -> Self {
        Self {
            user_id: device.user_id.to_string(),
            account_id: device.account_id.0,
            kind: device.kind().name().to_owned(),
            vendor_device_id: device.vendor_device.id.clone(),
            vendor: device.vendor.as_str().to_owned(),
            linked_at: device.linked_at.as_millisecond(),
        }
    }
}

/// A device that is locked, as it is stored.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) client_id: ClientId,
    pub(super) version: u64,
    pub(super) identity: Identity,
}

/// Locks devices and their presence, in the order of their IDs; those that are gone are left out.
pub(super) async fn lock(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
) -> StoreResult<HashMap<DeviceId, Locked>> {
    let lock = sql(
        "select id, client_id, version, user_id, account_id, kind, vendor_device_id, vendor,
             linked_at
         from devices join device_presence on device_id = id
         where id = any($1) order by id for update",
    );
    let found = query_all(connection, lock.bind(ids), |columns| {
        let id = DeviceId(columns.uuid()?);
        let locked = Locked {
            client_id: ClientId(columns.uuid()?),
            version: columns.number()?,
            identity: Identity {
                user_id: columns.take()?,
                account_id: columns.uuid()?,
                kind: columns.take()?,
                vendor_device_id: columns.take()?,
                vendor: columns.take()?,
                linked_at: columns.take()?,
            },
        };
        Ok((id, locked))
    })
    .await?;
    Ok(found.into_iter().collect())
}

/// Values of one column of many devices.
fn column<T>(devices: &[&Device], value: impl Fn(&Device) -> T) -> Vec<T> {
    devices.iter().map(|device| value(device)).collect()
}

fn texts(
    devices: &[&Device],
    value: impl Fn(&Device) -> StoreResult<String>,
) -> StoreResult<Vec<String>> {
    devices.iter().map(|device| value(device)).collect()
}

pub(super) async fn insert(connection: &mut PgConnection, devices: &[&Device]) -> StoreResult<()> {
    let insert = sql(
        "insert into devices (id, partition, client_id, user_id, account_id, kind,
             vendor_device_id, vendor, linked_at, version, document, stamps)
         select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::uuid[],
             $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[],
             $12::text[])",
    )
    .bind(column(devices, |device| device.id.0))
    .bind(column(devices, |device| {
        i64::from(device.account_id.partition())
    }))
    .bind(column(devices, |device| device.client_id.0))
    .bind(column(devices, |device| device.user_id.to_string()))
    .bind(column(devices, |device| device.account_id.0))
    .bind(column(devices, |device| device.kind().name()))
    .bind(column(devices, |device| device.vendor_device.id.clone()))
    .bind(column(devices, |device| device.vendor.as_str().to_owned()))
    .bind(column(devices, |device| device.linked_at.as_millisecond()))
    .bind(column(devices, |device| signed(device.version)))
    .bind(texts(devices, |device| json(&device.document))?)
    .bind(texts(devices, |device| json(&device.stamps))?);
    execute(connection, insert).await?;
    let presence = sql("insert into device_presence
             (device_id, last_seen, is_active, is_asleep, missed_listings, told, is_reachable)
         select * from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::boolean[],
             $5::bigint[], $6::text[], $7::boolean[])")
    .bind(column(devices, |device| device.id.0))
    .bind(column(devices, |device| device.last_seen.as_millisecond()))
    .bind(column(devices, Device::is_active))
    .bind(column(devices, |device| device.is_asleep))
    .bind(column(devices, |device| i64::from(device.missed_listings)))
    .bind(texts(devices, |device| told(&device.stamps))?)
    .bind(column(devices, Device::is_reachable));
    execute(connection, presence).await?;
    Ok(())
}

/// Writes devices that are locked; of those in `moved`, also what they are by.
pub(super) async fn update(
    connection: &mut PgConnection,
    devices: &[&Device],
    moved: &[&Device],
) -> StoreResult<()> {
    let update = sql("with document as (
             update devices set version = row.version, document = row.document,
                 stamps = row.stamps
             from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[])
                 as row (id, version, document, stamps)
             where devices.id = row.id
         )
         update device_presence set last_seen = greatest(device_presence.last_seen, row.last_seen),
             is_active = row.is_active, is_asleep = row.is_asleep,
             missed_listings = row.missed_listings, told = row.told,
             is_reachable = row.is_reachable
         from unnest($1::uuid[], $5::bigint[], $6::boolean[], $7::boolean[], $8::bigint[],
                 $9::text[], $10::boolean[])
             as row (id, last_seen, is_active, is_asleep, missed_listings, told, is_reachable)
         where device_id = row.id")
    .bind(column(devices, |device| device.id.0))
    .bind(column(devices, |device| signed(device.version)))
    .bind(texts(devices, |device| json(&device.document))?)
    .bind(texts(devices, |device| json(&device.stamps))?)
    .bind(column(devices, |device| device.last_seen.as_millisecond()))
    .bind(column(devices, Device::is_active))
    .bind(column(devices, |device| device.is_asleep))
    .bind(column(devices, |device| i64::from(device.missed_listings)))
    .bind(texts(devices, |device| told(&device.stamps))?)
    .bind(column(devices, Device::is_reachable));
    execute(connection, update).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let identity = sql(
        "update devices set partition = row.partition, user_id = row.user_id,
             account_id = row.account_id, kind = row.kind,
             vendor_device_id = row.vendor_device_id, vendor = row.vendor,
             linked_at = row.linked_at
         from unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[],
                 $7::text[], $8::bigint[])
             as row (id, partition, user_id, account_id, kind, vendor_device_id, vendor, linked_at)
         where devices.id = row.id",
    )
    .bind(column(moved, |device| device.id.0))
    .bind(column(moved, |device| {
        i64::from(device.account_id.partition())
    }))
    .bind(column(moved, |device| device.user_id.to_string()))
    .bind(column(moved, |device| device.account_id.0))
    .bind(column(moved, |device| device.kind().name()))
    .bind(column(moved, |device| device.vendor_device.id.clone()))
    .bind(column(moved, |device| device.vendor.as_str().to_owned()))
    .bind(column(moved, |device| device.linked_at.as_millisecond()));
    execute(connection, identity).await?;
    Ok(())
}

pub(super) async fn delete(connection: &mut PgConnection, ids: Vec<Uuid>) -> StoreResult<()> {
    let delete = sql("delete from devices where id = any($1)");
    execute(connection, delete.bind(ids)).await?;
    Ok(())
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<Device> {
    Ok(Device {
        id: DeviceId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        user_id: columns.word("user ID")?,
        account_id: AccountId(columns.uuid()?),
        vendor_device: VendorDevice {
            kind: columns.word("kind of device")?,
            id: columns.take()?,
        },
        vendor: columns.word("vendor")?,
        linked_at: columns.time()?,
        version: columns.number()?,
        document: columns.json("document")?,
        stamps: columns.json("set of stamps")?,
        last_seen: columns.time()?,
        is_asleep: columns.take()?,
        missed_listings: columns.number()?,
    })
}
