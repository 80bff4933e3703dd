//! Copies that end at every possible moment, and databases that must not be written to.

use std::{path::Path, sync::Arc};

use livewatt_domain::{
    id::{ClientId, DeliveryId, DeviceId, LocationId},
    kind::DeviceKind,
    partition::Partitions,
    smart::Smart,
    webhook::{DeliveryAttempt, PendingDelivery, Position, Webhook},
};
use sqlx::Connection as _;
use tempfile::TempDir;

use super::*;
use crate::{
    LaneStep, LogQuery, PostgresStore, SqliteStore, Store, StoreResult,
    contract::{
        Story, day, minute,
        private_postgres::{PrivateDatabase, PrivatePostgres},
    },
};

const SETTING: &str = "check";

/// A directory in which a good deal has happened, and what a test needs to know of it.
struct Installation {
    directory: TempDir,
    client: ClientId,
    other: ClientId,
    webhook: Webhook,
    device: DeviceId,
    home: LocationId,
}

impl Installation {
    /// Two clients whose events alternate over five days, of which the first is dropped; a device
    /// that changed, with a history, a Location with its prices, and a webhook with a delivery under
    /// way and a record of what was tried.
    async fn begin() -> StoreResult<Self> {
        let directory = TempDir::new().expect("a temporary directory");
        let store = open(directory.path());
        store
            .remember(SETTING.to_owned(), "this one".to_owned())
            .await?;
        let story = Story::begin(store).await?;
        let other = ClientId::new(minute(1), story.entropy());
        story.add_client(other, 1).await?;
        let (client, quiet) = (story.client, ClientId::new(minute(2), story.entropy()));
        story.add_client(quiet, 2).await?;
        for days in 0..5 {
            for minutes in 0..6 {
                let at = day(days)
                    .saturating_add(jiff::SignedDuration::from_mins(minutes))
                    .expect("a moment");
                let events = [
                    story.event_of(client, "ada", at),
                    story.event_of(other, "zoe", at),
                    story.event_of(client, "ada", at),
                ];
                story.log(events.to_vec()).await?;
            }
        }
        // The clock was wrong for a moment: the second day comes again, and the last once more. The
        // third client has events there alone.
        let event = story.event_of(quiet, "eve", day(1));
        story.log(vec![event]).await?;
        let device = story.discover(4 * 24 * 60 + 10).await?;
        let (_, change) = story.changed(&device);
        let mut unit = story.unit();
        unit.devices.push(change);
        story.store.commit(unit).await?;
        story.keep_history(&device).await?;
        let action = story.action(&device, 4 * 24 * 60 + 11);
        story.act(vec![story.making(&action)]).await?;
        story
            .keep_schedules(vec![story.scheduling(&device, 5)])
            .await?;
        let mut smart = Smart::new(day(4));
        smart.policy.is_enabled = true;
        smart.plan = Some(story.plan(4 * 24 * 60 + 12));
        story.charge(&device, None, &smart).await?;
        let home = story.settle(1).await?.id;
        story.keep_prices(home).await?;
        let webhook = story.webhook(1);
        let start = Position(7);
        story.store.create_webhook(webhook.clone(), start).await?;
        let mut lanes = story.store.lanes(webhook.id).await?;
        let id = DeliveryId::new(minute(3), story.entropy());
        lanes[1].pending = Some(PendingDelivery {
            id,
            until: Position(19),
            attempts: 2,
            failing_since: Some(minute(3)),
            next_attempt_at: minute(4),
        });
        let attempt = DeliveryAttempt {
            webhook_id: webhook.id,
            delivery_id: id,
            attempt: 2,
            at: day(4),
            duration_ms: 12,
            events: 4,
            status: Some(503),
            error: None,
        };
        let step = LaneStep {
            webhook_id: webhook.id,
            revision: 0,
            lane: lanes[1].clone(),
            attempt: Some(attempt),
            succeeded_at: None,
            deactivate: false,
            fence: None,
        };
        assert!(story.store.save_lane(step).await?);
        assert_eq!(story.store.prune(day(1), day(5)).await?, 1);
        drop(story);
        Ok(Self {
            directory,
            client,
            other,
            webhook,
            device: device.id,
            home,
        })
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.directory.path())
    }

    async fn transfer(&self, to: &PrivateDatabase<'_>) -> StoreResult<Transfer> {
        Transfer::open(&self.options(), &target(to), SETTING).await
    }

    /// Undoes what keeps servers from using what was moved.
    fn take_back(&self) {
        std::fs::remove_file(self.directory.path().join("livewatt.moved")).expect("it was moved");
    }
}

