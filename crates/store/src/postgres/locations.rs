//! Locations, and what has still to follow from a change of one. A user's row is locked before those
//! of their Locations.

use livewatt_domain::{
    id::{ClientId, LocationId, UserId},
    location::{Location, MOST_PER_USER, Position},
    partition::Partitions,
};
use sqlx::PgConnection;

use super::{
    fences::some_of,
    paging::{KeyType, Listing},
    statement::{Columns, composed, execute, query_all, query_one, sql},
};
use crate::{
    error::{StoreError, StoreResult},
    places::{LocationChange, LocationPatch},
    types::{Page, PageKey, PageRequest},
};

pub(super) const COLUMNS: &str =
    "id, client_id, user_id, name, latitude, longitude, time_zone, created_at";

pub(super) async fn create(
    connection: &mut PgConnection,
    location: &Location,
) -> StoreResult<bool> {
    lock_user(connection, location).await?;
    let count = sql("select count(*) from locations where client_id = $1 and user_id = $2")
        .bind(location.client_id.0)
        .bind(location.user_id.as_str());
    let count = query_one(connection, count, |columns| columns.number::<u32>()).await?;
    if count.is_some_and(|count| count >= MOST_PER_USER) {
        return Ok(false);
    }
    let insert = sql(
        "insert into locations (id, client_id, user_id, name, latitude, longitude, time_zone,
             created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(location.id.0)
    .bind(location.client_id.0)
    .bind(location.user_id.as_str())
    .bind(&location.name)
    .bind(location.position.latitude)
    .bind(location.position.longitude)
    .bind(location.zone.name())
    .bind(location.created_at.as_millisecond());
    execute(connection, insert).await?;
    note_change(connection, location).await?;
    Ok(true)
}

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: LocationId,
) -> StoreResult<Option<Location>> {
    let text = format!("select {COLUMNS} from locations where id = $1 and client_id = $2");
    query_one(connection, composed(text).bind(id.0).bind(client.0), decode).await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    client: ClientId,
    user: Option<&UserId>,
    page: &PageRequest,
) -> StoreResult<Page<Location>> {
    let listing = Listing {
        table: "locations",
        columns: COLUMNS,
        client,
        kind: None,
        user,
        at: "created_at",
        key: KeyType::Uuid,
    };
    let key = |location: &Location| PageKey {
        at: location.created_at,
        id: location.id.to_string(),
    };
    listing.page(connection, page, decode, key).await
}

pub(super) async fn of_user(
    connection: &mut PgConnection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<Vec<Location>> {
    let text = format!(
        "select {COLUMNS} from locations where client_id = $1 and user_id = $2
         order by created_at, id"
    );
    let all = composed(text).bind(client.0).bind(user.as_str());
    query_all(connection, all, decode).await
}

pub(super) async fn update(
    connection: &mut PgConnection,
    client: ClientId,
    id: LocationId,
    patch: &LocationPatch,
) -> StoreResult<Option<Location>> {
    let Some(before) = lock(connection, client, id).await? else {
        return Ok(None);
    };
    let change = sql(
        "update locations set name = coalesce($1, name), latitude = coalesce($2, latitude),
             longitude = coalesce($3, longitude), time_zone = coalesce($4, time_zone)
         where id = $5",
    )
    .bind(patch.name.clone())
    .bind(patch.latitude)
    .bind(patch.longitude)
    .bind(patch.zone.as_ref().map(|zone| zone.name().to_owned()))
    .bind(id.0);
    execute(connection, change).await?;
    let after = find(connection, client, id).await?;
    let after = after.ok_or(StoreError::Conflict)?;
    if after.position != before.position || after.zone != before.zone {
        note_change(connection, &after).await?;
    }
    Ok(Some(after))
}

pub(super) async fn delete(
    connection: &mut PgConnection,
    client: ClientId,
    id: LocationId,
) -> StoreResult<Option<Location>> {
    let Some(location) = lock(connection, client, id).await? else {
        return Ok(None);
    };
    let delete = sql("delete from locations where id = $1");
    execute(connection, delete.bind(id.0)).await?;
    note_change(connection, &location).await?;
    Ok(Some(location))
}

/// Locks a Location and, before it, its user.
async fn lock(
    connection: &mut PgConnection,
    client: ClientId,
    id: LocationId,
) -> StoreResult<Option<Location>> {
    let Some(location) = find(connection, client, id).await? else {
        return Ok(None);
    };
    lock_user(connection, &location).await?;
    let text = format!("select {COLUMNS} from locations where id = $1 for update");
    query_one(connection, composed(text).bind(id.0), decode).await
}

/// Keeps a Location's user from going, and others from counting the user's Locations.
async fn lock_user(connection: &mut PgConnection, location: &Location) -> StoreResult<()> {
    let lock = sql("select 1 from users where client_id = $1 and id = $2 for no key update")
        .bind(location.client_id.0)
        .bind(location.user_id.as_str());
    execute(connection, lock).await?;
    Ok(())
}

async fn note_change(connection: &mut PgConnection, location: &Location) -> StoreResult<()> {
    let insert = sql(
        "insert into location_changes (partition, client_id, user_id, location_id)
         values ($1, $2, $3, $4)",
    )
    .bind(location.id.partition() as i16)
    .bind(location.client_id.0)
    .bind(location.user_id.as_str())
    .bind(location.id.0);
    execute(connection, insert).await?;
    Ok(())
}

pub(super) async fn changes(
    connection: &mut PgConnection,
    of: &Partitions,
    limit: u32,
) -> StoreResult<Vec<LocationChange>> {
    let all = sql(
        "select number, client_id, user_id, location_id from location_changes
         where $1 is null or partition = any($1) order by number limit $2",
    )
    .bind(some_of(of))
    .bind(i64::from(limit));
    query_all(connection, all, |columns| {
        Ok(LocationChange {
            number: columns.take()?,
            client_id: ClientId(columns.uuid()?),
            user_id: columns.word("user ID")?,
            location_id: LocationId(columns.uuid()?),
        })
    })
    .await
}

pub(super) async fn forget_changes(
    connection: &mut PgConnection,
    numbers: Vec<i64>,
) -> StoreResult<()> {
    let forget = sql("delete from location_changes where number = any($1)");
    execute(connection, forget.bind(numbers)).await?;
    Ok(())
}

pub(super) fn decode(columns: &mut Columns<'_>) -> StoreResult<Location> {
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
