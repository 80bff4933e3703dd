//! What the control API takes and gives, over HTTP and in process.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::clouds::Cloud;

pub use crate::world::account::Remote;

/// The clock as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockInfo {
    /// Virtual time.
    pub now: Timestamp,
    /// Virtual seconds per real second; 0: a manual clock.
    pub speed: f64,
}

/// An account to make. Everything absent is chosen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AccountSpec {
    /// Login name; `None`: `user<n>@<cloud>.example`.
    #[serde(default)]
    pub username: Option<String>,
    /// Password; `None`: `pw-<n>`.
    #[serde(default)]
    pub password: Option<String>,
    /// Vehicles (volta, rivoli), 0–50; `None`: 1.
    #[serde(default)]
    pub vehicles: Option<u32>,
    /// Wall chargers (volta), 0–50; `None`: 1.
    #[serde(default)]
    pub wallboxes: Option<u32>,
    /// Sites of five devices each (helios), 0–50; `None`: 1.
    #[serde(default)]
    pub sites: Option<u32>,
    /// Where it is: `utrecht`, `muenchen`, `lyon`, `oslo`, `lisboa`; `None`: in turn.
    #[serde(default)]
    pub town: Option<String>,
    /// Whether people drive, plug and unplug by themselves; `None`: they do.
    #[serde(default)]
    pub habits: Option<bool>,
}

/// An account with its credentials and the devices it has now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountInfo {
    /// `va_…`, `ra_…` or `ha_…`.
    pub id: String,
    /// The cloud it is with.
    pub cloud: Cloud,
    /// Login name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Devices, without removed ones.
    pub devices: Vec<DeviceInfo>,
    /// Ids of its sites (helios).
    pub sites: Vec<String>,
}

/// A device's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// VIN, serial or id, unique over all clouds.
    pub id: String,
    /// `vehicle`, `wallbox`, `inverter`, `battery`, `meter`, `heatpump` or `charger`.
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
}

/// What can be added to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A car.
    Vehicle,
    /// A wall charger.
    Wallbox,
    /// Inverter, battery, meter, heat pump and wall charger of one house.
    Site,
}

/// Tokens as a login gives them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenGrant {
    /// The bearer token.
    pub access_token: String,
    /// Absent for rivoli.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Life of the access token, seconds.
    pub expires_in: i64,
}

/// Changes to a device's state, at once. `None`: as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DevicePatch {
    /// Put the plug in or pull it.
    pub plugged: Option<bool>,
    /// Start or stop charging (needs the plug in).
    pub charging: Option<bool>,
    /// State of charge, 0–100 %.
    pub level_percent: Option<f64>,
    /// Charge limit, 50–100 %.
    pub limit_percent: Option<u8>,
    /// Amps per phase, 6–32; of a wallbox or charger: what it offers.
    pub max_amps: Option<u8>,
    /// Where the car stands: `home` or `work`. Ends a trip.
    pub place: Option<String>,
    /// Whether its driver lives by habit.
    pub habits: Option<bool>,
    /// Break or mend it (vehicles, wallboxes, chargers).
    pub fault: Option<bool>,
    /// Whether it takes commands from afar (vehicles, wallboxes, batteries, heat pumps, chargers).
    pub remote: Option<Remote>,
    /// Whether the car keeps its position to itself (rivoli).
    pub private: Option<bool>,
    /// Temperature of the house, 0–40 °C (heat pump).
    pub room_temp: Option<f64>,
    /// Pin the house load, 0–50,000 W; `Some(None)`: let go. Any device of a site.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub load_w: Option<Option<i64>>,
    /// Pin the cloud cover, 0–1; `Some(None)`: let go. Any device of a site.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub cloud_cover: Option<Option<f64>>,
}

/// Tells a null from an absent key.
fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
