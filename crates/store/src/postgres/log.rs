//! The event log. A client's positions rise by one per event, in the order of commits.
//!
//! Positions come from the client's row in `log_heads`. Whoever raised it holds its lock until the
//! transaction ends, so the next positions are given out only after these are there to be read: a
//! reader that has seen `p` never later finds an event at or below `p`, however late a commit
//! comes. Nothing of that depends on transaction numbers or on the clock.
//!
//! So that this lock is held for short, heads are raised last, right before the commit.

use std::collections::BTreeMap;

use jiff::Timestamp;
use livewatt_domain::{
    event::Event,
    id::{ClientId, DeviceId, EventId, UserId},
    webhook::{Position, lane_hash},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::statement::{Columns, composed, execute, query_all, query_one, signed, sql};
use crate::{
    error::StoreResult,
    types::{LogPage, LogQuery, LoggedEvent, POSITIONS_SKIPPED},
};

/// Why events were not appended: somebody else began a newer slice, or dropped this one. The
/// transaction must be given up and its slices assigned anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StaleSlices;

/// Appends events to their slices; returns their positions. Must be the last thing a transaction
/// does.
pub(super) async fn append(
    connection: &mut PgConnection,
    events: &[&Event],
    slices: &[i64],
) -> StoreResult<Result<Vec<Position>, StaleSlices>> {
    let mut positions = Vec::with_capacity(events.len());
    let mut rest = events;
    // One round, unless midnight lies between two events.
    for run in slices.chunk_by(|one, next| one == next) {
        let (of_slice, others) = rest.split_at(run.len());
        rest = others;
        match append_to(connection, of_slice, run[0]).await? {
            Ok(appended) => positions.extend(appended),
            Err(stale) => return Ok(Err(stale)),
        }
    }
    Ok(Ok(positions))
}

async fn append_to(
    connection: &mut PgConnection,
    events: &[&Event],
    slice: i64,
) -> StoreResult<Result<Vec<Position>, StaleSlices>> {
    let Some(mut next) = raise_heads(connection, events, slice).await? else {
        return Ok(Err(StaleSlices));
    };
    let positions: Vec<_> = events
        .iter()
        .map(|event| {
            let next = next.entry(event.client_id).or_default();
            *next += 1;
            *next
        })
        .collect();
    if insert(connection, events, &positions, slice).await? < events.len() as u64 {
        return Ok(Err(StaleSlices));
    }
    Ok(Ok(positions.into_iter().map(Position).collect()))
}

/// Takes the next positions of each client; returns the ones before them. `None` if a client has
/// newer slices already.
async fn raise_heads(
    connection: &mut PgConnection,
    events: &[&Event],
    slice: i64,
) -> StoreResult<Option<BTreeMap<ClientId, i64>>> {
    let mut clients: BTreeMap<ClientId, (i64, i64)> = BTreeMap::new();
    for event in events {
        let (number, newest_at) = clients.entry(event.client_id).or_default();
        *number += 1;
        *newest_at = event.created_at.as_millisecond();
    }
    // In the order of the IDs, which is that in which the rows are locked.
    let raise = sql(
        "insert into log_heads as head (client_id, position, kept_from, slice, slice_from, newest_at)
         select client_id, number, 0, $4, 1, newest_at
         from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as row (client_id, number, newest_at)
         order by client_id
         on conflict (client_id) do update set
             position = head.position + excluded.position,
             slice = greatest(head.slice, excluded.slice),
             slice_from = case when head.slice = excluded.slice then head.slice_from
                 else head.position + 1 end,
             newest_at = excluded.newest_at
         returning client_id, position, slice, slice_from",
    )
    .bind(clients.keys().map(|client| client.0).collect::<Vec<_>>())
    .bind(clients.values().map(|(number, _)| *number).collect::<Vec<_>>())
    .bind(clients.values().map(|(_, newest_at)| *newest_at).collect::<Vec<_>>())
    .bind(slice);
    let raised = query_all(connection, raise, |columns| {
        let client = ClientId(columns.uuid()?);
        Ok((client, columns.take()?, columns.take()?, columns.take()?))
    });
    let raised: Vec<(ClientId, i64, i64, i64)> = raised.await?;
    let mut before = BTreeMap::new();
    let mut begun: Vec<(Uuid, i64)> = Vec::new();
    for (client, position, in_slice, slice_from) in raised {
        if in_slice != slice {
            return Ok(None);
        }
        let number = clients.get(&client).map_or(0, |(number, _)| *number);
        before.insert(client, position - number);
        if slice_from == position - number + 1 {
            begun.push((client.0, slice_from));
        }
    }
    if !begun.is_empty() {
        let note = sql("insert into log_slices (client_id, first_position, slice)
             select client_id, first_position, $3
             from unnest($1::uuid[], $2::bigint[]) as row (client_id, first_position)
             where exists (select 1 from event_slices where slice = $3)")
        .bind(begun.iter().map(|(client, _)| *client).collect::<Vec<_>>())
        .bind(begun.iter().map(|(_, first)| *first).collect::<Vec<_>>())
        .bind(slice);
        if execute(connection, note).await? < begun.len() as u64 {
            return Ok(None);
        }
    }
    Ok(Some(before))
}

/// Inserts nothing if the slice was dropped.
async fn insert(
    connection: &mut PgConnection,
    events: &[&Event],
    positions: &[i64],
    slice: i64,
) -> StoreResult<u64> {
    let devices = || events.iter().map(|event| event.device);
    let hash =
        |event: &&Event| i64::from(lane_hash(event.device.map(|(id, _)| id), &event.user_id));
    let insert = sql(
        "insert into events (slice, client_id, position, id, user_id, device_id, device_version,
             name, created_at, lane_hash, body)
         select $1, row.* from unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::text[],
                 $6::uuid[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::text[])
             as row
         where exists (select 1 from event_slices where event_slices.slice = $1)",
    )
    .bind(slice)
    .bind(
        events
            .iter()
            .map(|event| event.client_id.0)
            .collect::<Vec<_>>(),
    )
    .bind(positions)
    .bind(events.iter().map(|event| event.id.0).collect::<Vec<_>>())
    .bind(
        events
            .iter()
            .map(|event| event.user_id.to_string())
            .collect::<Vec<_>>(),
    )
    .bind(
        devices()
            .map(|device| device.map(|(id, _)| id.0))
            .collect::<Vec<_>>(),
    )
    .bind(
        devices()
            .map(|device| device.map(|(_, version)| signed(version)))
            .collect::<Vec<_>>(),
    )
    .bind(
        events
            .iter()
            .map(|event| event.name.to_string())
            .collect::<Vec<_>>(),
    )
    .bind(
        events
            .iter()
            .map(|event| event.created_at.as_millisecond())
            .collect::<Vec<_>>(),
    )
    .bind(events.iter().map(hash).collect::<Vec<_>>())
    .bind(
        events
            .iter()
            .map(|event| event.body.as_str())
            .collect::<Vec<_>>(),
    );
    execute(connection, insert).await
}

pub(super) async fn last_position(
    connection: &mut PgConnection,
    client: ClientId,
) -> StoreResult<Position> {
    let last = sql("select position from log_heads where client_id = $1");
    let last = query_one(connection, last.bind(client.0), |columns| columns.take());
    Ok(Position(last.await?.unwrap_or_default()))
}

/// When the newest event happened, by the clock of then.
pub(super) async fn newest_event_at(
    connection: &mut PgConnection,
) -> StoreResult<Option<Timestamp>> {
    // As many rows as there are clients, read once per start.
    let newest = sql("select newest_at from log_heads order by slice desc, newest_at desc limit 1");
    query_one(connection, newest, |columns| columns.time()).await
}

pub(super) async fn events_after(
    connection: &mut PgConnection,
    query: &LogQuery,
) -> StoreResult<LogPage> {
    let head = head(connection, query.client_id, query.after).await?;
    let until = query
        .until
        .map_or(head.position, |until| until.min(head.position));
    let limit = query.limit as usize;
    let mut events = Vec::new();
    if query.after < until {
        for slice in &head.slices {
            let rest = limit - events.len();
            if rest == 0 {
                break;
            }
            let slice = read_slice(connection, *slice, query, until, rest);
            events.append(&mut slice.await?);
        }
    }
    let read_until = match events.last() {
        Some(last) if events.len() >= limit => last.position,
        _ => until,
    };
    // Of what is not in the newest slice, some may have been dropped while it was read.
    let kept_from = if head.slices.len() > 1 || events.is_empty() && query.after < until {
        kept_from(connection, query.client_id).await?
    } else {
        head.kept_from
    };
    Ok(LogPage {
        events,
        read_until,
        kept_from,
    })
}

pub(super) async fn count_after(
    connection: &mut PgConnection,
    client: ClientId,
    after: Position,
    limit: u32,
) -> StoreResult<u32> {
    let mut counted = 0;
    for slice in head(connection, client, after).await?.slices {
        if counted >= limit {
            break;
        }
        let count = composed(format!(
            "select count(*) from (select 1 from events
             where slice = {slice} and client_id = $1 and position > $2 limit $3) as found"
        ))
        .bind(client.0)
        .bind(after.0)
        .bind(i64::from(limit - counted));
        let count = query_one(connection, count, |columns| columns.number::<u32>());
        counted += count.await?.unwrap_or_default();
    }
    Ok(counted)
}

