//! What only this backend promises; the rest is the contract suite.

use std::{fs, path::Path, sync::Arc};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot::Receiver;

use super::{open::MIGRATIONS, *};
use crate::{
    Store,
    contract::{Story, minute, user_id},
};

mod contract {
    crate::store_contract!(crate::sqlite::tests::open_store);
}

async fn open_store() -> (TempDir, Arc<dyn Store>) {
    let directory = TempDir::new().expect("a temporary directory");
    let store = open(directory.path()).expect("a store");
    (directory, Arc::new(store))
}

fn open(directory: &Path) -> StoreResult<SqliteStore> {
    SqliteStore::open(&SqliteOptions::new(directory))
}

/// A store that takes into a group whatever is queued, however slow the machine is.
fn open_gathering(directory: &Path) -> SqliteStore {
    let options = SqliteOptions::new(directory);
    SqliteStore::open_with(&options, std::time::Duration::from_secs(600)).expect("a store")
}

/// Keeps the writer busy until the gate is dropped, so that what is queued meanwhile is one group.
fn hold(store: &SqliteStore) -> std::sync::mpsc::Sender<()> {
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let wait = move |_: &Connection| {
        // Fails when the gate is dropped, which is what is waited for.
        let _ = opened.recv();
        Ok(())
    };
    drop(store.writer.submit(wait).expect("a writer"));
    gate
}

/// Queues the writing of a setting.
fn set(store: &SqliteStore, name: &'static str) -> Receiver<StoreResult<()>> {
    let write = move |c: &Connection| operation::remember(c, name, "value").map(drop);
    store.writer.submit(write).expect("a writer")
}

fn database(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("livewatt.db")
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("made/on/demand");
    let (story, device) = {
        let story = Story::begin(Arc::new(open(&path).unwrap())).await.unwrap();
        let device = story.discover(1).await.unwrap();
        (story, device)
    };
    let (client, account, position) = (
        story.client,
        story.account.clone(),
        story.store.last_position(story.client).await,
    );
    drop(story);
    let store = open(&path).unwrap();
    assert_eq!(
        store.find_device(client, device.id).await.unwrap(),
        Some(device)
    );
    assert_eq!(
        store.find_account(account.id).await.unwrap().unwrap().0,
        account
    );
    assert_eq!(
        store.last_position(client).await.unwrap(),
        position.unwrap()
    );
    assert!(
        store
            .find_user(client, user_id("ada"))
            .await
            .unwrap()
            .is_some()
    );
    let fences = store.take_fences().await.unwrap();
    assert!(
        fences.0.iter().all(|fence| *fence == 2),
        "fences rise over restarts"
    );
}

#[tokio::test]
async fn what_was_acknowledged_is_on_the_disk_for_others_to_read() {
    let (directory, store) = open_store().await;
    let story = Story::begin(store).await.unwrap();
    let other = Connection::open(database(&directory)).unwrap();
    for at in 1..20 {
        let device = story.discover(at).await.unwrap();
        let read: i64 = other
            .query_row(
                "select version from devices where id = ?",
                [device.id.0.as_bytes()],
                |r| r.get(0),
            )
            .unwrap();
        assert_eq!(read, 1);
    }
}