fn open(directory: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&SqliteOptions::new(directory)).expect("a store"))
}

fn target(database: &PrivateDatabase<'_>) -> PostgresOptions {
    PostgresOptions::new(database.url())
}

fn why(error: &StoreError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

/// What everybody sees of a database: events with cursors and positions, lanes, attempts, devices,
/// places, prices and histories.
async fn seen(store: &dyn Store, of: &Installation) -> StoreResult<Vec<String>> {
    let mut seen = Vec::new();
    for client in [of.client, of.other] {
        for after in 0..100 {
            let query = LogQuery {
                client_id: client,
                after: Position(after),
                until: None,
                lane: Some((1, 3)),
                limit: 3,
            };
            seen.push(format!("{:?}", store.events_after(query).await?));
        }
        seen.push(format!("{:?}", store.last_position(client).await?));
        let behind = store.count_events_after(client, Position(40), 1_000);
        seen.push(format!("{:?}", behind.await?));
    }
    seen.push(format!("{:?}", store.list_clients().await?));
    seen.push(format!("{:?}", store.newest_event_at().await?));
    seen.push(format!("{:?}", store.lanes(of.webhook.id).await?));
    let attempts = store.delivery_attempts(of.webhook.id, 10);
    seen.push(format!("{:?}", attempts.await?));
    let found = store.find_webhook(of.client, of.webhook.id);
    seen.push(format!("{:?}", found.await?));
    let all = Partitions::ALL;
    seen.push(format!("{:?}", store.fleet_devices(all, None, 10).await?));
    seen.push(format!("{:?}", store.fleet_accounts(all, None, 10).await?));
    seen.push(format!("{:?}", store.age_state(all).await?));
    let (client, device) = (of.client, of.device);
    let prices = store.location_prices(client, of.home);
    seen.push(format!("{:?}", prices.await?));
    let prices = store.market_prices(client, "SE-3".to_owned(), minute(0), minute(60));
    seen.push(format!("{:?}", prices.await?));
    seen.push(format!("{:?}", store.location_changes(all, 10).await?));
    let ada = crate::contract::user_id("ada");
    let with_history = store.devices_with_history(client, ada, DeviceKind::Vehicle);
    seen.push(format!("{:?}", with_history.await?));
    let piece = store.history_piece(device, day(-2));
    seen.push(format!("{:?}", piece.await?));
    let quarters = store.quarters(vec![device], day(-2), day(6));
    seen.push(format!("{:?}", quarters.await?));
    Ok(seen)
}

/// Copies until so many batches are written, then is gone.
async fn copy_and_die(transfer: &mut Transfer, batches: usize, rows: usize) -> bool {
    let (told, mut enough) = tokio::sync::mpsc::unbounded_channel();
    let mut left = batches;
    let copying = transfer.copy(rows, |_| {
        left = left.saturating_sub(1);
        if left == 0 {
            let _ = told.send(());
        }
    });
    tokio::select! {
        biased;
        _ = enough.recv() => false,
        copied = copying => { copied.expect("it can be copied"); true }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_goes_on_wherever_it_ended() -> StoreResult<()> {
    let installation = Installation::begin().await?;
    let before = {
        let store = open(installation.directory.path());
        seen(store.as_ref(), &installation).await?
    };
    let postgres = PrivatePostgres::shared();
    // Ever more batches before the end: the last copy needs none but the first.
    let database = postgres.database();
    let mut runs = 0;
    loop {
        let mut transfer = installation.transfer(&database).await?;
        let expected = match runs {
            0 => Beginning::New,
            _ => Beginning::GoesOn,
        };
        assert_eq!(transfer.begin().await?, expected);
        runs += 1;
        if copy_and_die(&mut transfer, 1 + runs % 3, 2).await {
            let compared = transfer.finish().await?;
            assert!(
                compared.iter().all(TransferredTable::is_same),
                "{compared:#?}"
            );
            let rows = |name: &str| {
                let table = compared.iter().find(|table| table.name == name);
                table.expect("the table").target.rows
            };
            assert_eq!(rows("clients"), 3);
            assert_eq!(rows("events"), 4 * 18 + 2);
            assert_eq!((rows("webhook_lanes"), rows("delivery_attempts")), (3, 1));
            assert_eq!(rows("age_clocks"), 256);
            assert_eq!((rows("locations"), rows("location_changes")), (1, 1));
            assert_eq!((rows("tariff_versions"), rows("location_tariffs")), (2, 1));
            assert_eq!((rows("client_pricing"), rows("market_prices")), (1, 2));
            assert_eq!((rows("energy_devices"), rows("sample_hours")), (1, 4));
            assert_eq!((rows("energy_quarters"), rows("charging_sessions")), (2, 2));
            assert_eq!(rows("device_stays"), 2);
            assert_eq!(rows("schedules"), 1);
            break;
        }
        // No server opens what is not whole.
        let refused = PostgresStore::open(&target(&database)).await;
        let refused = refused.expect_err("a copy that is not finished");
        assert!(why(&refused).contains("migrate copy"), "{refused:?}");
    }
    assert!(runs > 20, "{runs}");
    let store = PostgresStore::open(&target(&database)).await?;
    assert_eq!(seen(&store, &installation).await?, before);
    // The source is not used any more by mistake, and not copied to somewhere else.
    let refused = SqliteStore::open(&installation.options()).expect_err("it was moved");
    assert!(why(&refused).contains("set store.url"), "{refused:?}");
    let elsewhere = postgres.database();
    let refused = installation.transfer(&elsewhere).await;
    assert!(why(&refused.expect_err("it was moved")).contains("was moved to"));
    // Taken back, it still does not go where it is already.
    installation.take_back();
    let again = installation.transfer(&database).await?.begin().await;
    let again = why(&again.expect_err("it is there"));
    assert!(again.contains("this very installation"), "{again}");
    Ok(())
}

/// What was copied is used just as what was always there: positions go on, days are dropped, and a
/// cursor at the end of a dropped day has missed nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copied_log_goes_on() -> StoreResult<()> {
    let installation = Installation::begin().await?;
    let database = PrivatePostgres::shared().database();
    let mut transfer = installation.transfer(&database).await?;
    transfer.begin().await?;
    transfer.copy(1_000, |_| {}).await?;
    let compared = transfer.finish().await?;
    assert!(
        compared.iter().all(TransferredTable::is_same),
        "{compared:#?}"
    );
    let store = PostgresStore::open(&target(&database)).await?;
    installation.take_back();
    let sqlite = open(installation.directory.path());
    let client = installation.other;
    let all = async |store: &dyn Store, after: Position| {
        let query = LogQuery {
            client_id: client,
            after,
            until: None,
            lane: None,
            limit: 1_000,
        };
        store.events_after(query).await
    };
    let kept = all(&store, Position(0)).await?;
    // The end of the oldest day, then of the day after: as on the source, nothing is missing then.
    for (dropped, keep_from) in [(1, day(2)), (1, day(3)), (0, day(3)), (4, day(6))] {
        assert_eq!(store.prune(keep_from, day(6)).await?, dropped);
        assert_eq!(sqlite.prune(keep_from, day(6)).await?, dropped);
        let (here, there) = (
            all(&store, Position(0)).await?,
            all(sqlite.as_ref(), Position(0)).await?,
        );
        assert_eq!(here.events, there.events);
        let last_dropped = kept.events.iter().map(|logged| logged.position);
        let first = here.events.first().map(|logged| logged.position);
        let last_dropped = last_dropped
            .filter(|p| first.is_none_or(|first| *p < first))
            .max();
        let last_dropped = last_dropped.unwrap_or_default();
        assert!(
            here.kept_from.0 <= last_dropped.0 + 1,
            "{here:?} {last_dropped:?}"
        );
    }
    // New events come after the old ones, also for who has none left.
    let unit = |at| {
        let entropy = livewatt_domain::entropy::SeededEntropy::new(at as u64);
        let mut unit = crate::UnitOfWork::new(None);
        unit.events = vec![livewatt_domain::event::Event {
            id: livewatt_domain::id::EventId::new(day(at), &entropy),
            client_id: client,
            user_id: crate::contract::user_id("zoe"),
            device: None,
            name: "user:vehicle:updated".to_owned(),
            created_at: day(at),
            body: "{}".to_owned(),
        }];
        unit
    };
    let last = kept.read_until;
    assert_eq!(store.commit(unit(6)).await?, Some(Position(last.0 + 1)));
    assert_eq!(store.commit(unit(6)).await?, Some(Position(last.0 + 2)));
    let page = all(&store, last).await?;
    assert_eq!(page.events.len(), 2, "{page:?}");
    assert_eq!(page.read_until, Position(last.0 + 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_copied_from_or_to_what_is_in_use() -> StoreResult<()> {
    let installation = Installation::begin().await?;
    let postgres = PrivatePostgres::shared();
    let database = postgres.database();
    {
        let _server = open(installation.directory.path());
        let refused = installation.transfer(&database).await;
        let refused = why(&refused.expect_err("a server runs"));
        assert!(refused.contains("in use by another process"), "{refused}");
    }
    {
        let _copy = installation.transfer(&database).await?;
        // Another directory, since this one is locked.
        let other = Installation::begin().await?;
        let refused = why(&other.transfer(&database).await.expect_err("a copy runs"));
        assert!(refused.contains("another copy"), "{refused}");
    }
    let nowhere = SqliteOptions::new(installation.directory.path().join("nowhere"));
    let refused = Transfer::open(&nowhere, &target(&database), SETTING).await;
    assert!(why(&refused.expect_err("no database")).contains("there is none at"));
    assert!(!nowhere.directory.exists());
    // A database with a client in it, and one that is half of another installation.
    let taken = postgres.database();
    let story = Story::begin(Arc::new(PostgresStore::open(&target(&taken)).await?)).await?;
    let clients = story.store.list_clients().await?;
    let mut transfer = installation.transfer(&taken).await?;
    let refused = why(&transfer.begin().await.expect_err("not empty"));
    assert!(refused.contains("not empty"), "{refused}");
    assert_eq!(story.store.list_clients().await?, clients);
    drop(transfer);
    let mut transfer = installation.transfer(&database).await?;
    transfer.begin().await?;
    assert!(!copy_and_die(&mut transfer, 3, 2).await);
    drop(transfer);
    let other = Installation::begin().await?;
    let options = other.options();
    let mut transfer = Transfer::open(&options, &target(&database), "vault").await;
    assert!(why(transfer.as_ref().expect_err("no such setting")).contains("nothing to copy"));
    {
        let store = open(other.directory.path());
        let name = "vault".to_owned();
        store.remember(name, "another one".to_owned()).await?;
    }
    transfer = Transfer::open(&options, &target(&database), "vault").await;
    let refused = why(&transfer?.begin().await.expect_err("another's"));
    assert!(refused.contains("another installation"), "{refused}");
    Ok(())
}

/// A server that was started on the source in between has changed it: what was copied is void.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_was_used_is_copied_anew() -> StoreResult<()> {
    let installation = Installation::begin().await?;
    let database = PrivatePostgres::shared().database();
    let mut transfer = installation.transfer(&database).await?;
    assert_eq!(transfer.begin().await?, Beginning::New);
    transfer.copy(10, |_| {}).await?;
    drop(transfer);
    {
        let store = open(installation.directory.path());
        store.take_fences().await?;
        assert!(store.delete_client(installation.other).await?);
    }
    let mut transfer = installation.transfer(&database).await?;
    assert_eq!(transfer.begin().await?, Beginning::StartsOver);
    assert!(!copy_and_die(&mut transfer, 2, 10).await);
    drop(transfer);
    let mut transfer = installation.transfer(&database).await?;
    assert_eq!(transfer.begin().await?, Beginning::GoesOn);
    transfer.copy(10, |_| {}).await?;
    let compared = transfer.finish().await?;
    assert!(
        compared.iter().all(TransferredTable::is_same),
        "{compared:#?}"
    );
    let store = PostgresStore::open(&target(&database)).await?;
    assert_eq!(store.list_clients().await?.len(), 2);
    Ok(())
}

/// A difference is found whatever made it, keeps servers out, and makes the next copy start over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_difference_is_found() -> StoreResult<()> {
    let installation = Installation::begin().await?;
    let database = PrivatePostgres::shared().database();
    let mut transfer = installation.transfer(&database).await?;
    transfer.begin().await?;
    transfer.copy(10, |_| {}).await?;
    let tamper = sqlx::raw_sql("update events set body = '{ }' where position = 40");
    let mut connection = sqlx::PgConnection::connect(&database.url()).await?;
    tamper.execute(&mut connection).await?;
    let compared = transfer.finish().await?;
    let differ: Vec<_> = compared.iter().filter(|table| !table.is_same()).collect();
    assert_eq!(differ.len(), 1, "{differ:#?}");
    assert_eq!(differ[0].name, "events");
    assert_eq!(differ[0].source.rows, differ[0].target.rows);
    assert!(PostgresStore::open(&target(&database)).await.is_err());
    let mut transfer = installation.transfer(&database).await?;
    assert_eq!(transfer.begin().await?, Beginning::StartsOver);
    transfer.copy(10, |_| {}).await?;
    let compared = transfer.finish().await?;
    assert!(
        compared.iter().all(TransferredTable::is_same),
        "{compared:#?}"
    );
    Ok(())
}
