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
use sqlx::PgConnection;
use uuid::Uuid;

use super::statement::{Columns, execute, json, query_all, query_one, sql};
use crate::{
    error::StoreResult,
    types::{DeviceHistory, Quarter},
    values::{flow, flow_number},
};

/// Writes what changed in the histories of devices, each table by one statement. The days of the
/// samples must have their partitions. What is about a device that is gone is passed over.
pub(super) async fn save(
    connection: &mut PgConnection,
    histories: &[&DeviceHistory],
) -> StoreResult<()> {
    if histories.is_empty() {
        return Ok(());
    }
    let devices: Vec<_> = histories
        .iter()
        .map(|history| history.device_id.0)
        .collect();
    let register = sql("insert into energy_devices (id, client_id, user_id, kind)
         select id, client_id, user_id, kind from devices
         where id = any($1) and not exists
             (select 1 from energy_devices as known where known.id = devices.id)
         order by id for key share of devices
         on conflict do nothing");
    execute(connection, register.bind(devices.clone())).await?;
    // Held until the commit: erasure waits, or has been.
    let hold = sql("select id from energy_devices where id = any($1) order by id for key share");
    let held = query_all(connection, hold.bind(devices), |columns| columns.uuid()).await?;
    let kept = || {
        let kept = histories.iter().copied();
        kept.filter(|history| held.binary_search(&history.device_id.0).is_ok())
    };
    save_samples(connection, kept()).await?;
    save_quarters(connection, kept()).await?;
    save_sessions(connection, kept()).await?;
    save_stays(connection, kept()).await
}

async fn save_samples(
    connection: &mut PgConnection,
    histories: impl Iterator<Item = &DeviceHistory>,
) -> StoreResult<()> {
    let (mut devices, mut hours, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for history in histories {
        for (hour, of_hour) in &history.change.hours {
            devices.push(history.device_id.0);
            hours.push(hour.as_millisecond());
            samples.push(json(of_hour)?);
        }
    }
    let save = sql("insert into sample_hours (device_id, hour, samples)
         select * from unnest($1::uuid[], $2::bigint[], $3::text[])
         on conflict (device_id, hour) do update set samples = excluded.samples");
    execute(connection, save.bind(devices).bind(hours).bind(samples)).await?;
    Ok(())
}

async fn save_quarters(
    connection: &mut PgConnection,
    histories: impl Iterator<Item = &DeviceHistory>,
) -> StoreResult<()> {
    let rows: Vec<(Uuid, &Bucket)> = histories
        .flat_map(|history| {
            let device = history.device_id.0;
            history
                .change
                .buckets
                .iter()
                .map(move |bucket| (device, bucket))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    fn column<T>(rows: &[(Uuid, &Bucket)], value: impl Fn(&Bucket) -> T) -> Vec<T> {
        rows.iter().map(|(_, bucket)| value(bucket)).collect()
    }
    let save = sql(
        "insert into energy_quarters (device_id, flow, start, version, restated, kwh, counter_kwh,
             level_kwh, min_kw, max_kw, active_ms, counter_ms, rate_ms, level_ms, bridged_ms)
         select device_id, flow, start, 1, restated, kwh, counter_kwh, level_kwh, min_kw, max_kw,
             active_ms, counter_ms, rate_ms, level_ms, bridged_ms
         from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::text[], $5::float8[],
                 $6::float8[], $7::float8[], $8::float8[], $9::float8[], $10::bigint[],
                 $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
             as row (device_id, flow, start, restated, kwh, counter_kwh, level_kwh, min_kw, max_kw,
                 active_ms, counter_ms, rate_ms, level_ms, bridged_ms)
         on conflict (device_id, flow, start) do update
         set version = energy_quarters.version + (excluded.restated is not null)::int,
             restated = coalesce(excluded.restated, energy_quarters.restated),
             kwh = excluded.kwh, counter_kwh = excluded.counter_kwh,
             level_kwh = excluded.level_kwh, min_kw = excluded.min_kw,
             max_kw = excluded.max_kw, active_ms = excluded.active_ms,
             counter_ms = excluded.counter_ms, rate_ms = excluded.rate_ms,
             level_ms = excluded.level_ms, bridged_ms = excluded.bridged_ms",
    )
    .bind(rows.iter().map(|(device, _)| *device).collect::<Vec<_>>())
    .bind(column(&rows, |bucket| flow_number(bucket.flow)))
    .bind(column(&rows, |bucket| bucket.start.as_millisecond()))
    .bind(column(&rows, |bucket| {
        bucket.restated.map(|why| why.name())
    }))
    .bind(column(&rows, |bucket| bucket.sum.kwh))
    .bind(column(&rows, |bucket| bucket.sum.counter_kwh))
    .bind(column(&rows, |bucket| bucket.sum.level_kwh))
    .bind(column(&rows, |bucket| bucket.sum.min_kw))
    .bind(column(&rows, |bucket| bucket.sum.max_kw))
    .bind(column(&rows, |bucket| bucket.sum.active_ms))
    .bind(column(&rows, |bucket| bucket.sum.counter_ms))
    .bind(column(&rows, |bucket| bucket.sum.rate_ms))
    .bind(column(&rows, |bucket| bucket.sum.level_ms))
    .bind(column(&rows, |bucket| bucket.sum.bridged_ms));
    execute(connection, save).await?;
    Ok(())
}

async fn save_sessions<'a>(
    connection: &mut PgConnection,
    histories: impl Iterator<Item = &'a DeviceHistory>,
) -> StoreResult<()> {
    let mut withdrawn = Vec::new();
    let (mut ids, mut devices) = (Vec::new(), Vec::new());
    let (mut began, mut seen_at, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
    for history in histories {
        withdrawn.extend(history.change.withdrawn.iter().map(|id| id.0));
        for session in &history.change.sessions {
            ids.push(session.id.0);
            devices.push(history.device_id.0);
            began.push(session.from.as_millisecond());
            seen_at.push(session.seen_at.as_millisecond());
            sessions.push(json(session)?);
        }
    }
    if !withdrawn.is_empty() {
        let withdraw = sql("delete from charging_sessions where id = any($1)");
        execute(connection, withdraw.bind(withdrawn)).await?;
    }
    if !ids.is_empty() {
        let save = sql(
            "insert into charging_sessions (id, device_id, began, seen_at, session)
             select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[])
             on conflict (id) do update set began = excluded.began, seen_at = excluded.seen_at,
                 session = excluded.session",
        );
        let save = save.bind(ids).bind(devices).bind(began).bind(seen_at);
        execute(connection, save.bind(sessions)).await?;
    }
    Ok(())
}

/// A moment before that of a device's last stay counts as the one after it.
async fn save_stays(
    connection: &mut PgConnection,
    histories: impl Iterator<Item = &DeviceHistory>,
) -> StoreResult<()> {
    let (mut devices, mut since, mut locations) = (Vec::new(), Vec::new(), Vec::new());
    for history in histories {
        if let Some(stay) = history.change.stay {
            devices.push(history.device_id.0);
            since.push(stay.since.as_millisecond());
            locations.push(stay.location.map(|id| id.0));
        }
    }
    if devices.is_empty() {
        return Ok(());
    }
    let save = sql("insert into device_stays (device_id, since, location_id)
         select row.device_id, greatest(row.since,
                 (select max(known.since) + 1 from device_stays as known
                  where known.device_id = row.device_id)), row.location_id
         from unnest($1::uuid[], $2::bigint[], $3::uuid[]) as row (device_id, since, location_id)");
    execute(connection, save.bind(devices).bind(since).bind(locations)).await?;
    Ok(())
}

/// The history of a device from an hour on.
pub(super) async fn piece(
    connection: &mut PgConnection,
    device: DeviceId,
    from: Timestamp,
) -> StoreResult<Piece> {
    let hours =
        sql("select samples from sample_hours where device_id = $1 and hour >= $2 order by hour");
    let hours = hours.bind(device.0).bind(from.as_millisecond());
    let hours = query_all(connection, hours, |columns| {
        columns.json::<Vec<Sample>>("samples")
    })
    .await?;
    let sessions = sql("(select session, seen_at from charging_sessions
          where device_id = $1 and seen_at < $2 order by seen_at desc limit 1)
         union all
         (select session, seen_at from charging_sessions
          where device_id = $1 and seen_at >= $2)
         order by seen_at");
    let sessions = sessions.bind(device.0).bind(from.as_millisecond());
    Ok(Piece {
        from,
        samples: hours.into_iter().flatten().collect(),
        sessions: query_all(connection, sessions, session).await?,
    })
}

/// The devices of a user that have a history, of a kind.
pub(super) async fn devices(
    connection: &mut PgConnection,
    client: ClientId,
    user: &UserId,
    kind: DeviceKind,
) -> StoreResult<Vec<DeviceId>> {
    let all = sql(
        "select id from energy_devices where client_id = $1 and user_id = $2 and kind = $3
         order by id",
    );
    let all = all
        .bind(client.0)
        .bind(user.as_str().to_owned())
        .bind(kind.name());
    query_all(connection, all, |columns| columns.uuid().map(DeviceId)).await
}

/// The quarter hours of devices that begin in a time, by device, flow and time.
pub(super) async fn quarters(
    connection: &mut PgConnection,
    devices: &[DeviceId],
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<Quarter>> {
    let all = sql(
        "select device_id, flow, start, version, restated, kwh, counter_kwh, level_kwh, min_kw,
             max_kw, active_ms, counter_ms, rate_ms, level_ms, bridged_ms
         from energy_quarters where device_id = any($1) and start >= $2 and start < $3
         order by device_id, flow, start",
    );
    let all = all.bind(ids(devices)).bind(from.as_millisecond());
    query_all(connection, all.bind(to.as_millisecond()), quarter).await
}

/// The stays of devices that touch a time, by device and time.
pub(super) async fn stays(
    connection: &mut PgConnection,
    devices: &[DeviceId],
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<(DeviceId, Stay)>> {
    let all = sql(
        "select device_id, since, location_id from device_stays as stay
         where device_id = any($1) and since < $3 and since >= coalesce(
             (select max(since) from device_stays as known
              where known.device_id = stay.device_id and known.since <= $2), $2)
         order by device_id, since",
    );
    let all = all.bind(ids(devices)).bind(from.as_millisecond());
    query_all(connection, all.bind(to.as_millisecond()), |columns| {
        let device = DeviceId(columns.uuid()?);
        let since = columns.time()?;
        let location = columns.take::<Option<Uuid>>()?.map(LocationId);
        Ok((device, Stay { since, location }))
    })
    .await
}

/// The sessions of devices that were seen to go on after one moment and began before another, by
/// device and time.
pub(super) async fn sessions(
    connection: &mut PgConnection,
    devices: &[DeviceId],
    from: Timestamp,
    to: Timestamp,
) -> StoreResult<Vec<(DeviceId, ChargingSession)>> {
    let all = sql("select device_id, session from charging_sessions
         where device_id = any($1) and seen_at >= $2 and began < $3 order by device_id, began");
    let all = all.bind(ids(devices)).bind(from.as_millisecond());
    query_all(connection, all.bind(to.as_millisecond()), |columns| {
        Ok((DeviceId(columns.uuid()?), session(columns)?))
    })
    .await
}

/// A session of a client, with its device.
pub(super) async fn find_session(
    connection: &mut PgConnection,
    client: ClientId,
    id: ChargingSessionId,
) -> StoreResult<Option<(DeviceId, ChargingSession)>> {
    let one = sql("select device_id, session from charging_sessions
         join energy_devices on energy_devices.id = device_id
         where charging_sessions.id = $1 and client_id = $2");
    query_one(connection, one.bind(id.0).bind(client.0), |columns| {
        Ok((DeviceId(columns.uuid()?), session(columns)?))
    })
    .await
}

/// What was kept of a user, or of all users of a client.
pub(super) async fn erase(
    connection: &mut PgConnection,
    client: ClientId,
    user: Option<&UserId>,
) -> StoreResult<()> {
    let user = user.map(|user| user.as_str().to_owned());
    let lock = sql("select id from energy_devices
         where client_id = $1 and user_id = coalesce($2, user_id) order by id for update");
    let devices = query_all(connection, lock.bind(client.0).bind(user), |columns| {
        columns.uuid()
    })
    .await?;
    let samples = sql("delete from sample_hours where device_id = any($1)");
    execute(connection, samples.bind(devices.clone())).await?;
    let delete = sql("delete from energy_devices where id = any($1)");
    execute(connection, delete.bind(devices)).await?;
    Ok(())
}

fn ids(devices: &[DeviceId]) -> Vec<Uuid> {
    devices.iter().map(|device| device.0).collect()
}

fn session(columns: &mut Columns<'_>) -> StoreResult<ChargingSession> {
    columns.json("charging session")
}

fn quarter(columns: &mut Columns<'_>) -> StoreResult<Quarter> {
    Ok(Quarter {
        device_id: DeviceId(columns.uuid()?),
        flow: flow(columns.take::<i16>()?.into()),
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
