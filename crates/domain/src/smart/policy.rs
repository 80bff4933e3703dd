//! Whether and how a vehicle may charge smartly.

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::{
    device::{
        Device,
        vehicle::{self, VehicleSmartChargingPolicy},
    },
    merge::{Merged, settled},
    plan::Style,
    tariff::ClockTime,
};

/// Whether and how a vehicle may charge smartly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// It may.
    pub is_enabled: bool,
    /// The time of day by which it must be full.
    pub deadline: Option<ClockTime>,
    /// Up to this level it charges at once, %.
    pub minimum_charge_limit: f64,
    /// How often its plans may stop and start.
    #[serde(default)]
    pub style: Style,
}

/// A change of a policy; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PolicyChange {
    /// Whether it may charge smartly.
    pub is_enabled: Option<bool>,
    /// The deadline; `Some(None)` clears it, and disables.
    pub deadline: Option<Option<ClockTime>>,
    /// Up to this level it charges at once, %.
    pub minimum_charge_limit: Option<f64>,
    /// How often its plans may stop and start.
    pub style: Option<Style>,
}

/// What enabling depends on.
#[derive(Debug, Clone, Copy)]
pub struct PolicySituation<'a> {
    /// The vehicle.
    pub device: &'a Device,
    /// Below this its vendor does not let it be stopped, %.
    pub floor: Option<f64>,
    /// There are prices where the user lives.
    pub has_prices: bool,
    /// Another user has it enabled for the same vehicle.
    pub is_taken: bool,
}

/// Why a policy cannot be so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyRefusal {
    /// No level.
    #[error("must be 0 to 100")]
    Minimum,
    /// The vehicle cannot be controlled as it takes.
    #[error("the vehicle is not capable of that ({capability})")]
    NotCapable {
        /// The ability that is missing, as the wire names it.
        capability: &'static str,
        /// What the user can do about it.
        intervention_ids: Vec<Uuid>,
    },
    /// Without a deadline nothing can be planned.
    #[error("is required to enable smart charging")]
    NoDeadline,
    /// It would never be reached.
    #[error("must not be above the vehicle's charge limit, {limit} %")]
    AboveLimit {
        /// The limit.
        limit: f64,
    },
    /// It would not be obeyed.
    #[error("must be at least {floor} % for this vendor")]
    BelowFloor {
        /// The lowest that is.
        floor: f64,
    },
    /// Nothing to go by.
    #[error("there is no price area or tariff for the user")]
    NoPrices,
    /// One vehicle, two masters.
    #[error("Another user already has smart charging enabled for this vehicle")]
    Taken,
}

impl PolicyRefusal {
    /// The field that is to blame, as the wire names it.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Minimum | Self::AboveLimit { .. } | Self::BelowFloor { .. } => {
                "minimumChargeLimit"
            }
            Self::NoDeadline => "deadline",
            Self::NotCapable { .. } | Self::NoPrices | Self::Taken => "isEnabled",
        }
    }
}

impl Policy {
    /// The policy after a change.
    ///
    /// # Errors
    /// If it cannot be so. What must be so for a vehicle to be enabled is asked when a change enables
    /// it; what its levels must be, whenever it is enabled.
    pub fn change(
        self,
        change: PolicyChange,
        situation: &PolicySituation<'_>,
    ) -> Result<Self, PolicyRefusal> {
        let is_cleared = change.deadline == Some(None);
        let changed = Self {
            is_enabled: change.is_enabled.unwrap_or(self.is_enabled && !is_cleared),
            deadline: change.deadline.unwrap_or(self.deadline),
            minimum_charge_limit: change
                .minimum_charge_limit
                .unwrap_or(self.minimum_charge_limit),
            style: change.style.unwrap_or(self.style),
        };
        if !(0.0..=100.0).contains(&changed.minimum_charge_limit) {
            return Err(PolicyRefusal::Minimum);
        }
        if !changed.is_enabled {
            return Ok(changed);
        }
        if changed.deadline.is_none() {
            return Err(PolicyRefusal::NoDeadline);
        }
        if change.is_enabled == Some(true) {
            situation.check()?;
        }
        let limit = situation.device.document.get(vehicle::CHARGE_LIMIT);
        let limit = limit.unwrap_or(100.0);
        if changed.minimum_charge_limit > limit {
            return Err(PolicyRefusal::AboveLimit { limit });
        }
        match situation.floor {
            Some(floor) if changed.minimum_charge_limit < floor => {
                Err(PolicyRefusal::BelowFloor { floor })
            }
            _ => Ok(changed),
        }
    }
}

impl PolicySituation<'_> {
    fn check(&self) -> Result<(), PolicyRefusal> {
        for key in [
            vehicle::SMART_CHARGING,
            vehicle::STOP_CHARGING,
            vehicle::START_CHARGING,
        ] {
            let capability = self.device.document.get(key).unwrap_or_default();
            if !capability.is_capable {
                return Err(PolicyRefusal::NotCapable {
                    capability: key.field().path(),
                    intervention_ids: capability.intervention_ids,
                });
            }
        }
        if self.is_taken {
            return Err(PolicyRefusal::Taken);
        }
        if !self.has_prices {
            return Err(PolicyRefusal::NoPrices);
        }
        Ok(())
    }
}

impl Policy {
    /// The vehicle with this policy in its JSON, and with the version that makes it.
    pub fn shown_by(self, device: &Device) -> Merged {
        let mut document = device.document.clone();
        let policy = json!(VehicleSmartChargingPolicy::from(self));
        document.set_path("smartChargingPolicy", policy);
        settled(device, document)
    }
}

impl From<Policy> for VehicleSmartChargingPolicy {
    fn from(policy: Policy) -> Self {
        Self {
            is_enabled: policy.is_enabled,
            deadline: policy.deadline.map(String::from),
            minimum_charge_limit: policy.minimum_charge_limit,
        }
    }
}
