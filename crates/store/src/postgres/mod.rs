//! The store in a PostgreSQL database, version 15 or later, for any number of processes.

mod accounts;
mod actions;
mod ages;
mod clients;
mod commit;
mod devices;
mod energy;
mod error;
mod exports;
mod fences;
mod fleet;
mod hem;
mod inspect;
mod letters;
mod links;
mod locations;
mod log;
#[cfg(test)]
mod node_tests;
mod nodes;
mod open;
mod operation;
mod paging;
mod past;
mod presence;
mod production;
mod sample_days;
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
mod wakes;
mod webhooks;

pub use open::PostgresOptions;

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Instant,
};

use sqlx::{PgConnection, Postgres, Transaction, pool::PoolConnection};

use self::{
    commit::{Committers, Context},
    nodes::Nodes,
    open::Schema,
    sample_days::SampleDays,
    slices::Slices,
};
use crate::error::StoreResult;

/// A store in a PostgreSQL database. Dropping it writes what is queued.
#[derive(Debug)]
pub struct PostgresStore {
    committers: Committers,
    context: Arc<Context>,
    nodes: Arc<Nodes>,
}

impl PostgresStore {
    /// Connects to a database and brings its schema up to date, or makes it.
    ///
    /// # Errors
    /// - [`StoreError::Unusable`](crate::StoreError::Unusable) if it cannot be reached, does not
    ///   let us in, or is older than version 15.
    /// - [`StoreError::Damaged`](crate::StoreError::Damaged) if it is the database of another
    ///   program.
    /// - [`StoreError::NewerSchema`](crate::StoreError::NewerSchema) if a newer version of Livewatt
    ///   has taken away what this one needs.
    pub async fn open(options: &PostgresOptions) -> StoreResult<Self> {
        Self::open_as(options, &Schema::ours()).await
    }

    /// The same as a program of a later release, which knows further migrations; each says whether
    /// it takes something away that programs before it need.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(any(test, feature = "contract"))]
    pub async fn open_later(
        options: &PostgresOptions,
        further: &[(&'static str, bool)],
    ) -> StoreResult<Self> {
        Self::open_as(options, &Schema::with(further)).await
    }

    async fn open_as(options: &PostgresOptions, schema: &Schema) -> StoreResult<Self> {
        let context = Arc::new(Context {
            pool: open::open(options, schema).await?,
            known_schema: schema.number(),
            slices: Slices::default(),
            sample_days: SampleDays::default(),
        });
        Ok(Self {
            committers: Committers::start(&context),
            nodes: Arc::new(Nodes(context.clone())),
            context,
        })
    }

    /// A connection to read with.
    async fn read(&self) -> StoreResult<Reading> {
        let access = Access("read", Instant::now());
        Ok(Reading {
            connection: self.context.pool.acquire().await?,
            _access: access,
        })
    }

    /// Begins a transaction in which everything that is read is of one moment.
    async fn snapshot(&self) -> StoreResult<Writing> {
        let access = Access("read", Instant::now());
        let begin = "begin isolation level repeatable read read only";
        let transaction = statement::begin_with(&self.context.pool, begin).await?;
        Ok(Writing {
            transaction,
            _access: access,
        })
    }

    /// Begins a transaction that writes.
    async fn write(&self) -> StoreResult<Writing> {
        let access = Access("write", Instant::now());
        Ok(Writing {
            transaction: statement::begin(&self.context.pool).await?,
            _access: access,
        })
    }
}

/// A connection to read with, and since when.
struct Reading {
    connection: PoolConnection<Postgres>,
    _access: Access,
}

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// A transaction, and since when. Dropped without a commit, it is rolled back.
struct Writing {
    transaction: Transaction<'static, Postgres>,
    _access: Access,
}

impl Writing {
    async fn commit(self) -> StoreResult<()> {
        statement::commit(self.transaction).await
    }
}

impl Deref for Writing {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// Measures how long the database was used, from the asking for a connection to the end.
struct Access(&'static str, Instant);

impl Drop for Access {
    fn drop(&mut self) {
        metrics::histogram!("livewatt_store_seconds", "access" => self.0)
            .record(self.1.elapsed().as_secs_f64());
    }
}
