//! Smart charging: vehicles charge when it is cheap, and overrides charge them at once.
//!
//! The rules are `livewatt_domain::smart`, a state machine that is stored for each device it is about.
//! Whatever happens to a device is settled (`settle`): the machine takes a step, and what it wants is
//! made an action, in one transaction. The owner of the account's partition does so (`drive`) when
//! something of the device changes, an action ends, prices come, or the time has come that the machine
//! asked for; a caller who changes a policy or an override does so at any node.
//!
//! What must stay true:
//! - A command of a plan is an action, made in the transaction in which the plan comes to want it.
//!   Whoever goes on after a crash, or at another node, finds both or neither.
//! - Each change of a status has its event in the same transaction.

mod drive;
mod inputs;
mod overrides;
mod policy;
mod settle;

use livewatt_domain::{
    device::Device,
    id::{ClientId, PlanId},
    kind::DeviceKind,
    plan::{Plan, PriceSpan, plan},
    smart::{PlanRecord, Smart, SmartChargingStatus},
};
use livewatt_store::{DeviceChange, SmartChange, StoredSmart, UnitOfWork};

pub use self::overrides::OverrideOf;
use crate::{Engine, EngineError, EngineResult};

/// The word that names the newest plan of a vehicle.
const LATEST: &str = "latest";

/// A plan with its vehicle.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOf {
    /// The vehicle.
    pub device: Device,
    /// The plan.
    pub record: PlanRecord,
}

impl Engine {
    /// How the smart charging of a vehicle stands.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], or if the database fails.
    pub async fn smart_status(
        &self,
        client: ClientId,
        id: &str,
    ) -> EngineResult<SmartChargingStatus> {
        let device = self.get_device(client, DeviceKind::Vehicle, id).await?;
        let stored = self.store.find_smart(device.id).await?;
        Ok(as_it_is(&device, stored.as_ref()).document(&device))
    }

    /// A plan of a vehicle, by its ID or the newest by the word `latest`.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], [`EngineError::PlanNotFound`], or if the database fails.
    pub async fn smart_plan(
        &self,
        client: ClientId,
        vehicle: &str,
        id: &str,
    ) -> EngineResult<PlanOf> {
        let device = self
            .get_device(client, DeviceKind::Vehicle, vehicle)
            .await?;
        let unknown = || EngineError::PlanNotFound(id.to_owned());
        let wanted = match id {
            LATEST => None,
            id => Some(id.parse::<PlanId>().map_err(|_| unknown())?),
        };
        let record = self.store.smart_plan(device.id, wanted).await?;
        let record = record.ok_or_else(unknown)?;
        Ok(PlanOf { device, record })
    }

    /// What would have been planned by other prices: in order, without overlaps.
    ///
    /// # Errors
    /// As [`Engine::smart_plan`].
    pub async fn plan_anew(
        &self,
        client: ClientId,
        vehicle: &str,
        id: &str,
        prices: Vec<PriceSpan>,
    ) -> EngineResult<Plan> {
        let record = self.smart_plan(client, vehicle, id).await?.record;
        let currency = record.inputs.currency;
        Ok(plan(&record.inputs.with_prices(currency, prices)))
    }

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

/// The smart charging of a device; disabled since it was found, if nothing else is stored.
fn as_it_is(device: &Device, stored: Option<&StoredSmart>) -> Smart {
    stored.map_or_else(
        || Smart::new(device.linked_at),
        |stored| stored.smart.clone(),
    )
}
