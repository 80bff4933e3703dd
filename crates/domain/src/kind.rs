//! The six kinds of device, as data: every loop, handler and query takes a kind as an argument.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind of device (`vendorType` and `assetType` on the wire).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// An electric vehicle.
    Vehicle,
    /// A charger (wall box) for electric vehicles.
    Charger,
    /// A heating, ventilation or air-conditioning unit, or its thermostat.
    Hvac,
    /// A solar inverter.
    Inverter,
    /// A home battery.
    Battery,
    /// A grid meter.
    Meter,
}

/// The text is not the name of a device kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown device type; expected vehicle, charger, hvac, inverter, battery or meter")]
pub struct UnknownKind;

impl DeviceKind {
    /// All kinds, in the contract's order.
    pub const ALL: [Self; 6] = [
        Self::Vehicle,
        Self::Charger,
        Self::Hvac,
        Self::Inverter,
        Self::Battery,
        Self::Meter,
    ];

    /// The singular name: the key of the device in an event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicle",
            Self::Charger => "charger",
            Self::Hvac => "hvac",
            Self::Inverter => "inverter",
            Self::Battery => "battery",
            Self::Meter => "meter",
        }
    }

    /// The plural name: the first segment of the paths of this kind.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicles",
            Self::Charger => "chargers",
            Self::Hvac => "hvacs",
            Self::Inverter => "inverters",
            Self::Battery => "batteries",
            Self::Meter => "meters",
        }
    }

    /// The kind whose paths begin with `plural`.
    pub fn from_plural(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }

    /// Whether reachability asks for the device itself to be online, not only its vendor's cloud.
    pub const fn is_online_itself(self) -> bool {
        matches!(self, Self::Charger | Self::Hvac)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DeviceKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or(UnknownKind)
    }
}
