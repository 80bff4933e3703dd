//! The source of a copy to PostgreSQL: tables as they are there, made of what is here.
//!
//! What differs between the two schemas is made in tables of this connection alone; nothing in the
//! database is changed.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use livewatt_domain::id::{ClientId, DeviceId};
use rusqlite::{Connection, params, types::ValueRef};
use tokio::sync::mpsc;

use super::{
    SqliteOptions, devices, fleet, log,
    open::{self, Opened},
    statement::{query_all, query_one},
};
use crate::{
    error::{StoreResult, unusable},
    transfer::{Kind, Part, Row, Table, Value, size},
    values::unreadable,
};

/// Rows are handed over once they are so large together, bytes.
const LARGE: usize = 4 * 1024 * 1024;

/// What PostgreSQL has and this schema does not, or not like that.
const PREPARATION: &str = "
    create temp table copied_slices
        (slice integer primary key, day integer not null, name text not null) strict;
    create temp table copied_log_slices
        (client_id blob not null, first_position integer not null, slice integer not null) strict;
    create temp table copied_log_heads
        (client_id blob primary key, position integer not null, kept_from integer not null,
         slice integer not null, slice_from integer not null, newest_at integer not null) strict;
    create temp table copied_told
        (device_id blob primary key, told text not null, is_reachable integer) strict;";

/// A database whose directory is locked, to be read from.
#[derive(Debug)]
pub(crate) struct Source {
    connection: Arc<Mutex<Connection>>,
    options: SqliteOptions,
    installation: String,
    state: String,
    /// Tables of events, by the number that their slice will have.
    slices: Vec<(i64, String)>,
    _lock: File,
}

impl Source {
    pub(crate) fn open(options: &SqliteOptions, setting: &str) -> StoreResult<Self> {
        let file = options.database_file();
        // Opening would make one.
        if !file.exists() {
            return Err(unusable("opened")(format!(
                "there is none at {}",
                file.display()
            )));
        }
        let Opened {
            writer: connection,
            readers,
            lock,
        } = open::open(options)?;
        drop(readers);
        let stored = "select value from settings where name = ?";
        let installation = query_one(&connection, stored, [setting], |columns| columns.take())?;
        let installation = installation.ok_or_else(|| {
            unusable("opened")("no server was ever started on it: there is nothing to copy")
        })?;
        prepare(&connection)?;
        let slices = "select slice, name from copied_slices order by slice";
        let slices = query_all(&connection, slices, [], |columns| {
            Ok((columns.take()?, columns.take()?))
        })?;
        // Every program that opens the database raises the fences.
        let state = "select (select sum(fence) from partitions) || ' ' ||
             (select position from log_counter)";
        let state = query_one(&connection, state, [], |columns| columns.take::<String>())?;
        Ok(Self {
            state: format!("{} {}", open::MIGRATIONS.len(), state.unwrap_or_default()),
            connection: Arc::new(Mutex::new(connection)),
            options: options.clone(),
            installation,
            slices,
            _lock: lock,
        })
    }

    /// The setting that tells this installation from others.
    pub(crate) fn installation(&self) -> &str {
        &self.installation
    }

