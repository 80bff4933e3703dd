//! Accounts and what hangs on them.

use std::sync::Arc;

use livewatt_domain::{
    account::{Account, AccountSchedule, AccountStatus},
    id::AccountId,
};

use super::{Story, minute, user_id};
use crate::{
    AccountChange, AccountsOf, CredentialsChange, DeviceChange, SealedCredentials, Store,
    StoreError, StoreResult, UnitOfWork,
};

/// By ID, by client, by user, by the vendor's name of it; the oldest first; with the schedule.
pub async fn are_found_in_every_way(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    story.add_user(story.client, "bob", 1).await?;
    let second = another_account(&story, "bob", 5);
    let schedule = AccountSchedule::new(Some(minute(9)));
    let mut unit = story.unit();
    unit.fence = Some(story.fences.of(second.id.partition()));
    unit.accounts.push(AccountChange::Save {
        account: second.clone(),
        from_credentials: None,
        credentials: CredentialsChange::Keep,
        schedule: Some(schedule.clone()),
    });
    story.store.commit(unit).await?;

    let first = (story.account.clone(), AccountSchedule::new(None));
    let second = (second, schedule);
    let list = |of| story.store.list_accounts(of);
    assert_eq!(
        list(AccountsOf::Everyone).await?,
        [first.clone(), second.clone()]
    );
    assert_eq!(
        list(AccountsOf::Client(story.client)).await?,
        [first.clone(), second.clone()]
    );
    let of_bob = AccountsOf::User(story.client, user_id("bob"));
    assert_eq!(list(of_bob).await?, std::slice::from_ref(&second));
    assert_eq!(
        story.store.find_account(second.0.id).await?,
        Some(second.clone())
    );
    let stranger = AccountId::new(minute(7), story.entropy());
    assert_eq!(story.store.find_account(stranger).await?, None);

    let same = story
        .store
        .find_accounts_of_vendor(
            second.0.integration.clone(),
            second.0.vendor_account_id.clone(),
        )
        .await?;
    assert_eq!(same, [second.0]);

    let mut changed = story.account.clone();
    changed.status = AccountStatus::Invalidated;
    changed.listed_at = Some(minute(6));
    story.save_account(&changed).await?;
    let found = story.store.find_account(changed.id).await?;
    assert_eq!(found.map(|(account, _)| account), Some(changed));
    Ok(())
}

/// They are replaced under the account's version, kept, and erased.
pub async fn credentials_follow_their_account(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut account = story.account.clone();
    let change = async |account: &Account, change| {
        let mut unit = story.unit();
        unit.accounts.push(story.saving(account, change).await?);
        story.store.commit(unit).await?;
        story.store.credentials(account.id).await
    };
    assert_eq!(change(&account, CredentialsChange::Keep).await?, None);
    account.credentials_version = 4;
    let stored = change(&account, CredentialsChange::Replace(vec![1, 2])).await?;
    let expected = Some(SealedCredentials {
        sealed: vec![1, 2],
        version: 4,
    });
    assert_eq!(stored, expected);
    assert_eq!(change(&account, CredentialsChange::Keep).await?, expected);
    assert_eq!(change(&account, CredentialsChange::Erase).await?, None);
    Ok(())
}

/// An account of a user who was deleted meanwhile does not come back.
pub async fn need_their_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    assert!(
        story
            .store
            .delete_user(story.client, user_id("ada"))
            .await?
    );
    let refused = story.save_account(&story.account).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    Ok(())
}

/// Whoever read an account before its credentials were replaced does not undo that, whichever node
/// it is on; nor does one that is gone come back.
pub async fn are_replaced_only_as_they_were_read(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut account = story.account.clone();
    let stale = story.saving(&account, CredentialsChange::Erase).await?;
    account.credentials_version += 1;
    let linked_anew = story
        .saving(&account, CredentialsChange::Replace(vec![7]))
        .await?;
    let commit = async |change: &AccountChange| {
        let mut unit = UnitOfWork::new(None);
        unit.accounts.push(change.clone());
        story.store.commit(unit).await
    };
    commit(&linked_anew).await?;
    let refused = commit(&stale).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let kept = story.store.credentials(account.id).await?;
    assert_eq!(kept.map(|kept| kept.sealed), Some(vec![7]));

    let held = story.saving(&account, CredentialsChange::Keep).await?;
    commit(&AccountChange::Delete(account.id)).await?;
    let refused = commit(&held).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(story.store.find_account(account.id).await?, None);
    Ok(())
}

/// A deleted account takes along the devices that the unit does not name itself.
pub async fn take_their_devices_along(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let named = story.discover(1).await?;
    let unnamed = story.discover(2).await?;
    let mut unit = story.unit();
    unit.accounts.push(AccountChange::Delete(story.account.id));
    unit.devices.push(DeviceChange::Delete {
        id: named.id,
        from_version: named.version,
        at: minute(60),
    });
    story.store.commit(unit).await?;
    assert_eq!(story.store.find_account(story.account.id).await?, None);
    assert_eq!(story.store.find_device(story.client, named.id).await?, None);
    assert_eq!(
        story.store.find_device(story.client, unnamed.id).await?,
        None
    );
    Ok(())
}

fn another_account(story: &Story, user: &str, at: i64) -> Account {
    Account {
        id: AccountId::new(minute(at), story.entropy()),
        user_id: user_id(user),
        vendor_account_id: format!("{user}@acme.example"),
        created_at: minute(at),
        ..story.account.clone()
    }
}
