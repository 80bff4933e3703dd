//! What volta's JSON means.

use jiff::Timestamp;
use livewatt_domain::{
    device::{
        Capability, VendorDevice, Via,
        charger::{self, ChargerPowerDeliveryState},
        vehicle::{self, VehiclePowerDeliveryState},
    },
    fact::{Completeness, Observation, Presence},
    kind::DeviceKind,
};
use uuid::Uuid;

use super::wire;
use crate::{
    harvest::{AccountOutcome, Harvest, Inventory},
    http::Response,
    interventions::{
        TESLA_CHARGER_PERMISSION, TESLA_CHARGER_SWITCHED_OFF, TESLA_VEHICLE_NO_KEY,
        TESLA_VEHICLE_PERMISSION, TESLA_VEHICLE_SWITCHED_OFF,
    },
    lenient::{Drift, List, Moment, Number, Teller, Told},
    push::{PushBatch, PushError},
};

/// What an account's answer says of its devices.
pub(super) fn account(account: wire::Account, response: &Response) -> Harvest {
    let wire::Account {
        permissions,
        vehicles,
        wallboxes,
    } = account;
    if vehicles.as_value().is_none() && wallboxes.as_value().is_none() {
        return Harvest::barren(response.malformed("neither vehicles nor wallboxes"));
    }
    let mut drift = Drift::default();
    let permitted = Permitted::of(permissions, &mut drift);
    let mut observations = Vec::new();
    let mut is_complete = vehicles.as_value().is_some() && wallboxes.as_value().is_some();
    for told in vehicles.take("vehicles", &mut drift).unwrap_or_default() {
        let seen = told.take("vehicles[]", &mut drift).and_then(|told| {
            let id = told.vin.clone();
            let seen = observation(DeviceKind::Vehicle, id, response, &mut drift)?;
            Some(vehicle(told, permitted, seen, &mut drift))
        });
        is_complete &= seen.is_some();
        observations.extend(seen);
    }
    for told in wallboxes.take("wallboxes", &mut drift).unwrap_or_default() {
        let seen = told.take("wallboxes[]", &mut drift).and_then(|told| {
            let id = told.serial.clone();
            let seen = observation(DeviceKind::Charger, id, response, &mut drift)?;
            Some(wallbox(told, permitted, seen, &mut drift))
        });
        is_complete &= seen.is_some();
        observations.extend(seen);
    }
    let devices = observations
        .iter()
        .map(|seen| seen.device.clone())
        .collect();
    Harvest {
        observations,
        inventory: Some(match is_complete {
            true => Inventory::Complete(devices),
            false => Inventory::Partial(devices),
        }),
        sites: Vec::new(),
        troubled: Vec::new(),
        account: AccountOutcome::Ok,
        drift: drift.into_words(),
    }
}

/// What the user lets our app do with an account.
#[derive(Debug, Clone, Copy)]
struct Permitted {
    commands: bool,
    location: bool,
}

impl Permitted {
    fn of(told: Told<List<String>>, drift: &mut Drift) -> Self {
        let Some(told) = told.take("permissions", drift) else {
            return Self {
                commands: true,
                location: true,
            };
        };
        let has = |word: &str| {
            told.iter()
                .any(|told| told.as_value().is_some_and(|t| t == word))
        };
        Self {
            commands: has("commands"),
            location: has("location"),
        }
    }
}

/// What stands in the way of commands to a device.
fn obstacle(
    permitted: Permitted,
    (permission, switched_off, no_key): (Uuid, Uuid, Option<Uuid>),
    remote_access: Told<String>,
    teller: &mut Teller<'_>,
) -> Option<Uuid> {
    let name = format!("{}.remote_access", teller.block);
    let told = remote_access.take(&name, teller.drift);
    let of_device = match told.as_deref() {
        None | Some("allowed") => None,
        Some("switched_off") => Some(switched_off),
        Some("no_key") if no_key.is_some() => no_key,
        Some(word) => {
            teller.drift.note(&name, word);
            None
        }
    };
    // Without the permission nothing at the device helps, so that comes first.
    (!permitted.commands).then_some(permission).or(of_device)
}

fn observation(
    kind: DeviceKind,
    id: Told<String>,
    response: &Response,
    drift: &mut Drift,
) -> Option<Observation> {
    let id = id.identifier().take("id", drift)?;
    Some(Observation::new(
        VendorDevice { kind, id },
        Completeness::Complete,
        Via::Poll,
        response.started_at,
        response.received_at,
    ))
}

fn presence(online: Told<bool>, drift: &mut Drift) -> Presence {
    match online.take("online", drift) {
        Some(false) => Presence::Offline,
        Some(true) | None => Presence::Online,
    }
}

