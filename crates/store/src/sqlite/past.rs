//! Devices as they were. The log tells how; the devices of now and those that are gone tell which
//! there were.

use jiff::Timestamp;
use livewatt_domain::{
    id::{ClientId, DeviceId, UserId},
    kind::DeviceKind,
    webhook::{Position, lane_hash},
};
use rusqlite::{Connection, ToSql, params};

use super::{
    paging::Listing,
    slices,
    statement::{Columns, execute, query_one, uuid_key},
};
use crate::{
    error::StoreResult,
    past::{PastDevice, Presence, Witness},
    types::{Page, PageRequest},
};

const COLUMNS: &str = "id, user_id, kind, linked_at, document";

/// Notes a device that goes, before it does.
pub(super) fn note(connection: &Connection, id: DeviceId, at: Timestamp) -> StoreResult<()> {
    execute(
        connection,
        "insert into gone_devices
             (device_id, client_id, user_id, kind, linked_at, gone_at, document)
         select id, client_id, user_id, kind, linked_at, ?2, document from devices where id = ?1
         on conflict do nothing",
        params![id.0.as_bytes(), at.as_millisecond()],
    )?;
    Ok(())
}

/// Forgets the devices of a client, or of one user, that are gone.
pub(super) fn erase(
    connection: &Connection,
    client: ClientId,
    user: Option<&UserId>,
) -> StoreResult<()> {
    execute(
        connection,
        "delete from gone_devices where client_id = ?1 and user_id = coalesce(?2, user_id)",
        params![client.0.as_bytes(), user.map(UserId::as_str)],
    )?;
    Ok(())
}

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: DeviceId,
    at: Timestamp,
) -> StoreResult<Option<PastDevice>> {
    let sql = format!(
        "select {COLUMNS} from {} where client_id = ?1 and id = ?2",
        there(at)
    );
    let params = params![client.0.as_bytes(), id.0.as_bytes()];
    let there = query_one(connection, &sql, params, decode)?;
    let shown = there.map(|device| shown(connection, client, device, at));
    shown.transpose()
}

pub(super) fn list(
    connection: &Connection,
    client: ClientId,
    user: Option<&UserId>,
    kind: DeviceKind,
    at: Timestamp,
    page: &PageRequest,
) -> StoreResult<Page<PastDevice>> {
    let (table, kind) = (there(at), kind.name());
    let user = user.map(UserId::as_str);
    let of_user: [&dyn ToSql; 3] = [client.0.as_bytes(), &kind, &user];
    let listing = Listing {
        table: &table,
        columns: COLUMNS,
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
    let page = listing.page(connection, page, decode, Presence::key)?;
    let shown = page
        .items
        .into_iter()
        .map(|device| shown(connection, client, device, at));
    Ok(Page {
        items: shown.collect::<StoreResult<_>>()?,
        older: page.older,
        newer: page.newer,
    })
}

/// The devices that were there at a moment, as a table.
fn there(at: Timestamp) -> String {
    let at = at.as_millisecond();
    format!(
        "(select id, client_id, user_id, kind, linked_at, document from devices
          where linked_at <= {at}
          union all
          select device_id as id, client_id, user_id, kind, linked_at, document from gone_devices
          where linked_at <= {at} and gone_at > {at})"
    )
}

fn shown(
    connection: &Connection,
    client: ClientId,
    device: Presence,
    at: Timestamp,
) -> StoreResult<PastDevice> {
    let until = slices::until(connection, at)?;
    let until = witness(connection, client, &device, at, &until, "<=", "desc")?;
    let after = match until {
        Some(_) => None,
        None => {
            let all = slices::above(connection, Position(0))?;
            witness(connection, client, &device, at, &all, ">", "asc")?
        }
    };
    device.shown_by(until, after)
}

/// The first event about a device, in an order, that lies on a side of a moment.
fn witness(
    connection: &Connection,
    client: ClientId,
    device: &Presence,
    at: Timestamp,
    slices: &[String],
    side: &str,
    order: &str,
) -> StoreResult<Option<Witness>> {
    for slice in slices {
        let sql = format!(
            "select device_version, name, body from {slice}
             where client_id = ? and user_id = ? and lane_hash = ? and device_id = ?
                 and created_at {side} ?
             order by position {order} limit 1"
        );
        let params = params![
            client.0.as_bytes(),
            device.user.as_str(),
            lane_hash(Some(device.id), &device.user),
            device.id.0.as_bytes(),
            at.as_millisecond()
        ];
        let found = query_one(connection, &sql, params, |columns| {
            Ok(Witness {
                version: columns.number()?,
                name: columns.take()?,
                body: columns.take()?,
            })
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Presence> {
    Ok(Presence {
        id: DeviceId(columns.uuid()?),
        user: columns.word("user ID")?,
        kind: columns.word("kind of device")?,
        linked_at: columns.time()?,
        last: columns.take()?,
    })
}
