//! Values of smart charging.

use livewatt_domain::{
    device::{Device, vehicle},
    id::{AccountId, ClientId, DeviceId},
    smart::{PlanRecord, Smart},
};

/// The smart charging of a device as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSmart {
    /// The device.
    pub device_id: DeviceId,
    /// Whose device it is.
    pub client_id: ClientId,
    /// The account that it is part of, whose owner sees to it.
    pub account_id: AccountId,
    /// How it stands, with its newest plan.
    pub smart: Smart,
    /// Rises with each change, from 1.
    pub revision: u64,
}

/// The smart charging of a device becomes something else.
#[derive(Debug, Clone, PartialEq)]
pub struct SmartChange {
    /// The device.
    pub device_id: DeviceId,
    /// Whose device it is.
    pub client_id: ClientId,
    /// The account that it is part of.
    pub account_id: AccountId,
    /// What it becomes. Its plan, if it has one, stays readable when a newer one takes its place.
    pub smart: Smart,
    /// Which vehicle that is, whoever linked it, while it is charged smartly. Fails with
    /// [`StoreError::Duplicate`](crate::StoreError::Duplicate) if it is claimed by another device of
    /// the client.
    pub claim: Option<String>,
    /// The revision it was read at; `None` if nothing was stored yet.
    pub from_revision: Option<u64>,
    /// Whether the plan is another than the one that was read, or has changed.
    pub is_plan_changed: bool,
}

impl SmartChange {
    /// The change of what was read into what it is to be.
    pub fn new(device: &Device, before: Option<&StoredSmart>, smart: Smart) -> Self {
        let plan = before.and_then(|before| before.smart.plan.as_ref());
        Self {
            device_id: device.id,
            client_id: device.client_id,
            account_id: device.account_id,
            claim: smart.policy.is_enabled.then(|| claim_of(device)),
            from_revision: before.map(|before| before.revision),
            is_plan_changed: smart.plan.is_some() && plan != smart.plan.as_ref(),
            smart,
        }
    }

    /// The plan, if it is to be written.
    pub(crate) fn plan(&self) -> Option<&PlanRecord> {
        self.smart.plan.as_ref().filter(|_| self.is_plan_changed)
    }

    /// What is stored of the device itself: the plan has its own row.
    pub(crate) fn row(&self) -> Smart {
        Smart {
            plan: None,
            ..self.smart.clone()
        }
    }
}

/// The name of a vehicle that is the same whoever linked it: its VIN, or what its vendor calls it.
pub fn claim_of(device: &Device) -> String {
    let vin = device.document.get(vehicle::VIN);
    let vin = vin.filter(|vin: &String| !vin.is_empty());
    vin.unwrap_or_else(|| format!("{} {}", device.vendor, device.vendor_device.id))
}
