//! Units of work.

use std::sync::Arc;

use livewatt_domain::{
    account::Account,
    device::Device,
    id::{AccountId, PARTITIONS},
    webhook::Position,
};

use super::{Story, minute};
use crate::{DeviceChange, Store, StoreError, StoreResult};

/// What a unit carries is found afterwards, and the position it returns is that of its last event.
pub async fn are_there_whole(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (first, second) = (story.vehicle(1), story.vehicle(2));
    let mut unit = story.unit();
    for device in [&first, &second] {
        unit.devices.push(DeviceChange::Insert(device.clone()));
        unit.events.push(story.maker(minute(1)).discovered(device));
    }
    let last = story.store.commit(unit).await?;
    let page = story.events(story.client, Position(0)).await?;
    assert_eq!(page.events.len(), 2);
    assert_eq!(page.events.last().map(|event| event.position), last);
    assert_eq!(
        story.store.devices_of_account(story.account.id).await?,
        [first, second]
    );
    assert_eq!(story.store.commit(story.unit()).await?, None);
    Ok(())
}

/// If the second device has moved on, nothing of the unit is there: no event, no row.
pub async fn are_not_there_in_part(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let first = story.discover(1).await?;
    let second = story.discover(2).await?;
    let before = story.store.last_position(story.client).await?;
    let (_, change_first) = story.changed(&first);
    let new = story.vehicle(3);
    let mut account = story.account.clone();
    account.listed_at = Some(minute(2));

    let mut unit = story.unit();
    unit.accounts.push(
        story
            .saving(&account, crate::CredentialsChange::Replace(vec![9]))
            .await?,
    );
    unit.devices.push(change_first);
    unit.devices.push(DeviceChange::Update {
        device: second.clone(),
        from_version: 7,
    });
    unit.devices.push(DeviceChange::Insert(new.clone()));
    unit.events.push(story.event(minute(2)));
    let refused = story.store.commit(unit).await;

    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(story.store.last_position(story.client).await?, before);
    assert_eq!(story.store.credentials(account.id).await?, None);
    assert_eq!(
        story.store.devices_of_account(account.id).await?,
        [first, second]
    );
    let found = story.store.find_account(account.id).await?;
    assert_eq!(found.map(|(account, _)| account.listed_at), Some(None));
    // The position that the failed unit would have had is given to the next.
    assert_eq!(
        story.log(vec![story.event(minute(3))]).await?,
        Position(before.0 + 1)
    );
    Ok(())
}

/// Whoever took the fences last writes; all others are told that they no longer may.
pub async fn need_the_newest_fence(store: Arc<dyn Store>) -> StoreResult<()> {
    let mut story = Story::begin(store).await?;
    let newer = story.store.take_fences().await?;
    assert_eq!(newer.0.len(), usize::from(PARTITIONS));
    assert!(
        newer
            .0
            .iter()
            .zip(&story.fences.0)
            .all(|(newer, older)| newer > older)
    );
    let refused = story.log(vec![story.event(minute(1))]).await;
    let partition = story.account.id.partition();
    assert!(
        matches!(refused, Err(StoreError::Fenced { partition: p }) if p == partition),
        "{refused:?}"
    );
    assert_eq!(story.store.last_position(story.client).await?, Position(0));
    story.fences = newer;
    assert!(story.log(vec![story.event(minute(1))]).await? > Position(0));
    Ok(())
}

/// Of two writers that read the same version, one wins.
pub async fn change_devices_only_from_the_version_read(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let (next, change) = story.changed(&device);
    commit_change(&story, change.clone()).await?;
    assert_eq!(
        story.store.find_device(story.client, device.id).await?,
        Some(next.clone())
    );
    let delete = |from_version| DeviceChange::Delete {
        id: device.id,
        from_version,
        at: minute(60),
    };
    for late in [change, delete(1)] {
        let refused = commit_change(&story, late).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    commit_change(&story, delete(next.version)).await?;
    assert_eq!(
        story.store.find_device(story.client, device.id).await?,
        None
    );
    Ok(())
}

/// Whatever a unit says, `last_seen` stays where it got to.
pub async fn never_move_last_seen_back(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(10).await?;
    let update = |last_seen, from_version: u64| {
        let device = Device {
            last_seen,
            version: from_version + 1,
            ..device.clone()
        };
        DeviceChange::Update {
            device,
            from_version,
        }
    };
    commit_change(&story, update(minute(30), 1)).await?;
    commit_change(&story, update(minute(20), 2)).await?;
    let found = story.store.find_device(story.client, device.id).await?;
    assert_eq!(
        found.map(|found| (found.version, found.last_seen)),
        Some((3, minute(30)))
    );
    Ok(())
}

/// A device keeps its ID when it is linked through another account.
pub async fn move_a_device_to_another_account(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let id = AccountId::new(minute(2), story.entropy());
    let other = Account {
        id,
        vendor_account_id: "other".to_owned(),
        ..story.account.clone()
    };
    let mut unit = story.unit();
    unit.accounts
        .push(story.saving(&other, crate::CredentialsChange::Keep).await?);
    let moved = Device {
        account_id: id,
        version: 2,
        linked_at: minute(2),
        ..device
    };
    unit.devices.push(DeviceChange::Update {
        device: moved.clone(),
        from_version: 1,
    });
    story.store.commit(unit).await?;
    assert_eq!(story.store.devices_of_account(story.account.id).await?, []);
    assert_eq!(story.store.devices_of_account(id).await?, [moved]);
    Ok(())
}

/// What a vendor calls by one name within an account is one device.
pub async fn devices_are_unique_within_their_account(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let twin = Device {
        vendor_device: device.vendor_device,
        ..story.vehicle(2)
    };
    let refused = commit_change(&story, DeviceChange::Insert(twin)).await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    Ok(())
}

async fn commit_change(story: &Story, change: DeviceChange) -> StoreResult<()> {
    let mut unit = story.unit();
    unit.devices.push(change);
    story.store.commit(unit).await.map(drop)
}
