//! Devices.

use jiff::Timestamp;
use livewatt_domain::{
    device::{Device, DeviceText, UpdatedBlocks, VendorDevice},
    id::{AccountId, ClientId, DeviceId, UserId},
    kind::DeviceKind,
};
use rusqlite::{Connection, ToSql, params};

use super::{
    fleet,
    paging::Listing,
    past,
    statement::{Columns, execute, json, query_all, query_one, signed, uuid_key},
};
use crate::{
    error::{StoreError, StoreResult},
    types::{DeviceChange, Page, PageKey, PageRequest},
};

const COLUMNS: &str = "id, client_id, user_id, account_id, kind, vendor_device_id, vendor, \
                       linked_at, version, document, stamps, last_seen, is_asleep, missed_listings";

const TEXT_COLUMNS: &str = "id, kind, linked_at, version, document, stamps, last_seen";

const TABLES: &str = "devices join device_presence on device_id = id";

pub(super) fn of_account(connection: &Connection, id: AccountId) -> StoreResult<Vec<Device>> {
    let sql = format!("select {COLUMNS} from {TABLES} where account_id = ? order by linked_at, id");
    query_all(connection, &sql, [id.0.as_bytes()], decode)
}

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: DeviceId,
) -> StoreResult<Option<Device>> {
    let sql = format!("select {COLUMNS} from {TABLES} where id = ? and client_id = ?");
    query_one(
        connection,
        &sql,
        [id.0.as_bytes(), client.0.as_bytes()],
        decode,
    )
}

pub(super) fn list(
    connection: &Connection,
    client: ClientId,
    user: Option<&UserId>,
    kind: DeviceKind,
    page: &PageRequest,
) -> StoreResult<Page<Device>> {
    let of_kind = OfKind { client, user, kind };
    of_kind.page(connection, page, COLUMNS, decode, |device| {
        (device.linked_at, device.id)
    })
}

pub(super) fn find_text(
    connection: &Connection,
    client: ClientId,
    id: DeviceId,
) -> StoreResult<Option<DeviceText>> {
    query_one(
        connection,
        &format!("select {TEXT_COLUMNS} from {TABLES} where id = ? and client_id = ?"),
        [id.0.as_bytes(), client.0.as_bytes()],
        decode_text,
    )
}

pub(super) fn list_texts(
    connection: &Connection,
    client: ClientId,
    user: Option<&UserId>,
    kind: DeviceKind,
    page: &PageRequest,
) -> StoreResult<Page<DeviceText>> {
    let of_kind = OfKind { client, user, kind };
    of_kind.page(connection, page, TEXT_COLUMNS, decode_text, |device| {
        (device.linked_at, device.id)
    })
}

/// A client's devices of a kind, of one user if given.
struct OfKind<'a> {
    client: ClientId,
    user: Option<&'a UserId>,
    kind: DeviceKind,
}

impl OfKind<'_> {
    fn page<T>(
        &self,
        connection: &Connection,
        page: &PageRequest,
        columns: &str,
        decode: impl FnMut(&mut Columns<'_, '_>) -> StoreResult<T>,
        key: impl Fn(&T) -> (Timestamp, DeviceId),
    ) -> StoreResult<Page<T>> {
        let (client, kind) = (self.client.0.as_bytes(), self.kind.name());
        let user = self.user.map(UserId::as_str);
        let of_user: [&dyn ToSql; 3] = [client, &kind, &user];
        let listing = Listing {
            table: TABLES,
            columns,
            condition: match user {
                Some(_) => "client_id = ?1 and kind = ?2 and user_id = ?3",
                None => "client_id = ?1 and kind = ?2",
            },
            params: if user.is_some() {
                &of_user
            } else {
                &of_user[..2]
            },
            at: "linked_at",
            id: uuid_key,
        };
        listing.page(connection, page, decode, |row| {
            let (at, id) = key(row);
            PageKey {
                at,
                id: id.to_string(),
            }
        })
    }
}

