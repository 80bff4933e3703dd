//! A device: what is stored of it, and the contract's JSON of each kind.
//!
//! Invariants:
//! - [`Device::document`] is, byte for byte, what the newest event about the device carried. What
//!   moves without being worth an event (`lastSeen`, a block's `lastUpdated`) lives beside it and
//!   is laid over it by [`Device::current_document`].
//! - [`Device::version`] counts the device's events, without gaps, from 1.

pub mod battery;
pub mod charger;
mod document;
pub mod hvac;
pub mod inverter;
pub mod meter;
mod stamp;
mod text;
pub mod vehicle;

pub use document::Document;
pub use stamp::{Stamp, Stamps, UpdatedBlocks, Via};
pub use text::DeviceText;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    id::{AccountId, ClientId, DeviceId, UserId},
    kind::DeviceKind,
    scope::Scope,
    time::wire,
    vendor::VendorName,
};

/// Whether a device can do a named thing, and what the end user must do first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// Available now.
    pub is_capable: bool,
    /// What stands in the way, as IDs of interventions; empty with `isCapable: false` means
    /// missing for good.
    pub intervention_ids: Vec<Uuid>,
}

impl Capability {
    /// A capability that is there (`true`) or missing for good (`false`).
    pub const fn of(is_capable: bool) -> Self {
        Self {
            is_capable,
            intervention_ids: Vec::new(),
        }
    }

    /// One that would be there but for this.
    pub fn blocked_by(intervention: Uuid) -> Self {
        Self {
            is_capable: false,
            intervention_ids: vec![intervention],
        }
    }

    /// One that is there, unless something stands in the way.
    pub fn unless(obstacle: Option<Uuid>) -> Self {
        obstacle.map_or_else(|| Self::of(true), Self::blocked_by)
    }
}

/// Position of a device that reports one, and the customer's Location it stands at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PositionedLocation {
    /// The Location the device stands at.
    pub id: Option<Uuid>,
    /// Degrees east, -180 to 180.
    pub longitude: Option<f64>,
    /// Degrees north, -90 to 90.
    pub latitude: Option<f64>,
    /// When the position last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What a device is called at its vendor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VendorDevice {
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The vendor's own identifier, unique for the kind within the account.
    pub id: String,
}

/// What is known of a device when it is first found.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// The identifier we give it.
    pub id: DeviceId,
    /// The customer it belongs to.
    pub client_id: ClientId,
    /// The end user it belongs to.
    pub user_id: UserId,
    /// The linked vendor account it was found in.
    pub account_id: AccountId,
    /// What its vendor calls it.
    pub vendor_device: VendorDevice,
    /// Its vendor, as the wire names it.
    pub vendor: VendorName,
    /// Its vendor, as people spell it.
    pub brand: String,
    /// The scopes granted for its account; those of other kinds are left out.
    pub scopes: Vec<Scope>,
    /// When it was found.
    pub found_at: Timestamp,
}

impl NewDevice {
    fn scopes_of_kind(&self) -> Vec<Scope> {
        let kind = self.vendor_device.kind;
        self.scopes
            .iter()
            .copied()
            .filter(|scope| scope.kind() == kind)
            .collect()
    }

    fn made_up_site_name(&self) -> String {
        format!("{} site", self.brand)
    }
}

/// A device as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// The identifier; survives relinking.
    pub id: DeviceId,
    /// The customer it belongs to.
    pub client_id: ClientId,
    /// The end user it belongs to.
    pub user_id: UserId,
    /// The linked vendor account it is part of.
    pub account_id: AccountId,
    /// What its vendor calls it.
    pub vendor_device: VendorDevice,
    /// Its vendor.
    pub vendor: VendorName,
    /// When it was found in the account.
    pub linked_at: Timestamp,
    /// Number of events about it so far.
    pub version: u64,
    /// Its JSON as the newest event carried it.
    pub document: Document,
    /// Last successful contact; never earlier than `linked_at`, never moves back.
    pub last_seen: Timestamp,
    /// Where each field's value came from.
    pub stamps: Stamps,
    /// The vendor says it sleeps; polling must not wake it.
    pub is_asleep: bool,
    /// Complete listings in a row that did not contain it.
    pub missed_listings: u8,
}

impl Device {
    /// A device just found, of which nothing is known yet: every nullable value is null.
    pub fn new(new: NewDevice) -> Self {
        let document = Document::initial(&new);
        Self {
            id: new.id,
            client_id: new.client_id,
            user_id: new.user_id,
            account_id: new.account_id,
            vendor_device: new.vendor_device,
            vendor: new.vendor,
            linked_at: new.found_at,
            version: 0,
            document,
            last_seen: new.found_at,
            stamps: Stamps::default(),
            is_asleep: false,
            missed_listings: 0,
        }
    }

    /// The kind of device.
    pub const fn kind(&self) -> DeviceKind {
        self.vendor_device.kind
    }

    /// The document with today's `lastSeen` and `lastUpdated` laid over it: what the API serves.
    pub fn current_document(&self) -> Document {
        let mut document = self.document.clone();
        self.lay_times_over(&mut document);
        document
    }

    /// Puts today's `lastSeen` and `lastUpdated` into a document of the device.
    pub(crate) fn lay_times_over(&self, document: &mut Document) {
        document.set_path("lastSeen", wire(self.last_seen).into());
        for (block, at) in self.stamps.updated_blocks(self.kind()) {
            document.set_path(&format!("{block}.lastUpdated"), wire(at).into());
        }
    }

    /// Whether live data can be had now; `None` while not known (vehicles only).
    pub fn is_reachable(&self) -> Option<bool> {
        self.document
            .path("isReachable")
            .and_then(serde_json::Value::as_bool)
    }

    /// Whether it takes or gives noticeable power now, so that its state moves quickly.
    pub fn is_active(&self) -> bool {
        let flag = |path| {
            self.document
                .path(path)
                .and_then(serde_json::Value::as_bool)
        };
        match self.kind() {
            DeviceKind::Vehicle | DeviceKind::Charger => flag("chargeState.isCharging"),
            DeviceKind::Hvac => flag("temperatureState.isActive"),
            DeviceKind::Inverter => flag("productionState.isProducing"),
            DeviceKind::Battery => self.document.get(battery::STATUS).map(|status| {
                matches!(
                    status,
                    battery::BatteryStatus::Charging | battery::BatteryStatus::Discharging
                )
            }),
            DeviceKind::Meter => None,
        }
        .unwrap_or(false)
    }
}
