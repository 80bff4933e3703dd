//! `merge`: what a device becomes by an observation. Pure; the heart of Livewatt.
//!
//! Rules, each of them property-tested below:
//! - `lastSeen` never moves back.
//! - Per field the larger vendor time wins. Where one of the two has none, a fact whose request
//!   began before the held value arrived by push loses, and so does one whose request began before
//!   that of the held value.
//! - Retained facts and command echoes only fill fields nothing is known of.
//! - A duplicate of anything already merged changes nothing.
//! - What the user has not granted stands in the way of what needs it, whatever is observed.
//! - A vendor's time in the future is cut to the time of arrival: a broken clock must not freeze a
//!   field.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    device::{
        Capability, Device, Document, NewDevice, Stamp, Via,
        charger::{self, ChargerPowerDeliveryState},
        inverter,
        vehicle::{self, VehiclePowerDeliveryState},
    },
    diff::{changed_paths, is_time_only},
    fact::{Completeness, Fact, Field, Observation, Presence, Reading},
    hem,
    id::HemSystemId,
    intervention,
    kind::DeviceKind,
    location::{self, Places},
    scope::{Ability, Scope},
};

/// What came of merging an observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The device afterwards. If [`Merged::updated_fields`] is empty its document and version are
    /// as before.
    pub device: Device,
    /// The difference to the device's previous event; empty if nothing worth an event changed.
    pub updated_fields: Vec<String>,
    /// Facts that lost against what was known already.
    pub older: u32,
    /// Facts whose vendor time lay in the future.
    pub from_future: u32,
}

/// Which of the facts are to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Everything,
    /// Only the static description, as the first event about a device carries it.
    Information,
}

/// A device as the first event about it shows it: its static description, all else unknown.
pub fn discover(new: NewDevice, observation: &Observation) -> Device {
    let mut device = merge(&Device::new(new), observation, Part::Information).device;
    device.version = 1;
    device
}

/// What a device belongs to, beside what is observed of it; `None` leaves that as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The Locations of its user: its Location follows its position.
    pub places: Option<&'a Places>,
    /// The HEM system that it is part of.
    pub hem_system: Option<HemSystemId>,
    /// What the user has granted for its account.
    pub granted: Option<&'a [Scope]>,
}

/// What `device` becomes by `observation`. Both are about the same device.
pub fn merge(device: &Device, observation: &Observation, part: Part) -> Merged {
    merge_among(device, observation, part, Surroundings::default())
}

/// The same among what it belongs to.
pub fn merge_among(
    device: &Device,
    observation: &Observation,
    part: Part,
    surroundings: Surroundings<'_>,
) -> Merged {
    let mut merged = Merged {
        device: device.clone(),
        updated_fields: Vec::new(),
        older: 0,
        from_future: 0,
    };
    let mut document = device.document.clone();
    if let Some(granted) = surroundings.granted {
        intervention::grant(device.kind(), &mut document, granted);
    }
    let positions_granted = grants_position(&document);
    for fact in &observation.facts {
        let is_hidden = fact.field.is_position() && !positions_granted;
        let is_later_part = part == Part::Information && !fact.field.is_information();
        if !is_hidden && !is_later_part {
            apply(&mut merged, &mut document, observation, fact);
        }
    }
    if observation.completeness == Completeness::Complete && part == Part::Everything {
        let silent = Field::all(device.kind())
            .filter(|field| !field.is_information())
            .filter(|field| device.stamps.get(*field).is_some())
            .filter(|field| !observation.facts.iter().any(|fact| fact.field == *field))
            .collect::<Vec<_>>();
        for field in silent {
            let fact = Fact {
                field,
                reading: Reading::Unknown,
                observed_at: None,
            };
            apply(&mut merged, &mut document, observation, &fact);
        }
    }
    intervention::lay_consent(device.kind(), &mut document);
    if part == Part::Everything {
        derive(device.kind(), &mut document);
        if let Some(places) = surroundings.places {
            location::place(device.kind(), &mut document, places, None);
        }
        if let Some(system) = surroundings.hem_system {
            document.set_path(hem::PATH, system.to_string().into());
        }
        note_presence(&mut merged.device, &mut document, observation);
    }
    settle(&mut merged, document);
    merged
}

