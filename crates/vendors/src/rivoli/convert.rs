//! What rivoli's JSON means.

use livewatt_domain::{
    device::{
        Capability, VendorDevice, Via,
        vehicle::{self, VehiclePowerDeliveryState},
    },
    fact::{Completeness, Observation, Presence},
    kind::DeviceKind,
};

use super::wire;
use crate::{
    harvest::Inventory,
    http::Response,
    interventions::{RENAULT_VEHICLE_EXPIRED, RENAULT_VEHICLE_PRIVATE},
    lenient::{Drift, List, Number, Teller, Told},
};

/// Kilometres in a mile.
const MILE: f64 = 1.609344;

/// Which cars the account holds.
pub(super) fn inventory(cars: List<wire::ListedCar>, drift: &mut Drift) -> Inventory {
    let listed = cars.len();
    let devices = cars
        .into_iter()
        .filter_map(|car| {
            let id = car.take("cars[]", drift)?.id.identifier();
            id.take("cars[].id", drift)
        })
        .map(|id| VendorDevice {
            kind: DeviceKind::Vehicle,
            id,
        })
        .collect::<Vec<_>>();
    if devices.len() == listed {
        Inventory::Complete(devices)
    } else {
        Inventory::Partial(devices)
    }
}

/// What a car's answer says.
pub(super) fn car(
    told: wire::Car,
    device: VendorDevice,
    response: &Response,
    drift: &mut Drift,
) -> Observation {
    // Only the position may be kept back without being unknown: it is while the car is driving.
    let (started_at, received_at) = (response.started_at, response.received_at);
    let mut seen = Observation::new(
        device,
        Completeness::Partial,
        Via::Poll,
        started_at,
        received_at,
    );
    if told.asleep.take("asleep", drift) == Some(true) {
        seen.presence = Presence::Asleep;
    }
    let mut teller = Teller {
        seen: &mut seen,
        drift,
        block: "car",
        at: None,
        completeness: Completeness::Complete,
    };
    teller.tell(vehicle::VIN, "vin", told.vin);
    teller.tell(vehicle::MODEL, "model", told.model);
    teller.tell(vehicle::DISPLAY_NAME, "name", told.name);
    teller.number(vehicle::YEAR, "model_year", told.model_year);
    let expired = match told.services.take("car.services", teller.drift).as_deref() {
        None | Some("active") => None,
        Some("expired") => Some(RENAULT_VEHICLE_EXPIRED),
        Some(word) => {
            teller.drift.note("car.services", word);
            None
        }
    };
    let is_private = told.private.take("car.private", teller.drift) == Some(true);
    let private = is_private.then_some(RENAULT_VEHICLE_PRIVATE);
    for (key, obstacle) in [
        (vehicle::START_CHARGING, expired),
        (vehicle::STOP_CHARGING, expired),
        (vehicle::SET_MAX_CURRENT, expired),
        (vehicle::SMART_CHARGING, expired),
        (vehicle::LOCATION_CAPABILITY, private),
        (vehicle::ODOMETER_CAPABILITY, None),
    ] {
        let capability = Capability::unless(obstacle);
        teller.seen.tell(key, Some(capability), None);
    }

    let battery = told
        .battery
        .take("car.battery", teller.drift)
        .unwrap_or_default();
    teller.number(vehicle::BATTERY_LEVEL, "battery.percent", battery.percent);
    let range = battery.range_miles.times(MILE);
    teller.number(vehicle::RANGE, "battery.range_miles", range);
    teller.number(
        vehicle::BATTERY_CAPACITY,
        "battery.capacity_kwh",
        battery.capacity_kwh,
    );

    let charger = told
        .charger
        .take("car.charger", teller.drift)
        .unwrap_or_default();
    let is_charging = told
        .charge_state
        .as_value()
        .is_some_and(|state| state == "CHARGING");
    let rate = power_kw(charger.amps, charger.volts, charger.phases).only_if(is_charging);
    teller.number(vehicle::CHARGE_RATE, "charger.amps", rate);
    teller.number(
        vehicle::MAX_CURRENT,
        "charger.amps_limit",
        charger.amps_limit,
    );
    teller.number(vehicle::CHARGE_LIMIT, "target_percent", told.target_percent);
    teller.number(
        vehicle::CHARGE_TIME_REMAINING,
        "minutes_left",
        told.minutes_left,
    );
    teller.word(
        vehicle::POWER_DELIVERY_STATE,
        "charge_state",
        told.charge_state,
        |word| {
            use VehiclePowerDeliveryState as State;
            Some(match word {
                "UNPLUGGED" => State::Unplugged,
                "WAITING" => State::Initializing,
                "CHARGING" => State::Charging,
                "STOPPED" => State::Stopped,
                "FULL" => State::Complete,
                "NO_POWER" => State::NoPower,
                "ERROR" => State::Fault,
                _ => return None,
            })
        },
    );
    teller.number(
        vehicle::ODOMETER,
        "odometer_miles",
        told.odometer_miles.times(MILE),
    );

    if is_private {
        // Kept back for good, unlike while it is driving: what was known before is not told on.
        teller.seen.tell(vehicle::LONGITUDE, None, None);
        teller.seen.tell(vehicle::LATITUDE, None, None);
    } else if let Some(location) = told.location.take("car.location", teller.drift) {
        teller.position(
            (vehicle::LONGITUDE, vehicle::LATITUDE),
            (location.lon, location.lat),
        );
    }
    seen
}

/// Power at the wall, kW.
fn power_kw(amps: Told<Number>, volts: Told<Number>, phases: Told<Number>) -> Told<Number> {
    match (amps, volts, phases) {
        (Told::Value(Number(amps)), Told::Value(Number(volts)), Told::Value(Number(phases))) => {
            Told::Value(Number(amps * volts * phases / 1000.0))
        }
        (Told::Odd(kind), _, _) | (_, Told::Odd(kind), _) | (_, _, Told::Odd(kind)) => {
            Told::Odd(kind)
        }
        _ => Told::Absent,
    }
}

#[cfg(test)]
mod tests;
