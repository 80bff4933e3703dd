//! What the volta cloud shows: rounded values in blocks, each with the time it last changed.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    clock::{Seconds, timestamp},
    world::{
        account::{Account, Remote},
        vehicle::Vehicle,
        wallbox::Wallbox,
    },
};

/// A block and when it changed.
#[derive(Clone, Debug)]
pub(crate) struct Stamped<B> {
    pub(crate) block: B,
    pub(crate) at: Seconds,
}

impl<B: PartialEq> Stamped<B> {
    fn see(&mut self, block: B, tick: Seconds) {
        if self.block != block {
            self.block = block;
            self.at = tick;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct VehicleCharge {
    pub(crate) level_percent: f64,
    range_km: f64,
    pub(crate) plugged: bool,
    pub(crate) status: &'static str,
    power_kw: f64,
    pub(crate) limit_percent: u8,
    capacity_kwh: f64,
    minutes_to_full: Option<i64>,
    pub(crate) max_amps: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WallboxCharge {
    pub(crate) status: &'static str,
    power_kw: f64,
    pub(crate) current_limit_amps: u8,
    vehicle_vin: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct VehicleShown {
    pub(crate) charge: Stamped<VehicleCharge>,
    odometer: Stamped<f64>,
    position: Stamped<(f64, f64)>,
}

/// In the order of the account's devices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) vehicles: Vec<VehicleShown>,
    pub(crate) wallboxes: Vec<Stamped<WallboxCharge>>,
}

/// Lets the cloud see its devices as they are now; it does not see frozen ones.
pub(crate) fn see(account: &mut Account, tick: Seconds) {
    for (index, device) in account.vehicles.iter().enumerate() {
        let Some(shown) = account.shown.vehicles.get_mut(index) else {
            account.shown.vehicles.push(VehicleShown {
                charge: Stamped {
                    block: vehicle_charge(&device.live),
                    at: tick,
                },
                odometer: Stamped {
                    block: tenths(device.live.odometer_km),
                    at: tick,
                },
                position: Stamped {
                    block: position(&device.live),
                    at: tick,
                },
            });
            continue;
        };
        if !device.meta.is_frozen() {
            shown.charge.see(vehicle_charge(&device.live), tick);
            shown.odometer.see(tenths(device.live.odometer_km), tick);
            shown.position.see(position(&device.live), tick);
        }
    }
    for (index, device) in account.wallboxes.iter().enumerate() {
        let block = wallbox_charge(&device.live);
        match account.shown.wallboxes.get_mut(index) {
            None => account.shown.wallboxes.push(Stamped { block, at: tick }),
            Some(shown) if !device.meta.is_frozen() => shown.see(block, tick),
            Some(_) => {}
        }
    }
}

/// The body of `GET /v1/account`.
pub(crate) fn account(account: &Account, now: Seconds) -> Value {
    let vehicles = account.vehicles.iter().zip(&account.shown.vehicles);
    let wallboxes = account.wallboxes.iter().zip(&account.shown.wallboxes);
    let permissions: &[&str] = match account.forbids_commands {
        true => &["read", "location"],
        false => &["read", "location", "commands"],
    };
    json!({
        "permissions": permissions,
        "account_id": account.id,
        "email": account.username,
        "time": timestamp(now),
        "vehicles": vehicles
            .filter(|(device, _)| device.meta.is_present())
            .map(|(device, shown)| {
                let (lat, lon) = shown.position.block;
                json!({
                    "vin": device.meta.id,
                    "name": device.meta.name,
                    "model": device.meta.model,
                    "year": device.meta.year,
                    "online": !device.meta.offline,
                    "remote_access": remote_access(device.meta.remote),
                    "charge": stamped(&shown.charge),
                    "odometer": {"km": shown.odometer.block, "at": timestamp(shown.odometer.at)},
                    "position": {"lat": lat, "lon": lon, "at": timestamp(shown.position.at)},
                })
            })
            .collect::<Value>(),
        "wallboxes": wallboxes
            .filter(|(device, _)| device.meta.is_present())
            .map(|(device, shown)| {
                json!({
                    "serial": device.meta.id,
                    "name": device.meta.name,
                    "model": device.meta.model,
                    "year": device.meta.year,
                    "online": !device.meta.offline,
                    "remote_access": remote_access(device.meta.remote),
                    "charge": stamped(shown),
                })
            })
            .collect::<Value>(),
    })
}

fn remote_access(remote: Remote) -> &'static str {
    match remote {
        Remote::SwitchedOff => "switched_off",
        Remote::NoKey => "no_key",
        Remote::Allowed | Remote::Expired | Remote::InstallerOnly => "allowed",
    }
}

/// A block as JSON, with its `at`.
pub(crate) fn stamped<B: Serialize>(shown: &Stamped<B>) -> Value {
    let mut value = serde_json::to_value(&shown.block).expect("a block is plain data");
    value["at"] = json!(timestamp(shown.at));
    value
}

fn vehicle_charge(vehicle: &Vehicle) -> VehicleCharge {
    VehicleCharge {
        level_percent: tenths(vehicle.level),
        range_km: tenths(vehicle.range_km()),
        plugged: vehicle.plugged,
        status: vehicle.charge.word(),
        power_kw: tenths(vehicle.power_kw),
        limit_percent: vehicle.limit,
        capacity_kwh: vehicle.capacity_kwh,
        minutes_to_full: vehicle.minutes_to_full(),
        max_amps: vehicle.max_amps,
    }
}

fn wallbox_charge(wallbox: &Wallbox) -> WallboxCharge {
    WallboxCharge {
        status: wallbox.status.word(),
        power_kw: tenths(wallbox.power_kw),
        current_limit_amps: wallbox.limit_amps,
        vehicle_vin: wallbox.vehicle.clone(),
    }
}

fn position(vehicle: &Vehicle) -> (f64, f64) {
    let fine = |degrees: f64| (degrees * 1e5).round() / 1e5;
    (fine(vehicle.lat), fine(vehicle.lon))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
