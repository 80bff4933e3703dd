//! What drives a device by itself, so that callers must not.

use livewatt_domain::{action::Controller, device::Device, schedule::ScheduleState};

use crate::{Engine, EngineResult};

impl Engine {
    /// What drives a device now; `None` if callers may.
    pub(crate) async fn controller_of(&self, device: &Device) -> EngineResult<Option<Controller>> {
        // A schedule that acts elsewhere alone, or is overridden, drives nothing.
        let stored = self.store.schedules_of_device(device.id).await?;
        let drives = stored.iter().any(|stored| {
            let state = stored
                .execution
                .status
                .as_ref()
                .map(|status| status.state());
            let is_idle = matches!(state, Some(ScheduleState::Away | ScheduleState::Overridden));
            stored.schedule.is_enabled && !is_idle
        });
        Ok(drives.then_some(Controller::Schedule))
    }
}
