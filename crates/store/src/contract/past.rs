//! Devices as they were.

use std::sync::Arc;

use jiff::Timestamp;
use livewatt_domain::{
    device::Device,
    id::{ClientId, DeviceId},
    kind::DeviceKind,
};

use super::{Story, day, minute, user_id};
use crate::{DeviceChange, PageFrom, PageRequest, PastDevice, Store, StoreResult};

impl Story {
    /// Changes a device at a moment, with its event.
    async fn change_at(&self, device: &Device, at: Timestamp) -> StoreResult<Device> {
        let (next, change) = self.changed(device);
        let mut unit = self.unit();
        let fields = ["isReachable".to_owned()];
        unit.events.push(self.maker(at).updated(&next, &fields));
        unit.devices.push(change);
        self.store.commit(unit).await?;
        Ok(next)
    }

    /// Deletes a device at a moment, with its event if it is to have one.
    async fn delete_at(&self, device: &Device, at: Timestamp, has_event: bool) -> StoreResult<()> {
        let mut unit = self.unit();
        if has_event {
            unit.events.push(self.maker(at).deleted(device));
        }
        unit.devices.push(DeviceChange::Delete {
            id: device.id,
            from_version: device.version,
            at,
        });
        self.store.commit(unit).await.map(drop)
    }

    async fn past(&self, id: DeviceId, at: Timestamp) -> StoreResult<Option<PastDevice>> {
        self.store.find_past_device(self.client, id, at).await
    }
}

fn as_it_was(device: &Device) -> Option<PastDevice> {
    let document = serde_json::to_string(&device.document);
    Some(PastDevice {
        id: device.id,
        kind: device.kind(),
        document: document.ok(),
    })
}

/// At each moment a device is what its last event until then says; before it was found and after it
/// went, it is not there.
pub async fn devices_are_as_their_events_say(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let other = story.discover(9).await?;
    let first = story.discover(10).await?;
    let second = story.change_at(&first, minute(20)).await?;
    // In another slice, and after what happened to another device.
    story.change_at(&other, minute(21)).await?;
    let third = story.change_at(&second, day(3)).await?;
    story.delete_at(&third, day(5), true).await?;

    assert_eq!(story.past(first.id, minute(9)).await?, None);
    for (at, expected) in [
        (minute(10), &first),
        (minute(19), &first),
        (minute(20), &second),
        (day(2), &second),
        (day(3), &third),
        (day(4), &third),
    ] {
        let found = story.past(first.id, at).await?;
        assert_eq!(found, as_it_was(expected), "at {at}");
    }
    for gone in [day(5), day(6)] {
        assert_eq!(story.past(first.id, gone).await?, None);
    }
    let nobody = ClientId(first.id.0);
    let of_another = story.store.find_past_device(nobody, first.id, day(4));
    assert_eq!(of_another.await?, None, "it belongs to one client");
    Ok(())
}

/// Lists are of the devices that were there, in pages that stay the same whatever happened since.
pub async fn lists_are_of_the_devices_of_then(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut devices = Vec::new();
    for at in 1..=6 {
        devices.push(story.discover(at).await?);
    }
    for index in [1, 4] {
        story
            .delete_at(&devices[index], minute(30), index == 1)
            .await?;
    }
    story.discover(40).await?;
    let at_once = |at, from, size| {
        let request = PageRequest { from, size };
        let user = Some(user_id("ada"));
        let kind = DeviceKind::Vehicle;
        story
            .store
            .list_past_devices(story.client, user, kind, at, request)
    };
    let expect = async |at, expected: Vec<usize>| -> StoreResult<()> {
        let (mut from, mut listed) = (PageFrom::Start, Vec::new());
        loop {
            let page = at_once(at, from, 2).await?;
            listed.extend(page.items);
            match page.older {
                Some(key) => from = PageFrom::After(key),
                None => break,
            }
        }
        let expected: Vec<_> = expected
            .iter()
            .filter_map(|i| as_it_was(&devices[*i]))
            .collect();
        assert_eq!(listed, expected, "at {at}");
        Ok(())
    };
    expect(minute(0), vec![]).await?;
    expect(minute(3), vec![2, 1, 0]).await?;
    expect(minute(29), vec![5, 4, 3, 2, 1, 0]).await?;
    expect(minute(30), vec![5, 3, 2, 0]).await?;
    let of_bob = PageRequest {
        from: PageFrom::Start,
        size: 2,
    };
    let of_bob = story.store.list_past_devices(
        story.client,
        Some(user_id("bob")),
        DeviceKind::Vehicle,
        minute(29),
        of_bob,
    );
    assert_eq!(of_bob.await?.items, []);
    Ok(())
}

/// What the log no longer tells is not made up; what did not change since is still known.
pub async fn what_is_dropped_is_not_made_up(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let quiet = story.discover(1).await?;
    let moved = story.discover(2).await?;
    let ended = story.discover(3).await?;
    let moved = story.change_at(&moved, day(5)).await?;
    story.delete_at(&ended, day(5), true).await?;
    assert_eq!(story.store.prune(day(4), day(5)).await?, 1);

    assert_eq!(story.past(quiet.id, day(4)).await?, as_it_was(&quiet));
    let unknown = story.past(moved.id, day(4)).await?;
    assert_eq!(unknown.map(|device| device.document), Some(None));
    assert_eq!(story.past(moved.id, day(5)).await?, as_it_was(&moved));
    let ended_then = story.past(ended.id, day(4)).await?;
    assert!(ended_then.is_some_and(|device| device.document.is_some()));
    story.store.prune(day(6), day(6)).await?;
    assert_eq!(
        story.past(ended.id, day(4)).await?,
        None,
        "forgotten in time"
    );
    Ok(())
}

/// Nothing of a user who was deleted is told of the past.
pub async fn goes_with_its_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let kept = story.discover(1).await?;
    let gone = story.discover(2).await?;
    story.delete_at(&gone, minute(9), true).await?;
    for id in [kept.id, gone.id] {
        assert!(story.past(id, minute(5)).await?.is_some());
    }
    story
        .store
        .delete_user(story.client, user_id("ada"))
        .await?;
    for id in [kept.id, gone.id] {
        assert_eq!(story.past(id, minute(5)).await?, None);
    }
    Ok(())
}