pub(super) fn change(connection: &Connection, change: &DeviceChange) -> StoreResult<()> {
    match change {
        DeviceChange::Insert(device) => insert(connection, device),
        DeviceChange::Update {
            device,
            from_version,
        } => update(connection, device, *from_version),
        DeviceChange::Delete {
            id,
            from_version,
            at,
        } => {
            past::note(connection, *id, *at)?;
            let deleted = execute(
                connection,
                "delete from devices where id = ? and version = ?",
                params![id.0.as_bytes(), signed(*from_version)],
            )?;
            if deleted == 0 {
                Err(StoreError::Conflict)
            } else {
                Ok(())
            }
        }
    }
}

fn insert(connection: &Connection, device: &Device) -> StoreResult<()> {
    execute(
        connection,
        "insert into devices (id, partition, client_id, user_id, account_id, kind,
             vendor_device_id, vendor, linked_at, version, document, stamps)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            device.id.0.as_bytes(),
            device.account_id.partition(),
            device.client_id.0.as_bytes(),
            device.user_id.as_str(),
            device.account_id.0.as_bytes(),
            device.kind().name(),
            device.vendor_device.id,
            device.vendor.as_str(),
            device.linked_at.as_millisecond(),
            signed(device.version),
            json(&device.document)?,
            json(&device.stamps)?
        ],
    )?;
    execute(
        connection,
        "insert into device_presence
             (device_id, last_seen, is_active, is_asleep, missed_listings, told, is_reachable)
         values (?, ?, ?, ?, ?, ?, ?)",
        params![
            device.id.0.as_bytes(),
            device.last_seen.as_millisecond(),
            device.is_active(),
            device.is_asleep,
            device.missed_listings,
            fleet::told(&device.stamps)?,
            device.is_reachable()
        ],
    )?;
    Ok(())
}

/// In three statements: presence has rows of its own, and the columns of the last hardly ever
/// change and would have all indexes written anew.
fn update(connection: &Connection, device: &Device, from_version: u64) -> StoreResult<()> {
    let changed = execute(
        connection,
        "update devices set version = ?, document = ?, stamps = ?
         where id = ? and client_id = ? and version = ?",
        params![
            signed(device.version),
            json(&device.document)?,
            json(&device.stamps)?,
            device.id.0.as_bytes(),
            device.client_id.0.as_bytes(),
            signed(from_version)
        ],
    )?;
    if changed == 0 {
        return Err(StoreError::Conflict);
    }
    execute(
        connection,
        "update device_presence set last_seen = max(last_seen, ?), is_active = ?, is_asleep = ?,
             missed_listings = ?, told = ?, is_reachable = ?
         where device_id = ?",
        params![
            device.last_seen.as_millisecond(),
            device.is_active(),
            device.is_asleep,
            device.missed_listings,
            fleet::told(&device.stamps)?,
            device.is_reachable(),
            device.id.0.as_bytes()
        ],
    )?;
    execute(
        connection,
        "update devices set partition = ?2, user_id = ?3, account_id = ?4, kind = ?5,
             vendor_device_id = ?6, vendor = ?7, linked_at = ?8
         where id = ?1
           and (user_id, account_id, kind, vendor_device_id, vendor, linked_at)
               is not (?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            device.id.0.as_bytes(),
            device.account_id.partition(),
            device.user_id.as_str(),
            device.account_id.0.as_bytes(),
            device.kind().name(),
            device.vendor_device.id,
            device.vendor.as_str(),
            device.linked_at.as_millisecond()
        ],
    )?;
    Ok(())
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Device> {
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

fn decode_text(columns: &mut Columns<'_, '_>) -> StoreResult<DeviceText> {
    let id = DeviceId(columns.uuid()?);
    let kind = columns.word("kind of device")?;
    Ok(DeviceText {
        id,
        kind,
        linked_at: columns.time()?,
        version: columns.number()?,
        document: columns.take()?,
        updated: columns.text("set of stamps", |text| UpdatedBlocks::read(kind, text))?,
        last_seen: columns.time()?,
    })
}
