//! How a vehicle is seen to stand.

use crate::{
    action::ActionState,
    device::{
        Device,
        charger::{self, ChargerPowerDeliveryState},
        vehicle::{self, VehiclePowerDeliveryState},
    },
    id::LocationId,
    kind::DeviceKind,
    schedule::Attempt,
};

/// How power flows to a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Not known, or about to become something else.
    Unclear,
    /// No cable.
    Unplugged,
    /// It charges.
    Charging,
    /// It is plugged in and does not charge.
    Idle,
    /// It is plugged in and full.
    Full,
}

/// All that a step goes by, but the time.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// How power flows.
    pub power: Power,
    /// Whether the level is at the limit, by its number.
    pub is_full: bool,
    /// The Location it is at: its own, or that of the charger it is plugged into.
    pub location_id: Option<LocationId>,
    /// It can be started, stopped and charged smartly.
    pub is_capable: bool,
    /// There are prices for the place.
    pub has_prices: bool,
    /// The newest action of the plan that is being executed.
    pub last: Option<Attempt>,
    /// How far the action of the active override came.
    pub override_action: Option<ActionState>,
}

impl Seen {
    /// What a vehicle shows, or a charger that an override drives.
    pub fn of(device: &Device, location_id: Option<LocationId>, has_prices: bool) -> Self {
        let document = &device.document;
        let power = power_of(device);
        let level = document.get(vehicle::BATTERY_LEVEL);
        let limit = document.get(vehicle::CHARGE_LIMIT).unwrap_or(100.0);
        let is_able = |key| {
            let capability = document.get(key);
            capability.is_some_and(|capability: crate::device::Capability| capability.is_capable)
        };
        Self {
            power,
            is_full: power == Power::Full || level.is_some_and(|level| level >= limit),
            location_id,
            is_capable: [
                vehicle::SMART_CHARGING,
                vehicle::START_CHARGING,
                vehicle::STOP_CHARGING,
            ]
            .into_iter()
            .all(is_able),
            has_prices,
            last: None,
            override_action: None,
        }
    }
}

fn power_of(device: &Device) -> Power {
    if device.kind() == DeviceKind::Charger {
        use ChargerPowerDeliveryState as State;
        return match device.document.get(charger::POWER_DELIVERY_STATE) {
            Some(State::Unplugged) => Power::Unplugged,
            Some(State::Charging) => Power::Charging,
            Some(State::Stopped | State::NoPower | State::Fault | State::Discharging) => {
                Power::Idle
            }
            Some(State::Unknown | State::Initializing) | None => Power::Unclear,
        };
    }
    use VehiclePowerDeliveryState as State;
    match device.document.get(vehicle::POWER_DELIVERY_STATE) {
        Some(State::Unplugged) => Power::Unplugged,
        Some(State::Charging) => Power::Charging,
        Some(State::Complete) => Power::Full,
        Some(State::Stopped | State::NoPower | State::Fault | State::Discharging) => Power::Idle,
        Some(State::Unknown | State::Initializing) | None => Power::Unclear,
    }
}
