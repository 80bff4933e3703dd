//! What only this backend promises; the rest is the contract suite.

mod late;
mod locks;
mod server;

use std::sync::Arc;

use livewatt_domain::{event::Event, id::ClientId, webhook::Position};
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::{
    open::Schema,
    statement::{execute, query_one, sql},
    *,
};
use crate::{
    LogQuery, LoggedEvent, Store,
    contract::{
        Story, day, minute,
        private_postgres::{PrivateDatabase, PrivatePostgres},
    },
};

mod contract {
    crate::store_contract!(crate::postgres::tests::open_store);
}

async fn open_store() -> (PrivateDatabase<'static>, Arc<dyn Store>) {
    let (database, store) = open().await;
    (database, store)
}

async fn open() -> (PrivateDatabase<'static>, Arc<PostgresStore>) {
    let database = PrivatePostgres::shared().database();
    let store = PostgresStore::open(&PostgresOptions::new(database.url())).await;
    (database, Arc::new(store.expect("a store")))
}

/// A store with a story in it.
async fn begin() -> (PrivateDatabase<'static>, Arc<PostgresStore>, Arc<Story>) {
    let (database, store) = open().await;
    let story = Story::begin(Arc::clone(&store) as Arc<dyn Store>)
        .await
        .unwrap();
    (database, store, Arc::new(story))
}

/// A transaction that has appended events and is not committed.
async fn appended(store: &PostgresStore, events: &[Event]) -> Transaction<'static, Postgres> {
    let events: Vec<_> = events.iter().collect();
    let context = &store.context;
    let slices = context.slices.assign(&context.pool, &events).await.unwrap();
    let mut transaction = context.pool.begin().await.unwrap();
    let positions = log::append(&mut transaction, &events, &slices)
        .await
        .unwrap();
    assert_eq!(positions.map(|positions| positions.len()), Ok(events.len()));
    transaction
}

/// Reads a few events on from a cursor, as a webhook would.
async fn read_on(
    store: &PostgresStore,
    client: ClientId,
    cursor: &mut Position,
) -> Vec<LoggedEvent> {
    let query = LogQuery {
        client_id: client,
        after: *cursor,
        until: None,
        lane: None,
        limit: 5,
    };
    let page = store.events_after(query).await.unwrap();
    assert!(page.read_until >= *cursor, "the log went back");
    *cursor = page.read_until;
    page.events
}

async fn number(store: &PostgresStore, query: &'static str) -> i64 {
    let mut connection = store.read().await.unwrap();
    let found = query_one(&mut connection, sql(query), |columns| columns.take());
    found.await.unwrap().unwrap()
}

#[tokio::test]
async fn servers_that_start_together_make_one_schema() {
    let database = PrivatePostgres::shared().database();
    let options = PostgresOptions::new(database.url());
    let opened = futures_of(4, || PostgresStore::open(&options)).await;
    for store in &opened {
        store.as_ref().unwrap().check().await.unwrap();
    }
    let store = opened.into_iter().next().unwrap().unwrap();
    assert_eq!(
        number(&store, "select version from livewatt_schema").await,
        Schema::ours().number() as i64
    );
    assert_eq!(
        number(&store, "select count(*) from livewatt_schema").await,
        1
    );
}

