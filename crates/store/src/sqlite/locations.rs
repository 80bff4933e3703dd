//! Locations, and what has still to follow from a change of one.

use livewatt_domain::{
    id::{ClientId, LocationId, UserId},
    location::{Location, MOST_PER_USER, Position},
    partition::Partitions,
};
use rusqlite::{Connection, ToSql, params};

use super::{
    paging::Listing,
    statement::{Columns, execute, query_all, query_one, uuid_key},
};
use crate::{
    error::{StoreError, StoreResult},
    places::{LocationChange, LocationPatch},
    types::{Page, PageKey, PageRequest},
};

pub(super) const COLUMNS: &str =
    "id, client_id, user_id, name, latitude, longitude, time_zone, created_at";

pub(super) fn create(connection: &Connection, location: &Location) -> StoreResult<bool> {
    let sql = "select count(*) from locations where client_id = ? and user_id = ?";
    let of_user = params![location.client_id.0.as_bytes(), location.user_id.as_str()];
    let count = query_one(connection, sql, of_user, |columns| columns.number::<u32>())?;
    if count.is_some_and(|count| count >= MOST_PER_USER) {
        return Ok(false);
    }
    execute(
        connection,
        "insert into locations (id, client_id, user_id, name, latitude, longitude, time_zone,
             created_at)
         values (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            location.id.0.as_bytes(),
            location.client_id.0.as_bytes(),
            location.user_id.as_str(),
            location.name,
            location.position.latitude,
            location.position.longitude,
            location.zone.name(),
            location.created_at.as_millisecond()
        ],
    )?;
    note_change(connection, location)?;
    Ok(true)
}

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: LocationId,
) -> StoreResult<Option<Location>> {
    let sql = format!("select {COLUMNS} from locations where id = ? and client_id = ?");
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
    page: &PageRequest,
) -> StoreResult<Page<Location>> {
    let client = client.0.as_bytes();
    let user = user.map(UserId::as_str);
    let of_user: [&dyn ToSql; 2] = [client, &user];
    let listing = Listing {
        table: "locations",
        columns: COLUMNS,
        condition: match user {
            Some(_) => "client_id = ?1 and user_id = ?2",
            None => "client_id = ?1",
        },
        params: if user.is_some() {
            &of_user
        } else {
            &of_user[..1]
        },
        at: "created_at",
        id: uuid_key,
    };
    listing.page(connection, page, decode, |location| PageKey {
        at: location.created_at,
        id: location.id.to_string(),
    })
}

pub(super) fn of_user(
    connection: &Connection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<Vec<Location>> {
    let sql = format!(
        "select {COLUMNS} from locations where client_id = ? and user_id = ?
         order by created_at, id"
    );
    let params = params![client.0.as_bytes(), user.as_str()];
    query_all(connection, &sql, params, decode)
}

pub(super) fn update(
    connection: &Connection,
    client: ClientId,
    id: LocationId,
    patch: &LocationPatch,
) -> StoreResult<Option<Location>> {
    let Some(before) = find(connection, client, id)? else {
        return Ok(None);
    };
    execute(
        connection,
        "update locations set name = coalesce(?, name), latitude = coalesce(?, latitude),
             longitude = coalesce(?, longitude), time_zone = coalesce(?, time_zone)
         where id = ?",
        params![
            patch.name,
            patch.latitude,
            patch.longitude,
            patch.zone.as_ref().map(|zone| zone.name()),
            id.0.as_bytes()
        ],
    )?;
    let after = find(connection, client, id)?.ok_or(StoreError::Conflict)?;
    if after.position != before.position || after.zone != before.zone {
        note_change(connection, &after)?;
    }
    Ok(Some(after))
}

pub(super) fn delete(
    connection: &Connection,
    client: ClientId,
    id: LocationId,
) -> StoreResult<Option<Location>> {
    let Some(location) = find(connection, client, id)? else {
        return Ok(None);
    };
    execute(
        connection,
        "delete from locations where id = ?",
        [id.0.as_bytes()],
    )?;
    note_change(connection, &location)?;
    Ok(Some(location))
}

fn note_change(connection: &Connection, location: &Location) -> StoreResult<()> {
    execute(
        connection,
        "insert into location_changes (partition, client_id, user_id, location_id)
         values (?, ?, ?, ?)",
        params![
            location.id.partition(),
            location.client_id.0.as_bytes(),
            location.user_id.as_str(),
            location.id.0.as_bytes()
        ],
    )?;
    Ok(())
}

pub(super) fn changes(
    connection: &Connection,
    of: &Partitions,
    limit: u32,
) -> StoreResult<Vec<LocationChange>> {
    // One program owns all partitions at once.
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "select number, client_id, user_id, location_id from location_changes
               order by number limit ?";
    query_all(connection, sql, [limit], decode_change)
}

pub(super) fn forget_changes(connection: &Connection, numbers: &[i64]) -> StoreResult<()> {
    for number in numbers {
        let sql = "delete from location_changes where number = ?";
        execute(connection, sql, [number])?;
    }
    Ok(())
}

pub(super) fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Location> {
    Ok(Location {
        id: LocationId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        user_id: columns.word("user ID")?,
        name: columns.take()?,
        position: Position {
            latitude: columns.take()?,
            longitude: columns.take()?,
        },
        zone: columns.word("time zone")?,
        created_at: columns.time()?,
    })
}

fn decode_change(columns: &mut Columns<'_, '_>) -> StoreResult<LocationChange> {
    Ok(LocationChange {
        number: columns.take()?,
        client_id: ClientId(columns.uuid()?),
        user_id: columns.word("user ID")?,
        location_id: LocationId(columns.uuid()?),
    })
}
