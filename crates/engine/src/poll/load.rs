//! From the store into memory: at start, and whenever an account was linked or changed.

use std::collections::HashMap;

use futures::future::join;
use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Account, AccountSchedule, AccountStatus, Trigger},
    device::Device,
    id::{AccountId, DeviceId},
    partition::Partitions,
    retry::scaled,
};
use livewatt_store::{FleetAccount, FleetDevice, LostDevice};
use livewatt_vendors::ReadShape;

use super::schedule::{Household, activity_of};
use crate::{
    Engine, EngineResult,
    fleet::{AccountSlot, Attempts, DeviceSlot, Moment, SlotView},
    stations::CHECK_INTERVAL,
};

/// Fetches that fell due while nothing ran are spread over this long, so that a restart does not
/// fall upon the vendors.
const RESTART_SPREAD: SignedDuration = SignedDuration::from_secs(60);

/// Rows read from the store at a time. What is read is let go soon after, amid what is kept: larger
/// pages would leave larger holes.
const PAGE: u32 = 1_000;

impl Engine {
    /// Loads the accounts of partitions with their due times. Reads narrow rows only, and makes slots of them as
    /// they come, so that a million accounts take seconds and no more memory than they keep.
    pub(crate) async fn load_fleet(&self, of: &Partitions) -> EngineResult<()> {
        let ages = self.store.age_state(*of).await?;
        self.fleet.ages.restore(self.now(), of, ages);
        let mut slots = HashMap::new();
        // The next page is read while the last one is taken in.
        let mut page = self.store.fleet_accounts(*of, None, PAGE).await?;
        while let Some(last) = page.last() {
            let next = self.store.fleet_accounts(*of, Some(last.id), PAGE);
            let take_in = async {
                let known = page.into_iter().filter_map(|account| {
                    let id = account.id;
                    Some((id, Box::new(self.empty_slot(account)?)))
                });
                slots.extend(known);
            };
            page = join(next, take_in).await.0?;
        }
        let mut page = self.store.fleet_devices(*of, None, PAGE).await?;
        while let Some(last) = page.last() {
            let next = self.store.fleet_devices(*of, Some(last.id), PAGE);
            let take_in = async {
                for device in page {
                    if let Some(slot) = slots.get_mut(&device.account_id) {
                        self.add_device(slot, device);
                    }
                }
            };
            page = join(next, take_in).await.0?;
        }
        for (id, slot) in &mut slots {
            self.schedule_slot(*id, slot);
        }
        tracing::info!(accounts = slots.len(), "accounts loaded");
        self.fleet.fill(slots);
        for lost in self.store.lost_devices(*of).await? {
            let (id, client) = (lost.account_id, lost.client_id);
            let now = self.now();
            self.fleet.ages.park_stored(id, client, &[lost], now);
        }
        self.fleet.end_orphaned_breaches(self.now());
        self.fleet.arrive(of);
        self.poll_wake.notify_one();
        Ok(())
    }

    /// Loads one account anew.
    pub(crate) async fn reload_account(&self, id: AccountId) -> EngineResult<()> {
        if !self.owns(id) {
            // Its owner reads a letter about it.
            return Ok(());
        }
        let found = self.store.find_account(id).await?;
        let lost = found
            .as_ref()
            .filter(|(account, _)| account.status == AccountStatus::Invalidated)
            .map(|(account, _)| account.client_id);
        let slot = match found {
            Some((account, schedule)) if account.status == AccountStatus::Active => self
                .empty_slot(FleetAccount {
                    id,
                    client_id: account.client_id,
                    integration: account.integration,
                    listed_at: account.listed_at,
                    schedule: Some(schedule),
                }),
            _ => None,
        };
        let Some(mut slot) = slot else {
            self.fleet.remove(id, self.now());
            if let Some(client) = lost {
                let devices = self.devices_of(id).await?;
                let lost: Vec<_> = devices.iter().map(lost_device).collect();
                (self.fleet.ages).park_stored(id, client, &lost, self.now());
            }
            return Ok(());
        };
        for device in self.devices_of(id).await? {
            self.add_device(&mut slot, narrow(device));
        }
        self.schedule_slot(id, &mut slot);
        self.fleet.put(id, slot, self.now());
        self.poll_wake.notify_one();
        self.schedules.remind_account(id, self.now());
        Ok(())
    }