/// What `device` becomes when it cannot be reached through its vendor (`false`) or can again.
pub fn set_reachable(device: &Device, is_reachable: bool) -> Merged {
    let mut document = device.document.clone();
    document.set_path("isReachable", is_reachable.into());
    settled(device, document)
}

/// What `device` becomes when its vendor does not accept the login of its account any more.
pub fn lose_login(device: &Device) -> Merged {
    let mut document = device.document.clone();
    document.set_path("isReachable", false.into());
    intervention::lay_login(&mut document, true);
    settled(device, document)
}

/// What `device` becomes when its user has granted this, under a login that is accepted.
pub fn regrant(device: &Device, granted: &[Scope]) -> Merged {
    let mut document = device.document.clone();
    intervention::grant(device.kind(), &mut document, granted);
    settled(device, document)
}

/// What `device` becomes with another document, by nobody's observation.
pub(crate) fn settled(device: &Device, document: Document) -> Merged {
    let mut merged = Merged {
        device: device.clone(),
        updated_fields: Vec::new(),
        older: 0,
        from_future: 0,
    };
    settle(&mut merged, document);
    merged
}

fn grants_position(document: &Document) -> bool {
    document
        .path("scopes")
        .and_then(Value::as_array)
        .is_some_and(|scopes| {
            scopes.iter().any(|scope| {
                scope
                    .as_str()
                    .and_then(|text| text.parse::<crate::scope::Scope>().ok())
                    .is_some_and(|scope| scope.ability() == Ability::ReadLocation)
            })
        })
}

/// Takes one fact, if it is newer than what is held.
fn apply(merged: &mut Merged, document: &mut Document, seen: &Observation, fact: &Fact) {
    let observed_at = match fact.observed_at {
        Some(at) if at > seen.received_at => {
            merged.from_future += 1;
            Some(seen.received_at)
        }
        at => at,
    };
    let held = merged.device.stamps.get(fact.field).copied();
    let value = match &fact.reading {
        Reading::Known(value) => value.clone(),
        Reading::Unknown | Reading::Unsupported => match unknown_value(fact.field, document) {
            Some(value) => value,
            // The contract knows no null here; what was known last stays.
            None => return,
        },
    };
    let differs = document.path(fact.field.path()) != Some(&value);
    if let Some(held) = held
        && !is_newer(&held, seen, observed_at)
    {
        merged.older += u32::from(differs);
        return;
    }
    document.set_path(fact.field.path(), value);
    let changed_at = if differs {
        Some(seen.received_at)
    } else {
        held.and_then(|h| h.changed_at)
    };
    merged.device.stamps.set(
        fact.field,
        Stamp {
            observed_at,
            started_at: seen.started_at,
            received_at: seen.received_at,
            changed_at,
            via: seen.via,
        },
    );
}

/// Whether an incoming fact replaces a held one.
fn is_newer(held: &Stamp, seen: &Observation, observed_at: Option<Timestamp>) -> bool {
    if matches!(seen.via, Via::Retained | Via::CommandEcho) {
        return false;
    }
    let is_later = seen.started_at > held.started_at;
    match (held.observed_at, observed_at) {
        (Some(held_at), Some(at)) if held_at != at => at > held_at,
        (None, Some(at)) if seen.via == Via::Push => is_later && at >= held.started_at,
        (_, None) if held.via == Via::Push => is_later && seen.started_at >= held.received_at,
        // Of the same moment, or no moment told: what was asked for later counts. A poll's answer
        // is the vendor's present word however long ago the value last changed.
        _ => is_later,
    }
}

