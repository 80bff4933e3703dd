//! Webhooks, lanes and attempts.

use std::sync::Arc;

use jiff::Timestamp;
use livewatt_domain::{
    id::{ClientId, DeliveryId},
    webhook::{
        DeliveryAttempt, EventFilter, Lane, PendingDelivery, Position, Webhook,
        WebhookAuthentication,
    },
};

use super::{Story, minute};
use crate::{LaneStep, Store, StoreError, StoreResult};

/// A new webhook has its lanes, all at the cursor, and is among the active ones.
pub async fn start_all_lanes_at_the_cursor(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let webhook = created(&story, 1, Position(17)).await?;
    let lanes: Vec<_> = (0..3)
        .map(|lane| Lane {
            webhook_id: webhook.id,
            lane,
            cursor: Position(17),
            pending: None,
        })
        .collect();
    assert_eq!(story.store.lanes(webhook.id).await?, lanes);
    assert_eq!(
        story.store.active_webhooks().await?,
        [(webhook.clone(), lanes)]
    );
    let stranger = ClientId::new(minute(1), story.entropy());
    assert_eq!(story.store.find_webhook(stranger, webhook.id).await?, None);
    assert_eq!(
        story.store.find_webhook(story.client, webhook.id).await?,
        Some(webhook)
    );
    Ok(())
}

/// Two webhooks of a client never go to one address.
pub async fn have_one_url_each(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let first = created(&story, 1, Position(0)).await?;
    let mut second = story.webhook(2);
    second.url = first.url.clone();
    let refused = story
        .store
        .create_webhook(second.clone(), Position(0))
        .await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    second.client_id = ClientId::new(minute(1), story.entropy());
    story.add_client(second.client_id, 1).await?;
    story.store.create_webhook(second, Position(0)).await?;

    let mut third = created(&story, 3, Position(0)).await?;
    third.url = first.url;
    third.revision += 1;
    let refused = story.store.update_webhook(third).await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    Ok(())
}

/// What is under way stays the same delivery under other settings, and is due at once.
pub async fn an_update_keeps_what_is_under_way(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut webhook = created(&story, 1, Position(5)).await?;
    let mut lane = pending_lane(&story, &webhook);
    story.store.save_lane(step(&webhook, lane.clone())).await?;
    let stale = step(&webhook, lane.clone());
    webhook.url = "https://customer.example/elsewhere".to_owned();
    webhook.revision += 1;
    assert!(story.store.update_webhook(webhook.clone()).await?);
    lane.pending = lane.pending.map(|pending| PendingDelivery {
        attempts: 0,
        failing_since: None,
        next_attempt_at: Timestamp::UNIX_EPOCH,
        ..pending
    });
    let lanes = story.store.lanes(webhook.id).await?;
    assert_eq!(lanes[1], lane);
    assert_eq!(lanes[0].pending, None, "nothing was under way there");

    // Who had read it before undoes nothing, whichever node it is on.
    assert!(!story.store.save_lane(stale).await?);
    assert_eq!(story.store.lanes(webhook.id).await?[1], lane);
    let refused = story.store.update_webhook(webhook).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    Ok(())
}

/// With another filter, what was to be sent is not, and the cursors stay.
pub async fn another_filter_drops_what_is_under_way(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut webhook = created(&story, 1, Position(5)).await?;
    let mut lane = pending_lane(&story, &webhook);
    story.store.save_lane(step(&webhook, lane.clone())).await?;
    webhook.url = "https://customer.example/elsewhere".to_owned();
    webhook.events = EventFilter(vec!["user:vehicle:updated".to_owned()]);
    webhook.authentication = Some(WebhookAuthentication {
        header_name: "x-key".to_owned(),
        sealed_value: "sealed".to_owned(),
    });
    webhook.is_active = false;
    webhook.revision += 1;
    assert!(story.store.update_webhook(webhook.clone()).await?);
    lane.pending = None;
    assert_eq!(story.store.lanes(webhook.id).await?[1], lane);
    assert_eq!(
        story.store.find_webhook(story.client, webhook.id).await?,
        Some(webhook)
    );
    assert_eq!(story.store.active_webhooks().await?, []);
    assert!(!story.store.update_webhook(story.webhook(2)).await?);
    Ok(())
}

