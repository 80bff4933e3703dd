//! What was told of energy, what flowed, and charging sessions.

use jiff::Timestamp;
use livewatt_domain::{
    energy::{Bucket, FlowSum, Sample},
    history::Piece,
    id::{ChargingSessionId, ClientId, DeviceId, LocationId, UserId},
    kind::DeviceKind,
    session::ChargingSession,
    stay::Stay,
};
use rusqlite::{Connection, params};

use super::statement::{Columns, execute, json, query_all, query_one};
use crate::{
    error::StoreResult,
    types::{DeviceHistory, Quarter},
    values::{flow, flow_number},
};

/// Writes what changed in the history of a device. Fails with `Conflict` if the device is gone.
pub(super) fn save(connection: &Connection, history: &DeviceHistory) -> StoreResult<()> {
    let device = history.device_id.0.as_bytes();
    execute(
        connection,
        "insert into energy_devices (id, client_id, user_id, kind)
         select id, client_id, user_id, kind from devices where id = ?1 on conflict do nothing",
        [device],
    )?;
    for (hour, samples) in &history.change.hours {
        execute(
            connection,
            "insert into sample_hours (device_id, hour, samples) values (?, ?, ?)
             on conflict (device_id, hour) do update set samples = excluded.samples",
            params![device, hour.as_millisecond(), json(samples)?],
        )?;
    }
    for bucket in &history.change.buckets {
        save_quarter(connection, history.device_id, bucket)?;
    }
    for id in &history.change.withdrawn {
        let delete = "delete from charging_sessions where id = ?";
        execute(connection, delete, [id.0.as_bytes()])?;
    }
    for session in &history.change.sessions {
        execute(
            connection,
            "insert into charging_sessions (id, device_id, began, seen_at, session)
             values (?, ?, ?, ?, ?)
             on conflict (id) do update set began = excluded.began, seen_at = excluded.seen_at,
                 session = excluded.session",
            params![
                session.id.0.as_bytes(),
                device,
                session.from.as_millisecond(),
                session.seen_at.as_millisecond(),
                json(session)?
            ],
        )?;
    }
    if let Some(stay) = history.change.stay {
        save_stay(connection, history.device_id, stay)?;
    }
    Ok(())
}

/// A moment before that of the last stay counts as the one after it.
fn save_stay(connection: &Connection, device: DeviceId, stay: Stay) -> StoreResult<()> {
    execute(
        connection,
        "insert into device_stays (device_id, since, location_id)
         select ?1, max(?2, coalesce(max(since) + 1, ?2)), ?3
         from device_stays where device_id = ?1",
        params![
            device.0.as_bytes(),
            stay.since.as_millisecond(),
            stay.location.map(|id| *id.0.as_bytes())
        ],
    )?;
    Ok(())
}

fn save_quarter(connection: &Connection, device: DeviceId, bucket: &Bucket) -> StoreResult<()> {
    let sum = &bucket.sum;
    execute(
        connection,
        "insert into energy_quarters (device_id, flow, start, version, restated, kwh, counter_kwh,
             level_kwh, min_kw, max_kw, active_ms, counter_ms, rate_ms, level_ms, bridged_ms)
         values (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         on conflict (device_id, flow, start) do update
         set version = version + (excluded.restated is not null),
             restated = coalesce(excluded.restated, restated), kwh = excluded.kwh,
             counter_kwh = excluded.counter_kwh, level_kwh = excluded.level_kwh,
             min_kw = excluded.min_kw, max_kw = excluded.max_kw,
             active_ms = excluded.active_ms, counter_ms = excluded.counter_ms,
             rate_ms = excluded.rate_ms, level_ms = excluded.level_ms,
             bridged_ms = excluded.bridged_ms",
        params![
            device.0.as_bytes(),
            flow_number(bucket.flow),
            bucket.start.as_millisecond(),
            bucket.restated.map(|why| why.name()),
            sum.kwh,
            sum.counter_kwh,
            sum.level_kwh,
            sum.min_kw,
            sum.max_kw,
            sum.active_ms,
            sum.counter_ms,
            sum.rate_ms,
            sum.level_ms,
            sum.bridged_ms
        ],
    )?;
    Ok(())
}

/// The history of a device from an hour on.
pub(super) fn piece(
    connection: &Connection,
    device: DeviceId,
    from: Timestamp,
) -> StoreResult<Piece> {
    let key = params![device.0.as_bytes(), from.as_millisecond()];
    let hours = query_all(
        connection,
        "select samples from sample_hours where device_id = ? and hour >= ? order by hour",
        key,
        |columns| columns.json::<Vec<Sample>>("samples"),
    )?;
    let before = query_one(
        connection,
        "select session from charging_sessions where device_id = ? and seen_at < ?
         order by seen_at desc limit 1",
        key,
        session,
    )?;
    let after = query_all(
        connection,
        "select session from charging_sessions where device_id = ? and seen_at >= ?
         order by seen_at",
        key,
        session,
    )?;
    Ok(Piece {
        from,
        samples: hours.into_iter().flatten().collect(),
        sessions: before.into_iter().chain(after).collect(),
    })
}

