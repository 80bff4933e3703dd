//! An account with a cloud, and the devices that hang on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Millis, Seconds},
    clouds::{
        Cloud,
        rivoli::quota::{AccountQuota, Window},
        volta,
    },
    world::{
        log::Log,
        site::{Present, Site},
        vehicle::Vehicle,
        wallbox::Wallbox,
    },
};

/// What is the same for every device.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) model: &'static str,
    pub(crate) year: i16,
    pub(crate) added_at: Seconds,
    pub(crate) removed_at: Option<Seconds>,
    /// Lost to its cloud by a fault.
    pub(crate) offline: bool,
    /// Shown as it was when a fault began.
    pub(crate) stale: bool,
    /// Whether it takes commands from afar.
    pub(crate) remote: Remote,
    /// Keeps its position to itself.
    pub(crate) private: bool,
    pub(crate) log: Log,
}

/// Whether a device takes commands from afar. Which of these can be depends on the cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remote {
    /// It does.
    #[default]
    Allowed,
    /// It was switched off at the device (volta, helios).
    SwitchedOff,
    /// The car does not know the key that commands are signed with (volta vehicles).
    NoKey,
    /// The subscription has ended (rivoli).
    Expired,
    /// Only an installer may change the device (helios).
    InstallerOnly,
}

impl Meta {
    pub(crate) fn is_present(&self) -> bool {
        self.removed_at.is_none()
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.offline || self.stale
    }
}

/// A device: its truth, and what its cloud has frozen of it.
#[derive(Clone, Debug)]
pub(crate) struct Device<S> {
    pub(crate) meta: Meta,
    pub(crate) live: S,
    pub(crate) frozen: Option<Box<S>>,
}

impl<S> Device<S> {
    /// What the cloud believes.
    pub(crate) fn shown(&self) -> &S {
        self.frozen.as_deref().unwrap_or(&self.live)
    }
}

/// The five devices of a site, in the order they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    Inverter,
    Battery,
    Meter,
    HeatPump,
    Charger,
}

impl PartKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Inverter,
        Self::Battery,
        Self::Meter,
        Self::HeatPump,
        Self::Charger,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            PartKind::Inverter => "inverter",
            PartKind::Battery => "battery",
            PartKind::Meter => "meter",
            PartKind::HeatPump => "heatpump",
            PartKind::Charger => "charger",
        }
    }
}

/// A site with the identities of its devices (one for each `PartKind`).
#[derive(Clone, Debug)]
pub(crate) struct Household {
    pub(crate) site: Device<Site>,
    pub(crate) parts: [Meta; 5],
}

impl Household {
    pub(crate) fn part(&self, kind: PartKind) -> &Meta {
        &self.parts[kind as usize]
    }

    pub(crate) fn present(&self) -> Present {
        let has = |kind| self.part(kind).is_present();
        Present {
            inverter: has(PartKind::Inverter),
            battery: has(PartKind::Battery),
            heat_pump: has(PartKind::HeatPump),
            charger: has(PartKind::Charger),
        }
    }
}

/// What was asked of a cloud in the name of an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) calls: BTreeMap<&'static str, u64>,
    pub(crate) rate_limited: u64,
    pub(crate) quota_exceeded: u64,
    pub(crate) unauthorized: u64,
    pub(crate) logins: u64,
    pub(crate) failed_logins: u64,
    pub(crate) pushes_made: u64,
    pub(crate) pushes_sent: u64,
    pub(crate) pushes_acked: u64,
    pub(crate) pushes_failed: u64,
    pub(crate) pushes_dropped: u64,
    pub(crate) in_10_minutes: Window,
    pub(crate) in_a_day: Window,
}

impl Stats {
    pub(crate) fn count(&mut self, endpoint: &'static str, now: Millis) {
        *self.calls.entry(endpoint).or_default() += 1;
        self.in_10_minutes.count(now, 600);
        self.in_a_day.count(now, 86_400);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) cloud: Cloud,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) town: usize,
    pub(crate) habits: bool,
    pub(crate) seed: u64,
    pub(crate) vehicles: Vec<Device<Vehicle>>,
    pub(crate) wallboxes: Vec<Device<Wallbox>>,
    pub(crate) households: Vec<Household>,
    /// What the volta cloud shows of each vehicle and wallbox, and since when.
    pub(crate) shown: volta::view::Shown,
    pub(crate) subscriptions: Vec<volta::feed::Subscription>,
    /// The owner has taken back the leave to command its devices (volta); signing in gives it again.
    pub(crate) forbids_commands: bool,
    /// Calls that count against the rivoli quotas.
    pub(crate) quota: AccountQuota,
    pub(crate) stats: Stats,
}

impl Account {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.id == name || self.username == name
    }

    /// The identities of all devices, removed ones too.
    pub(crate) fn metas(&self) -> impl Iterator<Item = (&'static str, &Meta)> {
        let vehicles = self.vehicles.iter().map(|device| ("vehicle", &device.meta));
        let wallboxes = self
            .wallboxes
            .iter()
            .map(|device| ("wallbox", &device.meta));
        let parts = self
            .households
            .iter()
            .flat_map(|house| PartKind::ALL.map(|kind| (kind.word(), house.part(kind))));
        vehicles.chain(wallboxes).chain(parts)
    }
}