    /// Another text after anybody has used the database.
    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    /// The parts of a table: one, or one a day of the event log.
    pub(crate) fn parts(&self, table: Table) -> Vec<Part> {
        let part = |table: &Table, from: &str, order: &str| Part {
            table: table.clone(),
            name: table.name.clone(),
            from: from.to_owned(),
            order: order.to_owned(),
        };
        if table.name == "events" {
            let day = |(slice, name): &(i64, String)| Part {
                name: name.clone(),
                ..part(
                    &table,
                    &format!("(select {slice} as slice, * from {name})"),
                    "position",
                )
            };
            return self.slices.iter().map(day).collect();
        }
        let key = match table.key.is_empty() {
            true => table.column_list(),
            false => table.key.join(", "),
        };
        vec![match table.name.as_str() {
            "event_slices" => part(&table, "copied_slices", &key),
            "log_slices" => part(&table, "copied_log_slices", &key),
            "log_heads" => part(&table, "copied_log_heads", &key),
            // One program alone counts for all partitions at once.
            "age_clocks" => part(
                &table,
                "(select partition, counted_until from partitions, age_clock)",
                &key,
            ),
            // Only those that are open matter to the owner of a partition, and those have a device.
            "age_breaches" => part(
                &table,
                "(select age_breaches.*, coalesce(devices.partition, 0) as partition
                  from age_breaches left join devices on devices.id = device_id)",
                &key,
            ),
            "device_presence" => part(
                &table,
                "(select device_id, last_seen, fetched_at, is_active, is_asleep, missed_listings,
                      coalesce(presence.told, copied_told.told) as told,
                      coalesce(presence.is_reachable, copied_told.is_reachable) as is_reachable
                  from device_presence as presence left join copied_told using (device_id))",
                &key,
            ),
            name => part(&table, name, &key),
        }]
    }

    /// Number of rows of a part.
    pub(crate) async fn count(&self, part: &Part) -> StoreResult<u64> {
        let (connection, count) = (
            self.connection.clone(),
            format!("select count(*) from {}", part.from),
        );
        let counted = tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            query_one(&connection, &count, [], |columns| columns.number())
        });
        Ok(counted.await.map_err(unusable("used"))??.unwrap_or(0))
    }

    /// The rows of a part but for the first `skip`, at most `batch` at a time.
    pub(crate) fn read(
        &self,
        part: &Part,
        skip: u64,
        batch: usize,
    ) -> mpsc::Receiver<StoreResult<Vec<Row>>> {
        let (sender, receiver) = mpsc::channel(2);
        let connection = self.connection.clone();
        let kinds: Vec<Kind> = part.table.columns.iter().map(|c| c.kind).collect();
        let (columns, from, order) = (part.table.column_list(), &part.from, &part.order);
        let rows = format!("select {columns} from {from} order by {order} limit -1 offset {skip}");
        tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = hand_over(&connection, &rows, &kinds, batch, &sender) {
                // Nobody listens any more: nobody misses it.
                let _ = sender.blocking_send(Err(error));
            }
        });
        receiver
    }

    /// Keeps servers from using what is not up to date any more.
    pub(crate) fn retire(&self, target: &str) -> StoreResult<()> {
        let file = moved_file(&self.options);
        fs::write(&file, format!("{target}\n"))
            .map_err(|error| unusable("written")(format!("{}: {error}", file.display())))
    }
}

/// The file that says that an installation was moved, and where.
fn moved_file(options: &SqliteOptions) -> PathBuf {
    options.directory.join("livewatt.moved")
}

/// Refuses a directory whose installation is elsewhere: two servers that believe to be it would take
/// each other's logins.
pub(super) fn check_not_moved(options: &SqliteOptions) -> StoreResult<()> {
    let file = moved_file(options);
    match fs::read_to_string(&file) {
        Ok(target) => Err(unusable("opened")(format!(
            "it was moved to {}: set store.url. If that is given up, delete {}: what is here goes \
             on from when it was moved",
            target.trim(),
            file.display()
        ))),
        Err(_) => Ok(()),
    }
}

fn hand_over(
    connection: &Connection,
    sql: &str,
    kinds: &[Kind],
    batch: usize,
    sender: &mpsc::Sender<StoreResult<Vec<Row>>>,
) -> StoreResult<()> {
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([])?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(columns) = found.next()? {
        let row: Row = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| value(columns.get_ref(index)?, *kind))
            .collect::<StoreResult<_>>()?;
        bytes += size(&row);
        rows.push(row);
        if rows.len() >= batch || bytes >= LARGE {
            bytes = 0;
            if sender.blocking_send(Ok(std::mem::take(&mut rows))).is_err() {
                return Ok(());
            }
        }
    }
    if !rows.is_empty() {
        let _ = sender.blocking_send(Ok(rows));
    }
    Ok(())
}

/// A value as the target will have it.
fn value(stored: ValueRef<'_>, kind: Kind) -> StoreResult<Value> {
    Ok(match (kind, stored) {
        (_, ValueRef::Null) => Value::Null,
        (Kind::Boolean, ValueRef::Integer(number @ (0 | 1)))
        | (Kind::BigInt, ValueRef::Integer(number)) => Value::Number(number),
        (Kind::SmallInt, ValueRef::Integer(number)) => {
            Value::Number(i16::try_from(number).map_err(unreadable("number"))?.into())
        }
        (Kind::Double, ValueRef::Real(number)) => Value::Double(number),
        (Kind::Text, ValueRef::Text(text)) => {
            let text = std::str::from_utf8(text).map_err(unreadable("text"))?;
            Value::Text(text.to_owned())
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_owned()),
        (Kind::Uuid, ValueRef::Blob(bytes)) if bytes.len() == 16 => Value::Bytes(bytes.to_owned()),
        (kind, stored) => {
            let why = format!("{} where {} belongs", stored.data_type(), kind.name());
            return Err(unreadable("value")(why));
        }
    })
}

