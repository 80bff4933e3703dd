//! Smart charging: vehicles charge when it is cheap, and overrides charge them at once.
//!
//! The rules are `livewatt_domain::smart`.

use livewatt_domain::{device::Device, smart::Smart};
use livewatt_store::{DeviceChange, SmartChange, UnitOfWork};

use crate::{Engine, EngineResult};

impl Engine {
    /// Adds to a unit of work that a vehicle is no longer charged smartly, if it is: something else
    /// comes to drive it. Once that is committed, the device is to be seen to ([`Engine::see_to`]):
    /// its plan ends, and what that stopped is started.
    pub(crate) async fn disable_smart(
        &self,
        unit: &mut UnitOfWork,
        device: &Device,
    ) -> EngineResult<()> {
        let Some(stored) = self.store.find_smart(device.id).await? else {
            return Ok(());
        };
        if !stored.smart.policy.is_enabled {
            return Ok(());
        }
        let mut smart = stored.smart.clone();
        smart.policy.is_enabled = false;
        self.show_policy(unit, device, &smart);
        unit.smart
            .push(SmartChange::new(device, Some(&stored), smart));
        Ok(())
    }

    /// Adds to a unit of work that a vehicle shows its policy, with its event.
    fn show_policy(&self, unit: &mut UnitOfWork, device: &Device, smart: &Smart) {
        let shown = smart.policy.shown_by(device);
        if shown.updated_fields.is_empty() {
            return;
        }
        let maker = self.event_maker(self.now());
        let event = maker.updated(&shown.device, &shown.updated_fields);
        unit.events.push(event);
        unit.devices.push(DeviceChange::Update {
            device: shown.device,
            from_version: device.version,
        });
    }
}
