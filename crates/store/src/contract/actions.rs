//! Actions.

use std::sync::Arc;

use jiff::Timestamp;
use livewatt_domain::{
    account::Account,
    action::{Action, ActionState, ChargingKind, Owner, Sends, Target, Withdrawn},
    device::Device,
    id::{AccountId, ActionId, ClientId},
    kind::DeviceKind,
    partition::Partitions,
};

use super::{Story, day, minute, user_id};
use crate::{
    ActionChange, CredentialsChange, PendingOf, Store, StoreError, StoreResult, StoredAction,
};

impl Story {
    /// A start of a vehicle, made at a minute, that is not stored yet.
    pub fn action(&self, device: &Device, at: i64) -> Action {
        Action {
            id: ActionId::new(minute(at), self.entropy()),
            client_id: device.client_id,
            user_id: device.user_id.clone(),
            device_id: device.id,
            device_kind: DeviceKind::Vehicle,
            target: Target::Charging(ChargingKind::Start),
            owner: Owner::Caller,
            created_at: minute(at),
            updated_at: minute(at),
            completed_at: None,
            state: ActionState::Pending,
            failure_reason: None,
            closes_at: minute(at + 30),
            sends: Sends::default(),
        }
    }

    /// Stores changes of actions of the account.
    pub async fn act(&self, changes: Vec<ActionChange>) -> StoreResult<()> {
        let mut unit = self.unit();
        unit.actions = changes;
        self.store.commit(unit).await.map(drop)
    }

    /// The change that stores a new action of the account.
    pub fn making(&self, action: &Action) -> ActionChange {
        ActionChange::Insert {
            action: action.clone(),
            account_id: self.account.id,
        }
    }

    async fn found(&self, action: &Action) -> StoreResult<Option<StoredAction>> {
        self.store.find_action(self.client, action.id).await
    }

    async fn pending(&self, of: PendingOf) -> StoreResult<Vec<ActionId>> {
        let pending = self.store.pending_actions(of).await?;
        Ok(pending.iter().map(|stored| stored.action.id).collect())
    }
}

fn becoming(stored: &StoredAction, action: Action) -> ActionChange {
    ActionChange::Update {
        action,
        account_id: stored.account_id,
        from_revision: stored.revision,
    }
}

fn cancelled(action: &Action, at: Timestamp) -> Action {
    let mut action = action.clone();
    let done = action.cancel(Withdrawn::ByOwner, at);
    assert_eq!(done, Ok(()));
    action
}

/// An action comes back as it was, is found by what it is pending for, and changes from the revision
/// that was read alone.
pub async fn are_found_and_change_as_they_were_read(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (first, second) = (story.discover(1).await?, story.discover(2).await?);
    let (one, two) = (story.action(&first, 3), story.action(&second, 4));
    let both = vec![story.making(&one), story.making(&two)];
    story.act(both).await?;
    let stored = story.found(&one).await?;
    let expected = StoredAction {
        action: one.clone(),
        account_id: story.account.id,
        revision: 1,
    };
    assert_eq!(stored.as_ref(), Some(&expected));
    let other = ClientId::new(minute(1), story.entropy());
    assert_eq!(story.store.find_action(other, one.id).await?, None);

    let partition = story.account.id.partition();
    let own: Partitions = [partition].into_iter().collect();
    for (of, expected) in [
        (PendingOf::Device(first.id), vec![one.id]),
        (PendingOf::Account(story.account.id), vec![one.id, two.id]),
        (PendingOf::Partitions(own), vec![one.id, two.id]),
        (PendingOf::Partitions(Partitions::ALL), vec![one.id, two.id]),
        (PendingOf::Partitions(Partitions::NONE), vec![]),
    ] {
        assert_eq!(story.pending(of).await?, expected, "{of:?}");
    }

    let mut sending = one.clone();
    assert!(sending.sending(minute(3)));
    story
        .act(vec![becoming(&expected, sending.clone())])
        .await?;
    let stored = story.found(&one).await?.expect("it is there");
    assert_eq!((stored.revision, &stored.action), (2, &sending));
    let late = story.act(vec![becoming(&expected, one.clone())]).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert_eq!(story.found(&one).await?, Some(stored.clone()));

    let ended = cancelled(&sending, minute(5));
    story.act(vec![becoming(&stored, ended.clone())]).await?;
    assert_eq!(story.pending(PendingOf::Device(first.id)).await?, []);
    assert_eq!(
        story.found(&one).await?.map(|found| found.action),
        Some(ended)
    );
    Ok(())
}

