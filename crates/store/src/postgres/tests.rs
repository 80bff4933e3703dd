//! What only this backend promises; the rest is the contract suite.

use std::sync::Arc;

use super::*;
use crate::{
    Store,
    contract::private_postgres::{PrivateDatabase, PrivatePostgres},
};

mod contract {
    crate::store_contract!(crate::postgres::tests::open_store);
}

async fn open_store() -> (PrivateDatabase<'static>, Arc<dyn Store>) {
    let (database, store) = open().await;
    (database, Arc::new(store))
}

async fn open() -> (PrivateDatabase<'static>, PostgresStore) {
    let database = PrivatePostgres::shared().database();
    let store = PostgresStore::open(&PostgresOptions::new(database.url())).await;
    (database, store.expect("a store"))
}
