//! The HVAC unit: its JSON and its fields.

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

/// What an HVAC unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HvacCategory {
    /// Direct heater.
    Heating,
    /// Direct cooler.
    Cooling,
    /// Air-to-air, both ways.
    HeatPump,
    /// Controls other systems, as a thermostat does.
    Aggregator,
}

/// What an HVAC unit is set to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HvacMode {
    /// Not known.
    Unknown,
    /// Nothing.
    Off,
    /// Heat or cool, to keep between the setpoints.
    Auto,
    /// Cool.
    Cool,
    /// Heat.
    Heat,
}

/// How long the setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HoldType {
    /// Until changed.
    Permanent,
    /// As the program stored at the vendor says.
    Scheduled,
}

/// Inclusive bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Range {
    /// Lowest.
    pub min: Option<f64>,
    /// Highest.
    pub max: Option<f64>,
}

/// An HVAC unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hvac {
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
    pub is_reachable: bool,
    /// Power taken, kW; 0 when inactive, null when not reported.
    pub consumption_rate: Option<f64>,
    /// Static description.
    pub information: HvacInformation,
    /// What it measures.
    pub temperature_state: TemperatureState,
    /// What it is set to.
    pub thermostat_state: ThermostatState,
    /// Granted scopes of HVACs.
    pub scopes: Vec<Scope>,
    /// What it can do.
    pub capabilities: HvacCapabilities,
    /// Where the customer says it is.
    pub location: HvacLocation,
}

/// Static description of an HVAC unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HvacInformation {
    /// Brand as people spell it.
    pub brand: String,
    /// Model.
    pub model: Option<String>,
    /// Name given by the user, else one made up.
    pub display_name: String,
    /// Room or zone.
    pub group_name: Option<String>,
    /// What it is.
    pub category: HvacCategory,
}

/// What an HVAC unit measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemperatureState {
    /// Air temperature, °C.
    pub current_temperature: Option<f64>,
    /// Heating or cooling now.
    pub is_active: bool,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What an HVAC unit is set to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThermostatState {
    /// Mode.
    pub mode: HvacMode,
    /// Heat when colder, °C.
    pub heat_setpoint: Option<f64>,
    /// Cool when warmer, °C.
    pub cool_setpoint: Option<f64>,
    /// How long the setting holds.
    pub hold_type: Option<HoldType>,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What an HVAC unit can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HvacCapabilities {
    /// Modes it accepts.
    pub capable_modes: Option<Vec<HvacMode>>,
    /// Bounds of the cool setpoint, °C.
    pub cool_setpoint_range: Option<Range>,
    /// Bounds of the heat setpoint, °C.
    pub heat_setpoint_range: Option<Range>,
    /// Allowed `coolSetpoint - heatSetpoint` in AUTO, °C.
    pub setpoint_difference_range: Option<Range>,
    /// Can be sent back to its own program.
    pub set_follow_schedule: Capability,
    /// Can be held at a setting.
    pub set_permanent_hold: Capability,
}

/// Where the customer says an HVAC unit is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HvacLocation {
    /// The Location.
    pub id: Option<Uuid>,
}

keys! { Hvac:
    /// Brand as people spell it.
    BRAND: String = "information.brand";
    /// Model.
    MODEL: String = "information.model";
    /// Name given by the user.
    DISPLAY_NAME: String = "information.displayName";
    /// Room or zone.
    GROUP_NAME: String = "information.groupName";
    /// What it is.
    CATEGORY: HvacCategory = "information.category";
    /// Power taken, kW.
    CONSUMPTION_RATE: f64 = "consumptionRate", 0.0..=1_000.0;
    /// Air temperature, °C.
    CURRENT_TEMPERATURE: f64 = "temperatureState.currentTemperature", -60.0..=100.0;
    /// Heating or cooling now.
    IS_ACTIVE: bool = "temperatureState.isActive";
    /// Mode.
    MODE: HvacMode = "thermostatState.mode";
    /// Heat when colder, °C.
    HEAT_SETPOINT: f64 = "thermostatState.heatSetpoint", -60.0..=100.0;
    /// Cool when warmer, °C.
    COOL_SETPOINT: f64 = "thermostatState.coolSetpoint", -60.0..=100.0;
    /// How long the setting holds.
    HOLD_TYPE: HoldType = "thermostatState.holdType";
    /// Modes it accepts.
    CAPABLE_MODES: Vec<HvacMode> = "capabilities.capableModes";
    /// Bounds of the cool setpoint, °C.
    COOL_SETPOINT_RANGE: Range = "capabilities.coolSetpointRange";
    /// Bounds of the heat setpoint, °C.
    HEAT_SETPOINT_RANGE: Range = "capabilities.heatSetpointRange";
    /// Allowed difference of the setpoints in AUTO, °C.
    SETPOINT_DIFFERENCE_RANGE: Range = "capabilities.setpointDifferenceRange";
    /// Can be sent back to its own program.
    SET_FOLLOW_SCHEDULE: Capability = "capabilities.setFollowSchedule";
    /// Can be held at a setting.
    SET_PERMANENT_HOLD: Capability = "capabilities.setPermanentHold";
}

impl Hvac {
    /// An HVAC unit of which only its identity is known.
    pub fn initial(new: &NewDevice) -> Self {
        Self {
            id: new.id,
            user_id: new.user_id.clone(),
            vendor: new.vendor.clone(),
            last_seen: new.found_at,
            is_reachable: true,
            consumption_rate: None,
            information: HvacInformation {
                brand: new.brand.clone(),
                model: None,
                display_name: format!("{} {}", new.brand, new.vendor_device.id),
                group_name: None,
                category: HvacCategory::Aggregator,
            },
            temperature_state: TemperatureState {
                current_temperature: None,
                is_active: false,
                last_updated: None,
            },
            thermostat_state: ThermostatState {
                mode: HvacMode::Unknown,
                heat_setpoint: None,
                cool_setpoint: None,
                hold_type: None,
                last_updated: None,
            },
            scopes: new.scopes_of_kind(),
            capabilities: HvacCapabilities::default(),
            location: HvacLocation::default(),
        }
    }
}