/// A device has one pending action; in one unit, another takes its place.
pub async fn are_pending_one_a_device(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let (one, two) = (story.action(&device, 2), story.action(&device, 3));
    story.act(vec![story.making(&one)]).await?;
    let refused = story.act(vec![story.making(&two)]).await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    assert_eq!(story.found(&two).await?, None);
    let stored = story.found(&one).await?.expect("it is there");
    let ending = becoming(&stored, cancelled(&one, minute(3)));
    story.act(vec![story.making(&two), ending]).await?;
    let of_device = PendingOf::Device(device.id);
    assert_eq!(story.pending(of_device).await?, [two.id]);
    let newest = story.store.newest_action(device.id).await?;
    assert_eq!(newest.as_ref().map(|newest| newest.action.id), Some(two.id));
    let newest = newest.expect("it is there");
    let ending = becoming(&newest, cancelled(&two, minute(4)));
    story.act(vec![ending]).await?;
    assert_eq!(story.pending(of_device).await?, []);
    let newest = story.store.newest_action(device.id).await?;
    assert_eq!(newest.map(|newest| newest.action.id), Some(two.id));
    let other = story.discover(5).await?;
    assert_eq!(story.store.newest_action(other.id).await?, None);
    Ok(())
}

/// What an action is, and what is told of it, are there together or not at all.
pub async fn are_there_with_their_events_or_not(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let action = story.action(&device, 2);
    let before = story.store.last_position(story.client).await?;
    let mut unit = story.unit();
    unit.actions = vec![story.making(&action), story.making(&action)];
    unit.events.push(story.event(minute(2)));
    let refused = story.store.commit(unit).await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    assert_eq!(story.found(&action).await?, None);
    assert_eq!(story.store.last_position(story.client).await?, before);

    // Any node may write one that was read; the fence of the owner is not needed for that.
    let mut unit = story.unit();
    unit.fence = None;
    unit.actions.push(story.making(&action));
    unit.events.push(story.event(minute(2)));
    let position = story.store.commit(unit).await?;
    assert!(position > Some(before));
    assert!(story.found(&action).await?.is_some());
    Ok(())
}

/// An action can be another account's from a change on, if its device is.
pub async fn follow_their_device(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let action = story.action(&device, 2);
    story.act(vec![story.making(&action)]).await?;
    let other = Account {
        id: AccountId::new(minute(2), story.entropy()),
        vendor_account_id: "other".to_owned(),
        ..story.account.clone()
    };
    let mut unit = story.unit();
    unit.fence = None;
    unit.accounts
        .push(story.saving(&other, CredentialsChange::Keep).await?);
    unit.actions.push(ActionChange::Update {
        action: action.clone(),
        account_id: other.id,
        from_revision: 1,
    });
    story.store.commit(unit).await?;
    let of_first = PendingOf::Account(story.account.id);
    assert_eq!(story.pending(of_first).await?, []);
    assert_eq!(
        story.pending(PendingOf::Account(other.id)).await?,
        [action.id]
    );
    Ok(())
}

/// Actions outlive their device, but neither their user nor their time.
pub async fn go_with_their_user_and_with_time(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let (old, young) = (story.action(&device, 2), story.action(&device, 3));
    let ended = |action: &Action, at| ActionChange::Insert {
        action: cancelled(action, at),
        account_id: story.account.id,
    };
    let pending = story.action(&device, 4);
    let changes = vec![
        ended(&old, minute(2)),
        ended(&young, day(2)),
        story.making(&pending),
    ];
    story.act(changes).await?;
    story.store.prune(day(1), day(3)).await?;
    assert_eq!(story.found(&old).await?, None);
    assert!(story.found(&young).await?.is_some());
    assert!(story.found(&pending).await?.is_some(), "it is not over");

    let mut unit = story.unit();
    unit.devices.push(crate::DeviceChange::Delete {
        id: device.id,
        from_version: 1,
        at: minute(60),
    });
    story.store.commit(unit).await?;
    assert!(story.found(&young).await?.is_some());
    assert!(
        story
            .store
            .delete_user(story.client, user_id("ada"))
            .await?
    );
    for action in [&young, &pending] {
        assert_eq!(story.found(action).await?, None);
    }
    let orphan = story.act(vec![story.making(&pending)]).await;
    assert!(matches!(orphan, Err(StoreError::Conflict)), "{orphan:?}");
    Ok(())
}
