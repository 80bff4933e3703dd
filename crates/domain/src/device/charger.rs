//! The charger: its JSON and its fields.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Capability, NewDevice};
use crate::{
    fact::keys,
    id::{DeviceId, UserId},
    scope::Scope,
    vendor::VendorName,
};

/// How power flows from a charger. Unlike a vehicle's, it cannot know that the car is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ChargerPowerDeliveryState {
    /// Not known.
    #[serde(rename = "UNKNOWN")]
    Unknown,
    /// No car connected.
    #[serde(rename = "UNPLUGGED")]
    Unplugged,
    /// About to charge.
    #[serde(rename = "PLUGGED_IN:INITIALIZING")]
    Initializing,
    /// Delivering power.
    #[serde(rename = "PLUGGED_IN:CHARGING")]
    Charging,
    /// Stopped; a start command can resume.
    #[serde(rename = "PLUGGED_IN:STOPPED")]
    Stopped,
    /// Ready, but the car takes no power.
    #[serde(rename = "PLUGGED_IN:NO_POWER")]
    NoPower,
    /// Malfunction.
    #[serde(rename = "PLUGGED_IN:FAULT")]
    Fault,
    /// Taking power from the car.
    #[serde(rename = "PLUGGED_IN:DISCHARGING")]
    Discharging,
}

/// A charger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Charger {
    /// Device ID; survives relinking.
    pub id: DeviceId,
    /// Owner.
    pub user_id: UserId,
    /// Vendor.
    pub vendor: VendorName,
    /// Last contact with the charger; the linking time until then.
    #[serde(serialize_with = "crate::time::serialize")]
    pub last_seen: Timestamp,
    /// Whether live data can be had now.
    pub is_reachable: bool,
    /// Charging.
    pub charge_state: ChargerChargeState,
    /// What the charger can do.
    pub capabilities: ChargerCapabilities,
    /// Granted scopes of chargers.
    pub scopes: Vec<Scope>,
    /// Static description.
    pub information: ChargerInformation,
    /// Where the customer says it is.
    pub location: ChargerLocation,
}

/// Static description of a charger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargerInformation {
    /// Brand as people spell it.
    pub brand: String,
    /// Model.
    pub model: String,
    /// Year of make.
    pub year: Option<f64>,
    /// Serial number, or the vendor's ID where none is told.
    pub serial_number: String,
}

/// Charging of a charger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargerChargeState {
    /// A car is connected.
    pub is_plugged_in: Option<bool>,
    /// Delivering power.
    pub is_charging: Option<bool>,
    /// Power, kW; only while charging.
    pub charge_rate: Option<f64>,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
    /// Wanted maximum current, A.
    pub max_current: Option<f64>,
    /// How power flows.
    pub power_delivery_state: ChargerPowerDeliveryState,
    /// Vehicle of the same user known to be plugged in.
    pub plugged_in_vehicle_id: Option<String>,
}

/// What a charger can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargerCapabilities {
    /// Tells its description.
    pub information: Capability,
    /// Tells its charge state.
    pub charge_state: Capability,
    /// Starts charging on command.
    pub start_charging: Capability,
    /// Stops charging on command.
    pub stop_charging: Capability,
    /// Takes a current limit.
    pub set_max_current: Capability,
}

/// Where the customer says a charger is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargerLocation {
    /// The Location.
    pub id: Option<Uuid>,
    /// When it was set.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

keys! { Charger:
    /// Brand as people spell it.
    BRAND: String = "information.brand";
    /// Model.
    MODEL: String = "information.model";
    /// Year of make.
    YEAR: f64 = "information.year", 1900.0..=2200.0;
    /// Serial number.
    SERIAL_NUMBER: String = "information.serialNumber";
    /// Power, kW.
    CHARGE_RATE: f64 = "chargeState.chargeRate", 0.0..=2_000.0;
    /// Wanted maximum current, A.
    MAX_CURRENT: f64 = "chargeState.maxCurrent", 0.0..=3_000.0;
    /// How power flows; `isPluggedIn` and `isCharging` follow from it.
    POWER_DELIVERY_STATE: ChargerPowerDeliveryState = "chargeState.powerDeliveryState";
    /// Starts charging on command.
    START_CHARGING: Capability = "capabilities.startCharging";
    /// Stops charging on command.
    STOP_CHARGING: Capability = "capabilities.stopCharging";
    /// Takes a current limit.
    SET_MAX_CURRENT: Capability = "capabilities.setMaxCurrent";
}

impl Charger {
    /// A charger of which only its identity is known.
    pub fn initial(new: &NewDevice) -> Self {
        Self {
            id: new.id,
            user_id: new.user_id.clone(),
            vendor: new.vendor.clone(),
            last_seen: new.found_at,
            is_reachable: true,
            charge_state: ChargerChargeState {
                is_plugged_in: None,
                is_charging: None,
                charge_rate: None,
                last_updated: None,
                max_current: None,
                power_delivery_state: ChargerPowerDeliveryState::Unknown,
                plugged_in_vehicle_id: None,
            },
            capabilities: ChargerCapabilities {
                information: Capability::of(true),
                charge_state: Capability::of(true),
                ..ChargerCapabilities::default()
            },
            scopes: new.scopes_of_kind(),
            information: ChargerInformation {
                brand: new.brand.clone(),
                model: "Charger".to_owned(),
                year: None,
                serial_number: new.vendor_device.id.clone(),
            },
            location: ChargerLocation::default(),
        }
    }
}
