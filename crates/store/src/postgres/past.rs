//! Devices as they were. The log tells how; the devices of now and those that are gone tell which
//! there were.

use std::collections::HashMap;

use jiff::Timestamp;
use livewatt_domain::{
    id::{ClientId, DeviceId, UserId},
    kind::DeviceKind,
    webhook::lane_hash,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    paging::{KeyType, Listing},
    slices,
    statement::{Columns, composed, execute, query_all, query_one, sql},
};
use crate::{
    error::StoreResult,
    past::{PastDevice, Presence, Witness},
    types::{Page, PageRequest},
};

const COLUMNS: &str = "id, user_id, kind, linked_at, document";

/// Notes devices that go, before they do.
pub(super) async fn note(
    connection: &mut PgConnection,
    gone: &[(Uuid, Timestamp)],
) -> StoreResult<()> {
    let (ids, moments): (Vec<_>, Vec<_>) = gone
        .iter()
        .map(|(id, at)| (*id, at.as_millisecond()))
        .unzip();
    let note = sql("insert into gone_devices
             (device_id, client_id, user_id, kind, linked_at, gone_at, document)
         select devices.id, client_id, user_id, kind, linked_at, gone_at, document
         from unnest($1::uuid[], $2::bigint[]) as gone (id, gone_at)
             join devices on devices.id = gone.id
         on conflict do nothing");
    execute(connection, note.bind(ids).bind(moments)).await?;
    Ok(())
}

/// Forgets the devices of a client, or of one user, that are gone.
pub(super) async fn erase(
    connection: &mut PgConnection,
    client: ClientId,
    user: Option<&UserId>,
) -> StoreResult<()> {
    let user = user.map(|user| user.as_str().to_owned());
    let erase = sql("delete from gone_devices
         where client_id = $1 and user_id = coalesce($2, user_id)");
    execute(connection, erase.bind(client.0).bind(user)).await?;
    Ok(())
}

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: DeviceId,
    at: Timestamp,
) -> StoreResult<Option<PastDevice>> {
    let one = format!(
        "select {COLUMNS} from {} where client_id = $1 and id = $2",
        there(at)
    );
    let one = composed(one).bind(client.0).bind(id.0);
    let there = query_one(connection, one, decode).await?;
    let there = there.into_iter().collect();
    Ok(shown(connection, client, there, at).await?.pop())
}

pub(super) async fn list(
    connection: &mut PgConnection,
    client: ClientId,
    user: Option<&UserId>,
    kind: DeviceKind,
    at: Timestamp,
    page: &PageRequest,
) -> StoreResult<Page<PastDevice>> {
    let table = there(at);
    let listing = Listing {
        table: &table,
        columns: COLUMNS,
        client,
        kind: Some(kind),
        user,
        at: "linked_at",
        key: KeyType::Uuid,
    };
    let page = listing.page(connection, page, decode, Presence::key);
    let page = page.await?;
    Ok(Page {
        items: shown(connection, client, page.items, at).await?,
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
          where linked_at <= {at} and gone_at > {at}) as there"
    )
}

async fn shown(
    connection: &mut PgConnection,
    client: ClientId,
    devices: Vec<Presence>,
    at: Timestamp,
) -> StoreResult<Vec<PastDevice>> {
    let until = slices::until(connection, at).await?;
    let mut until = witnesses(connection, client, &devices, at, until, "<=", "desc").await?;
    let open = || {
        devices
            .iter()
            .filter(|device| !until.contains_key(&device.id))
    };
    let mut after = match open().next() {
        Some(_) => {
            let open: Vec<_> = open().collect();
            let all = slices::numbers(connection).await?;
            witnesses(connection, client, open, at, all, ">", "asc").await?
        }
        None => HashMap::new(),
    };
    let shown = devices.into_iter().map(|device| {
        let (until, after) = (until.remove(&device.id), after.remove(&device.id));
        device.shown_by(until, after)
    });
    shown.collect()
}

/// Of each device the first event, in an order, that lies on a side of a moment. A client's positions
/// rise from slice to slice, so its slices are read in turn and no further than to that event.
async fn witnesses<'a>(
    connection: &mut PgConnection,
    client: ClientId,
    devices: impl IntoIterator<Item = &'a Presence>,
    at: Timestamp,
    slices: Vec<i64>,
    side: &str,
    order: &str,
) -> StoreResult<HashMap<DeviceId, Witness>> {
    let (mut ids, mut users, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    for device in devices {
        ids.push(device.id.0);
        users.push(device.user.to_string());
        lanes.push(i64::from(lane_hash(Some(device.id), &device.user)));
    }
    let read = composed(format!(
        "select wanted.id, device_version, name, body
         from unnest($1::uuid[], $2::text[], $3::bigint[]) as wanted (id, user_id, lane_hash)
         cross join lateral (
             select device_version, name, body from events
             where slice = any($4) and client_id = $5 and events.user_id = wanted.user_id
                 and events.lane_hash = wanted.lane_hash and device_id = wanted.id
                 and created_at {side} $6
             order by position {order} limit 1
         ) as witness"
    ))
    .bind(ids)
    .bind(users)
    .bind(lanes)
    .bind(slices)
    .bind(client.0)
    .bind(at.as_millisecond());
    let found = query_all(connection, read, |columns| {
        let id = DeviceId(columns.uuid()?);
        let witness = Witness {
            version: columns.number()?,
            name: columns.take()?,
            body: columns.take()?,
        };
        Ok((id, witness))
    });
    Ok(found.await?.into_iter().collect())
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<Presence> {
    Ok(Presence {
        id: DeviceId(columns.uuid()?),
        user: columns.word("user ID")?,
        kind: columns.word("kind of device")?,
        linked_at: columns.time()?,
        last: columns.take()?,
    })
}
