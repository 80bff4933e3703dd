//! Checks, settings, retention.

use std::sync::Arc;

use livewatt_domain::webhook::Position;

use super::{Story, day, minute, webhooks};
use crate::{LaneStep, Store, StoreResult};

/// A store that works says so.
pub async fn checks_pass(store: Arc<dyn Store>) -> StoreResult<()> {
    store.check().await?;
    store.check().await
}

/// The first value of a setting stays.
pub async fn settings_are_remembered(store: Arc<dyn Store>) -> StoreResult<()> {
    let remember = |name: &str, value: &str| store.remember(name.to_owned(), value.to_owned());
    assert_eq!(remember("vault", "first").await?, "first");
    assert_eq!(remember("vault", "second").await?, "first");
    assert_eq!(remember("other", "third").await?, "third");
    Ok(())
}

/// Pruning also forgets attempts and sessions of before, and no others.
pub async fn old_attempts_and_sessions_are_forgotten(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let webhook = story.webhook(1);
    story
        .store
        .create_webhook(webhook.clone(), Position(0))
        .await?;
    let lane = webhooks::pending_lane(&story, &webhook);
    let attempt = webhooks::attempt(&lane, 1, None);
    let step = LaneStep {
        attempt: Some(attempt),
        ..webhooks::step(&webhook, lane)
    };
    story.store.save_lane(step).await?;
    let (_, token_hash) = story.add_user(story.client, "bob", 1).await?;

    story.store.prune(minute(6), day(9)).await?;
    assert_eq!(story.store.delivery_attempts(webhook.id, 9).await?.len(), 1);
    assert!(story.store.find_link_session(token_hash).await?.is_some());
    story.store.prune(day(3), day(9)).await?;
    assert_eq!(story.store.delivery_attempts(webhook.id, 9).await?, []);
    assert_eq!(story.store.find_link_session(token_hash).await?, None);
    assert!(
        story
            .store
            .find_user(story.client, super::user_id("bob"))
            .await?
            .is_some()
    );
    Ok(())
}
