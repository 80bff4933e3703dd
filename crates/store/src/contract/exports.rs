//! How far the log is exported.

use std::sync::Arc;

use livewatt_domain::{id::ClientId, webhook::Position};

use super::{Story, minute};
use crate::{ExportBehind, ExportStep, Fence, Store, StoreError, StoreResult};

fn step(client_id: ClientId, cursor: Position) -> ExportStep {
    ExportStep {
        sink: "sink".to_owned(),
        client_id,
        cursor,
        fence: None,
    }
}

/// A client is told of as long as its log is longer than what was exported, for each sink.
pub async fn go_on_from_their_cursors(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (store, client) = (&story.store, story.client);
    let behind = async |sink: &str| store.exports_behind(sink.to_owned()).await;
    assert_eq!(behind("sink").await?, []);
    let first = story.log(vec![story.event(minute(1))]).await?;
    let second = story.log(vec![story.event(minute(2))]).await?;
    let at = |cursor| ExportBehind {
        client_id: client,
        cursor,
    };
    assert_eq!(behind("sink").await?, [at(Position(0))]);
    assert!(store.save_export(step(client, first)).await?);
    assert_eq!(behind("sink").await?, [at(first)]);
    assert!(store.save_export(step(client, second)).await?);
    assert_eq!(behind("sink").await?, []);
    // Whoever comes late moves nothing back.
    assert!(store.save_export(step(client, first)).await?);
    assert_eq!(behind("sink").await?, []);
    assert_eq!(behind("another").await?, [at(Position(0))]);
    let third = story.log(vec![story.event(minute(3))]).await?;
    assert!(second < third);
    assert_eq!(behind("sink").await?, [at(second)]);
    Ok(())
}

/// A client that is gone has nothing to export.
pub async fn end_with_their_client(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let last = story.log(vec![story.event(minute(1))]).await?;
    let stranger = ClientId::new(minute(2), story.entropy());
    assert!(!story.store.save_export(step(stranger, last)).await?);
    assert!(
        story
            .store
            .save_export(step(story.client, Position(0)))
            .await?
    );
    assert!(story.store.delete_client(story.client).await?);
    assert!(!story.store.save_export(step(story.client, last)).await?);
    let behind = story.store.exports_behind("sink".to_owned()).await?;
    assert_eq!(behind, []);
    Ok(())
}

/// Where there are owners, only the newest moves a cursor.
pub async fn are_moved_by_the_owner_alone(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let last = story.log(vec![story.event(minute(1))]).await?;
    let partition = story.client.partition();
    let present = story.fences.of(partition);
    let with = |fence| ExportStep {
        fence: Some(fence),
        ..step(story.client, last)
    };
    if story.store.cluster().is_some() {
        let former = Fence {
            number: present.number - 1,
            ..present
        };
        let refused = story.store.save_export(with(former)).await;
        assert!(
            matches!(refused, Err(StoreError::Fenced { partition: p }) if p == partition),
            "{refused:?}"
        );
        assert_eq!(
            story.store.exports_behind("sink".to_owned()).await?.len(),
            1
        );
    }
    assert!(story.store.save_export(with(present)).await?);
    assert_eq!(story.store.exports_behind("sink".to_owned()).await?, []);
    Ok(())
}
