//! The vehicle: its JSON and its fields.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Capability, NewDevice, PositionedLocation};
use crate::{
    fact::keys,
    id::{DeviceId, UserId},
    scope::Scope,
    vendor::VendorName,
};

/// How power flows between a vehicle and what it is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum VehiclePowerDeliveryState {
    /// Not known.
    #[serde(rename = "UNKNOWN")]
    Unknown,
    /// No cable.
    #[serde(rename = "UNPLUGGED")]
    Unplugged,
    /// About to charge.
    #[serde(rename = "PLUGGED_IN:INITIALIZING")]
    Initializing,
    /// Receiving power.
    #[serde(rename = "PLUGGED_IN:CHARGING")]
    Charging,
    /// Paused on purpose; a start command can resume.
    #[serde(rename = "PLUGGED_IN:STOPPED")]
    Stopped,
    /// Reached its charge limit.
    #[serde(rename = "PLUGGED_IN:COMPLETE")]
    Complete,
    /// Wanted to charge but no power came.
    #[serde(rename = "PLUGGED_IN:NO_POWER")]
    NoPower,
    /// Malfunction.
    #[serde(rename = "PLUGGED_IN:FAULT")]
    Fault,
    /// Feeding home or grid.
    #[serde(rename = "PLUGGED_IN:DISCHARGING")]
    Discharging,
}

/// A vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vehicle {
    /// Device ID; survives relinking.
    pub id: DeviceId,
    /// Owner.
    pub user_id: UserId,
    /// Vendor.
    pub vendor: VendorName,
    /// Last successful contact; the linking time until then.
    #[serde(serialize_with = "crate::time::serialize")]
    pub last_seen: Timestamp,
    /// Whether live data can be had now.
    pub is_reachable: Option<bool>,
    /// Static description.
    pub information: VehicleInformation,
    /// Battery and charging.
    pub charge_state: VehicleChargeState,
    /// Whether and how smart charging may control the vehicle.
    pub smart_charging_policy: VehicleSmartChargingPolicy,
    /// Distance driven.
    pub odometer: VehicleOdometer,
    /// What the vehicle can do.
    pub capabilities: VehicleCapabilities,
    /// Granted scopes of vehicles.
    pub scopes: Vec<Scope>,
    /// Last known position.
    pub location: PositionedLocation,
}

/// Static description of a vehicle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VehicleInformation {
    /// Vehicle identification number.
    pub vin: Option<String>,
    /// Brand as people spell it.
    pub brand: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Model year.
    pub year: Option<f64>,
    /// Nickname given by the user.
    pub display_name: Option<String>,
}

/// Battery and charging of a vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VehicleChargeState {
    /// State of charge, %.
    pub battery_level: Option<f64>,
    /// Estimated remaining range, km.
    pub range: Option<f64>,
    /// Cable connected, charging or not.
    pub is_plugged_in: Option<bool>,
    /// Taking power now.
    pub is_charging: Option<bool>,
    /// Reached its limit; null while the power delivery state is unknown.
    pub is_fully_charged: Option<bool>,
    /// Usable capacity, kWh.
    pub battery_capacity: Option<f64>,
    /// Level at which charging ends, %; null reads as 100.
    pub charge_limit: Option<f64>,
    /// Charging power, kW; only while charging.
    pub charge_rate: Option<f64>,
    /// Minutes until the limit is reached; only while charging.
    pub charge_time_remaining: Option<f64>,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
    /// Highest current the vehicle may draw, A.
    pub max_current: Option<f64>,
    /// How power flows.
    pub power_delivery_state: VehiclePowerDeliveryState,
    /// Charger of the same user that it is known to be plugged into.
    pub plugged_in_charger_id: Option<String>,
}

/// Whether and how smart charging may control a vehicle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VehicleSmartChargingPolicy {
    /// Smart charging may control the vehicle.
    pub is_enabled: bool,
    /// Local time of day by which it must be full, `HH:mm`.
    pub deadline: Option<String>,
    /// Charge at once up to this level, %.
    pub minimum_charge_limit: f64,
}

