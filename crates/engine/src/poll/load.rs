//! From the store into memory: at start, and whenever an account was linked or changed.

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Account, AccountSchedule, AccountStatus, Trigger},
    device::Device,
    id::AccountId,
    retry::scaled,
};
use livewatt_store::AccountsOf;
use livewatt_vendors::vendor::SharedVendor;

use crate::{
    Engine, EngineResult,
    fleet::{AccountSlot, DeviceSlot},
};

/// Fetches that fell due while nothing ran are spread over this long, so that a restart does not
/// fall upon the vendors.
const RESTART_SPREAD: SignedDuration = SignedDuration::from_secs(60);

impl Engine {
    /// Loads all accounts with their due times.
    pub(crate) async fn load_fleet(&self) -> EngineResult<()> {
        let accounts = self.store.list_accounts(AccountsOf::Everyone).await?;
        let count = accounts.len();
        for (account, schedule) in accounts {
            self.load_account(account, schedule).await?;
        }
        tracing::info!(accounts = count, "accounts loaded");
        Ok(())
    }

    /// Loads one account anew.
    pub(crate) async fn reload_account(&self, id: AccountId) -> EngineResult<()> {
        match self.store.find_account(id).await? {
            Some((account, schedule)) => self.load_account(account, schedule).await,
            None => {
                self.fleet.remove(id);
                Ok(())
            }
        }
    }

    async fn load_account(&self, account: Account, schedule: AccountSchedule) -> EngineResult<()> {
        let vendor = self.vendors.get(&account.integration);
        let Some(vendor) = vendor.filter(|_| account.status == AccountStatus::Active) else {
            self.fleet.remove(account.id);
            return Ok(());
        };
        let manifest = vendor.manifest();
        let now = self.now();
        let due_at = self.spread(schedule.due_at.unwrap_or(now), now);
        let devices = self.devices_of(account.id).await?;
        let devices = devices
            .iter()
            .map(|device| self.new_slot(device, vendor, due_at));
        let slot = AccountSlot {
            integration: manifest.id,
            shape: manifest.reads,
            devices: devices.collect(),
            due_at: Some(due_at),
            trigger: Trigger::Schedule,
            is_running: false,
            failures: schedule.failures,
            not_before: schedule.not_before,
            attempts: schedule.attempts,
            listed_at: account.listed_at,
            wants_listing: false,
            pushed_at: None,
            arrived_at: None,
        };
        self.fleet.put(account.id, slot);
        self.poll_wake.notify_one();
        Ok(())
    }

    fn new_slot(&self, device: &Device, vendor: &SharedVendor, due_at: Timestamp) -> DeviceSlot {
        let cadence = self.cadence(device, vendor, None);
        DeviceSlot {
            id: device.id,
            vendor_device: device.vendor_device.clone(),
            activity: super::schedule::activity(device),
            interval: cadence.interval,
            reason: cadence.reason,
            due_at: Some(due_at),
            fingerprint: None,
            confirmed_at: None,
            hinted_at: None,
        }
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