/// So many of a future, all at once.
async fn futures_of<T, F: Future<Output = T>>(count: usize, make: impl Fn() -> F) -> Vec<T> {
    let mut waiting: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut done: Vec<Option<T>> = (0..count).map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in waiting.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A reader at the end of a long log looks at one partition, however many there are.
#[tokio::test]
async fn a_reader_looks_at_the_partitions_that_it_needs() {
    let (_database, store, story) = begin().await;
    for days in 0..12 {
        story.log(vec![story.event(day(days))]).await.unwrap();
    }
    let mut connection = store.read().await.unwrap();
    let slices = async |connection: &mut PgConnection, after| {
        let slices =
            sql("select count(*) from log_slices where client_id = $1 and first_position > $2");
        let slices = slices.bind(story.client.0).bind(after);
        query_one(connection, slices, |columns| columns.take::<i64>())
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(slices(&mut connection, 0).await, 12);
    let plan = "explain select position from events where slice = 12 and client_id = $1
        and position > 11 and position <= 12 order by position limit 5";
    let plan = sqlx::query(AssertSqlSafe(plan.to_owned())).bind(story.client.0);
    let lines = statement::query_all(&mut connection, plan, |columns| columns.take::<String>());
    let plan = lines.await.unwrap().join("\n");
    assert!(plan.contains("events_12"), "{plan}");
    assert_eq!(plan.matches(" on events_").count(), 1, "{plan}");
    assert!(plan.contains("Index"), "{plan}");
    let mut cursor = Position(11);
    assert_eq!(read_on(&store, story.client, &mut cursor).await.len(), 1);
}

/// A server that stops after it took a day out of the log, and before the table was dropped, leaves
/// work that the next pruning does.
#[tokio::test]
async fn what_a_stopped_server_left_of_dropped_days_is_cleared_away() {
    let (_database, store, story) = begin().await;
    for days in 0..3 {
        story.log(vec![story.event(day(days))]).await.unwrap();
    }
    let mut work = store.write().await.unwrap();
    assert!(
        slices::drop_oldest(&mut work, day(1), day(2))
            .await
            .unwrap()
    );
    work.commit().await.unwrap();
    let tables =
        "select count(*) from pg_class where relkind = 'r' and relname ~ '^events_[0-9]+$'";
    assert_eq!(number(&store, tables).await, 3);
    // It is gone for readers at once.
    let page = story.events(story.client, Position(0)).await.unwrap();
    assert_eq!((page.events.len(), page.kept_from), (2, Position(2)));
    assert_eq!(store.prune(day(1), day(2)).await.unwrap(), 0);
    assert_eq!(number(&store, tables).await, 2);
}

/// Another server has begun a newer slice, or dropped ours: what this one remembers is put right.
#[tokio::test]
async fn slices_are_begun_and_dropped_by_any_server() {
    let (database, store, story) = begin().await;
    let other = PostgresStore::open(&PostgresOptions::new(database.url()))
        .await
        .unwrap();
    let story_of = |days| vec![story.event(day(days))];
    story.log(story_of(0)).await.unwrap();
    let mut unit = story.unit();
    unit.events = story_of(1);
    other.commit(unit).await.unwrap();
    // This one still knows the first slice only, and its clock is behind.
    story.log(story_of(0)).await.unwrap();
    assert_eq!(number(&store, "select count(*) from event_slices").await, 2);
    assert_eq!(other.prune(day(5), day(5)).await.unwrap(), 2);
    let last = story.log(story_of(0)).await.unwrap();
    assert_eq!(last, Position(4));
    let page = story.events(story.client, Position(0)).await.unwrap();
    assert_eq!((page.events.len(), page.kept_from), (1, Position(4)));
}

/// Whoever knows that a day of samples has its partition may be wrong: another node drops it, and one
/// of that day comes all the same where samples are kept for longer.
#[tokio::test]
async fn a_day_of_samples_that_another_node_dropped_is_made_again() {
    let (database, store, story) = begin().await;
    let device = story.discover(1).await.unwrap();
    story.keep_history(&device).await.unwrap();
    let samples = async || {
        let piece = store.history_piece(device.id, day(-2)).await.unwrap();
        piece.samples
    };
    let before = samples().await;
    let other = PostgresStore::open(&PostgresOptions::new(database.url())).await;
    other.unwrap().prune_samples(day(9)).await.unwrap();
    assert_eq!((before.len(), samples().await.len()), (8, 0));
    story.keep_history(&device).await.unwrap();
    assert_eq!(samples().await, before);
}
