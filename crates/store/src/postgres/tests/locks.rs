//! Groups, fences and locks: a unit fails alone, who lost a partition writes no more, and nobody
//! waits for somebody who waits for him.

use livewatt_domain::{account::AccountSchedule, device::Device, entropy::Entropy, id::DeviceId};
use tokio::task::JoinSet;

use super::{late::account, *};
use crate::{
    CredentialsChange, DeviceChange, DevicePresence, Fence, PresenceFlush, StoreError, UnitOfWork,
};

/// Keeps the committer of the story's account busy, so that what is handed in meanwhile is one
/// group: a unit that waits for the head of the log.
async fn hold(
    store: &PostgresStore,
    story: &Arc<Story>,
) -> (
    Transaction<'static, Postgres>,
    tokio::task::JoinHandle<StoreResult<Position>>,
) {
    let held = appended(store, &[story.event(minute(1))]).await;
    let first = tokio::spawn({
        let story = Arc::clone(story);
        async move { story.log(vec![story.event(minute(1))]).await }
    });
    // Until it waits.
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    while number(store, waiting).await == 0 {
        tokio::task::yield_now().await;
    }
    (held, first)
}

#[tokio::test]
async fn a_unit_of_a_group_fails_alone() {
    let (_database, store, story) = begin().await;
    let device = story.discover(1).await.unwrap();
    let other = story.discover(2).await.unwrap();
    let (held, first) = hold(&store, &story).await;
    let insert = |device: &Device| {
        let mut unit = story.unit();
        unit.events.push(story.maker(minute(3)).discovered(device));
        unit.devices.push(DeviceChange::Insert(device.clone()));
        unit
    };
    let good: Vec<_> = (0..5).map(|at| insert(&story.vehicle(at))).collect();
    // One that the server refuses, one that comes late, one that has lost its partition, one
    // that hangs on an account that is not there.
    let twin = insert(&Device {
        vendor_device: device.vendor_device.clone(),
        ..story.vehicle(7)
    });
    let mut late = story.unit();
    late.events.push(story.event(minute(3)));
    late.devices.push(DeviceChange::Delete {
        id: other.id,
        from_version: 9,
        at: minute(60),
    });
    let mut fenced = insert(&story.vehicle(8));
    fenced.fence = fenced.fence.map(|fence| Fence {
        number: fence.number - 1,
        ..fence
    });
    let homeless = insert(&Device {
        account_id: account(&story, "nobody").id,
        ..story.vehicle(9)
    });
    let bad = [twin, late, fenced, homeless];
    let commit = |unit: &UnitOfWork| {
        let (store, unit) = (Arc::clone(&store), unit.clone());
        tokio::spawn(async move { store.commit(unit).await })
    };
    let good: Vec<_> = good.iter().map(commit).collect();
    let bad: Vec<_> = bad.iter().map(commit).collect();
    tokio::task::yield_now().await;
    held.commit().await.unwrap();
    first.await.unwrap().unwrap();
    for unit in good {
        unit.await.unwrap().unwrap();
    }
    let mut outcomes = Vec::new();
    for unit in bad {
        outcomes.push(unit.await.unwrap());
    }
    assert!(
        matches!(
            outcomes.as_slice(),
            [
                Err(StoreError::Duplicate),
                Err(StoreError::Conflict),
                Err(StoreError::Fenced { .. }),
                Err(StoreError::Conflict),
            ]
        ),
        "{outcomes:?}"
    );
    // Two discovered, two of the holding, five good ones; positions without gaps.
    let last = store.last_position(story.client).await.unwrap();
    assert_eq!(last, Position(9));
    assert_eq!(number(&store, "select count(*) from events").await, 9);
    assert_eq!(number(&store, "select count(*) from devices").await, 7);
}

/// Two units about one device, handed in together: in their order, whatever the grouping.
#[tokio::test]
async fn units_about_one_row_keep_their_order() {
    let (_database, store, story) = begin().await;
    let device = story.discover(1).await.unwrap();
    let (held, first) = hold(&store, &story).await;
    let mut versions = vec![device];
    let mut commits = Vec::new();
    for _ in 0..4 {
        let (next, change) = story.changed(versions.last().unwrap());
        versions.push(next);
        let mut unit = story.unit();
        unit.devices.push(change);
        unit.events.push(story.event(minute(2)));
        let commit = {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(unit).await })
        };
        tokio::task::yield_now().await;
        commits.push(commit);
    }
    held.commit().await.unwrap();
    first.await.unwrap().unwrap();
    let mut positions = Vec::new();
    for commit in commits {
        positions.push(commit.await.unwrap().unwrap().unwrap());
    }
    assert!(positions.is_sorted(), "{positions:?}");
    let last = versions.pop().unwrap();
    let found = store.find_device(story.client, last.id).await.unwrap();
    assert_eq!(found, Some(last));
}

/// A newer release that takes something away waits for who is writing, and who writes never waits for
/// it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_changed_between_writes() {
    let (database, store, story) = begin().await;
    let device = story.discover(1).await.unwrap();
    let mut writing = store.context.pool.begin().await.unwrap();
    fences::hold(&mut writing, [story.account.id.partition()])
        .await
        .unwrap();
    let changing = tokio::spawn({
        let options = PostgresOptions::new(database.url());
        async move {
            let steps = [
                ("alter table devices add column nickname text", false),
                ("alter table devices drop column nickname", true),
            ];
            PostgresStore::open_later(&options, &steps).await
        }
    });
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    while number(&store, waiting).await == 0 {
        tokio::task::yield_now().await;
    }
    let lock = sql("select 1 from devices where id = $1 for update");
    execute(&mut writing, lock.bind(device.id.0)).await.unwrap();
    writing.commit().await.unwrap();
    let later = changing.await.unwrap().unwrap();
    let schema = "select version from livewatt_schema";
    assert_eq!(
        number(&later, schema).await,
        Schema::ours().number() as i64 + 2
    );
}

