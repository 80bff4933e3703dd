//! A look at a database from outside: read-only, without its lock, also while a server uses it or
//! when it is too damaged to be opened.

use std::{fs, path::PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::{
    SqliteOptions,
    open::{self, MIGRATIONS, opening},
    slices,
    statement::{query_all, query_one},
};
use crate::{error::StoreResult, inspection::Inspection};

/// Complaints about a damaged database that are repeated.
const MOST_COMPLAINTS: u32 = 10;

impl Inspection {
    /// Looks at the database of a directory; `key_check` is the name of the setting to return.
    ///
    /// # Errors
    /// - [`crate::StoreError::Damaged`] if it is none of ours, or too damaged to be read.
    /// - [`crate::StoreError::NewerSchema`] if a newer version of Livewatt has written it.
    /// - [`crate::StoreError::Unusable`] if it cannot be opened.
    pub fn of(options: &SqliteOptions, key_check: &str, now: Timestamp) -> StoreResult<Self> {
        let file = options.database_file();
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        let mut wal = file.clone().into_os_string();
        wal.push("-wal");
        let connection = open::connect(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection
            .execute_batch("pragma query_only = on")
            .map_err(opening)?;
        let schema = open::schema_version(&connection)?;
        let look = Look {
            connection: &connection,
        };
        let complaints = look.complaints()?;
        let mut found = Self {
            place: file.display().to_string(),
            bytes: size(file.clone()),
            cautions: Vec::new(),
            wal_bytes: size(wal.into()),
            schema: schema as i64,
            known_schema: MIGRATIONS.len() as i64,
            complaints,
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
        if schema == MIGRATIONS.len() && found.complaints.is_empty() {
            look.fill(&mut found, key_check, now)?;
        }
        Ok(found)
    }
}

struct Look<'a> {
    connection: &'a Connection,
}

impl Look<'_> {
    fn complaints(&self) -> StoreResult<Vec<String>> {
        let sql = format!("pragma quick_check({MOST_COMPLAINTS})");
        let mut lines = query_all(self.connection, &sql, [], |columns| {
            columns.take::<String>()
        })?;
        lines.retain(|line| line != "ok");
        Ok(lines)
    }

    fn count(&self, sql: &str) -> StoreResult<u64> {
        let count = query_one(self.connection, sql, [], |columns| columns.number())?;
        Ok(count.unwrap_or_default())
    }

    fn fill(&self, found: &mut Inspection, key_check: &str, now: Timestamp) -> StoreResult<()> {
        let connection = self.connection;
        found.openings = self.count("select max(fence) from partitions")?;
        found.accounts = (
            self.count("select count(*) from accounts")?,
            self.count("select count(*) from accounts where status = '\"invalidated\"'")?,
        );
        found.stations = self.count("select count(*) from accounts where integration = 'ocpp'")?;
        found.webhooks = (
            self.count("select count(*) from webhooks")?,
            self.count("select count(*) from webhooks where not is_active")?,
        );
        let sql = "select value from settings where name = ?";
        found.key_check = query_one(connection, sql, [key_check], |columns| columns.take())?;
        let slices = slices::all(connection)?;
        found.slices = slices.len() as u32;
        let sql = "select max(last_seen) from device_presence";
        let seen = query_one(connection, sql, [], |columns| columns.maybe_time())?.flatten();
        found.newest = seen;
        for (index, slice) in slices.iter().enumerate() {
            let at = |order: &str| {
                let sql =
                    format!("select created_at from {slice} order by position {order} limit 1");
                query_one(connection, &sql, [], |columns| columns.time())
            };
            if index == 0 {
                found.oldest_event = at("asc")?;
            }
            let newest = at("desc")?;
            found.newest = found.newest.max(newest);
            found.from_future += u64::from(newest.is_some_and(|at| at > now));
        }
        let sql = format!(
            "select count(*) from device_presence where last_seen > {}",
            now.as_millisecond()
        );
        found.from_future += self.count(&sql)?;
        Ok(())
    }
}
