//! Home energy management (HEM) systems: the inverters, batteries and meters of one site of a vendor
//! account, as one thing.
//!
//! Invariants:
//! - A system is there as long as a device of it is: it comes with the first and goes with the last.
//! - [`HemSystem::document`] is what the newest event about the system carried, and
//!   [`HemSystem::version`] counts these events, from 1. Only what moves without being worth an event
//!   is laid over it ([`HemSystem::current`]).
//! - It tells nothing that its devices may not tell: its position is theirs, and what flowed is told
//!   only if the device is linked through which it did.

mod history;
#[cfg(test)]
mod tests;
mod today;

pub use history::{HemStatistics, Series, SeriesValues, SiteHistory, Timeseries};
pub use today::{Flows, flowed_since};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    device::{Device, Document, VendorDevice},
    diff::{changed_paths, is_time_only},
    id::{AccountId, ClientId, DeviceId, HemSystemId, LocationId, UserId},
    kind::DeviceKind,
    location,
    vendor::VendorName,
    zone::Zone,
};

/// The vendors that systems can be of: published clients know no others.
pub const VENDORS: [&str; 9] = [
    "ENPHASE",
    "FOXESS",
    "GIVENERGY",
    "HUAWEI",
    "SMA",
    "SOLAREDGE",
    "SOLAX",
    "SOLIS",
    "TESLA",
];

/// Path of the system in the JSON of its devices.
pub const PATH: &str = "hemSystemId";

/// Whether devices of a kind can be part of a system.
pub const fn is_part_of_systems(kind: DeviceKind) -> bool {
    match kind {
        DeviceKind::Inverter | DeviceKind::Battery | DeviceKind::Meter => true,
        DeviceKind::Vehicle | DeviceKind::Charger | DeviceKind::Hvac => false,
    }
}

/// The system that a device is part of.
pub fn of_document(document: &Document) -> Option<HemSystemId> {
    document.path(PATH)?.as_str()?.parse().ok()
}

/// What a vendor told of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteTold {
    /// What the vendor calls it, unique within the account.
    pub id: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// Its zone.
    pub zone: Option<Zone>,
    /// When it was installed.
    pub installed_at: Option<Timestamp>,
    /// Where it is, in words.
    pub address: Option<String>,
    /// Its devices, linked or not.
    pub devices: Vec<VendorDevice>,
    /// What flowed since local midnight, as far as the vendor tells.
    pub today: Flows,
    /// When that was so.
    pub at: Timestamp,
}

/// A home energy management system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HemSystemDocument {
    /// Identifier; survives relinking.
    pub id: HemSystemId,
    /// Owner.
    pub user_id: UserId,
    /// The Location it stands at.
    pub location_id: Option<LocationId>,
    /// Static description.
    pub information: HemInformation,
    /// What it does.
    pub status: HemStatus,
}

/// Static description of a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HemInformation {
    /// Vendor.
    pub vendor: VendorName,
    /// Name of the site.
    pub name: String,
    /// When it was installed; the linking time if the vendor does not tell.
    #[serde(serialize_with = "crate::time::serialize")]
    pub installation_date: Timestamp,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Where it is, in words.
    pub address: Option<String>,
    /// IANA zone of the site.
    pub timezone: Option<String>,
    /// When any of this last changed.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// What a system does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HemStatus {
    /// Last contact with any of its devices.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_seen: Option<Timestamp>,
    /// What flowed.
    pub energy: HemEnergy,
}

/// What flowed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HemEnergy {
    /// Since local midnight.
    pub today: HemToday,
}

/// What flowed since local midnight.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HemToday {
    /// The amounts; null where not known.
    #[serde(flatten)]
    pub flows: Flows,
    /// Their unit.
    pub unit: KilowattHours,
    /// Until when they are counted.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub last_updated: Option<Timestamp>,
}

/// The unit of all energy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KilowattHours {
    /// Kilowatt-hours.
    #[default]
    #[serde(rename = "kWh")]
    KilowattHours,
}

/// What is known of a system when it is first found.
#[derive(Debug, Clone)]
pub struct NewHemSystem {
    /// The identifier we give it.
    pub id: HemSystemId,
    /// The customer it belongs to.
    pub client_id: ClientId,
    /// The end user it belongs to.
    pub user_id: UserId,
    /// The linked vendor account it was found in.
    pub account_id: AccountId,
    /// Its vendor, as the wire names it.
    pub vendor: VendorName,
    /// Its vendor, as people spell it.
    pub brand: String,
    /// When it was found.
    pub found_at: Timestamp,
}

/// A system as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct HemSystem {
    /// The identifier; survives relinking.
    pub id: HemSystemId,
    /// The customer it belongs to.
    pub client_id: ClientId,
    /// The end user it belongs to.
    pub user_id: UserId,
    /// The linked vendor account it is part of.
    pub account_id: AccountId,
    /// What its vendor calls the site.
    pub site: String,
    /// When it was found in the account.
    pub found_at: Timestamp,
    /// Number of events about it so far.
    pub version: u64,
    /// Its devices, in the order of their IDs.
    pub members: Vec<DeviceId>,
    /// Its JSON as the newest event carried it.
    pub document: HemSystemDocument,
}