fn prepare(connection: &Connection) -> StoreResult<()> {
    connection.execute_batch(PREPARATION)?;
    number_slices(connection)?;
    place_clients(connection)?;
    tell_blocks(connection)
}

/// Slices in the order in which they were written.
fn number_slices(connection: &Connection) -> StoreResult<()> {
    connection.execute_batch(
        "insert into copied_slices (slice, day, name)
         select row_number() over (order by first_position), day, name from event_slices",
    )?;
    Ok(())
}

/// Where a client's newest events are.
struct Newest {
    slice: i64,
    slice_from: i64,
    position: i64,
    made_at: i64,
}

/// Where each client's positions are. Here positions are counted over all clients, so those of one
/// have gaps. There a client's slices meet without a gap: each begins right after what was last in the
/// one before. Otherwise a cursor at the end of a slice would seem to have missed what lies in the gap,
/// once that slice is dropped.
fn place_clients(connection: &Connection) -> StoreResult<()> {
    let heads = "select client_id, position, kept_from from log_heads";
    let heads: Vec<(ClientId, i64, i64)> = query_all(connection, heads, [], |columns| {
        Ok((ClientId(columns.uuid()?), columns.take()?, columns.take()?))
    })?;
    let kept_from: HashMap<ClientId, i64> = heads.iter().map(|head| (head.0, head.2)).collect();
    let mut newest: HashMap<ClientId, Newest> = HashMap::new();
    let slices = "select slice, name from copied_slices order by slice";
    let slices: Vec<(i64, String)> = query_all(connection, slices, [], |columns| {
        Ok((columns.take()?, columns.take()?))
    })?;
    for (slice, name) in slices {
        let last = format!(
            "select client_id, position, created_at from {name} where position in
                 (select max(position) from {name} group by client_id)"
        );
        let last: Vec<(ClientId, i64, i64)> = query_all(connection, &last, [], |columns| {
            Ok((ClientId(columns.uuid()?), columns.take()?, columns.take()?))
        })?;
        for (client, position, made_at) in last {
            // Events of a client that is gone are erased; should one be left, nobody can read it.
            let Some(kept_from) = kept_from.get(&client) else {
                continue;
            };
            let before = newest.get(&client).map(|newest| newest.position + 1);
            let slice_from = before.unwrap_or(*kept_from).max(1);
            connection.execute(
                "insert into copied_log_slices (client_id, first_position, slice) values (?, ?, ?)",
                params![client.0.as_bytes(), slice_from, slice],
            )?;
            let found = Newest {
                slice,
                slice_from,
                position,
                made_at,
            };
            newest.insert(client, found);
        }
    }
    // Who has no events any more is in no slice, so that the next event begins one.
    let newest_of_all = log::newest_event_at(connection)?;
    let fallback = newest_of_all.map_or(0, jiff::Timestamp::as_millisecond);
    for (client, position, kept_from) in heads {
        let found = newest.get(&client);
        connection.execute(
            "insert into copied_log_heads values (?, ?, ?, ?, ?, ?)",
            params![
                client.0.as_bytes(),
                position,
                kept_from,
                found.map_or(0, |found| found.slice),
                found.map_or(0, |found| found.slice_from),
                found.map_or(fallback, |found| found.made_at)
            ],
        )?;
    }
    Ok(())
}

/// What the presence of a device repeats of its document, where an older version has not written it.
fn tell_blocks(connection: &Connection) -> StoreResult<()> {
    let missing = "select client_id, id from device_presence join devices on id = device_id
         where told is null";
    let missing: Vec<(ClientId, DeviceId)> = query_all(connection, missing, [], |columns| {
        Ok((ClientId(columns.uuid()?), DeviceId(columns.uuid()?)))
    })?;
    for (client, id) in missing {
        if let Some(device) = devices::find(connection, client, id)? {
            connection.execute(
                "insert into copied_told (device_id, told, is_reachable) values (?, ?, ?)",
                params![
                    id.0.as_bytes(),
                    fleet::told(&device.stamps)?,
                    device.is_reachable()
                ],
            )?;
        }
    }
    Ok(())
}