/// Leaves a gap behind the positions given out so far, also for clients that have no events: they
/// may have had some in the state that is lost.
pub(super) async fn skip_positions(connection: &mut PgConnection) -> StoreResult<()> {
    // A head without events must not pass for the newest.
    let newest_at = newest_event_at(connection).await?.unwrap_or_default();
    // In the order of the IDs, as whoever appends.
    let skip = sql(
        "insert into log_heads as head (client_id, position, kept_from, slice, slice_from, newest_at)
         select id, $1, 0, 0, 1, $2 from clients
         order by id
         on conflict (client_id) do update set position = head.position + excluded.position",
    )
    .bind(POSITIONS_SKIPPED)
    .bind(newest_at.as_millisecond());
    execute(connection, skip).await?;
    Ok(())
}

/// Erases the events about a user.
pub(super) async fn erase_user(
    connection: &mut PgConnection,
    client: ClientId,
    user: &UserId,
) -> StoreResult<()> {
    let erase = sql("delete from events where client_id = $1 and user_id = $2");
    execute(connection, erase.bind(client.0).bind(user.as_str())).await?;
    Ok(())
}

/// Erases the events of a client.
pub(super) async fn erase_client(
    connection: &mut PgConnection,
    client: ClientId,
) -> StoreResult<()> {
    let erase = sql("delete from events where client_id = $1");
    execute(connection, erase.bind(client.0)).await?;
    Ok(())
}