/// Once the fences are raised, nothing is written under the old ones: what was under way is either
/// there by then, or never.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_written_behind_a_raised_fence() {
    let (_database, store, story) = begin().await;
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let story = Arc::clone(&story);
        writers.spawn(async move {
            let mut written = 0;
            loop {
                match story.log(vec![story.event(minute(1))]).await {
                    Ok(_) => written += 1,
                    Err(StoreError::Fenced { .. }) => return written,
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    while store.last_position(story.client).await.unwrap() < Position(20) {
        tokio::task::yield_now().await;
    }
    store.take_fences().await.unwrap();
    let then = store.last_position(story.client).await.unwrap();
    let written: i64 = writers.join_all().await.into_iter().sum();
    let last = store.last_position(story.client).await.unwrap();
    assert_eq!((then, last), (Position(written), Position(written)));
}

/// Everything at once, each with its rows in an order of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_all_sorts_never_block_each_other_for_good() {
    const DEVICES: usize = 12;
    let (database, store, story) = begin().await;
    let mut devices = Vec::new();
    for at in 0..DEVICES {
        devices.push(story.discover(at as i64).await.unwrap().id);
    }
    let devices = Arc::new(devices);
    let mut writers = JoinSet::new();
    for writer in 0..10_u8 {
        let (store, story, devices) =
            (Arc::clone(&store), Arc::clone(&story), Arc::clone(&devices));
        writers.spawn(async move {
            for round in 0..15 {
                let some = shuffled(&story, &devices);
                match writer % 5 {
                    0 | 1 => update(&store, &story, &some).await,
                    2 => see(&store, &story, &some, round).await,
                    3 => presence(&store, &story, &some).await,
                    _ => come_and_go(&story, writer, round).await,
                }
            }
        });
    }
    writers.join_all().await;
    store.context.pool.close().await;
    // Told by each connection when it ends.
    let again = PostgresStore::open(&PostgresOptions::new(database.url()))
        .await
        .unwrap();
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(number(&again, deadlocks).await, 0);
}

fn shuffled(story: &Story, devices: &[DeviceId]) -> Vec<DeviceId> {
    let mut dice = vec![0; devices.len()];
    story.entropy().fill(&mut dice);
    let mut some: Vec<_> = dice.into_iter().zip(devices).collect();
    some.sort_unstable_by_key(|(dice, _)| *dice);
    some.into_iter().take(7).map(|(_, id)| *id).collect()
}

async fn update(store: &PostgresStore, story: &Story, ids: &[DeviceId]) {
    let mut unit = story.unit();
    for id in ids {
        let device = store.find_device(story.client, *id).await.unwrap().unwrap();
        unit.devices.push(story.changed(&device).1);
    }
    unit.accounts.push(
        story
            .saving(&story.account, CredentialsChange::Replace(vec![1]))
            .await
            .unwrap(),
    );
    unit.events.push(story.event(minute(1)));
    match store.commit(unit).await {
        Ok(_) | Err(StoreError::Conflict) => {}
        other => panic!("{other:?}"),
    }
}

async fn see(store: &PostgresStore, story: &Story, ids: &[DeviceId], round: i64) {
    let flush = PresenceFlush {
        seen: ids.iter().map(|id| (*id, minute(round))).collect(),
        schedules: vec![(story.account.id, AccountSchedule::new(Some(minute(round))))],
        listed: vec![(story.account.id, minute(round))],
        ..PresenceFlush::default()
    };
    store.flush_presence(flush).await.unwrap();
}

async fn presence(store: &PostgresStore, story: &Story, ids: &[DeviceId]) {
    let mut flush = PresenceFlush::default();
    for id in ids {
        let device = store.find_device(story.client, *id).await.unwrap().unwrap();
        flush.devices.push(DevicePresence {
            id: *id,
            version: device.version,
            last_seen: minute(2),
            stamps: device.stamps,
            is_asleep: true,
            missed_listings: 1,
        });
    }
    store.flush_presence(flush).await.unwrap();
}

/// A user with an account and a device, who is deleted again, while commits are under way.
async fn come_and_go(story: &Story, writer: u8, round: i64) {
    let name = format!("user-{writer}-{round}");
    story.add_user(story.client, &name, 1).await.unwrap();
    let mut account = account(story, &name);
    account.user_id = crate::contract::user_id(&name);
    let mut unit = story.unit();
    unit.fence = Some(story.fences.of(account.id.partition()));
    let device = Device {
        account_id: account.id,
        user_id: account.user_id.clone(),
        ..story.vehicle(1)
    };
    unit.accounts.push(
        story
            .saving(&account, CredentialsChange::Keep)
            .await
            .unwrap(),
    );
    unit.devices.push(DeviceChange::Insert(device.clone()));
    story.store.commit(unit).await.unwrap();
    let mut late = story.unit();
    late.fence = Some(story.fences.of(account.id.partition()));
    late.devices.push(story.changed(&device).1);
    late.events
        .push(story.event_of(story.client, &name, minute(1)));
    let deleting = story
        .store
        .delete_user(story.client, account.user_id.clone());
    let (deleted, changed) = tokio::join!(deleting, story.store.commit(late));
    assert!(deleted.unwrap());
    assert!(
        matches!(changed, Ok(_) | Err(StoreError::Conflict)),
        "{changed:?}"
    );
}
