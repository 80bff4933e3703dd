use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    action::{ActionState, ChargingKind, FailureType, Target},
    device::{Device, NewDevice, VendorDevice},
    id::{AccountId, ActionId, ClientId, DeviceId},
    kind::DeviceKind,
    plan::{Margin, PriceSpan, Style},
    schedule::Attempt,
    zone::Zone,
};

mod policy;
mod scenes;
mod world;

const PLACE: LocationId = LocationId(Uuid::from_u128(9));
const VEHICLE: DeviceId = DeviceId(Uuid::from_u128(7));

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn vehicle() -> Device {
    let mut vehicle = Device::new(NewDevice {
        id: VEHICLE,
        client_id: ClientId(Uuid::nil()),
        user_id: "user".parse().unwrap(),
        account_id: AccountId(Uuid::nil()),
        vendor_device: VendorDevice {
            kind: DeviceKind::Vehicle,
            id: "v".to_owned(),
        },
        vendor: "ACME".parse().unwrap(),
        brand: "Acme".to_owned(),
        scopes: Vec::new(),
        found_at: at("2026-01-01T00:00Z"),
    });
    for name in ["startCharging", "stopCharging", "smartCharging"] {
        let path = format!("capabilities.{name}.isCapable");
        vehicle.document.set_path(&path, json!(true));
    }
    vehicle
}

fn enabled() -> Policy {
    Policy {
        is_enabled: true,
        deadline: "07:00".parse().ok(),
        minimum_charge_limit: 0.0,
        style: Style::default(),
    }
}

/// Hourly prices in hundredths.
fn hourly(from: Timestamp, prices: &[i64]) -> Vec<PriceSpan> {
    let spans = prices.iter().enumerate().map(|(hour, cents)| {
        let from = from + SignedDuration::from_hours(hour as i64);
        PriceSpan {
            from,
            to: from + SignedDuration::from_hours(1),
            per_kwh: Decimal::new(*cents, 2),
        }
    });
    spans.collect()
}

/// 40 kWh in four hours, from 18:00 on, due at seven.
fn inputs(level: f64) -> Inputs {
    let now = at("2026-06-01T18:00Z");
    Inputs {
        now,
        deadline: "07:00".parse().unwrap(),
        zone: Zone::UTC,
        level: Some(level),
        capacity_kwh: Some(50.0),
        limit: 100.0,
        minimum: 0.0,
        rate_kw: Some(10.0),
        minutes_remaining: None,
        is_charging: true,
        margin: Margin {
            secs: 0,
            percent: 0,
        },
        style: Style::Once,
        least_saving: Decimal::ZERO,
        more_prices_at: None,
        may_await: false,
        currency: "EUR".parse().ok(),
        prices: hourly(now, &[30, 40, 30, 40, 30, 20, 20, 15, 5, 5, 15, 20, 30]),
    }
}
