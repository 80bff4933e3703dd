//! What drives a device by itself, so that callers must not.

use livewatt_domain::{action::Controller, device::Device};

use crate::{Engine, EngineResult};

impl Engine {
    /// What drives a device at present, if anything does: a plan that is being executed.
    pub(crate) async fn controller_of(&self, device: &Device) -> EngineResult<Option<Controller>> {
        let smart = self.store.find_smart(device.id).await?;
        let is_planned = smart.is_some_and(|stored| stored.smart.is_in_control());
        Ok(is_planned.then_some(Controller::Plan))
    }
}
