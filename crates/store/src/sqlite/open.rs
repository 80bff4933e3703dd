//! Opening a directory: the lock that keeps a second program out, connections, migrations.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{error::unusable, transfer::check_not_moved};
use crate::error::{StoreError, StoreResult};

const DATABASE_FILE: &str = "livewatt.db";
const LOCK_FILE: &str = "livewatt.lock";

/// Written into the head of our databases, to tell them from others: `LWTT`.
pub(super) const APPLICATION_ID: i64 = 0x4c57_5454;

/// The migrations, in order; the number of a database's schema is the number of those applied.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_create_tables.sql"),
    include_str!("../../migrations/sqlite/0002_narrow_presence.sql"),
    include_str!("../../migrations/sqlite/0003_order_slices_by_position.sql"),
    include_str!("../../migrations/sqlite/0004_count_ages.sql"),
    include_str!("../../migrations/sqlite/0005_count_troubled_accounts.sql"),
    include_str!("../../migrations/sqlite/0006_tell_fetches_from_pushes.sql"),
    include_str!("../../migrations/sqlite/0007_prepare_for_owners.sql"),
    include_str!("../../migrations/sqlite/0008_keep_export_cursors.sql"),
    include_str!("../../migrations/sqlite/0009_keep_locations_and_tariffs.sql"),
    include_str!("../../migrations/sqlite/0010_keep_energy.sql"),
    include_str!("../../migrations/sqlite/0011_keep_stays.sql"),
    include_str!("../../migrations/sqlite/0012_keep_production.sql"),
    include_str!("../../migrations/sqlite/0013_keep_actions.sql"),
    include_str!("../../migrations/sqlite/0014_keep_hem_systems.sql"),
    include_str!("../../migrations/sqlite/0015_keep_smart_charging.sql"),
    include_str!("../../migrations/sqlite/0016_keep_schedules.sql"),
    include_str!("../../migrations/sqlite/0017_keep_gone_devices.sql"),
];

/// Statements kept prepared per connection: about as many as there are.
const PREPARED_STATEMENTS: usize = 256;

/// Where a database is and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The directory that holds the database; created if missing.
    pub directory: PathBuf,
    /// Number of reads that can be under way at once; at least 1.
    pub readers: usize,
}

impl SqliteOptions {
    /// The usual options for a database in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            readers: 4,
        }
    }
}

impl SqliteOptions {
    /// The file of the database.
    pub fn database_file(&self) -> PathBuf {
        self.directory.join(DATABASE_FILE)
    }
}

/// An opened database.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
    /// Keeps other programs out for as long as it lives.
    pub(super) lock: File,
}

pub(super) fn open(options: &SqliteOptions) -> StoreResult<Opened> {
    let directory = &options.directory;
    create_directory(directory).map_err(in_directory(directory))?;
    let lock = lock(directory)?;
    check_not_moved(options)?;
    let file = directory.join(DATABASE_FILE);
    // Made here rather than by SQLite, for the permissions; its other files inherit them.
    private_file(&file).map_err(in_directory(directory))?;
    let mut writer = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let version = schema_version(&writer)?;
    prepare_writer(&writer)?;
    migrate(&mut writer, version)?;
    let readers = (0..options.readers.max(1))
        .map(|_| open_reader(&file))
        .collect::<Result<_, _>>();
    Ok(Opened {
        writer,
        readers: readers?,
        lock,
    })
}

fn create_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock(directory: &Path) -> StoreResult<File> {
    let file = private_file(&directory.join(LOCK_FILE)).map_err(in_directory(directory))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unusable {
            action: "opened",
            source: format!("{} is in use by another process", directory.display()).into(),
        }),
        Err(TryLockError::Error(error)) => Err(in_directory(directory)(error)),
    }
}

fn in_directory(directory: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let directory = directory.display().to_string();
    move |error| StoreError::Unusable {
        action: "opened",
        source: format!("{directory}: {error}").into(),
    }
}

pub(super) fn connect(file: &Path, access: OpenFlags) -> StoreResult<Connection> {
    let connection = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(opening)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(opening)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}

/// Settings of the connection that writes. Every commit reaches the disk before it is answered.
/// The write-ahead log is copied back every 16 MiB: more rarely than by default, since each time
/// costs a sync of the whole database.
fn prepare_writer(connection: &Connection) -> StoreResult<()> {
    connection
        .execute_batch(
            "pragma journal_mode = wal;
             pragma synchronous = full;
             pragma foreign_keys = on;
             pragma wal_autocheckpoint = 4096;
             pragma journal_size_limit = 67108864;
             pragma cache_size = -65536;
             pragma temp_store = memory;
             pragma secure_delete = fast;",
        )
        .map_err(opening)
}

fn open_reader(file: &Path) -> StoreResult<Connection> {
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let settings = "pragma query_only = on; pragma cache_size = -16384;";
    connection.execute_batch(settings).map_err(opening)?;
    Ok(connection)
}

/// The number of migrations applied to a database that is ours and not too new.
pub(super) fn schema_version(connection: &Connection) -> StoreResult<usize> {
    let number = |sql| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(opening)
    };
    let is_empty = number("select count(*) from sqlite_schema")? == 0;
    if !is_empty && number("pragma application_id")? != APPLICATION_ID {
        return Err(StoreError::Damaged(
            "it is the database of another program".into(),
        ));
    }
    let found = number("pragma user_version")?;
    let known = MIGRATIONS.len();
    usize::try_from(found)
        .ok()
        .filter(|found| *found <= known)
        .ok_or(StoreError::NewerSchema {
            found,
            known: known as i64,
        })
}

/// Brings the schema up to date, in one transaction.
fn migrate(connection: &mut Connection, version: usize) -> StoreResult<()> {
    let known = MIGRATIONS.len();
    if version == known {
        return Ok(());
    }
    let transaction = connection.transaction().map_err(opening)?;
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration).map_err(opening)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(opening)?;
    transaction
        .pragma_update(None, "user_version", known as i64)
        .map_err(opening)?;
    transaction.commit().map_err(opening)?;
    tracing::info!(
        from = version,
        to = known,
        "the database schema was brought up to date"
    );
    Ok(())
}

pub(super) fn opening(error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Unusable { source, .. } => unusable("opened")(source),
        other => other,
    }
}
