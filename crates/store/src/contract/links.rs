//! Users and link sessions.

use std::sync::Arc;

use livewatt_domain::{id::AccountId, link::LinkState};

use super::{Story, minute, user_id};
use crate::{Store, StoreError, StoreResult, User};

/// The first session of a user makes the user, later ones change nothing about it.
pub async fn a_session_makes_its_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    assert_eq!(
        story.store.find_user(story.client, user_id("bob")).await?,
        None
    );
    let (session, token_hash) = story.add_user(story.client, "bob", 3).await?;
    story.add_user(story.client, "bob", 9).await?;
    let bob = User {
        id: user_id("bob"),
        created_at: minute(3),
    };
    assert_eq!(
        story.store.find_user(story.client, bob.id.clone()).await?,
        Some(bob)
    );
    assert_eq!(
        story.store.find_link_session(token_hash).await?,
        Some(session)
    );
    assert_eq!(story.store.find_link_session(story.hash()).await?, None);
    Ok(())
}

/// A session remembers how far it came, and nothing more once it is done.
pub async fn progress_is_kept_until_done(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (mut session, token_hash) = story.add_user(story.client, "bob", 3).await?;
    session.progress.consented = true;
    session.progress.sign_in = Some("sealed".to_owned());
    session.state = LinkState::Waiting {
        account: story.account.id,
    };
    story.store.save_link_progress(session.clone()).await?;
    assert_eq!(
        story.store.find_link_session(token_hash).await?,
        Some(session.clone())
    );

    session.state = LinkState::Done {
        account: story.account.id,
    };
    story.store.save_link_progress(session.clone()).await?;
    let mut late = session.clone();
    late.state = LinkState::Open;
    let refused = story.store.save_link_progress(late).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(
        story.store.find_link_session(token_hash).await?,
        Some(session)
    );
    Ok(())
}

/// The newest session that waits for an account's device is found, until it waits no more.
pub async fn who_waits_for_a_device_is_found(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let account = story.account.id;
    let mut waiting = Vec::new();
    for at in [2, 5, 3] {
        let (mut session, _) = story.add_user(story.client, "ada", at).await?;
        assert_eq!(session.state, LinkState::Open);
        session.state = LinkState::Waiting { account };
        story.store.save_link_progress(session.clone()).await?;
        waiting.push(session);
    }
    assert_eq!(
        story.store.waiting_link_session(account).await?.as_ref(),
        Some(&waiting[1])
    );
    let mut unit = story.unit();
    unit.link_session = Some((waiting[1].id, LinkState::Done { account }));
    story.store.commit(unit).await?;
    assert_eq!(
        story.store.waiting_link_session(account).await?.as_ref(),
        Some(&waiting[2])
    );
    let stranger = AccountId::new(minute(1), story.entropy());
    assert_eq!(story.store.waiting_link_session(stranger).await?, None);
    Ok(())
}

/// A session links once: the second unit that would finish it is not there at all.
pub async fn a_unit_finishes_a_session_once(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (session, token_hash) = story.add_user(story.client, "ada", 3).await?;
    let done = LinkState::Done {
        account: story.account.id,
    };
    let mut unit = story.unit();
    unit.link_session = Some((session.id, done.clone()));
    story.store.commit(unit.clone()).await?;
    let found = story.store.find_link_session(token_hash).await?;
    assert_eq!(found.map(|session| session.state), Some(done));

    unit.events.push(story.event(minute(4)));
    let refused = story.store.commit(unit).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert!(
        story
            .events(story.client, Default::default())
            .await?
            .events
            .is_empty()
    );
    Ok(())
}
