//! Connecting: what is asked of a server, settings of each connection, migrations.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};

use super::{
    fences,
    statement::{execute, query_one, sql},
};
use crate::error::{BoxError, StoreError, StoreResult, unusable};

/// The migrations, in order; the number of a database's schema is the number of those applied.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_create_tables.sql"),
    include_str!("../../migrations/postgres/0002_share_between_nodes.sql"),
    include_str!("../../migrations/postgres/0003_keep_export_cursors.sql"),
    include_str!("../../migrations/postgres/0004_keep_locations_and_tariffs.sql"),
    include_str!("../../migrations/postgres/0005_keep_energy.sql"),
    include_str!("../../migrations/postgres/0006_keep_stays.sql"),
    include_str!("../../migrations/postgres/0007_keep_production.sql"),
    include_str!("../../migrations/postgres/0008_keep_actions.sql"),
    include_str!("../../migrations/postgres/0009_keep_hem_systems.sql"),
    include_str!("../../migrations/postgres/0010_keep_smart_charging.sql"),
    include_str!("../../migrations/postgres/0011_keep_schedules.sql"),
    include_str!("../../migrations/postgres/0012_keep_gone_devices.sql"),
];

/// The migrations that take something away, by their number, each with the oldest schema that a
/// program must know to run beside it. All others only add, and whatever could use the database before
/// can use it after them.
const CONTRACTIONS: &[(usize, usize)] = &[(2, 2)];

/// The schema that a program knows.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    /// The migrations, in order.
    steps: Vec<&'static str>,
    /// Those that take something away, as [`CONTRACTIONS`] has them.
    contractions: Vec<(usize, usize)>,
}

impl Schema {
    /// This program's.
    pub(super) fn ours() -> Self {
        Self {
            steps: MIGRATIONS.to_vec(),
            contractions: CONTRACTIONS.to_vec(),
        }
    }

    /// That of a later release, which has further steps. Each says whether it takes something away
    /// that programs before it need.
    #[cfg(any(test, feature = "contract"))]
    pub(super) fn with(further: &[(&'static str, bool)]) -> Self {
        let mut schema = Self::ours();
        for (step, is_contraction) in further {
            schema.steps.push(step);
            let number = schema.steps.len();
            if *is_contraction {
                schema.contractions.push((number, number));
            }
        }
        schema
    }

    /// Its number.
    pub(super) fn number(&self) -> usize {
        self.steps.len()
    }

    /// The oldest schema that a program must know beside this one.
    fn oldest(&self) -> usize {
        let contractions = self.contractions.iter().map(|(_, oldest)| *oldest);
        contractions.max().unwrap_or(1)
    }
}

/// The oldest server that is known to work.
const OLDEST_SERVER: i64 = 15;

/// Keys of the advisory locks that are ours: `LWTT` and a number.
pub(super) const LOCKS: i32 = 0x4c57_5454;
/// Held while migrations are applied.
pub(super) const MIGRATION_LOCK: i32 = 1;
/// Held while a slice of the event log is begun or dropped.
pub(super) const SLICE_LOCK: i32 = 2;
/// Held while tables of dropped slices are cleared away.
pub(super) const CLEARING_LOCK: i32 = 3;
/// Held while sums of ages are added to.
pub(super) const AGES_LOCK: i32 = 4;
/// Shared by who writes for a partition, held by who raises fences.
pub(super) const FENCE_LOCK: i32 = 5;
/// Held while a day of samples is begun, or days are dropped.
pub(super) const SAMPLES_LOCK: i32 = 10;
/// Held while an installation is copied into the database.
pub(super) const TRANSFER_LOCK: i32 = 6;
/// Keys of the locks of slices: this and the slice.
pub(super) const SLICE_LOCKS: i32 = LOCKS + 1;

/// How long a caller waits for a connection of the pool, or for a server that is starting.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was idle for longer is tried before it is used: it may be a dead one.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long such a try may take. A connection that is dead and nobody has said so must not hold its
/// place in the pool for as long as the system takes to notice, which is a quarter of an hour.
const TRIAL: Duration = Duration::from_secs(2);
/// Statements kept prepared per connection: more than there are, with those that name a slice.
const PREPARED_STATEMENTS: usize = 256;

/// What every connection says first. No statement of ours takes long, so one that does is stuck;
/// who forgets a transaction must not hold up everybody. The order of commits is built on what
/// "read committed" says.
const SETTINGS: &str = "set statement_timeout = '30s';
    set idle_in_transaction_session_timeout = '5s';
    set lock_timeout = '10s';
    set default_transaction_isolation = 'read committed'";

/// Where a database is and how it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`, with `?sslmode=verify-full&sslrootcert=…`
    /// and the like.
    pub url: String,
    /// Connections that can be open at once; at least 4.
    pub connections: u32,
}

impl fmt::Debug for PostgresOptions {
    /// Without the address, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// The usual options for a database.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 16,
        }
    }

    /// What the address says, and what we say to any server.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if the address is none.
    pub(super) fn connect_options(&self) -> StoreResult<PgConnectOptions> {
        let options = PgConnectOptions::from_str(&self.url).map_err(unusable("opened"))?;
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("livewatt"),
        };
        Ok(options
            .statement_cache_capacity(PREPARED_STATEMENTS)
            .disable_statement_logging())
    }
}

