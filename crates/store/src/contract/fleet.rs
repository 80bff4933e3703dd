//! What a starting server reads.

use std::sync::Arc;

use livewatt_domain::{
    account::{AccountSchedule, AccountStatus},
    id::AccountId,
    partition::Partitions,
};

use super::{Story, minute};
use crate::{
    CredentialsChange, FleetAccount, FleetDevice, PresenceFlush, SealedCredentials, Store,
    StoreResult,
};

/// Page by page, each once, in the order of their IDs; accounts that are not active are left out.
pub async fn is_read_page_by_page(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut accounts = vec![story.account.clone()];
    for number in 0..4 {
        let mut account = story.account.clone();
        account.id = AccountId::new(minute(number), story.entropy());
        account.vendor_account_id = format!("{number}@acme.example");
        account.listed_at = Some(minute(number));
        if number == 2 {
            account.status = AccountStatus::Invalidated;
        }
        let mut unit = story.unit();
        unit.fence = Some(story.fences.of(account.id.partition()));
        unit.accounts
            .push(story.saving(&account, CredentialsChange::Keep).await?);
        story.store.commit(unit).await?;
        accounts.push(account);
    }
    let schedule = AccountSchedule {
        failures: 3,
        ..AccountSchedule::new(Some(minute(9)))
    };
    let flush = PresenceFlush {
        schedules: vec![(story.account.id, schedule.clone())],
        ..PresenceFlush::default()
    };
    story.store.flush_presence(flush).await?;
    accounts.retain(|account| account.status == AccountStatus::Active);
    accounts.sort_by_key(|account| account.id);
    let expected: Vec<FleetAccount> = accounts
        .iter()
        .map(|account| FleetAccount {
            id: account.id,
            client_id: account.client_id,
            integration: account.integration.clone(),
            listed_at: account.listed_at,
            schedule: (account.id == story.account.id).then(|| schedule.clone()),
        })
        .collect();
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|account: &FleetAccount| account.id);
        let page = (story.store)
            .fleet_accounts(Partitions::ALL, after, 3)
            .await?;
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, expected);
    Ok(())
}

/// Devices come with what moves quietly as it is now.
pub async fn shows_devices_as_they_are(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let first = story.discover(1).await?;
    let second = story.discover(2).await?;
    let (changed, change) = story.changed(&second);
    let mut unit = story.unit();
    unit.devices.push(change);
    story.store.commit(unit).await?;
    let flush = PresenceFlush {
        seen: vec![(first.id, minute(30))],
        ..PresenceFlush::default()
    };
    story.store.flush_presence(flush).await?;
    let row = |device: &livewatt_domain::device::Device, last_seen, fetched_at| FleetDevice {
        id: device.id,
        account_id: device.account_id,
        vendor_device: device.vendor_device.clone(),
        vendor: device.vendor.clone(),
        told: Some(device.stamps.told_blocks()),
        is_reachable: device.is_reachable(),
        last_seen,
        fetched_at,
        is_active: device.is_active(),
        is_asleep: false,
        missed_listings: 0,
    };
    let expected = [
        row(&first, minute(30), Some(minute(30))),
        row(&changed, changed.last_seen, None),
    ];
    assert_eq!(
        story.store.fleet_devices(Partitions::ALL, None, 10).await?,
        expected
    );
    let rest = story
        .store
        .fleet_devices(Partitions::ALL, Some(first.id), 10)
        .await?;
    assert_eq!(rest, expected[1..]);
    let whole = story.store.account_with_devices(story.account.id).await?;
    let first = livewatt_domain::device::Device {
        last_seen: minute(30),
        ..first
    };
    assert_eq!(whole, Some((story.account.clone(), vec![first, changed])));
    Ok(())
}

/// An account comes with its credentials, if it has any.
pub async fn an_account_to_fetch_brings_its_credentials(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (account, id) = (story.account.clone(), story.account.id);
    let found = story.store.account_to_fetch(id).await?;
    assert_eq!(found, Some((account.clone(), None)));
    let mut unit = story.unit();
    let change = CredentialsChange::Replace(vec![1, 2, 3]);
    unit.accounts.push(story.saving(&account, change).await?);
    story.store.commit(unit).await?;
    let sealed = SealedCredentials {
        sealed: vec![1, 2, 3],
        version: account.credentials_version,
    };
    let found = story.store.account_to_fetch(id).await?;
    assert_eq!(found, Some((account, Some(sealed))));
    let nobody = AccountId::new(minute(7), story.entropy());
    assert_eq!(story.store.account_to_fetch(nobody).await?, None);
    assert_eq!(story.store.account_with_devices(nobody).await?, None);
    Ok(())
}