fn vehicle(
    told: wire::Vehicle,
    permitted: Permitted,
    mut seen: Observation,
    drift: &mut Drift,
) -> Observation {
    seen.presence = presence(told.online, drift);
    let mut teller = Teller {
        seen: &mut seen,
        drift,
        block: "vehicle",
        at: None,
        completeness: Completeness::Complete,
    };
    teller.tell(vehicle::VIN, "vin", told.vin);
    teller.tell(vehicle::MODEL, "model", told.model);
    teller.tell(vehicle::DISPLAY_NAME, "name", told.name);
    teller.number(vehicle::YEAR, "year", told.year);
    let ids = (
        TESLA_VEHICLE_PERMISSION,
        TESLA_VEHICLE_SWITCHED_OFF,
        Some(TESLA_VEHICLE_NO_KEY),
    );
    let obstacle = obstacle(permitted, ids, told.remote_access, &mut teller);
    let hidden = (!permitted.location).then_some(TESLA_VEHICLE_PERMISSION);
    for (key, obstacle) in [
        (vehicle::START_CHARGING, obstacle),
        (vehicle::STOP_CHARGING, obstacle),
        (vehicle::SET_MAX_CURRENT, obstacle),
        (vehicle::SMART_CHARGING, obstacle),
        (vehicle::LOCATION_CAPABILITY, hidden),
        (vehicle::ODOMETER_CAPABILITY, None),
    ] {
        let capability = Capability::unless(obstacle);
        teller.seen.tell(key, Some(capability), None);
    }
    let charge = told
        .charge
        .take("vehicle.charge", teller.drift)
        .unwrap_or_default();
    vehicle_charge(charge, &mut teller);

    let odometer = told
        .odometer
        .take("vehicle.odometer", teller.drift)
        .unwrap_or_default();
    teller.block = "vehicle.odometer";
    teller.at = moment(odometer.at, &mut teller);
    teller.number(vehicle::ODOMETER, "km", odometer.km);

    let position = told
        .position
        .take("vehicle.position", teller.drift)
        .unwrap_or_default();
    teller.block = "vehicle.position";
    teller.at = moment(position.at, &mut teller);
    teller.position(
        (vehicle::LONGITUDE, vehicle::LATITUDE),
        (position.lon, position.lat),
    );
    seen
}

/// The charge block of a vehicle, from an account or from a push.
fn vehicle_charge(told: wire::VehicleCharge, teller: &mut Teller<'_>) {
    teller.block = "vehicle.charge";
    teller.at = moment(told.at, teller);
    let rate = while_charging(told.power_kw, &told.status);
    teller.number(vehicle::BATTERY_LEVEL, "level_percent", told.level_percent);
    teller.number(vehicle::RANGE, "range_km", told.range_km);
    teller.number(vehicle::BATTERY_CAPACITY, "capacity_kwh", told.capacity_kwh);
    teller.number(vehicle::CHARGE_LIMIT, "limit_percent", told.limit_percent);
    teller.number(vehicle::CHARGE_RATE, "power_kw", rate);
    teller.number(
        vehicle::CHARGE_TIME_REMAINING,
        "minutes_to_full",
        told.minutes_to_full,
    );
    teller.number(vehicle::MAX_CURRENT, "max_amps", told.max_amps);
    teller.word(
        vehicle::POWER_DELIVERY_STATE,
        "status",
        told.status,
        |word| {
            use VehiclePowerDeliveryState as State;
            Some(match word {
                "disconnected" => State::Unplugged,
                "starting" => State::Initializing,
                "charging" => State::Charging,
                "paused" => State::Stopped,
                "complete" => State::Complete,
                "no_power" => State::NoPower,
                "fault" => State::Fault,
                _ => return None,
            })
        },
    );
}

fn wallbox(
    told: wire::Wallbox,
    permitted: Permitted,
    mut seen: Observation,
    drift: &mut Drift,
) -> Observation {
    seen.presence = presence(told.online, drift);
    let mut teller = Teller {
        seen: &mut seen,
        drift,
        block: "wallbox",
        at: None,
        completeness: Completeness::Complete,
    };
    teller.tell(charger::SERIAL_NUMBER, "serial", told.serial);
    teller.tell(charger::MODEL, "model", told.model);
    teller.number(charger::YEAR, "year", told.year);
    let ids = (TESLA_CHARGER_PERMISSION, TESLA_CHARGER_SWITCHED_OFF, None);
    let obstacle = obstacle(permitted, ids, told.remote_access, &mut teller);
    for key in [
        charger::START_CHARGING,
        charger::STOP_CHARGING,
        charger::SET_MAX_CURRENT,
    ] {
        let capability = Capability::unless(obstacle);
        teller.seen.tell(key, Some(capability), None);
    }
    let charge = told
        .charge
        .take("wallbox.charge", teller.drift)
        .unwrap_or_default();
    wallbox_charge(charge, &mut teller);
    seen
}

