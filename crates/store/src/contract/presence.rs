//! Quiet writes.

use std::sync::Arc;

use jiff::Timestamp;
use livewatt_domain::{
    account::{AccountSchedule, Attempt, AttemptOutcome, Trigger},
    device::{Device, Stamp, Stamps, Via},
    fact::Field,
    id::AccountId,
    kind::DeviceKind,
    partition::Partitions,
};

use super::{Story, minute};
use crate::{BudgetUsage, DevicePresence, PresenceFlush, Store, StoreResult};

/// Presence changes a row without its version or document, and never moves `last_seen` back.
pub async fn is_written_beside_the_version(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let newer = presence(&device, minute(30));
    flush(&story, newer.clone()).await?;
    let expected = Device {
        last_seen: minute(30),
        stamps: newer.stamps.clone(),
        is_asleep: true,
        missed_listings: 2,
        ..device.clone()
    };
    assert_eq!(found(&story, &device).await?, Some(expected.clone()));
    flush(
        &story,
        DevicePresence {
            last_seen: minute(20),
            ..newer
        },
    )
    .await?;
    assert_eq!(found(&story, &device).await?, Some(expected));
    Ok(())
}

/// A device that was merely seen moves its `last_seen`, whatever its version, and never back.
pub async fn being_seen_moves_last_seen_alone(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    for at in [minute(30), minute(20)] {
        let flush = PresenceFlush {
            seen: vec![(device.id, at)],
            ..PresenceFlush::default()
        };
        story.store.flush_presence(flush).await?;
    }
    let expected = Device {
        last_seen: minute(30),
        ..device.clone()
    };
    assert_eq!(found(&story, &device).await?, Some(expected));
    Ok(())
}

/// A flush that comes late for one device still serves the others.
pub async fn passes_over_what_has_moved_on(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (moved_on, present) = (story.discover(1).await?, story.discover(1).await?);
    let gone = story.vehicle(1);
    let (next, change) = story.changed(&moved_on);
    let mut unit = story.unit();
    unit.devices.push(change);
    story.store.commit(unit).await?;

    let devices = [&gone, &moved_on, &present].map(|device| presence(device, minute(30)));
    let nobody = AccountId::new(minute(1), story.entropy());
    let flush = PresenceFlush {
        devices: devices.to_vec(),
        schedules: vec![(nobody, AccountSchedule::new(None))],
        listed: vec![(nobody, minute(2))],
        ..PresenceFlush::default()
    };
    story.store.flush_presence(flush).await?;
    assert_eq!(found(&story, &gone).await?, None);
    assert_eq!(found(&story, &moved_on).await?, Some(next));
    let last_seen = found(&story, &present)
        .await?
        .map(|device| device.last_seen);
    assert_eq!(last_seen, Some(minute(30)));
    assert_eq!(story.store.find_account(nobody).await?, None);
    Ok(())
}

/// Schedules, listing times and budgets are replaced by what a flush says.
pub async fn keeps_schedules_and_budgets(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut schedule = AccountSchedule::new(Some(minute(5)));
    schedule.note(Attempt {
        at: minute(3),
        trigger: Trigger::RefreshHint,
        outcome: AttemptOutcome::Ok,
        duration_ms: 12,
    });
    let usage = |key: &str, spent| BudgetUsage {
        key: key.to_owned(),
        partition: 7,
        window_start: minute(0),
        spent,
    };
    for spent in [3, 4] {
        let flush = PresenceFlush {
            schedules: vec![(story.account.id, schedule.clone())],
            listed: vec![(story.account.id, minute(spent))],
            budgets: vec![usage("acme", spent as u64), usage("other", 1)],
            ..PresenceFlush::default()
        };
        assert!(!flush.is_empty());
        story.store.flush_presence(flush).await?;
    }
    let account = story.store.find_account(story.account.id).await?;
    let account = account.map(|(account, schedule)| (account.listed_at, schedule));
    assert_eq!(account, Some((Some(minute(4)), schedule)));
    assert_eq!(
        story.store.budget_usage(Partitions::ALL).await?,
        [usage("acme", 4), usage("other", 1)]
    );
    let elsewhere = Partitions::ALL.without(&[7].into_iter().collect());
    assert_eq!(story.store.budget_usage(elsewhere).await?, []);
    Ok(())
}

fn presence(device: &Device, last_seen: Timestamp) -> DevicePresence {
    let mut stamps = Stamps::default();
    if let Some(field) = Field::all(DeviceKind::Vehicle).next() {
        let stamp = Stamp {
            observed_at: None,
            started_at: last_seen,
            received_at: last_seen,
            changed_at: Some(last_seen),
            via: Via::Push,
        };
        stamps.set(field, stamp);
    }
    let (id, version) = (device.id, device.version);
    DevicePresence {
        id,
        version,
        last_seen,
        stamps,
        is_asleep: true,
        missed_listings: 2,
    }
}

async fn flush(story: &Story, presence: DevicePresence) -> StoreResult<()> {
    let flush = PresenceFlush {
        devices: vec![presence],
        ..PresenceFlush::default()
    };
    story.store.flush_presence(flush).await
}

async fn found(story: &Story, device: &Device) -> StoreResult<Option<Device>> {
    story.store.find_device(story.client, device.id).await
}
