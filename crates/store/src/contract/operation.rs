//! Checks, settings, retention.

use std::sync::Arc;

use livewatt_domain::{account::AccountStatus, webhook::Position};

use super::{Story, day, minute, webhooks};
use crate::{LaneStep, Store, StoreResult};

/// A store that works says so.
pub async fn checks_pass(store: Arc<dyn Store>) -> StoreResult<()> {
    store.check().await?;
    store.check().await
}

/// Accounts and webhooks that stand still are counted, those at work are not.
pub async fn figures_count_what_stands_still(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut webhook = story.webhook(1);
    story
        .store
        .create_webhook(webhook.clone(), Position(0))
        .await?;
    let figures = story.store.figures().await?;
    assert_eq!((figures.troubled, figures.inactive_webhooks), (vec![], 0));
    assert!(figures.database_bytes + figures.wal_bytes > 0);

    webhook.is_active = false;
    webhook.revision += 1;
    story.store.update_webhook(webhook).await?;
    let mut account = story.account.clone();
    account.status = AccountStatus::Invalidated;
    story.save_account(&account).await?;
    let figures = story.store.figures().await?;
    assert_eq!(
        figures.troubled,
        [(account.integration, AccountStatus::Invalidated, 1)]
    );
    assert_eq!(figures.inactive_webhooks, 1);
    Ok(())
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
