//! What the rivoli cloud shows of a car: miles, amps, whole percents, no times.

use serde_json::{Value, json};

use crate::world::{
    account::{Device, Remote},
    vehicle::{Charge, Vehicle},
};

const KM_PER_MILE: f64 = 1.609_344;

/// The body of `GET /v2/cars/{id}`.
pub(crate) fn car(device: &Device<Vehicle>) -> Value {
    let car = device.shown();
    let flowing = car.power_kw > 0.0;
    let amps = if flowing {
        car.power_kw * 1000.0 / 3.0 / car.volts
    } else {
        0.0
    };
    let number = device.meta.id.trim_start_matches("rc_");
    json!({
        "id": device.meta.id,
        "name": device.meta.name,
        "vin": format!("RVLSBX{number:0>11}"),
        "model": device.meta.model,
        "model_year": device.meta.year,
        "asleep": car.asleep,
        "services": match device.meta.remote {
            Remote::Expired => "expired",
            _ => "active",
        },
        "private": device.meta.private,
        "battery": {
            "percent": car.level.round() as i64,
            "range_miles": (car.range_km() / KM_PER_MILE).round() as i64,
            "capacity_kwh": car.capacity_kwh.round() as i64,
        },
        "plug": if car.plugged { "in" } else { "out" },
        "charge_state": charge_state(car.charge),
        "charger": {
            "amps": (amps * 10.0).round() / 10.0,
            "volts": if flowing { car.volts.round() as i64 } else { 0 },
            "phases": if flowing { 3 } else { 0 },
            "amps_limit": car.max_amps,
        },
        "target_percent": car.limit,
        "minutes_left": car.minutes_to_full(),
        "odometer_miles": (car.odometer_km / KM_PER_MILE * 10.0).round() / 10.0,
        "location": (!car.is_driving() && !device.meta.private).then(|| json!({"lat": fine(car.lat), "lon": fine(car.lon)})),
    })
}

fn charge_state(charge: Charge) -> &'static str {
    match charge {
        Charge::Disconnected => "UNPLUGGED",
        Charge::Starting => "WAITING",
        Charge::Charging => "CHARGING",
        Charge::Paused => "STOPPED",
        Charge::Complete => "FULL",
        Charge::NoPower => "NO_POWER",
        Charge::Fault => "ERROR",
    }
}

fn fine(degrees: f64) -> f64 {
    (degrees * 1e4).round() / 1e4
}