/// Lane, attempt and what follows for the webhook are written together.
pub async fn a_step_is_written_whole(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let webhook = created(&story, 1, Position(5)).await?;
    let lane = pending_lane(&story, &webhook);
    let failed = attempt(&lane, 1, Some("timed out"));
    let first = LaneStep {
        attempt: Some(failed.clone()),
        ..step(&webhook, lane.clone())
    };
    assert!(story.store.save_lane(first).await?);
    assert_eq!(story.store.lanes(webhook.id).await?[1], lane);

    let succeeded = attempt(&lane, 2, None);
    let done = Lane {
        cursor: Position(9),
        pending: None,
        ..lane
    };
    let second = LaneStep {
        attempt: Some(succeeded.clone()),
        succeeded_at: Some(minute(8)),
        deactivate: true,
        ..step(&webhook, done.clone())
    };
    assert!(story.store.save_lane(second).await?);
    let lanes = story.store.lanes(webhook.id).await?;
    assert_eq!(lanes[1], done);
    assert_eq!(lanes[0].cursor, Position(5), "another lane");
    let found = story.store.find_webhook(story.client, webhook.id).await?;
    let found = found.map(|webhook| (webhook.is_active, webhook.last_success));
    assert_eq!(found, Some((false, minute(8))));
    let attempts = story.store.delivery_attempts(webhook.id, 10).await?;
    assert_eq!(attempts, [succeeded.clone(), failed]);
    assert_eq!(
        story.store.delivery_attempts(webhook.id, 1).await?,
        [succeeded]
    );
    Ok(())
}

/// A deliverer that comes back to a deleted webhook is told so.
pub async fn are_deleted_with_their_lanes(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let webhook = created(&story, 1, Position(5)).await?;
    let stranger = ClientId::new(minute(1), story.entropy());
    assert!(!story.store.delete_webhook(stranger, webhook.id).await?);
    assert!(story.store.delete_webhook(story.client, webhook.id).await?);
    assert!(!story.store.delete_webhook(story.client, webhook.id).await?);
    let lane = pending_lane(&story, &webhook);
    let attempt = Some(attempt(&lane, 1, None));
    assert!(
        !story
            .store
            .save_lane(LaneStep {
                attempt,
                ..step(&webhook, lane)
            })
            .await?
    );
    assert_eq!(story.store.lanes(webhook.id).await?, []);
    assert_eq!(story.store.delivery_attempts(webhook.id, 9).await?, []);
    Ok(())
}

async fn created(story: &Story, at: i64, cursor: Position) -> StoreResult<Webhook> {
    let webhook = story.webhook(at);
    story.store.create_webhook(webhook.clone(), cursor).await?;
    Ok(webhook)
}

pub(super) fn pending_lane(story: &Story, webhook: &Webhook) -> Lane {
    let pending = PendingDelivery {
        id: DeliveryId::new(minute(6), story.entropy()),
        until: Position(9),
        attempts: 1,
        failing_since: Some(minute(6)),
        next_attempt_at: minute(7),
    };
    Lane {
        webhook_id: webhook.id,
        lane: 1,
        cursor: Position(5),
        pending: Some(pending),
    }
}

pub(super) fn attempt(lane: &Lane, number: u32, error: Option<&str>) -> DeliveryAttempt {
    DeliveryAttempt {
        webhook_id: lane.webhook_id,
        delivery_id: lane
            .pending
            .as_ref()
            .map_or(DeliveryId(Default::default()), |p| p.id),
        attempt: number,
        at: minute(6),
        duration_ms: 5000,
        events: 4,
        status: error.is_none().then_some(204),
        error: error.map(str::to_owned),
    }
}

pub(super) fn step(webhook: &Webhook, lane: Lane) -> LaneStep {
    LaneStep {
        lane,
        attempt: None,
        succeeded_at: None,
        deactivate: false,
        webhook_id: webhook.id,
        revision: webhook.revision,
        fence: None,
    }
}
