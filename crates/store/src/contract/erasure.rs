//! What is deleted is gone, and nothing else.

use std::sync::Arc;

use livewatt_domain::{id::ClientId, webhook::Position};

use super::{Story, day, minute, user_id};
use crate::{AccountsOf, CredentialsChange, PageRequest, Store, StoreResult, StoredToken};

/// Everything of a user goes, the bodies of events in all slices included; other users stay.
pub async fn of_a_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let (_, token_hash) = story.add_user(story.client, "ada", 1).await?;
    story.add_user(story.client, "bob", 1).await?;
    let mut unit = story.unit();
    unit.accounts.push(
        story
            .saving(&story.account, CredentialsChange::Replace(vec![1]))
            .await?,
    );
    unit.events.push(story.event(day(3)));
    unit.events
        .push(story.event_of(story.client, "bob", day(3)));
    story.store.commit(unit).await?;
    let last = story.store.last_position(story.client).await?;

    assert!(
        story
            .store
            .delete_user(story.client, user_id("ada"))
            .await?
    );

    assert_eq!(
        story.store.find_user(story.client, user_id("ada")).await?,
        None
    );
    assert_eq!(story.store.find_account(story.account.id).await?, None);
    assert_eq!(story.store.credentials(story.account.id).await?, None);
    assert_eq!(
        story.store.find_device(story.client, device.id).await?,
        None
    );
    assert_eq!(story.store.find_link_session(token_hash).await?, None);
    let page = story.events(story.client, Position(0)).await?;
    let users: Vec<_> = page
        .events
        .into_iter()
        .map(|logged| logged.event.user_id)
        .collect();
    assert_eq!(users, [user_id("bob")]);
    assert_eq!(page.read_until, last, "the log does not go back");
    assert!(
        story
            .store
            .find_user(story.client, user_id("bob"))
            .await?
            .is_some()
    );
    assert!(
        !story
            .store
            .delete_user(story.client, user_id("ada"))
            .await?
    );
    Ok(())
}

/// Everything inside a client goes; other clients stay, and users of the same name in them.
pub async fn of_a_client(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let other = ClientId::new(minute(1), story.entropy());
    story.add_client(other, 1).await?;
    story.add_user(other, "ada", 1).await?;
    let device = story.discover(1).await?;
    let webhook = story.webhook(1);
    story
        .store
        .create_webhook(webhook.clone(), Position(0))
        .await?;
    let token = StoredToken {
        hash: story.hash(),
        client_id: story.client,
        expires_at: minute(60),
    };
    story.store.save_token(token.clone(), minute(0)).await?;
    let theirs = story.event_of(other, "ada", minute(2));
    story.log(vec![theirs.clone()]).await?;

    assert!(story.store.delete_client(story.client).await?);

    assert_eq!(story.store.find_client(story.client).await?, None);
    assert_eq!(story.store.find_token(token.hash, minute(1)).await?, None);
    assert_eq!(
        story.store.find_user(story.client, user_id("ada")).await?,
        None
    );
    assert_eq!(story.store.list_accounts(AccountsOf::Everyone).await?, []);
    assert_eq!(
        story.store.find_device(story.client, device.id).await?,
        None
    );
    assert_eq!(story.store.active_webhooks().await?, []);
    assert_eq!(story.store.lanes(webhook.id).await?, []);
    assert!(
        story
            .events(story.client, Position(0))
            .await?
            .events
            .is_empty()
    );
    assert_eq!(
        story.events(other, Position(0)).await?.events[0].event,
        theirs
    );
    let page = PageRequest {
        from: Default::default(),
        size: 5,
    };
    assert_eq!(story.store.list_users(other, page).await?.items.len(), 1);
    assert!(!story.store.delete_client(story.client).await?);
    Ok(())
}
