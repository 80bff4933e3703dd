//! Moving an installation from a directory with a SQLite database into an empty PostgreSQL database.
//!
//! What is copied is what the schema of the target has: every table, in an order in which each finds
//! what its rows refer to. A table that the source has under the same name and with the same columns
//! is copied as it is; how the others come about is said in `sqlite/transfer.rs`. What is not copied
//! is named in `postgres/transfer.rs`, with the reason.
//!
//! Invariants:
//! - The directory is locked all the time, as by a server, and so is the target against another copy.
//! - The rows of a batch and the note of how far the copy has come are one transaction: it can end at
//!   any moment and goes on where it was, with no row missing and none twice.
//! - Only a database in which there is nothing is written to, or one in which a copy of this very
//!   installation is not finished. If the source was used in between, the copy starts over.
//! - No server opens the target until all tables were compared and found to be the same.

mod rows;
#[cfg(test)]
mod tests;

pub use self::rows::TableSum;
pub(crate) use self::rows::{Column, Kind, Row, Table, Value, size};

use crate::{
    error::{StoreError, StoreResult, unusable},
    postgres::{PostgresOptions, transfer::Target},
    sqlite::{SqliteOptions, transfer::Source},
};

/// A copy from one database to the other.
#[derive(Debug)]
pub struct Transfer {
    source: Source,
    target: Target,
    parts: Vec<Part>,
}

/// A table, or one of the pieces in which the source has it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) table: Table,
    /// What people are told that it is.
    pub(crate) name: String,
    /// Where its rows come from, in the words of the source.
    pub(crate) from: String,
    /// In which order they are read: always the same.
    pub(crate) order: String,
}

/// How far the copy has come: parts that are done, and rows of the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) part: usize,
    pub(crate) rows: u64,
}

/// How a copy begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// For the first time.
    New,
    /// Where it ended before.
    GoesOn,
    /// From the start once more, since the source has changed or the copy was not the same.
    StartsOver,
}

/// What a copy is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferProgress {
    /// The table, or a day of the event log.
    pub part: String,
    /// Rows of it that are copied.
    pub done: u64,
    /// Rows of it in all.
    pub of: u64,
}

/// What came of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferredTable {
    /// The table, as the target names it.
    pub name: String,
    /// What is in the source.
    pub source: TableSum,
    /// What is in the target.
    pub target: TableSum,
}

impl TransferredTable {
    /// Whether both hold the same.
    pub fn is_same(&self) -> bool {
        self.source == self.target
    }
}

impl Transfer {
    /// Locks both databases and brings their schemas up to date. `installation` names a setting that
    /// is in every installation and tells it from all others.
    ///
    /// # Errors
    /// - [`StoreError::Unusable`] if the directory has no database, is in use by a server or was
    ///   moved before, or if the target cannot be used or is just being copied into.
    /// - As [`SqliteStore::open`](crate::SqliteStore::open) and
    ///   [`PostgresStore::open`](crate::PostgresStore::open).
    pub async fn open(
        from: &SqliteOptions,
        to: &PostgresOptions,
        installation: &str,
    ) -> StoreResult<Self> {
        let (options, setting) = (from.clone(), installation.to_owned());
        let opened = tokio::task::spawn_blocking(move || Source::open(&options, &setting));
        let source = opened.await.map_err(unusable("opened"))??;
        let mut target = Target::open(to).await?;
        let tables = in_order(target.tables().await?)?;
        let mut parts = Vec::new();
        for table in tables {
            parts.extend(source.parts(table));
        }
        Ok(Self {
            source,
            target,
            parts,
        })
    }

    /// The setting that tells this installation from others.
    pub fn installation(&self) -> &str {
        self.source.installation()
    }

    /// The target, for people.
    pub fn target(&self) -> &str {
        self.target.place()
    }

