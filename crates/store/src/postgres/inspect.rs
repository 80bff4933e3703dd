//! A look at a database from outside: read-only, also while servers use it, and without bringing its
//! schema up to date.

use jiff::Timestamp;
use sqlx::{Connection, Executor, PgConnection, raw_sql};

use super::{
    PostgresOptions, nodes,
    open::{self, Schema},
    statement::{query_all, query_one, sql},
};
use crate::{error::StoreResult, inspection::Inspection};

/// Settings of a server with which an acknowledged write can be lost, and what else they may be.
const DURABILITY: [(&str, &str); 3] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
];

impl Inspection {
    /// Looks at a PostgreSQL database; `key_check` is the name of the setting to return.
    ///
    /// # Errors
    /// As [`PostgresStore::open`](super::PostgresStore::open), which this does not do.
    pub async fn of_postgres(
        options: &PostgresOptions,
        key_check: &str,
        now: Timestamp,
    ) -> StoreResult<Self> {
        let connect_options = options.connect_options()?;
        let mut connection = open::connect(&connect_options).await?;
        connection
            .execute(raw_sql("set default_transaction_read_only = on"))
            .await?;
        open::check_version(&mut connection, &connect_options).await?;
        let about = sql("select current_setting('server_version'),
                                pg_database_size(current_database())");
        let (version, bytes): (String, u64) = query_one(&mut connection, about, |columns| {
            Ok((columns.take()?, columns.number()?))
        })
        .await?
        .unwrap_or_default();
        let known = Schema::ours().number();
        let schema = open::schema_version(&mut connection, known).await?;
        open::check_complete(&mut connection).await?;
        let mut found = Self {
            place: format!("{}, version {version}", open::place(&connect_options)),
            bytes,
            wal_bytes: 0,
            schema: schema as i64,
            known_schema: known as i64,
            complaints: Vec::new(),
            cautions: cautions(&mut connection).await?,
            openings: 0,
            slices: 0,
            oldest_event: None,
            newest: None,
            from_future: 0,
            accounts: (0, 0),
            stations: 0,
            webhooks: (0, 0),
            cluster: None,
            key_check: None,
        };
        // An older schema is brought up to date by the next start; until then it is not read.
        if schema >= known {
            fill(&mut connection, &mut found, key_check, now).await?;
        }
        let _ = connection.close().await;
        Ok(found)
    }
}

async fn cautions(connection: &mut PgConnection) -> StoreResult<Vec<String>> {
    let settings = sql("select name::text, setting from pg_settings where name = any($1)");
    let names: Vec<_> = DURABILITY.iter().map(|(name, _)| *name).collect();
    let settings = query_all(connection, settings.bind(names), |columns| {
        Ok((columns.take::<String>()?, columns.take::<String>()?))
    });
    let is_unsafe = |name: &str, value: &str| DURABILITY.contains(&(name, value));
    let cautions = settings.await?.into_iter();
    let cautions = cautions.filter(|(name, value)| is_unsafe(name, value));
    Ok(cautions
        .map(|(name, value)| {
            format!("{name} is {value}: what was acknowledged can be lost when the machine fails")
        })
        .collect())
}

async fn fill(
    connection: &mut PgConnection,
    found: &mut Inspection,
    key_check: &str,
    now: Timestamp,
) -> StoreResult<()> {
    let counts = sql("select (select max(fence) from partitions),
                (select count(*) from accounts),
                (select count(*) from accounts
                 where status <> '\"active\"' and status = '\"invalidated\"'),
                (select count(*) from accounts where integration = 'ocpp'),
                (select count(*) from webhooks),
                (select count(*) from webhooks where not is_active),
                (select count(*) from event_slices)");
    query_one(connection, counts, |columns| {
        found.openings = columns.number()?;
        found.accounts = (columns.number()?, columns.number()?);
        found.stations = columns.number()?;
        found.webhooks = (columns.number()?, columns.number()?);
        found.slices = columns.number()?;
        Ok(())
    })
    .await?;
    let times = sql("select (select min(day) * 86400000 from event_slices),
                greatest((select max(last_seen) from device_presence),
                         (select max(newest_at) from log_heads)),
                (select count(*) from device_presence where last_seen > $1)
                + (select count(*) from log_heads where newest_at > $1)");
    query_one(connection, times.bind(now.as_millisecond()), |columns| {
        found.oldest_event = columns.maybe_time()?;
        found.newest = columns.maybe_time()?;
        found.from_future = columns.number()?;
        Ok(())
    })
    .await?;
    found.cluster = Some(nodes::view(connection).await?);
    let setting = sql("select value from settings where name = $1");
    found.key_check = query_one(connection, setting.bind(key_check), |columns| {
        columns.take()
    })
    .await?;
    Ok(())
}
