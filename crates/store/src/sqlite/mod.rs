//! The store in a SQLite database: one file in a directory, for one process.

mod accounts;
mod actions;
mod ages;
mod backup;
mod clients;
mod commit;
mod devices;
mod energy;
mod error;
mod exports;
mod fleet;
mod hem;
mod inspect;
mod job;
mod links;
mod locations;
mod log;
mod open;
mod operation;
mod paging;
mod past;
mod production;
mod readers;
mod schedules;
mod slices;
mod smart;
mod statement;
mod store;
mod tariffs;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;
mod users;
mod webhooks;
mod writer;

pub use backup::Backup;
pub use open::SqliteOptions;
pub use writer::CommitStats;

use std::time::{Duration, Instant};

use rusqlite::Connection;

use self::{open::Opened, readers::Readers, writer::Writer};
use crate::error::{StoreError, StoreResult};

/// A store in a SQLite database. Dropping it writes what is queued and closes the database.
#[derive(Debug)]
pub struct SqliteStore {
    // Closed first: the last connection to close tidies up, which readers could not.
    readers: Readers,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the database in a directory, which no other process may have open; makes directory
    /// and database if missing, and brings an older schema up to date. Blocks meanwhile.
    ///
    /// # Errors
    /// - [`StoreError::Unusable`] if the directory cannot be written to or is in use.
    /// - [`StoreError::Damaged`] if the file is not a database of Livewatt.
    /// - [`StoreError::NewerSchema`] if a newer version of Livewatt has written it.
    /// - [`StoreError::DiskFull`] if there is no space for it.
    pub fn open(options: &SqliteOptions) -> StoreResult<Self> {
        Self::open_with(options, writer::MAX_GATHERING)
    }

    fn open_with(options: &SqliteOptions, max_gathering: Duration) -> StoreResult<Self> {
        let Opened {
            writer,
            readers,
            lock,
        } = open::open(options)?;
        let writer = Writer::start(writer, max_gathering, lock)?;
        Ok(Self {
            readers: Readers::start(readers)?,
            writer,
        })
    }

    /// How well writes are grouped into commits, since the database was opened.
    pub fn commit_stats(&self) -> CommitStats {
        self.writer.stats()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let handed_in = Instant::now();
        let result = self.writer.submit(work)?.await;
        metrics::histogram!("livewatt_store_seconds", "access" => "write")
            .record(handed_in.elapsed().as_secs_f64());
        result.unwrap_or(Err(StoreError::Closed))
    }

    /// Reads a row by one statement, on the caller's thread if a connection is free: handing it to a
    /// reader and back would cost several times as much.
    async fn read_row<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let began = Instant::now();
        match self.readers.try_here(work) {
            Ok(result) => {
                metrics::histogram!("livewatt_store_seconds", "access" => "read")
                    .record(began.elapsed().as_secs_f64());
                result
            }
            Err(work) => self.read(work).await,
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let handed_in = Instant::now();
        let result = self.readers.submit(work)?.await;
        metrics::histogram!("livewatt_store_seconds", "access" => "read")
            .record(handed_in.elapsed().as_secs_f64());
        result.unwrap_or(Err(StoreError::Closed))
    }

    /// Reads much that is not read again soon, and keeps nothing of it: a cache filled with it would
    /// hold memory for as long as the server runs.
    async fn scan<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.read(move |connection| {
            let found = work(connection)?;
            statement::execute(connection, "pragma shrink_memory", [])?;
            Ok(found)
        })
        .await
    }
}
