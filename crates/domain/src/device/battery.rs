//! The home battery: its JSON and its fields.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Capability, NewDevice, PositionedLocation};
use crate::{
    fact::keys,
    id::{DeviceId, HemSystemId, UserId},
    scope::Scope,
    vendor::VendorName,
};

/// What a battery does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BatteryStatus {
    /// Taking energy.
    Charging,
    /// Giving energy.
    Discharging,
    /// Neither.
    Idle,
    /// Malfunction.
    Fault,
    /// The vendor says something we cannot place.
    Unknown,
}

/// What a battery is set to aim for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperationMode {
    /// Prefer charging.
    ImportFocus,
    /// Prefer discharging.
    ExportFocus,
    /// Follow the rate plan for lowest cost.
    TimeOfUse,
    /// Run the home from solar and battery first.
    SelfReliance,
    /// Neither charge nor discharge.
    Idle,
    /// The vendor says something we cannot place.
    Unknown,
}

/// A home battery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Battery {
    /// Device ID; survives relinking.
    pub id: DeviceId,
    /// Owner.
    pub user_id: UserId,
    /// Vendor.
    pub vendor: VendorName,
    /// Last contact with the vendor; the linking time until then.
    #[serde(serialize_with = "crate::time::serialize")]
    pub last_seen: Timestamp,
    /// Whether live data can be had now.
    pub is_reachable: bool,
    /// Level and power.
    pub charge_state: BatteryChargeState,
    /// What it is set to.
    pub config: BatteryConfig,
    /// Static description.
    pub information: BatteryInformation,
    /// What it can do.
    pub capabilities: BatteryCapabilities,
    /// Granted scopes of batteries.
    pub scopes: Vec<Scope>,
    /// Position of the site.
    pub location: PositionedLocation,
    /// Home energy system it belongs to.
    pub hem_system_id: Option<HemSystemId>,
}

/// Static description of a battery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatteryInformation {
    /// The vendor's ID.
    pub id: String,
    /// Brand as people spell it.
    pub brand: String,
    /// Model.
    pub model: String,
    /// Name of the site.
    pub site_name: String,
    /// When it was installed; the linking time if the vendor does not tell.
    #[serde(serialize_with = "crate::time::serialize")]
    pub installation_date: Timestamp,
}

/// Level and power of a battery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatteryChargeState {
    /// What it does.
    pub status: Option<BatteryStatus>,
    /// Capacity, kWh.
    pub battery_capacity: Option<f64>,
    /// State of charge, %.
    pub battery_level: Option<f64>,
    /// Power, kW; positive when charging, negative when discharging.
    pub charge_rate: Option<f64>,
    /// Reserve, %: not discharged below it.
    pub discharge_limit: Option<f64>,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What a battery is set to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatteryConfig {
    /// Aim.
    pub operation_mode: Option<OperationMode>,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// Which aims a battery can be given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatteryCapabilities {
    /// `EXPORT_FOCUS`.
    pub export_focus: Capability,
    /// `IMPORT_FOCUS`.
    pub import_focus: Capability,
    /// `TIME_OF_USE`.
    pub time_of_use: Capability,
    /// `SELF_RELIANCE`.
    pub self_reliance: Capability,
    /// `IDLE`.
    pub idle: Capability,
}

keys! { Battery:
    /// Brand as people spell it.
    BRAND: String = "information.brand";
    /// Model.
    MODEL: String = "information.model";
    /// Name of the site.
    SITE_NAME: String = "information.siteName";
    /// When it was installed.
    INSTALLATION_DATE: Timestamp = "information.installationDate";
    /// What it does.
    STATUS: BatteryStatus = "chargeState.status";
    /// Capacity, kWh.
    BATTERY_CAPACITY: f64 = "chargeState.batteryCapacity", 0.0..=100_000.0;
    /// State of charge, %.
    BATTERY_LEVEL: f64 = "chargeState.batteryLevel", 0.0..=100.0;
    /// Power, kW; positive when charging.
    CHARGE_RATE: f64 = "chargeState.chargeRate", -100_000.0..=100_000.0;
    /// Reserve, %.
    DISCHARGE_LIMIT: f64 = "chargeState.dischargeLimit", 0.0..=100.0;
    /// Aim.
    OPERATION_MODE: OperationMode = "config.operationMode";
    /// Degrees east.
    LONGITUDE: f64 = "location.longitude", -180.0..=180.0;
    /// Degrees north.
    LATITUDE: f64 = "location.latitude", -90.0..=90.0;
    /// Can be told to export.
    EXPORT_FOCUS: Capability = "capabilities.exportFocus";
    /// Can be told to import.
    IMPORT_FOCUS: Capability = "capabilities.importFocus";
    /// Can follow a rate plan.
    TIME_OF_USE: Capability = "capabilities.timeOfUse";
    /// Can be told to serve the home first.
    SELF_RELIANCE: Capability = "capabilities.selfReliance";
    /// Can be told to rest.
    IDLE: Capability = "capabilities.idle";
}

impl Battery {
    /// A battery of which only its identity is known.
    pub fn initial(new: &NewDevice) -> Self {
        Self {
            id: new.id,
            user_id: new.user_id.clone(),
            vendor: new.vendor.clone(),
            last_seen: new.found_at,
            is_reachable: true,
            charge_state: BatteryChargeState::default(),
            config: BatteryConfig::default(),
            information: BatteryInformation {
                id: new.vendor_device.id.clone(),
                brand: new.brand.clone(),
                model: "Battery".to_owned(),
                site_name: new.made_up_site_name(),
                installation_date: new.found_at,
            },
            capabilities: BatteryCapabilities::default(),
            scopes: new.scopes_of_kind(),
            location: PositionedLocation::default(),
            hem_system_id: None,
        }
    }
}
