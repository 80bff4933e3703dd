//! Seeing to devices that are charged smartly, or overridden: a step that looks which are due.
//!
//! A step may be repeated or cut off at any point: it writes all or nothing.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use livewatt_domain::{
    SignedDuration, Timestamp,
    device::Device,
    id::{AccountId, DeviceId},
    partition::Partitions,
    smart::{Smart, SmartState, Wish},
};

use crate::{
    Engine, EngineResult,
    actions::{Again, MOST_TRIES, PAUSE, STEP_PARALLELISM, is_overtaken},
    cluster::Letter,
    error::chain,
};

/// A vehicle that waits for prices, or could begin a plan, is looked at this often even if nothing is
/// heard of it.
const LOOK_EVERY: SignedDuration = SignedDuration::from_mins(15);
/// Any other one, this often.
const LOOK_SELDOM: SignedDuration = SignedDuration::from_hours(6);

impl Engine {
    /// Sees to every device that is due now, and waits for all of them; returns how many. The running
    /// server does the same without waiting ([`crate::runtime`]).
    pub async fn charge_due(self: &Arc<Self>) -> usize {
        let due = self.take_due_charges();
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(STEP_PARALLELISM, |(account, device)| async move {
                self.run_charge(account, device).await;
            })
            .await;
        count
    }

    /// The devices that are due; none while the leases are in doubt.
    pub(crate) fn take_due_charges(&self) -> Vec<(AccountId, DeviceId)> {
        if !self.ownership.is_valid() {
            return Vec::new();
        }
        let due = self.smart.take_due(self.now()).into_iter();
        due.map(|(account, device, _)| (account, device)).collect()
    }

    /// When the next device is to be seen to.
    pub fn next_charge_at(&self) -> Option<Timestamp> {
        self.smart.next_due()
    }

    /// Sees to a device that was taken, and says when it is due again, whatever happens.
    pub(crate) async fn run_charge(&self, account: AccountId, device: DeviceId) {
        let at = match self.drive_smart(account, device).await {
            Ok(at) => at,
            Err(error) => {
                tracing::warn!(device.id = %device, error = %chain(&error), "smart charging is seen to a little later");
                Some(self.now().saturating_add(PAUSE).unwrap_or(self.now()))
            }
        };
        let again = at.map(|at| Again { at, look_at: None });
        self.smart.finish(account, device, again, self.now());
    }

    /// Takes the smart charging of a device one step on; `None` if there is nothing to see to.
    async fn drive_smart(
        &self,
        account: AccountId,
        device: DeviceId,
    ) -> EngineResult<Option<Timestamp>> {
        for _ in 0..MOST_TRIES {
            match self.drive_smart_once(account, device).await {
                Err(error) if is_overtaken(&error) && self.owns(account) => {}
                done => return done,
            }
        }
        Ok(Some(self.now()))
    }

    async fn drive_smart_once(
        &self,
        account: AccountId,
        id: DeviceId,
    ) -> EngineResult<Option<Timestamp>> {
        let Some(stored) = self.store.find_smart(id).await? else {
            return Ok(None);
        };
        if !stored.smart.is_busy() {
            return Ok(None);
        }
        let found = self.store.find_device(stored.client_id, id).await?;
        let Some(device) = found.map(|device| self.presence.overlay(device)) else {
            return Ok(None);
        };
        if device.account_id != account {
            self.follow_smart(&device).await?;
            return Ok(None);
        }
        let Some(draft) = self.begin_smart(device).await? else {
            return Ok(self.smart_after(LOOK_EVERY));
        };
        let (smart, wish) = self.settle_smart(draft).await?;
        Ok(self.next_look_at(&smart, &wish))
    }

    /// A device is part of another account since, whose owner goes on.
    async fn follow_smart(&self, device: &Device) -> EngineResult<()> {
        let (account, device) = (device.account_id, device.id);
        match self.membership.is_none() || self.owns(account) {
            true => self.see_to(account, device),
            false => {
                let letter = Letter::Acted { account, device };
                self.leave_letter(&letter).await?;
            }
        }
        Ok(())
    }

    fn next_look_at(&self, smart: &Smart, wish: &Wish) -> Option<Timestamp> {
        if !smart.is_busy() {
            return None;
        }
        let is_waiting = match smart.state {
            SmartState::Unknown | SmartState::AwaitingPrices | SmartState::EndedByDisabling => true,
            SmartState::Considering => smart.consideration.is_charging,
            _ => false,
        };
        let latest = self.smart_after(if is_waiting { LOOK_EVERY } else { LOOK_SELDOM });
        [wish.look_again_at, latest].into_iter().flatten().min()
    }

    fn smart_after(&self, span: SignedDuration) -> Option<Timestamp> {
        self.now().saturating_add(span).ok()
    }

    /// Takes over the smart charging of partitions.
    pub(crate) async fn load_smart(&self, of: &Partitions) -> EngineResult<()> {
        self.smart.arrive(of);
        for (account, device) in self.store.active_smart(*of).await? {
            self.smart.tell(account, device, self.now());
        }
        Ok(())
    }

    /// Prices have changed: whatever waits for them is seen to. Other nodes find out by themselves before
    /// long.
    pub(crate) fn prices_changed(&self) {
        self.smart.remind_all(self.now());
    }
}
