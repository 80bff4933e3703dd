//! What drives a device by itself, so that callers must not.

use livewatt_domain::{action::Controller, device::Device, schedule::ScheduleState};

use crate::{Engine, EngineResult};

impl Engine {
    /// What drives a device at present, if anything does: a plan that is being executed, or an enabled
    /// schedule.
    pub(crate) async fn controller_of(&self, device: &Device) -> EngineResult<Option<Controller>> {
        let smart = self.store.find_smart(device.id).await?;
        let is_planned = smart.is_some_and(|stored| stored.smart.is_in_control());
        if is_planned {
            return Ok(Some(Controller::Plan));
        }
        // A schedule that acts elsewhere alone, or is overridden, drives nothing.
        let stored = self.store.schedules_of_device(device.id).await?;
        let drives = stored.iter().any(|stored| {
            let status = stored.execution.status.as_ref();
            let state = status.map(|status| status.state());
            let is_idle = matches!(state, Some(ScheduleState::Away | ScheduleState::Overridden));
            stored.schedule.is_enabled && !is_idle
        });
        Ok(drives.then_some(Controller::Schedule))
    }
}