/// The contract's value for "unknown" of a field; `None` where a last known value must stay.
fn unknown_value(field: Field, document: &Document) -> Option<Value> {
    match field.path() {
        "chargeState.powerDeliveryState" | "thermostatState.mode" => Some("UNKNOWN".into()),
        "temperatureState.isActive" => Some(false.into()),
        path if path.starts_with("capabilities.")
            && document.path(path).is_some_and(Value::is_object) =>
        {
            serde_json::to_value(Capability::of(false)).ok()
        }
        path if NEVER_NULL.contains(&path) => None,
        _ => Some(Value::Null),
    }
}

/// Fields of the static description that the contract never shows as null, for any kind.
const NEVER_NULL: [&str; 7] = [
    "information.brand",
    "information.model",
    "information.serialNumber",
    "information.displayName",
    "information.siteName",
    "information.installationDate",
    "information.category",
];

/// Values that follow from others, so that no vendor can contradict itself.
fn derive(kind: DeviceKind, document: &mut Document) {
    match kind {
        DeviceKind::Vehicle => derive_vehicle(document),
        DeviceKind::Charger => {
            use ChargerPowerDeliveryState as State;
            let state = document
                .get(charger::POWER_DELIVERY_STATE)
                .unwrap_or(State::Unknown);
            let is_known = state != State::Unknown;
            let is_charging = state == State::Charging;
            set_flags(document, is_known, state != State::Unplugged, is_charging);
            if !is_charging {
                document.set_path("chargeState.chargeRate", Value::Null);
            }
        }
        DeviceKind::Inverter => {
            let rate = document.get(inverter::PRODUCTION_RATE);
            let is_producing = rate.map_or(Value::Null, |rate| Value::Bool(rate > 0.0));
            document.set_path("productionState.isProducing", is_producing);
        }
        DeviceKind::Hvac | DeviceKind::Battery | DeviceKind::Meter => {}
    }
}

fn derive_vehicle(document: &mut Document) {
    use VehiclePowerDeliveryState as State;
    let state = document
        .get(vehicle::POWER_DELIVERY_STATE)
        .unwrap_or(State::Unknown);
    let is_known = state != State::Unknown;
    let is_charging = state == State::Charging;
    set_flags(document, is_known, state != State::Unplugged, is_charging);
    let level = document.get(vehicle::BATTERY_LEVEL);
    let limit = document.get(vehicle::CHARGE_LIMIT).unwrap_or(100.0);
    let is_full = match (state, level) {
        (State::Unknown, _) => Value::Null,
        (State::Complete, _) => true.into(),
        (_, Some(level)) => (level >= limit).into(),
        (_, None) => Value::Null,
    };
    document.set_path("chargeState.isFullyCharged", is_full);
    if !is_charging {
        document.set_path("chargeState.chargeRate", Value::Null);
        document.set_path("chargeState.chargeTimeRemaining", Value::Null);
    }
}

fn set_flags(document: &mut Document, is_known: bool, is_plugged_in: bool, is_charging: bool) {
    let flag = |value: bool| {
        if is_known {
            Value::Bool(value)
        } else {
            Value::Null
        }
    };
    document.set_path("chargeState.isPluggedIn", flag(is_plugged_in));
    document.set_path("chargeState.isCharging", flag(is_charging));
}

fn note_presence(device: &mut Device, document: &mut Document, seen: &Observation) {
    let is_reachable = seen.presence != Presence::Offline;
    // What an overtaken poll says of presence is as old as what it says of the rest.
    if seen.received_at < device.last_seen {
        return;
    }
    if is_reachable && !matches!(seen.via, Via::Retained | Via::CommandEcho) {
        device.last_seen = device.last_seen.max(seen.received_at);
    }
    device.is_asleep = seen.presence == Presence::Asleep;
    document.set_path("isReachable", is_reachable.into());
}

/// Decides whether the outcome is worth an event; only then do document and version move.
fn settle(merged: &mut Merged, mut candidate: Document) {
    let device = &mut merged.device;
    device.lay_times_over(&mut candidate);
    let paths = changed_paths(device.document.as_map(), candidate.as_map());
    if paths.iter().any(|path| !is_time_only(path)) {
        device.document = candidate;
        device.version += 1;
        merged.updated_fields = paths;
    }
}

#[cfg(test)]
mod tests;