/// The charge block of a wall charger, from an account or from a push.
fn wallbox_charge(told: wire::WallboxCharge, teller: &mut Teller<'_>) {
    teller.block = "wallbox.charge";
    teller.at = moment(told.at, teller);
    let rate = while_charging(told.power_kw, &told.status);
    teller.number(charger::CHARGE_RATE, "power_kw", rate);
    teller.number(
        charger::MAX_CURRENT,
        "current_limit_amps",
        told.current_limit_amps,
    );
    teller.word(
        charger::POWER_DELIVERY_STATE,
        "status",
        told.status,
        |word| {
            use ChargerPowerDeliveryState as State;
            Some(match word {
                "available" => State::Unplugged,
                "preparing" => State::Initializing,
                "charging" => State::Charging,
                "paused" => State::Stopped,
                // The car takes no more; a charger cannot know that it is full.
                "finished" => State::Stopped,
                "fault" => State::Fault,
                _ => return None,
            })
        },
    );
}

fn moment(told: Told<Moment>, teller: &mut Teller<'_>) -> Option<Timestamp> {
    let name = format!("{}.at", teller.block);
    told.take(&name, teller.drift).map(|Moment(at)| at)
}

/// Power is told as 0 when none flows; the contract tells it only while charging. A push that says
/// nothing of the status is taken by its word.
fn while_charging(power: Told<Number>, status: &Told<String>) -> Told<Number> {
    power.only_if(status.as_value().is_none_or(|status| status == "charging"))
}

/// What a push says, its signature being right.
pub(super) fn delivery(body: &[u8], now: Timestamp) -> Result<PushBatch, PushError> {
    let malformed = |what: &str| PushError::Malformed(what.to_owned());
    let delivery = match serde_json::from_slice(body) {
        Ok(Told::Value(delivery)) => delivery,
        Ok(_) => return Err(malformed("no JSON object")),
        Err(_) => return Err(malformed("no JSON")),
    };
    let wire::Delivery {
        account_id,
        changes,
    } = delivery;
    let (Told::Value(vendor_account_id), Told::Value(changes)) = (account_id.identifier(), changes)
    else {
        return Err(malformed("account or changes are missing"));
    };
    let mut batch = PushBatch {
        vendor_account_id,
        observations: Vec::new(),
        wants_listing: false,
    };
    for change in changes {
        let mut drift = Drift::default();
        let Some(change) = change.take("changes[]", &mut drift) else {
            continue;
        };
        match change.r#type.as_value().map_or("", String::as_str) {
            "vehicle" | "vehicle_online" | "vehicle_offline" | "wallbox" | "wallbox_online"
            | "wallbox_offline" => batch.observations.extend(pushed(change, now)),
            "vehicle_added" | "vehicle_removed" | "wallbox_added" | "wallbox_removed" => {
                batch.wants_listing = true;
            }
            // A kind of news that came after us.
            _ => {}
        }
    }
    Ok(batch)
}

/// What a push says of one device; `None` if it does not say of which.
fn pushed(change: wire::Change, now: Timestamp) -> Option<Observation> {
    let kind_of_change = change.r#type.as_value().map_or("", String::as_str);
    let (kind, id) = match kind_of_change.starts_with("vehicle") {
        true => (DeviceKind::Vehicle, change.vin),
        false => (DeviceKind::Charger, change.serial),
    };
    let mut drift = Drift::default();
    let id = id.identifier().take("id", &mut drift)?;
    let device = VendorDevice { kind, id };
    let mut seen = Observation::new(device, Completeness::Partial, Via::Push, now, now);
    if kind_of_change.ends_with("_offline") {
        seen.presence = Presence::Offline;
    }
    if let Some(charge) = change.charge.take("charge", &mut drift) {
        let mut teller = Teller {
            seen: &mut seen,
            drift: &mut drift,
            block: "",
            at: None,
            completeness: Completeness::Partial,
        };
        match kind {
            DeviceKind::Vehicle => {
                let charge = charge
                    .parse()
                    .take("charge", teller.drift)
                    .unwrap_or_default();
                vehicle_charge(charge, &mut teller);
            }
            _ => {
                let charge = charge
                    .parse()
                    .take("charge", teller.drift)
                    .unwrap_or_default();
                wallbox_charge(charge, &mut teller);
            }
        }
    }
    // A push has no drift of its own; what could not be placed is counted here. What was refused
    // for its range is in both counts.
    seen.rejected = seen.rejected.max(drift.count());
    Some(seen)
}

#[cfg(test)]
mod tests;
