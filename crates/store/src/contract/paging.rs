//! Lists in pages.

use std::{fmt::Debug, sync::Arc};

use livewatt_domain::{device::Device, id::DeviceId, kind::DeviceKind};

use super::{Story, user_id};
use crate::{DeviceChange, Page, PageFrom, PageRequest, Store, StoreResult};

/// Seven devices, some linked at the same moment, in pages of three: there and back again.
pub async fn forwards_and_backwards_over_devices(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut all = Vec::new();
    for at in [4, 1, 4, 2, 4, 4, 9] {
        all.push(story.discover(at).await?);
    }
    all.sort_by_key(|device| std::cmp::Reverse((device.linked_at, device.id)));
    let all: Vec<DeviceId> = all.iter().map(|device| device.id).collect();
    for user in [None, Some(user_id("ada"))] {
        let list = async |from| {
            let request = PageRequest { from, size: 3 };
            story
                .store
                .list_devices(story.client, user.clone(), DeviceKind::Vehicle, request)
                .await
        };
        walk(list, |device: &Device| device.id, &all, 3).await?;
    }
    let request = PageRequest {
        from: PageFrom::Start,
        size: 3,
    };
    let none = [
        (Some(user_id("bob")), DeviceKind::Vehicle),
        (None, DeviceKind::Meter),
    ];
    for (user, kind) in none {
        let page = story
            .store
            .list_devices(story.client, user, kind, request.clone())
            .await?;
        assert_eq!(
            page,
            Page {
                items: vec![],
                older: None,
                newer: None
            }
        );
    }
    Ok(())
}

/// A key works though its row is gone.
pub async fn goes_on_from_rows_that_are_gone(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut devices = Vec::new();
    for at in 0..5 {
        devices.push(story.discover(at).await?);
    }
    let list = async |from| {
        let request = PageRequest { from, size: 2 };
        story
            .store
            .list_devices(story.client, None, DeviceKind::Vehicle, request)
            .await
    };
    let older = list(PageFrom::Start).await?.older;
    let Some(key) = older else {
        panic!("five rows fit on a page of two")
    };
    let mut unit = story.unit();
    unit.devices.push(DeviceChange::Delete {
        id: devices[3].id,
        from_version: 1,
        at: super::minute(60),
    });
    story.store.commit(unit).await?;
    let after = list(PageFrom::After(key.clone())).await?;
    assert_eq!(
        ids(&after.items),
        ids(&[devices[2].clone(), devices[1].clone()])
    );
    let before = list(PageFrom::Before(key)).await?;
    assert_eq!(ids(&before.items), [devices[4].id]);
    assert!(before.newer.is_none() && before.older.is_some());
    Ok(())
}

/// The other lists go by the same rules.
pub async fn users_webhooks_and_locations(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut webhooks = Vec::new();
    for at in 1..=6 {
        story
            .add_user(story.client, &format!("user {at}"), at / 2)
            .await?;
        let webhook = story.webhook(at);
        story
            .store
            .create_webhook(webhook.clone(), Default::default())
            .await?;
        webhooks.insert(0, webhook.id);
    }
    let users = [
        "user 6", "user 5", "user 4", "user 3", "user 2", "user 1", "ada",
    ]
    .map(user_id);
    // The moment of `user 1` is that of `ada`; the order is then that of the IDs.
    let list = async |from| {
        let request = PageRequest { from, size: 3 };
        story.store.list_users(story.client, request).await
    };
    let mut expected = users.to_vec();
    expected.sort_by_key(|id| std::cmp::Reverse((minute_of(id.as_str()), id.clone())));
    walk(list, |user: &crate::User| user.id.clone(), &expected, 3).await?;

    let list = async |from| {
        let request = PageRequest { from, size: 4 };
        story.store.list_webhooks(story.client, request).await
    };
    walk(
        list,
        |webhook: &livewatt_domain::webhook::Webhook| webhook.id,
        &webhooks,
        4,
    )
    .await?;
    let mut locations = Vec::new();
    for at in 1..=6 {
        locations.insert(0, story.settle(at).await?.id);
    }
    for user in [None, Some(user_id("ada"))] {
        let list = async |from| {
            let request = PageRequest { from, size: 4 };
            let user = user.clone();
            story
                .store
                .list_locations(story.client, user, request)
                .await
        };
        let id = |location: &livewatt_domain::location::Location| location.id;
        walk(list, id, &locations, 4).await?;
    }
    Ok(())
}

fn minute_of(user: &str) -> i64 {
    user.trim_start_matches("user ")
        .parse()
        .map_or(0, |number: i64| number / 2)
}

fn ids(devices: &[Device]) -> Vec<DeviceId> {
    devices.iter().map(|device| device.id).collect()
}

/// Reads a list to its end and back, and compares it with what is expected in it.
async fn walk<T, I: PartialEq + Debug + Clone>(
    list: impl AsyncFn(PageFrom) -> StoreResult<Page<T>>,
    id: impl Fn(&T) -> I,
    expected: &[I],
    size: usize,
) -> StoreResult<()> {
    let pages: Vec<&[I]> = expected.chunks(size).collect();
    let mut page = list(PageFrom::Start).await?.map(|item| id(&item));
    assert_eq!(page.newer, None, "the first page is the newest");
    for (number, expected) in pages.iter().enumerate() {
        assert_eq!(page.items, *expected, "page {number} forwards");
        assert_eq!(page.newer.is_some(), number > 0, "newer of page {number}");
        assert_eq!(
            page.older.is_some(),
            number + 1 < pages.len(),
            "older of page {number}"
        );
        if let Some(key) = page.older.clone() {
            page = list(PageFrom::After(key)).await?.map(|item| id(&item));
        }
    }
    for (number, expected) in pages.iter().enumerate().rev().skip(1) {
        let Some(key) = page.newer.clone() else {
            panic!("no way back to page {number}")
        };
        page = list(PageFrom::Before(key)).await?.map(|item| id(&item));
        assert_eq!(page.items, *expected, "page {number} backwards");
        assert!(page.older.is_some(), "page {number} backwards");
        assert_eq!(
            page.newer.is_some(),
            number > 0,
            "newer of page {number} backwards"
        );
    }
    Ok(())
}