/// The log as one client sees it.
#[derive(Debug, Default)]
struct Head {
    position: Position,
    kept_from: Position,
    /// The slices that hold what comes after the position asked about, in order.
    slices: Vec<i64>,
}

async fn head(
    connection: &mut PgConnection,
    client: ClientId,
    after: Position,
) -> StoreResult<Head> {
    let head = sql("select position, kept_from, array(
             select slice from log_slices
             where client_id = $1 and first_position >= coalesce(
                 (select max(first_position) from log_slices
                  where client_id = $1 and first_position <= $2 + 1), 0)
             order by first_position)
         from log_heads where client_id = $1");
    let head = head.bind(client.0).bind(after.0);
    query_one(connection, head, |columns| {
        Ok(Head {
            position: Position(columns.take()?),
            kept_from: Position(columns.take()?),
            slices: columns.take()?,
        })
    })
    .await
    .map(Option::unwrap_or_default)
}

async fn kept_from(connection: &mut PgConnection, client: ClientId) -> StoreResult<Position> {
    let kept = sql("select kept_from from log_heads where client_id = $1");
    let kept = query_one(connection, kept.bind(client.0), |columns| columns.take());
    Ok(Position(kept.await?.unwrap_or_default()))
}

/// The slice is part of the text, so that the plan knows of one partition and the server need not
/// look at, or lock, the others. One that was dropped meanwhile has no rows.
async fn read_slice(
    connection: &mut PgConnection,
    slice: i64,
    query: &LogQuery,
    until: Position,
    limit: usize,
) -> StoreResult<Vec<LoggedEvent>> {
    // Every event is in lane 0 of 1.
    let (lane, lanes) = query.lane.unwrap_or((0, 1));
    let read = composed(format!(
        "select position, id, client_id, user_id, device_id, device_version, name, created_at, body
         from events
         where slice = {slice} and client_id = $1 and position > $2 and position <= $3
             and lane_hash % $4 = $5
         order by position limit $6"
    ))
    .bind(query.client_id.0)
    .bind(query.after.0)
    .bind(until.0)
    .bind(i64::from(lanes.max(1)))
    .bind(i64::from(lane))
    .bind(signed(limit as u64));
    query_all(connection, read, decode).await
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<LoggedEvent> {
    Ok(LoggedEvent {
        position: Position(columns.take()?),
        event: Event {
            id: EventId(columns.uuid()?),
            client_id: ClientId(columns.uuid()?),
            user_id: columns.word("user ID")?,
            device: columns
                .take::<Option<Uuid>>()?
                .map(DeviceId)
                .zip(columns.maybe_number()?),
            name: columns.take()?,
            created_at: columns.time()?,
            body: columns.take()?,
        },
    })
}