    /// Makes sure that the target may be written to, and finds how far an earlier copy came.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it holds an installation, or part of another one.
    pub async fn begin(&mut self) -> StoreResult<Beginning> {
        let tables = self.parts.iter().map(|part| part.table.name.as_str());
        let tables: Vec<_> = tables.collect();
        let (installation, state) = (self.source.installation(), self.source.state());
        self.target.begin(installation, state, &tables).await
    }

    /// Copies what is not copied yet, so many rows at a time, and tells after each time how far it
    /// is.
    ///
    /// # Errors
    /// If either database fails, or a row cannot be written. What was copied until then stays.
    pub async fn copy(
        &mut self,
        batch: usize,
        mut tell: impl FnMut(TransferProgress) + Send,
    ) -> StoreResult<()> {
        let mut mark = self.target.mark().await?;
        while let Some(part) = self.parts.get(mark.part) {
            if part.table.name == "events" {
                self.target.make_slices().await?;
            }
            let mut progress = TransferProgress {
                part: part.name.clone(),
                done: mark.rows,
                of: self.source.count(part).await?,
            };
            let mut batches = self.source.read(part, mark.rows, batch);
            while let Some(rows) = batches.recv().await {
                let rows = rows.map_err(about(part))?;
                if part.table.name == "sample_hours" {
                    let made = self.target.make_sample_days(&part.table, &rows).await;
                    made.map_err(about(part))?;
                }
                mark.rows += rows.len() as u64;
                let written = self.target.write(&part.table, rows, mark).await;
                written.map_err(about(part))?;
                progress.done = mark.rows;
                tell(progress.clone());
            }
            mark = Mark {
                part: mark.part + 1,
                rows: 0,
            };
            self.target.save_mark(mark).await?;
        }
        Ok(())
    }

    /// Compares all tables. If they are the same, lets servers use the target from now on, and keeps
    /// them from using the source; otherwise the next copy starts over.
    ///
    /// # Errors
    /// If either database fails.
    pub async fn finish(mut self) -> StoreResult<Vec<TransferredTable>> {
        let mut compared: Vec<TransferredTable> = Vec::new();
        for part in &self.parts {
            let mut sum = TableSum::default();
            let mut batches = self.source.read(part, 0, COMPARED_AT_ONCE);
            while let Some(rows) = batches.recv().await {
                rows?.iter().for_each(|row| sum.add(row));
            }
            match compared.last_mut() {
                Some(same) if same.name == part.table.name => {
                    same.source.rows += sum.rows;
                    same.source.checksum = same.source.checksum.wrapping_add(sum.checksum);
                }
                _ => compared.push(TransferredTable {
                    name: part.table.name.clone(),
                    source: sum,
                    target: self.target.sum(&part.table).await?,
                }),
            }
        }
        if compared.iter().all(TransferredTable::is_same) {
            let tables = self.parts.iter().map(|part| &part.table);
            self.target.open_for_servers(tables.collect()).await?;
            self.source.retire(self.target.place())?;
        } else {
            self.target.start_over_next_time().await?;
        }
        Ok(compared)
    }
}

/// Rows compared at a time.
const COMPARED_AT_ONCE: usize = 2_000;

fn about(part: &Part) -> impl FnOnce(StoreError) -> StoreError {
    let name = part.name.clone();
    move |error| {
        let mut why = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            why = format!("{why}: {cause}");
            source = cause.source();
        }
        unusable("filled")(format!("{name}: {why}"))
    }
}

/// Tables in an order in which each comes after those that it needs.
fn in_order(mut tables: Vec<Table>) -> StoreResult<Vec<Table>> {
    let mut ordered: Vec<Table> = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let is_there = |name: &String| ordered.iter().any(|table| table.name == *name);
        let next = tables
            .iter()
            .position(|table| table.needs.iter().all(is_there));
        let Some(next) = next else {
            let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
            let why = format!("these tables refer to each other: {}", names.join(", "));
            return Err(unusable("filled")(why));
        };
        ordered.push(tables.remove(next));
    }
    Ok(ordered)
}
