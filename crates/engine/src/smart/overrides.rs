//! Smart overrides: "charge now", whatever a plan or a schedule wants.

use livewatt_domain::{
    action::{ChargingKind, Owner, Refusal, Target},
    device::Device,
    id::ClientId,
    kind::DeviceKind,
    smart::SmartOverride,
};
use livewatt_store::StoreError;

use crate::{
    Engine, EngineError, EngineResult,
    actions::{MOST_TRIES, is_overtaken, require_control},
};

/// An override with its device.
#[derive(Debug, Clone, PartialEq)]
pub struct OverrideOf {
    /// A vehicle or a charger.
    pub device: Device,
    /// The override.
    pub smart_override: SmartOverride,
}

impl Engine {
    /// Charges a vehicle, or at a charger, at once, until charging stops or the override is ended; one
    /// that is active goes on.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], [`EngineError::ScopeMissing`],
    /// [`EngineError::ActionRefused`] or [`EngineError::Precondition`] if it cannot charge, or if the
    /// database fails.
    pub async fn begin_override(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<OverrideOf> {
        for _ in 0..MOST_TRIES {
            let device = self.get_device(client, kind, id).await?;
            require_control(&device)?;
            match self.try_to_override(device).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn try_to_override(&self, device: Device) -> EngineResult<OverrideOf> {
        let mut draft = self.begin_smart(device).await?.ok_or_else(unlinked)?;
        let device = draft.device.clone();
        let active = draft.smart.smart_override.filter(SmartOverride::is_active);
        if let Some(smart_override) = active {
            return Ok(OverrideOf {
                device,
                smart_override,
            });
        }
        let start = Target::Charging(ChargingKind::Start);
        let action = match self.act_for(&mut draft, start, Owner::Override) {
            Ok(action) => Some(action),
            // Then it only goes on.
            Err(Refusal::AlreadyCharging) => None,
            Err(refusal) => return Err(refusal.into()),
        };
        let now = self.now();
        let about = (device.kind(), device.id);
        let smart_override = draft.smart.begin_override(about, action, now);
        let account = draft.account.id;
        self.settle_smart(draft).await?;
        self.see_to(account, device.id);
        Ok(OverrideOf {
            device,
            smart_override,
        })
    }

    /// Ends the active override of a device: plan or schedule drive it again.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], [`EngineError::ScopeMissing`],
    /// [`EngineError::NoOverride`] if none is active, or if the database fails.
    pub async fn end_override(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<OverrideOf> {
        for _ in 0..MOST_TRIES {
            let device = self.get_device(client, kind, id).await?;
            require_control(&device)?;
            match self.try_to_end_override(device).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn try_to_end_override(&self, device: Device) -> EngineResult<OverrideOf> {
        let mut draft = self.begin_smart(device).await?.ok_or_else(unlinked)?;
        let device = draft.device.clone();
        let ended = draft.smart.end_override(self.now());
        let smart_override = ended.map_err(|_| EngineError::NoOverride)?;
        draft.withdraw(smart_override.vendor_action_id);
        let account = draft.account.id;
        self.settle_smart(draft).await?;
        self.see_to(account, device.id);
        Ok(OverrideOf {
            device,
            smart_override,
        })
    }
}

pub(super) fn unlinked() -> EngineError {
    EngineError::Precondition {
        detail: "The user must link the device again first.".to_owned(),
    }
}