/// Where a server is, for people: without the password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or(options.get_username());
    format!(
        "PostgreSQL at {host}:{}, database {database}",
        options.get_port()
    )
}

/// Connects once, outside of any pool.
pub(super) async fn connect(options: &PgConnectOptions) -> StoreResult<PgConnection> {
    let connecting = async {
        let mut connection = PgConnection::connect_with(options).await?;
        connection.execute(raw_sql(SETTINGS)).await?;
        Ok(connection)
    };
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await;
    connected
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
        .map_err(|error| match StoreError::from(error) {
            StoreError::Unusable { source, .. } => at(options, source),
            other => other,
        })
}

/// "The database cannot be opened", saying which.
fn at(options: &PgConnectOptions, source: BoxError) -> StoreError {
    unusable("opened")(format!("{}: {source}", place(options)))
}

pub(super) async fn open(options: &PostgresOptions, schema: &Schema) -> StoreResult<PgPool> {
    let connect_options = options.connect_options()?;
    let mut connection = connect(&connect_options).await?;
    check_version(&mut connection, &connect_options).await?;
    migrate(&mut connection, schema).await?;
    check_complete(&mut connection).await?;
    // The server takes note by itself if it does not hear the farewell.
    let _ = connection.close().await;
    Ok(pool(options, connect_options))
}

