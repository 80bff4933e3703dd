//! What must hold of whatever an adapter made of broken input.

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    device::{self, Device, NewDevice},
    entropy::SeededEntropy,
    fact::{Field, FieldSpec, Observation},
    id::{AccountId, ClientId, DeviceId},
    kind::DeviceKind,
    merge::{Part, discover, merge},
    scope::Scope,
};
use livewatt_vendors::{AccountOutcome, Harvest, Inventory, PushBatch};
use serde_json::Value;

/// Longest text that may reach a device or be a device's name at its vendor.
const LONGEST_TEXT: usize = 512;
/// How far from now a time may be.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(1);
/// Most words of drift: they go to the log.
const MOST_DRIFT: usize = 256;

pub(crate) fn check_harvest(harvest: &Harvest, now: Timestamp) {
    check_observations(&harvest.observations, now);
    if let Some(Inventory::Complete(listed) | Inventory::Partial(listed)) = &harvest.inventory {
        listed.iter().for_each(|device| check_id(&device.id));
    }
    check_outcome(&harvest.account, now);
    check_drift(&harvest.drift);
}

/// Whatever a vendor asks for, it is asked again within a day or so.
pub(crate) fn check_outcome(outcome: &AccountOutcome, now: Timestamp) {
    if let AccountOutcome::RateLimited { until, .. } | AccountOutcome::OverBudget { until } =
        outcome
    {
        let wait = until.duration_since(now);
        assert!(wait <= SignedDuration::from_hours(25), "waits for {wait}");
    }
}

pub(crate) fn check_push(batch: &PushBatch, now: Timestamp) {
    check_id(&batch.vendor_account_id);
    check_observations(&batch.observations, now);
}

pub(crate) fn check_drift(drift: &[String]) {
    assert!(drift.len() <= MOST_DRIFT, "{} words of drift", drift.len());
    assert!(drift.iter().all(|word| word.len() <= 120), "{drift:?}");
}

fn check_id(id: &str) {
    assert!(
        !id.is_empty() && id.len() <= LONGEST_TEXT,
        "an ID of {} bytes",
        id.len()
    );
}

pub(crate) fn check_observations(observations: &[Observation], now: Timestamp) {
    // Arrivals of one session are told apart by a millisecond each.
    let now = now + TOLERANCE;
    for seen in observations {
        check_id(&seen.device.id);
        assert!(seen.received_at <= now && seen.started_at <= now);
        let found = discover(new_device(seen, now), seen);
        check_device(&found, now);
        check_device(&merge(&found, seen, Part::Everything).device, now);
    }
}

/// Nothing absurd is in it, and nothing that would keep later news out.
fn check_device(device: &Device, now: Timestamp) {
    check_value(
        device.kind(),
        "",
        &Value::Object(device.current_document().as_map().clone()),
        now,
    );
    for field in Field::all(device.kind()) {
        if let Some(stamp) = device.stamps.get(field) {
            let path = field.path();
            assert!(
                stamp.observed_at.is_none_or(|at| at <= now),
                "{path}: {stamp:?}"
            );
            assert!(
                stamp.received_at <= now && stamp.started_at <= now,
                "{path}: {stamp:?}"
            );
        }
    }
    assert!(device.last_seen <= now);
}

fn check_value(kind: DeviceKind, path: &str, value: &Value, now: Timestamp) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                check_value(kind, &path, member, now);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_value(kind, path, item, now)),
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            let spec = specs(kind).iter().find(|spec| spec.path == path);
            let range = spec.and_then(|spec| spec.range.clone());
            let is_plausible = range.map_or(number.abs() < 1e12, |range| range.contains(&number));
            assert!(is_plausible, "{path} is {number}");
        }
        Value::String(text) => {
            assert!(
                text.len() <= LONGEST_TEXT,
                "{path} has {} bytes",
                text.len()
            );
            // A device may be called what it likes; a moment of ours is never yet to come.
            if path.starts_with("last") || path.contains(".last") || path.ends_with("Date") {
                assert!(
                    text.parse::<Timestamp>().unwrap() <= now,
                    "{path} is {text}"
                );
            }
        }
        Value::Bool(_) | Value::Null => {}
    }
}

const fn specs(kind: DeviceKind) -> &'static [&'static FieldSpec] {
    match kind {
        DeviceKind::Vehicle => device::vehicle::FIELDS,
        DeviceKind::Charger => device::charger::FIELDS,
        DeviceKind::Hvac => device::hvac::FIELDS,
        DeviceKind::Inverter => device::inverter::FIELDS,
        DeviceKind::Battery => device::battery::FIELDS,
        DeviceKind::Meter => device::meter::FIELDS,
    }
}

fn new_device(seen: &Observation, now: Timestamp) -> NewDevice {
    let entropy = SeededEntropy::new(1);
    NewDevice {
        id: DeviceId::new(now, &entropy),
        client_id: ClientId::new(now, &entropy),
        user_id: "ada".parse().unwrap(),
        account_id: AccountId::new(now, &entropy),
        vendor_device: seen.device.clone(),
        vendor: "TESLA".parse().unwrap(),
        brand: "Tesla".to_owned(),
        scopes: Scope::of_kind(seen.device.kind).collect(),
        found_at: seen.received_at,
    }
}
