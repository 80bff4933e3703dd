//! Policies: whether and how a vehicle may charge smartly.

use livewatt_domain::{
    device::Device,
    id::ClientId,
    kind::DeviceKind,
    smart::{Policy, PolicyChange, PolicySituation},
};
use livewatt_store::{StoreError, claim_of};
use livewatt_vendors::catalogue;

use super::{as_it_is, overrides::unlinked};
use crate::{
    Engine, EngineError, EngineResult,
    actions::{MOST_TRIES, is_overtaken, require_control},
};

impl Engine {
    /// The policy of a vehicle.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], or if the database fails.
    pub async fn smart_policy(&self, client: ClientId, id: &str) -> EngineResult<Policy> {
        let device = self.get_device(client, DeviceKind::Vehicle, id).await?;
        let stored = self.store.find_smart(device.id).await?;
        Ok(as_it_is(&device, stored.as_ref()).policy)
    }

    /// Changes the policy of a vehicle; what is absent stays.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], [`EngineError::ScopeMissing`], [`EngineError::Invalid`] if
    /// it cannot be so, [`EngineError::Precondition`], or if the database fails.
    pub async fn change_smart_policy(
        &self,
        client: ClientId,
        id: &str,
        change: PolicyChange,
    ) -> EngineResult<Policy> {
        for _ in 0..MOST_TRIES {
            let device = self.get_device(client, DeviceKind::Vehicle, id).await?;
            require_control(&device)?;
            match self.try_to_change_policy(device, change).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn try_to_change_policy(
        &self,
        device: Device,
        change: PolicyChange,
    ) -> EngineResult<Policy> {
        let account = device.account_id;
        // The device is written too: not while what is observed of it is merged.
        let _guard = self.fleet.lock_for_commit(account).await;
        let mut draft = self.begin_smart(device).await?.ok_or_else(unlinked)?;
        let device = &draft.device;
        let claim = claim_of(device);
        let situation = PolicySituation {
            device,
            floor: catalogue::lowest_minimum(device.vendor.as_str()),
            has_prices: self.has_prices(device).await?,
            is_taken: self
                .store
                .is_claimed(device.client_id, claim, device.id)
                .await?,
        };
        let changed = draft.smart.policy.change(change, &situation);
        let changed = changed
            .map_err(|refusal| EngineError::invalid(refusal.field(), refusal.to_string()))?;
        let is_begun = changed.is_enabled && !draft.smart.policy.is_enabled;
        if is_begun {
            // One of the two drives a vehicle, the one that was enabled last.
            self.disable_schedules(&mut draft.unit, device).await?;
        }
        let device = device.id;
        draft.smart.policy = changed;
        self.settle_smart(draft).await?;
        match is_begun {
            true => self.look_after(account, device),
            false => self.see_to(account, device),
        }
        Ok(changed)
    }

    /// Whether a Location of a device's user has a tariff or an area of a market.
    async fn has_prices(&self, device: &Device) -> EngineResult<bool> {
        let (client, user) = (device.client_id, device.user_id.clone());
        for location in self.store.locations_of_user(client, user).await? {
            let known = self.store.location_prices(client, location.id).await?;
            let is_priced = known
                .is_some_and(|known| !known.hung.is_empty() || known.pricing.price_area.is_some());
            if is_priced {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
