//! Locations, and what has still to follow from a change of them.

use std::sync::Arc;

use livewatt_domain::{
    id::LocationId,
    location::{Location, MOST_PER_USER, Position},
    partition::Partitions,
};

use super::{Story, minute, user_id};
use crate::{LocationPatch, PageFrom, PageRequest, Store, StoreError, StoreResult};

impl Story {
    /// A Location of `ada`, made at a minute, that is not stored yet.
    pub fn location(&self, at: i64) -> Location {
        Location {
            id: LocationId::new(minute(at), self.entropy()),
            client_id: self.client,
            user_id: user_id("ada"),
            name: format!("place {at}"),
            position: Position {
                latitude: 59.912_345_678_9,
                longitude: -10.75,
            },
            zone: "Europe/Oslo"
                .parse()
                .unwrap_or_else(|_| unreachable!("Oslo is in Europe")),
            created_at: minute(at),
        }
    }

    /// Stores a Location of `ada`, made at a minute.
    pub async fn settle(&self, at: i64) -> StoreResult<Location> {
        let location = self.location(at);
        assert!(self.store.create_location(location.clone()).await?);
        Ok(location)
    }

    /// The changes that are noted, as the Locations they are about.
    async fn changes(&self, limit: u32) -> StoreResult<Vec<LocationId>> {
        let changes = self.store.location_changes(Partitions::ALL, limit).await?;
        let of_ada = changes
            .iter()
            .all(|change| change.client_id == self.client && change.user_id == user_id("ada"));
        assert!(of_ada, "{changes:?}");
        Ok(changes.iter().map(|change| change.location_id).collect())
    }

    async fn forget_changes(&self) -> StoreResult<()> {
        let changes = self.store.location_changes(Partitions::ALL, 100).await?;
        let numbers = changes.iter().map(|change| change.number).collect();
        self.store.forget_location_changes(numbers).await
    }
}

/// They come back as they were made, and change in parts; other clients see none of it.
pub async fn change_in_parts(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let made = story.settle(1).await?;
    let other = livewatt_domain::id::ClientId::new(minute(2), story.entropy());
    story.add_client(other, 2).await?;
    let store = &story.store;
    assert_eq!(
        store.find_location(story.client, made.id).await?,
        Some(made.clone())
    );
    assert_eq!(store.find_location(other, made.id).await?, None);
    let patch = LocationPatch {
        name: Some("Über".to_owned()),
        ..LocationPatch::default()
    };
    let renamed = Location {
        name: "Über".to_owned(),
        ..made.clone()
    };
    let update = |client, patch| store.update_location(client, made.id, patch);
    assert_eq!(update(other, patch.clone()).await?, None);
    assert_eq!(update(story.client, patch).await?, Some(renamed.clone()));
    let patch = LocationPatch {
        longitude: Some(0.125),
        zone: "UTC".parse().ok(),
        ..LocationPatch::default()
    };
    let moved = Location {
        position: Position {
            longitude: 0.125,
            ..made.position
        },
        zone: livewatt_domain::zone::Zone::UTC,
        ..renamed
    };
    assert_eq!(update(story.client, patch).await?, Some(moved.clone()));
    assert_eq!(
        store
            .locations_of_user(story.client, user_id("ada"))
            .await?,
        std::slice::from_ref(&moved)
    );
    assert_eq!(store.delete_location(other, made.id).await?, None);
    assert_eq!(
        store.delete_location(story.client, made.id).await?,
        Some(moved)
    );
    assert_eq!(store.find_location(story.client, made.id).await?, None);
    assert_eq!(store.delete_location(story.client, made.id).await?, None);
    let patch = LocationPatch::default();
    assert_eq!(update(story.client, patch).await?, None);
    Ok(())
}

/// A Location needs its user, and goes with them; a user has no more of them than can be.
pub async fn need_their_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let store = &story.store;
    let nobodys = Location {
        user_id: user_id("nobody"),
        ..story.location(1)
    };
    let refused = store.create_location(nobodys).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    for at in 0..MOST_PER_USER {
        story.settle(at.into()).await?;
    }
    assert!(!store.create_location(story.location(1)).await?);
    story.add_user(story.client, "bob", 1).await?;
    let bobs = Location {
        user_id: user_id("bob"),
        ..story.location(1)
    };
    assert!(store.create_location(bobs.clone()).await?);
    assert!(store.delete_user(story.client, user_id("ada")).await?);
    let request = PageRequest {
        from: PageFrom::Start,
        size: 10,
    };
    let left = store.list_locations(story.client, None, request).await?;
    assert_eq!(left.items, std::slice::from_ref(&bobs));
    let changes = store.location_changes(Partitions::ALL, 10).await?;
    assert_eq!(changes.len(), 1, "those of a user who is gone are gone");
    assert_eq!(changes[0].location_id, bobs.id);
    assert!(store.delete_client(story.client).await?);
    assert_eq!(store.find_location(story.client, bobs.id).await?, None);
    assert_eq!(store.location_changes(Partitions::ALL, 10).await?, []);
    Ok(())
}

/// What devices must be placed anew by is noted with the change, until it is forgotten.
pub async fn changes_are_noted_with_themselves(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (home, work) = (story.settle(1).await?, story.settle(2).await?);
    assert_eq!(story.changes(10).await?, [home.id, work.id]);
    assert_eq!(story.changes(1).await?, [home.id]);
    let elsewhere: Partitions = (0..livewatt_domain::id::PARTITIONS)
        .filter(|partition| ![home.id.partition(), work.id.partition()].contains(partition))
        .collect();
    let nobodys = story.store.location_changes(Partitions::NONE, 10).await?;
    assert_eq!(nobodys, []);
    if story.store.cluster().is_some() {
        let others = story.store.location_changes(elsewhere, 10).await?;
        assert_eq!(others, []);
        let own = [work.id.partition()].into_iter().collect();
        let own = story.store.location_changes(own, 10).await?;
        assert!(own.iter().any(|change| change.location_id == work.id));
    }
    story.forget_changes().await?;
    assert_eq!(story.changes(10).await?, []);
    let named = LocationPatch {
        name: Some("new name".to_owned()),
        zone: Some(home.zone.clone()),
        latitude: Some(home.position.latitude),
        ..LocationPatch::default()
    };
    let update = |patch| story.store.update_location(story.client, home.id, patch);
    update(named).await?;
    assert_eq!(story.changes(10).await?, [], "it is where it was");
    let elsewhen = LocationPatch {
        zone: "Asia/Tokyo".parse().ok(),
        ..LocationPatch::default()
    };
    update(elsewhen).await?;
    assert_eq!(story.changes(10).await?, [home.id], "its clock is another");
    story.forget_changes().await?;
    let moved = LocationPatch {
        latitude: Some(1.0),
        ..LocationPatch::default()
    };
    update(moved).await?;
    story.store.delete_location(story.client, work.id).await?;
    assert_eq!(story.changes(10).await?, [home.id, work.id]);
    Ok(())
}
