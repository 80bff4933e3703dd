//! The server: what it is asked for, what is refused, and what happens when it goes away.

use std::{error::Error as _, time::Duration};

use super::*;
use crate::{Inspection, StoreError};

#[tokio::test]
async fn every_connection_has_its_limits() {
    let (_database, store) = open().await;
    for (setting, expected) in [
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("lock_timeout", "10s"),
        ("application_name", "livewatt"),
    ] {
        let mut connection = store.read().await.unwrap();
        let shown = sql("select current_setting($1)").bind(setting);
        let shown = query_one(&mut connection, shown, |columns| columns.take::<String>());
        assert_eq!(shown.await.unwrap().unwrap(), expected, "{setting}");
    }
}

#[tokio::test]
async fn what_is_not_ours_or_newer_is_refused() {
    let (database, store) = open().await;
    let mut connection = store.read().await.unwrap();
    let newer = sql("update livewatt_schema set version = 99, oldest = 98");
    statement::execute(&mut connection, newer).await.unwrap();
    let refused = PostgresStore::open(&PostgresOptions::new(database.url())).await;
    assert!(
        matches!(
            refused,
            Err(StoreError::NewerSchema { found: 99, known })
                if known == Schema::ours().number() as i64
        ),
        "{refused:?}"
    );
    let drop = sql("drop table livewatt_schema");
    statement::execute(&mut connection, drop).await.unwrap();
    let refused = PostgresStore::open(&PostgresOptions::new(database.url())).await;
    assert!(
        matches!(refused, Err(StoreError::Damaged(_))),
        "{refused:?}"
    );
}

/// Who cannot connect is told where, and never with which password.
#[tokio::test]
async fn a_password_is_never_told() {
    let database = PrivatePostgres::shared().database();
    let unreachable = "postgres://ada:hunter2@127.0.0.1:1/livewatt".to_owned();
    let wrong = database.url().replace("livewatt@", "nobody:hunter2@");
    for (url, told) in [(unreachable, "127.0.0.1:1"), (wrong, "nobody")] {
        let options = PostgresOptions::new(url);
        let refused = PostgresStore::open(&options).await.unwrap_err();
        let text = format!("{refused} {:?} {refused:?} {options:?}", refused.source());
        assert!(text.contains(told), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    for none in ["postgres://ada:hunter2@host:port/x", "postgres://[hunter2"] {
        let refused = PostgresStore::open(&PostgresOptions::new(none))
            .await
            .unwrap_err();
        let text = format!("{refused} {refused:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// A server that was killed and comes back is used again, with everything that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_found_again() {
    let server = PrivatePostgres::start();
    let database = server.database();
    let store = PostgresStore::open(&PostgresOptions::new(database.url()))
        .await
        .unwrap();
    let story = Story::begin(Arc::new(store)).await.unwrap();
    let mut acknowledged = Vec::new();
    for restart in 0..2 {
        acknowledged.push(story.log(vec![story.event(minute(restart))]).await.unwrap());
        server.restart();
        let began = std::time::Instant::now();
        // Those that had a connection of before may fail once each.
        loop {
            match story.store.check().await {
                Ok(()) => break,
                Err(StoreError::Unusable { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it does not heal"
            );
        }
        let mut next = story.log(vec![story.event(minute(restart))]).await;
        while matches!(next, Err(StoreError::Unusable { .. })) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it does not heal"
            );
            next = story.log(vec![story.event(minute(restart))]).await;
        }
        acknowledged.push(next.unwrap());
    }
    let page = story.events(story.client, Position(0)).await.unwrap();
    let found: Vec<_> = page.events.iter().map(|event| event.position).collect();
    assert!(acknowledged.iter().all(|position| found.contains(position)));
}

#[tokio::test]
async fn it_is_inspected_from_outside() {
    let database = PrivatePostgres::shared().database();
    let options = PostgresOptions::new(database.url());
    let inspect = || Inspection::of_postgres(&options, "check", day(1));
    let empty = inspect().await.unwrap();
    let ours = Schema::ours().number() as i64;
    assert_eq!((empty.schema, empty.known_schema), (0, ours));
    let store = PostgresStore::open(&options).await.unwrap();
    store
        .remember("check".to_owned(), "value".to_owned())
        .await
        .unwrap();
    let story = Story::begin(Arc::new(store)).await.unwrap();
    story.log(vec![story.event(day(2))]).await.unwrap();
    let found = inspect().await.unwrap();
    assert_eq!(
        (found.schema, found.slices, found.accounts),
        (ours, 1, (1, 0))
    );
    assert_eq!((found.newest, found.from_future), (Some(day(2)), 1));
    assert_eq!(found.key_check.as_deref(), Some("value"));
    assert!(
        found.place.contains("PostgreSQL") && found.bytes > 0,
        "{found:?}"
    );
    // Tests do without a safe disk, and are told so.
    assert!(
        found
            .cautions
            .iter()
            .any(|caution| caution.contains("fsync")),
        "{found:?}"
    );
}

/// With `sslmode=verify-full`, what goes over the wire is encrypted, and a server that the given
/// certificate does not vouch for, or under another name, is not talked to.
#[tokio::test]
async fn tls_is_asked_for_in_the_address() {
    let server = PrivatePostgres::start_with_tls();
    let database = server.database();
    let certificate = database.certificate();
    let verified = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        database.url(),
        certificate.display()
    );
    let store = PostgresStore::open(&PostgresOptions::new(verified.clone()))
        .await
        .unwrap();
    let encrypted = "select count(*) from pg_stat_ssl where pid = pg_backend_pid() and ssl";
    assert_eq!(number(&store, encrypted).await, 1);
    let unknown = format!("{}?sslmode=verify-full", database.url());
    let elsewhere = verified.replace("localhost", "127.0.0.1");
    for url in [unknown, elsewhere] {
        let refused = PostgresStore::open(&PostgresOptions::new(url)).await;
        let Err(StoreError::Unusable {
            action: "opened",
            source,
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert!(source.to_string().contains("certificate"), "{source}");
    }
}
