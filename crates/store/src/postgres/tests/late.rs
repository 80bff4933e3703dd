//! Commits that come late: whatever their order, a reader that follows the log misses nothing.

use std::{collections::BTreeSet, time::Duration};

use livewatt_domain::{account::Account, entropy::Entropy, id::AccountId};
use tokio::time::sleep;

use super::*;

/// While one transaction has its events written but not committed, the next of the same client
/// waits; readers see neither, then both, in order.
#[tokio::test]
async fn a_reader_never_passes_a_commit_that_is_late() {
    let (_database, store, story) = begin().await;
    story.log(vec![story.event(minute(1))]).await.unwrap();
    let late = story.event(minute(2));
    let transaction = appended(&store, std::slice::from_ref(&late)).await;
    let next = story.event(minute(3));
    let writer = tokio::spawn({
        let (story, next) = (Arc::clone(&story), next.clone());
        async move { story.log(vec![next]).await }
    });
    let mut cursor = Position(0);
    let mut seen = Vec::new();
    for _ in 0..30 {
        seen.extend(read_on(&store, story.client, &mut cursor).await);
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((seen.len(), cursor), (1, Position(1)));
    assert!(
        !writer.is_finished(),
        "it took a position beyond one that is not there yet"
    );
    transaction.commit().await.unwrap();
    assert_eq!(writer.await.unwrap().unwrap(), Position(3));
    let seen = read_on(&store, story.client, &mut cursor).await;
    let seen: Vec<_> = seen
        .into_iter()
        .map(|logged| (logged.position, logged.event))
        .collect();
    assert_eq!(seen, [(Position(2), late), (Position(3), next)]);
}

/// A transaction that is given up after it took positions leaves no gap.
#[tokio::test]
async fn a_commit_that_never_comes_leaves_no_gap() {
    let (_database, store, story) = begin().await;
    let transaction = appended(&store, &[story.event(minute(1)), story.event(minute(1))]).await;
    transaction.rollback().await.unwrap();
    assert_eq!(
        story.log(vec![story.event(minute(2))]).await.unwrap(),
        Position(1)
    );
}

/// A late commit of one client holds up nobody else.
#[tokio::test]
async fn clients_do_not_wait_for_each_other() {
    let (_database, store, story) = begin().await;
    let transaction = appended(&store, &[story.event(minute(1))]).await;
    let waits = tokio::spawn({
        let story = Arc::clone(&story);
        async move { story.log(vec![story.event(minute(2))]).await }
    });
    sleep(Duration::from_millis(50)).await;
    let other = ClientId::new(minute(1), story.entropy());
    story.add_client(other, 1).await.unwrap();
    // Of an account that another task commits for.
    let parity = story.account.id.partition() % 2;
    let account = std::iter::repeat_with(|| AccountId::new(minute(1), story.entropy()));
    let account = account
        .into_iter()
        .find(|id| id.partition() % 2 != parity)
        .unwrap();
    let mut unit = story.unit();
    unit.fence = Some(story.fences.of(account.partition()));
    unit.events.push(story.event_of(other, "zoe", minute(1)));
    assert_eq!(store.commit(unit).await.unwrap(), Some(Position(1)));
    assert!(!waits.is_finished());
    transaction.commit().await.unwrap();
    waits.await.unwrap().unwrap();
}

/// Twelve writers, of which some go through the committers and others keep their transactions open
/// for a while after they took positions or give them up, over a change of days: a reader sees each
/// event once, at dense positions.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_skipped_however_commits_are_delayed() {
    const WRITERS: usize = 12;
    const UNITS: usize = 12;
    let (_database, store, story) = begin().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, story) = (Arc::clone(&store), Arc::clone(&story));
        writers.spawn(async move {
            let mut written = Vec::new();
            for unit in 0..UNITS {
                let mut dice = [0; 1];
                story.entropy().fill(&mut dice);
                let events: Vec<_> = (0..=dice[0] % 3)
                    .map(|_| story.event(day((unit / 6) as i64)))
                    .collect();
                let ids = events.iter().map(|event| event.id);
                if writer % 3 == 0 {
                    written.extend(ids);
                    story.log(events).await.unwrap();
                    continue;
                }
                // Where another has begun the next day meanwhile, this is tried again, as
                // committers do.
                let ids: Vec<_> = ids.collect();
                let Some(transaction) = try_append(&store, &events).await else {
                    continue;
                };
                sleep(Duration::from_millis(u64::from(dice[0] % 16))).await;
                if dice[0] % 5 == 0 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                    written.extend(ids);
                }
            }
            written
        });
    }
    let mut cursor = Position(0);
    let (mut seen, mut written) = (Vec::new(), BTreeSet::new());
    while !writers.is_empty() {
        while let Some(ids) = writers.try_join_next() {
            written.extend(ids.unwrap());
        }
        seen.extend(read_on(&store, story.client, &mut cursor).await);
        tokio::task::yield_now().await;
    }
    while cursor < store.last_position(story.client).await.unwrap() {
        seen.extend(read_on(&store, story.client, &mut cursor).await);
    }
    let positions: Vec<_> = seen.iter().map(|logged| logged.position.0).collect();
    let dense: Vec<_> = (1..=seen.len() as i64).collect();
    assert_eq!(positions, dense);
    let seen: BTreeSet<_> = seen.iter().map(|logged| logged.event.id).collect();
    assert_eq!(seen, written, "exactly what was committed");
    assert!(seen.len() > WRITERS * UNITS / 2);
}

async fn try_append(
    store: &PostgresStore,
    events: &[Event],
) -> Option<Transaction<'static, Postgres>> {
    let events: Vec<_> = events.iter().collect();
    let context = &store.context;
    let slices = context.slices.assign(&context.pool, &events).await.unwrap();
    let mut transaction = context.pool.begin().await.unwrap();
    let appended = log::append(&mut transaction, &events, &slices)
        .await
        .unwrap();
    appended.is_ok().then_some(transaction)
}

/// An account of the story's user, not stored yet.
pub(super) fn account(story: &Story, name: &str) -> Account {
    Account {
        id: AccountId::new(minute(1), story.entropy()),
        vendor_account_id: name.to_owned(),
        ..story.account.clone()
    }
}
