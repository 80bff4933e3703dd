//! The grid meter: its JSON and its fields.

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

/// A grid meter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Meter {
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
    /// Static description.
    pub information: MeterInformation,
    /// What it measures.
    pub energy_state: EnergyState,
    /// Position of the site.
    pub location: PositionedLocation,
    /// What it can do.
    pub capabilities: MeterCapabilities,
    /// Granted scopes of meters.
    pub scopes: Vec<Scope>,
    /// Home energy system it belongs to.
    pub hem_system_id: Option<HemSystemId>,
}

/// Static description of a meter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeterInformation {
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

/// What a meter measures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnergyState {
    /// Power, kW; positive is import from the grid, negative export.
    pub power: Option<f64>,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What a meter can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeterCapabilities {
    /// Measures import.
    pub measures_consumption: Capability,
    /// Measures export.
    pub measures_production: Capability,
}

keys! { Meter:
    /// Brand as people spell it.
    BRAND: String = "information.brand";
    /// Model.
    MODEL: String = "information.model";
    /// Name of the site.
    SITE_NAME: String = "information.siteName";
    /// When it was installed.
    INSTALLATION_DATE: Timestamp = "information.installationDate";
    /// Power, kW; positive is import.
    POWER: f64 = "energyState.power", -100_000.0..=100_000.0;
    /// Degrees east.
    LONGITUDE: f64 = "location.longitude", -180.0..=180.0;
    /// Degrees north.
    LATITUDE: f64 = "location.latitude", -90.0..=90.0;
    /// Measures import.
    MEASURES_CONSUMPTION: Capability = "capabilities.measuresConsumption";
    /// Measures export.
    MEASURES_PRODUCTION: Capability = "capabilities.measuresProduction";
}

impl Meter {
    /// A meter of which only its identity is known.
    pub fn initial(new: &NewDevice) -> Self {
        Self {
            id: new.id,
            user_id: new.user_id.clone(),
            vendor: new.vendor.clone(),
            last_seen: new.found_at,
            is_reachable: true,
            information: MeterInformation {
                brand: new.brand.clone(),
                model: "Meter".to_owned(),
                site_name: new.made_up_site_name(),
                installation_date: new.found_at,
            },
            energy_state: EnergyState::default(),
            location: PositionedLocation::default(),
            capabilities: MeterCapabilities::default(),
            scopes: new.scopes_of_kind(),
            hem_system_id: None,
        }
    }
}
