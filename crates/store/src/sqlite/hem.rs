//! Home energy management systems, and what vendors recorded of them.

use jiff::Timestamp;
use livewatt_domain::{
    hem::{HemSystem, SiteHistory},
    id::{AccountId, ClientId, DeviceId, HemSystemId, UserId},
    production::Period,
};
use rusqlite::{Connection, ToSql, params};

use super::{
    paging::Listing,
    statement::{Columns, execute, json, query_all, query_one, signed, uuid_key},
};
use crate::{
    error::{StoreError, StoreResult},
    hem::{HemChange, HemRecord},
    types::{Page, PageKey, PageRequest},
};

const COLUMNS: &str =
    "id, client_id, user_id, account_id, site, found_at, version, members, document";

pub(super) fn of_account(connection: &Connection, id: AccountId) -> StoreResult<Vec<HemSystem>> {
    let sql =
        format!("select {COLUMNS} from hem_systems where account_id = ? order by found_at, id");
    query_all(connection, &sql, [id.0.as_bytes()], decode)
}

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: HemSystemId,
) -> StoreResult<Option<HemSystem>> {
    let sql = format!("select {COLUMNS} from hem_systems where id = ? and client_id = ?");
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
) -> StoreResult<Page<HemSystem>> {
    let client = client.0.as_bytes();
    let user = user.map(UserId::as_str);
    let of_user: [&dyn ToSql; 2] = [client, &user];
    let listing = Listing {
        table: "hem_systems",
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
        at: "found_at",
        id: uuid_key,
    };
    listing.page(connection, page, decode, |system| PageKey {
        at: system.found_at,
        id: system.id.to_string(),
    })
}

/// When devices were last seen.
pub(super) fn last_seen(
    connection: &Connection,
    devices: &[DeviceId],
) -> StoreResult<Vec<(DeviceId, Timestamp)>> {
    let sql = "select last_seen from device_presence where device_id = ?";
    let mut found = Vec::new();
    for device in devices {
        let at = query_one(connection, sql, [device.0.as_bytes()], |columns| {
            columns.time()
        })?;
        found.extend(at.map(|at| (*device, at)));
    }
    Ok(found)
}

pub(super) fn change(connection: &Connection, change: &HemChange) -> StoreResult<()> {
    let changed = match change {
        HemChange::Insert(system) => execute(
            connection,
            "insert into hem_systems (id, client_id, user_id, account_id, site, found_at, version,
                 members, document)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                system.id.0.as_bytes(),
                system.client_id.0.as_bytes(),
                system.user_id.as_str(),
                system.account_id.0.as_bytes(),
                system.site,
                system.found_at.as_millisecond(),
                signed(system.version),
                json(&system.members)?,
                json(&system.document)?
            ],
        )?,
        HemChange::Update {
            system,
            from_version,
        } => execute(
            connection,
            "update hem_systems set version = ?, members = ?, document = ?
             where id = ? and version = ?",
            params![
                signed(system.version),
                json(&system.members)?,
                json(&system.document)?,
                system.id.0.as_bytes(),
                signed(*from_version)
            ],
        )?,
        HemChange::Delete { id, from_version } => execute(
            connection,
            "delete from hem_systems where id = ? and version = ?",
            params![id.0.as_bytes(), signed(*from_version)],
        )?,
    };
    match changed {
        0 => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

/// Writes what was told of a system; of one that is gone, nothing.
pub(super) fn save_record(connection: &Connection, record: &HemRecord) -> StoreResult<()> {
    let told = &record.history;
    execute(
        connection,
        "insert into hem_histories
             (hem_system_id, period, time_zone, series, fetched_at, is_final)
         select id, ?2, ?3, ?4, ?5, ?6 from hem_systems where id = ?1
         on conflict (hem_system_id, period) do update set time_zone = excluded.time_zone,
             series = excluded.series, fetched_at = excluded.fetched_at,
             is_final = excluded.is_final",
        params![
            record.system_id.0.as_bytes(),
            told.period.to_string(),
            told.zone.name(),
            json(&told.series)?,
            told.fetched_at.as_millisecond(),
            told.is_final
        ],
    )?;
    Ok(())
}

/// What was told of a system in a period.
pub(super) fn record(
    connection: &Connection,
    id: HemSystemId,
    period: Period,
) -> StoreResult<Option<SiteHistory>> {
    query_one(
        connection,
        "select time_zone, series, fetched_at, is_final from hem_histories
         where hem_system_id = ? and period = ?",
        params![id.0.as_bytes(), period.to_string()],
        |columns| {
            Ok(SiteHistory {
                period,
                zone: columns.word("time zone")?,
                series: columns.json("history")?,
                fetched_at: columns.time()?,
                is_final: columns.take()?,
            })
        },
    )
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<HemSystem> {
    Ok(HemSystem {
        id: HemSystemId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        user_id: columns.word("user ID")?,
        account_id: AccountId(columns.uuid()?),
        site: columns.take()?,
        found_at: columns.time()?,
        version: columns.number()?,
        members: columns.json("list of devices")?,
        document: columns.json("document")?,
    })
}