    /// What its owner knows of a device's schedule, as far as that is written down.
    pub(crate) async fn describe_stored(
        &self,
        account: &Account,
        schedule: AccountSchedule,
        device: DeviceId,
    ) -> EngineResult<SlotView> {
        let due_at = schedule.due_at;
        let slot = self.empty_slot(FleetAccount {
            id: account.id,
            client_id: account.client_id,
            integration: account.integration.clone(),
            listed_at: account.listed_at,
            schedule: Some(schedule),
        });
        let Some(mut slot) = slot else {
            return Ok(SlotView::default());
        };
        for device in self.devices_of(account.id).await? {
            self.add_device(&mut slot, narrow(device));
        }
        self.schedule_slot(account.id, &mut slot);
        slot.due_at = due_at.map(Into::into);
        Ok(slot.view(device))
    }

    /// A slot without its devices, due when it was written down; `None` if there is no such
    /// integration (any more).
    fn empty_slot(&self, account: FleetAccount) -> Option<AccountSlot> {
        let vendor = self.vendors.get(&account.integration)?;
        let manifest = vendor.manifest();
        let schedule = account.schedule.unwrap_or(AccountSchedule::new(None));
        Some(AccountSlot {
            client: account.client_id,
            partition: account.id.partition(),
            integration: manifest.id,
            shape: manifest.reads,
            devices: Vec::new(),
            due_at: schedule.due_at.map(Into::into),
            trigger: Trigger::Schedule,
            is_running: false,
            // A push may have wished for one, and was acknowledged: what is not stored of it is made
            // good by the first fetch, within the longest interval.
            wants_listing: vendor.push().is_some(),
            failures: schedule.failures,
            not_before: schedule.not_before.map(Into::into),
            attempts: schedule.attempts.into_iter().collect::<Attempts>(),
            listed_at: account.listed_at.map(Into::into),
            pushed_at: None,
            arrived_at: None,
            look_at: None,
        })
    }

    fn add_device(&self, slot: &mut AccountSlot, device: FleetDevice) {
        let kind = device.vendor_device.kind;
        let ages = (self.fleet.ages).load(&device, slot.shape == ReadShape::PushOnly);
        let new = slot.add_device(DeviceSlot::new(device.id, device.vendor_device));
        new.activity = activity_of(kind, device.is_asleep, device.is_active);
        new.confirmed_at = device.fetched_at.map(Into::into);
        new.ages = ages;
        // A device missing once is looked for again at the next visit.
        slot.wants_listing |= device.missed_listings > 0;
    }

    /// Sets how often the devices of a slot just loaded are fetched, and when it is due.
    fn schedule_slot(&self, id: AccountId, slot: &mut AccountSlot) {
        let now = self.now();
        if let Some(vendor) = self.vendors.get(slot.integration) {
            let household = Household::of(id, slot);
            for device in &mut slot.devices {
                let cadence = self.cadence(device.kind(), device.activity, household, vendor);
                device.set_cadence(cadence);
                device.set_deadlines();
                // One never fetched is late, so that it is spread like all that is.
                let due_at = device.confirmed_at.map(|at| at.plus(cadence.interval));
                device.due_at = due_at.or(Some(Moment::from(now).plus(-RESTART_SPREAD)));
            }
        }
        let due_at = match slot.earliest_device() {
            // Nobody can be asked; stations that dropped off with us are given time to return.
            _ if slot.shape == ReadShape::PushOnly => now.saturating_add(CHECK_INTERVAL).ok(),
            Some(earliest) if !slot.is_troubled() => Some(earliest.into()),
            _ => slot.due_at.map(Into::into),
        };
        slot.due_at = Some(self.spread(due_at.unwrap_or(now), now).into());
    }

    /// A due time in the past becomes one in the near future.
    fn spread(&self, due_at: Timestamp, now: Timestamp) -> Timestamp {
        if due_at >= now {
            return due_at;
        }
        // What fell due a moment ago was linked a moment ago: at once.
        let late = now.duration_since(due_at);
        let spread = RESTART_SPREAD.min(late);
        now.saturating_add(scaled(spread, self.entropy.unit()))
            .unwrap_or(now)
    }
}

fn lost_device(device: &Device) -> LostDevice {
    LostDevice {
        account_id: device.account_id,
        client_id: device.client_id,
        vendor: device.vendor.clone(),
        kind: device.kind(),
        told: device.stamps.told_blocks(),
    }
}

fn narrow(device: Device) -> FleetDevice {
    FleetDevice {
        id: device.id,
        account_id: device.account_id,
        is_active: device.is_active(),
        is_reachable: device.is_reachable(),
        told: Some(device.stamps.told_blocks()),
        vendor: device.vendor,
        vendor_device: device.vendor_device,
        last_seen: device.last_seen,
        fetched_at: None,
        is_asleep: device.is_asleep,
        missed_listings: device.missed_listings,
    }
}
