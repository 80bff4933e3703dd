//! Which database the servers of tests use: SQLite in their directories, or, with
//! `LIVEWATT_TEST_STORE=postgres`, a PostgreSQL server of this process, where every directory has a
//! database of its own.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use livewatt_store::{
    PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store,
    contract::private_postgres::{PrivateDatabase, PrivatePostgres},
};

/// The setting for the database, as an environment variable.
const VARIABLE: &str = "LIVEWATT_STORE__URL";

/// Whether the tests run on PostgreSQL.
pub fn is_postgres() -> bool {
    match std::env::var("LIVEWATT_TEST_STORE").as_deref() {
        Ok("postgres") => true,
        Err(_) | Ok("" | "sqlite") => false,
        Ok(other) => panic!("LIVEWATT_TEST_STORE is {other}, not sqlite or postgres"),
    }
}

/// The database that belongs to a directory of data, made for the first who asks: empty for SQLite.
/// It goes with the process: a server that was killed is started on it again.
pub fn url(data: &Path) -> String {
    static MADE: Mutex<Option<HashMap<PathBuf, PrivateDatabase<'static>>>> = Mutex::new(None);
    if !is_postgres() {
        return String::new();
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let made = made.get_or_insert_default();
    let database = made
        .entry(data.to_owned())
        .or_insert_with(|| PrivatePostgres::shared().database());
    database.url()
}

/// What a program on a directory of data is told about its database, if that is not `elsewhere`.
pub fn environment(data: &Path, elsewhere: Option<&str>) -> [(&'static str, String); 2] {
    // Its port is another at every start, and so would be its name: it would wait for the leases of
    // the one before.
    [
        (VARIABLE, elsewhere.map_or_else(|| url(data), str::to_owned)),
        ("LIVEWATT_CLUSTER__NAME", "tested".to_owned()),
    ]
}

/// Opens the database of a directory, whose server has ended.
pub async fn open(data: &Path) -> Arc<dyn Store> {
    match is_postgres() {
        true => Arc::new(
            PostgresStore::open(&PostgresOptions::new(url(data)))
                .await
                .unwrap(),
        ),
        false => Arc::new(SqliteStore::open(&SqliteOptions::new(data)).unwrap()),
    }
}