#[tokio::test]
async fn a_job_that_fails_or_panics_harms_no_other() {
    let directory = TempDir::new().unwrap();
    let store = open_gathering(directory.path());
    let gate = hold(&store);
    let before = set(&store, "before");
    let panics = store.writer.submit(move |c| {
        operation::remember(c, "panics", "value")?;
        assert!(
            c.is_autocommit(),
            "this panics, since a job runs within a transaction"
        );
        Ok(())
    });
    let fails = store.writer.submit(move |c| {
        operation::remember(c, "fails", "value")?;
        Err::<(), _>(StoreError::Conflict)
    });
    let after = set(&store, "after");
    drop(gate);
    before.await.unwrap().unwrap();
    let panicked = panics.unwrap().await.unwrap();
    assert!(
        matches!(panicked, Err(StoreError::Unusable { .. })),
        "{panicked:?}"
    );
    let failed = fails.unwrap().await.unwrap();
    assert!(matches!(failed, Err(StoreError::Conflict)), "{failed:?}");
    after.await.unwrap().unwrap();
    let stats = store.commit_stats();
    assert_eq!(
        stats,
        CommitStats {
            commits: 1,
            jobs: 5,
            failed_commits: 0
        }
    );
    for (name, expected) in [
        ("before", "value"),
        ("after", "value"),
        ("panics", "new"),
        ("fails", "new"),
    ] {
        assert_eq!(
            store
                .remember(name.to_owned(), "new".to_owned())
                .await
                .unwrap(),
            expected
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(open(directory.path()).unwrap());
    let story = Story::begin(Arc::clone(&store) as Arc<dyn Store>)
        .await
        .unwrap();
    let limit_pages = |pages: i64| {
        store.write(move |c| {
            c.query_row(&format!("pragma max_page_count = {pages}"), [], |_| Ok(()))?;
            Ok(())
        })
    };
    limit_pages(1).await.unwrap();
    let mut big = story.event(minute(1));
    big.body = "x".repeat(10_000_000);
    let refused = story.log(vec![big.clone()]).await;
    assert!(matches!(refused, Err(StoreError::DiskFull)), "{refused:?}");
    limit_pages(1_000_000).await.unwrap();
    story.log(vec![big]).await.unwrap();
    assert_eq!(
        story
            .events(story.client, Default::default())
            .await
            .unwrap()
            .events
            .len(),
        1
    );
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_everybody() {
    let directory = TempDir::new().unwrap();
    let store = open_gathering(directory.path());
    let gate = hold(&store);
    let lost = set(&store, "lost");
    // A job that ends the transaction stands for whatever makes a commit fail.
    let spoils = store.writer.submit(|c| {
        c.execute_batch("rollback")?;
        Err::<(), _>(StoreError::DiskFull)
    });
    drop(gate);
    assert!(matches!(lost.await.unwrap(), Err(StoreError::DiskFull)));
    assert!(matches!(
        spoils.unwrap().await.unwrap(),
        Err(StoreError::DiskFull)
    ));
    let stats = store.commit_stats();
    assert_eq!(
        stats,
        CommitStats {
            commits: 0,
            jobs: 3,
            failed_commits: 1
        }
    );
    assert_eq!(
        store
            .remember("lost".to_owned(), "new".to_owned())
            .await
            .unwrap(),
        "new"
    );
}

#[tokio::test]
async fn commits_are_shared() {
    let directory = TempDir::new().unwrap();
    let store = open_gathering(directory.path());
    let gate = hold(&store);
    let jobs: Vec<_> = (0..600)
        .map(|_| store.writer.submit(operation::check_writing).unwrap())
        .collect();
    drop(gate);
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    let stats = store.commit_stats();
    assert_eq!(
        stats,
        CommitStats {
            commits: 2,
            jobs: 601,
            failed_commits: 0
        }
    );
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()).unwrap());
    let connection = Connection::open(database(&directory)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = open(directory.path());
    assert!(
        matches!(
            refused,
            Err(StoreError::NewerSchema { found: 99, known }) if known == MIGRATIONS.len() as i64
        ),
        "{refused:?}"
    );
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let garbage = vec![b'x'; 8192];
    fs::write(database(&directory), &garbage).unwrap();
    let refused = open(directory.path());
    assert!(
        matches!(refused, Err(StoreError::Damaged(_))),
        "{refused:?}"
    );
    assert_eq!(fs::read(database(&directory)).unwrap(), garbage);

    let directory = TempDir::new().unwrap();
    let connection = Connection::open(database(&directory)).unwrap();
    connection
        .execute_batch("create table accounts (id)")
        .unwrap();
    drop(connection);
    let refused = open(directory.path());
    assert!(
        matches!(refused, Err(StoreError::Damaged(_))),
        "{refused:?}"
    );
}

#[test]
fn a_directory_has_one_user_at_a_time() {
    let directory = TempDir::new().unwrap();
    let first = open(directory.path()).unwrap();
    let refused = open(directory.path());
    let Err(StoreError::Unusable {
        action: "opened",
        source,
    }) = refused
    else {
        panic!("it was opened twice: {refused:?}");
    };
    assert!(
        source.to_string().ends_with("is in use by another process"),
        "{source}"
    );
    drop(first);
    drop(open(directory.path()).unwrap());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(StoreError::Unusable {
        action: "opened",
        source,
    }) = open(&file.join("inside"))
    else {
        panic!("it was opened");
    };
    assert!(source.to_string().contains("inside"), "{source}");
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("data");
    let _store = open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

/// A database of the first version, with three days of events.
#[tokio::test]
async fn an_older_database_is_brought_up_to_date() {
    let directory = TempDir::new().unwrap();
    let connection = Connection::open(database(&directory)).unwrap();
    connection.execute_batch(open::MIGRATIONS[0]).unwrap();
    for (day, first, last) in [(20_000, 1, "4"), (20_001, 5, "9"), (20_002, 10, "null")] {
        let slice = format!(
            "create table events_{day} (position integer primary key);
             insert into event_slices (day, name, first_position, last_position)
             values ({day}, 'events_{day}', {first}, {last});"
        );
        connection.execute_batch(&slice).unwrap();
    }
    connection
        .pragma_update(None, "application_id", open::APPLICATION_ID)
        .unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let store = open(directory.path()).unwrap();
    let found = store
        .read(|c| slices::above(c, livewatt_domain::webhook::Position(4)))
        .await
        .unwrap();
    assert_eq!(found, ["events_20001", "events_20002"]);
}

/// While a large day is dropped, other writes get in between; a drop that was cut off is finished.
#[tokio::test]
async fn a_large_day_is_cleared_away_in_pieces() {
    let directory = TempDir::new().unwrap();
    let story = Story::begin(Arc::new(open(directory.path()).unwrap()))
        .await
        .unwrap();
    for _ in 0..5 {
        let events = (0..500).map(|_| story.event(minute(0))).collect();
        story.log(events).await.unwrap();
    }
    story
        .log(vec![story.event(minute(3 * 24 * 60))])
        .await
        .unwrap();
    let client = story.client;
    drop(story);

    let store = open(directory.path()).unwrap();
    let (keep_from, now) = (minute(2 * 24 * 60), minute(3 * 24 * 60));
    let dropped = store.write(move |c| log::drop_oldest_slice(c, keep_from, now));
    assert!(dropped.await.unwrap());
    // What is dropped is gone for readers at once, though its rows are still there.
    assert_eq!(
        store
            .count_events_after(client, Default::default(), 9_999)
            .await
            .unwrap(),
        1
    );
    drop(store);

    let store = open(directory.path()).unwrap();
    let piece = async || store.write(|c| slices::clear_away(c, 1_000)).await.unwrap();
    let tables = async || {
        let sql =
            "select count(*) from sqlite_schema where type = 'table' and name glob 'events_*'";
        let count = move |c: &Connection| Ok(c.query_row(sql, [], |row| row.get::<_, i64>(0))?);
        store.read(count).await.unwrap()
    };
    for left in [2, 2, 1] {
        assert!(piece().await);
        assert_eq!(tables().await, left);
    }
    assert!(!piece().await, "the present day is no leftover");
    assert_eq!(store.prune(keep_from, now).await.unwrap(), 0);
    assert_eq!(
        store
            .count_events_after(client, Default::default(), 9_999)
            .await
            .unwrap(),
        1
    );
}