/// What there is to be seen of a system.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What its vendor told of the site, if it did just now.
    pub told: Option<&'a SiteTold>,
    /// Its devices.
    pub members: &'a [&'a Device],
    /// What flowed since local midnight and until when, if that was found out.
    pub today: Option<(Flows, Timestamp)>,
    /// The moment.
    pub now: Timestamp,
}

impl HemSystem {
    /// A system just found, as the first event about it shows it: its static description, all else
    /// unknown.
    pub fn discover(new: NewHemSystem, told: &SiteTold, members: &[&Device]) -> Self {
        let information = HemInformation {
            vendor: new.vendor,
            name: format!("{} site", new.brand),
            installation_date: new.found_at,
            latitude: None,
            longitude: None,
            address: None,
            timezone: None,
            last_updated: None,
        };
        let mut system = Self {
            id: new.id,
            client_id: new.client_id,
            account_id: new.account_id,
            site: told.id.clone(),
            found_at: new.found_at,
            version: 1,
            members: Vec::new(),
            document: HemSystemDocument {
                id: new.id,
                user_id: new.user_id.clone(),
                location_id: None,
                information,
                status: HemStatus::default(),
            },
            user_id: new.user_id,
        };
        system.set_members(members);
        system.inform(Some(told), members, new.found_at);
        system
    }

    /// What it becomes by what there is to be seen of it, and the difference to its previous event:
    /// empty if nothing worth an event changed.
    pub fn seen(&self, view: &View<'_>) -> (Self, Vec<String>) {
        let mut system = self.clone();
        system.set_members(view.members);
        system.inform(view.told, view.members, view.now);
        system.document.location_id = view
            .members
            .iter()
            .find_map(|device| location::of_document(&device.document));
        let last_seen = view.members.iter().map(|device| device.last_seen).max();
        system.document.status.last_seen = last_seen.max(self.document.status.last_seen);
        let is_there = |kind| view.members.iter().any(|device| device.kind() == kind);
        let midnight = system.midnight(view.now);
        let today = &mut system.document.status.energy.today;
        let (flows, at) = match view.today {
            Some((flows, at)) if at >= midnight => (flows.through(is_there), Some(at)),
            // What was told of yesterday says nothing about today.
            Some(_) => (Flows::default(), None),
            None => (today.flows.through(is_there), today.last_updated),
        };
        let is_told = view.today.is_some() && flows.is_any_known();
        let begins_day = is_told && today.last_updated.is_none_or(|until| until < midnight);
        if today.flows != flows || begins_day {
            today.flows = flows;
            today.last_updated = at.filter(|_| flows.is_any_known());
        }
        let paths = changed_paths(&members_of(&self.document), &members_of(&system.document));
        if begins_day || paths.iter().any(|path| !is_time_only(path)) {
            system.version += 1;
            (system, paths)
        } else {
            system.document = self.document.clone();
            (system, Vec::new())
        }
    }

    /// The document with the last contact with its devices laid over it, and without what flowed on
    /// another day than today: what the API serves.
    pub fn current(&self, last_seen: Option<Timestamp>, now: Timestamp) -> HemSystemDocument {
        let mut document = self.document.clone();
        let status = &mut document.status;
        status.last_seen = last_seen.max(status.last_seen);
        if !self.is_of_today(now) {
            status.energy.today = HemToday::default();
        }
        document
    }

    /// The zone by whose calendar its days begin.
    pub fn zone(&self) -> Zone {
        let name = self.document.information.timezone.as_deref();
        name.and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// When the present day began there.
    pub fn midnight(&self, now: Timestamp) -> Timestamp {
        let zone = self.zone();
        crate::production::Period::day_at(now, &zone).begin(&zone)
    }

    /// Whether what is told of today is of the day that a moment is in.
    fn is_of_today(&self, now: Timestamp) -> bool {
        let today = &self.document.status.energy.today;
        today
            .last_updated
            .is_some_and(|until| until >= self.midnight(now))
    }

    fn set_members(&mut self, members: &[&Device]) {
        self.members = members.iter().map(|device| device.id).collect();
        self.members.sort_unstable();
    }

    /// Takes over the static description, and where the devices say that they are.
    fn inform(&mut self, told: Option<&SiteTold>, members: &[&Device], now: Timestamp) {
        let before = self.document.information.clone();
        let information = &mut self.document.information;
        let degrees = |device: &&Device, path| device.document.path(path)?.as_f64();
        let position = members.iter().find_map(|device| {
            let north = degrees(device, "location.latitude")?;
            Some((north, degrees(device, "location.longitude")?))
        });
        (information.latitude, information.longitude) = position.unzip();
        if let Some(told) = told {
            if let Some(name) = &told.name {
                information.name.clone_from(name);
            }
            if let Some(installed_at) = told.installed_at {
                information.installation_date = installed_at;
            }
            if let Some(zone) = &told.zone {
                information.timezone = Some(zone.name().to_owned());
            }
            information.address.clone_from(&told.address);
        }
        if position.is_none() {
            information.address = None;
        }
        if *information != before || before.last_updated.is_none() {
            information.last_updated = Some(now);
        }
    }
}

/// The members of a document as JSON.
fn members_of(document: &HemSystemDocument) -> Map<String, Value> {
    match serde_json::to_value(document) {
        Ok(Value::Object(members)) => members,
        // Unreachable: a struct with string keys and no fallible serializer.
        _ => Map::new(),
    }
}
