//! Clients and tokens.

use std::sync::Arc;

use livewatt_domain::id::ClientId;

use super::{Story, minute};
use crate::{Store, StoreError, StoreResult, StoredToken};

/// All clients are listed, the newest first, and found with the hash of their secret.
pub async fn are_listed_newest_first(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let newest = story
        .add_client(ClientId::new(minute(2), story.entropy()), 2)
        .await?;
    let middle = story
        .add_client(ClientId::new(minute(1), story.entropy()), 1)
        .await?;
    let ids: Vec<_> = story
        .store
        .list_clients()
        .await?
        .iter()
        .map(|client| client.id)
        .collect();
    assert_eq!(ids, [newest.id, middle.id, story.client]);
    assert_eq!(
        story.store.find_client(newest.id).await?,
        Some((newest, "hash".to_owned()))
    );
    let stranger = ClientId::new(minute(3), story.entropy());
    assert_eq!(story.store.find_client(stranger).await?, None);
    Ok(())
}

/// Of those who want to make the first client at the same moment, one does.
pub async fn are_begun_once(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store.clone()).await?;
    let late = Story::client_like(ClientId::new(minute(1), story.entropy()), 1);
    assert!(!store.create_first_client(late, "hash".to_owned()).await?);
    assert!(store.delete_client(story.client).await?);
    let attempt = async || {
        let client = Story::client_like(ClientId::new(minute(2), story.entropy()), 2);
        store.create_first_client(client, "hash".to_owned()).await
    };
    let (one, other, third) = tokio::try_join!(attempt(), attempt(), attempt())?;
    assert_eq!(u8::from(one) + u8::from(other) + u8::from(third), 1);
    assert_eq!(store.list_clients().await?.len(), 1);
    Ok(())
}

/// There are no two clients of one ID.
pub async fn are_unique(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let again = story.add_client(story.client, 1).await;
    assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}");
    Ok(())
}

/// A token works until the moment it expires.
pub async fn tokens_expire(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let hash = save_token(&story, 60).await?;
    let found = story.store.find_token(hash, minute(59)).await?;
    let expected = StoredToken {
        hash,
        client_id: story.client,
        expires_at: minute(60),
    };
    assert_eq!(found, Some(expected));
    assert_eq!(story.store.find_token(hash, minute(60)).await?, None);
    assert_eq!(story.store.find_token(story.hash(), minute(1)).await?, None);

    let other = StoredToken {
        hash: story.hash(),
        client_id: story.client,
        expires_at: minute(200),
    };
    story.store.save_token(other, minute(61)).await?;
    assert_eq!(
        story.store.find_token(hash, minute(1)).await?,
        None,
        "it was not forgotten"
    );
    Ok(())
}

/// Whoever held a token must show the new secret.
pub async fn a_new_secret_revokes_the_tokens(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let hash = save_token(&story, 60).await?;
    assert!(
        story
            .store
            .rotate_client_secret(story.client, "new".to_owned())
            .await?
    );
    assert_eq!(story.store.find_token(hash, minute(1)).await?, None);
    let found = story.store.find_client(story.client).await?;
    assert_eq!(found.map(|(_, hash)| hash).as_deref(), Some("new"));
    let stranger = ClientId::new(minute(3), story.entropy());
    assert!(
        !story
            .store
            .rotate_client_secret(stranger, "new".to_owned())
            .await?
    );
    Ok(())
}

async fn save_token(story: &Story, expires: i64) -> StoreResult<[u8; 32]> {
    let (hash, expires_at) = (story.hash(), minute(expires));
    let token = StoredToken {
        hash,
        client_id: story.client,
        expires_at,
    };
    story.store.save_token(token, minute(0)).await?;
    Ok(hash)
}