fn pool(options: &PostgresOptions, connect_options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(options.connections.max(4))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(raw_sql(SETTINGS)).await?;
                Ok(())
            })
        })
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for >= TRUSTED_FOR {
                    try_out(connection).await?;
                }
                Ok(true)
            })
        })
        // What somebody stopped waiting for may still be under way on it.
        .after_release(|connection, _| {
            Box::pin(async move {
                try_out(connection).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(connect_options)
}

/// Whether anybody answers on a connection.
async fn try_out(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let tried = tokio::time::timeout(TRIAL, connection.ping()).await;
    tried.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// The version of a server, such as 150004 for 15.4.
pub(super) async fn server_version(connection: &mut PgConnection) -> StoreResult<i64> {
    let version = sql("select current_setting('server_version_num')::bigint");
    let version = query_one(connection, version, |columns| columns.take()).await?;
    Ok(version.unwrap_or_default())
}

/// Refuses a server that is too old.
pub(super) async fn check_version(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> StoreResult<()> {
    let found = server_version(connection).await? / 10_000;
    if found >= OLDEST_SERVER {
        return Ok(());
    }
    let problem = format!(
        "the server is version {found}; {OLDEST_SERVER} or later is needed: upgrade it (pg_upgrade)"
    );
    Err(at(options, problem.into()))
}

/// The number of migrations applied to a database that is ours and can be used by a program that
/// knows so many; 0 if it is empty, and more than are known if a later release has added some.
pub(super) async fn schema_version(
    connection: &mut PgConnection,
    known: usize,
) -> StoreResult<usize> {
    let tables = sql("select to_regclass('livewatt_schema') is not null,
                             to_regclass('clients') is not null");
    let found = query_one(connection, tables, |columns| {
        Ok((columns.take::<bool>()?, columns.take::<bool>()?))
    });
    match found.await? {
        Some((true, _)) => {}
        Some((false, true)) => {
            return Err(StoreError::Damaged(
                "it is the database of another program".into(),
            ));
        }
        _ => return Ok(0),
    }
    let (found, oldest) = stored_schema(connection).await?;
    check_schema(found, oldest, known)
}

/// Fails if the database needs programs that know more.
pub(super) async fn check_known(connection: &mut PgConnection, known: usize) -> StoreResult<()> {
    let (found, oldest) = stored_schema(connection).await?;
    check_schema(found, oldest, known).map(drop)
}

/// The number of the schema, and the oldest that a program must know.
async fn stored_schema(connection: &mut PgConnection) -> StoreResult<(i64, i64)> {
    // Before the oldest was written down, nothing older could be used.
    let stored = sql("select version,
             coalesce((to_jsonb(livewatt_schema) ->> 'oldest')::bigint, version)
         from livewatt_schema");
    let stored = query_one(connection, stored, |columns| {
        Ok((columns.take::<i64>()?, columns.take::<i64>()?))
    });
    Ok(stored.await?.unwrap_or_default())
}

fn check_schema(found: i64, oldest: i64, known: usize) -> StoreResult<usize> {
    let is_usable = oldest <= known as i64;
    let number = usize::try_from(found).ok().filter(|_| is_usable);
    number.ok_or(StoreError::NewerSchema {
        found,
        known: known as i64,
    })
}

/// Refuses a database into which an installation is still being copied, or was not to the end.
pub(super) async fn check_complete(connection: &mut PgConnection) -> StoreResult<()> {
    let unfinished = sql("select to_regclass('livewatt_transfer') is not null");
    let unfinished = query_one(connection, unfinished, |columns| columns.take::<bool>());
    match unfinished.await? {
        Some(true) => Err(unusable("opened")(
            "an installation is copied into it and that is not finished: run `livewatt migrate \
             copy` until it says so",
        )),
        _ => Ok(()),
    }
}

/// Brings the schema up to date, in one transaction, which servers that start at the same time
/// wait for. One that is newer stays as it is.
pub(super) async fn migrate(connection: &mut PgConnection, schema: &Schema) -> StoreResult<()> {
    let known = schema.number();
    if schema_version(connection, known).await? >= known {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    let no_limits = "set local statement_timeout = 0; set local lock_timeout = 0";
    transaction.execute(raw_sql(no_limits)).await?;
    let lock = sql("select pg_advisory_xact_lock($1, $2)");
    let lock = lock.bind(LOCKS).bind(MIGRATION_LOCK);
    transaction.execute(lock).await?;
    let version = schema_version(&mut transaction, known).await?;
    if version >= known {
        return Ok(());
    }
    // Writers share this lock before they touch a table, so whoever changes tables takes it first too:
    // else each could wait for what the other holds.
    fences::lock(&mut transaction).await?;
    for step in &schema.steps[version..] {
        transaction
            .execute(raw_sql(*step))
            .await
            .map_err(unusable("opened"))?;
    }
    if (1..schema.oldest()).contains(&version) {
        // Nodes that know no more cannot go on: what they own is taken from them before they write
        // to what is no longer as they know it, and at their next beat they are told why.
        fences::take_away(&mut transaction).await?;
    }
    let note = "create table if not exists livewatt_schema (version bigint not null);
        alter table livewatt_schema add column if not exists oldest bigint not null default 1;
        delete from livewatt_schema";
    transaction.execute(raw_sql(note)).await?;
    let version_is = sql("insert into livewatt_schema (version, oldest) values ($1, $2)");
    let version_is = version_is.bind(known as i64).bind(schema.oldest() as i64);
    execute(&mut transaction, version_is).await?;
    transaction.commit().await?;
    tracing::info!(
        from = version,
        to = known,
        "the database schema was brought up to date"
    );
    Ok(())
}