/// Distance driven.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VehicleOdometer {
    /// Distance, km.
    pub distance: Option<f64>,
    /// When it last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What a vehicle can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VehicleCapabilities {
    /// Tells its description.
    pub information: Capability,
    /// Tells its charge state.
    pub charge_state: Capability,
    /// Tells its position.
    pub location: Capability,
    /// Tells its odometer.
    pub odometer: Capability,
    /// Takes a current limit.
    pub set_max_current: Capability,
    /// Starts charging on command.
    pub start_charging: Capability,
    /// Stops charging on command.
    pub stop_charging: Capability,
    /// Can be charged smartly.
    pub smart_charging: Capability,
}

keys! { Vehicle:
    /// Vehicle identification number.
    VIN: String = "information.vin";
    /// Brand as people spell it.
    BRAND: String = "information.brand";
    /// Model.
    MODEL: String = "information.model";
    /// Model year.
    YEAR: f64 = "information.year", 1900.0..=2200.0;
    /// Nickname given by the user.
    DISPLAY_NAME: String = "information.displayName";
    /// State of charge, %.
    BATTERY_LEVEL: f64 = "chargeState.batteryLevel", 0.0..=100.0;
    /// Estimated remaining range, km.
    RANGE: f64 = "chargeState.range", 0.0..=5_000.0;
    /// Usable capacity, kWh.
    BATTERY_CAPACITY: f64 = "chargeState.batteryCapacity", 0.0..=2_000.0;
    /// Level at which charging ends, %.
    CHARGE_LIMIT: f64 = "chargeState.chargeLimit", 0.0..=100.0;
    /// Charging power, kW.
    CHARGE_RATE: f64 = "chargeState.chargeRate", 0.0..=2_000.0;
    /// Minutes until the limit is reached.
    CHARGE_TIME_REMAINING: f64 = "chargeState.chargeTimeRemaining", 0.0..=100_000.0;
    /// Highest current it may draw, A.
    MAX_CURRENT: f64 = "chargeState.maxCurrent", 0.0..=3_000.0;
    /// How power flows; `isPluggedIn`, `isCharging` and `isFullyCharged` follow from it.
    POWER_DELIVERY_STATE: VehiclePowerDeliveryState = "chargeState.powerDeliveryState";
    /// Distance driven, km.
    ODOMETER: f64 = "odometer.distance", 0.0..=10_000_000.0;
    /// Degrees east.
    LONGITUDE: f64 = "location.longitude", -180.0..=180.0;
    /// Degrees north.
    LATITUDE: f64 = "location.latitude", -90.0..=90.0;
    /// Starts charging on command.
    START_CHARGING: Capability = "capabilities.startCharging";
    /// Stops charging on command.
    STOP_CHARGING: Capability = "capabilities.stopCharging";
    /// Takes a current limit.
    SET_MAX_CURRENT: Capability = "capabilities.setMaxCurrent";
    /// Can be charged smartly.
    SMART_CHARGING: Capability = "capabilities.smartCharging";
    /// Tells its position.
    LOCATION_CAPABILITY: Capability = "capabilities.location";
    /// Tells its odometer.
    ODOMETER_CAPABILITY: Capability = "capabilities.odometer";
}

impl Vehicle {
    /// A vehicle of which only its identity is known.
    pub fn initial(new: &NewDevice) -> Self {
        Self {
            id: new.id,
            user_id: new.user_id.clone(),
            vendor: new.vendor.clone(),
            last_seen: new.found_at,
            is_reachable: Some(true),
            information: VehicleInformation {
                brand: Some(new.brand.clone()),
                ..VehicleInformation::default()
            },
            charge_state: VehicleChargeState {
                battery_level: None,
                range: None,
                is_plugged_in: None,
                is_charging: None,
                is_fully_charged: None,
                battery_capacity: None,
                charge_limit: None,
                charge_rate: None,
                charge_time_remaining: None,
                last_updated: None,
                max_current: None,
                power_delivery_state: VehiclePowerDeliveryState::Unknown,
                plugged_in_charger_id: None,
            },
            smart_charging_policy: VehicleSmartChargingPolicy::default(),
            odometer: VehicleOdometer::default(),
            capabilities: VehicleCapabilities {
                information: Capability::of(true),
                charge_state: Capability::of(true),
                ..VehicleCapabilities::default()
            },
            scopes: new.scopes_of_kind(),
            location: PositionedLocation::default(),
        }
    }
}
