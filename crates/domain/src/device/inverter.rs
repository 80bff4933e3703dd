//! The solar inverter: its JSON and its fields.

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

/// A solar inverter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inverter {
    /// Device ID; survives relinking.
    pub id: DeviceId,
    /// Owner.
    pub user_id: UserId,
    /// Vendor.
    pub vendor: VendorName,
    /// Last live data; the linking time until then.
    #[serde(serialize_with = "crate::time::serialize")]
    pub last_seen: Timestamp,
    /// Whether live data can be had now.
    pub is_reachable: bool,
    /// What it produces.
    pub production_state: ProductionState,
    /// IANA zone of the site.
    pub timezone: Option<String>,
    /// What it can do.
    pub capabilities: InverterCapabilities,
    /// Granted scopes of inverters.
    pub scopes: Vec<Scope>,
    /// Static description.
    pub information: InverterInformation,
    /// Position of the site.
    pub location: PositionedLocation,
    /// Home energy system it belongs to.
    pub hem_system_id: Option<HemSystemId>,
}

/// Static description of an inverter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InverterInformation {
    /// The vendor's ID.
    pub id: String,
    /// Serial number.
    pub sn: Option<String>,
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

/// What an inverter produces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductionState {
    /// Power, kW.
    pub production_rate: Option<f64>,
    /// Producing now.
    pub is_producing: Option<bool>,
    /// Energy since installation, kWh.
    pub total_lifetime_production: Option<f64>,
    /// When the block last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What an inverter can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InverterCapabilities {
    /// Tells its production.
    pub production_state: Capability,
    /// Its vendor supplies statistics.
    pub production_statistics: Capability,
}

keys! { Inverter:
    /// Serial number.
    SERIAL_NUMBER: String = "information.sn";
    /// Brand as people spell it.
    BRAND: String = "information.brand";
    /// Model.
    MODEL: String = "information.model";
    /// Name of the site.
    SITE_NAME: String = "information.siteName";
    /// When it was installed.
    INSTALLATION_DATE: Timestamp = "information.installationDate";
    /// IANA zone of the site.
    TIMEZONE: String = "timezone";
    /// Power, kW; `isProducing` follows from it.
    PRODUCTION_RATE: f64 = "productionState.productionRate", -10.0..=100_000.0;
    /// Energy since installation, kWh.
    TOTAL_LIFETIME_PRODUCTION: f64 = "productionState.totalLifetimeProduction", 0.0..=1e12;
    /// Degrees east.
    LONGITUDE: f64 = "location.longitude", -180.0..=180.0;
    /// Degrees north.
    LATITUDE: f64 = "location.latitude", -90.0..=90.0;
    /// Its vendor supplies statistics.
    PRODUCTION_STATISTICS: Capability = "capabilities.productionStatistics";
}

impl Inverter {
    /// An inverter of which only its identity is known.
    pub fn initial(new: &NewDevice) -> Self {
        Self {
            id: new.id,
            user_id: new.user_id.clone(),
            vendor: new.vendor.clone(),
            last_seen: new.found_at,
            is_reachable: true,
            production_state: ProductionState::default(),
            timezone: None,
            capabilities: InverterCapabilities {
                production_state: Capability::of(true),
                production_statistics: Capability::of(false),
            },
            scopes: new.scopes_of_kind(),
            information: InverterInformation {
                id: new.vendor_device.id.clone(),
                sn: None,
                brand: new.brand.clone(),
                model: "Inverter".to_owned(),
                site_name: new.made_up_site_name(),
                installation_date: new.found_at,
            },
            location: PositionedLocation::default(),
            hem_system_id: None,
        }
    }
}