/// The devices of a user that have a history, of a kind.
pub(super) fn devices(
    connection: &Connection,
    client: ClientId,
    user: &UserId,
    kind: DeviceKind,
) -> StoreResult<Vec<DeviceId>> {
    query_all(
        connection,
        "select id from energy_devices where client_id = ? and user_id = ? and kind = ?
         order by id",
        params![client.0.as_bytes(), user.as_str(), kind.name()],
        |columns| columns.uuid().map(DeviceId),
    )
}

/// The quarter hours of devices that begin in a time, by device, flow and time.
pub(super) fn quarters(
    connection: &Connection,
    devices: &[DeviceId],
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<Quarter>> {
    let mut quarters = Vec::new();
    for device in devices {
        quarters.extend(query_all(
            connection,
            "select flow, start, version, restated, kwh, counter_kwh, level_kwh, min_kw, max_kw,
                 active_ms, counter_ms, rate_ms, level_ms, bridged_ms
             from energy_quarters
             where device_id = ?1 and flow in (0, 1) and start >= ?2 and start < ?3
             order by flow, start",
            params![
                device.0.as_bytes(),
                from.as_millisecond(),
                to.as_millisecond()
            ],
            |columns| quarter(*device, columns),
        )?);
    }
    Ok(quarters)
}

/// The stays of devices that touch a time, by device and time.
pub(super) fn stays(
    connection: &Connection,
    devices: &[DeviceId],
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<(DeviceId, Stay)>> {
    let mut stays = Vec::new();
    for device in devices {
        stays.extend(query_all(
            connection,
            "select since, location_id from device_stays
             where device_id = ?1 and since < ?3 and since >= coalesce(
                 (select max(since) from device_stays where device_id = ?1 and since <= ?2), ?2)
             order by since",
            params![
                device.0.as_bytes(),
                from.as_millisecond(),
                to.as_millisecond()
            ],
            |columns| {
                let since = columns.time()?;
                let location = columns.maybe_uuid()?.map(LocationId);
                Ok((*device, Stay { since, location }))
            },
        )?);
    }
    Ok(stays)
}

/// The sessions of devices that were seen to go on after one moment and began before another, by
/// device and time.
pub(super) fn sessions(
    connection: &Connection,
    devices: &[DeviceId],
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<(DeviceId, ChargingSession)>> {
    let mut sessions = Vec::new();
    for device in devices {
        sessions.extend(query_all(
            connection,
            "select session from charging_sessions
             where device_id = ? and seen_at >= ? and began < ? order by began",
            params![
                device.0.as_bytes(),
                from.as_millisecond(),
                to.as_millisecond()
            ],
            |columns| Ok((*device, session(columns)?)),
        )?);
    }
    Ok(sessions)
}

/// A session of a client, with its device.
pub(super) fn find_session(
    connection: &Connection,
    client: ClientId,
    id: ChargingSessionId,
) -> StoreResult<Option<(DeviceId, ChargingSession)>> {
    query_one(
        connection,
        "select device_id, session from charging_sessions
         join energy_devices on energy_devices.id = device_id
         where charging_sessions.id = ? and client_id = ?",
        params![id.0.as_bytes(), client.0.as_bytes()],
        |columns| Ok((DeviceId(columns.uuid()?), session(columns)?)),
    )
}

/// Forgets up to `rows` hours of samples of before a moment. False if there were no more.
pub(super) fn forget_samples(
    connection: &Connection,
    before: Timestamp,
    rows: u32,
) -> StoreResult<bool> {
    let forgotten = execute(
        connection,
        "delete from sample_hours where (device_id, hour) in
         (select device_id, hour from sample_hours where hour < ? order by hour limit ?)",
        params![before.as_millisecond(), rows],
    )?;
    Ok(forgotten >= rows as usize)
}

/// What was kept of a user, or of all users of a client.
pub(super) fn erase(
    connection: &Connection,
    client: ClientId,
    user: Option<&UserId>,
) -> StoreResult<()> {
    execute(
        connection,
        "delete from energy_devices where client_id = ?1 and user_id = coalesce(?2, user_id)",
        params![client.0.as_bytes(), user.map(UserId::as_str)],
    )?;
    Ok(())
}

fn session(columns: &mut Columns<'_, '_>) -> StoreResult<ChargingSession> {
    columns.json("charging session")
}

fn quarter(device_id: DeviceId, columns: &mut Columns<'_, '_>) -> StoreResult<Quarter> {
    Ok(Quarter {
        device_id,
        flow: flow(columns.take()?),
        start: columns.time()?,
        version: columns.number()?,
        restated: columns.take()?,
        sum: FlowSum {
            kwh: columns.take()?,
            counter_kwh: columns.take()?,
            level_kwh: columns.take()?,
            min_kw: columns.take()?,
            max_kw: columns.take()?,
            active_ms: columns.take()?,
            counter_ms: columns.take()?,
            rate_ms: columns.take()?,
            level_ms: columns.take()?,
            bridged_ms: columns.take()?,
        },
    })
}
